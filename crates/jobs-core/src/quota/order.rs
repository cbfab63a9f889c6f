//! Who goes next when several requests wait for one place; pure.

use std::collections::VecDeque;

/// What a request is for. When several wait, they share the rate by it.
///
/// Half of the rate is for submits, a quarter for fetches and a quarter for looks, as far as each of them has requests
/// waiting; what one leaves goes to the others. So looks at many jobs never keep a submit waiting for more than two of
/// them, and submits never keep jobs from being seen done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Use {
    /// Starts work, or is part of it, such as an upload.
    Submit,
    /// Brings a result.
    Fetch,
    /// Anything else: looks, lists, balances.
    Look,
}

impl Use {
    /// Submits go first among equals.
    const ALL: [Self; 3] = [Self::Submit, Self::Fetch, Self::Look];

    #[cfg(feature = "metrics")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Fetch => "fetch",
            Self::Look => "look",
        }
    }

    /// By how much one request sets its class back.
    fn stride(self) -> u64 {
        match self {
            Self::Submit => 1,
            Self::Fetch | Self::Look => 2,
        }
    }
}

/// Those who wait, in classes that are served by turns.
#[derive(Debug)]
pub(super) struct Order<T> {
    classes: [Class<T>; 3],
    /// Where the class stood that was served last. One that had nobody waiting joins there, so that it cannot save up
    /// turns.
    reached: u64,
}

#[derive(Debug)]
struct Class<T> {
    draws_as: Use,
    served: u64,
    waiting: VecDeque<T>,
}

impl<T> Order<T> {
    pub(super) fn new() -> Self {
        Self {
            classes: Use::ALL.map(|draws_as| Class {
                draws_as,
                served: 0,
                waiting: VecDeque::new(),
            }),
            reached: 0,
        }
    }

    /// Counts one that need not wait; `false` when others do.
    pub(super) fn pass(&mut self, draws_as: Use) -> bool {
        if self.classes.iter().any(|class| !class.waiting.is_empty()) {
            return false;
        }
        let reached = self.reached;
        if let Some(class) = self.class(draws_as) {
            let served = class.served.max(reached);
            class.served = served + draws_as.stride();
            self.reached = served;
        }
        true
    }

    pub(super) fn push(&mut self, draws_as: Use, waiter: T) {
        let reached = self.reached;
        if let Some(class) = self.class(draws_as) {
            if class.waiting.is_empty() {
                class.served = class.served.max(reached);
            }
            class.waiting.push_back(waiter);
        }
    }

    /// The first of the class that has had the least, without those who left: they cost their class nothing.
    pub(super) fn pop(&mut self, is_there: impl Fn(&T) -> bool) -> Option<T> {
        for class in &mut self.classes {
            while class
                .waiting
                .pop_front_if(|first| !is_there(first))
                .is_some()
            {}
        }
        let some = self.classes.iter_mut().filter(|it| !it.waiting.is_empty());
        let class = some.min_by_key(|class| class.served)?;
        self.reached = class.served;
        class.served += class.draws_as.stride();
        class.waiting.pop_front()
    }

    fn class(&mut self, draws_as: Use) -> Option<&mut Class<T>> {
        let mut classes = self.classes.iter_mut();
        classes.find(|class| class.draws_as == draws_as)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn popped(order: &mut Order<(Use, usize)>, count: usize) -> Vec<(Use, usize)> {
        (0..count).map_while(|_| order.pop(|_| true)).collect()
    }

    fn full() -> Order<(Use, usize)> {
        let mut order = Order::new();
        for n in 0..400 {
            for draws_as in [Use::Look, Use::Fetch, Use::Submit] {
                order.push(draws_as, (draws_as, n));
            }
        }
        order
    }

    #[test]
    fn each_use_gets_its_share_in_the_order_of_asking() {
        let served = popped(&mut full(), 400);
        for (draws_as, share) in [(Use::Submit, 200), (Use::Fetch, 100), (Use::Look, 100)] {
            let numbers: Vec<usize> = served
                .iter()
                .filter(|(of, _)| *of == draws_as)
                .map(|(_, number)| *number)
                .collect();
            assert_eq!(numbers, (0..share).collect::<Vec<_>>(), "{draws_as:?}");
        }
    }

    #[test]
    fn what_one_use_leaves_goes_to_the_others() {
        let mut order = Order::new();
        for n in 0..90 {
            order.push(Use::Look, (Use::Look, n));
        }
        for n in 0..60 {
            order.push(Use::Submit, (Use::Submit, n));
        }
        let looks = popped(&mut order, 90)
            .iter()
            .filter(|(of, _)| *of == Use::Look)
            .count();
        assert_eq!(looks, 30);
        assert_eq!(popped(&mut order, 90).len(), 60);
    }

    #[test]
    fn one_that_need_not_wait_counts_and_passes_nobody() {
        let mut order = Order::new();
        for _ in 0..3 {
            assert!(order.pass(Use::Submit));
        }
        for draws_as in [Use::Submit, Use::Submit, Use::Fetch] {
            order.push(draws_as, (draws_as, 0));
        }
        assert!(!order.pass(Use::Fetch));
        let served = popped(&mut order, 3).into_iter().map(|(of, _)| of);
        assert!(served.eq([Use::Fetch, Use::Submit, Use::Submit]));
        assert!(order.pass(Use::Look));
    }

    #[test]
    fn a_use_that_was_away_has_saved_up_nothing() {
        let mut order = Order::new();
        for n in 0..1000 {
            order.push(Use::Look, (Use::Look, n));
        }
        popped(&mut order, 500);
        for n in 0..100 {
            order.push(Use::Submit, (Use::Submit, n));
        }
        let served = popped(&mut order, 60);
        let submits = served.iter().filter(|(of, _)| *of == Use::Submit).count();
        assert!((40..=41).contains(&submits), "{submits}");
    }

    #[test]
    fn those_who_left_cost_nothing() {
        let mut order = Order::new();
        for n in 0..1000 {
            order.push(Use::Look, (Use::Look, n));
            order.push(Use::Submit, (Use::Submit, n));
        }
        let is_there = |(draws_as, n): &(Use, usize)| *draws_as == Use::Submit || *n >= 900;
        let served: Vec<_> = (0..30).map_while(|_| order.pop(is_there)).collect();
        let looks = served.iter().filter(|(of, _)| *of == Use::Look);
        let looks: Vec<usize> = looks.map(|(_, n)| *n).collect();
        assert_eq!(looks, (900..910).collect::<Vec<_>>());
    }

    fn any_use() -> impl Strategy<Value = Use> {
        prop_oneof![
            1 => Just(Use::Submit),
            2 => Just(Use::Fetch),
            6 => Just(Use::Look)
        ]
    }

    proptest! {
        /// Whoever comes and goes meanwhile.
        #[test]
        fn the_first_submit_waits_for_one_look_and_one_fetch_at_most(
            steps in proptest::collection::vec((any_use(), 0usize..3), 1..300),
        ) {
            let (mut order, mut submits) = (Order::new(), 0usize);
            let (mut looks, mut fetches) = (0, 0);
            for (draws_as, served) in steps {
                order.push(draws_as, draws_as);
                submits += usize::from(draws_as == Use::Submit);
                for _ in 0..served {
                    let waited = submits > 0;
                    match order.pop(|_| true) {
                        Some(Use::Submit) => (submits, looks, fetches) = (submits - 1, 0, 0),
                        Some(Use::Look) => looks += usize::from(waited),
                        Some(Use::Fetch) => fetches += usize::from(waited),
                        None => {}
                    }
                    prop_assert!(looks <= 1 && fetches <= 1, "{looks} looks, {fetches} fetches");
                }
            }
        }
    }
}

//! Who goes next when several requests wait for one place; pure.

use std::collections::VecDeque;

/// What a request is for. When several wait, they share the rate by it.
///
/// Half of the rate is for submits, a quarter for fetches and a quarter for looks, as far as each of them has requests
/// waiting; what one leaves goes to the others. So looks at many jobs never keep a submit waiting for more than two of
/// them, and submits never keep jobs from being seen done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestClass {
    /// Starts work, or is part of it, such as an upload.
    Submit,
    /// Brings a result.
    Download,
    /// Anything else: looks, lists, balances.
    Poll,
}

impl RequestClass {
    /// Submits go first among equals.
    const ALL: [Self; 3] = [Self::Submit, Self::Download, Self::Poll];

    #[cfg(feature = "metrics")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Download => "fetch",
            Self::Poll => "look",
        }
    }

    /// By how much one request sets its class back.
    fn stride(self) -> u64 {
        match self {
            Self::Submit => 1,
            Self::Download | Self::Poll => 2,
        }
    }
}

/// Those who wait, in classes that are served by turns.
#[derive(Debug)]
pub(super) struct StrideQueue<T> {
    classes: [Class<T>; 3],
    /// Where the class stood that was served last. One that had nobody waiting joins there, so that it cannot save up
    /// turns.
    reached: u64,
}

#[derive(Debug)]
struct Class<T> {
    draws_as: RequestClass,
    served: u64,
    waiting: VecDeque<T>,
}

impl<T> StrideQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            classes: RequestClass::ALL.map(|draws_as| Class {
                draws_as,
                served: 0,
                waiting: VecDeque::new(),
            }),
            reached: 0,
        }
    }

    /// Counts one that need not wait; `false` when others do.
    pub(super) fn pass(&mut self, draws_as: RequestClass) -> bool {
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

    pub(super) fn push(&mut self, draws_as: RequestClass, waiter: T) {
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

    fn class(&mut self, draws_as: RequestClass) -> Option<&mut Class<T>> {
        let mut classes = self.classes.iter_mut();
        classes.find(|class| class.draws_as == draws_as)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn popped(
        order: &mut StrideQueue<(RequestClass, usize)>,
        count: usize,
    ) -> Vec<(RequestClass, usize)> {
        (0..count).map_while(|_| order.pop(|_| true)).collect()
    }

    fn full() -> StrideQueue<(RequestClass, usize)> {
        let mut order = StrideQueue::new();
        for n in 0..400 {
            for draws_as in [
                RequestClass::Poll,
                RequestClass::Download,
                RequestClass::Submit,
            ] {
                order.push(draws_as, (draws_as, n));
            }
        }
        order
    }

    #[test]
    fn each_use_gets_its_share_in_the_order_of_asking() {
        let served = popped(&mut full(), 400);
        for (draws_as, share) in [
            (RequestClass::Submit, 200),
            (RequestClass::Download, 100),
            (RequestClass::Poll, 100),
        ] {
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
        let mut order = StrideQueue::new();
        for n in 0..90 {
            order.push(RequestClass::Poll, (RequestClass::Poll, n));
        }
        for n in 0..60 {
            order.push(RequestClass::Submit, (RequestClass::Submit, n));
        }
        let looks = popped(&mut order, 90)
            .iter()
            .filter(|(of, _)| *of == RequestClass::Poll)
            .count();
        assert_eq!(looks, 30);
        assert_eq!(popped(&mut order, 90).len(), 60);
    }

    #[test]
    fn one_that_need_not_wait_counts_and_passes_nobody() {
        let mut order = StrideQueue::new();
        for _ in 0..3 {
            assert!(order.pass(RequestClass::Submit));
        }
        for draws_as in [
            RequestClass::Submit,
            RequestClass::Submit,
            RequestClass::Download,
        ] {
            order.push(draws_as, (draws_as, 0));
        }
        assert!(!order.pass(RequestClass::Download));
        let served = popped(&mut order, 3).into_iter().map(|(of, _)| of);
        assert!(served.eq([
            RequestClass::Download,
            RequestClass::Submit,
            RequestClass::Submit
        ]));
        assert!(order.pass(RequestClass::Poll));
    }

    #[test]
    fn a_use_that_was_away_has_saved_up_nothing() {
        let mut order = StrideQueue::new();
        for n in 0..1000 {
            order.push(RequestClass::Poll, (RequestClass::Poll, n));
        }
        popped(&mut order, 500);
        for n in 0..100 {
            order.push(RequestClass::Submit, (RequestClass::Submit, n));
        }
        let served = popped(&mut order, 60);
        let submits = served
            .iter()
            .filter(|(of, _)| *of == RequestClass::Submit)
            .count();
        assert!((40..=41).contains(&submits), "{submits}");
    }

    #[test]
    fn those_who_left_cost_nothing() {
        let mut order = StrideQueue::new();
        for n in 0..1000 {
            order.push(RequestClass::Poll, (RequestClass::Poll, n));
            order.push(RequestClass::Submit, (RequestClass::Submit, n));
        }
        let is_there =
            |(draws_as, n): &(RequestClass, usize)| *draws_as == RequestClass::Submit || *n >= 900;
        let served: Vec<_> = (0..30).map_while(|_| order.pop(is_there)).collect();
        let looks = served.iter().filter(|(of, _)| *of == RequestClass::Poll);
        let looks: Vec<usize> = looks.map(|(_, n)| *n).collect();
        assert_eq!(looks, (900..910).collect::<Vec<_>>());
    }

    fn any_use() -> impl Strategy<Value = RequestClass> {
        prop_oneof![
            1 => Just(RequestClass::Submit),
            2 => Just(RequestClass::Download),
            6 => Just(RequestClass::Poll)
        ]
    }

    proptest! {
        /// Whoever comes and goes meanwhile.
        #[test]
        fn the_first_submit_waits_for_one_look_and_one_fetch_at_most(
            steps in proptest::collection::vec((any_use(), 0usize..3), 1..300),
        ) {
            let (mut order, mut submits) = (StrideQueue::new(), 0usize);
            let (mut looks, mut fetches) = (0, 0);
            for (draws_as, served) in steps {
                order.push(draws_as, draws_as);
                submits += usize::from(draws_as == RequestClass::Submit);
                for _ in 0..served {
                    let waited = submits > 0;
                    match order.pop(|_| true) {
                        Some(RequestClass::Submit) => (submits, looks, fetches) = (submits - 1, 0, 0),
                        Some(RequestClass::Poll) => looks += usize::from(waited),
                        Some(RequestClass::Download) => fetches += usize::from(waited),
                        None => {}
                    }
                    prop_assert!(looks <= 1 && fetches <= 1, "{looks} looks, {fetches} fetches");
                }
            }
        }
    }
}

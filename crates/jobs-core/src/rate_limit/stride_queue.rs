//! Who goes next when several requests wait for one place; pure.

use std::collections::VecDeque;

/// What a request is for. When several wait, they share the rate by it.
///
/// Half of the rate is for submits, a quarter for fetches and a quarter for polls, as far as each of them has requests
/// waiting; what one leaves goes to the others. So polls of many jobs never keep a submit waiting for more than two of
/// them, and submits never keep jobs from being seen done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestClass {
    /// Starts work, or is part of it, such as an upload.
    Submit,
    /// Brings a result.
    Download,
    /// Anything else: polls, lists, balances.
    Poll,
}

impl RequestClass {
    /// Submits go first among equals.
    const ALL: [Self; 3] = [Self::Submit, Self::Download, Self::Poll];

    #[cfg(feature = "metrics")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Download => "download",
            Self::Poll => "poll",
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
    queues: [ClassQueue<T>; 3],
    /// Where the class stood that was served last. One that had nobody waiting joins there, so that it cannot save up
    /// turns.
    reached: u64,
}

#[derive(Debug)]
struct ClassQueue<T> {
    class: RequestClass,
    served: u64,
    waiting: VecDeque<T>,
}

impl<T> StrideQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            queues: RequestClass::ALL.map(|class| ClassQueue {
                class,
                served: 0,
                waiting: VecDeque::new(),
            }),
            reached: 0,
        }
    }

    /// Counts one that need not wait; `false` when others do.
    pub(super) fn pass(&mut self, class: RequestClass) -> bool {
        if self.queues.iter().any(|class| !class.waiting.is_empty()) {
            return false;
        }
        let reached = self.reached;
        if let Some(queue) = self.queue_mut(class) {
            let served = queue.served.max(reached);
            queue.served = served + class.stride();
            self.reached = served;
        }
        true
    }

    pub(super) fn push(&mut self, class: RequestClass, waiter: T) {
        let reached = self.reached;
        if let Some(queue) = self.queue_mut(class) {
            if queue.waiting.is_empty() {
                queue.served = queue.served.max(reached);
            }
            queue.waiting.push_back(waiter);
        }
    }

    /// The first of the class that has had the least, without those who left: they cost their class nothing.
    pub(super) fn pop(&mut self, is_there: impl Fn(&T) -> bool) -> Option<T> {
        for queue in &mut self.queues {
            while queue
                .waiting
                .pop_front_if(|first| !is_there(first))
                .is_some()
            {}
        }
        let some = self.queues.iter_mut().filter(|it| !it.waiting.is_empty());
        let class = some.min_by_key(|class| class.served)?;
        self.reached = class.served;
        class.served += class.class.stride();
        class.waiting.pop_front()
    }

    fn queue_mut(&mut self, class: RequestClass) -> Option<&mut ClassQueue<T>> {
        let mut queues = self.queues.iter_mut();
        queues.find(|queue| queue.class == class)
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
            for class in [
                RequestClass::Poll,
                RequestClass::Download,
                RequestClass::Submit,
            ] {
                order.push(class, (class, n));
            }
        }
        order
    }

    #[test]
    fn each_use_gets_its_share_in_the_order_of_asking() {
        let served = popped(&mut full(), 400);
        for (class, shared_limit) in [
            (RequestClass::Submit, 200),
            (RequestClass::Download, 100),
            (RequestClass::Poll, 100),
        ] {
            let numbers: Vec<usize> = served
                .iter()
                .filter(|(of, _)| *of == class)
                .map(|(_, number)| *number)
                .collect();
            assert_eq!(numbers, (0..shared_limit).collect::<Vec<_>>(), "{class:?}");
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
        let polls = popped(&mut order, 90)
            .iter()
            .filter(|(of, _)| *of == RequestClass::Poll)
            .count();
        assert_eq!(polls, 30);
        assert_eq!(popped(&mut order, 90).len(), 60);
    }

    #[test]
    fn one_that_need_not_wait_counts_and_passes_nobody() {
        let mut order = StrideQueue::new();
        for _ in 0..3 {
            assert!(order.pass(RequestClass::Submit));
        }
        for class in [
            RequestClass::Submit,
            RequestClass::Submit,
            RequestClass::Download,
        ] {
            order.push(class, (class, 0));
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
            |(class, n): &(RequestClass, usize)| *class == RequestClass::Submit || *n >= 900;
        let served: Vec<_> = (0..30).map_while(|_| order.pop(is_there)).collect();
        let polls = served.iter().filter(|(of, _)| *of == RequestClass::Poll);
        let polls: Vec<usize> = polls.map(|(_, n)| *n).collect();
        assert_eq!(polls, (900..910).collect::<Vec<_>>());
    }

    fn any_use() -> impl Strategy<Value = RequestClass> {
        prop_oneof![
            1 => Just(RequestClass::Submit),
            2 => Just(RequestClass::Download),
            6 => Just(RequestClass::Poll)
        ]
    }

    proptest! {
        /// Callers that come and go meanwhile.
        #[test]
        fn the_first_submit_waits_for_one_poll_and_one_fetch_at_most(
            steps in proptest::collection::vec((any_use(), 0usize..3), 1..300),
        ) {
            let (mut order, mut submits) = (StrideQueue::new(), 0usize);
            let (mut polls, mut fetches) = (0, 0);
            for (class, served) in steps {
                order.push(class, class);
                submits += usize::from(class == RequestClass::Submit);
                for _ in 0..served {
                    let waited = submits > 0;
                    match order.pop(|_| true) {
                        Some(RequestClass::Submit) => (submits, polls, fetches) = (submits - 1, 0, 0),
                        Some(RequestClass::Poll) => polls += usize::from(waited),
                        Some(RequestClass::Download) => fetches += usize::from(waited),
                        None => {}
                    }
                    prop_assert!(polls <= 1 && fetches <= 1, "{polls} polls, {fetches} fetches");
                }
            }
        }
    }
}

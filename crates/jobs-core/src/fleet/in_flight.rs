//! The polls in flight of one account, polled by its one task.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use atomic_waker::AtomicWaker;

/// How many polls one account may have in flight: a bit for each.
pub(super) const MAX_IN_FLIGHT: u32 = u64::BITS;

/// A poll in flight.
pub(super) type PollFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Up to [`MAX_IN_FLIGHT`] futures, of which only those are polled that were woken.
pub(super) struct InFlight<T> {
    slots: Vec<(Option<PollFuture<T>>, Waker)>,
    /// A bit for each slot that holds a future.
    occupied: u64,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken {
    slots: AtomicU64,
    task: AtomicWaker,
}

struct SlotWaker {
    bit: u64,
    woken: Arc<Woken>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.slots.fetch_or(self.bit, Ordering::AcqRel);
        self.woken.task.wake();
    }
}

/// The future panicked. It runs a kind's code, whose panic must not end the waits for the account's other jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            occupied: 0,
            woken: Arc::default(),
        }
    }
}

impl<T> fmt::Debug for InFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flights({})", self.slots.len())
    }
}

impl<T> InFlight<T> {
    /// Takes a future, which is first polled by the next [`poll`](Self::poll). Its slot, until it has finished; `None`,
    /// and it is dropped, when [`MAX_IN_FLIGHT`] are in flight.
    pub(super) fn push(&mut self, future: PollFuture<T>) -> Option<usize> {
        let place = self.occupied.trailing_ones() as usize;
        let bit = 1u64.checked_shl(self.occupied.trailing_ones())?;
        if place == self.slots.len() {
            let woken = Arc::clone(&self.woken);
            let waker = Waker::from(Arc::new(SlotWaker { bit, woken }));
            self.slots.push((None, waker));
        }
        let (held, _) = self.slots.get_mut(place)?;
        *held = Some(future);
        self.occupied |= bit;
        self.woken.slots.fetch_or(bit, Ordering::AcqRel);
        Some(place)
    }

    /// Polls the futures that were woken, and puts those that have finished into `finished`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        finished: &mut Vec<(usize, Result<T, Panicked>)>,
    ) {
        self.woken.task.register(cx.waker());
        let mut woken = self.woken.slots.swap(0, Ordering::AcqRel);
        while woken != 0 {
            let place = woken.trailing_zeros() as usize;
            woken &= woken - 1;
            let Some((held, waker)) = self.slots.get_mut(place) else {
                continue;
            };
            let Some(future) = held else { continue };
            let mut cx = Context::from_waker(waker);
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
            let outcome = match polled {
                Ok(std::task::Poll::Pending) => continue,
                Ok(std::task::Poll::Ready(value)) => Ok(value),
                Err(_) => Err(Panicked),
            };
            *held = None;
            self.occupied &= !(1 << place);
            finished.push((place, outcome));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use super::*;

    fn land(in_flight: &mut InFlight<u32>) -> Vec<(usize, Result<u32, Panicked>)> {
        let mut finished = Vec::new();
        in_flight.poll(&mut Context::from_waker(Waker::noop()), &mut finished);
        finished
    }

    #[test]
    fn only_the_woken_are_polled_and_a_panic_is_that_of_one() {
        let mut in_flight = InFlight::default();
        let (sender, receiver) = tokio::sync::oneshot::channel::<u32>();
        in_flight.push(Box::pin(async { receiver.await.unwrap() }));
        in_flight.push(Box::pin(async { panic!("a stranger's") }));
        let mut polled = 0;
        in_flight.push(Box::pin(poll_fn(move |_| {
            polled += 1;
            assert_eq!(polled, 1, "polled without being woken");
            Poll::<u32>::Pending
        })));
        assert_eq!(land(&mut in_flight), [(1, Err(Panicked))]);
        assert_eq!(land(&mut in_flight), []);
        sender.send(7).unwrap();
        assert_eq!(land(&mut in_flight), [(0, Ok(7))]);
    }

    #[test]
    fn there_is_room_for_as_many_as_there_are_bits() {
        let mut in_flight = InFlight::<u32>::default();
        for place in 0..MAX_IN_FLIGHT as usize {
            assert_eq!(in_flight.push(Box::pin(pending())), Some(place));
        }
        assert_eq!(in_flight.push(Box::pin(pending())), None);
    }
}

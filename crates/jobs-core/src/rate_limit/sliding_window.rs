//! Which places of a rate are taken, and how much slower than allowed it goes for now; pure, time is an argument.

use std::time::Duration;

use crate::clock::Moment;
use crate::rate_limit::RateLimit;

/// The places of all windows, and the pace.
#[derive(Debug)]
pub(super) struct SlidingWindows {
    windows: Vec<SlidingWindow>,
    throttle: Throttle,
}

#[derive(Debug)]
struct SlidingWindow {
    limit: usize,
    per: Duration,
    /// Only those that were ever taken, so that a generous limit costs no memory.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    free_at: Moment,
    generation: u64,
}

/// What one request has taken: for each window the slot and its generation.
pub(super) type TakenSlots = Vec<(usize, u64)>;

/// The part of the windows that is used after the vendor said "too many requests", which its windows did not foresee.
#[derive(Debug)]
struct Throttle {
    /// From [`MIN_FRACTION`] to one.
    fraction: f64,
    slowed_at: Option<Moment>,
    /// Nothing goes before, because the vendor said so.
    resumes_at: Moment,
}

const MIN_FRACTION: f64 = 1.0 / 64.0;
/// What each good answer adds: after one halving the full pace is back with the sixteenth.
const STEP: f64 = 1.0 / 32.0;
/// A longer hint is for the job that got it: its wait obeys it up to the maximum interval of the kind. To hold up all others for as
/// long would only make their polls time out in the queue.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);

impl SlidingWindows {
    pub(super) fn new(windows: &[RateLimit]) -> Self {
        let places = |window: &RateLimit| SlidingWindow {
            limit: usize::try_from(window.limit.get()).unwrap_or(usize::MAX),
            per: window.per,
            slots: Vec::new(),
        };
        Self {
            windows: windows.iter().map(places).collect(),
            throttle: Throttle {
                fraction: 1.0,
                slowed_at: None,
                resumes_at: Moment::START,
            },
        }
    }

    /// When a place of each window is free, if no answer frees it earlier; `None` when that is now.
    pub(super) fn busy_until(&self, now: Moment) -> Option<Moment> {
        let earliest = self.windows.iter().map(|window| window.earliest(now).1);
        let free_at = earliest.chain([self.throttle.resumes_at]).max();
        free_at.filter(|free_at| *free_at > now)
    }

    /// Takes the place of each window that is free first.
    pub(super) fn take(&mut self, now: Moment) -> TakenSlots {
        let mut taken = Vec::with_capacity(self.windows.len());
        for window in &mut self.windows {
            let (at, _) = window.earliest(now);
            if at == window.slots.len() {
                window.slots.push(Slot {
                    free_at: now,
                    generation: 0,
                });
            }
            if let Some(place) = window.slots.get_mut(at) {
                place.free_at = now + self.throttle.stretched(window.per * 2);
                place.generation += 1;
                taken.push((at, place.generation));
            }
        }
        taken
    }

    /// The answer is there.
    pub(super) fn release(&mut self, taken: &TakenSlots, now: Moment) {
        for (window, (at, number)) in self.windows.iter_mut().zip(taken) {
            let free_at = now + self.throttle.stretched(window.per);
            if let Some(place) = window.slots.get_mut(*at)
                && place.generation == *number
            {
                place.free_at = place.free_at.min(free_at);
            }
        }
    }

    /// The vendor took a request.
    pub(super) fn accepted(&mut self) {
        self.throttle.fraction = (self.throttle.fraction + STEP).min(1.0);
    }

    /// The vendor refused a request made at `asked` for its rate: half as fast from now on.
    ///
    /// Once for all that were under way together, or ten refusals of one moment would stop the account.
    pub(super) fn rate_limited(&mut self, asked: Moment, hint: Option<Duration>, now: Moment) {
        let until = now + hint.unwrap_or_default().min(MAX_RETRY_AFTER);
        self.throttle.resumes_at = self.throttle.resumes_at.max(until);
        if self.throttle.slowed_at.is_none_or(|at| asked > at) {
            self.throttle.fraction = (self.throttle.fraction / 2.0).max(MIN_FRACTION);
            self.throttle.slowed_at = Some(now);
        }
    }
}

impl SlidingWindow {
    /// The place that is free first, and since when.
    fn earliest(&self, now: Moment) -> (usize, Moment) {
        let taken = self
            .slots
            .iter()
            .enumerate()
            .min_by_key(|(_, place)| place.free_at);
        match taken.map(|(at, place)| (at, place.free_at)) {
            Some((_, free_at)) if free_at > now && self.slots.len() < self.limit => {
                (self.slots.len(), Moment::START)
            }
            Some(earliest) => earliest,
            None => (0, Moment::START),
        }
    }
}

impl Throttle {
    fn stretched(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.fraction)
            .unwrap_or(Duration::MAX)
            .max(time)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn rate(limit: u32) -> SlidingWindows {
        SlidingWindows::new(&[RateLimit {
            limit: NonZeroU32::new(limit).unwrap(),
            per: Duration::from_secs(1),
        }])
    }

    /// How many requests go in the next `seconds`, each answered at once, as long as nothing more is said of them.
    fn made(rate: &mut SlidingWindows, from: Moment, seconds: u64) -> usize {
        let (mut now, mut made) = (from, 0);
        let end = from + Duration::from_secs(seconds);
        loop {
            now = rate.busy_until(now).unwrap_or(now);
            if now >= end {
                return made;
            }
            let taken = rate.take(now);
            rate.release(&taken, now);
            made += 1;
        }
    }

    #[test]
    fn a_place_that_is_free_from_now_on_is_taken_before_a_new_one() {
        let mut rate = rate(10);
        rate.take(at(0));
        rate.take(at(2000));
        assert_eq!(rate.windows[0].slots.len(), 1);
    }

    #[test]
    fn an_answer_after_two_windows_frees_nobody_else_s_place() {
        let mut rate = rate(1);
        let first = rate.take(at(0));
        assert_eq!(rate.busy_until(at(1999)), Some(at(2000)));
        rate.take(at(2000));
        rate.release(&first, at(2100));
        assert_eq!(rate.busy_until(at(2100)), Some(at(4000)));
    }

    #[test]
    fn a_refusal_halves_the_pace_and_good_answers_bring_it_back() {
        let mut rate = rate(4);
        assert_eq!(made(&mut rate, at(0), 100), 400);
        rate.rate_limited(at(100_000), None, at(100_000));
        assert_eq!(made(&mut rate, at(101_000), 100), 200);
        for _ in 0..15 {
            rate.accepted();
        }
        assert!(made(&mut rate, at(202_000), 100) < 400);
        for _ in 0..100 {
            rate.accepted();
        }
        assert_eq!(made(&mut rate, at(303_000), 100), 400);
    }

    #[test]
    fn refusals_of_requests_made_together_count_once() {
        let mut rate = rate(4);
        for answered in 0..10 {
            rate.rate_limited(at(1000), None, at(1100 + answered));
        }
        assert_eq!(made(&mut rate, at(2000), 100), 200);
        rate.rate_limited(at(103_000), None, at(103_000));
        assert_eq!(made(&mut rate, at(104_000), 100), 100);
    }

    #[test]
    fn it_never_stops_and_obeys_a_hint_for_a_while() {
        let mut rate = rate(1);
        for n in 0..100 {
            rate.rate_limited(at(1000 * n + 1), None, at(1000 * n + 1));
        }
        assert_eq!(made(&mut rate, at(100_000), 6400), 100);
        let ten_hours = Some(Duration::from_secs(36_000));
        rate.rate_limited(at(7_000_000), ten_hours, at(7_000_000));
        assert_eq!(rate.busy_until(at(7_000_001)), Some(at(7_020_000)));
    }
}

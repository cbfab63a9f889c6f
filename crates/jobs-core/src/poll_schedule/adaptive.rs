//! A poll schedule that learns how long jobs take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::poll_schedule::PollSchedule;
use crate::poll_schedule::durations::Durations;
use crate::poll_schedule::forecast::{CompletionForecast, duration};

/// Fewer jobs say nothing.
const ENOUGH: u64 = 30;
/// The plan is made anew with so many further jobs: rarely enough to cost nothing, often enough beside the memory.
const RENEWED_AFTER: u64 = 16;
/// Of the polls that may be taken, so many are planned; the others are for the time in which durations change.
const PLANNED: f64 = 0.97;
/// Polls are up to so much earlier or later than planned. It keeps jobs that came together apart, and polling
/// different ages is how the sketch gets finer than one pause.
const JITTER: f64 = 0.05;

/// A poll schedule that polls when jobs of the kind tend to end. Clones are the same: one for each kind and account.
///
/// A poll is due as soon as the lateness that has to be expected since the last one is worth a request. What a request
/// is worth follows from a budget: no more polls a job than pauses that double from one second to a minute would take,
/// or set it [by hand](Self::with_poll_cost). Until 30 jobs have ended the `fallback` paces.
///
/// Everything learnt is in [`durations`](Self::durations). A program that wants to know it again after a restart keeps
/// their text, one for each account and kind, and begins [with them](Self::with_durations).
///
/// ```
/// use std::time::Duration;
/// use jobs_core::vendor::{AdaptiveSchedule, Durations, PollSchedule};
///
/// # fn kept() -> Option<String> { None }
/// # fn keep(_: String) {}
/// let steps = PollSchedule::every(Duration::from_secs(5));
/// let before: Durations = kept().and_then(|text| text.parse().ok()).unwrap_or_default();
/// let learned = AdaptiveSchedule::new(steps).with_durations(before);
/// // Goes into the kind's facts; later, now and then:
/// keep(learned.durations().to_text());
/// ```
#[derive(Debug, Clone)]
pub struct AdaptiveSchedule(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fallback: PollSchedule,
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Seconds of lateness that one request is worth; unless set, what the budget says.
    poll_cost: Option<f64>,
    first: f64,
    shortest: f64,
    longest: f64,
    seed: u64,
}

#[derive(Debug)]
struct State {
    durations: Durations,
    cache: Option<ForecastCache>,
    jitter: fastrand::Rng,
}

#[derive(Debug)]
struct ForecastCache {
    forecast: CompletionForecast,
    poll_cost: f64,
    /// How many jobs it knows of.
    samples: u64,
}

impl AdaptiveSchedule {
    /// Nothing learnt yet. Pauses from one second to a minute, the first look after one second.
    pub fn new(fallback: PollSchedule) -> Self {
        let bounds = Bounds {
            poll_cost: None,
            first: 1.0,
            shortest: 1.0,
            longest: 60.0,
            seed: 0,
        };
        Self::build(fallback, bounds, Durations::new())
    }

    /// Begins with what was learnt before.
    #[must_use]
    pub fn with_durations(self, durations: Durations) -> Self {
        Self::build(self.0.fallback.clone(), self.0.bounds, durations)
    }

    /// Goes on with what was learnt elsewhere, in all clones: for durations that are read when the kind is there already.
    pub fn replace_durations(&self, durations: Durations) {
        let plan = self.0.refresh_forecast(&durations);
        let mut state = self.state();
        (state.cache, state.durations) = (plan, durations);
    }

    /// Polls once the expected lateness is this much, whatever number of polls that takes.
    #[must_use]
    pub fn with_poll_cost(self, lateness: Duration) -> Self {
        self.set(|bounds| bounds.poll_cost = Some(lateness.as_secs_f64()))
    }

    /// No pause is shorter than `floor` or longer than `cap`, and the first poll comes at age `first`, which the budget
    /// counts too.
    #[must_use]
    pub fn with_bounds(self, first: Duration, floor: Duration, cap: Duration) -> Self {
        self.set(|bounds| {
            bounds.first = first.as_secs_f64();
            bounds.shortest = floor.as_secs_f64();
            bounds.longest = cap.max(floor).as_secs_f64();
        })
    }

    /// Takes the jitter from this seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.set(|bounds| bounds.seed = seed)
    }

    /// What was learnt so far.
    pub fn durations(&self) -> Durations {
        self.state().durations.clone()
    }

    /// The pause after poll number `polls` of a job of this `age`.
    pub fn next_delay(&self, polls: u32, age: Duration) -> Duration {
        let bounds = &self.0.bounds;
        let mut state = self.state();
        let state = &mut *state;
        let Some(plan) = &state.cache else {
            return self.0.fallback.next_delay(polls, age);
        };
        let pause = plan
            .forecast
            .next_delay(age.as_secs_f64(), plan.poll_cost, bounds.longest);
        let jitter = 1.0 + JITTER * (2.0 * state.jitter.f64() - 1.0);
        duration((pause * jitter).clamp(bounds.shortest, bounds.longest))
    }

    /// A job was seen unfinished at age `after` and done at age `until`.
    pub fn record_completion(&self, after: Duration, until: Duration) {
        let mut state = self.state();
        state.durations.record(after, until);
        let known = state.cache.as_ref().map_or(0, |plan| plan.samples);
        if state.durations.samples() >= known.saturating_add(RENEWED_AFTER) {
            state.cache = self.0.refresh_forecast(&state.durations);
        }
    }

    /// How likely a job of this `age` is to end in the next second; `None` until enough is known.
    pub fn hazard(&self, age: Duration) -> Option<f64> {
        let state = self.state();
        let plan = state.cache.as_ref()?;
        Some(plan.forecast.hazard(age.as_secs_f64()))
    }

    fn set(self, change: impl FnOnce(&mut Bounds)) -> Self {
        let mut bounds = self.0.bounds;
        change(&mut bounds);
        let durations = self.durations();
        Self::build(self.0.fallback.clone(), bounds, durations)
    }

    fn build(fallback: PollSchedule, bounds: Bounds, durations: Durations) -> Self {
        let mut inner = Inner {
            fallback,
            bounds,
            state: Mutex::new(State {
                cache: None,
                durations: Durations::new(),
                jitter: fastrand::Rng::with_seed(bounds.seed),
            }),
        };
        let plan = inner.refresh_forecast(&durations);
        let state = inner
            .state
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        (state.cache, state.durations) = (plan, durations);
        Self(Arc::new(inner))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn refresh_forecast(&self, durations: &Durations) -> Option<ForecastCache> {
        if durations.samples() < ENOUGH {
            return None;
        }
        let forecast = durations.forecast();
        let Bounds {
            poll_cost: price,
            first,
            shortest,
            longest,
            ..
        } = self.bounds;
        let price = price.unwrap_or_else(|| {
            let budget = forecast.expected_polls(first, |number, _| doubling(number).max(shortest));
            forecast.poll_cost_for(budget * PLANNED, first, shortest, longest)
        });
        Some(ForecastCache {
            forecast,
            poll_cost: price,
            samples: durations.samples(),
        })
    }
}

/// The pause after that poll of a poll schedule that doubles from two seconds, after a first poll of one, to a minute.
fn doubling(polls: u32) -> f64 {
    f64::from(1u32 << polls.min(6)).min(60.0)
}

/// The same handle.
impl PartialEq for AdaptiveSchedule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(jobs: u32) -> AdaptiveSchedule {
        let learned = AdaptiveSchedule::new(PollSchedule::every(SECOND * 7));
        for _ in 0..jobs {
            learned.record_completion(SECOND * 18, SECOND * 20);
        }
        learned
    }

    #[test]
    fn until_thirty_jobs_have_ended_the_fallback_paces() {
        let pause = |learned: &AdaptiveSchedule| learned.next_delay(1, SECOND);
        assert_eq!(pause(&after(29)), SECOND * 7);
        assert!(after(29).hazard(SECOND * 19).is_none());
        let pause = pause(&after(30));
        assert!(pause > SECOND * 14 && pause < SECOND * 20, "{pause:?}");
        assert!(after(30).hazard(SECOND * 19).is_some());
    }

    #[test]
    fn what_was_learnt_survives_a_restart() {
        let before = after(200);
        let kept = before.durations().to_text();
        let now = AdaptiveSchedule::new(PollSchedule::every(SECOND * 7))
            .with_durations(kept.parse().unwrap());
        let (before, now) = (before.next_delay(1, SECOND), now.next_delay(1, SECOND));
        assert!(before.abs_diff(now) < SECOND * 3, "{before:?} {now:?}");
        assert!(now > SECOND * 14, "{now:?}");
    }

    #[test]
    fn a_dearer_request_is_made_later_and_every_pause_keeps_the_bounds() {
        let pause = |millis| {
            let learned = after(200)
                .with_poll_cost(Duration::from_millis(millis))
                .with_bounds(SECOND, SECOND * 2, SECOND * 30);
            learned.next_delay(3, SECOND * 19)
        };
        assert_eq!(pause(1), SECOND * 2);
        assert!(pause(5000) > pause(500));
        assert_eq!(pause(60_000_000), SECOND * 30);
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses_and_another_one_others() {
        let pauses = |seed| {
            let learned = after(100).with_seed(seed);
            (0..8)
                .map(|_| learned.next_delay(1, SECOND))
                .collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}

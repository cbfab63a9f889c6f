//! Ten thousand requests that wait for one rate, in virtual time.

use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jobs_core::clock::{Clock as _, Moment};
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{RateLimit, RateLimiter, RequestClass};

/// The way to the vendor and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    /// Requests that all wait from the beginning: a tenth submits, a tenth fetches, the others polls.
    pub(crate) requests: usize,
    /// So many in a second.
    pub(crate) limit: u32,
    /// From the question to the answer, at most; the vendor counts at any time in between.
    pub(crate) round_trip: Duration,
    pub(crate) seed: u64,
}

/// What the vendor saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Most requests in any second, wherever it begins.
    pub(crate) most: usize,
    /// The part of the allowed requests that were made, while there were any.
    pub(crate) used: f64,
    /// How long the last submit waited, in seconds.
    pub(crate) last_submit: f64,
}

const SECOND: Duration = Duration::from_secs(1);

/// Makes all requests as fast as the quota lets them.
///
/// # Errors
/// Never: this quota is shared with nobody. Passed on all the same.
pub(crate) async fn play(scene: Scene) -> Result<Seen, jobs_core::Error> {
    let clock = ManualClock::new();
    let window = RateLimit {
        limit: NonZeroU32::new(scene.limit).unwrap_or(NonZeroU32::MIN),
        per: SECOND,
    };
    let limiter = RateLimiter::new(clock.shared(), &[window]);
    let mut random = fastrand::Rng::with_seed(scene.seed);
    let mut requests: FuturesUnordered<_> = (0..scene.requests)
        .map(|_| {
            let class = match random.u32(0..10) {
                0 => RequestClass::Submit,
                1 => RequestClass::Download,
                _ => RequestClass::Poll,
            };
            let back = scene.round_trip.mul_f64(random.f64());
            let there = back.mul_f64(random.f64());
            let (limiter, clock) = (limiter.clone(), clock.clone());
            async move {
                let permit = limiter.acquire(class).await?;
                let asked = clock.now();
                clock.sleep_until(asked + there).await;
                let counted = clock.now();
                clock.sleep_until(asked + back).await;
                permit.accepted();
                drop(permit);
                Ok::<_, jobs_core::Error>((class, counted))
            }
        })
        .collect();
    // Without the budget of tasks: a clock that is moved by hand takes a forced pause for a sleep.
    let all = tokio::task::unconstrained(async {
        let mut seen = Vec::with_capacity(scene.requests);
        while let Some(request) = requests.next().await {
            seen.push(request?);
        }
        Ok::<_, jobs_core::Error>(seen)
    });
    let seen = clock.run(all).await?;
    Ok(summed_up(seen, scene.limit))
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn summed_up(seen: Vec<(RequestClass, Moment)>, limit: u32) -> Seen {
    let submits = seen.iter().filter(|(of, _)| *of == RequestClass::Submit);
    let last_submit = submits.map(|(_, at)| *at).max().unwrap_or(Moment::START);
    let mut moments: Vec<Moment> = seen.into_iter().map(|(_, at)| at).collect();
    moments.sort_unstable();
    let (mut from, mut most) = (0, 0);
    for (at, moment) in moments.iter().enumerate() {
        while moments
            .get(from)
            .is_some_and(|first| moment.since(*first) >= SECOND)
        {
            from += 1;
        }
        most = most.max(at + 1 - from);
    }
    let last = moments.last().copied().unwrap_or(Moment::START);
    // The last of them share a second that has only begun.
    let seconds = last.since_start().as_secs_f64() + 1.0;
    Seen {
        most,
        used: moments.len() as f64 / (f64::from(limit) * seconds),
        last_submit: last_submit.since_start().as_secs_f64(),
    }
}

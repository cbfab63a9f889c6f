//! The promises about waiting, as functions that every kind must pass.
//!
//! Each check is one promise and says in words how it was broken. The checks themselves are tested: for each there
//! is a kind that falls into the trap and is caught.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::error::{Delivery, Error, ErrorKind};
use crate::job::{Job, Update};
use crate::kind::JobKind as _;
use crate::kind_policy::KindPolicy;
use crate::poll_schedule::PollSchedule;
use crate::poller::WaitOptions;
use crate::testing::{
    InMemorySharedRate, KindUnderTest, MalformedBody, ManualClock, RequestLog, Script, ScriptStep,
    TestVendor,
};
use crate::ticket::Ticket;
use crate::wait_error::WaitErrorKind;

/// How a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a promise was kept.
pub type CheckResult = Result<(), Violation>;

/// Runs every check.
///
/// # Panics
/// Names every promise that was broken.
#[allow(clippy::panic, reason = "this is the assertion of a test")]
pub async fn all<S: KindUnderTest>(under_test: &S) {
    let mut broken = String::new();
    macro_rules! check {
        ($($name:ident),* $(,)?) => {$(
            if let Err(violation) = $name(under_test).await {
                broken.push_str(&format!("\n  {}: {violation}", stringify!($name)));
            }
        )*};
    }
    check!(
        a_cancelled_poll_resumes,
        the_last_poll_is_at_the_deadline,
        sub_second_delays_are_exact,
        the_first_status_is_handed_out_at_once,
        a_failed_poll_is_not_a_failed_job,
        a_permanent_error_ends_at_once,
        a_failed_job_keeps_its_reason,
        an_unknown_status_keeps_running,
        malformed_responses_are_failed_polls,
        a_ticket_resumes_the_wait,
        no_poll_is_faster_than_the_min_interval,
        retry_after_is_obeyed_up_to_the_max_interval,
        a_poll_without_response_times_out,
        nothing_is_polled_after_the_end,
        every_id_gets_a_result,
        nothing_secret_is_printed,
        a_shared_rate_is_asked_first,
    );
    assert!(broken.is_empty(), "promises broken:{broken}");
}

const MIN_INTERVAL: Duration = Duration::from_secs(2);
const DELAY: Duration = Duration::from_secs(5);
const MAX_INTERVAL: Duration = Duration::from_secs(40);
const LONG: Duration = Duration::from_secs(600);

fn usual(policy: &mut KindPolicy) {
    policy.min_interval.set(MIN_INTERVAL);
    policy.initial_delay.set(Duration::ZERO);
    policy.schedule.set(PollSchedule::every(DELAY));
    policy.max_interval.set(MAX_INTERVAL);
    policy.poll_timeout.set(Duration::from_secs(30));
}

/// A job whose vendor plays, on a clock of its own.
struct Scene<S: KindUnderTest> {
    clock: ManualClock,
    places: InMemorySharedRate,
    vendor: TestVendor<S::Kind>,
    job: Job<S::Kind>,
}

type Output<S> = <<S as KindUnderTest>::Kind as crate::kind::JobKind>::Output;

impl<S: KindUnderTest> Scene<S> {
    async fn new(under_test: &S, steps: &[ScriptStep]) -> Option<Self> {
        Self::tuned(under_test, steps, &usual).await
    }

    /// `None` when the vendor has no words for a beat.
    async fn tuned(
        under_test: &S,
        steps: &[ScriptStep],
        configure: &(dyn Fn(&mut KindPolicy) + Sync),
    ) -> Option<Self> {
        if !steps.iter().all(|step| under_test.supports(step)) {
            return None;
        }
        let clock = ManualClock::new();
        let places = InMemorySharedRate::new(clock.shared());
        let rate = places.shared();
        let vendor = under_test
            .set_up(
                &clock,
                Script {
                    steps,
                    configure,
                    shared_rate: rate,
                },
            )
            .await;
        let job = Job::attach(vendor.kind.clone(), vendor.id.clone());
        Some(Self {
            clock,
            places,
            vendor,
            job,
        })
    }

    /// Every update of a wait, driven to its end.
    async fn script(&self, options: impl Into<WaitOptions>) -> Vec<Update<Output<S>>> {
        let mut updates = self.job.updates(options);
        let mut seen = Vec::new();
        let all = async {
            while let Some(update) = updates.next().await {
                seen.push(update);
            }
        };
        drive(&self.clock, &self.vendor.requests, all).await;
        seen
    }

    fn moments(&self) -> Vec<Duration> {
        self.vendor
            .requests
            .moments()
            .into_iter()
            .map(Moment::since_start)
            .collect()
    }
}

/// Runs `work`, moving time whenever it only sleeps, and past guards once the vendor fell silent.
async fn drive<T>(clock: &ManualClock, asked: &RequestLog, work: impl Future<Output = T>) -> T {
    let mut work = pin!(clock.run(work));
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(value) = work.as_mut().poll(cx) {
                return Poll::Ready(value);
            }
            match clock.next_guard().filter(|_| asked.fell_silent(cx.waker())) {
                Some(at) => clock.move_to(at),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

fn broken(text: impl Into<String>) -> CheckResult {
    Err(Violation(text.into()))
}

fn ensure(kept: bool, text: impl FnOnce() -> String) -> CheckResult {
    if kept { Ok(()) } else { broken(text()) }
}

fn name<O>(update: Option<&Update<O>>) -> String {
    match update {
        Some(Update::Progress(snapshot)) => format!("seen {:?}", snapshot.vendor_status),
        Some(Update::PollFailed(error)) => format!("missed ({error})"),
        Some(Update::Completed(_)) => "done".to_owned(),
        Some(Update::Ended(end)) => format!("over ({end})"),
        None => "nothing".to_owned(),
    }
}

fn is_done<O>(update: Option<&Update<O>>) -> CheckResult {
    ensure(matches!(update, Some(Update::Completed(_))), || {
        format!("ended with {} instead of the output", name(update))
    })
}

/// A poll dropped in flight neither breaks the kind nor lets the next one come too early.
pub async fn a_cancelled_poll_resumes<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(
        under_test,
        &[
            ScriptStep::NoResponse,
            ScriptStep::Running,
            ScriptStep::Succeeded,
        ],
    )
    .await
    else {
        return Ok(());
    };
    {
        let mut updates = scene.job.updates(LONG);
        let mut poll = pin!(updates.next());
        poll_fn(|cx| {
            let ended = poll.as_mut().poll(cx).is_ready();
            if ended || scene.vendor.requests.fell_silent(cx.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    let updates = scene.script(LONG).await;
    is_done(updates.last())?;
    match scene.moments()[..] {
        [first, second, ..] if second < first + MIN_INTERVAL => {
            broken(format!("polled again after {:?}", second - first))
        }
        _ => Ok(()),
    }
}

/// The wait ends at its deadline, with a poll exactly then.
pub async fn the_last_poll_is_at_the_deadline<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(under_test, &[ScriptStep::Running]).await else {
        return Ok(());
    };
    let deadline = Duration::from_millis(23_370);
    let updates = scene.script(deadline).await;
    let Some(Update::Ended(end)) = updates.last() else {
        return broken(format!("ended with {}", name(updates.last())));
    };
    ensure(
        matches!(end.kind(), WaitErrorKind::DeadlineExceeded),
        || format!("ended as {end}"),
    )?;
    ensure(scene.moments().last() == Some(&deadline), || {
        format!("polled at {:?}", scene.moments())
    })?;
    ensure(scene.clock.now().since_start() == deadline, || {
        format!("ended at {:?}", scene.clock.now())
    })
}

/// Pauses are not cut to whole seconds.
pub async fn sub_second_delays_are_exact<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let configure = |policy: &mut KindPolicy| {
        usual(policy);
        policy.min_interval.set(Duration::from_millis(100));
        policy
            .schedule
            .set(PollSchedule::every(Duration::from_millis(250)));
    };
    let steps = [
        ScriptStep::Running,
        ScriptStep::Running,
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::tuned(under_test, &steps, &configure).await else {
        return Ok(());
    };
    is_done(scene.script(LONG).await.last())?;
    let expected = [0, 250, 500].map(Duration::from_millis);
    ensure(scene.moments() == expected, || {
        format!("polled at {:?}", scene.moments())
    })
}

/// What a poll saw is reported before any sleep.
pub async fn the_first_status_is_handed_out_at_once<S: KindUnderTest>(
    under_test: &S,
) -> CheckResult {
    let Some(scene) = Scene::new(under_test, &[ScriptStep::Queued, ScriptStep::Succeeded]).await
    else {
        return Ok(());
    };
    let mut updates = scene.job.updates(LONG);
    let first = drive(&scene.clock, &scene.vendor.requests, updates.next()).await;
    ensure(matches!(first, Some(Update::Progress(_))), || {
        format!("first came {}", name(first.as_ref()))
    })?;
    let now = scene.clock.now().since_start();
    ensure(now.is_zero(), || format!("handed out only after {now:?}"))
}

/// Transient trouble is reported and endured.
pub async fn a_failed_poll_is_not_a_failed_job<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let steps = [
        ScriptStep::Running,
        ScriptStep::ServerError,
        ScriptStep::ServerError,
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::new(under_test, &steps).await else {
        return Ok(());
    };
    let updates = scene.script(LONG).await;
    is_done(updates.last())?;
    let missed = updates
        .iter()
        .filter(|update| matches!(update, Update::PollFailed(_)))
        .count();
    ensure(missed == 2, || {
        format!("{missed} failed polls were reported instead of 2")
    })
}

/// Refused credentials end the wait, with the reason and the way back.
pub async fn a_permanent_error_ends_at_once<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(
        under_test,
        &[ScriptStep::Running, ScriptStep::Unauthenticated],
    )
    .await
    else {
        return Ok(());
    };
    let updates = scene.script(LONG).await;
    let Some(Update::Ended(end)) = updates.last() else {
        return broken(format!("ended with {}", name(updates.last())));
    };
    ensure(scene.vendor.requests.count() == 2, || {
        format!("asked {} times", scene.vendor.requests.count())
    })?;
    ensure(end.ticket().id() == scene.job.id(), || {
        "the ticket is for another job".to_owned()
    })?;
    match end.kind() {
        WaitErrorKind::PollRejected(error) if error.kind() == ErrorKind::Unauthenticated => Ok(()),
        other => broken(format!("ended as {other:?}")),
    }
}

/// A failed job is told apart from a failed poll, in the vendor's own words.
pub async fn a_failed_job_keeps_its_reason<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let reason = "page 7 is upside down";
    let Some(scene) = Scene::new(
        under_test,
        &[ScriptStep::Running, ScriptStep::Failed(reason)],
    )
    .await
    else {
        return Ok(());
    };
    let updates = scene.script(LONG).await;
    let cause = match updates.last() {
        Some(Update::Ended(end)) => end.kind(),
        other => return broken(format!("ended with {}", name(other))),
    };
    match cause {
        WaitErrorKind::Failed(failure) if failure.reason.contains(reason) => Ok(()),
        other => broken(format!("ended as {other:?}")),
    }
}

/// A word that nobody documents is not an end, and is kept.
pub async fn an_unknown_status_keeps_running<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let word = ScriptStep::Unknown("97531");
    if let Some(scene) = Scene::new(under_test, &[word.clone(), ScriptStep::Succeeded]).await {
        let updates = scene.script(LONG).await;
        is_done(updates.last())?;
        let kept = matches!(updates.first(), Some(Update::Progress(seen)) if !seen.is_known && seen.vendor_status.contains("97531"));
        ensure(kept, || {
            format!("the first poll was reported as {}", name(updates.first()))
        })?;
    }
    let Some(scene) = Scene::new(under_test, &[word]).await else {
        return Ok(());
    };
    let options = WaitOptions {
        max_unknown_status: Duration::from_secs(60),
        ..WaitOptions::new(LONG)
    };
    let updates = scene.script(options).await;
    match updates.last() {
        Some(Update::Ended(end)) if matches!(end.kind(), WaitErrorKind::UnknownStatus(word) if word.contains("97531")) => {
            Ok(())
        }
        other => broken(format!("kept for ever, it ended with {}", name(other))),
    }
}

/// Whatever makes no sense is a failed poll: no panic, no end, and above all no success.
pub async fn malformed_responses_are_failed_polls<S: KindUnderTest>(under_test: &S) -> CheckResult {
    for malformed in MalformedBody::ALL {
        let Some(scene) = Scene::new(
            under_test,
            &[ScriptStep::Malformed(malformed), ScriptStep::Succeeded],
        )
        .await
        else {
            continue;
        };
        let updates = caught(scene.script(LONG))
            .await
            .map_err(|()| Violation(format!("{malformed:?} made it panic")))?;
        let missed = matches!(updates.first(), Some(Update::PollFailed(_)));
        ensure(missed, || {
            format!("{malformed:?} was reported as {}", name(updates.first()))
        })?;
        is_done(updates.last())?;
    }
    Ok(())
}

async fn caught<T>(work: impl Future<Output = T>) -> Result<T, ()> {
    let mut work = pin!(work);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| Pin::as_mut(&mut work).poll(cx))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(())),
        },
    )
    .await
}

/// A ticket is short text that finds the job again, and nothing else.
pub async fn a_ticket_resumes_the_wait<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(under_test, &[ScriptStep::Running, ScriptStep::Succeeded]).await
    else {
        return Ok(());
    };
    let ticket = scene
        .job
        .ticket()
        .map_err(|problem| Violation(format!("no ticket: {problem}")))?;
    let text = ticket.to_string();
    ensure(text.len() <= Ticket::MAX_LEN, || {
        format!("{} bytes: {text}", text.len())
    })?;
    let read: Ticket = text
        .parse()
        .map_err(|problem| Violation(format!("{text} is not read back: {problem}")))?;
    let job = Job::resume(scene.vendor.kind.clone(), &read)
        .map_err(|problem| Violation(problem.to_string()))?;
    ensure(job.id() == &scene.vendor.id, || {
        format!("it names {}", job.id())
    })?;
    let foreign = Ticket::new(
        "elsewhere",
        ticket.kind(),
        ticket.account(),
        ticket.accepted(),
        ticket.id().clone(),
    );
    let taken =
        foreign.is_ok_and(|foreign| Job::resume(scene.vendor.kind.clone(), &foreign).is_ok());
    ensure(!taken, || {
        "the ticket of another vendor is taken".to_owned()
    })?;
    ensure(scene.vendor.requests.count() == 0, || {
        "reading a ticket sent a request".to_owned()
    })?;
    let resumed = Scene::<S> { job, ..scene };
    is_done(resumed.script(LONG).await.last())
}

/// However impatient the poll schedule, two polls are never closer than the minimum interval.
pub async fn no_poll_is_faster_than_the_min_interval<S: KindUnderTest>(
    under_test: &S,
) -> CheckResult {
    let configure = |policy: &mut KindPolicy| {
        usual(policy);
        policy.schedule.set(PollSchedule::every(Duration::ZERO));
    };
    let steps = [
        ScriptStep::Running,
        ScriptStep::Queued,
        ScriptStep::Running,
        ScriptStep::Running,
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::tuned(under_test, &steps, &configure).await else {
        return Ok(());
    };
    is_done(scene.script(LONG).await.last())?;
    let moments = scene.moments();
    let apart =
        |pair: &[Duration]| matches!(pair, [first, second] if *second >= *first + MIN_INTERVAL);
    ensure(moments.windows(2).all(apart), || {
        format!("polled at {moments:?}")
    })
}

/// "Come back in 20 s" is obeyed; "come back in ten hours" is cut.
pub async fn retry_after_is_obeyed_up_to_the_max_interval<S: KindUnderTest>(
    under_test: &S,
) -> CheckResult {
    let (modest, absurd) = (Duration::from_secs(20), Duration::from_secs(36_000));
    let steps = [
        ScriptStep::RateLimited(modest),
        ScriptStep::RateLimited(absurd),
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::new(under_test, &steps).await else {
        return Ok(());
    };
    is_done(scene.script(LONG).await.last())?;
    let moments = scene.moments();
    match moments[..] {
        [first, second, third] if second >= first + modest && third <= second + MAX_INTERVAL => {
            Ok(())
        }
        _ => broken(format!("polled at {moments:?}")),
    }
}

/// A poll without an answer is cut, reported and repeated.
pub async fn a_poll_without_response_times_out<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) =
        Scene::new(under_test, &[ScriptStep::NoResponse, ScriptStep::Succeeded]).await
    else {
        return Ok(());
    };
    let updates = scene.script(LONG).await;
    let missed = matches!(updates.first(), Some(Update::PollFailed(_)));
    ensure(missed, || {
        format!("the silence was reported as {}", name(updates.first()))
    })?;
    is_done(updates.last())?;
    let patient = scene
        .vendor
        .kind
        .policy()
        .poll_timeout
        .value
        .min(Duration::from_secs(30))
        + MAX_INTERVAL;
    match scene.moments()[..] {
        [first, second] if second <= first + patient => Ok(()),
        _ => broken(format!("polled at {:?}", scene.moments())),
    }
}

/// One end, reported once, and no look after it.
pub async fn nothing_is_polled_after_the_end<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(
        under_test,
        &[
            ScriptStep::Running,
            ScriptStep::Running,
            ScriptStep::Succeeded,
            ScriptStep::Running,
        ],
    )
    .await
    else {
        return Ok(());
    };
    let updates = scene.script(LONG).await;
    let ends = updates
        .iter()
        .filter(|update| matches!(update, Update::Completed(_) | Update::Ended(_)))
        .count();
    ensure(ends == 1, || format!("{ends} ends were reported"))?;
    ensure(scene.vendor.requests.count() == 3, || {
        format!("asked {} times", scene.vendor.requests.count())
    })
}

/// A poll of several jobs answers for each of them.
pub async fn every_id_gets_a_result<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(under_test, &[ScriptStep::Running]).await else {
        return Ok(());
    };
    let batch = scene.vendor.kind.policy().max_batch.value.get().min(3);
    let ids = vec![scene.vendor.id.clone(); batch];
    let polls = drive(
        &scene.clock,
        &scene.vendor.requests,
        scene.vendor.kind.poll(&ids),
    )
    .await
    .into_vec();
    ensure(polls.len() == batch, || {
        format!("{} answers for {batch} ids", polls.len())
    })
}

/// A poll takes a place of the account's rate, under the name by which all processes know it; while no place can be had, nothing
/// is sent, and the error says so and names the job.
pub async fn a_shared_rate_is_asked_first<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(under_test, &[ScriptStep::Running]).await else {
        return Ok(());
    };
    let (kind, asked) = (&scene.vendor.kind, &scene.vendor.requests);
    let ids = [scene.vendor.id.clone()];
    scene.places.fail(true);
    let poll = drive(&scene.clock, asked, kind.poll(&ids)).await;
    let is_told = |error: &Error| {
        (error.kind(), error.delivery(), error.job())
            == (ErrorKind::LocalIo, Delivery::NotSent, ids.first())
    };
    match poll.into_vec().as_slice() {
        [Err(error)] if is_told(error) => {}
        [Err(error)] => return broken(format!("without a place it ended with {error:?}")),
        _ => return broken("a poll without a place was answered"),
    }
    ensure(asked.count() == 0, || "sent without a place".to_owned())?;
    scene.places.fail(false);
    drive(&scene.clock, asked, kind.poll(&ids)).await;
    ensure(asked.count() == 1, || {
        format!("with a place it asked {} times", asked.count())
    })?;
    let (granted, place) = (
        scene.places.granted(),
        (kind.account(), under_test.rate_action().to_owned()),
    );
    let is_named = !granted.is_empty() && granted.iter().all(|taken| *taken == place);
    ensure(is_named, || {
        format!("took {granted:?} instead of {place:?}")
    })
}

/// Neither the kind nor an error shows a credential.
pub async fn nothing_secret_is_printed<S: KindUnderTest>(under_test: &S) -> CheckResult {
    let Some(scene) = Scene::new(
        under_test,
        &[
            ScriptStep::Malformed(MalformedBody::Html),
            ScriptStep::Unauthenticated,
        ],
    )
    .await
    else {
        return Ok(());
    };
    let updates = scene.script(LONG).await;
    let mut printed = format!("{:?} {:?}", scene.vendor.kind, scene.job);
    for update in &updates {
        match update {
            Update::PollFailed(error) => {
                printed.push_str(&format!("{error} {error:?} {:?}", error.body_excerpt()));
            }
            Update::Ended(end) => printed.push_str(&format!("{end} {end:?} {}", end.ticket())),
            Update::Progress(_) | Update::Completed(_) => {}
        }
    }
    match under_test
        .secrets()
        .into_iter()
        .find(|secret| printed.contains(secret.as_str()))
    {
        None => Ok(()),
        Some(secret) => broken(format!(
            "{} is printed",
            secret.chars().take(3).collect::<String>()
        )),
    }
}

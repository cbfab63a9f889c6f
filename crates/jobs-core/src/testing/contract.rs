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
pub async fn all<S: KindUnderTest>(subject: &S) {
    let mut broken = String::new();
    macro_rules! check {
        ($($name:ident),* $(,)?) => {$(
            if let Err(violation) = $name(subject).await {
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

const FLOOR: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(5);
const CAP: Duration = Duration::from_secs(40);
const LONG: Duration = Duration::from_secs(600);

fn usual(facts: &mut KindPolicy) {
    facts.min_interval.set(FLOOR);
    facts.initial_delay.set(Duration::ZERO);
    facts.schedule.set(PollSchedule::every(PAUSE));
    facts.max_interval.set(CAP);
    facts.poll_timeout.set(Duration::from_secs(30));
}

/// A job whose vendor plays, on a clock of its own.
struct Scene<S: KindUnderTest> {
    clock: ManualClock,
    places: InMemorySharedRate,
    stage: TestVendor<S::Kind>,
    job: Job<S::Kind>,
}

type Output<S> = <<S as KindUnderTest>::Kind as crate::JobKind>::Output;

impl<S: KindUnderTest> Scene<S> {
    async fn new(subject: &S, beats: &[ScriptStep]) -> Option<Self> {
        Self::tuned(subject, beats, &usual).await
    }

    /// `None` when the vendor has no words for a beat.
    async fn tuned(
        subject: &S,
        beats: &[ScriptStep],
        tune: &(dyn Fn(&mut KindPolicy) + Sync),
    ) -> Option<Self> {
        if !beats.iter().all(|beat| subject.supports(beat)) {
            return None;
        }
        let clock = ManualClock::new();
        let places = InMemorySharedRate::new(clock.shared());
        let rate = places.shared();
        let stage = subject
            .set_up(
                &clock,
                Script {
                    steps: beats,
                    configure: tune,
                    shared_rate: rate,
                },
            )
            .await;
        let job = Job::attach(stage.kind.clone(), stage.id.clone());
        Some(Self {
            clock,
            places,
            stage,
            job,
        })
    }

    /// Every update of a wait, driven to its end.
    async fn play(&self, patience: impl Into<WaitOptions>) -> Vec<Update<Output<S>>> {
        let mut updates = self.job.updates(patience);
        let mut seen = Vec::new();
        let all = async {
            while let Some(update) = updates.next().await {
                seen.push(update);
            }
        };
        drive(&self.clock, &self.stage.requests, all).await;
        seen
    }

    fn moments(&self) -> Vec<Duration> {
        self.stage
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

/// A look dropped in flight neither breaks the kind nor lets the next one come too early.
pub async fn a_cancelled_poll_resumes<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(
        subject,
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
        let mut look = pin!(updates.next());
        poll_fn(|cx| {
            let ended = look.as_mut().poll(cx).is_ready();
            if ended || scene.stage.requests.fell_silent(cx.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    let updates = scene.play(LONG).await;
    is_done(updates.last())?;
    match scene.moments()[..] {
        [first, second, ..] if second < first + FLOOR => {
            broken(format!("looked again after {:?}", second - first))
        }
        _ => Ok(()),
    }
}

/// The wait ends at its deadline, with a look exactly then.
pub async fn the_last_poll_is_at_the_deadline<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(subject, &[ScriptStep::Running]).await else {
        return Ok(());
    };
    let deadline = Duration::from_millis(23_370);
    let updates = scene.play(deadline).await;
    let Some(Update::Ended(end)) = updates.last() else {
        return broken(format!("ended with {}", name(updates.last())));
    };
    ensure(
        matches!(end.kind(), WaitErrorKind::DeadlineExceeded),
        || format!("ended as {end}"),
    )?;
    ensure(scene.moments().last() == Some(&deadline), || {
        format!("looked at {:?}", scene.moments())
    })?;
    ensure(scene.clock.now().since_start() == deadline, || {
        format!("ended at {:?}", scene.clock.now())
    })
}

/// Pauses are not cut to whole seconds.
pub async fn sub_second_delays_are_exact<S: KindUnderTest>(subject: &S) -> CheckResult {
    let tune = |facts: &mut KindPolicy| {
        usual(facts);
        facts.min_interval.set(Duration::from_millis(100));
        facts
            .schedule
            .set(PollSchedule::every(Duration::from_millis(250)));
    };
    let beats = [
        ScriptStep::Running,
        ScriptStep::Running,
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::tuned(subject, &beats, &tune).await else {
        return Ok(());
    };
    is_done(scene.play(LONG).await.last())?;
    let expected = [0, 250, 500].map(Duration::from_millis);
    ensure(scene.moments() == expected, || {
        format!("looked at {:?}", scene.moments())
    })
}

/// What a look saw is reported before any sleep.
pub async fn the_first_status_is_handed_out_at_once<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(subject, &[ScriptStep::Queued, ScriptStep::Succeeded]).await
    else {
        return Ok(());
    };
    let mut updates = scene.job.updates(LONG);
    let first = drive(&scene.clock, &scene.stage.requests, updates.next()).await;
    ensure(matches!(first, Some(Update::Progress(_))), || {
        format!("first came {}", name(first.as_ref()))
    })?;
    let now = scene.clock.now().since_start();
    ensure(now.is_zero(), || format!("handed out only after {now:?}"))
}

/// Transient trouble is reported and endured.
pub async fn a_failed_poll_is_not_a_failed_job<S: KindUnderTest>(subject: &S) -> CheckResult {
    let beats = [
        ScriptStep::Running,
        ScriptStep::ServerError,
        ScriptStep::ServerError,
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::new(subject, &beats).await else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    is_done(updates.last())?;
    let missed = updates
        .iter()
        .filter(|update| matches!(update, Update::PollFailed(_)))
        .count();
    ensure(missed == 2, || {
        format!("{missed} failed looks were reported instead of 2")
    })
}

/// Refused credentials end the wait, with the reason and the way back.
pub async fn a_permanent_error_ends_at_once<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) =
        Scene::new(subject, &[ScriptStep::Running, ScriptStep::Unauthenticated]).await
    else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let Some(Update::Ended(end)) = updates.last() else {
        return broken(format!("ended with {}", name(updates.last())));
    };
    ensure(scene.stage.requests.count() == 2, || {
        format!("asked {} times", scene.stage.requests.count())
    })?;
    ensure(end.ticket().id() == scene.job.id(), || {
        "the ticket is for another job".to_owned()
    })?;
    match end.kind() {
        WaitErrorKind::PollRejected(error) if error.kind() == ErrorKind::Unauthenticated => Ok(()),
        other => broken(format!("ended as {other:?}")),
    }
}

/// A failed job is told apart from a failed look, in the vendor's own words.
pub async fn a_failed_job_keeps_its_reason<S: KindUnderTest>(subject: &S) -> CheckResult {
    let reason = "page 7 is upside down";
    let Some(scene) = Scene::new(subject, &[ScriptStep::Running, ScriptStep::Failed(reason)]).await
    else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
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
pub async fn an_unknown_status_keeps_running<S: KindUnderTest>(subject: &S) -> CheckResult {
    let word = ScriptStep::Unknown("97531");
    if let Some(scene) = Scene::new(subject, &[word.clone(), ScriptStep::Succeeded]).await {
        let updates = scene.play(LONG).await;
        is_done(updates.last())?;
        let kept = matches!(updates.first(), Some(Update::Progress(seen)) if !seen.is_known && seen.vendor_status.contains("97531"));
        ensure(kept, || {
            format!("the first look was reported as {}", name(updates.first()))
        })?;
    }
    let Some(scene) = Scene::new(subject, &[word]).await else {
        return Ok(());
    };
    let patience = WaitOptions {
        max_unknown_status: Duration::from_secs(60),
        ..WaitOptions::new(LONG)
    };
    let updates = scene.play(patience).await;
    match updates.last() {
        Some(Update::Ended(end)) if matches!(end.kind(), WaitErrorKind::UnknownStatus(word) if word.contains("97531")) => {
            Ok(())
        }
        other => broken(format!("kept for ever, it ended with {}", name(other))),
    }
}

/// Whatever makes no sense is a failed look: no panic, no end, and above all no success.
pub async fn malformed_responses_are_failed_polls<S: KindUnderTest>(subject: &S) -> CheckResult {
    for odd in MalformedBody::ALL {
        let Some(scene) = Scene::new(
            subject,
            &[ScriptStep::Malformed(odd), ScriptStep::Succeeded],
        )
        .await
        else {
            continue;
        };
        let updates = caught(scene.play(LONG))
            .await
            .map_err(|()| Violation(format!("{odd:?} made it panic")))?;
        let missed = matches!(updates.first(), Some(Update::PollFailed(_)));
        ensure(missed, || {
            format!("{odd:?} was reported as {}", name(updates.first()))
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
pub async fn a_ticket_resumes_the_wait<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(subject, &[ScriptStep::Running, ScriptStep::Succeeded]).await
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
    let job = Job::resume(scene.stage.kind.clone(), &read)
        .map_err(|problem| Violation(problem.to_string()))?;
    ensure(job.id() == &scene.stage.id, || {
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
        foreign.is_ok_and(|foreign| Job::resume(scene.stage.kind.clone(), &foreign).is_ok());
    ensure(!taken, || {
        "the ticket of another vendor is taken".to_owned()
    })?;
    ensure(scene.stage.requests.count() == 0, || {
        "reading a ticket sent a request".to_owned()
    })?;
    let resumed = Scene::<S> { job, ..scene };
    is_done(resumed.play(LONG).await.last())
}

/// However impatient the pacing, two looks are never closer than the floor.
pub async fn no_poll_is_faster_than_the_min_interval<S: KindUnderTest>(subject: &S) -> CheckResult {
    let tune = |facts: &mut KindPolicy| {
        usual(facts);
        facts.schedule.set(PollSchedule::every(Duration::ZERO));
    };
    let beats = [
        ScriptStep::Running,
        ScriptStep::Queued,
        ScriptStep::Running,
        ScriptStep::Running,
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::tuned(subject, &beats, &tune).await else {
        return Ok(());
    };
    is_done(scene.play(LONG).await.last())?;
    let moments = scene.moments();
    let apart = |pair: &[Duration]| matches!(pair, [first, second] if *second >= *first + FLOOR);
    ensure(moments.windows(2).all(apart), || {
        format!("looked at {moments:?}")
    })
}

/// "Come back in 20 s" is obeyed; "come back in ten hours" is cut.
pub async fn retry_after_is_obeyed_up_to_the_max_interval<S: KindUnderTest>(
    subject: &S,
) -> CheckResult {
    let (modest, absurd) = (Duration::from_secs(20), Duration::from_secs(36_000));
    let beats = [
        ScriptStep::RateLimited(modest),
        ScriptStep::RateLimited(absurd),
        ScriptStep::Succeeded,
    ];
    let Some(scene) = Scene::new(subject, &beats).await else {
        return Ok(());
    };
    is_done(scene.play(LONG).await.last())?;
    let moments = scene.moments();
    match moments[..] {
        [first, second, third] if second >= first + modest && third <= second + CAP => Ok(()),
        _ => broken(format!("looked at {moments:?}")),
    }
}

/// A look without an answer is cut, reported and repeated.
pub async fn a_poll_without_response_times_out<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(subject, &[ScriptStep::NoResponse, ScriptStep::Succeeded]).await
    else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let missed = matches!(updates.first(), Some(Update::PollFailed(_)));
    ensure(missed, || {
        format!("the silence was reported as {}", name(updates.first()))
    })?;
    is_done(updates.last())?;
    let patient = scene
        .stage
        .kind
        .policy()
        .poll_timeout
        .value
        .min(Duration::from_secs(30))
        + CAP;
    match scene.moments()[..] {
        [first, second] if second <= first + patient => Ok(()),
        _ => broken(format!("looked at {:?}", scene.moments())),
    }
}

/// One end, reported once, and no look after it.
pub async fn nothing_is_polled_after_the_end<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(
        subject,
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
    let updates = scene.play(LONG).await;
    let ends = updates
        .iter()
        .filter(|update| matches!(update, Update::Completed(_) | Update::Ended(_)))
        .count();
    ensure(ends == 1, || format!("{ends} ends were reported"))?;
    ensure(scene.stage.requests.count() == 3, || {
        format!("asked {} times", scene.stage.requests.count())
    })
}

/// A look at several jobs answers for each of them.
pub async fn every_id_gets_a_result<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(subject, &[ScriptStep::Running]).await else {
        return Ok(());
    };
    let batch = scene.stage.kind.policy().max_batch.value.get().min(3);
    let ids = vec![scene.stage.id.clone(); batch];
    let looks = drive(
        &scene.clock,
        &scene.stage.requests,
        scene.stage.kind.poll(&ids),
    )
    .await
    .into_vec();
    ensure(looks.len() == batch, || {
        format!("{} answers for {batch} ids", looks.len())
    })
}

/// A look takes a place of the account's rate, under the name by which all processes know it; while no place can be had, nothing
/// is sent, and the error says so and names the job.
pub async fn a_shared_rate_is_asked_first<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(subject, &[ScriptStep::Running]).await else {
        return Ok(());
    };
    let (kind, asked) = (&scene.stage.kind, &scene.stage.requests);
    let ids = [scene.stage.id.clone()];
    scene.places.fail(true);
    let look = drive(&scene.clock, asked, kind.poll(&ids)).await;
    let is_told = |error: &Error| {
        (error.kind(), error.delivery(), error.job())
            == (ErrorKind::LocalIo, Delivery::NotSent, ids.first())
    };
    match look.into_vec().as_slice() {
        [Err(error)] if is_told(error) => {}
        [Err(error)] => return broken(format!("without a place it ended with {error:?}")),
        _ => return broken("a look without a place was answered"),
    }
    ensure(asked.count() == 0, || "sent without a place".to_owned())?;
    scene.places.fail(false);
    drive(&scene.clock, asked, kind.poll(&ids)).await;
    ensure(asked.count() == 1, || {
        format!("with a place it asked {} times", asked.count())
    })?;
    let (granted, place) = (
        scene.places.granted(),
        (kind.account(), subject.rate_action().to_owned()),
    );
    let is_named = !granted.is_empty() && granted.iter().all(|taken| *taken == place);
    ensure(is_named, || {
        format!("took {granted:?} instead of {place:?}")
    })
}

/// Neither the kind nor an error shows a credential.
pub async fn nothing_secret_is_printed<S: KindUnderTest>(subject: &S) -> CheckResult {
    let Some(scene) = Scene::new(
        subject,
        &[
            ScriptStep::Malformed(MalformedBody::Html),
            ScriptStep::Unauthenticated,
        ],
    )
    .await
    else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let mut printed = format!("{:?} {:?}", scene.stage.kind, scene.job);
    for update in &updates {
        match update {
            Update::PollFailed(error) => {
                printed.push_str(&format!("{error} {error:?} {:?}", error.body_excerpt()));
            }
            Update::Ended(end) => printed.push_str(&format!("{end} {end:?} {}", end.ticket())),
            Update::Progress(_) | Update::Completed(_) => {}
        }
    }
    match subject
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

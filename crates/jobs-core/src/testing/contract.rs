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
use crate::end::Cause;
use crate::error::{Error, ErrorKind, Sent};
use crate::facts::Facts;
use crate::job::{Job, Update};
use crate::kind::JobKind as _;
use crate::pacing::Pacing;
use crate::poller::Patience;
use crate::testing::{Asked, Beat, ManualClock, Odd, Play, SharedPlaces, Stage, Subject};
use crate::ticket::Ticket;

/// How a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a promise was kept.
pub type Kept = Result<(), Violation>;

/// Runs every check.
///
/// # Panics
/// Names every promise that was broken.
#[allow(clippy::panic, reason = "this is the assertion of a test")]
pub async fn all<S: Subject>(subject: &S) {
    let mut broken = String::new();
    macro_rules! check {
        ($($name:ident),* $(,)?) => {$(
            if let Err(violation) = $name(subject).await {
                broken.push_str(&format!("\n  {}: {violation}", stringify!($name)));
            }
        )*};
    }
    check!(
        a_cancelled_look_goes_on,
        the_last_look_is_at_the_deadline,
        sub_second_delays_are_exact,
        the_first_status_is_handed_out_at_once,
        a_failed_look_is_not_a_failed_job,
        a_permanent_error_ends_at_once,
        a_failed_job_keeps_its_reason,
        an_unknown_word_runs_on,
        odd_answers_are_failed_looks,
        a_ticket_goes_on,
        no_look_is_faster_than_the_floor,
        a_hint_is_obeyed_up_to_the_cap,
        a_silent_vendor_is_cut,
        nothing_is_asked_after_the_end,
        every_id_gets_an_answer,
        nothing_secret_is_printed,
        a_shared_rate_is_asked_first,
    );
    assert!(broken.is_empty(), "promises broken:{broken}");
}

const FLOOR: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(5);
const CAP: Duration = Duration::from_secs(40);
const LONG: Duration = Duration::from_secs(600);

fn usual(facts: &mut Facts) {
    facts.floor.set(FLOOR);
    facts.first_look.set(Duration::ZERO);
    facts.pacing.set(Pacing::every(PAUSE));
    facts.cap.set(CAP);
    facts.look_timeout.set(Duration::from_secs(30));
}

/// A job whose vendor plays, on a clock of its own.
struct Scene<S: Subject> {
    clock: ManualClock,
    places: SharedPlaces,
    stage: Stage<S::Kind>,
    job: Job<S::Kind>,
}

type Output<S> = <<S as Subject>::Kind as crate::JobKind>::Output;

impl<S: Subject> Scene<S> {
    async fn new(subject: &S, beats: &[Beat]) -> Option<Self> {
        Self::tuned(subject, beats, &usual).await
    }

    /// `None` when the vendor has no words for a beat.
    async fn tuned(
        subject: &S,
        beats: &[Beat],
        tune: &(dyn Fn(&mut Facts) + Sync),
    ) -> Option<Self> {
        if !beats.iter().all(|beat| subject.can_say(beat)) {
            return None;
        }
        let clock = ManualClock::new();
        let places = SharedPlaces::new(clock.shared());
        let rate = places.shared();
        let stage = subject.stage(&clock, Play { beats, tune, rate }).await;
        let job = Job::attach(stage.kind.clone(), stage.id.clone());
        Some(Self {
            clock,
            places,
            stage,
            job,
        })
    }

    /// Every update of a wait, driven to its end.
    async fn play(&self, patience: impl Into<Patience>) -> Vec<Update<Output<S>>> {
        let mut updates = self.job.updates(patience);
        let mut seen = Vec::new();
        let all = async {
            while let Some(update) = updates.next().await {
                seen.push(update);
            }
        };
        drive(&self.clock, &self.stage.asked, all).await;
        seen
    }

    fn moments(&self) -> Vec<Duration> {
        self.stage
            .asked
            .moments()
            .into_iter()
            .map(Moment::since_start)
            .collect()
    }
}

/// Runs `work`, moving time whenever it only sleeps, and past guards once the vendor fell silent.
async fn drive<T>(clock: &ManualClock, asked: &Asked, work: impl Future<Output = T>) -> T {
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

fn broken(text: impl Into<String>) -> Kept {
    Err(Violation(text.into()))
}

fn ensure(kept: bool, text: impl FnOnce() -> String) -> Kept {
    if kept { Ok(()) } else { broken(text()) }
}

fn name<O>(update: Option<&Update<O>>) -> String {
    match update {
        Some(Update::Seen(snapshot)) => format!("seen {:?}", snapshot.word),
        Some(Update::Missed(error)) => format!("missed ({error})"),
        Some(Update::Done(_)) => "done".to_owned(),
        Some(Update::Over(end)) => format!("over ({end})"),
        None => "nothing".to_owned(),
    }
}

fn is_done<O>(update: Option<&Update<O>>) -> Kept {
    ensure(matches!(update, Some(Update::Done(_))), || {
        format!("ended with {} instead of the output", name(update))
    })
}

/// A look dropped in flight neither breaks the kind nor lets the next one come too early.
pub async fn a_cancelled_look_goes_on<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Silent, Beat::Running, Beat::Succeeded]).await
    else {
        return Ok(());
    };
    {
        let mut updates = scene.job.updates(LONG);
        let mut look = pin!(updates.next());
        poll_fn(|cx| {
            let ended = look.as_mut().poll(cx).is_ready();
            if ended || scene.stage.asked.fell_silent(cx.waker()) {
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
pub async fn the_last_look_is_at_the_deadline<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Running]).await else {
        return Ok(());
    };
    let deadline = Duration::from_millis(23_370);
    let updates = scene.play(deadline).await;
    let Some(Update::Over(end)) = updates.last() else {
        return broken(format!("ended with {}", name(updates.last())));
    };
    ensure(matches!(end.cause(), Cause::Deadline), || {
        format!("ended as {end}")
    })?;
    ensure(scene.moments().last() == Some(&deadline), || {
        format!("looked at {:?}", scene.moments())
    })?;
    ensure(scene.clock.now().since_start() == deadline, || {
        format!("ended at {:?}", scene.clock.now())
    })
}

/// Pauses are not cut to whole seconds.
pub async fn sub_second_delays_are_exact<S: Subject>(subject: &S) -> Kept {
    let tune = |facts: &mut Facts| {
        usual(facts);
        facts.floor.set(Duration::from_millis(100));
        facts.pacing.set(Pacing::every(Duration::from_millis(250)));
    };
    let beats = [Beat::Running, Beat::Running, Beat::Succeeded];
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
pub async fn the_first_status_is_handed_out_at_once<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Queued, Beat::Succeeded]).await else {
        return Ok(());
    };
    let mut updates = scene.job.updates(LONG);
    let first = drive(&scene.clock, &scene.stage.asked, updates.next()).await;
    ensure(matches!(first, Some(Update::Seen(_))), || {
        format!("first came {}", name(first.as_ref()))
    })?;
    let now = scene.clock.now().since_start();
    ensure(now.is_zero(), || format!("handed out only after {now:?}"))
}

/// Transient trouble is reported and endured.
pub async fn a_failed_look_is_not_a_failed_job<S: Subject>(subject: &S) -> Kept {
    let beats = [Beat::Running, Beat::Trouble, Beat::Trouble, Beat::Succeeded];
    let Some(scene) = Scene::new(subject, &beats).await else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    is_done(updates.last())?;
    let missed = updates
        .iter()
        .filter(|update| matches!(update, Update::Missed(_)))
        .count();
    ensure(missed == 2, || {
        format!("{missed} failed looks were reported instead of 2")
    })
}

/// Refused credentials end the wait, with the reason and the way back.
pub async fn a_permanent_error_ends_at_once<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Running, Beat::Denied]).await else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let Some(Update::Over(end)) = updates.last() else {
        return broken(format!("ended with {}", name(updates.last())));
    };
    ensure(scene.stage.asked.count() == 2, || {
        format!("asked {} times", scene.stage.asked.count())
    })?;
    ensure(end.ticket().id() == scene.job.id(), || {
        "the ticket is for another job".to_owned()
    })?;
    match end.cause() {
        Cause::Refused(error) if error.kind() == ErrorKind::Credentials => Ok(()),
        other => broken(format!("ended as {other:?}")),
    }
}

/// A failed job is told apart from a failed look, in the vendor's own words.
pub async fn a_failed_job_keeps_its_reason<S: Subject>(subject: &S) -> Kept {
    let reason = "page 7 is upside down";
    let Some(scene) = Scene::new(subject, &[Beat::Running, Beat::Failed(reason)]).await else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let cause = match updates.last() {
        Some(Update::Over(end)) => end.cause(),
        other => return broken(format!("ended with {}", name(other))),
    };
    match cause {
        Cause::Failed(failure) if failure.reason.contains(reason) => Ok(()),
        other => broken(format!("ended as {other:?}")),
    }
}

/// A word that nobody documents is not an end, and is kept.
pub async fn an_unknown_word_runs_on<S: Subject>(subject: &S) -> Kept {
    let word = Beat::Unknown("97531");
    if let Some(scene) = Scene::new(subject, &[word.clone(), Beat::Succeeded]).await {
        let updates = scene.play(LONG).await;
        is_done(updates.last())?;
        let kept = matches!(updates.first(), Some(Update::Seen(seen)) if !seen.recognised && seen.word.contains("97531"));
        ensure(kept, || {
            format!("the first look was reported as {}", name(updates.first()))
        })?;
    }
    let Some(scene) = Scene::new(subject, &[word]).await else {
        return Ok(());
    };
    let patience = Patience {
        unknown_word: Duration::from_secs(60),
        ..Patience::until(LONG)
    };
    let updates = scene.play(patience).await;
    match updates.last() {
        Some(Update::Over(end)) if matches!(end.cause(), Cause::UnknownWord(word) if word.contains("97531")) => {
            Ok(())
        }
        other => broken(format!("kept for ever, it ended with {}", name(other))),
    }
}

/// Whatever makes no sense is a failed look: no panic, no end, and above all no success.
pub async fn odd_answers_are_failed_looks<S: Subject>(subject: &S) -> Kept {
    for odd in Odd::ALL {
        let Some(scene) = Scene::new(subject, &[Beat::Odd(odd), Beat::Succeeded]).await else {
            continue;
        };
        let updates = caught(scene.play(LONG))
            .await
            .map_err(|()| Violation(format!("{odd:?} made it panic")))?;
        let missed = matches!(updates.first(), Some(Update::Missed(_)));
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
pub async fn a_ticket_goes_on<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Running, Beat::Succeeded]).await else {
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
    ensure(scene.stage.asked.count() == 0, || {
        "reading a ticket sent a request".to_owned()
    })?;
    let resumed = Scene::<S> { job, ..scene };
    is_done(resumed.play(LONG).await.last())
}

/// However impatient the pacing, two looks are never closer than the floor.
pub async fn no_look_is_faster_than_the_floor<S: Subject>(subject: &S) -> Kept {
    let tune = |facts: &mut Facts| {
        usual(facts);
        facts.pacing.set(Pacing::every(Duration::ZERO));
    };
    let beats = [
        Beat::Running,
        Beat::Queued,
        Beat::Running,
        Beat::Running,
        Beat::Succeeded,
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
pub async fn a_hint_is_obeyed_up_to_the_cap<S: Subject>(subject: &S) -> Kept {
    let (modest, absurd) = (Duration::from_secs(20), Duration::from_secs(36_000));
    let beats = [Beat::Busy(modest), Beat::Busy(absurd), Beat::Succeeded];
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
pub async fn a_silent_vendor_is_cut<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Silent, Beat::Succeeded]).await else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let missed = matches!(updates.first(), Some(Update::Missed(_)));
    ensure(missed, || {
        format!("the silence was reported as {}", name(updates.first()))
    })?;
    is_done(updates.last())?;
    let patient = scene
        .stage
        .kind
        .facts()
        .look_timeout
        .value
        .min(Duration::from_secs(30))
        + CAP;
    match scene.moments()[..] {
        [first, second] if second <= first + patient => Ok(()),
        _ => broken(format!("looked at {:?}", scene.moments())),
    }
}

/// One end, reported once, and no look after it.
pub async fn nothing_is_asked_after_the_end<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(
        subject,
        &[Beat::Running, Beat::Running, Beat::Succeeded, Beat::Running],
    )
    .await
    else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let ends = updates
        .iter()
        .filter(|update| matches!(update, Update::Done(_) | Update::Over(_)))
        .count();
    ensure(ends == 1, || format!("{ends} ends were reported"))?;
    ensure(scene.stage.asked.count() == 3, || {
        format!("asked {} times", scene.stage.asked.count())
    })
}

/// A look at several jobs answers for each of them.
pub async fn every_id_gets_an_answer<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Running]).await else {
        return Ok(());
    };
    let batch = scene.stage.kind.facts().batch.value.get().min(3);
    let ids = vec![scene.stage.id.clone(); batch];
    let looks = drive(
        &scene.clock,
        &scene.stage.asked,
        scene.stage.kind.observe(&ids),
    )
    .await
    .into_vec();
    ensure(looks.len() == batch, || {
        format!("{} answers for {batch} ids", looks.len())
    })
}

/// A look takes a place of the account's rate, under the name by which all processes know it; while no place can be had, nothing
/// is sent, and the error says so and names the job.
pub async fn a_shared_rate_is_asked_first<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Running]).await else {
        return Ok(());
    };
    let (kind, asked) = (&scene.stage.kind, &scene.stage.asked);
    let ids = [scene.stage.id.clone()];
    scene.places.fail(true);
    let look = drive(&scene.clock, asked, kind.observe(&ids)).await;
    let is_told = |error: &Error| {
        (error.kind(), error.sent(), error.job()) == (ErrorKind::Local, Sent::No, ids.first())
    };
    match look.into_vec().as_slice() {
        [Err(error)] if is_told(error) => {}
        [Err(error)] => return broken(format!("without a place it ended with {error:?}")),
        _ => return broken("a look without a place was answered"),
    }
    ensure(asked.count() == 0, || "sent without a place".to_owned())?;
    scene.places.fail(false);
    drive(&scene.clock, asked, kind.observe(&ids)).await;
    ensure(asked.count() == 1, || {
        format!("with a place it asked {} times", asked.count())
    })?;
    let (granted, place) = (
        scene.places.granted(),
        (kind.account(), subject.counted_as().to_owned()),
    );
    let is_named = !granted.is_empty() && granted.iter().all(|taken| *taken == place);
    ensure(is_named, || {
        format!("took {granted:?} instead of {place:?}")
    })
}

/// Neither the kind nor an error shows a credential.
pub async fn nothing_secret_is_printed<S: Subject>(subject: &S) -> Kept {
    let Some(scene) = Scene::new(subject, &[Beat::Odd(Odd::Html), Beat::Denied]).await else {
        return Ok(());
    };
    let updates = scene.play(LONG).await;
    let mut printed = format!("{:?} {:?}", scene.stage.kind, scene.job);
    for update in &updates {
        match update {
            Update::Missed(error) => {
                printed.push_str(&format!("{error} {error:?} {:?}", error.excerpt()));
            }
            Update::Over(end) => printed.push_str(&format!("{end} {end:?} {}", end.ticket())),
            Update::Seen(_) | Update::Done(_) => {}
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

//! Each check of the contract is shown a kind that falls into its trap, and must catch it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs_core::clock::Clock;
use jobs_core::testing::contract::{self, CheckResult};
use jobs_core::testing::{
    KindUnderTest, MalformedBody, ManualClock, RequestLog, Script, ScriptStep, ScriptedKind,
    ScriptedKindUnderTest, TestVendor,
};
use jobs_core::vendor::{
    Account, Failure, JobKind, KindPolicy, PollResult, PollResults, PollSchedule, async_trait,
};
use jobs_core::{Error, ErrorKind, JobId, Snapshot, Status};

#[tokio::test]
async fn the_scripted_kind_keeps_the_contract() {
    contract::all(&ScriptedKindUnderTest).await;
}

/// What a broken kind does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    TakesStateBeforeAwait,
    SleepsAfterLooking,
    SleepsTheHintItself,
    DropsTheHint,
    RoundsToSeconds,
    PermanentTrouble,
    TransientDenial,
    GenericFailure,
    FailsOnUnknownWord,
    ForgetsUnknownWord,
    PanicsOnOddAnswers,
    AllOfNothingIsDone,
    DottedName,
    PollsTwice,
    NeverCut,
    AnswersForTooMany,
    PrintsItsKey,
    IgnoresTheRate,
}

#[derive(Debug)]
struct DefectiveKind {
    defect: Defect,
    inner: ScriptedKind,
    policy: KindPolicy,
    state: Mutex<Option<()>>,
    key: Option<&'static str>,
}

#[async_trait]
impl JobKind for DefectiveKind {
    type Output = &'static str;

    fn vendor(&self) -> &'static str {
        if self.defect == Defect::DottedName {
            "two.parts"
        } else {
            "broken"
        }
    }

    fn name(&self) -> &'static str {
        "play"
    }

    fn account(&self) -> Account {
        Account::of("broken", "anybody")
    }

    fn policy(&self) -> &KindPolicy {
        &self.policy
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.inner.clock()
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<&'static str> {
        let mut poll = self.poll().await;
        if self.defect == Defect::PollsTwice {
            poll = self.poll().await;
        }
        if self.defect == Defect::AnswersForTooMany {
            let [id] = ids else {
                return PollResults::of("broken", &[]);
            };
            let mut polls = PollResults::of("broken", &[id.clone(), id.clone()]);
            polls.set(1, poll);
            return polls;
        }
        let mut polls = PollResults::of("broken", ids);
        polls.set(0, poll);
        polls
    }
}

impl DefectiveKind {
    async fn poll(&self) -> PollResult<&'static str> {
        let clock = Arc::clone(self.inner.clock());
        let sleep = |time| clock.sleep_until(clock.now() + time);
        if self.defect == Defect::TakesStateBeforeAwait
            && self.state.lock().unwrap().take().is_none()
        {
            return Err(Error::invalid_input("broken", "poll", "the state is gone"));
        }
        let poll = self.inner.poll_once().await;
        *self.state.lock().unwrap() = Some(());
        match (self.defect, poll) {
            (Defect::SleepsAfterLooking, poll) => {
                sleep(Duration::from_millis(700)).await;
                poll
            }
            (Defect::SleepsTheHintItself, Err(error)) => {
                sleep(error.retry_after().unwrap_or_default()).await;
                Err(Error::new(error.kind(), "broken", "poll"))
            }
            (Defect::DropsTheHint, Err(error)) => Err(Error::new(error.kind(), "broken", "poll")),
            (Defect::PermanentTrouble, Err(_)) => {
                Err(Error::new(ErrorKind::Refused, "broken", "poll"))
            }
            (Defect::TransientDenial, Err(_)) => {
                Err(Error::new(ErrorKind::Unavailable, "broken", "poll"))
            }
            (
                Defect::GenericFailure,
                Ok(Snapshot {
                    status: Status::Failed(_),
                    ..
                }),
            ) => Ok(Snapshot::new(
                Status::Failed(Failure::new("error")),
                "failed",
            )),
            (
                Defect::FailsOnUnknownWord,
                Ok(Snapshot {
                    is_known: false,
                    vendor_status: word,
                    ..
                }),
            ) => Ok(Snapshot::new(Status::Failed(Failure::new(word)), "failed")),
            (
                Defect::ForgetsUnknownWord,
                Ok(Snapshot {
                    is_known: false, ..
                }),
            ) => Ok(Snapshot::new(Status::Running, "running")),
            (Defect::PanicsOnOddAnswers, Err(error))
                if error.kind() == ErrorKind::UnexpectedResponse =>
            {
                panic!("no such field")
            }
            (Defect::AllOfNothingIsDone, Err(error))
                if error.kind() == ErrorKind::UnexpectedResponse =>
            {
                Ok(Snapshot::new(Status::Succeeded("nothing"), "done"))
            }
            (_, poll) => poll,
        }
    }
}

struct DefectiveKindUnderTest(Defect);

#[async_trait]
impl KindUnderTest for DefectiveKindUnderTest {
    type Kind = DefectiveKind;

    async fn set_up(&self, clock: &ManualClock, script: Script<'_>) -> TestVendor<DefectiveKind> {
        let mut inner =
            ScriptedKind::new(clock.shared(), script.steps).with_policy(script.configure);
        if self.0 != Defect::IgnoresTheRate {
            inner = inner.with_shared_rate(script.shared_rate);
        }
        let mut policy = inner.policy().clone();
        if self.0 == Defect::RoundsToSeconds {
            let pause = policy
                .schedule
                .value
                .next_delay(1, Duration::ZERO)
                .as_secs();
            policy
                .schedule
                .set(PollSchedule::every(Duration::from_secs(pause)));
        }
        if self.0 == Defect::NeverCut {
            policy.poll_timeout.set(Duration::from_secs(36_000));
        }
        let asked: RequestLog = inner.requests().clone();
        let key = (self.0 == Defect::PrintsItsKey).then_some("k3y-in-the-clear");
        let kind = DefectiveKind {
            defect: self.0,
            inner,
            policy,
            state: Mutex::new(Some(())),
            key,
        };
        assert_eq!(kind.key.is_some(), self.0 == Defect::PrintsItsKey);
        TestVendor {
            kind: Arc::new(kind),
            id: JobId::new("job-1").unwrap(),
            requests: asked,
            guard: Box::new(()),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["k3y-in-the-clear".to_owned()]
    }
}

/// The check catches the defect, and passes the kind that has another one far from it.
macro_rules! caught {
    ($($defect:ident => $check:ident),* $(,)?) => {$(
        mod $check {
            use super::*;

            #[tokio::test]
            async fn catches_its_defect() {
                let result: CheckResult = contract::$check(&DefectiveKindUnderTest(Defect::$defect)).await;
                assert!(result.is_err(), "a kind that {:?} was not noticed", Defect::$defect);
                assert_eq!(contract::$check(&ScriptedKindUnderTest).await, Ok(()));
            }
        }
    )*};
}

caught! {
    TakesStateBeforeAwait => a_cancelled_poll_resumes,
    SleepsAfterLooking => the_first_status_is_handed_out_at_once,
    RoundsToSeconds => sub_second_delays_are_exact,
    PermanentTrouble => a_failed_poll_is_not_a_failed_job,
    TransientDenial => a_permanent_error_ends_at_once,
    GenericFailure => a_failed_job_keeps_its_reason,
    FailsOnUnknownWord => an_unknown_status_keeps_running,
    PanicsOnOddAnswers => malformed_responses_are_failed_polls,
    DottedName => a_ticket_resumes_the_wait,
    PollsTwice => no_poll_is_faster_than_the_min_interval,
    DropsTheHint => retry_after_is_obeyed_up_to_the_max_interval,
    NeverCut => a_poll_without_response_times_out,
    AnswersForTooMany => every_id_gets_a_result,
    PrintsItsKey => nothing_secret_is_printed,
    IgnoresTheRate => a_shared_rate_is_asked_first,
}

#[tokio::test]
async fn further_traps_are_caught_too() {
    for (trap, kept) in [
        (
            Defect::SleepsAfterLooking,
            contract::the_last_poll_is_at_the_deadline(&DefectiveKindUnderTest(
                Defect::SleepsAfterLooking,
            ))
            .await,
        ),
        (
            Defect::SleepsTheHintItself,
            contract::retry_after_is_obeyed_up_to_the_max_interval(&DefectiveKindUnderTest(
                Defect::SleepsTheHintItself,
            ))
            .await,
        ),
        (
            Defect::ForgetsUnknownWord,
            contract::an_unknown_status_keeps_running(&DefectiveKindUnderTest(
                Defect::ForgetsUnknownWord,
            ))
            .await,
        ),
        (
            Defect::AllOfNothingIsDone,
            contract::malformed_responses_are_failed_polls(&DefectiveKindUnderTest(
                Defect::AllOfNothingIsDone,
            ))
            .await,
        ),
        (
            Defect::PollsTwice,
            contract::nothing_is_polled_after_the_end(&DefectiveKindUnderTest(Defect::PollsTwice))
                .await,
        ),
    ] {
        assert!(kept.is_err(), "a kind that {trap:?} was not noticed");
    }
}

#[tokio::test]
async fn odd_answers_of_every_sort_are_played() {
    let clock = ManualClock::new();
    for malformed in MalformedBody::ALL {
        let kind = ScriptedKind::new(clock.shared(), &[ScriptStep::Malformed(malformed)]);
        assert_eq!(
            kind.poll_once().await.unwrap_err().kind(),
            ErrorKind::UnexpectedResponse
        );
    }
}

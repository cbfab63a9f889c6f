//! Each check of the contract is shown a kind that falls into its trap, and must catch it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs_core::testing::contract::{self, Kept};
use jobs_core::testing::{
    Asked, Beat, ManualClock, Odd, Play, Scripted, ScriptedSubject, Stage, Subject,
};
use jobs_core::{
    Account, Clock, Error, ErrorKind, Facts, Failure, JobId, JobKind, Look, Looks, Pacing,
    Snapshot, Status, async_trait,
};

#[tokio::test]
async fn the_scripted_kind_keeps_the_contract() {
    contract::all(&ScriptedSubject).await;
}

/// What a broken kind does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trap {
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
    LooksTwice,
    NeverCut,
    AnswersForTooMany,
    PrintsItsKey,
    IgnoresTheRate,
}

#[derive(Debug)]
struct Broken {
    trap: Trap,
    inner: Scripted,
    facts: Facts,
    state: Mutex<Option<()>>,
    key: Option<&'static str>,
}

#[async_trait]
impl JobKind for Broken {
    type Output = &'static str;

    fn vendor(&self) -> &'static str {
        if self.trap == Trap::DottedName {
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

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.inner.clock()
    }

    async fn observe(&self, ids: &[JobId]) -> Looks<&'static str> {
        let mut look = self.look().await;
        if self.trap == Trap::LooksTwice {
            look = self.look().await;
        }
        if self.trap == Trap::AnswersForTooMany {
            let [id] = ids else {
                return Looks::of("broken", &[]);
            };
            let mut looks = Looks::of("broken", &[id.clone(), id.clone()]);
            looks.set(1, look);
            return looks;
        }
        let mut looks = Looks::of("broken", ids);
        looks.set(0, look);
        looks
    }
}

impl Broken {
    async fn look(&self) -> Look<&'static str> {
        let clock = Arc::clone(self.inner.clock());
        let sleep = |time| clock.sleep_until(clock.now() + time);
        if self.trap == Trap::TakesStateBeforeAwait && self.state.lock().unwrap().take().is_none() {
            return Err(Error::input("broken", "look", "the state is gone"));
        }
        let look = self.inner.look().await;
        *self.state.lock().unwrap() = Some(());
        match (self.trap, look) {
            (Trap::SleepsAfterLooking, look) => {
                sleep(Duration::from_millis(700)).await;
                look
            }
            (Trap::SleepsTheHintItself, Err(error)) => {
                sleep(error.wait().unwrap_or_default()).await;
                Err(Error::new(error.kind(), "broken", "look"))
            }
            (Trap::DropsTheHint, Err(error)) => Err(Error::new(error.kind(), "broken", "look")),
            (Trap::PermanentTrouble, Err(_)) => {
                Err(Error::new(ErrorKind::Refused, "broken", "look"))
            }
            (Trap::TransientDenial, Err(_)) => {
                Err(Error::new(ErrorKind::Unavailable, "broken", "look"))
            }
            (
                Trap::GenericFailure,
                Ok(Snapshot {
                    status: Status::Failed(_),
                    ..
                }),
            ) => Ok(Snapshot::new(
                Status::Failed(Failure::new("error")),
                "failed",
            )),
            (
                Trap::FailsOnUnknownWord,
                Ok(Snapshot {
                    recognised: false,
                    word,
                    ..
                }),
            ) => Ok(Snapshot::new(Status::Failed(Failure::new(word)), "failed")),
            (
                Trap::ForgetsUnknownWord,
                Ok(Snapshot {
                    recognised: false, ..
                }),
            ) => Ok(Snapshot::new(Status::Running, "running")),
            (Trap::PanicsOnOddAnswers, Err(error)) if error.kind() == ErrorKind::Garbled => {
                panic!("no such field")
            }
            (Trap::AllOfNothingIsDone, Err(error)) if error.kind() == ErrorKind::Garbled => {
                Ok(Snapshot::new(Status::Succeeded("nothing"), "done"))
            }
            (_, look) => look,
        }
    }
}

struct BrokenSubject(Trap);

#[async_trait]
impl Subject for BrokenSubject {
    type Kind = Broken;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Broken> {
        let mut inner = Scripted::new(clock.shared(), play.beats).with_facts(play.tune);
        if self.0 != Trap::IgnoresTheRate {
            inner = inner.with_shared_rate(play.rate);
        }
        let mut facts = inner.facts().clone();
        if self.0 == Trap::RoundsToSeconds {
            let pause = facts.pacing.value.pause(1, Duration::ZERO).as_secs();
            facts.pacing.set(Pacing::every(Duration::from_secs(pause)));
        }
        if self.0 == Trap::NeverCut {
            facts.look_timeout.set(Duration::from_secs(36_000));
        }
        let asked: Asked = inner.asked().clone();
        let key = (self.0 == Trap::PrintsItsKey).then_some("k3y-in-the-clear");
        let kind = Broken {
            trap: self.0,
            inner,
            facts,
            state: Mutex::new(Some(())),
            key,
        };
        assert_eq!(kind.key.is_some(), self.0 == Trap::PrintsItsKey);
        Stage {
            kind: Arc::new(kind),
            id: JobId::new("job-1").unwrap(),
            asked,
            vendor: Box::new(()),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["k3y-in-the-clear".to_owned()]
    }
}

/// The check catches the trap, and passes the kind that has another one far from it.
macro_rules! caught {
    ($($trap:ident => $check:ident),* $(,)?) => {$(
        mod $check {
            use super::*;

            #[tokio::test]
            async fn catches_its_trap() {
                let kept: Kept = contract::$check(&BrokenSubject(Trap::$trap)).await;
                assert!(kept.is_err(), "a kind that {:?} was not noticed", Trap::$trap);
                assert_eq!(contract::$check(&ScriptedSubject).await, Ok(()));
            }
        }
    )*};
}

caught! {
    TakesStateBeforeAwait => a_cancelled_look_goes_on,
    SleepsAfterLooking => the_first_status_is_handed_out_at_once,
    RoundsToSeconds => sub_second_delays_are_exact,
    PermanentTrouble => a_failed_look_is_not_a_failed_job,
    TransientDenial => a_permanent_error_ends_at_once,
    GenericFailure => a_failed_job_keeps_its_reason,
    FailsOnUnknownWord => an_unknown_word_runs_on,
    PanicsOnOddAnswers => odd_answers_are_failed_looks,
    DottedName => a_ticket_goes_on,
    LooksTwice => no_look_is_faster_than_the_floor,
    DropsTheHint => a_hint_is_obeyed_up_to_the_cap,
    NeverCut => a_silent_vendor_is_cut,
    AnswersForTooMany => every_id_gets_an_answer,
    PrintsItsKey => nothing_secret_is_printed,
    IgnoresTheRate => a_shared_rate_is_asked_first,
}

#[tokio::test]
async fn further_traps_are_caught_too() {
    for (trap, kept) in [
        (
            Trap::SleepsAfterLooking,
            contract::the_last_look_is_at_the_deadline(&BrokenSubject(Trap::SleepsAfterLooking))
                .await,
        ),
        (
            Trap::SleepsTheHintItself,
            contract::a_hint_is_obeyed_up_to_the_cap(&BrokenSubject(Trap::SleepsTheHintItself))
                .await,
        ),
        (
            Trap::ForgetsUnknownWord,
            contract::an_unknown_word_runs_on(&BrokenSubject(Trap::ForgetsUnknownWord)).await,
        ),
        (
            Trap::AllOfNothingIsDone,
            contract::odd_answers_are_failed_looks(&BrokenSubject(Trap::AllOfNothingIsDone)).await,
        ),
        (
            Trap::LooksTwice,
            contract::nothing_is_asked_after_the_end(&BrokenSubject(Trap::LooksTwice)).await,
        ),
    ] {
        assert!(kept.is_err(), "a kind that {trap:?} was not noticed");
    }
}

#[tokio::test]
async fn odd_answers_of_every_sort_are_played() {
    let clock = ManualClock::new();
    for odd in Odd::ALL {
        let kind = Scripted::new(clock.shared(), &[Beat::Odd(odd)]);
        assert_eq!(kind.look().await.unwrap_err().kind(), ErrorKind::Garbled);
    }
}

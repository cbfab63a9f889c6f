//! Which stage a job is in and which moves lead from one to the next.

use std::fmt;

/// How far a job is, as far as this ledger knows.
///
/// The way of an undisturbed job is `intended → submitting → accepted → available → downloading → completed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Written down; nothing was sent yet.
    Intended,
    /// The paid call is about to be made or being made: from here on it may have been charged.
    Submitting,
    /// The vendor accepted it and gave an id.
    Accepted,
    /// The vendor finished it; the result can be fetched.
    Available,
    /// The result is being fetched.
    Downloading,
    /// The result is here.
    Completed,
    /// It may have been accepted and charged, and nobody knows.
    InDoubt,
    /// The submit was refused: the vendor has no such job, and nothing was bought.
    Rejected,
    /// The vendor accepted it and gave up on it.
    Failed,
    /// The vendor no longer has the job or its result.
    Gone,
    /// A person gave it up.
    Abandoned,
}

impl Stage {
    /// Every stage, in the order of a job's life.
    pub const ALL: [Self; 11] = [
        Self::Intended,
        Self::Submitting,
        Self::Accepted,
        Self::Available,
        Self::Downloading,
        Self::Completed,
        Self::InDoubt,
        Self::Rejected,
        Self::Failed,
        Self::Gone,
        Self::Abandoned,
    ];

    /// The word for it in the ledger, in `jobs --json` and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Submitting => "submitting",
            Self::Accepted => "accepted",
            Self::Available => "available",
            Self::Downloading => "downloading",
            Self::Completed => "completed",
            Self::InDoubt => "in_doubt",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Abandoned => "abandoned",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == word)
    }

    /// Whether nothing is left to do: completed, rejected, failed, gone or abandoned.
    pub fn is_settled(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Rejected | Self::Failed | Self::Gone | Self::Abandoned
        )
    }

    /// Whether whoever works on it may ask the vendor for it: held, ready or being fetched.
    pub(crate) fn is_polled(self) -> bool {
        matches!(self, Self::Accepted | Self::Available | Self::Downloading)
    }

    /// Whether the same input is new from this stage on: nothing was bought, or somebody gave it up.
    /// To anything else it attaches, so that only *again* pays anew.
    pub(crate) fn frees_input(self) -> bool {
        matches!(self, Self::Abandoned | Self::Rejected)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transition {
    /// The paid call is about to be made.
    Submit,
    /// The paid call provably never left, or was refused before any work: it may be made again.
    NotSent,
    /// The vendor, or a check before sending, said no; nothing was charged.
    Reject,
    /// The vendor accepted it.
    Accept,
    /// The call's outcome cannot be learnt: the answer was lost, or the process died while sending.
    Doubt,
    /// A poll saw it unfinished.
    Poll,
    /// A poll saw it finished.
    MakeAvailable,
    /// The download begins, or begins again.
    Download,
    /// The result cannot be fetched with what is known: poll again to get another link.
    ExpireLink,
    /// The result is here.
    Complete,
    /// The vendor gave up on it.
    Fail,
    /// The vendor no longer has it.
    Disappear,
    /// A job found at the vendor is taken to be this one.
    Adopt,
    /// A person gives it up.
    Abandon,
    /// Its result is to be fetched again.
    Reopen,
}

impl Transition {
    /// Every transition.
    pub const ALL: [Self; 15] = [
        Self::Submit,
        Self::NotSent,
        Self::Reject,
        Self::Accept,
        Self::Doubt,
        Self::Poll,
        Self::MakeAvailable,
        Self::Download,
        Self::ExpireLink,
        Self::Complete,
        Self::Fail,
        Self::Disappear,
        Self::Adopt,
        Self::Abandon,
        Self::Reopen,
    ];
}

/// A transition that does not exist from that stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot make the move {transition:?}")]
pub struct IllegalTransition {
    /// The stage the job is in.
    pub from: Stage,
    /// What was asked for.
    pub transition: Transition,
}

/// The stage after a move.
///
/// # Errors
/// [`IllegalTransition`] for every pair that the way of a job does not have.
pub fn transition(from: Stage, step: Transition) -> Result<Stage, IllegalTransition> {
    use Stage as S;
    use Transition as M;
    Ok(match (from, step) {
        (S::Intended, M::Submit) => S::Submitting,
        (S::Submitting, M::NotSent) => S::Intended,
        (S::Intended | S::Submitting, M::Reject) => S::Rejected,
        // From unknown: the answer of the very attempt that was given up for lost.
        (S::Submitting | S::InDoubt, M::Accept) => S::Accepted,
        (S::Submitting | S::InDoubt, M::Doubt) => S::InDoubt,
        (S::InDoubt, M::Adopt) => S::Accepted,
        (S::Accepted, M::Poll) => S::Accepted,
        (S::Accepted, M::MakeAvailable) => S::Available,
        (S::Available | S::Downloading, M::Download) => S::Downloading,
        (S::Available | S::Downloading, M::ExpireLink) => S::Accepted,
        // From ready: an output that is an id and not a document needs no download.
        (S::Available | S::Downloading, M::Complete) => S::Completed,
        (S::Accepted | S::Available | S::Downloading, M::Fail) => S::Failed,
        (S::Accepted | S::Available | S::Downloading, M::Disappear) => S::Gone,
        (S::Completed, M::Reopen) => S::Accepted,
        (S::Intended | S::Accepted | S::Available | S::Downloading | S::InDoubt, M::Abandon) => {
            S::Abandoned
        }
        (from, step) => {
            return Err(IllegalTransition {
                from,
                transition: step,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a stage: every legal move and where it leads.
    const LEGAL: &[(Stage, &[(Transition, Stage)])] = {
        use Stage as S;
        use Transition as M;
        &[
            (
                S::Intended,
                &[
                    (M::Submit, S::Submitting),
                    (M::Reject, S::Rejected),
                    (M::Abandon, S::Abandoned),
                ],
            ),
            (
                S::Submitting,
                &[
                    (M::NotSent, S::Intended),
                    (M::Reject, S::Rejected),
                    (M::Accept, S::Accepted),
                    (M::Doubt, S::InDoubt),
                ],
            ),
            (
                S::Accepted,
                &[
                    (M::Poll, S::Accepted),
                    (M::MakeAvailable, S::Available),
                    (M::Fail, S::Failed),
                    (M::Disappear, S::Gone),
                    (M::Abandon, S::Abandoned),
                ],
            ),
            (
                S::Available,
                &[
                    (M::Download, S::Downloading),
                    (M::ExpireLink, S::Accepted),
                    (M::Complete, S::Completed),
                    (M::Fail, S::Failed),
                    (M::Disappear, S::Gone),
                    (M::Abandon, S::Abandoned),
                ],
            ),
            (
                S::Downloading,
                &[
                    (M::Download, S::Downloading),
                    (M::ExpireLink, S::Accepted),
                    (M::Complete, S::Completed),
                    (M::Fail, S::Failed),
                    (M::Disappear, S::Gone),
                    (M::Abandon, S::Abandoned),
                ],
            ),
            (S::Completed, &[(M::Reopen, S::Accepted)]),
            (
                S::InDoubt,
                &[
                    (M::Accept, S::Accepted),
                    (M::Doubt, S::InDoubt),
                    (M::Adopt, S::Accepted),
                    (M::Abandon, S::Abandoned),
                ],
            ),
            (S::Rejected, &[]),
            (S::Failed, &[]),
            (S::Gone, &[]),
            (S::Abandoned, &[]),
        ]
    };

    #[test]
    fn exactly_the_listed_moves_are_legal() {
        assert_eq!(LEGAL.len(), Stage::ALL.len());
        for (from, legal) in LEGAL {
            for step in Transition::ALL {
                let expected = legal.iter().find(|(m, _)| *m == step).map(|(_, to)| *to);
                let got = transition(*from, step);
                assert_eq!(got.ok(), expected, "{from} {step:?}");
                if expected.is_none() {
                    assert_eq!(
                        got,
                        Err(IllegalTransition {
                            from: *from,
                            transition: step
                        })
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_that_may_have_been_charged_is_sent_again() {
        for stage in Stage::ALL {
            assert_eq!(
                transition(stage, Transition::Submit).is_ok(),
                stage == Stage::Intended,
                "{stage}"
            );
        }
        assert!(transition(Stage::InDoubt, Transition::NotSent).is_err());
    }

    #[test]
    fn words_come_back() {
        for stage in Stage::ALL {
            assert_eq!(Stage::parse(stage.as_str()), Some(stage));
        }
        assert_eq!(Stage::parse("Held"), None);
    }

    #[test]
    fn the_same_input_is_new_exactly_after_a_refusal_or_when_it_was_given_up() {
        use Stage::{Abandoned, Completed, Failed, Gone, Rejected};
        let settled: Vec<Stage> = Stage::ALL.into_iter().filter(|s| s.is_settled()).collect();
        assert_eq!(settled, [Completed, Rejected, Failed, Gone, Abandoned]);
        for from in Stage::ALL {
            for step in Transition::ALL {
                if let Ok(to) = transition(from, step) {
                    let frees = matches!(step, Transition::Reject | Transition::Abandon);
                    assert_eq!(to.frees_input(), frees, "{from} {step:?}");
                }
            }
        }
    }

    #[test]
    fn a_stage_is_printed_as_its_word_and_as_wide_as_asked_for() {
        assert_eq!(
            format!("{:>10}|{}", Stage::Accepted, Stage::Gone),
            "  accepted|gone"
        );
    }
}

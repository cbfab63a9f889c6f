//! Which stage a job is in and which moves lead from one to the next.

use std::fmt;

/// How far a job is, as far as this ledger knows.
///
/// The way of an undisturbed job is `intended → submitting → accepted → available → downloading → completed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Written down; nothing was sent yet.
    Wanted,
    /// The paid call is about to be made or being made: from here on it may have been charged.
    Sending,
    /// The vendor accepted it and gave an id.
    Held,
    /// The vendor finished it; the result can be fetched.
    Ready,
    /// The result is being fetched.
    Fetching,
    /// The result is here.
    Done,
    /// It may have been accepted and charged, and nobody knows.
    Unknown,
    /// The submit was refused: the vendor has no such job, and nothing was bought.
    Rejected,
    /// The vendor accepted it and gave up on it.
    Failed,
    /// The vendor no longer has the job or its result.
    Gone,
    /// A person gave it up.
    Stopped,
}

impl Stage {
    /// Every stage, in the order of a job's life.
    pub const ALL: [Self; 11] = [
        Self::Wanted,
        Self::Sending,
        Self::Held,
        Self::Ready,
        Self::Fetching,
        Self::Done,
        Self::Unknown,
        Self::Rejected,
        Self::Failed,
        Self::Gone,
        Self::Stopped,
    ];

    /// The word for it in the ledger, in `jobs --json` and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "intended",
            Self::Sending => "submitting",
            Self::Held => "accepted",
            Self::Ready => "available",
            Self::Fetching => "downloading",
            Self::Done => "completed",
            Self::Unknown => "in_doubt",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Stopped => "abandoned",
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
            Self::Done | Self::Rejected | Self::Failed | Self::Gone | Self::Stopped
        )
    }

    /// Whether whoever works on it may ask the vendor for it: held, ready or being fetched.
    pub(crate) fn is_looked_at(self) -> bool {
        matches!(self, Self::Held | Self::Ready | Self::Fetching)
    }

    /// Whether the same input is new from this stage on: nothing was bought, or somebody gave it up.
    /// To anything else it attaches, so that only *again* pays anew.
    pub(crate) fn frees_input(self) -> bool {
        matches!(self, Self::Stopped | Self::Rejected)
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
pub enum Move {
    /// The paid call is about to be made.
    Send,
    /// The paid call provably never left, or was refused before any work: it may be made again.
    Unsend,
    /// The vendor, or a check before sending, said no; nothing was charged.
    Refuse,
    /// The vendor accepted it.
    Accept,
    /// The call's outcome cannot be learnt: the answer was lost, or the process died while sending.
    Doubt,
    /// A look saw it unfinished.
    Look,
    /// A look saw it finished.
    Finish,
    /// The download begins, or begins again.
    Fetch,
    /// The result cannot be fetched with what is known: look again to get another link.
    Lapse,
    /// The result is here.
    Keep,
    /// The vendor gave up on it.
    Fail,
    /// The vendor no longer has it.
    Vanish,
    /// A job found at the vendor is taken to be this one.
    Adopt,
    /// A person gives it up.
    Abandon,
    /// Its result is wanted once more.
    Reopen,
}

impl Move {
    /// Every move.
    pub const ALL: [Self; 15] = [
        Self::Send,
        Self::Unsend,
        Self::Refuse,
        Self::Accept,
        Self::Doubt,
        Self::Look,
        Self::Finish,
        Self::Fetch,
        Self::Lapse,
        Self::Keep,
        Self::Fail,
        Self::Vanish,
        Self::Adopt,
        Self::Abandon,
        Self::Reopen,
    ];
}

/// A move that does not exist from that stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot make the move {step:?}")]
pub struct IllegalMove {
    /// The stage the job is in.
    pub from: Stage,
    /// What was asked for.
    pub step: Move,
}

/// The stage after a move.
///
/// # Errors
/// [`IllegalMove`] for every pair that the way of a job does not have.
pub fn apply(from: Stage, step: Move) -> Result<Stage, IllegalMove> {
    use Move as M;
    use Stage as S;
    Ok(match (from, step) {
        (S::Wanted, M::Send) => S::Sending,
        (S::Sending, M::Unsend) => S::Wanted,
        (S::Wanted | S::Sending, M::Refuse) => S::Rejected,
        // From unknown: the answer of the very attempt that was given up for lost.
        (S::Sending | S::Unknown, M::Accept) => S::Held,
        (S::Sending | S::Unknown, M::Doubt) => S::Unknown,
        (S::Unknown, M::Adopt) => S::Held,
        (S::Held, M::Look) => S::Held,
        (S::Held, M::Finish) => S::Ready,
        (S::Ready | S::Fetching, M::Fetch) => S::Fetching,
        (S::Ready | S::Fetching, M::Lapse) => S::Held,
        // From ready: an output that is an id and not a document needs no download.
        (S::Ready | S::Fetching, M::Keep) => S::Done,
        (S::Held | S::Ready | S::Fetching, M::Fail) => S::Failed,
        (S::Held | S::Ready | S::Fetching, M::Vanish) => S::Gone,
        (S::Done, M::Reopen) => S::Held,
        (S::Wanted | S::Held | S::Ready | S::Fetching | S::Unknown, M::Abandon) => S::Stopped,
        (from, step) => return Err(IllegalMove { from, step }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a stage: every legal move and where it leads.
    const LEGAL: &[(Stage, &[(Move, Stage)])] = {
        use Move as M;
        use Stage as S;
        &[
            (
                S::Wanted,
                &[
                    (M::Send, S::Sending),
                    (M::Refuse, S::Rejected),
                    (M::Abandon, S::Stopped),
                ],
            ),
            (
                S::Sending,
                &[
                    (M::Unsend, S::Wanted),
                    (M::Refuse, S::Rejected),
                    (M::Accept, S::Held),
                    (M::Doubt, S::Unknown),
                ],
            ),
            (
                S::Held,
                &[
                    (M::Look, S::Held),
                    (M::Finish, S::Ready),
                    (M::Fail, S::Failed),
                    (M::Vanish, S::Gone),
                    (M::Abandon, S::Stopped),
                ],
            ),
            (
                S::Ready,
                &[
                    (M::Fetch, S::Fetching),
                    (M::Lapse, S::Held),
                    (M::Keep, S::Done),
                    (M::Fail, S::Failed),
                    (M::Vanish, S::Gone),
                    (M::Abandon, S::Stopped),
                ],
            ),
            (
                S::Fetching,
                &[
                    (M::Fetch, S::Fetching),
                    (M::Lapse, S::Held),
                    (M::Keep, S::Done),
                    (M::Fail, S::Failed),
                    (M::Vanish, S::Gone),
                    (M::Abandon, S::Stopped),
                ],
            ),
            (S::Done, &[(M::Reopen, S::Held)]),
            (
                S::Unknown,
                &[
                    (M::Accept, S::Held),
                    (M::Doubt, S::Unknown),
                    (M::Adopt, S::Held),
                    (M::Abandon, S::Stopped),
                ],
            ),
            (S::Rejected, &[]),
            (S::Failed, &[]),
            (S::Gone, &[]),
            (S::Stopped, &[]),
        ]
    };

    #[test]
    fn exactly_the_listed_moves_are_legal() {
        assert_eq!(LEGAL.len(), Stage::ALL.len());
        for (from, legal) in LEGAL {
            for step in Move::ALL {
                let expected = legal.iter().find(|(m, _)| *m == step).map(|(_, to)| *to);
                let got = apply(*from, step);
                assert_eq!(got.ok(), expected, "{from} {step:?}");
                if expected.is_none() {
                    assert_eq!(got, Err(IllegalMove { from: *from, step }));
                }
            }
        }
    }

    #[test]
    fn nothing_that_may_have_been_charged_is_sent_again() {
        for stage in Stage::ALL {
            assert_eq!(
                apply(stage, Move::Send).is_ok(),
                stage == Stage::Wanted,
                "{stage}"
            );
        }
        assert!(apply(Stage::Unknown, Move::Unsend).is_err());
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
        use Stage::{Done, Failed, Gone, Rejected, Stopped};
        let settled: Vec<Stage> = Stage::ALL.into_iter().filter(|s| s.is_settled()).collect();
        assert_eq!(settled, [Done, Rejected, Failed, Gone, Stopped]);
        for from in Stage::ALL {
            for step in Move::ALL {
                if let Ok(to) = apply(from, step) {
                    let frees = matches!(step, Move::Refuse | Move::Abandon);
                    assert_eq!(to.frees_input(), frees, "{from} {step:?}");
                }
            }
        }
    }

    #[test]
    fn a_stage_is_printed_as_its_word_and_as_wide_as_asked_for() {
        assert_eq!(
            format!("{:>10}|{}", Stage::Held, Stage::Gone),
            "  accepted|gone"
        );
    }
}

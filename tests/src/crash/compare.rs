//! Holds the vendor's ledger of charges against ours: pure decisions over what both say.

use std::fmt;
use std::path::PathBuf;

use jobs_ledger::Stage;

/// A job as the vendor knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The vendor's id.
    pub remote: String,
    /// What it was made of.
    pub input: String,
    /// How often it was charged.
    pub charges: usize,
}

/// A job as our ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Our id.
    pub id: String,
    /// What it is made of.
    pub input: String,
    /// How far it is.
    pub stage: Stage,
    /// The vendor's id.
    pub remote: Option<String>,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The same input was paid for more than once.
    DoubleCharge {
        /// The input.
        input: String,
        /// How many jobs the vendor made of it.
        jobs: usize,
        /// How many charges stand in its ledger.
        charges: usize,
    },
    /// The vendor has a job of which our ledger knows nothing.
    Lost {
        /// The vendor's id.
        remote: String,
        /// What our ledger says of that input.
        kept: Vec<Kept>,
    },
    /// A job that was paid for and is sound was given up.
    GivenUp(Kept),
    /// Our ledger names a job that the vendor never made.
    Phantom(Kept),
    /// A file stands at its final name and is not the result.
    WrongFile {
        /// Its name.
        path: PathBuf,
        /// Its length.
        len: usize,
        /// The length of the result.
        wanted: usize,
    },
    /// A file that a process was still writing when it was killed.
    HalfFile(PathBuf),
    /// Everything was done to settle it, and it is not settled.
    Wedged(String),
    /// A submit in doubt of which nobody was told by exit code 5.
    Unreported(Kept),
    /// A command ended as it must not.
    Exit {
        /// The words of the command.
        command: String,
        /// Its code; none if a signal ended it that was not ours.
        code: Option<i32>,
        /// The last line of stderr.
        line: String,
    },
    /// More was spent than allowed.
    OverBudget {
        /// The vendor's charges.
        spent: usize,
        /// The budget.
        budget: usize,
    },
    /// The vendor's limit of requests was passed.
    TooFast(String),
    /// A job whose process was killed was not taken up in time.
    Late(String),
}

impl Violation {
    /// Whether money was spent twice.
    pub fn is_double_charge(&self) -> bool {
        matches!(self, Self::DoubleCharge { .. })
    }

    /// Whether something paid for is gone.
    pub fn is_lost_job(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::GivenUp(_))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoubleCharge {
                input,
                jobs,
                charges,
            } => write!(
                f,
                "DOUBLE CHARGE: {input}: {jobs} jobs at the vendor, {charges} charges"
            ),
            Self::Lost { remote, kept } => {
                write!(f, "LOST JOB: {remote}; our ledger says {kept:?}")
            }
            Self::GivenUp(kept) => write!(f, "PAID FOR AND GIVEN UP: {kept:?}"),
            Self::Phantom(kept) => write!(f, "no such job at the vendor: {kept:?}"),
            Self::WrongFile { path, len, wanted } => write!(
                f,
                "WRONG FILE: {} has {len} bytes, the result has {wanted}",
                path.display()
            ),
            Self::HalfFile(path) => write!(f, "HALF FILE left behind: {}", path.display()),
            Self::Wedged(what) => write!(f, "WEDGED: {what}"),
            Self::Unreported(kept) => write!(f, "in doubt, and nobody was told: {kept:?}"),
            Self::Exit {
                command,
                code,
                line,
            } => write!(f, "{command:?} ended with {code:?}: {line}"),
            Self::OverBudget { spent, budget } => {
                write!(f, "OVER BUDGET: {spent} charged, {budget} allowed")
            }
            Self::TooFast(what) => write!(f, "TOO FAST: {what}"),
            Self::Late(what) => write!(f, "LATE: {what}"),
        }
    }
}

/// What must hold at every moment at which no process runs: nothing bought twice, nothing lost.
///
/// `allowed` is how many charges one job may show: one, or the budget of calls where each call costs.
pub fn money(bought: &[Purchase], kept: &[Kept], allowed: usize) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut inputs: Vec<&str> = bought.iter().map(|job| job.input.as_str()).collect();
    inputs.sort_unstable();
    inputs.dedup();
    for input in inputs {
        let same = || bought.iter().filter(|job| job.input == input);
        let (jobs, charges) = (same().count(), same().map(|job| job.charges).sum());
        if jobs > 1 || charges > allowed {
            violations.push(Violation::DoubleCharge {
                input: input.to_owned(),
                jobs,
                charges,
            });
        }
    }
    for job in bought {
        let ours = |kept: &&Kept| kept.remote.as_ref() == Some(&job.remote);
        let in_doubt = |kept: &Kept| {
            kept.remote.is_none()
                && kept.input == job.input
                && matches!(kept.stage, Stage::Submitting | Stage::InDoubt)
        };
        match kept.iter().find(ours) {
            Some(ours) if is_given_up(ours.stage) => {
                violations.push(Violation::GivenUp(ours.clone()));
            }
            Some(_) => {}
            None if kept.iter().any(in_doubt) => {}
            None => {
                let kept = kept.iter().filter(|kept| kept.input == job.input);
                violations.push(Violation::Lost {
                    remote: job.remote.clone(),
                    kept: kept.cloned().collect(),
                });
            }
        }
    }
    for kept in kept {
        if let Some(remote) = &kept.remote
            && bought.iter().all(|job| job.remote != *remote)
        {
            violations.push(Violation::Phantom(kept.clone()));
        }
    }
    violations
}

fn is_given_up(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::Rejected | Stage::Failed | Stage::Gone | Stage::Abandoned
    )
}

/// What a person decides about a job in doubt after a look into the vendor's console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is this one.
    Adopt(String),
    /// The vendor has nothing of the kind.
    Abandon,
}

/// The decision; none when the console does not tell either.
pub fn decide(doubt: &Kept, bought: &[Purchase], kept: &[Kept]) -> Option<Decision> {
    let unaccounted: Vec<&Purchase> = bought
        .iter()
        .filter(|job| job.input == doubt.input)
        .filter(|job| {
            kept.iter()
                .all(|kept| kept.remote.as_ref() != Some(&job.remote))
        })
        .collect();
    match unaccounted.as_slice() {
        [] => Some(Decision::Abandon),
        [job] => Some(Decision::Adopt(job.remote.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bought(remote: &str, charges: usize) -> Purchase {
        Purchase {
            remote: remote.to_owned(),
            input: "in".to_owned(),
            charges,
        }
    }

    fn kept(stage: Stage, remote: Option<&str>) -> Kept {
        Kept {
            id: "1".to_owned(),
            input: "in".to_owned(),
            stage,
            remote: remote.map(str::to_owned),
        }
    }

    #[test]
    fn what_agrees_is_no_violation() {
        for (there, here) in [
            (vec![], vec![]),
            (vec![], vec![kept(Stage::Intended, None)]),
            (vec![], vec![kept(Stage::InDoubt, None)]),
            (
                vec![bought("a", 1)],
                vec![kept(Stage::Completed, Some("a"))],
            ),
            (vec![bought("a", 0)], vec![kept(Stage::Accepted, Some("a"))]),
            (vec![bought("a", 1)], vec![kept(Stage::Submitting, None)]),
            (vec![bought("a", 1)], vec![kept(Stage::InDoubt, None)]),
            (
                vec![bought("a", 1)],
                vec![
                    kept(Stage::Abandoned, None),
                    kept(Stage::Completed, Some("a")),
                ],
            ),
        ] {
            assert_eq!(money(&there, &here, 1), [], "{there:?} {here:?}");
        }
    }

    #[test]
    fn a_made_up_second_charge_is_caught() {
        let here = [kept(Stage::Completed, Some("a"))];
        let found = money(&[bought("a", 2)], &here, 1);
        assert!(found[0].is_double_charge(), "{found:?}");
        let twice = [bought("a", 1), bought("b", 1)];
        let here = [
            kept(Stage::Completed, Some("a")),
            kept(Stage::Abandoned, Some("b")),
        ];
        let found = money(&twice, &here, 1);
        assert!(found[0].is_double_charge(), "{found:?}");
        assert_eq!(money(&[bought("a", 6)], &here[..1], 6), []);
    }

    #[test]
    fn a_job_that_our_ledger_does_not_know_is_caught() {
        for here in [
            vec![],
            vec![kept(Stage::Intended, None)],
            vec![kept(Stage::Abandoned, None)],
            vec![kept(Stage::Failed, None)],
        ] {
            let found = money(&[bought("a", 1)], &here, 1);
            assert!(found[0].is_lost_job(), "{here:?}: {found:?}");
        }
        let found = money(&[bought("a", 1)], &[kept(Stage::Failed, Some("a"))], 1);
        assert!(found[0].is_lost_job(), "{found:?}");
        let found = money(&[], &[kept(Stage::Accepted, Some("a"))], 1);
        assert!(matches!(found[..], [Violation::Phantom(_)]), "{found:?}");
    }

    #[test]
    fn a_person_adopts_the_one_job_that_nobody_accounts_for() {
        let doubt = kept(Stage::InDoubt, None);
        let adopt = |remote: &str| Some(Decision::Adopt(remote.to_owned()));
        let known = [doubt.clone(), kept(Stage::Completed, Some("a"))];
        assert_eq!(decide(&doubt, &[], &known), Some(Decision::Abandon));
        assert_eq!(
            decide(&doubt, &[bought("a", 1)], &known),
            Some(Decision::Abandon)
        );
        assert_eq!(decide(&doubt, &[bought("b", 1)], &known), adopt("b"));
        assert_eq!(
            decide(&doubt, &[bought("b", 1), bought("c", 1)], &known),
            None
        );
    }
}

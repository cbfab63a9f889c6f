//! What a seed decides: the work, the shape, the troubles, and where the processes are killed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// Everything that one run does, decided by its seed alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Which command runs.
    pub work: Work,
    /// How many processes run at once.
    pub shape: Shape,
    /// What is done, one after the other, before everything is left to end in peace.
    pub rounds: Vec<Round>,
    /// Which command begins that end.
    pub ending: Start,
}

/// The command under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// `docjobs textin parse`
    Parse,
    /// `docjobs ppj convert`
    Convert,
    /// `docjobs mindshow deck`
    Deck,
    /// `docjobs mindshow pdf`, whose looks may cost.
    Pdf,
    /// `docjobs tencent-ess convert`
    Sign,
    /// `docjobs printer run --once --exec …`
    Print,
}

impl Work {
    /// Every work there is.
    pub const ALL: [Self; 6] = [
        Self::Parse,
        Self::Convert,
        Self::Deck,
        Self::Pdf,
        Self::Sign,
        Self::Print,
    ];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "textin parse",
            Self::Convert => "ppj convert",
            Self::Deck => "mindshow deck",
            Self::Pdf => "mindshow pdf",
            Self::Sign => "tencent convert",
            Self::Print => "printer run",
        }
    }
}

/// How many processes share the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One process, one input (a printer: two jobs).
    Single,
    /// Two processes at once that want the same input at two places.
    SameInput,
    /// Two processes at once with an input each.
    ManyJobs,
}

impl Shape {
    /// How many processes the command is started in.
    pub fn processes(self) -> usize {
        match self {
            Self::Single => 1,
            Self::SameInput | Self::ManyJobs => 2,
        }
    }
}

/// One start of one or two processes, and what befalls them.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// What is started.
    pub start: Start,
    /// Where each process is killed, if it is. `docjobs resume` is one process and uses the first.
    pub shots: Vec<Option<KillPoint>>,
    /// What the vendor does wrong meanwhile.
    pub troubles: Vec<PlannedFault>,
}

/// Two ways to go on after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The same command again.
    Again,
    /// `docjobs resume`; a printer has only the first.
    Resume,
}

/// When SIGKILL strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KillPoint {
    /// At a system call, counted from the start of the program.
    Call {
        /// Which calls count.
        class: Class,
        /// The number of the fatal one, from 1.
        nth: u32,
        /// Whether the kernel still does it.
        side: Side,
    },
    /// Once the vendor has done the paid work and before its answer.
    Unanswered,
    /// This long after the start.
    Instant(Duration),
}

impl KillPoint {
    /// The kind of point, for the table.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Call { class, side, .. } => match (class, side) {
                (Class::Write, Side::Before) => "before write",
                (Class::Write, Side::After) => "after write",
                (Class::Flush, Side::Before) => "before fsync",
                (Class::Flush, Side::After) => "after fsync",
                (Class::Name, Side::Before) => "before rename",
                (Class::Name, Side::After) => "after rename",
                (Class::Send, Side::Before) => "before send",
                (Class::Send, Side::After) => "after send",
                (Class::Receive, Side::Before) => "before receive",
                (Class::Receive, Side::After) => "after receive",
            },
            Self::Unanswered => "unanswered",
            Self::Instant(_) => "instant",
        }
    }
}

/// System calls after which the world may look different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Bytes into a file or pipe.
    Write,
    /// Bytes to the disk.
    Flush,
    /// A name given, changed or taken away; a length changed.
    Name,
    /// A connection, or bytes to a vendor or a database.
    Send,
    /// Bytes from a vendor or a database.
    Receive,
}

impl Class {
    const ALL: [Self; 5] = [
        Self::Write,
        Self::Flush,
        Self::Name,
        Self::Send,
        Self::Receive,
    ];

    /// About how many of them an undisturbed run makes; counted with `strace -f -c`, and a little more, so that the end
    /// of a run is hit as well.
    fn usual(self, work: Work) -> u32 {
        match (self, work) {
            (Self::Write, Work::Print) => 500,
            (Self::Write, _) => 250,
            (Self::Flush, Work::Print) => 30,
            (Self::Flush, _) => 15,
            (Self::Name, _) => 9,
            (Self::Send, Work::Print) => 40,
            (Self::Send, _) => 12,
            (Self::Receive, Work::Print) => 40,
            (Self::Receive, _) => 7,
        }
    }
}

/// Which side of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It is not done.
    Before,
    /// It is done, and its caller never learns of it.
    After,
}

/// A fault of the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedFault {
    /// In which request.
    pub step: Step,
    /// How many of these requests pass before.
    pub skip: u64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// The requests of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The paid one.
    Submit,
    /// The question how far it is.
    Poll,
    /// The download of the result.
    Download,
}

/// What can be wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The connection ends, the work is not done.
    DroppedBefore,
    /// The connection ends, the work is done.
    DroppedAfter,
    /// 503, the work is not done.
    StatusBefore,
    /// 502, the work is done.
    StatusAfter,
    /// Half of the body.
    Cut,
    /// A page that is no JSON.
    NoJson,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        // TextIn and the printer twice: the one is the most used, the other has the most states.
        let work = match rng.u8(0..8) {
            0 | 1 => Work::Parse,
            2 => Work::Convert,
            3 => Work::Deck,
            4 => Work::Pdf,
            5 => Work::Sign,
            _ => Work::Print,
        };
        let shape = match (work, rng.u8(0..10)) {
            // A cloud knows one printer, and that has one connection.
            (Work::Print, _) => Shape::Single,
            // A second export of the same deck is refused: it would be paid for.
            (Work::Pdf, 0..=8) => Shape::Single,
            (_, 0..=6) => Shape::Single,
            (_, 7..=8) => Shape::SameInput,
            _ => Shape::ManyJobs,
        };
        let count = match rng.u8(0..12) {
            0 => 0,
            1..=6 => 1,
            7..=9 => 2,
            _ => 3,
        };
        let mut rounds: Vec<Round> = (0..count)
            .map(|round| Round::of(rng, work, shape, round == 0))
            .collect();
        if rounds.is_empty() {
            rounds.push(Round {
                start: Start::Again,
                shots: vec![None; shape.processes()],
                troubles: vec![PlannedFault::of(rng)],
            });
        }
        Self {
            seed,
            work,
            shape,
            rounds,
            ending: Start::of(rng, work),
        }
    }
}

impl Round {
    fn of(rng: &mut Rng, work: Work, shape: Shape, is_first: bool) -> Self {
        let start = if is_first {
            Start::Again
        } else {
            Start::of(rng, work)
        };
        let mut shots = vec![Some(KillPoint::of(rng, work))];
        shots.resize_with(shape.processes(), || {
            rng.bool().then(|| KillPoint::of(rng, work))
        });
        let troubles = match rng.u8(0..10) {
            0..=5 => Vec::new(),
            6..=8 => vec![PlannedFault::of(rng)],
            _ => vec![PlannedFault::of(rng), PlannedFault::of(rng)],
        };
        Self {
            start,
            shots,
            troubles,
        }
    }
}

impl Start {
    fn of(rng: &mut Rng, work: Work) -> Self {
        if work == Work::Print || rng.bool() {
            Self::Again
        } else {
            Self::Resume
        }
    }
}

impl KillPoint {
    pub(super) fn of(rng: &mut Rng, work: Work) -> Self {
        match rng.u8(0..20) {
            0..=11 => {
                let class = *rng.choice(&Class::ALL).unwrap_or(&Class::Write);
                let side = if rng.bool() {
                    Side::Before
                } else {
                    Side::After
                };
                let nth = rng.u32(1..=class.usual(work));
                Self::Call { class, nth, side }
            }
            12..=14 => Self::Unanswered,
            _ => Self::Instant(Duration::from_micros(rng.u64(0..600_000))),
        }
    }
}

impl PlannedFault {
    pub(super) fn of(rng: &mut Rng) -> Self {
        const STEPS: [Step; 4] = [Step::Submit, Step::Submit, Step::Poll, Step::Download];
        const ILLS: [FaultKind; 6] = [
            FaultKind::DroppedBefore,
            FaultKind::DroppedAfter,
            FaultKind::StatusBefore,
            FaultKind::StatusAfter,
            FaultKind::Cut,
            FaultKind::NoJson,
        ];
        let step = *rng.choice(&STEPS).unwrap_or(&Step::Submit);
        Self {
            step,
            skip: if step == Step::Poll { rng.u64(0..3) } else { 0 },
            kind: *rng.choice(&ILLS).unwrap_or(&FaultKind::DroppedAfter),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {}, {:?}",
            self.seed,
            self.work.as_str(),
            self.shape
        )?;
        for round in &self.rounds {
            write!(f, "; {:?}", round.start)?;
            for shot in &round.shots {
                match shot {
                    None => f.write_str(" lives")?,
                    Some(shot) => write!(f, " killed {shot:?}")?,
                }
            }
            for trouble in &round.troubles {
                write!(f, " ({:?} {:?})", trouble.step, trouble.kind)?;
            }
        }
        write!(f, "; then {:?}", self.ending)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_always_means_the_same() {
        for seed in 0..100 {
            assert_eq!(Plan::of(seed), Plan::of(seed));
        }
        assert_ne!(
            Plan::of(1),
            Plan {
                seed: 1,
                ..Plan::of(2)
            }
        );
    }

    #[test]
    fn a_thousand_seeds_meet_every_work_shape_point_and_trouble() {
        let plans: Vec<Plan> = (0..1000).map(Plan::of).collect();
        let works: BTreeSet<Work> = plans.iter().map(|plan| plan.work).collect();
        assert_eq!(works, Work::ALL.into_iter().collect());
        let rounds = || plans.iter().flat_map(|plan| &plan.rounds);
        let kinds: BTreeSet<&str> = rounds()
            .flat_map(|round| round.shots.iter().flatten().map(KillPoint::kind))
            .collect();
        assert_eq!(kinds.len(), 2 * Class::ALL.len() + 2, "{kinds:?}");
        let words =
            |word: fn(&Plan) -> String| -> BTreeSet<String> { plans.iter().map(word).collect() };
        assert_eq!(words(|plan| format!("{:?}", plan.shape)).len(), 3);
        assert_eq!(words(|plan| plan.rounds.len().to_string()).len(), 3);
        let ills: BTreeSet<String> = rounds()
            .flat_map(|round| &round.troubles)
            .map(|trouble| format!("{:?} {:?}", trouble.step, trouble.kind))
            .collect();
        assert_eq!(ills.len(), 3 * 6, "{ills:?}");
    }

    #[test]
    fn the_first_round_is_the_command_itself_and_a_printer_is_never_resumed() {
        for plan in (0..1000).map(Plan::of) {
            assert_eq!(plan.rounds[0].start, Start::Again, "{plan}");
            let resumed = plan.rounds.iter().any(|round| round.start == Start::Resume);
            assert!(plan.work != Work::Print || !resumed, "{plan}");
        }
    }
}

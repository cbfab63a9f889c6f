//! The right to work on one job, typed by the stage the job is in.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use crate::id::LedgerId;
use crate::job_record::JobRecord;
use crate::stage::Stage;

/// The right to work on one job while it is in the stage `S` (one of the types in [`at`]).
///
/// Every write takes the claim and is done only if the job's fence is still the claim's: each new claim raises
/// the fence, so that whoever was paused past its lease writes nothing. Not `Clone`: one holder has it.
#[must_use = "an unused claim keeps others from the job until its lease ends: release it"]
pub struct Claim<S> {
    pub(crate) job: LedgerId,
    pub(crate) fence: i64,
    pub(crate) lease_until: SystemTime,
    stage: PhantomData<fn() -> S>,
}

/// The stages in which a job can be worked on, as types.
///
/// A paid call should ask for a `&Claim<at::Sending>`: then it cannot be written before the ledger says so.
pub mod at {
    /// Nothing was sent yet.
    #[derive(Debug)]
    pub enum Intended {}
    /// The ledger says *submitting* and is flushed: the paid call may be made, once.
    #[derive(Debug)]
    pub enum Submitting {}
    /// The vendor has the job: look.
    #[derive(Debug)]
    pub enum Accepted {}
    /// The vendor has finished: fetch.
    #[derive(Debug)]
    pub enum Available {}
    /// The result is being fetched.
    #[derive(Debug)]
    pub enum Downloading {}
    /// Nobody knows whether the vendor took it: search, or let a person decide.
    #[derive(Debug)]
    pub enum InDoubt {}
}

/// A stage as a type; see [`at`].
pub trait AtStage: sealed::Sealed {
    /// The stage as a value.
    const STAGE: Stage;
}

/// Stages of which a person may give up a job. Not [`at::Submitting`]: while a call is under way its outcome is awaited.
pub trait Abandonable: AtStage {}

/// Stages in which the vendor has told of the job's end: it can fail or be gone.
pub trait AtVendor: AtStage {}

/// Stages in which a result is known.
pub trait WithResult: AtStage {}

/// Stages in which nothing was charged if the vendor says no.
pub trait Rejectable: AtStage {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! stages {
    ($($stage:ident: $($extra:ident)*;)*) => {$(
        impl sealed::Sealed for at::$stage {}
        impl AtStage for at::$stage {
            const STAGE: Stage = Stage::$stage;
        }
        $(impl $extra for at::$stage {})*
    )*};
}

stages! {
    Intended: Abandonable Rejectable;
    Submitting: Rejectable;
    Accepted: Abandonable AtVendor;
    Available: Abandonable AtVendor WithResult;
    Downloading: Abandonable AtVendor WithResult;
    InDoubt: Abandonable;
}

/// A claim without its stage, for batches: which job, and which fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimKey {
    pub(crate) job: LedgerId,
    pub(crate) fence: i64,
}

impl ClaimKey {
    /// The job.
    pub fn job(self) -> LedgerId {
        self.job
    }

    /// The fence.
    pub fn fence(self) -> i64 {
        self.fence
    }
}

impl<S> Claim<S> {
    pub(crate) fn new(job: LedgerId, fence: i64, lease_until: SystemTime) -> Self {
        Self {
            job,
            fence,
            lease_until,
            stage: PhantomData,
        }
    }

    pub(crate) fn moved<T>(&self, lease_until: SystemTime) -> Claim<T> {
        Claim::new(self.job, self.fence, lease_until)
    }

    /// The job.
    pub fn job(&self) -> LedgerId {
        self.job
    }

    /// The fence: grows with each claim of the job.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// When others may take the job over, unless it is renewed.
    pub fn lease_until(&self) -> SystemTime {
        self.lease_until
    }

    /// The lease that is left at `now`. Look at it right before the paid call: a process that was stopped in between
    /// must not make it.
    pub fn left(&self, now: SystemTime) -> Duration {
        self.lease_until.duration_since(now).unwrap_or_default()
    }

    /// The claim without its stage.
    pub fn key(&self) -> ClaimKey {
        ClaimKey {
            job: self.job,
            fence: self.fence,
        }
    }
}

impl<S: AtStage> fmt::Debug for Claim<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("job", &format_args!("{}", self.job))
            .field("stage", &S::STAGE)
            .field("fence", &self.fence)
            .field("lease_until", &self.lease_until)
            .finish()
    }
}

/// A job that was taken up, with the claim that its stage allows.
///
/// There is no claim in *submitting*: whoever takes up such a job finds it *in_doubt*.
#[derive(Debug)]
#[must_use = "an unused claim keeps others from the job until its lease ends: release it"]
#[non_exhaustive]
pub enum Claimed {
    /// Nothing was sent: go on with [`begin_submit`](crate::Ledger::begin_submit).
    Intended(Claim<at::Intended>, JobRecord),
    /// The vendor has it: look.
    Accepted(Claim<at::Accepted>, JobRecord),
    /// The vendor has finished: fetch.
    Available(Claim<at::Available>, JobRecord),
    /// A download was begun and not ended: begin or resume it.
    Downloading(Claim<at::Downloading>, JobRecord),
    /// It may have been accepted: search where the vendor allows it, else [`park`](crate::Due::Parked) it.
    InDoubt(Claim<at::InDoubt>, JobRecord),
}

impl Claimed {
    /// The job as it was when it was claimed.
    pub fn job(&self) -> &JobRecord {
        match self {
            Self::Intended(_, job)
            | Self::Accepted(_, job)
            | Self::Available(_, job)
            | Self::Downloading(_, job)
            | Self::InDoubt(_, job) => job,
        }
    }

    /// The claim without its stage.
    pub fn key(&self) -> ClaimKey {
        match self {
            Self::Intended(claim, _) => claim.key(),
            Self::Accepted(claim, _) => claim.key(),
            Self::Available(claim, _) => claim.key(),
            Self::Downloading(claim, _) => claim.key(),
            Self::InDoubt(claim, _) => claim.key(),
        }
    }
}

/// What became of the wish to work on one job.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum ClaimOutcome {
    /// It is yours.
    Claimed(Claimed),
    /// Another process works on it, as far as can be known from here.
    Busy {
        /// When its lease ends, unless it is renewed. If it ends on this machine before, it can be claimed at once.
        until: SystemTime,
        /// The job as it is.
        job: JobRecord,
    },
    /// There is nothing left to do.
    Settled(JobRecord),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim<at::Accepted> {
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        Claim::new(LedgerId::new(60_000_000), 7, until)
    }

    #[test]
    fn a_claim_keeps_its_job_and_fence_whatever_its_stage() {
        let claim = claim();
        let later = claim.lease_until() + Duration::from_secs(10);
        let moved: Claim<at::Available> = claim.moved(later);
        assert_eq!((moved.job(), moved.fence()), (claim.job(), 7));
        assert_eq!(moved.lease_until(), later);
        assert_eq!(moved.key(), claim.key());
        assert_eq!((claim.key().job(), claim.key().fence()), (claim.job(), 7));
    }

    #[test]
    fn a_lease_runs_out_and_never_below_nothing() {
        let claim = claim();
        let before = |seconds| claim.lease_until() - Duration::from_secs(seconds);
        assert_eq!(claim.left(before(9)), Duration::from_secs(9));
        assert_eq!(claim.left(before(0)), Duration::ZERO);
        let after = claim.lease_until() + Duration::from_secs(1);
        assert_eq!(claim.left(after), Duration::ZERO);
    }

    #[test]
    fn a_printed_claim_names_job_stage_and_fence() {
        let claim = claim();
        let printed = format!("{claim:?}");
        for part in [&claim.job().to_string(), "stage: Accepted", "fence: 7"] {
            assert!(printed.contains(part), "{printed}");
        }
    }
}

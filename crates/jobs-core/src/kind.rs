//! The one trait that a vendor implements.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::{Delivery, Error, ErrorKind};
use crate::id::{Account, JobId};
use crate::kind_policy::KindPolicy;
use crate::status::Snapshot;

/// One kind of job at one vendor.
///
/// Object-safe and batch first: a poll is always of several jobs, and each gets an answer of its own.
#[async_trait]
pub trait JobKind: Debug + Send + Sync {
    /// What a finished job gives. Small: a link or an id, never a document.
    type Output: Send + 'static;

    /// The vendor, by the name of its crate: lower-case letters, digits, hyphens; at most 20.
    fn vendor(&self) -> &'static str;

    /// The kind among those of the vendor, in the same alphabet. It is part of tickets, so it never changes.
    fn name(&self) -> &'static str;

    /// The account whose jobs these are.
    fn account(&self) -> Account;

    /// What is known of this kind.
    fn policy(&self) -> &KindPolicy;

    /// The clock by which its jobs are waited for.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// Kinds of one name and account that return the same number poll each other's jobs: a [`Fleet`](crate::fleet::Fleet) puts such
    /// jobs on one poll. A client that makes a new kind for each of its jobs returns its own address. By default, jobs are
    /// polled together that share one `Arc` of the kind.
    fn poll_group(&self) -> Option<usize> {
        None
    }

    /// Polls once at each of `ids`, at most [`KindPolicy::max_batch`] of them, in as few requests as the vendor allows.
    ///
    /// Does not repeat anything by itself and may be dropped at any await. Start from [`PollResults::of`], which holds a
    /// failed look for every id: one that the vendor did not mention then stays just that, never a result.
    async fn poll(&self, ids: &[JobId]) -> PollResults<Self::Output>;
}

/// The outcome of one poll of one job.
pub type PollResult<O> = Result<Snapshot<O>, Error>;

/// One outcome for each id that was asked for, in that order.
#[derive(Debug)]
pub struct PollResults<O> {
    vendor: &'static str,
    /// The ids, a blank after each: an id has none, and one text costs less than a copy of every id. Needed for
    /// what the answer does not mention, which is hardly ever anything.
    ids: Box<str>,
    results: Box<[Option<PollResult<O>>]>,
}

impl<O> PollResults<O> {
    /// No answer yet for any of `ids`: each is a failed poll until [`set`](Self::set).
    pub fn of(vendor: &'static str, ids: &[JobId]) -> Self {
        let length = ids.iter().map(|id| id.as_str().len() + 1).sum();
        let mut texts = String::with_capacity(length);
        for id in ids {
            texts.push_str(id.as_str());
            texts.push(' ');
        }
        Self {
            vendor,
            ids: texts.into(),
            results: ids.iter().map(|_| None).collect(),
        }
    }

    /// The same failure for all of `ids`.
    pub fn failed(ids: &[JobId], error: &Error) -> Self {
        Self {
            vendor: error.vendor(),
            ids: Box::default(),
            results: ids.iter().map(|_| Some(Err(error.clone()))).collect(),
        }
    }

    /// Puts the answer for the id at `place`; ignored when there is no such place.
    pub fn set(&mut self, place: usize, poll: PollResult<O>) {
        if let Some(slot) = self.results.get_mut(place) {
            *slot = Some(poll);
        }
    }

    /// The outcomes in the order of the ids.
    pub fn into_vec(self) -> Vec<PollResult<O>> {
        let mut ids = self.ids.split(' ');
        let unmentioned = |id: Option<&str>| {
            let error = Error::new(ErrorKind::UnexpectedResponse, self.vendor, "poll")
                .with_delivery(Delivery::Answered)
                .with_message("the answer does not mention the job");
            match id.map(JobId::new) {
                Some(Ok(id)) => error.with_job(id),
                _ => error,
            }
        };
        self.results
            .into_iter()
            .map(|answer| {
                let id = ids.next();
                answer.unwrap_or_else(|| Err(unmentioned(id)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_answer_does_not_mention_is_a_failed_poll_that_names_its_job() {
        let ids = ["a", "b", "c"].map(|id| JobId::new(id).unwrap());
        let mut polls = PollResults::<()>::of("v", &ids);
        polls.set(1, Ok(Snapshot::new(crate::Status::Running, "busy")));
        polls.set(3, Ok(Snapshot::new(crate::Status::Running, "nobody's")));
        let jobs: Vec<_> = polls
            .into_vec()
            .into_iter()
            .map(|poll| poll.err().and_then(|error| error.job().cloned()))
            .collect();
        let [a, _, c] = ids;
        assert_eq!(jobs, [Some(a), None, Some(c)]);
    }
}

//! Lists jobs: page by page without losing one while the list shrinks, and by id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;

use jobs_core::vendor::{Delivery, RequestClass};
use jobs_core::{Error, ErrorKind, JobId};

use super::{Device, operation_context};
use crate::errors::OperationContext;
use crate::wire::{JobList, ListQuery, ListedJob, MAX_PAGE, PAGE};

/// Most ids in one request.
const IDS: NonZeroUsize = match NonZeroUsize::new(MAX_PAGE as usize) {
    Some(ids) => ids,
    None => NonZeroUsize::MIN,
};

impl Device {
    /// The jobs that the query fits, oldest first, each once. Free and harmless to repeat.
    ///
    /// Jobs leave the list of unprinted ones as soon as they are reported, so that the next page skips some. Each page
    /// therefore begins with the last job of the one before; when it does not, the list is read again from its beginning
    /// until a pass goes through. A query for one page is that one page.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the list shrinks faster than it can be read, [`ErrorKind::TooLarge`] when it has no
    /// end.
    pub async fn jobs(&self, query: ListQuery) -> Result<Vec<ListedJob>, Error> {
        Ok(self.jobs_and_unreadable(query).await?.0)
    }

    /// The same, and how many items of the list have no id that can be read: jobs that nobody can print. At least, where
    /// the list has several pages.
    ///
    /// # Errors
    /// As [`jobs`](Self::jobs).
    pub async fn jobs_and_unreadable(
        &self,
        query: ListQuery,
    ) -> Result<(Vec<ListedJob>, usize), Error> {
        const PASSES: u32 = 10;
        let doing = operation_context("list", None);
        let mut found = Found::default();
        if query.is_one_page() {
            let list = self.list(doing, &query).await?;
            found.add(list.jobs);
            return Ok((found.sorted(), list.unreadable));
        }
        for _ in 0..PASSES {
            if let Some(unreadable) = self.pass(doing, &query, &mut found).await? {
                return Ok((found.sorted(), unreadable));
            }
        }
        Err(doing
            .error(ErrorKind::Unavailable)
            .with_delivery(Delivery::Answered)
            .with_message("the list shrinks faster than it can be read"))
    }

    /// The jobs with these ids, oldest first, in one request for every 200. Ids that the cloud does not know are left out.
    /// Free and harmless to repeat.
    ///
    /// # Errors
    /// Whatever keeps one of the requests from being answered.
    pub async fn jobs_by_id(&self, ids: &[JobId]) -> Result<Vec<ListedJob>, Error> {
        let ids: Vec<&str> = ids.iter().map(JobId::as_str).collect();
        let mut found = Found::default();
        for query in ListQuery::for_jobs(&ids, IDS) {
            let list = self.list(operation_context("list", None), &query).await?;
            // Asked for by id, so anything else is not ours to hand out.
            let asked = list
                .jobs
                .into_iter()
                .filter(|job| ids.contains(&job.id.as_str()));
            found.add(asked);
        }
        Ok(found.sorted())
    }

    /// One poll of up to 200 jobs, not repeated.
    pub(crate) async fn poll(
        &self,
        query: &ListQuery,
        job: Option<&str>,
    ) -> Result<JobList, Error> {
        self.list_once(operation_context("poll", job), query).await
    }

    async fn list(&self, doing: OperationContext<'_>, query: &ListQuery) -> Result<JobList, Error> {
        let mut repeats = self.repeats();
        let list = loop {
            match self.list_once(doing, query).await {
                Ok(list) => break list,
                // A smaller page is a better answer to this than the same one again.
                Err(error) if error.kind() == ErrorKind::TooLarge && query.is_page() => {
                    return Err(error);
                }
                Err(error) => repeats.pause(error).await?,
            }
        };
        if list.unreadable > 0 {
            tracing::warn!(items = list.unreadable, "listed jobs without an id");
        }
        Ok(list)
    }

    async fn list_once(
        &self,
        doing: OperationContext<'_>,
        query: &ListQuery,
    ) -> Result<JobList, Error> {
        let permit = self.0.list_limiter.acquire(RequestClass::Poll).await;
        let permit = permit.map_err(|cause| doing.not_admitted(cause))?;
        let answer = self.request(doing, query).await;
        match &answer {
            Ok(_) => permit.accepted(),
            Err(error) if error.kind() == ErrorKind::RateLimited => {
                permit.rate_limited(error.retry_after())
            }
            Err(_) => {}
        }
        let answer = answer?;
        JobList::from_answer(&answer).map_err(|error| doing.protocol(error))
    }

    /// Reads all pages once, and tells how many items of one of them cannot be read; `None` when the list has shrunk
    /// meanwhile.
    async fn pass(
        &self,
        doing: OperationContext<'_>,
        query: &ListQuery,
        found: &mut Found,
    ) -> Result<Option<usize>, Error> {
        // Seven days of jobs of one printer are far fewer.
        const MOST: usize = 100_000;
        let mut offset = 0;
        let mut size = PAGE;
        let mut last: Option<String> = None;
        // Pages overlap, so that a sum would count some twice.
        let mut unreadable = 0;
        loop {
            let page = query
                .clone()
                .with_page(offset, size)
                .map_err(|error| doing.protocol(error))?;
            let list = match self.list(doing, &page).await {
                // Pictures of many pages make long items.
                Err(error) if error.kind() == ErrorKind::TooLarge && size > 1 => {
                    size /= 2;
                    continue;
                }
                answered => answered?,
            };
            if let Some(last) = &last
                && !list.jobs.iter().any(|job| job.id == *last)
            {
                return Ok(None);
            }
            unreadable = list.unreadable.max(unreadable);
            let items = u32::try_from(list.items).unwrap_or(u32::MAX);
            last = list.jobs.last().map(|job| job.id.clone());
            // What cannot be read stands in nobody's way, but may hide the end of the page.
            let behind = u32::try_from(list.unreadable).unwrap_or(u32::MAX);
            let overlap = behind.saturating_add(1).min(size - 1);
            if overlap == 0 {
                // Then a job that was left out is found by whoever lists next.
                last = None;
            }
            let news = found.add(list.jobs);
            if items < size || news == 0 {
                return Ok(Some(unreadable));
            }
            if found.jobs.len() > MOST {
                return Err(doing
                    .error(ErrorKind::TooLarge)
                    .with_delivery(Delivery::Answered)
                    .with_message("the list has no end"));
            }
            offset = offset.saturating_add(items.saturating_sub(overlap));
        }
    }
}

/// The jobs found so far, each as it was listed last.
#[derive(Default)]
struct Found {
    jobs: HashMap<String, ListedJob>,
}

impl Found {
    /// How many were not known yet.
    fn add(&mut self, jobs: impl IntoIterator<Item = ListedJob>) -> usize {
        let mut news = 0;
        for job in jobs {
            match self.jobs.entry(job.id.clone()) {
                Entry::Occupied(mut known) => {
                    known.insert(job);
                }
                Entry::Vacant(place) => {
                    place.insert(job);
                    news += 1;
                }
            }
        }
        news
    }

    /// By time of submission, then by id: the same jobs always come in the same order.
    fn sorted(self) -> Vec<ListedJob> {
        let mut jobs: Vec<_> = self.jobs.into_values().collect();
        jobs.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        jobs
    }
}

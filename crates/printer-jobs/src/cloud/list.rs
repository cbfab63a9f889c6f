//! `get_printer_job_list`: the query, and its pages by cursor.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use jobs_core::Error;
use jobs_core::http::Response;
use serde_json::{Map, Value, json};

use super::envelope::{self, VENDOR};
use crate::lenient::{self, Object};
use crate::wire::{ListedJob, MAX_PAGE, StatusFilter};

pub(crate) const OPERATION: &str = "list";

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CloudQuery {
    body: Object,
}

impl CloudQuery {
    /// Every job the cloud keeps (seven days).
    pub fn all() -> Self {
        Self::default()
    }

    /// Only jobs of this status.
    #[must_use]
    pub fn with_status(self, status: StatusFilter) -> Self {
        let number = match status {
            StatusFilter::Unprinted => 0,
            StatusFilter::Printed => 1,
            StatusFilter::Failed => 2,
        };
        self.with("status", json!(number))
    }

    /// Only jobs of this member, by the id that this flavour knows members by.
    #[must_use]
    pub fn with_user(self, open_userid: &str) -> Self {
        self.with("open_userid", json!(open_userid))
    }

    /// Only jobs submitted in this time. That the vendor counts it in unix seconds, as everywhere, is our inference.
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) for a time that ends before it begins.
    pub fn with_time(self, begin: SystemTime, end: SystemTime) -> Result<Self, Error> {
        if end < begin {
            return Err(Error::invalid_input(
                VENDOR,
                OPERATION,
                "the time ends before it begins",
            ));
        }
        let query = self.with("begin_time", json!(seconds(begin)));
        Ok(query.with("end_time", json!(seconds(end))))
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.body.insert(key.to_owned(), value);
        self
    }

    /// The request for one page.
    pub(crate) fn page(&self, cursor: Option<&Value>) -> Value {
        let mut body = self.body.clone();
        body.insert("limit".to_owned(), json!(MAX_PAGE));
        if let Some(cursor) = cursor {
            body.insert("cursor".to_owned(), cursor.clone());
        }
        Value::Object(body)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// Requests that together ask for exactly these jobs, each id once.
///
/// No ids make no request: an empty list on the wire would mean every job.
pub(crate) fn for_jobs<S: AsRef<str>>(ids: &[S], per_request: NonZeroUsize) -> Vec<Value> {
    let mut seen = HashSet::new();
    let unique: Vec<&str> = ids
        .iter()
        .map(AsRef::as_ref)
        .filter(|id| !id.is_empty() && seen.insert(*id))
        .collect();
    unique
        .chunks(per_request.get())
        .map(|chunk| json!({ "jobid_list": chunk }))
        .collect()
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) jobs: Vec<ListedJob>,
    /// What to ask for next, in the type it came in: the page on it says text, its example shows a number.
    pub(crate) next: Option<Value>,
}

impl Page {
    pub(crate) fn read(answer: &Response, body: &Map<String, Value>) -> Result<Self, Error> {
        let Some(Value::Array(items)) = body.get("printer_job_list") else {
            return Err(envelope::garbled(answer, "the answer holds no job list"));
        };
        let next = match body.get("next_cursor") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(next @ (Value::String(_) | Value::Number(_))) => Some(next.clone()),
            Some(_) => {
                return Err(envelope::garbled(
                    answer,
                    "the cursor is no text and no number",
                ));
            }
        };
        Ok(Self {
            jobs: items.iter().filter_map(job).collect(),
            next,
        })
    }
}

/// A job of this flavour, which names members by `open_userid`.
fn job(item: &Value) -> Option<ListedJob> {
    let mut job = ListedJob::from_item(item)?;
    let open_userid = lenient::text(item.as_object()?, "open_userid");
    job.userid = job.userid.or(open_userid);
    Some(job)
}

/// The pages so far: no job twice, no cursor twice, and an end.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    jobs: Vec<ListedJob>,
    ids: HashSet<String>,
    cursors: HashSet<String>,
}

/// More than seven days of jobs can fill, so that a cloud that invents cursors does not keep anybody for ever.
const MOST_PAGES: usize = 1000;

impl Pages {
    /// Takes a page, and says how to go on.
    ///
    /// # Errors
    /// The reason not to follow the cursor.
    pub(crate) fn take(&mut self, page: Page) -> Result<Option<Value>, &'static str> {
        for job in page.jobs {
            if self.ids.insert(job.id.clone()) {
                self.jobs.push(job);
            }
        }
        if let Some(next) = &page.next {
            if !self.cursors.insert(next.to_string()) {
                return Err("the list comes back to a cursor it has given before");
            }
            if self.cursors.len() >= MOST_PAGES {
                return Err("the list does not end");
            }
        }
        Ok(page.next)
    }

    pub(crate) fn into_jobs(self) -> Vec<ListedJob> {
        self.jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ids_ask_for_nothing_and_many_are_split() {
        let most = NonZeroUsize::new(200).unwrap();
        assert!(for_jobs::<&str>(&[], most).is_empty());
        assert!(for_jobs(&[""], most).is_empty());
        let ids: Vec<String> = (0..401).map(|n| format!("job-{}", n % 400)).collect();
        let sizes: Vec<usize> = for_jobs(&ids, most)
            .iter()
            .map(|body| body["jobid_list"].as_array().unwrap().len())
            .collect();
        assert_eq!(sizes, [200, 200]);
    }

    #[test]
    fn a_list_that_never_ends_is_ended() {
        let mut pages = Pages::default();
        let problem = (0..).find_map(|n| {
            let page = Page {
                jobs: Vec::new(),
                next: Some(json!(n)),
            };
            pages.take(page).err().map(|problem| (n, problem))
        });
        assert_eq!(problem, Some((999, "the list does not end")));
    }
}

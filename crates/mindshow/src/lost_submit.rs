//! Searches for a job whose create was never answered.

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use jobs_core::{Error, JobId, LostSubmit};

use crate::client::Client;
use crate::generated::types::{JobInfo, ListRequest};

/// What is known of a lost job, beside the time at which it was sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SearchCriteria {
    /// The title that the deck must get; jobs without a title yet fit, too.
    pub title: Option<Box<str>>,
    /// Whether it makes a template. A job that has one already is then known to be no deck.
    pub is_template: bool,
    /// Jobs that are accounted for, which therefore are not the lost one.
    pub known: Vec<JobId>,
    /// How far the two clocks may be apart; a minute unless set.
    pub margin: Duration,
    /// Jobs that were created later, by the vendor's clock, are left out. Unset, all later jobs fit, which is the safe side:
    /// several candidates are for a person to choose from.
    pub until: Option<SystemTime>,
}

impl Default for SearchCriteria {
    fn default() -> Self {
        Self {
            title: None,
            is_template: false,
            known: Vec::new(),
            margin: Duration::from_secs(60),
            until: None,
        }
    }
}

/// A job that may be the lost one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The job.
    pub id: JobId,
    /// When the vendor says that it was created; `None` when that cannot be read.
    pub created_at: Option<SystemTime>,
    /// Its title; empty when it has none yet.
    pub name: Box<str>,
    /// The size of its input, which this vendor does not tell.
    pub size: Option<u64>,
}

impl Client {
    /// Searches the job list for what a lost create may have made. Free and harmless to repeat.
    ///
    /// Goes back to just before the request was sent. If exactly one candidate fits, its job may be adopted:
    /// [`job(candidate.id)`](Self::job). [`charges_since`](Self::charges_since) tells whether anything was charged at all.
    /// Wait some seconds before searching, for a create that the vendor is still busy with.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info). A list that could not be read to the end gives no candidates: two would look
    /// like one.
    pub async fn find_lost(
        &self,
        lost: &LostSubmit,
        clues: &SearchCriteria,
    ) -> Result<Vec<Candidate>, Error> {
        let from = lost.sent_at.checked_sub(clues.margin);
        let mut pages = self.job_pages(&ListRequest::default());
        let mut candidates: Vec<Candidate> = Vec::new();
        while let Some(page) = pages.next().await {
            for job in page? {
                let created_at = job.created_at.as_deref().and_then(moment);
                if created_at.is_some_and(|at| from.is_some_and(|from| at < from)) {
                    return Ok(candidates);
                }
                if created_at.is_some_and(|at| clues.until.is_some_and(|until| at > until)) {
                    continue;
                }
                let fitting = candidate(job, created_at, clues);
                candidates.extend(fitting.filter(|new| candidates.iter().all(|c| c.id != new.id)));
            }
        }
        Ok(candidates)
    }
}

fn candidate(
    job: JobInfo,
    created_at: Option<SystemTime>,
    clues: &SearchCriteria,
) -> Option<Candidate> {
    let has_template = job.template_id.is_some_and(|id| !id.is_empty());
    let has_deck = job.ppt_url.is_some_and(|url| !url.expose().is_empty());
    let is_of_kind = if clues.is_template {
        !has_deck
    } else {
        !has_template
    };
    let name = job.title.unwrap_or_default();
    let title = clues.title.as_deref();
    let is_named = name.is_empty() || title.is_none_or(|title| title.trim() == name.trim());
    let id = JobId::new(job.id).ok()?;
    (is_of_kind && is_named && !clues.known.contains(&id)).then(|| Candidate {
        id,
        created_at,
        name: name.into(),
        size: None,
    })
}

/// A time of the vendor: RFC 3339 with an offset.
pub(crate) fn moment(text: &str) -> Option<SystemTime> {
    DateTime::parse_from_rfc3339(text).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(json: &str, clues: &SearchCriteria) -> bool {
        candidate(serde_json::from_str(json).unwrap(), None, clues).is_some()
    }

    #[test]
    fn only_what_contradicts_a_clue_is_left_out() {
        let mut clues = SearchCriteria::default();
        assert!(fits(r#"{"id":"a","status":"queued"}"#, &clues));
        assert!(!fits(
            r#"{"id":"a","status":"succeeded","template_id":"t"}"#,
            &clues
        ));
        clues.title = Some("Tea".into());
        assert!(fits(r#"{"id":"a","status":"queued","title":""}"#, &clues));
        assert!(fits(
            r#"{"id":"a","status":"queued","title":"Tea "}"#,
            &clues
        ));
        assert!(!fits(
            r#"{"id":"a","status":"queued","title":"Coffee"}"#,
            &clues
        ));
        clues.known = vec![JobId::new("a").unwrap()];
        assert!(!fits(
            r#"{"id":"a","status":"queued","title":"Tea"}"#,
            &clues
        ));
        clues = SearchCriteria::default();
        clues.is_template = true;
        assert!(fits(
            r#"{"id":"a","status":"succeeded","template_id":"t"}"#,
            &clues
        ));
        assert!(!fits(
            r#"{"id":"a","status":"succeeded","ppt_url":"https://h/x"}"#,
            &clues
        ));
    }

    #[test]
    fn times_have_an_offset() {
        let sample = moment("2020-01-01T08:00:00+08:00").unwrap();
        assert_eq!(
            sample,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800)
        );
        assert_eq!(moment(""), None);
    }
}

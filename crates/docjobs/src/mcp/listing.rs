//! The tools that read the ledger: lists of jobs, and budgets.

use std::time::SystemTime;

use jobs_ledger::{JobFilter, JobRecord, Stage};
use serde_json::{Value, json};

use super::answer::ToolError;
use super::arguments::ListJobs;
use super::server::Shared;
use crate::{jobs, moment};

impl Shared {
    /// A page of the list of jobs, the newest first.
    pub(crate) async fn list(&self, asked: ListJobs) -> Result<Value, ToolError> {
        let mut stages = Vec::new();
        for word in asked.stage.into_vec() {
            stages.push(Stage::parse(&word).ok_or_else(|| {
                let known: Vec<&str> = Stage::ALL.iter().map(|stage| stage.as_str()).collect();
                ToolError::invalid(format!(
                    "{word:?} is not a stage; the stages are {}",
                    known.join(", ")
                ))
            })?);
        }
        let mut filter = JobFilter::all().with_stages(stages).with_limit(asked.limit);
        if let Some(vendor) = asked.vendor {
            filter = filter.with_vendor(vendor);
        }
        if let Some(input) = asked.input {
            filter = filter.with_input(input);
        }
        if let Some(error) = asked.error {
            filter = filter.with_error(error);
        }
        if let Some(since) = asked.since {
            filter = filter.since(time("since", &since)?);
        }
        if let Some(until) = asked.until {
            filter = filter.until(time("until", &until)?);
        }
        if let Some(after) = asked.after {
            filter = filter.after(self.cursor(&after)?);
        }
        let page = self.ledger().list(&filter).await?;
        let jobs = page
            .jobs
            .iter()
            .map(jobs::as_json)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(json!({ "jobs": jobs, "next": page.next.map(|next| next.to_string()) }))
    }

    /// A page of the completed jobs, and where the next begins.
    pub(crate) async fn completed(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<JobRecord>, Option<String>), ToolError> {
        let mut filter = JobFilter::all()
            .with_stages([Stage::Completed])
            .with_limit(limit);
        if let Some(after) = after {
            filter = filter.after(self.cursor(after)?);
        }
        let page = self.ledger().list(&filter).await?;
        Ok((page.jobs, page.next.map(|next| next.to_string())))
    }

    fn cursor(&self, text: &str) -> Result<jobs_ledger::LedgerId, ToolError> {
        text.parse().map_err(|_| {
            ToolError::invalid(format!(
                "{text:?} is not the `next` of a page; leave it out to begin with the newest"
            ))
        })
    }

    /// The spending limits.
    pub(crate) async fn budgets(&self) -> Result<Value, ToolError> {
        let budgets = self.ledger().budgets().await?;
        Ok(json!({ "budgets": budgets }))
    }
}

fn time(name: &str, text: &str) -> Result<SystemTime, ToolError> {
    moment::point(text).map_err(|problem| ToolError::invalid(format!("{name}: {problem}")))
}

//! Durable export to PDF: what `jobs-runner` needs to know of it.
//!
//! Submit and poll are one call that may cost money each time, so the polls are what the ledger counts.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::DownloadError;
use jobs_core::{Job, JobId, SubmitError};
use jobs_ledger::{Claim, at};
use jobs_runner::{
    CallBudget, Estimate, FetchedResult, Handler, InputError, InputSource, JobInput, recorded_text,
};
use serde_json::{Value, json};

use crate::client::Client;
use crate::pdf::{CREDITS, Pdf, PdfBudget, PdfReady};

const VENDOR: &str = "mindshow";
const KIND: &str = "pdf";
/// The calls that an export may make unless told otherwise.
const MAX_CALLS: u32 = 6;

/// The handler of an account's exports.
pub fn pdf_handler(client: Client) -> PdfHandler {
    PdfHandler { client }
}

/// The export of a deck with at most so many calls, each of which may cost credits.
pub fn pdf_input(deck: &JobId, max_calls: u32) -> JobInput {
    let label = format!("deck {deck}");
    JobInput::text(VENDOR, KIND, deck.as_str(), &label, Value::Null)
        .with_request(json!({ "deck": deck.as_str(), "max_calls": max_calls }))
        .with_live(PdfSubmit {
            deck: deck.clone(),
            max_calls,
        })
}

/// Runs exports durably.
#[derive(Debug, Clone)]
pub struct PdfHandler {
    client: Client,
}

/// An export, and how many calls it may make.
#[derive(Debug, Clone)]
pub struct PdfSubmit {
    deck: JobId,
    max_calls: u32,
}

#[async_trait]
impl Handler for PdfHandler {
    type Kind = Pdf;
    type Input = PdfSubmit;

    fn kind(&self) -> Arc<Pdf> {
        self.client.pdf_kind(PdfBudget::calls(0))
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        jobs_runner::only_known_options(options, &["max_calls"])?;
        let (InputSource::Job(deck) | InputSource::Text(deck)) = source else {
            return Err(InputError::invalid("mindshow pdf takes the id of a deck"));
        };
        let deck = JobId::new(deck).map_err(|problem| InputError::invalid(problem.to_string()))?;
        let calls = match options.get("max_calls") {
            None | Some(Value::Null) => Some(MAX_CALLS),
            Some(calls) => calls.as_u64().and_then(|calls| calls.try_into().ok()),
        };
        match calls {
            Some(calls) if calls > 0 => Ok(pdf_input(&deck, calls)),
            _ => Err(InputError::invalid("max_calls is a whole number from 1")),
        }
    }

    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<PdfSubmit, InputError> {
        let id = recorded_text(job, "deck").unwrap_or_default();
        let deck = JobId::new(id).map_err(|problem| InputError::invalid(problem.to_string()))?;
        let max_calls = self.paid_polls(job);
        Ok(PdfSubmit { deck, max_calls })
    }

    /// Sends nothing: the first poll is the submit.
    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        input: &PdfSubmit,
    ) -> Result<Job<Pdf>, SubmitError> {
        Ok(Job::accepted(self.kind(), input.deck.clone()))
    }

    async fn fetch(
        &self,
        ready: PdfReady,
        _: Option<&str>,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<FetchedResult, DownloadError> {
        let verified = ready.fetch(target, deadline).await?;
        let charge = u64::from(ready.credits_at_most());
        Ok(FetchedResult::file(verified).with_charge(Some(charge)))
    }

    fn extension(&self, _: Option<&str>) -> &'static str {
        "pdf"
    }

    fn polls_cost(&self) -> bool {
        true
    }

    fn paid_polls(&self, job: &jobs_ledger::JobRecord) -> u32 {
        let requested = || {
            let calls = job.request.get("max_calls").and_then(Value::as_u64)?;
            calls.try_into().ok()
        };
        job.max_calls.or_else(requested).unwrap_or(0)
    }

    fn kind_within(&self, budget: CallBudget) -> Arc<Pdf> {
        let calls = PdfBudget::calls(budget.calls).with_calls_made(budget.made);
        self.client.pdf_kind(calls)
    }

    fn calls_made(&self, kind: &Pdf, deck: &JobId) -> u32 {
        kind.spent(deck).calls
    }

    /// Every call may be charged.
    fn estimate(&self, input: &PdfSubmit) -> Estimate {
        Estimate::Units(u64::from(input.max_calls) * u64::from(CREDITS))
    }

    fn unit(&self) -> &'static str {
        "credit"
    }
}

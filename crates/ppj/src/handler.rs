//! Durable conversion: what `jobs-runner` needs to know of this vendor.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::{Document, DownloadError};
use jobs_core::{Error, Job, JobId, LostSubmit, SubmitError};
use jobs_ledger::{Claim, at};
use jobs_runner::{
    Estimate, FetchedResult, Handler, InputError, InputSource, IntoJobInput, JobInput,
};
use serde_json::Value;

use crate::client::Client;
use crate::job::{Conversion, Ready};
use crate::lost_submit::Fit;
use crate::request::{ConvertRequest, POWERPOINT};

const VENDOR: &str = "ppj";

/// The handler of an account's conversions.
pub fn handler(client: Client) -> ConvertHandler {
    ConvertHandler { client }
}

/// A presentation to be converted by the way that the account in use goes.
pub fn input(document: Document) -> ConvertInput {
    ConvertInput {
        document,
        is_kept: true,
    }
}

/// Runs conversions durably.
#[derive(Debug, Clone)]
pub struct ConvertHandler {
    client: Client,
}

/// A presentation.
#[derive(Debug)]
pub struct ConvertInput {
    document: Document,
    is_kept: bool,
}

/// What is handed to the vendor, and by what a lost submit is known again.
#[derive(Debug)]
pub struct ConvertSubmit {
    request: ConvertRequest,
    name: String,
    size: u64,
}

impl ConvertInput {
    /// Does not record where the document lies: it is gone after this process.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.is_kept = false;
        self
    }

    fn request(self) -> Result<(ConvertSubmit, JobInput), InputError> {
        let (name, size) = (self.document.name().to_owned(), self.document.size());
        let input = JobInput::document(VENDOR, None, &self.document, Value::Null)?;
        let input = if self.is_kept {
            input
        } else {
            input.without_path()
        };
        let submit = ConvertSubmit {
            request: ConvertRequest::new(self.document),
            name,
            size,
        };
        Ok((submit, input))
    }
}

impl IntoJobInput for ConvertInput {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        let (submit, input) = self.request()?;
        Ok(input.with_live(submit))
    }
}

#[async_trait]
impl Handler for ConvertHandler {
    type Kind = Conversion;
    type Input = ConvertSubmit;

    fn kind(&self) -> Arc<Conversion> {
        self.client.kind()
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        jobs_runner::only_known_options(options, &[])?;
        match source {
            InputSource::Path(path) => input(jobs_runner::open(path)?).into_job_input(),
            _ => Err(InputError::invalid("ppj convert takes a file")),
        }
    }

    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<ConvertSubmit, InputError> {
        let (submit, input) = input(JobInput::reopen(job)?).request()?;
        input.must_match(job)?;
        Ok(submit)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        input: &ConvertSubmit,
    ) -> Result<Job<Conversion>, SubmitError> {
        self.client.convert(input.request.clone()).submit().await
    }

    fn can_search(&self) -> bool {
        true
    }

    async fn search(&self, input: &ConvertSubmit, lost: &LostSubmit) -> Result<Vec<JobId>, Error> {
        let candidates = self.client.find_lost(lost, &input.name, input.size).await?;
        // What is known by its time alone may be anybody's.
        Ok(candidates
            .into_iter()
            .filter(|found| found.fit == Fit::Document)
            .map(|found| found.id)
            .collect())
    }

    async fn fetch(
        &self,
        ready: Ready,
        _: Option<&str>,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<FetchedResult, DownloadError> {
        let (verified, _) = ready.fetch(target, deadline).await?;
        Ok(FetchedResult::file(verified))
    }

    fn extension(&self, _: Option<&str>) -> &'static str {
        "zip"
    }

    fn accepted_types(&self) -> &'static [&'static str] {
        &POWERPOINT
    }

    fn estimate(&self, _: &ConvertSubmit) -> Estimate {
        Estimate::Units(1)
    }

    fn unit(&self) -> &'static str {
        "project"
    }
}

//! Durable conversion: what `jobs-runner` needs to know of this vendor.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::OutputPath;
use jobs_core::http::{Document, DownloadError};
use jobs_core::{Job, JobKind as _, Moment, SubmitError};
use jobs_ledger::{Claim, at};
use jobs_runner::{
    Estimate, FetchedResult, Handler, InputError, InputSource, IntoJobInput, JobInput,
};
use serde_json::Value;

use crate::action::Family;
use crate::client::Client;
use crate::job::{Conversion, Ready};

const VENDOR: &str = "tencent-ess";

/// The handler of conversions by the pair of operations that the client uses.
pub fn handler(client: Client) -> ConvertHandler {
    ConvertHandler {
        kind: client.kind(),
        client,
    }
}

/// The handler of conversions by this pair of operations: a job stays with the pair that created it.
pub fn handler_of(client: Client, family: Family) -> ConvertHandler {
    ConvertHandler {
        kind: client.kind_of(family),
        client,
    }
}

/// A file to be converted, by the first handler of this vendor.
pub fn input(document: Document) -> ConvertInput {
    ConvertInput {
        kind: None,
        document,
        is_kept: true,
    }
}

/// Runs conversions durably.
#[derive(Debug, Clone)]
pub struct ConvertHandler {
    client: Client,
    kind: Arc<Conversion>,
}

/// A file.
#[derive(Debug)]
pub struct ConvertInput {
    kind: Option<&'static str>,
    document: Document,
    is_kept: bool,
}

impl ConvertInput {
    /// Does not record where the document lies: it is gone after this process.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.is_kept = false;
        self
    }

    fn described(&self) -> Result<JobInput, InputError> {
        let input = JobInput::document(VENDOR, self.kind, &self.document, Value::Null)?;
        Ok(if self.is_kept {
            input
        } else {
            input.without_path()
        })
    }
}

impl IntoJobInput for ConvertInput {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        Ok(self.described()?.with_live(self.document))
    }
}

#[async_trait]
impl Handler for ConvertHandler {
    type Kind = Conversion;
    type Input = Document;

    fn kind(&self) -> Arc<Conversion> {
        Arc::clone(&self.kind)
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        jobs_runner::only_known_options(options, &[])?;
        let InputSource::Path(path) = source else {
            return Err(InputError::invalid("tencent-ess convert takes a file"));
        };
        let input = ConvertInput {
            kind: Some(self.kind.name()),
            document: jobs_runner::open(path)?,
            is_kept: true,
        };
        input.into_job_input()
    }

    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<Document, InputError> {
        let input = ConvertInput {
            kind: Some(self.kind.name()),
            document: JobInput::reopen(job)?,
            is_kept: true,
        };
        input.described()?.must_match(job)?;
        Ok(input.document)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        document: &Document,
    ) -> Result<Job<Conversion>, SubmitError> {
        self.client.convert(document.clone()).submit().await
    }

    async fn fetch(
        &self,
        ready: Ready,
        _: Option<&str>,
        _: &OutputPath,
        _: Moment,
    ) -> Result<FetchedResult, DownloadError> {
        Ok(FetchedResult::Text(ready.resource_id.to_string()))
    }

    fn extension(&self, _: Option<&str>) -> &'static str {
        "txt"
    }

    fn is_text(&self, _: Option<&str>) -> bool {
        true
    }

    fn accepted_types(&self) -> &'static [&'static str] {
        &[
            "doc", "docx", "xls", "xlsx", "jpg", "jpeg", "png", "bmp", "html", "txt",
        ]
    }

    fn estimate(&self, _: &Document) -> Estimate {
        Estimate::Units(1)
    }

    fn unit(&self) -> &'static str {
        "conversion"
    }
}

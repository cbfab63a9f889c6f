//! Durable conversion: what `jobs-runner` needs to know of this vendor.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::{Document, DownloadError};
use jobs_core::vendor::JobKind as _;
use jobs_core::{Job, SubmitError};
use jobs_ledger::{Claim, at};
use jobs_runner::{
    Estimate, FetchedResult, Handler, InputError, InputSource, IntoJobInput, JobInput, OptionKind,
    OptionSpec, known_options,
};
use serde_json::{Map, Value};

use crate::action::Family;
use crate::client::Client;
use crate::generated::types::ResourceType;
use crate::job::{Conversion, Ready};
use crate::request::ConvertRequest;

const VENDOR: &str = "tencent-ess";

const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "resource_type",
        path: &["ResourceType"],
        help: "What the file is, whatever its name ends in.",
        kind: OptionKind::Word(&[
            "doc", "docx", "xls", "xlsx", "jpg", "jpeg", "png", "bmp", "html", "txt",
        ]),
    },
    OptionSpec {
        name: "resource_name",
        path: &["ResourceName"],
        help: "The file's name at the vendor, 1 to 256 characters; its own unless set.",
        kind: OptionKind::Text,
    },
];

/// The documented options of a conversion, each by its name.
pub fn options() -> &'static [OptionSpec] {
    OPTIONS
}

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
        options: Map::new(),
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
    /// Those that are set, by their names.
    options: Map<String, Value>,
}

impl ConvertInput {
    /// Sets documented [options] by their names; `given` is a JSON object.
    ///
    /// # Errors
    /// [`InputError`] for a value that an option does not take.
    pub fn with_options(mut self, given: &Value) -> Result<Self, InputError> {
        self.options = known_options(OPTIONS, given)?;
        Ok(self)
    }

    fn request(self) -> ConvertRequest {
        let text = |name: &str| self.options.get(name).and_then(Value::as_str);
        let mut request = ConvertRequest::document(self.document);
        if let Some(word) = text("resource_type") {
            request = request.with_resource_type(ResourceType::from_word(word));
        }
        if let Some(name) = text("resource_name") {
            request = request.with_resource_name(name);
        }
        request
    }

    /// Does not record where the document lies: it is gone after this process.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.is_kept = false;
        self
    }

    fn described(&self) -> Result<JobInput, InputError> {
        // Nothing set is what it was before there were options.
        let options = match self.options.is_empty() {
            true => Value::Null,
            false => self.options.clone().into(),
        };
        let input = JobInput::document(VENDOR, self.kind, &self.document, options)?;
        Ok(if self.is_kept {
            input
        } else {
            input.without_path()
        })
    }
}

impl IntoJobInput for ConvertInput {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        Ok(self.described()?.with_live(self.request()))
    }
}

#[async_trait]
impl Handler for ConvertHandler {
    type Kind = Conversion;
    type Input = ConvertRequest;

    fn kind(&self) -> Arc<Conversion> {
        Arc::clone(&self.kind)
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        jobs_runner::only_known_options(options, &["resource_type", "resource_name"])?;
        let InputSource::Path(path) = source else {
            return Err(InputError::invalid("tencent-ess convert takes a file"));
        };
        let input = ConvertInput {
            kind: Some(self.kind.name()),
            document: jobs_runner::open(path)?,
            is_kept: true,
            options: known_options(OPTIONS, options)?,
        };
        input.into_job_input()
    }

    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<ConvertRequest, InputError> {
        let input = ConvertInput {
            kind: Some(self.kind.name()),
            document: JobInput::reopen(job)?,
            is_kept: true,
            options: known_options(OPTIONS, &job.options)?,
        };
        input.described()?.must_match(job)?;
        Ok(input.request())
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        request: &ConvertRequest,
    ) -> Result<Job<Conversion>, SubmitError> {
        self.client.convert(request.clone()).submit().await
    }

    async fn fetch(
        &self,
        ready: Ready,
        _: Option<&str>,
        _: &OutputPath,
        _: Moment,
    ) -> Result<FetchedResult, DownloadError> {
        Ok(FetchedResult::text(ready.resource_id.to_string()))
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

    fn estimate(&self, _: &ConvertRequest) -> Estimate {
        Estimate::Units(1)
    }

    fn unit(&self) -> &'static str {
        "conversion"
    }
}

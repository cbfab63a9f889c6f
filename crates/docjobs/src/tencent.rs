//! `docjobs tencent-ess`: convert a file to a PDF that can be signed.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::OutputPath;
use jobs_core::http::{Document, DownloadError};
use jobs_core::{Job, JobKind as _, Moment, SubmitError};
use jobs_ledger::{Claim, at};
use serde_json::Value;
use tencent_ess::{Client, Conversion, Family, Ready};

use crate::app::App;
use crate::args::SignableArgs;
use crate::exit::Stop;
use crate::flow;
use crate::input::{self, Given, Input};
use crate::line::{Brought, Line};
use crate::rate;

pub(crate) const VENDOR: &str = "tencent-ess";

/// `docjobs tencent-ess convert`
pub(crate) async fn convert(app: &App, args: SignableArgs) -> Result<(), Stop> {
    let client = client(app)?;
    let line = ConvertLine {
        kind: client.kind(),
        client,
    };
    let given = Given::new(&args.input, args.name).await?;
    let document = given.open()?;
    let input = Input::document(&document, given.path(), Value::Null)?;
    flow::run(app, &line, &document, input, None).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error))?;
    let (clock, rate) = (app.clock()?, rate::shared(app)?);
    let client = client
        .with_config(|config| config.with_clock(clock).with_shared_rate(rate))
        .with_policy(|facts| app.pace(VENDOR, facts))
        .build()
        .map_err(|error| Stop::before_acceptance(&error))?;
    for origin in client.origins() {
        app.allow_scale(origin)?;
    }
    Ok(client)
}

/// Conversion, as the command line brings it home.
pub(crate) struct ConvertLine {
    client: Client,
    kind: Arc<Conversion>,
}

impl ConvertLine {
    /// The line whose jobs are of this kind: a job stays with the pair of operations that created it.
    pub(crate) fn of(client: Client, kind: &str) -> Self {
        let kinds = [Family::Current, Family::Legacy].map(|family| client.kind_of(family));
        let kind = kinds
            .into_iter()
            .find(|known| known.name() == kind)
            .unwrap_or_else(|| client.kind());
        Self { client, kind }
    }
}

#[async_trait]
impl Line for ConvertLine {
    type Kind = Conversion;
    type Order = Document;

    fn kind(&self) -> Arc<Conversion> {
        Arc::clone(&self.kind)
    }

    fn order_again(&self, job: &jobs_ledger::JobRecord) -> Result<Document, Stop> {
        let path = input::path_of(job)?;
        let document = input::open(&path)?;
        Input::document(&document, Some(&path), Value::Null)?.must_be(job)?;
        Ok(document)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        document: &Document,
    ) -> Result<Job<Conversion>, SubmitError> {
        self.client.convert(document.clone()).submit().await
    }

    fn is_text(&self) -> bool {
        true
    }

    async fn fetch(
        &self,
        ready: Ready,
        _: &OutputPath,
        _: Moment,
    ) -> Result<Brought, DownloadError> {
        Ok(Brought::Text(ready.resource_id.to_string()))
    }

    fn extension(&self) -> &'static str {
        "txt"
    }
}

//! `docjobs ppj`: convert PowerPoint to H5.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::OutputPath;
use jobs_core::http::{Document, DownloadError};
use jobs_core::{Error, Job, JobId, LostSubmit, Moment, SubmitError};
use jobs_ledger::{Claim, at};
use ppj::{Client, Conversion, ConvertRequest, Fit, Ready};
use serde_json::Value;

use crate::app::App;
use crate::args::ConvertArgs;
use crate::exit::Stop;
use crate::flow;
use crate::input::{self, Given, Input};
use crate::line::{Brought, Line};
use crate::rate;

pub(crate) const VENDOR: &str = "ppj";

/// `docjobs ppj convert`
pub(crate) async fn convert(app: &App, args: ConvertArgs) -> Result<(), Stop> {
    let line = ConvertLine {
        client: client(app)?,
    };
    let given = Given::new(&args.input, args.name).await?;
    let (order, input) = Order::new(given.open()?, given.path())?;
    flow::run(app, &line, &order, input, args.output.as_deref()).await
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
    app.allow_scale(client.origin())?;
    Ok(client)
}

/// Conversion, as the command line brings it home.
pub(crate) struct ConvertLine {
    pub(crate) client: Client,
}

pub(crate) struct Order {
    request: ConvertRequest,
    name: String,
    size: u64,
}

impl Order {
    fn new(document: Document, path: Option<&Path>) -> Result<(Self, Input), Stop> {
        let (name, size) = (document.name().to_owned(), document.size());
        let input = Input::document(&document, path, Value::Null)?;
        Ok((
            Self {
                request: ConvertRequest::new(document),
                name,
                size,
            },
            input,
        ))
    }
}

#[async_trait]
impl Line for ConvertLine {
    type Kind = Conversion;
    type Order = Order;

    fn kind(&self) -> Arc<Conversion> {
        self.client.kind()
    }

    fn order_again(&self, job: &jobs_ledger::JobRecord) -> Result<Order, Stop> {
        let path = input::path_of(job)?;
        let (order, input) = Order::new(input::open(&path)?, Some(&path))?;
        input.must_be(job)?;
        Ok(order)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        order: &Order,
    ) -> Result<Job<Conversion>, SubmitError> {
        self.client.convert(order.request.clone()).submit().await
    }

    fn can_search(&self) -> bool {
        true
    }

    async fn search(&self, order: &Order, lost: &LostSubmit) -> Result<Vec<JobId>, Error> {
        let candidates = self.client.find_lost(lost, &order.name, order.size).await?;
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
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<Brought, DownloadError> {
        let (verified, _) = ready.fetch(target, deadline).await?;
        Ok(Brought::File(Box::new(verified)))
    }

    fn extension(&self) -> &'static str {
        "zip"
    }
}

//! `docjobs ppj`: convert PowerPoint to H5.

use std::path::Path;

use async_trait::async_trait;
use jobs_core::http::Document;
use jobs_core::{Error, JobId, Lost, Submission};
use ppj::{Client, Conversion, ConvertRequest, Fit, Ready};
use serde_json::Value;

use crate::app::App;
use crate::args::ConvertArgs;
use crate::exit::Stop;
use crate::flow::{self, Line, Order};
use crate::input::{self, Input};
use crate::place::{Delivered, Place};

pub(crate) const VENDOR: &str = "ppj";

/// `docjobs ppj convert`
pub(crate) async fn convert(app: &App, args: ConvertArgs) -> Result<(), Stop> {
    let line = ConvertLine {
        client: client(app)?,
    };
    let order = ConvertOrder::new(line, &args.file)?;
    let place = Place::new(args.output.as_deref())?;
    flow::run(app, &order, &place).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error))?;
    let client = client
        .with_clock(app.clock()?)
        .build()
        .map_err(|error| Stop::before_acceptance(&error))?;
    app.allow_scale(client.origin())?;
    Ok(client)
}

/// Conversion, as the command line brings it home.
pub(crate) struct ConvertLine {
    pub(crate) client: Client,
}

pub(crate) struct ConvertOrder {
    line: ConvertLine,
    request: ConvertRequest,
    input: Input,
    name: String,
    size: u64,
}

impl ConvertOrder {
    pub(crate) fn new(line: ConvertLine, file: &Path) -> Result<Self, Stop> {
        let document: Document = input::open(file)?;
        let (name, size) = (document.name().to_owned(), document.size());
        let input = Input::document(&document, file, Value::Null)?;
        Ok(Self {
            line,
            request: ConvertRequest::new(document),
            input,
            name,
            size,
        })
    }
}

#[async_trait]
impl Line for ConvertLine {
    type Kind = Conversion;

    fn kind(&self) -> std::sync::Arc<Conversion> {
        self.client.kind()
    }

    async fn deliver(&self, ready: Ready, place: &Place) -> Result<Delivered, Error> {
        let (verified, _) = self.client.fetch_zip(&ready, place.target()).await?;
        place.keep(verified).await
    }
}

#[async_trait]
impl Order for ConvertOrder {
    type Line = ConvertLine;

    fn line(&self) -> &ConvertLine {
        &self.line
    }

    fn input(&self) -> &Input {
        &self.input
    }

    async fn submit(&self) -> Submission<Conversion> {
        self.line.client.submit_convert(&self.request).await
    }

    async fn search(&self, lost: &Lost) -> Result<Vec<JobId>, Error> {
        let candidates = self
            .line
            .client
            .find_lost(lost, &self.name, self.size)
            .await?;
        // What is known by its time alone may be anybody's.
        Ok(candidates
            .into_iter()
            .filter(|found| found.fit == Fit::Document)
            .map(|found| found.id)
            .collect())
    }
}

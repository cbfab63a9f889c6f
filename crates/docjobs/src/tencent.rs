//! `docjobs tencent-ess`: convert a file to a PDF that can be signed.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::http::Document;
use jobs_core::{Error, Submission};
use serde_json::Value;
use tencent_ess::{Client, Conversion, Ready};

use crate::app::App;
use crate::exit::Stop;
use crate::flow::{self, Line, Order};
use crate::input::{self, Input};
use crate::place::{Delivered, Place};

pub(crate) const VENDOR: &str = "tencent-ess";

/// `docjobs tencent-ess convert`
pub(crate) async fn convert(app: &App, file: &Path) -> Result<(), Stop> {
    let client = client(app)?;
    let line = ConvertLine {
        kind: client.kind(),
        client,
    };
    let order = ConvertOrder::new(line, file)?;
    flow::run(app, &order, &Place::new(None)?).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error))?;
    let client = client
        .with_clock(app.clock()?)
        .build()
        .map_err(|error| Stop::before_acceptance(&error))?;
    for origin in client.origins() {
        app.allow_scale(origin)?;
    }
    Ok(client)
}

/// Conversion, as the command line brings it home.
pub(crate) struct ConvertLine {
    pub(crate) client: Client,
    pub(crate) kind: Arc<Conversion>,
}

pub(crate) struct ConvertOrder {
    line: ConvertLine,
    document: Document,
    input: Input,
}

impl ConvertOrder {
    pub(crate) fn new(line: ConvertLine, file: &Path) -> Result<Self, Stop> {
        let document = input::open(file)?;
        let input = Input::document(&document, file, Value::Null)?;
        Ok(Self {
            line,
            document,
            input,
        })
    }
}

#[async_trait]
impl Line for ConvertLine {
    type Kind = Conversion;

    fn kind(&self) -> Arc<Conversion> {
        Arc::clone(&self.kind)
    }

    async fn deliver(&self, ready: Ready, _: &Place) -> Result<Delivered, Error> {
        Ok(Delivered::Text(ready.resource_id.to_string()))
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
        self.line.client.submit_conversion(&self.document).await
    }
}

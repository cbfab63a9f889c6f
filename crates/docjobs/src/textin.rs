//! `docjobs textin`: parse a document.

use async_trait::async_trait;
use jobs_core::http::Document;
use jobs_core::{Error, Submission};
use textin::{Client, Parse, ParseRequest, Ready};

use crate::app::App;
use crate::args::{Format, ParseArgs};
use crate::exit::Stop;
use crate::flow::{self, Line, Order};
use crate::place::{Delivered, Place};

pub(crate) const VENDOR: &str = "textin";

/// `docjobs textin parse`
pub(crate) async fn parse(app: &App, args: ParseArgs) -> Result<(), Stop> {
    let client = client(app)?;
    let order = ParseOrder {
        request: request(&args)?,
        line: ParseLine {
            client,
            format: args.format,
        },
    };
    let place = Place::new(args.output.as_deref())?;
    let deadline = app.deadline(&**order.line.client.clock());
    flow::run(app, &order, &place, deadline).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let configured =
        || Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error));
    let client = configured()?
        .with_clock(app.clock()?)
        .build()
        .map_err(|error| Stop::before_acceptance(&error))?;
    app.allow_scale(client.origin())?;
    Ok(client)
}

fn request(args: &ParseArgs) -> Result<ParseRequest, Stop> {
    let is_url = args.input.starts_with("https://") || args.input.starts_with("http://");
    let request = if is_url {
        ParseRequest::url(&args.input)
    } else {
        let document = Document::open(&args.input).map_err(|problem| {
            Stop::bad_input(format!(
                "cannot read {}: {problem}; name a document",
                args.input
            ))
        })?;
        ParseRequest::document(document)
    };
    match &args.pages {
        None => Ok(request),
        Some(pages) => {
            let pages = pages
                .parse()
                .map_err(|problem| Stop::bad_input(format!("--pages: {problem}")))?;
            Ok(request.with_pages(&pages))
        }
    }
}

/// Parsing, as the command line brings it home.
pub(crate) struct ParseLine {
    pub(crate) client: Client,
    pub(crate) format: Format,
}

struct ParseOrder {
    line: ParseLine,
    request: ParseRequest,
}

#[async_trait]
impl Line for ParseLine {
    type Kind = Parse;

    async fn deliver(&self, ready: Ready, place: &Place) -> Result<Delivered, Error> {
        let (verified, _) = match self.format {
            Format::Markdown => self.client.fetch_markdown(&ready, place.target()).await?,
            Format::Json => self.client.fetch_json(&ready, place.target()).await?,
        };
        place.keep(verified).await
    }
}

#[async_trait]
impl Line for ParseOrder {
    type Kind = Parse;

    async fn deliver(&self, ready: Ready, place: &Place) -> Result<Delivered, Error> {
        self.line.deliver(ready, place).await
    }
}

#[async_trait]
impl Order for ParseOrder {
    async fn submit(&self) -> Submission<Parse> {
        self.line.client.submit_parse(&self.request).await
    }
}

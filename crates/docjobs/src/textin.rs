//! `docjobs textin`: parse a document.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::Target;
use jobs_core::http::{Document, DownloadError};
use jobs_core::{Moment, Submission};
use jobs_ledger::{Claim, at};
use serde_json::{Value, json};
use textin::{Client, PageRange, Parse, ParseRequest, Ready};

use crate::app::App;
use crate::args::{Format, ParseArgs};
use crate::exit::Stop;
use crate::flow;
use crate::input::{self, Given, Input};
use crate::line::{Brought, Line};
use crate::rate;

pub(crate) const VENDOR: &str = "textin";

/// `docjobs textin parse`
pub(crate) async fn parse(app: &App, args: ParseArgs) -> Result<(), Stop> {
    let line = ParseLine {
        client: client(app)?,
        format: args.format,
    };
    let pages = args.pages.as_deref().map(pages).transpose()?;
    // What came on stdin is there until the end of this command.
    let given;
    let (request, input) = match args.input.to_str().filter(|text| is_url(text)) {
        Some(url) => order_url(url, pages),
        None => {
            given = Given::new(Path::new(&args.input), args.name).await?;
            order(given.open()?, given.path(), pages)?
        }
    };
    let input = Input {
        format: Some(args.format.name()),
        ..input
    };
    flow::run(app, &line, &request, input, args.output.as_deref()).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error))?;
    let client = client
        .with_clock(app.clock()?)
        .with_shared_rate(rate::shared(app)?)
        .with_facts(|facts| app.pace(VENDOR, facts))
        .build()
        .map_err(|error| Stop::before_acceptance(&error))?;
    app.allow_scale(client.origin())?;
    Ok(client)
}

/// Parsing, as the command line brings it home.
pub(crate) struct ParseLine {
    pub(crate) client: Client,
    pub(crate) format: Format,
}

fn pages(text: &str) -> Result<PageRange, Stop> {
    text.parse()
        .map_err(|problem| Stop::bad_input(format!("--pages: {problem}")))
}

fn is_url(input: &str) -> bool {
    let is = |scheme: &str| {
        let beginning = input.get(..scheme.len()).unwrap_or_default();
        beginning.eq_ignore_ascii_case(scheme)
    };
    is("https://") || is("http://")
}

fn order_url(url: &str, pages: Option<PageRange>) -> (ParseRequest, Input) {
    let input = Input::address(url, options(pages.as_ref()));
    (with_pages(ParseRequest::url(url), pages), input)
}

fn order(
    document: Document,
    path: Option<&Path>,
    pages: Option<PageRange>,
) -> Result<(ParseRequest, Input), Stop> {
    let input = Input::document(&document, path, options(pages.as_ref()))?;
    Ok((with_pages(ParseRequest::document(document), pages), input))
}

/// What else decides what the vendor makes of it.
fn options(pages: Option<&PageRange>) -> Value {
    json!({ "pages": pages.map(ToString::to_string) })
}

fn with_pages(request: ParseRequest, pages: Option<PageRange>) -> ParseRequest {
    match &pages {
        Some(pages) => request.with_pages(pages),
        None => request,
    }
}

#[async_trait]
impl Line for ParseLine {
    type Kind = Parse;
    type Order = ParseRequest;

    fn kind(&self) -> Arc<Parse> {
        self.client.kind()
    }

    fn order_again(&self, job: &jobs_ledger::Job) -> Result<ParseRequest, Stop> {
        let pages = job
            .options
            .get("pages")
            .and_then(Value::as_str)
            .map(pages)
            .transpose()?;
        let (request, input) = match input::text_of(job, "url") {
            Some(url) => order_url(&url, pages),
            None => {
                let path = input::path_of(job)?;
                order(input::open(&path)?, Some(&path), pages)?
            }
        };
        input.must_be(job)?;
        Ok(request)
    }

    async fn submit(&self, _: &Claim<at::Sending>, request: &ParseRequest) -> Submission<Parse> {
        self.client.submit_parse(request).await
    }

    fn serves(&self, job: &jobs_ledger::Job) -> bool {
        Format::of(job) == self.format
    }

    fn is_text(&self) -> bool {
        true
    }

    async fn fetch(
        &self,
        ready: Ready,
        target: &Target,
        deadline: Moment,
    ) -> Result<Brought, DownloadError> {
        let client = &self.client;
        let (verified, _) = match self.format {
            Format::Markdown => client.fetch_markdown(&ready, target, deadline).await?,
            Format::Json => client.fetch_json(&ready, target, deadline).await?,
        };
        Ok(Brought::File(verified))
    }

    fn extension(&self) -> &'static str {
        self.format.extension()
    }
}

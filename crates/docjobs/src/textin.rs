//! `docjobs textin`: parse a document.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::Target;
use jobs_core::http::DownloadError;
use jobs_core::{Moment, Submission};
use jobs_ledger::{Claim, at};
use serde_json::{Value, json};
use textin::{Client, PageRange, Parse, ParseRequest, Ready};

use crate::app::App;
use crate::args::{Format, ParseArgs};
use crate::exit::Stop;
use crate::flow;
use crate::input::{self, Input};
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
    let (request, input) = order(&args.input, pages)?;
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

fn order(input: &str, pages: Option<PageRange>) -> Result<(ParseRequest, Input), Stop> {
    let options = json!({ "pages": pages.as_ref().map(ToString::to_string) });
    let is_url = input.starts_with("https://") || input.starts_with("http://");
    let (request, input) = if is_url {
        (ParseRequest::url(input), Input::address(input, options))
    } else {
        let document = input::open(Path::new(input))?;
        let input = Input::document(&document, Path::new(input), options)?;
        (ParseRequest::document(document), input)
    };
    Ok(match &pages {
        Some(pages) => (request.with_pages(pages), input),
        None => (request, input),
    })
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
        let source = match input::text_of(job, "url") {
            Some(url) => url,
            None => input::path_of(job)?.display().to_string(),
        };
        let (request, input) = order(&source, pages)?;
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
        match self.format {
            Format::Markdown => "md",
            Format::Json => "json",
        }
    }
}

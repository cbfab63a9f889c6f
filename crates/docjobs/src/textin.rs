//! `docjobs textin`: parse a document.

use std::path::Path;

use textin::Client;

use crate::app::App;
use crate::args::ParseArgs;
use crate::exit::CommandError;
use crate::input::Given;
use crate::output::absolute;
use crate::{rate, run};

pub(crate) const VENDOR: &str = "textin";

/// `docjobs textin parse`
pub(crate) async fn parse(app: &App, args: ParseArgs) -> Result<(), CommandError> {
    let client = client(app)?;
    // What came on stdin is there until the end of this command.
    let given;
    let mut input = match args.input.to_str().filter(|text| is_url(text)) {
        Some(url) => textin::url_input(url),
        None => {
            given = Given::new(Path::new(&args.input), args.name).await?;
            let input = textin::input(given.open()?);
            if given.is_kept() {
                input
            } else {
                input.without_path()
            }
        }
    };
    if let Some(pages) = &args.pages {
        let pages = pages
            .parse()
            .map_err(|problem| CommandError::invalid_input(format!("--pages: {problem}")))?;
        input = input.with_pages(pages);
    }
    if let Some(path) = &args.password_file {
        input = input.with_password_file(absolute(path)?);
    }
    let input = input.with_format(args.format.name());
    run::new_job(app, textin::handler(client), input, args.output.as_deref()).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, CommandError> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| CommandError::rejected(&error))?;
    let (clock, rate) = (app.clock()?, rate::shared(app)?);
    let client = client
        .with_config(|config| config.with_clock(clock).with_shared_rate(rate))
        .with_policy(|facts| app.pace(VENDOR, facts))
        .build()
        .map_err(|error| CommandError::rejected(&error))?;
    app.allow_scale(client.origin())?;
    Ok(client)
}

fn is_url(input: &str) -> bool {
    let is = |scheme: &str| {
        let beginning = input.get(..scheme.len()).unwrap_or_default();
        beginning.eq_ignore_ascii_case(scheme)
    };
    is("https://") || is("http://")
}

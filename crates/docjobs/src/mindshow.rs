//! `docjobs mindshow`: make decks, and export them to PDF.

use jobs_core::JobId;
use mindshow::Client;

use crate::app::App;
use crate::args::{DeckArgs, PdfArgs};
use crate::exit::CommandError;
use crate::input::{self, Given};
use crate::{rate, run};

pub(crate) const VENDOR: &str = "mindshow";

/// `docjobs mindshow deck`
pub(crate) async fn deck(app: &App, args: DeckArgs) -> Result<(), CommandError> {
    let handler = mindshow::handler(client(app)?);
    let output = args.output.as_deref();
    let source = args.source;
    let (path, is_outline) = match (source.topic, source.outline, source.markdown) {
        (Some(topic), _, _) => {
            return run::new_job(app, handler, mindshow::topic_input(topic), output).await;
        }
        (_, Some(path), _) => (path, true),
        (_, _, Some(path)) => (path, false),
        (None, None, None) => {
            return Err(CommandError::invalid_input(
                "give --topic, --outline or --markdown",
            ));
        }
    };
    let name = input::is_stdin(&path).then(|| "stdin.md".to_owned());
    let given = Given::new(&path, name).await?;
    let input = if is_outline {
        mindshow::outline_input(given.place())?
    } else {
        mindshow::markdown_input(given.place())?
    };
    let input = if given.is_kept() {
        input
    } else {
        input.without_path()
    };
    run::new_job(app, handler, input, output).await
}

/// `docjobs mindshow pdf`
pub(crate) async fn pdf(app: &App, args: PdfArgs) -> Result<(), CommandError> {
    let deck = JobId::new(args.job_id.as_str())
        .map_err(|problem| CommandError::invalid_input(problem.to_string()))?;
    let handler = mindshow::pdf_handler(client(app)?);
    let input = mindshow::pdf_input(&deck, args.max_calls);
    let options = |options: jobs_runner::RunOptions| options.with_max_paid_polls(args.max_calls);
    run::new_job_with(app, handler, input, args.output.as_deref(), options).await
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

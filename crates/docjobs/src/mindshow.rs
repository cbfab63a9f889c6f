//! `docjobs mindshow`: make decks, and export them to PDF.

use std::ffi::OsStr;
use std::path::Path;

use jobs_core::JobId;
use mindshow::Client;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{DeckArgs, PdfArgs};
use crate::batch::{self, Batch, Documents, Results};
use crate::exit::CommandError;
use crate::input::{self, Given};
use crate::{inputs, rate, run};

pub(crate) const VENDOR: &str = "mindshow";

/// `docjobs mindshow deck`
pub(crate) async fn deck(app: &App, args: DeckArgs) -> Result<(), CommandError> {
    let output = args.output.as_deref();
    let source = &args.source;
    let (files, word) = match (source.topic.as_deref(), source.outline.as_slice()) {
        (Some(topic), _) => {
            if args.out.out.is_some() || args.batch.asks_for_batch() {
                return Err(CommandError::invalid_input(
                    "--topic makes one deck: give its place with -o, or make several from --outline or --markdown files",
                ));
            }
            let handler = mindshow::handler(client(app)?);
            let input = mindshow::topic_input(topic).with_options(&args.vendor.to_json())?;
            return run::new_job(app, handler, input, output, &args.batch).await;
        }
        (None, []) => (source.markdown.as_slice(), "markdown"),
        (None, files) => (files, "outline"),
    };
    let given = inputs::Given {
        inputs: files,
        list: None,
        stdin_name: Some("stdin.md").filter(|_| files.iter().any(|file| is_stdin(file))),
        out: args.out.out.as_deref(),
    };
    if batch::is_wanted(&given, &args.batch) {
        let batch = Batch {
            vendor: VENDOR,
            kind: "deck",
            documents: Documents::Given(given),
            options: with_source(args.vendor.to_json(), word),
            format: None,
            results: Results::Files {
                out: args.out.out.clone(),
                output: args.output.clone(),
            },
            handler: |app, runner| Ok(runner.with(mindshow::handler(client(app)?))),
            args: &args.batch,
        };
        return Box::pin(batch::run(app, batch)).await;
    }
    let [path] = files else {
        return Err(CommandError::invalid_input(
            "give --topic, --outline or --markdown",
        ));
    };
    let handler = mindshow::handler(client(app)?);
    let name = is_stdin(path).then(|| "stdin.md".to_owned());
    let given = Given::new(Path::new(path), name).await?;
    let input = if word == "outline" {
        mindshow::outline_input(given.place())?
    } else {
        mindshow::markdown_input(given.place())?
    };
    let input = input.with_options(&args.vendor.to_json())?;
    let input = if given.is_kept() {
        input
    } else {
        input.without_path()
    };
    run::new_job(app, handler, input, output, &args.batch).await
}

/// The vendor's options with what the files are.
fn with_source(mut options: Value, source: &str) -> Value {
    if let Value::Object(options) = &mut options {
        options.insert("source".to_owned(), source.into());
    }
    options
}

fn is_stdin(file: &OsStr) -> bool {
    input::is_stdin(Path::new(file))
}

/// `docjobs mindshow pdf`
pub(crate) async fn pdf(app: &App, args: PdfArgs) -> Result<(), CommandError> {
    let job_id = match args.job_ids.as_slice() {
        [job_id] if args.out.out.is_none() && !args.batch.asks_for_batch() => job_id,
        job_ids => {
            let batch = Batch {
                vendor: VENDOR,
                kind: "pdf",
                documents: Documents::Jobs(job_ids),
                options: json!({ "max_calls": args.max_calls }),
                format: None,
                results: Results::Files {
                    out: args.out.out.clone(),
                    output: args.output.clone(),
                },
                handler: |app, runner| Ok(runner.with(mindshow::pdf_handler(client(app)?))),
                args: &args.batch,
            };
            return Box::pin(batch::run(app, batch)).await;
        }
    };
    let deck = JobId::new(job_id.as_str())
        .map_err(|problem| CommandError::invalid_input(problem.to_string()))?;
    let handler = mindshow::pdf_handler(client(app)?);
    let input = mindshow::pdf_input(&deck, args.max_calls);
    let output = args.output.as_deref();
    let options = |options: jobs_runner::RunOptions| options.with_max_paid_polls(args.max_calls);
    run::new_job_with(app, handler, input, output, &args.batch, options).await
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

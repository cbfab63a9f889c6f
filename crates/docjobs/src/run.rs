//! Runs one job for a command, and hands its result over.

use std::io::IsTerminal as _;
use std::path::Path;

use jobs_ledger::LedgerId;
use jobs_runner::{
    CompletedJob, DeliveredOutput, Handler, IntoJobInput, OutputChoice, RunOptions, RunOutcome,
    Runner,
};

use crate::app::App;
use crate::exit::CommandError;
use crate::input_args::BatchArgs;
use crate::output::{self, print_line};

/// Writes the intent down, submits it, and unless told otherwise waits and delivers. The same input attaches to the job that
/// was paid for already.
pub(crate) async fn new_job<H: Handler>(
    app: &App,
    handler: H,
    input: impl IntoJobInput,
    output: Option<&Path>,
    args: &BatchArgs,
) -> Result<(), CommandError> {
    new_job_with(app, handler, input, output, args, |options| options).await
}

/// The same with further options.
pub(crate) async fn new_job_with<H: Handler>(
    app: &App,
    handler: H,
    input: impl IntoJobInput,
    output: Option<&Path>,
    args: &BatchArgs,
    further: impl FnOnce(RunOptions) -> RunOptions,
) -> Result<(), CommandError> {
    let app = &app.with_deadline(args.bound(app.options.deadline));
    let begun = app.clock()?.now();
    let output = output::output(output)?;
    let input = args.in_run(input.into_job_input()?);
    let prints = output.is_none() && !app.options.no_wait;
    let is_text = handler.is_text(input.format());
    if prints && !is_text && (app.report.is_json() || std::io::stdout().is_terminal()) {
        return Err(CommandError::invalid_input(
            "the result is binary; write it to a file with -o PATH",
        ));
    }
    let _attended = app.shutdown.attend();
    let runner = app.runner().await?.with(handler);
    let options = further(app.run_options(begun)?);
    // A named run pays again by its name, and only once.
    let again = app.options.again && args.run.is_none();
    let mut job = runner.enqueue(input).again(again);
    if let Some(path) = output {
        job = job.output(path);
    }
    match Box::pin(job.run(&options)).await? {
        RunOutcome::AlreadyThere { job, .. } => {
            app.report
                .say(&format!("job {job} was done before; its result is there"));
            if app.options.no_wait {
                let options = options.with_output(OutputChoice::Scratch);
                return hand_over(app, Box::pin(runner.run_job(job, &options)).await?);
            }
            Ok(())
        }
        outcome => hand_over(app, outcome),
    }
}

/// Continues a job of the ledger.
pub(crate) async fn recorded_job(
    app: &App,
    runner: &Runner,
    id: LedgerId,
    options: &RunOptions,
) -> Result<(), CommandError> {
    match Box::pin(runner.run_job(id, options)).await? {
        RunOutcome::AlreadyThere { job, path } => {
            app.report
                .say(&format!("job {job} done: {}", path.display()));
            Ok(())
        }
        outcome => hand_over(app, outcome),
    }
}

fn hand_over(app: &App, outcome: RunOutcome) -> Result<(), CommandError> {
    let report = &app.report;
    let CompletedJob { label, output, .. } = match outcome {
        RunOutcome::Completed(completed) => completed,
        RunOutcome::Accepted(_, ticket) if !report.is_json() => {
            return print_line(&ticket.to_string());
        }
        _ => return Ok(()),
    };
    report.quiet();
    let unprintable = |problem| CommandError::unprintable(&problem, "; use -o");
    match output {
        DeliveredOutput::Text(text) => {
            report.done(&label, None, Some(&text));
            if report.is_json() {
                Ok(())
            } else {
                print_line(&text)
            }
        }
        DeliveredOutput::Bytes(mut file) if report.is_json() => {
            report.done_with(&label, &mut file).map_err(unprintable)
        }
        DeliveredOutput::Bytes(file) => output::print(file).map_err(unprintable),
        delivered => {
            report.done(&label, delivered.path(), None);
            Ok(())
        }
    }
}

/// Where a job's result goes that is continued: at `-o`, or where its record says.
pub(crate) fn choice(given: Option<&Path>) -> Result<OutputChoice, CommandError> {
    match given {
        None => Ok(OutputChoice::Recorded),
        Some(path) => Ok(match output::output(Some(path))? {
            Some(path) => OutputChoice::File(path),
            None => OutputChoice::Scratch,
        }),
    }
}

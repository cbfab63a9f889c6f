//! How a new job begins.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use jobs_core::JobKind;
use jobs_ledger::{IntendOutcome, Intent, JobFilter, Stage};

use crate::app::App;
use crate::carry::Carrier;
use crate::exit::Stop;
use crate::input::{self, Input};
use crate::line::Line;
use crate::place::{self, Place};
use crate::steps::settle_arrived;

/// Writes the wish down, submits it, and unless told otherwise waits and delivers. The same input attaches to the job that
/// was paid for already.
pub(crate) async fn run<L: Line>(
    app: &App,
    line: &L,
    order: &L::Order,
    input: Input,
    output: Option<&Path>,
) -> Result<(), Stop> {
    let output = place::output(output)?;
    let prints = output.is_none() && !app.options.no_wait;
    if prints && !line.is_text() && (app.report.is_json() || std::io::stdout().is_terminal()) {
        return Err(Stop::bad_input(
            "the result is no text; name a file with -o",
        ));
    }
    let carrier = Carrier::new(app, line).await?;
    if let Some(path) = output.as_deref()
        && path.exists()
        && done_before(&carrier, &input, path).await?
    {
        return Ok(());
    }
    let place = Place::of(output.as_deref(), app.options.overwrite)?;
    let intent = intent(app, &*line.kind(), input, output);
    let clock = carrier.ledger.clock();
    let intended = app.patiently(clock, || carrier.ledger.intend(intent.clone()));
    match intended.await? {
        IntendOutcome::New(claim, job) => {
            Box::pin(carrier.submit(claim, order, &job.input, &place)).await
        }
        IntendOutcome::Attached(job) => {
            // One that ended without a result is told about as it ends again.
            if !matches!(job.stage, Stage::Failed | Stage::Gone) {
                app.report.say(&format!(
                    "the same input is job {} ({}), which is gone on with; --again buys it once more",
                    job.id, job.stage
                ));
            }
            Box::pin(carrier.take_up(job, Some(order), &place)).await
        }
    }
}

fn intent<K: JobKind + ?Sized>(
    app: &App,
    kind: &K,
    input: Input,
    output: Option<PathBuf>,
) -> Intent {
    let mut intent = Intent::new(kind.vendor(), kind.name(), kind.account(), input.digest)
        .with_options(input.options)
        .with_request(input.request)
        .with_private_request(input.private_request)
        .with_input(input.what);
    if let Some(format) = input.format {
        intent = intent.with_format(format);
    }
    if let Some(path) = input.path {
        intent = intent.with_input_path(path);
    }
    if let Some(path) = output {
        intent = intent.with_output(path);
    }
    if app.options.again {
        intent.again()
    } else {
        intent
    }
}

/// A command that is repeated after it was done has nothing to do: its result lies at its place.
async fn done_before<L: Line>(
    carrier: &Carrier<'_, L>,
    input: &Input,
    path: &Path,
) -> Result<bool, Stop> {
    let kind = carrier.line.kind();
    let mut filter = JobFilter::all()
        .with_stages([Stage::Completed, Stage::Available, Stage::Downloading])
        .with_vendor(kind.vendor())
        .with_kind(kind.name())
        .with_account(kind.account());
    if carrier.app.options.again {
        return Ok(false);
    }
    loop {
        let page = carrier.ledger.list(&filter).await?;
        let same = |job: &&jobs_ledger::JobRecord| {
            job.output.as_deref() == Some(path)
                && job.content == input.digest
                && job.options == input.options
                && carrier.line.serves(job)
        };
        for job in page.jobs.iter().filter(same) {
            let is_there = match job.stage {
                Stage::Completed => still_holds(job, path),
                _ => settle_arrived(&carrier.ledger, job, path).await?,
            };
            if is_there {
                carrier.app.report.say(&format!(
                    "job {} was done before; its result is there",
                    job.id
                ));
                return Ok(true);
            }
        }
        match page.next {
            Some(next) => filter = filter.after(next),
            None => return Ok(false),
        }
    }
}

/// Whether the file is what the job put there, as far as that was written down.
fn still_holds(job: &jobs_ledger::JobRecord, path: &Path) -> bool {
    let found = File::open(path).and_then(|mut file| input::digest(&mut file));
    found.is_ok_and(|found| job.sha256.is_none_or(|digest| digest == found))
}

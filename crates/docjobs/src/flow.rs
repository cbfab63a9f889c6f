//! What a vendor's commands have in common, and how a new job begins.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::{Error, JobId, JobKind, Lost, Submission};
use jobs_ledger::{Claim, Filter, Intended, Intent, Stage, at};

use crate::app::App;
use crate::carry::Carrier;
use crate::exit::Stop;
use crate::input::Input;
use crate::place::{Delivered, Place};

/// A kind of job as the command line handles it.
#[async_trait]
pub(crate) trait Line: Send + Sync {
    type Kind: JobKind + 'static;
    /// What is handed to the vendor.
    type Order: Send + Sync;

    fn kind(&self) -> Arc<Self::Kind>;

    /// The order of a job that was written down and never sent, or whose submit was lost.
    fn order_again(&self, job: &jobs_ledger::Job) -> Result<Self::Order, Stop>;

    /// Hands it to the vendor. **Costs money**, so it asks for the proof that the ledger has it on the disk.
    async fn submit(
        &self,
        written: &Claim<at::Sending>,
        order: &Self::Order,
    ) -> Submission<Self::Kind>;

    /// The jobs at the vendor that may be the one whose submit was lost. Free. Kinds that cannot search find none.
    async fn search(&self, order: &Self::Order, lost: &Lost) -> Result<Vec<JobId>, Error> {
        let _ = (order, lost);
        Ok(Vec::new())
    }

    /// Brings what a finished job gives to its place.
    async fn deliver(
        &self,
        output: <Self::Kind as JobKind>::Output,
        place: &Place,
    ) -> Result<Delivered, Error>;

    /// Whether the result is text, which can be printed.
    fn is_text(&self) -> bool {
        false
    }

    /// Looks that cost money: how many may be made for one job, and how many this process has made.
    fn budget(&self, id: &JobId) -> Option<Budget> {
        let _ = id;
        None
    }

    /// Tells the kind how many looks that cost money other processes have made.
    fn spent_elsewhere(&self, calls: u32) {
        let _ = calls;
    }
}

/// Looks that cost money.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// How many may be made.
    pub(crate) calls: u32,
    /// How many were made, in this process and before.
    pub(crate) made: u32,
}

/// Writes the wish down, submits it, and unless told otherwise waits and delivers. The same input attaches to the job that
/// was paid for already.
pub(crate) async fn run<L: Line>(
    app: &App,
    line: &L,
    order: &L::Order,
    input: Input,
    output: Option<&Path>,
) -> Result<(), Stop> {
    let output = output.map(absolute).transpose()?;
    let prints = output.is_none() && !app.options.no_wait;
    if prints && !line.is_text() && (app.report.is_json() || std::io::stdout().is_terminal()) {
        return Err(Stop::bad_input(
            "the result is no text; name a file with -o",
        ));
    }
    let carrier = Carrier::new(app, line).await?;
    let place = match Place::new(output.as_deref()) {
        Ok(place) => place,
        Err(stop) => return done_before(&carrier, &input, output.as_deref(), stop).await,
    };
    let intent = intent(app, &*line.kind(), input, output);
    match carrier
        .ledger
        .intend(intent)
        .await
        .map_err(|error| Stop::ledger(&error))?
    {
        Intended::New(claim, _) => carrier.submit(claim, order, &place).await,
        Intended::Attached(job) => {
            app.report.say(&format!(
                "the same input is job {} ({}), which is gone on with; --again buys it once more",
                job.id, job.stage
            ));
            carrier.take_up(job, Some(order), &place).await
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
        .with_input(input.what);
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
    output: Option<&Path>,
    stop: Stop,
) -> Result<(), Stop> {
    let kind = carrier.line.kind();
    let mut filter = Filter::all()
        .with_stages([Stage::Done])
        .with_vendor(kind.vendor())
        .with_kind(kind.name())
        .with_account(kind.account());
    while output.is_some() && !carrier.app.options.again {
        let page = carrier
            .ledger
            .list(&filter)
            .await
            .map_err(|error| Stop::ledger(&error))?;
        let same = |job: &&jobs_ledger::Job| {
            job.output.as_deref() == output
                && job.content == input.digest
                && job.options == input.options
        };
        if let Some(job) = page.jobs.iter().find(same) {
            carrier.app.report.say(&format!(
                "job {} was done before; its result is there",
                job.id
            ));
            return Ok(());
        }
        match page.next {
            Some(next) => filter = filter.after(next),
            None => break,
        }
    }
    Err(stop)
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path)
        .map_err(|problem| Stop::bad_input(format!("{}: {problem}", path.display())))
}

/// One line on stdout.
pub(crate) fn print_line(line: &str) -> Result<(), Stop> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}")
        .map_err(|problem| Stop::unexpected(format!("cannot print: {problem}")))
}

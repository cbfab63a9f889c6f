//! What can be typed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::examples;

/// Run document jobs that take minutes and cost money, without losing or repeating one.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  docjobs demo                               every vendor end to end against simulators, no account needed
  docjobs textin parse report.pdf -o report.md
  docjobs textin parse report.pdf --no-wait  print a ticket, and later:
  docjobs wait TICKET -o report.md

Exit codes: 0 done, 1 unexpected, 2 bad usage or input, 3 the job failed at the vendor,
4 deadline passed (ticket printed), 5 outcome unknown (may have been charged), 6 credentials refused,
7 quota or balance used up, 8 vendor not reachable or refusing by rate.";

/// What every command understands.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// One JSON object per line on stdout, progress as events.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Give up waiting after this time, such as 90s, 10m or 2h; the job goes on and its ticket is printed.
    #[arg(long, global = true, default_value = "30m", value_parser = deadline, value_name = "TIME")]
    pub(crate) deadline: Duration,
    /// Submit, print the ticket, and end.
    #[arg(long, global = true)]
    pub(crate) no_wait: bool,
    /// Submit the same input once more on purpose, and pay once more; without it, it attaches to the job already paid for.
    #[arg(long, global = true)]
    pub(crate) again: bool,
    /// Where jobs are written down: a path, or postgres://…; a file in the user's data directory unless given.
    #[arg(
        long,
        global = true,
        env = "DOCJOBS_LEDGER",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) ledger: Option<String>,
    /// More detail on stderr; repeat for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every vendor end to end against embedded simulators; needs no account.
    Demo {
        /// Where to put the documents and results; a new folder unless given.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Run the simulators until Ctrl-C, and print the variables that point this command at them.
    #[command(after_help = examples::SIM)]
    Sim(SimArgs),
    /// TextIn: parse documents to Markdown and elements.
    #[command(subcommand)]
    Textin(TextinCommand),
    /// PP匠: convert PowerPoint to an H5 bundle.
    #[command(subcommand)]
    Ppj(PpjCommand),
    /// MindShow: make decks, and export them to PDF.
    #[command(subcommand)]
    Mindshow(MindshowCommand),
    /// Tencent e-sign: convert files to PDFs that can be signed.
    #[command(subcommand)]
    TencentEss(TencentEssCommand),
    /// WeCom: be a smart printer.
    #[command(subcommand)]
    Printer(PrinterCommand),
    /// List the jobs that were ever wanted here.
    Jobs(JobsArgs),
    /// Tell the history of a job.
    Show {
        /// Our id or the vendor's.
        id: String,
    },
    /// Wait for a job and bring its result.
    #[command(after_help = examples::WAIT)]
    Wait(WaitArgs),
    /// Carry on everything that is unfinished.
    Resume,
    /// Decide about a job whose outcome is unknown.
    #[command(after_help = examples::RESOLVE)]
    Resolve(ResolveArgs),
    /// Work on the jobs of a ledger until SIGTERM or Ctrl-C; run as many of these as you like, on as many machines.
    Work(WorkArgs),
    /// Check variables, addresses, clocks, credentials and the ledger, without any charged call.
    #[command(after_help = examples::DOCTOR)]
    Doctor,
    /// Print the man page, or completions for a shell, or write all of them into a folder.
    #[command(hide = true)]
    Manual(ManualArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    /// The address to listen on; only addresses of this machine itself.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) listen: IpAddr,
    /// How many simulated seconds pass in a real one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(crate) speed: u32,
    /// Also write the variables to this file, one NAME=value a line, once everything listens.
    #[arg(long, value_name = "PATH")]
    pub(crate) env_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TextinCommand {
    /// Parse a document; billed for each page.
    #[command(after_help = examples::PARSE)]
    Parse(ParseArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ParseArgs {
    /// The document, or an http(s) address from which the vendor fetches it.
    #[arg(value_name = "FILE|URL")]
    pub(crate) input: String,
    /// Where to put the result; stdout unless given. Never overwritten.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// What to bring home.
    #[arg(long, default_value = "markdown")]
    pub(crate) format: Format,
    /// Parse, and pay for, these pages only, such as 1-5 or 1-2,5-10.
    #[arg(long, value_name = "PAGES")]
    pub(crate) pages: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PpjCommand {
    /// Convert a PowerPoint file; uses up one project of the quota.
    #[command(after_help = examples::CONVERT)]
    Convert(ConvertArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    /// The PowerPoint file.
    pub(crate) file: PathBuf,
    /// Where to put the zip; stdout unless given. Never overwritten.
    #[arg(short, long, value_name = "OUT.zip")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MindshowCommand {
    /// Make a deck; costs 10 to 12 credits.
    #[command(after_help = examples::DECK)]
    Deck(DeckArgs),
    /// Export a deck to PDF; each call may cost 10 credits.
    #[command(after_help = examples::PDF)]
    Pdf(PdfArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeckArgs {
    #[command(flatten)]
    pub(crate) source: DeckSource,
    /// Where to put the deck; stdout unless given. Never overwritten.
    #[arg(short, long, value_name = "OUT.pptx")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DeckSource {
    /// By AI, about this; 12 credits, most likely.
    #[arg(long, value_name = "TEXT")]
    pub(crate) topic: Option<String>,
    /// By AI, from an outline in Markdown; 11 credits, most likely.
    #[arg(long, value_name = "FILE")]
    pub(crate) outline: Option<PathBuf>,
    /// Without AI, from Markdown with four levels of headings; 10 credits.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PdfArgs {
    /// The deck's job, by the vendor's id.
    pub(crate) job_id: String,
    /// Where to put the PDF; stdout unless given. Never overwritten.
    #[arg(short, long, value_name = "OUT.pdf")]
    pub(crate) output: Option<PathBuf>,
    /// How many calls to make at most: the vendor does not say whether each one is charged.
    #[arg(long, default_value_t = MAX_CALLS, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(crate) max_calls: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TencentEssCommand {
    /// Upload a file, convert it, and print the ResourceId of the PDF.
    #[command(after_help = examples::SIGNABLE)]
    Convert {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PrinterCommand {
    /// List the unprinted jobs.
    #[command(after_help = examples::LIST)]
    List {
        /// Also those that were printed or have failed.
        #[arg(long)]
        all: bool,
    },
    /// Download every unprinted job, print it, and report how that ended; until Ctrl-C.
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The folder for the files: JOB_ID.pdf, or JOB_ID-001.jpg and so on.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: PathBuf,
    /// The command that prints a job, without a shell; the paths of its files are appended, and exit code 0 means
    /// printed. DOCJOBS_JOB_ID, _DOC_NAME, _USER, _PAPER, _SIDES, _COLOR and _COPIES tell of the job. Without it a
    /// complete file counts as printed.
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// End when no unprinted job is left untried.
    #[arg(long)]
    pub(crate) once: bool,
    /// Remove the files of a job once it is reported.
    #[arg(long, requires = "exec")]
    pub(crate) remove: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// A ticket, our id, or the vendor's.
    #[arg(value_name = "ID|TICKET")]
    pub(crate) job: String,
    /// Where to put the result; stdout unless given. Never overwritten.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// What to bring home of a TextIn job; what was wanted at first unless given.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// How many calls to make at most for a MindShow PDF.
    #[arg(long, default_value_t = MAX_CALLS, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(crate) max_calls: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct JobsArgs {
    /// Only those that are not settled.
    #[arg(long)]
    pub(crate) unfinished: bool,
    /// Only those of this vendor.
    #[arg(long)]
    pub(crate) vendor: Option<String>,
    /// Instead of listing, forget jobs that were settled longer ago than this, such as 30d.
    #[arg(long, value_parser = deadline, value_name = "TIME")]
    pub(crate) prune: Option<Duration>,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("decision").required(true))]
pub(crate) struct ResolveArgs {
    /// Our id or the vendor's.
    pub(crate) id: String,
    /// It is this job at the vendor.
    #[arg(long, value_name = "JOB_ID", group = "decision")]
    pub(crate) adopt: Option<String>,
    /// Give it up: the same command then submits anew.
    #[arg(long, group = "decision")]
    pub(crate) abandon: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    /// Where results go that were given no place, as ID.md and so on; the current folder unless given.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// How many jobs to hold at once.
    #[arg(long, default_value_t = 10_000, value_parser = jobs, value_name = "N")]
    pub(crate) jobs: usize,
    /// End when no job of the accounts in use is unfinished, but for those that wait for a person.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManualArgs {
    /// Write DIR/man1 and DIR/completions.
    #[arg(long, value_name = "DIR", conflicts_with = "completions")]
    pub(crate) out: Option<PathBuf>,
    /// Print the completions for this shell.
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<clap_complete::Shell>,
}

/// How many calls a MindShow PDF may cost unless told otherwise: an export takes 10 to 20 s at a call each 5 s.
pub(crate) const MAX_CALLS: u32 = 6;

/// What to bring home of a parsed document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The Markdown text.
    Markdown,
    /// The whole result as the vendor serves it.
    Json,
}

impl Format {
    /// As the ledger remembers it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Json => "json",
        }
    }

    /// What was wanted when the job was; Markdown where nobody said.
    pub(crate) fn of(job: &jobs_ledger::Job) -> Self {
        match job.format.as_deref() {
            Some("json") => Self::Json,
            _ => Self::Markdown,
        }
    }
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("a whole number from 1".to_owned()),
    }
}

fn deadline(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|problem| format!("{problem}; write 90s, 10m or 2h"))
}

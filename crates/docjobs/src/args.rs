//! What can be typed.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{
    Arg, ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    ValueEnum,
};

use jobs_ledger::{BudgetPeriod, Stage};

use crate::clean;
use crate::examples;
use crate::input_args::{BatchArgs, InputArgs, OutArgs, deadline};
use crate::job_log::LogFormat;
use crate::vendor_options::{Convert, Deck, Parse, VendorOptions};

/// A command line that was understood.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) common: Common,
    pub(crate) command: Command,
}

/// Run document jobs that take minutes and cost money, without losing or repeating one.
#[derive(Debug, Parser)]
#[command(name = "docjobs", version, after_help = EXAMPLES)]
struct Typed {
    #[command(subcommand)]
    command: Command,
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

/// What several commands understand. Each shows and takes what it [uses], and nothing else.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// One JSON object per line on stdout, progress as events.
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up waiting after this time, such as 90s, 10m or 2h; the job goes on and its ticket is printed.
    #[arg(long, default_value = DEADLINE, value_parser = deadline, value_name = "TIME")]
    pub(crate) deadline: Duration,
    /// Submit, print the ticket, and end.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Submit the same input once more on purpose, and pay once more; without it, it attaches to the job already paid for.
    #[arg(long)]
    pub(crate) again: bool,
    /// Replace a file that is there, at once and as a whole.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Deliver a result that arrived whole and does not pass its check, as it is.
    #[arg(long)]
    pub(crate) accept_unverified: bool,
    /// Where jobs are written down: a path, or postgres://…; a file in the user's data directory unless given.
    #[arg(
        long,
        env = "DOCJOBS_LEDGER",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) ledger: Option<OsString>,
    /// More detail on stderr; repeat for still more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

const DEADLINE: &str = "30m";

/// The common options that a command uses, by the words that lead to it.
fn uses(command: &str) -> &'static [&'static str] {
    match command {
        "manual" => &[],
        "sim" => &["overwrite", "verbose"],
        "demo" => &["json", "verbose"],
        "textin parse" | "ppj convert" | "mindshow deck" | "mindshow pdf" => &[
            "json",
            "deadline",
            "no_wait",
            "again",
            "overwrite",
            "accept_unverified",
            "ledger",
            "verbose",
        ],
        "tencent-ess convert" => &["json", "deadline", "no_wait", "again", "ledger", "verbose"],
        "wait" => &[
            "json",
            "deadline",
            "overwrite",
            "accept_unverified",
            "ledger",
            "verbose",
        ],
        "resume" => &["json", "deadline", "accept_unverified", "ledger", "verbose"],
        "printer list" | "printer run" | "mindshow account" | "mindshow templates"
        | "mindshow list" | "ppj list" | "ppj quota" => &["json", "deadline", "ledger", "verbose"],
        _ => &["json", "ledger", "verbose"],
    }
}

/// All that can be typed, with each common option at the commands that use it, and at those above them.
pub(crate) fn command() -> clap::Command {
    let common = Common::augment_args(clap::Command::new(""));
    let common: Vec<Arg> = common.get_arguments().cloned().collect();
    with_common(Typed::command(), "", &common)
}

fn with_common(command: clap::Command, path: &str, common: &[Arg]) -> clap::Command {
    let command = command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        with_common(below, path.trim_start(), common)
    });
    let is_used = |option: &&Arg| {
        let mut below = command.get_subcommands().peekable();
        if below.peek().is_none() {
            return uses(path).contains(&option.get_id().as_str());
        }
        below.any(|below| {
            below
                .get_arguments()
                .any(|known| known.get_id() == option.get_id())
        })
    };
    let used: Vec<Arg> = common.iter().filter(is_used).cloned().collect();
    command.args(used)
}

impl Args {
    /// What this process was called with; ends it where that makes no sense, or asks for help.
    pub(crate) fn of_process() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        Self::try_parse_from(&words).unwrap_or_else(|error| {
            // What is complained about is quoted, so it is cleaned before.
            let clean = words.iter().map(|word| match word.to_str() {
                Some(word) => clean::line(word).into_owned().into(),
                None => word.clone(),
            });
            match Self::try_parse_from(clean) {
                Err(shown) => shown.exit(),
                Ok(_) => error.exit(),
            }
        })
    }

    pub(crate) fn try_parse_from<T: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let mut known = command();
        let matches = known.try_get_matches_from_mut(&words).map_err(|error| {
            match words.iter().find(|word| word.to_str().is_none()) {
                Some(word) if error.kind() == ErrorKind::InvalidUtf8 => known.error(
                    ErrorKind::InvalidUtf8,
                    format!("the argument {word:?} is not UTF-8"),
                ),
                _ => error,
            }
        })?;
        let typed = Typed::from_arg_matches(&matches).map_err(|error| error.format(&mut known))?;
        let common = Common::of(&levels(&matches))
            .map_err(|line| known.error(ErrorKind::UnknownArgument, line))?;
        Ok(Self {
            common,
            command: typed.command,
        })
    }
}

/// A command between those that lead to it and its own options: its name and what was typed for it.
type Level<'a> = (&'a str, &'a ArgMatches);

fn levels(matches: &ArgMatches) -> Vec<Level<'_>> {
    let mut levels = vec![("docjobs", matches)];
    let mut next = matches.subcommand();
    while let Some((name, below)) = next {
        levels.push((name, below));
        next = below.subcommand();
    }
    levels
}

impl Common {
    /// The options of the last command, wherever on the line they were typed.
    fn of(levels: &[Level<'_>]) -> Result<Self, String> {
        Ok(Self {
            json: typed(levels, "json")?.unwrap_or_default(),
            deadline: typed(levels, "deadline")?.map_or_else(|| deadline(DEADLINE), Ok)?,
            no_wait: typed(levels, "no_wait")?.unwrap_or_default(),
            again: typed(levels, "again")?.unwrap_or_default(),
            overwrite: typed(levels, "overwrite")?.unwrap_or_default(),
            accept_unverified: typed(levels, "accept_unverified")?.unwrap_or_default(),
            ledger: typed(levels, "ledger")?,
            verbose: typed(levels, "verbose")?.unwrap_or_default(),
        })
    }
}

/// What was typed for an option, the last word first, or else what the command itself takes it to be.
fn typed<T: Clone + Send + Sync + 'static>(
    levels: &[Level<'_>],
    option: &str,
) -> Result<Option<T>, String> {
    let value = |level: &ArgMatches| level.try_get_one::<T>(option).ok().flatten().cloned();
    let is_typed = |level: &&Level<'_>| {
        level.1.try_contains_id(option).is_ok()
            && level.1.value_source(option) == Some(ValueSource::CommandLine)
    };
    let Some((_, last)) = levels.last() else {
        return Ok(None);
    };
    let found = levels.iter().rev().find(is_typed);
    match last.try_contains_id(option) {
        Ok(_) => Ok(found.map_or_else(|| value(last), |(_, level)| value(level))),
        Err(_) if found.is_some() => {
            let names: Vec<&str> = levels.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "unexpected argument '--{}' found: {} does not use it",
                option.replace('_', "-"),
                names.join(" ")
            ))
        }
        Err(_) => Ok(None),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every vendor end to end against embedded simulators; needs no account.
    #[command(after_help = examples::DEMO)]
    Demo(DemoArgs),
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
    /// List the jobs of the ledger, newest first.
    Jobs(JobsArgs),
    /// Tell the history of a job.
    Show {
        /// Our id or the vendor's.
        id: String,
    },
    /// Wait for a job and deliver its result.
    #[command(after_help = examples::WAIT)]
    Wait(WaitArgs),
    /// Continue everything that is unfinished, or the jobs named.
    Resume(ResumeArgs),
    /// Decide about a job whose outcome is unknown.
    #[command(after_help = examples::RESOLVE)]
    Resolve(ResolveArgs),
    /// Work on the jobs of a ledger until SIGTERM or Ctrl-C; run as many of these as you like, on as many machines.
    Work(WorkArgs),
    /// Offer the jobs to an agent as tools, by the Model Context Protocol on stdin and stdout.
    #[command(after_help = examples::MCP)]
    Mcp(McpArgs),
    /// Take webhooks, and offer a page and an HTTP API for the jobs of the ledger, until told to stop.
    #[command(after_help = examples::SERVE)]
    Serve(ServeArgs),
    /// Show, set or take away what may be spent at a vendor.
    Budget(BudgetArgs),
    /// List the accounts that have jobs, or say that two keys are of one account.
    Account(AccountArgs),
    /// Copy the ledger, or put a copy back.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Check variables, addresses, clocks, credentials and the ledger, without any charged call.
    #[command(after_help = examples::DOCTOR)]
    Doctor,
    /// Print the man page, or completions for a shell, or write all of them into a folder.
    #[command(hide = true)]
    Manual(ManualArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Where to put the documents and results; a new folder unless given.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Show the jobs on the page of docjobs serve, on a free port of this machine, until Ctrl-C.
    #[arg(long)]
    pub(crate) serve: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Copy the ledger into a new file while it is in use.
    #[command(after_help = examples::LEDGER)]
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Put a copy back where no ledger is; what it takes for not submitted waits for `docjobs ledger recover`.
    #[command(after_help = examples::LEDGER)]
    Restore {
        /// The copy; none for a database that was restored by its own tools.
        file: Option<PathBuf>,
    },
    /// Let the jobs go on that wait since the ledger was restored.
    #[command(after_help = examples::LEDGER)]
    Recover,
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
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    /// Where to put the result; stdout unless given, or with -. Never replaced without --overwrite.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// What to bring home.
    #[arg(long, default_value = "markdown")]
    pub(crate) format: Format,
    /// Parse, and pay for, these pages only, such as 1-5 or 1-2,5-10.
    #[arg(long, value_name = "PAGES")]
    pub(crate) pages: Option<String>,
    /// The password of an encrypted document: the first line of this file. Of it, the path alone is remembered.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    #[command(flatten)]
    pub(crate) vendor: VendorOptions<Parse>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PpjCommand {
    /// Convert a PowerPoint file; uses up one project of the quota.
    #[command(after_help = examples::CONVERT)]
    Convert(ConvertArgs),
    /// List the account's jobs at the vendor, by token; free.
    #[command(after_help = examples::PPJ_FREE)]
    List(PpjListArgs),
    /// Tell how many projects may still be made; free, access keys only.
    #[command(name = "quota", after_help = examples::PPJ_FREE)]
    ProjectsLeft,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PpjListArgs {
    /// Only jobs made since then, such as 12h or 3d ago.
    #[arg(long, value_parser = deadline, value_name = "TIME")]
    pub(crate) since: Option<Duration>,
    /// Only jobs in this state, such as completed; signed accounts only.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Also name, state and pages of each job, by one request for each.
    #[arg(long)]
    pub(crate) details: bool,
    /// How many to show at most.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    /// Where to put the zip; stdout unless given, or with -. Never replaced without --overwrite.
    #[arg(short, long, value_name = "OUT.zip")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    /// Also unpack each zip into a folder beside it, named like it.
    #[arg(long)]
    pub(crate) unpack: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MindshowCommand {
    /// Make a deck; costs 10 to 12 credits.
    #[command(after_help = examples::DECK)]
    Deck(DeckArgs),
    /// Export a deck to PDF; each call may cost 10 credits.
    #[command(after_help = examples::PDF)]
    Pdf(PdfArgs),
    /// Tell the account's credits; free.
    #[command(after_help = examples::MINDSHOW_FREE)]
    Account,
    /// List templates, whose ids --template takes; free.
    #[command(after_help = examples::MINDSHOW_FREE)]
    Templates(TemplatesArgs),
    /// List the account's jobs at the vendor, newest first; free.
    #[command(after_help = examples::MINDSHOW_FREE)]
    List(MindshowListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TemplatesArgs {
    /// Which ones.
    #[arg(long = "type", value_parser = ["public", "private", "share"], value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// Only those that fit this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) query: Option<String>,
    /// Only those for this scene, by the vendor's number.
    #[arg(long, value_name = "N")]
    pub(crate) scene: Option<i64>,
    /// Only those of this colour, by the vendor's number.
    #[arg(long, value_name = "N")]
    pub(crate) color: Option<i64>,
    /// How many to show at most.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MindshowListArgs {
    /// How many to show at most.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeckArgs {
    #[command(flatten)]
    pub(crate) source: DeckSource,
    /// Where to put the deck; stdout unless given, or with -. Never replaced without --overwrite.
    #[arg(short, long, value_name = "OUT.pptx")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    #[command(flatten)]
    pub(crate) vendor: VendorOptions<Deck>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DeckSource {
    /// By AI, about this; 12 credits, most likely.
    #[arg(long, value_name = "TEXT")]
    pub(crate) topic: Option<String>,
    /// By AI, from an outline in Markdown (- for stdin); 11 credits, most likely.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) outline: Vec<OsString>,
    /// Without AI, from Markdown with four levels of headings (- for stdin); 10 credits.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) markdown: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PdfArgs {
    /// The decks' jobs, by the vendor's ids.
    #[arg(required = true, value_name = "JOB_ID")]
    pub(crate) job_ids: Vec<String>,
    /// Where to put the PDF; stdout unless given, or with -. Never replaced without --overwrite.
    #[arg(short, long, value_name = "OUT.pdf")]
    pub(crate) output: Option<PathBuf>,
    /// How many calls to make at most: the vendor does not say whether each one is charged.
    #[arg(long, default_value_t = MAX_CALLS, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(crate) max_calls: u32,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TencentEssCommand {
    /// Upload a file, convert it, and print the ResourceId of the PDF.
    #[command(after_help = examples::SIGNABLE)]
    Convert(SignableArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SignableArgs {
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    #[command(flatten)]
    pub(crate) vendor: VendorOptions<Convert>,
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
    /// The command that prints a job, split into words without a shell; exit code 0 means printed. {file}, {copies}, {sides},
    /// {paper}, {color} and {title} are filled in: a word with {file} once for each file, files at the end where no word
    /// has it, and a word whose placeholder has no value is left out. DOCJOBS_JOB_ID, _DOC_NAME, _USER, _PAPER, _SIDES,
    /// _COLOR, _COPIES and DOCJOBS_SETTINGS (JSON, every setting) tell of the job. Without it a complete file counts as
    /// printed.
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
    /// Where to put the result; stdout unless given, or with -. Never replaced without --overwrite.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// What to bring home of a TextIn job; what was wanted at first unless given.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// How many calls to make at most for a MindShow PDF; must be said for a ticket of another ledger, because each call
    /// may cost credits.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(crate) max_calls: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// Our ids, or the vendor's; everything unfinished unless given.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Directory for results without an output path, named ID.md and so on.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct JobsArgs {
    /// Only those in these stages, such as accepted,in_doubt.
    #[arg(long, value_parser = stage, value_delimiter = ',', value_name = "STAGE")]
    pub(crate) stage: Vec<Stage>,
    /// Only those that are not settled.
    #[arg(long, conflicts_with = "stage")]
    pub(crate) unfinished: bool,
    /// The newest so many; on a terminal 50 unless given, elsewhere all.
    #[arg(long, value_parser = jobs, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only those of this vendor.
    #[arg(long)]
    pub(crate) vendor: Option<String>,
    /// Only those whose input is or begins with this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) input: Option<String>,
    /// Only those with an error of this kind, such as rate_limited, or whose error has this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Only those recorded since: a date, a time, or how long ago, such as 2h.
    #[arg(long, value_name = "T")]
    pub(crate) since: Option<String>,
    /// Only those recorded before.
    #[arg(long, value_name = "T")]
    pub(crate) until: Option<String>,
    /// Instead of listing, forget jobs that were settled longer ago than this, such as 30d.
    #[arg(long, value_parser = deadline, value_name = "TIME")]
    pub(crate) prune: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BudgetArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BudgetCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// Set what may be spent; what was bought before counts.
    #[command(after_help = examples::BUDGET)]
    Set {
        /// textin (pages), ppj (projects), mindshow (credits) or tencent-ess (conversions).
        vendor: String,
        /// How many of the vendor's units.
        #[arg(value_name = "N", allow_hyphen_values = true)]
        limit: String,
        /// When it begins anew: day and month are those of Shanghai.
        #[arg(long, default_value = "total", value_name = "day|month|total")]
        per: BudgetPeriod,
        /// Refuse what cannot be estimated, such as an address or an encrypted document.
        #[arg(long)]
        strict: bool,
    },
    /// Take a budget away.
    #[command(after_help = examples::BUDGET)]
    Clear {
        /// The vendor.
        vendor: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AccountCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Say that a key was exchanged: what the old one bought belongs to the new one, and is not bought again.
    #[command(after_help = examples::ACCOUNT)]
    Join {
        /// The account of the old key, as docjobs account lists it.
        old: String,
        /// The account of the new key.
        new: String,
    },
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
    /// Directory for results without an output path, named ID.md and so on; the current folder unless given.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// How many jobs to hold at once.
    #[arg(long, default_value_t = 10_000, value_parser = jobs, value_name = "N")]
    pub(crate) jobs: usize,
    /// End when no job of the accounts in use is unfinished, but for those that wait for a person.
    #[arg(long)]
    pub(crate) once: bool,
    /// Drop the histories, options and texts of jobs that are over for longer than this, such as 90d; what they bought stays
    /// bought.
    #[arg(long, value_parser = deadline, value_name = "TIME")]
    pub(crate) keep: Option<Duration>,
    /// Also write a line on stderr for each job that ends in this process.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log: Option<LogFormat>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct McpArgs {
    /// A directory below which calls may name files, and put results; the current one unless given. Repeat for several.
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Vec<PathBuf>,
    /// Offer only the tools that read; nothing is bought, and no worker runs.
    #[arg(long, conflicts_with = "no_work")]
    pub(crate) read_only: bool,
    /// Run no worker in this process: jobs wait for docjobs work elsewhere.
    #[arg(long)]
    pub(crate) no_work: bool,
    /// Let the agent give jobs up, and adopt jobs against the evidence, without asking a person: a second purchase may follow.
    #[arg(long)]
    pub(crate) allow_resolve: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The address of the page and the API; port 0 takes a free one. Without --token-file only addresses of this machine
    /// itself.
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDR")]
    pub(crate) listen: String,
    /// A name by which browsers may call the server, such as that of the proxy in front of it; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// Also listen here for the vendors' webhooks, and for nothing else.
    #[arg(long, value_name = "ADDR")]
    pub(crate) hooks: Option<String>,
    /// The public address of that listener: from now on submits of all workers of the ledger name it.
    #[arg(long, value_name = "URL", requires = "hooks")]
    pub(crate) hooks_url: Option<String>,
    /// Who may: lines NAME TOKEN, or NAME TOKEN ro for those who only read. Read again when it changes.
    #[arg(long, value_name = "F")]
    pub(crate) token_file: Option<PathBuf>,
    /// Change nothing, whoever asks.
    #[arg(long, conflicts_with = "work")]
    pub(crate) read_only: bool,
    /// Also work on jobs, as docjobs work does.
    #[arg(long)]
    pub(crate) work: bool,
    /// With --work, also write a line on stderr for each job that ends in this process.
    #[arg(long, value_name = "FORMAT", requires = "work")]
    pub(crate) log: Option<LogFormat>,
    /// Also offer the jobs to agents at /mcp, by the Model Context Protocol; with a token file, to its tokens.
    #[arg(long)]
    pub(crate) mcp: bool,
    /// With --mcp, a directory below which calls may name files; may be repeated.
    #[arg(long, value_name = "DIR", requires = "mcp")]
    pub(crate) root: Vec<PathBuf>,
    /// Give /metrics to whoever asks.
    #[arg(long)]
    pub(crate) open_metrics: bool,
    /// The folder for uploads, and for results without an output path; shared by all processes of a ledger. Beside the
    /// ledger unless given, if that is a file.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,
    /// With --work, the folder for results without an output path; in the spool unless given.
    #[arg(long, value_name = "DIR", requires = "work")]
    pub(crate) out: Option<PathBuf>,
    /// The longest file that is taken, such as 500MB or 1GiB.
    #[arg(long, default_value = "500MB", value_parser = byte_size, value_name = "SIZE")]
    pub(crate) max_upload: u64,
    /// How long results in the spool are kept, such as 30d.
    #[arg(long, default_value = "30d", value_parser = deadline, value_name = "TIME")]
    pub(crate) keep_results: Duration,
}

impl ServeArgs {
    /// A server that also works, and whose other options are the usual ones.
    pub(crate) fn working_at(listen: String) -> Self {
        Self {
            listen,
            host: Vec::new(),
            hooks: None,
            hooks_url: None,
            token_file: None,
            read_only: false,
            work: true,
            log: None,
            mcp: false,
            root: Vec::new(),
            open_metrics: false,
            spool: None,
            out: None,
            max_upload: MAX_UPLOAD,
            keep_results: KEEP_RESULTS,
        }
    }
}

/// `500MB` and `30d`, as the help of `docjobs serve` says.
const MAX_UPLOAD: u64 = 500_000_000;
const KEEP_RESULTS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Debug, clap::Args)]
pub(crate) struct ManualArgs {
    /// Write DIR/man1 and DIR/completions.
    #[arg(long, value_name = "DIR", conflicts_with = "completions")]
    pub(crate) out: Option<PathBuf>,
    /// Print the completions for this shell.
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<clap_complete::Shell>,
    /// Print the skill for agents, in English and Chinese.
    #[arg(long, conflicts_with_all = ["out", "completions"])]
    pub(crate) skill: bool,
    /// Print rules for alerts on the metrics of docjobs serve, as Prometheus reads them.
    #[arg(long, conflicts_with_all = ["out", "completions"])]
    pub(crate) prometheus_rules: bool,
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
}

fn stage(text: &str) -> Result<Stage, String> {
    Stage::parse(text.trim()).ok_or_else(|| {
        let known = Stage::ALL.map(Stage::as_str).join(", ");
        format!("the stages are {known}")
    })
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("a whole number from 1".to_owned()),
    }
}

/// `500MB`, `64 KiB`, `1000`.
fn byte_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        _ => None,
    };
    let size = number.parse::<u64>().ok().zip(factor);
    size.and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|size| *size > 0)
        .ok_or_else(|| "a size such as 500MB or 1GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn a_command_takes_the_options_that_it_uses_wherever_they_stand() {
        for line in [
            "docjobs --json -v --ledger x.db textin parse a.pdf --no-wait --deadline 7s",
            "docjobs textin --json -v --ledger x.db parse a.pdf --no-wait --deadline 7s",
            "docjobs textin parse a.pdf --json -v --ledger x.db --deadline 7s --no-wait",
            "docjobs --deadline 9s textin --deadline 8s parse --deadline 7s a.pdf --no-wait --json -v --ledger x.db",
        ] {
            let common = parse(line).unwrap().common;
            assert!(common.json && common.no_wait && !common.again, "{line}");
            assert_eq!(common.verbose, 1, "{line}");
            assert_eq!(common.deadline, Duration::from_secs(7), "{line}");
            assert_eq!(common.ledger.as_deref(), Some("x.db".as_ref()), "{line}");
        }
        let common = parse("docjobs wait 7").unwrap().common;
        assert_eq!(common.deadline, Duration::from_secs(30 * 60));
    }

    #[test]
    fn an_option_that_a_command_does_not_use_is_refused() {
        for line in [
            "docjobs doctor --again",
            "docjobs --again doctor",
            "docjobs sim --no-wait",
            "docjobs sim --ledger x.db",
            "docjobs jobs --deadline 5s",
            "docjobs --deadline 5s jobs",
            "docjobs show 7 --no-wait",
            "docjobs resolve 7 --abandon --deadline 5s",
            "docjobs resume --again",
            "docjobs wait 7 --no-wait",
            "docjobs work --no-wait",
            "docjobs tencent-ess convert a.docx --overwrite",
            "docjobs printer list --again",
            "docjobs printer --again list",
            "docjobs manual --json",
            "docjobs demo --ledger x.db",
        ] {
            let refused = parse(line).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::UnknownArgument, "{line}");
            let option = line.split(' ').find(|word| word.starts_with("--")).unwrap();
            let option = if line.contains("--abandon") {
                "--deadline"
            } else {
                option
            };
            assert!(refused.to_string().contains(option), "{line}: {refused}");
        }
    }

    #[test]
    fn help_shows_what_is_taken_and_nothing_else() {
        for (line, shown, hidden) in [
            (
                "docjobs doctor --help",
                &["--json", "--ledger"][..],
                &["--again", "--no-wait", "--deadline"][..],
            ),
            (
                "docjobs sim --help",
                &["--verbose", "--overwrite"],
                &["--json", "--ledger", "--deadline"],
            ),
            (
                "docjobs textin parse --help",
                &["--again", "--no-wait", "--overwrite", "--name"],
                &[],
            ),
            (
                "docjobs printer --help",
                &["--deadline"],
                &["--again", "--overwrite"],
            ),
            (
                "docjobs jobs --help",
                &["--stage", "--limit"],
                &["--deadline"],
            ),
        ] {
            let help = parse(line).unwrap_err().to_string();
            assert!(shown.iter().all(|option| help.contains(option)), "{help}");
            assert!(!hidden.iter().any(|option| help.contains(option)), "{help}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn an_argument_that_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = || OsString::from_vec(b"\xba\xcf.pdf".to_vec());
        let words = |before: &[&str]| -> Vec<OsString> {
            before.iter().map(OsString::from).chain([odd()]).collect()
        };
        let Command::Textin(TextinCommand::Parse(parse)) =
            Args::try_parse_from(words(&["docjobs", "textin", "parse"]))
                .unwrap()
                .command
        else {
            panic!("another command");
        };
        assert_eq!(parse.inputs.inputs, [odd()]);
        let refused = Args::try_parse_from(words(&["docjobs", "show"])).unwrap_err();
        assert!(
            refused.to_string().contains(r#""\xBA\xCF.pdf""#),
            "{refused}"
        );
    }
}

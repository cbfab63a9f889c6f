//! What every command has at hand: options, variables, the clock, the voice.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use etcetera::BaseStrategy;
use jobs_core::clock::{Clock, Moment, SystemClock};
use jobs_core::http::Origin;
use jobs_core::vendor::{Env, KindPolicy};
use jobs_ledger::{Ledger, LedgerConfig, LedgerError};
use jobs_runner::{PollModels, RunOptions, Runner};
use tokio::sync::OnceCell;

use crate::address;
use crate::args::Common;
use crate::exit::CommandError;
use crate::observer::CommandObserver;
use crate::place_key;
use crate::report::Report;
use crate::signals::Shutdown;
use crate::webhook_address::WebhookAddress;

type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The surroundings of one command.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) options: Common,
    pub(crate) report: Report,
    pub(crate) shutdown: Shutdown,
    pub(crate) webhook: WebhookAddress,
    lookup: Lookup,
    clock: Arc<OnceLock<Arc<dyn Clock>>>,
    ledger: Arc<OnceCell<Ledger>>,
    poll_models: Option<PollModels>,
    connections: u32,
    ledger_deadline: Duration,
}

/// What a command needs that works on one job: one to write, one to read meanwhile.
const CONNECTIONS: u32 = 2;

/// Divides every vendor time, for simulators only.
const TIME_SCALE: &str = "DOCJOBS_TIME_SCALE";

impl App {
    pub(crate) fn of_process(options: Common, report: Report, shutdown: Shutdown) -> Self {
        Self {
            options,
            report,
            shutdown,
            webhook: WebhookAddress::default(),
            lookup: Arc::new(|name| std::env::var(name).ok()),
            clock: Arc::default(),
            ledger: Arc::default(),
            poll_models: None,
            connections: CONNECTIONS,
            ledger_deadline: Duration::MAX,
        }
    }

    /// The same command, with clients that learn how long jobs take.
    pub(crate) fn with_poll_models(&self, models: &PollModels) -> Self {
        Self {
            poll_models: Some(models.clone()),
            ..self.clone()
        }
    }

    /// Has a client look when its jobs tend to end, if this command learns that.
    pub(crate) fn pace(&self, vendor: &'static str, facts: &mut KindPolicy) {
        if let Some(models) = &self.poll_models {
            models.learn(vendor, facts);
        }
    }

    /// The same command in front of other variables.
    pub(crate) fn with_variables(&self, variables: Vec<(String, String)>) -> Self {
        let lookup = move |name: &str| {
            variables
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        Self {
            lookup: Arc::new(lookup),
            clock: Arc::default(),
            ..self.clone()
        }
    }

    /// The same command with a ledger of its own.
    pub(crate) fn with_ledger(&self, path: PathBuf) -> Self {
        let options = Common {
            ledger: Some(path.into_os_string()),
            ..self.options.clone()
        };
        Self {
            options,
            ledger: Arc::default(),
            ..self.clone()
        }
    }

    pub(crate) fn env(&self, vendor: &'static str) -> Env<'_> {
        Env::new(vendor, &*self.lookup)
    }

    /// The one clock by which jobs are waited for.
    pub(crate) fn clock(&self) -> Result<Arc<dyn Clock>, CommandError> {
        let scale = self.scale()?;
        let clock = self
            .clock
            .get_or_init(|| Arc::new(SystemClock::with_speed(scale)));
        Ok(Arc::clone(clock))
    }

    /// How many vendor seconds pass in a real one.
    pub(crate) fn scale(&self) -> Result<u32, CommandError> {
        let Some(scale) = (self.lookup)(TIME_SCALE).filter(|text| !text.is_empty()) else {
            return Ok(1);
        };
        scale
            .parse()
            .ok()
            .filter(|scale| *scale > 0)
            .ok_or_else(|| {
                CommandError::invalid_input(format!(
                    "{TIME_SCALE} is {scale:?}; it must be a whole number from 1"
                ))
            })
    }

    /// The ledger, created where needed and opened once.
    pub(crate) async fn ledger(&self) -> Result<Ledger, CommandError> {
        self.ledger
            .get_or_try_init(|| self.open_ledger())
            .await
            .cloned()
    }

    /// A runner on the ledger, which tells the report what happens. Handlers are still to be added.
    pub(crate) async fn runner(&self) -> Result<Runner, CommandError> {
        let observer = CommandObserver::new(self.report.clone(), self.options.no_wait);
        Ok(Runner::on(self.ledger().await?).with_observer(observer))
    }

    /// How this command runs a job. `begun` is when the command began to wait, by the vendors' clock.
    pub(crate) fn run_options(&self, begun: Moment) -> Result<RunOptions, CommandError> {
        let spent = self.clock()?.now().since(begun);
        Ok(RunOptions::default()
            .with_deadline(self.options.deadline.saturating_sub(spent))
            .overwriting(self.options.overwrite)
            .accepting_unverified(self.options.accept_unverified)
            .until_accepted(self.options.no_wait)
            .with_shutdown(self.shutdown.token()))
    }

    /// Whether the ledger is a file that is not there yet.
    pub(crate) fn is_ledger_missing(&self) -> Result<bool, CommandError> {
        Ok(self.ledger_file()?.is_some_and(|path| !path.exists()))
    }

    fn ledger_address(&self) -> Result<String, CommandError> {
        let given = self.options.ledger.as_deref().unwrap_or_default();
        match address::ledger(given, || etcetera::home_dir().ok())? {
            Some(url) => Ok(url),
            None => usual_ledger(),
        }
    }

    /// The file of the ledger; none for a database.
    pub(crate) fn ledger_file(&self) -> Result<Option<PathBuf>, CommandError> {
        let address = self.ledger_address()?;
        if address.starts_with("postgres") {
            return Ok(None);
        }
        let path = address.strip_prefix("sqlite:").unwrap_or(&address);
        Ok(Some(path.into()))
    }

    async fn open_ledger(&self) -> Result<Ledger, CommandError> {
        let url = self.ledger_address()?;
        // Leases are real time, however fast the vendors' clocks run.
        let clock = SystemClock::shared();
        let mut settings = LedgerConfig::default();
        settings.connections = self.connections;
        // Locks are held in real time too.
        let deadline = self.options.deadline.min(self.ledger_deadline);
        settings.patience = lock_patience(deadline, settings.patience);
        // A file that others can write is no ledger; a database may be written by whoever can connect to it.
        if self.ledger_file()?.is_none() {
            let key = place_key::of_user();
            settings.place_key = Some(key.map_err(|problem| {
                CommandError::unexpected(format!("no random numbers: {problem}"))
            })?);
        }
        let open = || Ledger::open_with(&url, Arc::clone(&clock), &settings);
        let opened = self.patiently(&clock, open).await;
        let ledger = opened?;
        for warning in ledger.warnings() {
            self.report.say(&format!("docjobs: {warning}"));
        }
        Ok(ledger)
    }

    /// Repeats what a database cannot do just now, until the deadline.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, LedgerError>>>(
        &self,
        clock: &Arc<dyn Clock>,
        what: impl Fn() -> F,
    ) -> Result<T, CommandError> {
        const MOST: Duration = Duration::from_secs(2);
        let limit = clock.now() + self.ledger_deadline()?;
        let mut pause = Duration::from_millis(100);
        let mut told = false;
        loop {
            let problem = match what().await {
                Err(problem) if problem.is_server_busy() && clock.now() + pause < limit => problem,
                outcome => return outcome.map_err(CommandError::from),
            };
            if !told {
                self.report.say(&format!(
                    "docjobs: {problem}; trying again until the deadline"
                ));
                told = true;
            }
            clock.sleep_until(clock.now() + pause).await;
            pause = (pause * 2).min(MOST);
        }
    }

    /// How long a ledger that is busy is tried, in real time.
    fn ledger_deadline(&self) -> Result<Duration, CommandError> {
        let deadline = self.options.deadline / self.scale()?;
        Ok(deadline.min(self.ledger_deadline))
    }

    /// The same command, which tries a busy ledger no longer than this.
    pub(crate) fn with_ledger_deadline(&self, deadline: Duration) -> Self {
        Self {
            ledger_deadline: deadline,
            ..self.clone()
        }
    }

    /// The same command with another deadline.
    pub(crate) fn with_deadline(&self, deadline: Duration) -> Self {
        let mut app = self.clone();
        app.options.deadline = deadline;
        app
    }

    /// The same command with so many connections to a database at most.
    pub(crate) fn with_connections(&self, connections: u32) -> Self {
        Self {
            connections,
            ledger: Arc::default(),
            ..self.clone()
        }
    }

    /// Refuses to hurry a real vendor.
    pub(crate) fn allow_scale(&self, origin: &Origin) -> Result<(), CommandError> {
        let scaled =
            (self.lookup)(TIME_SCALE).is_some_and(|scale| !scale.is_empty() && scale != "1");
        if scaled && !origin.is_loopback() {
            return Err(CommandError::invalid_input(format!(
                "{TIME_SCALE} is for simulators on this machine, and {origin} is not one; unset it"
            )));
        }
        Ok(())
    }
}

/// How long one lock or connection of the ledger is waited for: half of the deadline, so that there is a second try.
fn lock_patience(deadline: Duration, usual: Duration) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    (deadline / 2).max(LEAST).min(usual)
}

/// Where jobs are written down unless somebody says otherwise.
fn usual_ledger() -> Result<String, CommandError> {
    let folders = etcetera::choose_base_strategy().map_err(|problem| {
        CommandError::invalid_input(format!("{problem}; set HOME or give --ledger"))
    })?;
    let path = folders.data_dir().join("docjobs").join("ledger.db");
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(CommandError::invalid_input(format!(
            "the path {path:?} is not UTF-8; give --ledger another one"
        ))),
    }
}

/// A variable of ours whose value is no text counts as unset nowhere: it is named instead.
pub(crate) fn refuse_odd_variables() -> Result<(), CommandError> {
    const OURS: [&str; 6] = [
        "DOCJOBS_",
        "MINDSHOW_",
        "PPJ_",
        "TENCENT",
        "TEXTIN_",
        "WECOM_PRINTER_",
    ];
    let odd = std::env::vars_os().find(|(name, value)| {
        let name = name.to_string_lossy();
        OURS.iter().any(|ours| name.starts_with(ours)) && value.to_str().is_none()
    });
    match odd {
        Some((name, _)) => Err(CommandError::invalid_input(format!(
            "{} is not UTF-8; set it anew",
            name.to_string_lossy()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_the_ledger_is_waited_for_within_the_deadline() {
        let usual = LedgerConfig::default().patience;
        for (deadline, patience) in [
            (Duration::MAX, usual),
            (Duration::from_secs(1800), usual),
            (Duration::from_secs(5), Duration::from_millis(2500)),
            (Duration::ZERO, Duration::from_secs(1)),
        ] {
            assert_eq!(lock_patience(deadline, usual), patience, "{deadline:?}");
        }
    }
}

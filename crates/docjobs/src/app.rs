//! What every command has at hand: options, variables, the clock, the voice.

use std::path::PathBuf;
use std::sync::Arc;

use etcetera::BaseStrategy;
use jobs_core::http::Origin;
use jobs_core::{Clock, Env, SystemClock};
use jobs_ledger::Ledger;

use crate::args::Common;
use crate::exit::Stop;
use crate::report::Report;

type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The surroundings of one command.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) options: Common,
    pub(crate) report: Report,
    lookup: Lookup,
}

/// Divides every vendor time, for simulators only.
const TIME_SCALE: &str = "DOCJOBS_TIME_SCALE";

impl App {
    pub(crate) fn of_process(options: Common, report: Report) -> Self {
        Self {
            options,
            report,
            lookup: Arc::new(|name| std::env::var(name).ok()),
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
            ..self.clone()
        }
    }

    /// The same command with a ledger of its own.
    pub(crate) fn with_ledger(&self, path: PathBuf) -> Self {
        let options = Common {
            ledger: Some(path.display().to_string()),
            ..self.options.clone()
        };
        Self {
            options,
            ..self.clone()
        }
    }

    pub(crate) fn env(&self, vendor: &'static str) -> Env<'_> {
        Env::new(vendor, &*self.lookup)
    }

    /// The clock by which jobs are waited for.
    pub(crate) fn clock(&self) -> Result<Arc<dyn Clock>, Stop> {
        let Some(scale) = (self.lookup)(TIME_SCALE).filter(|text| !text.is_empty()) else {
            return Ok(SystemClock::shared());
        };
        match scale.parse() {
            Ok(scale) if scale > 0 => Ok(Arc::new(SystemClock::with_speed(scale))),
            _ => Err(Stop::bad_input(format!(
                "{TIME_SCALE} is {scale:?}; it must be a whole number from 1"
            ))),
        }
    }

    /// Opens the ledger, creating it where needed.
    pub(crate) async fn ledger(&self) -> Result<Ledger, Stop> {
        let url = match &self.options.ledger {
            Some(url) => url.clone(),
            None => {
                let folders = etcetera::choose_base_strategy().map_err(|problem| {
                    Stop::bad_input(format!("{problem}; set HOME or give --ledger"))
                })?;
                folders
                    .data_dir()
                    .join("docjobs")
                    .join("ledger.db")
                    .display()
                    .to_string()
            }
        };
        // Leases are real time, however fast the vendors' clocks run.
        Ledger::open(&url, SystemClock::shared())
            .await
            .map_err(Stop::from)
    }

    /// Refuses to hurry a real vendor.
    pub(crate) fn allow_scale(&self, origin: &Origin) -> Result<(), Stop> {
        let scaled =
            (self.lookup)(TIME_SCALE).is_some_and(|scale| !scale.is_empty() && scale != "1");
        if scaled && !origin.is_loopback() {
            return Err(Stop::bad_input(format!(
                "{TIME_SCALE} is for simulators on this machine, and {origin} is not one; unset it"
            )));
        }
        Ok(())
    }
}

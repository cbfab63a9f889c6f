//! What every command has at hand: options, variables, the clock, the voice.

use std::sync::Arc;

use jobs_core::http::Origin;
use jobs_core::{Clock, Env, SystemClock};

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

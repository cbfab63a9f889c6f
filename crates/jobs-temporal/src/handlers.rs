//! The accounts that this machine has credentials for, each with a runner on the ledger.

use std::sync::Arc;

use jobs_core::clock::{Clock, SystemClock};
use jobs_core::http::{ClientConfig, Origin};
use jobs_core::vendor::{Account, Env, KindPolicy, SharedRate};
use jobs_core::Error;
use jobs_ledger::Ledger;
use jobs_runner::{PollModels, Runner, ScaledRate};
use tencent_ess::Family;

/// Divides every vendor time, for simulators only.
const TIME_SCALE: &str = "DOCJOBS_TIME_SCALE";

/// An account and the runner of its jobs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccountRunner {
    /// The vendor.
    pub vendor: &'static str,
    /// The account.
    pub account: Account,
    /// Runs its jobs, of all kinds.
    pub runner: Runner,
    /// By which the account's jobs are polled: the vendor's time.
    pub clock: Arc<dyn Clock>,
    pub(crate) models: PollModels,
}

/// Why a vendor's variables cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// A vendor's variable is missing or wrong.
    #[error(transparent)]
    Vendor(#[from] Error),
    /// The time scale is no whole number from 1, or an address is not on this machine.
    #[error("{0}")]
    TimeScale(String),
}

/// What the clients of all vendors have in common.
struct Clients<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    clock: Arc<dyn Clock>,
    rate: Arc<dyn SharedRate>,
    scale: u32,
    models: PollModels,
    ledger: &'a Ledger,
}

/// The accounts of every vendor whose variables are set.
///
/// # Errors
/// [`HandlerError`].
pub fn accounts(
    ledger: &Ledger,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<AccountRunner>, HandlerError> {
    let scale = scale(lookup)?;
    let clients = Clients {
        lookup,
        clock: Arc::new(SystemClock::with_speed(scale)),
        rate: Arc::new(ScaledRate::new(ledger.clone(), scale)),
        scale,
        models: PollModels::default(),
        ledger,
    };
    let mut accounts = Vec::new();
    if clients.is_set(&["TEXTIN_APP_ID", "TEXTIN_SECRET_CODE"]) {
        accounts.push(clients.textin()?);
    }
    if clients.is_set(&["PPJ_ACCESS_KEY", "PPJ_APP_ID"]) {
        accounts.push(clients.ppj()?);
    }
    if clients.is_set(&["MINDSHOW_API_KEY"]) {
        accounts.push(clients.mindshow()?);
    }
    if clients.is_set(&["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"]) {
        accounts.push(clients.tencent()?);
    }
    Ok(accounts)
}

fn scale(lookup: &dyn Fn(&str) -> Option<String>) -> Result<u32, HandlerError> {
    let Some(text) = lookup(TIME_SCALE).filter(|text| !text.is_empty()) else {
        return Ok(1);
    };
    match text.parse() {
        Ok(scale) if scale > 0 => Ok(scale),
        _ => Err(HandlerError::TimeScale(format!(
            "{TIME_SCALE} is {text:?}; it must be a whole number from 1"
        ))),
    }
}

impl Clients<'_> {
    /// Whether one of these is there: then the vendor is meant, and what is missing is an error.
    fn is_set(&self, names: &[&str]) -> bool {
        names
            .iter()
            .any(|name| (self.lookup)(name).is_some_and(|value| !value.is_empty()))
    }

    fn env(&self, vendor: &'static str) -> Env<'_> {
        Env::new(vendor, self.lookup)
    }

    /// One clock and one rate for all workers of the ledger.
    fn configure(&self, config: ClientConfig) -> ClientConfig {
        config
            .with_clock(Arc::clone(&self.clock))
            .with_shared_rate(Arc::clone(&self.rate))
    }

    /// Has a client poll when its jobs tend to end.
    fn adapt(&self, vendor: &'static str, policy: &mut KindPolicy) {
        self.models.learn(vendor, policy);
    }

    /// Refuses to hurry a real vendor.
    fn allow_scale(&self, origin: &Origin) -> Result<(), HandlerError> {
        if self.scale != 1 && !origin.is_loopback() {
            return Err(HandlerError::TimeScale(format!(
                "{TIME_SCALE} is for simulators on this machine, and {origin} is not one; unset it"
            )));
        }
        Ok(())
    }

    fn account(&self, vendor: &'static str, account: Account, runner: Runner) -> AccountRunner {
        AccountRunner {
            vendor,
            account,
            runner,
            clock: Arc::clone(&self.clock),
            models: self.models.clone(),
        }
    }

    fn runner(&self) -> Runner {
        Runner::on(self.ledger.clone())
    }

    fn textin(&self) -> Result<AccountRunner, HandlerError> {
        const VENDOR: &str = "textin";
        let client = textin::Client::builder_from(&self.env(VENDOR))?
            .with_config(|config| self.configure(config))
            .with_policy(|policy| self.adapt(VENDOR, policy))
            .build()?;
        self.allow_scale(client.origin())?;
        let account = jobs_core::vendor::JobKind::account(&*client.kind());
        Ok(self.account(VENDOR, account, self.runner().with(textin::handler(client))))
    }

    fn ppj(&self) -> Result<AccountRunner, HandlerError> {
        const VENDOR: &str = "ppj";
        let client = ppj::Client::builder_from(&self.env(VENDOR))?
            .with_config(|config| self.configure(config))
            .with_policy(|policy| self.adapt(VENDOR, policy))
            .build()?;
        self.allow_scale(client.origin())?;
        let account = jobs_core::vendor::JobKind::account(&*client.kind());
        Ok(self.account(VENDOR, account, self.runner().with(ppj::handler(client))))
    }

    fn mindshow(&self) -> Result<AccountRunner, HandlerError> {
        const VENDOR: &str = "mindshow";
        let client = mindshow::Client::builder_from(&self.env(VENDOR))?
            .with_config(|config| self.configure(config))
            .with_policy(|policy| self.adapt(VENDOR, policy))
            .build()?;
        self.allow_scale(client.origin())?;
        let account = jobs_core::vendor::JobKind::account(&*client.kind());
        let runner = self
            .runner()
            .with(mindshow::handler(client.clone()))
            .with(mindshow::pdf_handler(client));
        Ok(self.account(VENDOR, account, runner))
    }

    fn tencent(&self) -> Result<AccountRunner, HandlerError> {
        const VENDOR: &str = "tencent-ess";
        let client = tencent_ess::Client::builder_from(&self.env(VENDOR))?
            .with_config(|config| self.configure(config))
            .with_policy(|policy| self.adapt(VENDOR, policy))
            .build()?;
        for origin in client.origins() {
            self.allow_scale(origin)?;
        }
        let account = jobs_core::vendor::JobKind::account(&*client.kind());
        // A job stays with the pair of operations that created it, whichever one new jobs use.
        let other = match client.kind().family() {
            Family::Current => Family::Legacy,
            _ => Family::Current,
        };
        let runner = self
            .runner()
            .with(tencent_ess::handler(client.clone()))
            .with(tencent_ess::handler_of(client, other));
        Ok(self.account(VENDOR, account, runner))
    }
}

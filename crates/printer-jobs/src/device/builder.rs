//! Settings of a device, and its start.

use std::fmt;
use std::fs;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs_core::clock::{Clock, SystemClock};
use jobs_core::vendor::{Account, Env, KindPolicy, RateLimit, RateLimiter, SharedRate};
use jobs_core::{Error, ErrorKind, Secret};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};

use super::absences::{GONE_AFTER, MissingJobs};
use super::policy::policy;
use super::{Device, Inner, MAX_FILE, PageFetch, Transfer};
use crate::correlate::CorrelatorOptions;
use crate::envelope::MAX_MESSAGE_BYTES;
use crate::errors::{OperationContext, VENDOR};
use crate::login::{Identity, Login, LoginOptions, LoginTimes, Phase};
use crate::proxy::ProxyChoice;
use crate::socket::{self, Endpoint};
use crate::store::{CredentialStore, FileStore, MemoryStore};
use crate::supervisor::{self, ConnectionStatus, DeviceLock, Parts, Requests, Shared};
use crate::wire::{CHUNK_BYTES, NetInfo, ReportNumbering};

const PRODUCTION: &str = "wss://openhw.work.weixin.qq.com/";

/// Settings of a [`Device`].
#[must_use = "nothing is connected before `connect`"]
pub struct DeviceBuilder {
    sn: String,
    secret_no: Option<Secret>,
    seed: Option<Secret>,
    url: String,
    proxy: ProxyChoice,
    clock: Arc<dyn Clock>,
    store: Arc<dyn CredentialStore>,
    login: LoginOptions,
    correlation: CorrelatorOptions,
    list_rate: Option<RateLimit>,
    shared_rate: Option<Arc<dyn SharedRate>>,
    download_timeout: Duration,
    max_message: usize,
    max_file: u64,
    transfer: Transfer,
    pages: PageFetch,
    numbering: ReportNumbering,
    policy: KindPolicy,
    gone_after: NonZeroU32,
}

impl Device {
    /// Connects the device in `WECOM_PRINTER_SN` and `WECOM_PRINTER_SECRET_NO` to `WECOM_PRINTER_URL`, if that is set, with
    /// its credentials kept in the folder `WECOM_PRINTER_STATE`, if that is set.
    ///
    /// # Errors
    /// As [`builder_from`](Self::builder_from) and [`DeviceBuilder::connect`].
    pub fn from_env() -> Result<Self, Error> {
        Self::builder_from(&Env::of_process(VENDOR))?.connect()
    }

    /// The same from any set of variables, for further settings. Without `WECOM_PRINTER_STATE`, credentials are kept in
    /// memory.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] that names the missing or unusable variable.
    pub fn builder_from(env: &Env<'_>) -> Result<DeviceBuilder, Error> {
        let mut builder = Self::builder(
            env.required("WECOM_PRINTER_SN")?,
            env.secret("WECOM_PRINTER_SECRET_NO")?,
        );
        if let Some(url) = env.optional("WECOM_PRINTER_URL") {
            builder = builder.with_url(url);
        }
        if let Some(folder) = env.optional("WECOM_PRINTER_STATE") {
            builder = builder.with_store(Arc::new(FileStore::new(folder)));
        }
        Ok(builder)
    }
}

impl DeviceBuilder {
    pub(super) fn new(sn: String, secret_no: Option<Secret>, seed: Option<Secret>) -> Self {
        Self {
            sn,
            secret_no,
            seed,
            url: PRODUCTION.to_owned(),
            proxy: ProxyChoice::default(),
            clock: SystemClock::shared(),
            store: Arc::new(MemoryStore::new()),
            login: LoginOptions::new(concat!("docjobs-", env!("CARGO_PKG_VERSION"))),
            correlation: CorrelatorOptions::default(),
            list_rate: Some(RateLimit {
                limit: NonZeroU32::MIN,
                per: Duration::from_secs(1),
            }),
            shared_rate: None,
            download_timeout: Duration::from_secs(60),
            max_message: MAX_MESSAGE_BYTES,
            max_file: MAX_FILE,
            transfer: NonZeroU32::new(CHUNK_BYTES).map_or(Transfer::Whole, Transfer::Chunks),
            pages: PageFetch::default(),
            numbering: ReportNumbering::default(),
            policy: policy(),
            gone_after: GONE_AFTER,
        }
    }

    /// Talks to another address than the vendor's: `wss`, or `ws` on this machine.
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Goes through this HTTP proxy, such as `http://USER:PASSWORD@HOST:PORT`, whatever the environment says.
    ///
    /// Unless set, the proxy is that of the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, also in small letters).
    /// None leads to an address on this machine. A proxy sees the cloud's name, not what is said to it.
    pub fn with_proxy(mut self, url: Secret) -> Self {
        self.proxy = ProxyChoice::Given(url);
        self
    }

    /// Goes through no proxy, whatever the environment says.
    pub fn without_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::None;
        self
    }

    /// Takes the time from this clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps the credentials that the cloud hands out here; in memory unless set.
    pub fn with_store(mut self, store: Arc<dyn CredentialStore>) -> Self {
        self.store = store;
        self
    }

    /// Names the firmware's version, which is free text.
    pub fn with_firmware_version(mut self, version: impl Into<String>) -> Self {
        self.login.firmware_version = version.into();
        self
    }

    /// Tells network state, for the administrator's eyes.
    pub fn with_net_info(mut self, net_info: NetInfo) -> Self {
        self.login.net_info = Some(net_info);
        self
    }

    /// Asks for the cloud's time on every connection, not only after it complained about ours.
    pub fn with_clock_sync(mut self) -> Self {
        self.login.always_sync_clock = true;
        self
    }

    /// Changes heartbeat, time-outs and pauses between connections.
    pub fn with_times(mut self, change: impl FnOnce(&mut LoginTimes)) -> Self {
        change(&mut self.login.times);
        self
    }

    /// Refuses answers without a request id instead of matching them by their order.
    pub fn with_strict_matching(mut self) -> Self {
        self.correlation.strict = true;
        self
    }

    /// Sends so many printer commands at once; one unless set, which leaves no doubt about the owner of an answer without
    /// a request id.
    pub fn with_commands_in_flight(mut self, most: NonZeroUsize) -> Self {
        self.correlation.printer_in_flight = most.get();
        self
    }

    /// Lists at most this often; once a second unless set, which is our inference: the vendor states nothing. `None` is
    /// no limit.
    pub fn with_list_rate(mut self, rate: Option<RateLimit>) -> Self {
        self.list_rate = rate;
        self
    }

    /// Shares the rate of lists with every process that draws on `rate`, such as a ledger, for the same device.
    pub fn with_shared_rate(mut self, rate: Arc<dyn SharedRate>) -> Self {
        self.shared_rate = Some(rate);
        self
    }

    /// Gives up a piece of a download or an upload after this time; a minute unless set.
    pub fn with_download_timeout(mut self, timeout: Duration) -> Self {
        self.download_timeout = timeout;
        self
    }

    /// Refuses messages of more bytes than this; 32 MiB unless set.
    pub fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Refuses files of more bytes than this; 20 MB unless set, the vendor's limit "for now".
    pub fn with_max_file(mut self, bytes: u64) -> Self {
        self.max_file = bytes;
        self
    }

    /// Chooses how files are fetched; in chunks of 512 KiB unless set.
    pub fn with_transfer(mut self, transfer: Transfer) -> Self {
        self.transfer = transfer;
        self
    }

    /// Chooses how the pages of jpg jobs are fetched.
    pub fn with_page_fetch(mut self, pages: PageFetch) -> Self {
        self.pages = pages;
        self
    }

    /// Chooses the numbers of reports; as documented unless set.
    pub fn with_report_numbering(mut self, numbering: ReportNumbering) -> Self {
        self.numbering = numbering;
        self
    }

    /// Changes the policy of the kind of job, such as an inferred pause.
    pub fn with_policy(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Takes a job for gone when so many polls in a row did not mention it; 3 unless set, which is our inference.
    pub fn with_gone_after(mut self, polls: NonZeroU32) -> Self {
        self.gone_after = polls;
        self
    }

    /// Starts to go online and to stay so, in a task of its own. Does not wait for it: see [`Device::online`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unusable address or identity, [`ErrorKind::LocalIo`] outside of a tokio runtime, when the
    /// store or TLS cannot be used, and when this process has a connection for the device already: two of them fight.
    pub fn connect(self) -> Result<Device, Error> {
        let doing = OperationContext {
            operation: "configure",
            job: None,
        };
        let local = |message: &str| doing.error(ErrorKind::LocalIo).with_message(message);
        let endpoint = Endpoint::parse(&self.url).map_err(|problem| {
            doing
                .error(ErrorKind::InvalidInput)
                .with_message(format!("the address is unusable: {problem}"))
                .with_help("set WECOM_PRINTER_URL to a wss address")
        })?;
        let proxy = endpoint.proxy(&self.proxy).map_err(|problem| {
            doing
                .error(ErrorKind::InvalidInput)
                .with_message(problem.to_string())
                .with_help("write it as http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT")
        })?;
        let runtime =
            Handle::try_current().map_err(|cause| local("no tokio runtime").with_source(cause))?;
        let lease = DeviceLock::take(endpoint.authority(), self.sn.clone()).ok_or_else(|| {
            local("this process has a connection for the device already")
                .with_help("share the device, or close the other one first")
        })?;
        let stored = self.store.load(&self.sn).map_err(|cause| {
            local("cannot read the stored credentials")
                .with_help("mend or remove the device's file in WECOM_PRINTER_STATE")
                .with_source(cause)
        })?;
        let tls = if endpoint.is_plain() {
            None
        } else {
            check_roots().map_err(|problem| {
                doing
                    .error(ErrorKind::InvalidInput)
                    .with_message(problem)
                    .with_help("name a file of PEM certificates there, or unset it")
            })?;
            Some(socket::tls().map_err(|cause| {
                match named_roots() {
                    Some(at) => doing
                        .error(ErrorKind::InvalidInput)
                        .with_message(format!("{at}, which holds no certificate that can be read"))
                        .with_help("name a file of PEM certificates there, or unset it")
                        .with_source(cause),
                    None => local(&format!("cannot set up TLS: {cause}"))
                        .with_help("install a bundle of root certificates")
                        .with_source(cause),
                }
            })?)
        };
        let shared = Arc::new(Shared::default());
        let mut identity = match (self.secret_no, self.seed) {
            (Some(secret_no), _) => Identity::with_secret_no(&self.sn, secret_no),
            (None, Some(seed)) => {
                shared.know(&seed);
                Identity {
                    secret_no: stored.secret_no.clone(),
                    ..Identity::with_seed(&self.sn, seed)
                }
            }
            (None, None) => return Err(local("neither SecretNo nor seed")),
        };
        identity.active_code = stored.active_code.clone();
        identity.secret = stored.secret.clone();
        if let Some(secret_no) = &identity.secret_no {
            shared.know_secret_no(secret_no);
        }
        for secret in identity.active_code.iter().chain(&identity.secret) {
            shared.know(secret);
        }
        let answer_timeout = self.login.times.answer;
        let login = Login::new(identity, self.login).map_err(|error| doing.protocol(error))?;
        let mut list_quota = RateLimiter::new(Arc::clone(&self.clock), self.list_rate.as_slice());
        if let Some(rate) = self.shared_rate {
            list_quota = list_quota.with_shared_rate(rate, Account::of(VENDOR, &self.sn), "list");
        }
        let (standing, seen) = watch::channel(ConnectionStatus {
            phase: Phase::Stopped,
            unbound: false,
            last_error: None,
        });
        let (orders, taken) = mpsc::unbounded_channel();
        let parts = Parts {
            sn: self.sn.clone(),
            login,
            correlation: self.correlation,
            endpoint,
            proxy,
            tls,
            max_message: self.max_message,
            clock: Arc::clone(&self.clock),
            store: self.store,
            stored,
            shared: Arc::clone(&shared),
            standing,
            lease,
        };
        runtime.spawn(supervisor::run(parts, taken));
        Ok(Device(Arc::new(Inner {
            sn: self.sn,
            shared,
            status: seen,
            commands: orders,
            requests: Mutex::new(Requests::new()),
            fair_lock: Semaphore::new(self.correlation.printer_in_flight.clamp(1, 1000)),
            list_limiter: list_quota,
            answer_timeout,
            download_timeout: self.download_timeout,
            transfer: self.transfer,
            pages: self.pages,
            max_file: self.max_file,
            numbering: self.numbering,
            policy: self.policy,
            absences: MissingJobs::new(self.gone_after),
            clock: self.clock,
        })))
    }
}

/// What is wrong with the file of root certificates that the environment names: TLS itself would go on without it.
fn check_roots() -> Result<(), String> {
    const MARK: &[u8] = b"CERTIFICATE-----";
    let (Some(path), Some(at)) = (std::env::var_os("SSL_CERT_FILE"), named_roots()) else {
        return Ok(());
    };
    let text =
        fs::read(&path).map_err(|problem| format!("{at}, which cannot be read: {problem}"))?;
    if text.windows(MARK.len()).any(|part| part == MARK) {
        Ok(())
    } else {
        Err(format!("{at}, which holds no certificate"))
    }
}

fn named_roots() -> Option<String> {
    let path = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty())?;
    let shown = Path::new(&path).display();
    Some(format!("the variable SSL_CERT_FILE names {shown}"))
}

impl fmt::Debug for DeviceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceBuilder")
            .field("sn", &self.sn)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

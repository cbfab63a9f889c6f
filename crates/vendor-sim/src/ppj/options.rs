//! The rules of the PPJ simulator that a test may bend. Everything the vendor does not document is here, not in code.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Options of the simulator; readable and changeable at `/_sim/options` by these names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpjOptions {
    /// Key of the access-key API (`/api/`).
    pub access_key: String,
    /// AppID of the signed API (no prefix).
    pub app_id: String,
    /// AppSecret of the signed API.
    pub app_secret: String,
    /// Client addresses that may call; everybody when absent. Others get 403.
    pub allow_list: Option<Vec<IpAddr>>,
    /// The access-key API answers 400 to plain HTTP. The simulator speaks nothing else, so this refuses every call of it.
    pub refuse_plain_http: bool,
    /// How far a signed timestamp may be from the time of day; not checked when absent, because no window is documented.
    pub timestamp_window_seconds: Option<f64>,
    /// Added to the server's time of day when timestamps are checked.
    pub clock_skew_seconds: f64,
    /// Largest file; no limit is documented. Beyond it 400.
    pub max_file_bytes: u64,
    /// Projects the account may make; unlimited (`null` in the quota answer) when absent.
    pub permanents: Option<u64>,
    /// When a project is taken from the quota.
    pub charge_at: ChargeAt,
    /// Whether a halted job gives its project back.
    pub refund_halted: bool,
    /// Virtual seconds from acceptance to the result, divided among the working states.
    pub conversion_seconds: f64,
    /// A working state nobody knows, between `rendering` and `disting`.
    pub extra_state: Option<String>,
    /// Virtual seconds in `notifying` of jobs without a callback address.
    pub notifying_seconds: f64,
    /// Virtual seconds that a result is kept.
    pub retention_seconds: f64,
    /// Where those seconds begin.
    pub retention_from: RetentionFrom,
    /// A `.pptx` that is none halts with code 2; otherwise its bundle shows name, size and digest.
    pub halt_on_bad_pptx: bool,
    /// How jobs end, by file name. Others complete.
    pub outcomes: BTreeMap<String, Outcome>,
    /// How callbacks are delivered.
    pub callback: CallbackMode,
    /// Callbacks are POST with a form body (documented for a while) instead of GET.
    pub callback_post: bool,
    /// Callbacks carry the two signature headers of the first generation.
    pub callback_signed: bool,
    /// The signature covers every query parameter of the address (the final rule) or the service's own only.
    pub callback_signs_all: bool,
    /// The word for success: `complete`, or `completed` as in one worked example.
    pub callback_success_word: String,
    /// Success carries `code=0`, as in the same example.
    pub callback_success_code: bool,
    /// The word of the address check: `verify`, in drafts `validation`.
    pub callback_verify_word: String,
    /// Deliveries tried before the service gives up.
    pub callback_attempts: u32,
    /// Virtual seconds that the customer's answer may take.
    pub callback_timeout_seconds: f64,
    /// Whether the state leaves `notifying` after the last failure, which is not documented.
    pub completed_after_last_failure: bool,
}

impl Default for PpjOptions {
    fn default() -> Self {
        Self {
            access_key: "sim-access-key".to_owned(),
            app_id: "sim-ppj-app".to_owned(),
            app_secret: "sim-ppj-secret".to_owned(),
            allow_list: None,
            refuse_plain_http: false,
            timestamp_window_seconds: None,
            clock_skew_seconds: 0.0,
            max_file_bytes: 1 << 30,
            permanents: Some(1_000_000),
            charge_at: ChargeAt::Create,
            refund_halted: false,
            conversion_seconds: 90.0,
            extra_state: None,
            notifying_seconds: 0.0,
            retention_seconds: 3.0 * 86_400.0,
            retention_from: RetentionFrom::Completion,
            halt_on_bad_pptx: false,
            outcomes: BTreeMap::new(),
            callback: CallbackMode::Once,
            callback_post: false,
            callback_signed: true,
            callback_signs_all: true,
            callback_success_word: "complete".to_owned(),
            callback_success_code: false,
            callback_verify_word: "verify".to_owned(),
            callback_attempts: 25,
            callback_timeout_seconds: 10.0,
            completed_after_last_failure: false,
        }
    }
}

/// When a project is taken from the quota; not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeAt {
    /// With the accepted upload.
    Create,
    /// With the result; halted jobs cost nothing then.
    Completion,
}

/// Where retention begins; not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionFrom {
    /// When the result is there.
    Completion,
    /// When the upload was accepted.
    Creation,
}

/// How a job ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// `completed`.
    #[default]
    Completed,
    /// `halted`.
    Halted {
        /// What `last_error` says.
        message: String,
        /// The callback's code: 1 = the service's fault, 2 = bad source file.
        code: u8,
    },
    /// Stays in the last working state for ever.
    Never,
}

/// How callbacks are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackMode {
    /// Until one is answered with 200.
    Once,
    /// The first accepted one is sent again.
    Duplicate,
    /// Never sent; the service believes they were.
    Lost,
    /// First sent this many virtual seconds after the end.
    Late {
        /// Virtual seconds.
        seconds: f64,
    },
    /// Each second job's callback overtakes that of the one before, which is held back until then.
    Swapped,
    /// The conversion takes no time, and its callback is sent before create answers.
    BeforeAnswer,
    /// At create a stranger without signature claims completion; the true callback follows.
    Forged,
}

//! The rules of the TextIn simulator that a test may bend. Everything the vendor does not document is here, not in code.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Options of the simulator; readable and changeable at `/_sim/options` by these names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextInOptions {
    /// The first account's `x-ti-app-id`.
    pub app_id: String,
    /// The first account's `x-ti-secret-code`.
    pub secret_code: String,
    /// Further accounts, app id to secret code. Jobs belong to the app that submitted them.
    pub other_apps: BTreeMap<String, String>,
    /// Client addresses that may call; everybody when absent. Others get 40103.
    pub allow_list: Option<Vec<IpAddr>>,
    /// Requests per second and app, submits and polls together; no limit when absent. Documented for an older endpoint only.
    pub qps: Option<u32>,
    /// Real milliseconds by which the network may squeeze two requests together, forgiven by the limit (half the window at most).
    pub qps_slack_ms: f64,
    /// Pages a synchronous call may have; the number of a paying account.
    pub max_pages_sync: u64,
    /// Pages an asynchronous job may have; the number of a paying account.
    pub max_pages_async: u64,
    /// The code for too many pages, which is not documented.
    pub too_many_pages_code: i64,
    /// File size limit (40302).
    pub max_file_bytes: u64,
    /// Size limit of .txt files (40302).
    pub max_txt_bytes: u64,
    /// Accepted file name extensions. `md` is not the vendor's; it is here so that text can go through unchanged.
    pub formats: Vec<String>,
    /// Accepted values of `config.config.force_engine`.
    pub engines: Vec<String>,
    /// Accepted values of `config.schema_version`.
    pub schema_versions: Vec<String>,
    /// The schema version of callers who name none.
    pub default_schema_version: String,
    /// The code for a submit without file: 40004 (shown in the documentation) or 40305 (listed in the table).
    pub missing_file_code: i64,
    /// Whether PDF, PNG and JPEG files are checked to be what their name says (40422).
    pub check_content: bool,
    /// Free pages per app and day (UTC+8). Beyond them 40307, or the balance if there is one.
    pub daily_free_pages: Option<u64>,
    /// Paid pages per app. Beyond them 40003. Unlimited when absent.
    pub balance_pages: Option<u64>,
    /// Virtual seconds in `pending`.
    pub pending_seconds: f64,
    /// Virtual seconds in `in_progress`.
    pub in_progress_seconds: f64,
    /// How jobs end, by file name. Others complete.
    pub outcomes: BTreeMap<String, Outcome>,
    /// The field that carries a failed job's text; the Python client expects `error_message` instead.
    pub failure_field: String,
    /// What the result host asks for.
    pub result_access: ResultAccess,
    /// Form of the downloaded result.
    pub result_form: ResultForm,
    /// Virtual seconds until a result address dies; each poll hands out a fresh one. For ever when absent.
    pub result_lifetime_seconds: Option<f64>,
    /// Makes every result exactly this many bytes long (never shorter than its true content).
    pub result_bytes: Option<u64>,
    /// Whether the result host honours `Range`, which is not documented.
    pub result_ranges: bool,
    /// Whether the body repeats the request id.
    pub request_id_in_body: bool,
    /// How the webhook behaves.
    pub webhook: WebhookMode,
}

impl Default for TextInOptions {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Self {
            app_id: "sim-app-id".to_owned(),
            secret_code: "sim-secret-code".to_owned(),
            other_apps: BTreeMap::new(),
            allow_list: None,
            qps: Some(2),
            qps_slack_ms: 10.0,
            max_pages_sync: 500,
            max_pages_async: 2000,
            too_many_pages_code: 40306,
            max_file_bytes: 500 << 20,
            max_txt_bytes: 100 << 10,
            formats: words(&[
                "png", "jpg", "jpeg", "pdf", "bmp", "tiff", "webp", "gif", "doc", "docx", "html",
                "mhtml", "xls", "xlsx", "csv", "ppt", "pptx", "txt", "ofd", "rtf", "md",
            ]),
            engines: words(&["textin", "textin_gui"]),
            schema_versions: words(&["1.3.0", "1.3.1", "1.4.0"]),
            default_schema_version: "1.3.1".to_owned(),
            missing_file_code: 40004,
            check_content: true,
            daily_free_pages: None,
            balance_pages: None,
            pending_seconds: 2.0,
            in_progress_seconds: 6.0,
            outcomes: BTreeMap::new(),
            failure_field: "message".to_owned(),
            result_access: ResultAccess::Public,
            result_form: ResultForm::Bare,
            result_lifetime_seconds: None,
            result_bytes: None,
            result_ranges: true,
            request_id_in_body: true,
            webhook: WebhookMode::Once,
        }
    }
}

/// How a job ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// `completed`, all pages charged.
    #[default]
    Completed,
    /// `failed`, nothing charged.
    Failed {
        /// The vendor's words.
        message: String,
    },
    /// Any other word, such as `partial_completed`, `stopped`, `deleted` or one nobody knows.
    Word {
        /// The word.
        word: String,
        /// Pages parsed and charged; with them comes a `result_url`. Absent: no result, no charge.
        #[serde(default)]
        success_count: Option<u64>,
    },
    /// `completed` with fewer pages than asked for; only these are charged.
    Partial {
        /// Pages parsed and charged.
        success_count: u64,
    },
    /// Stays `in_progress` for ever.
    Never,
}

/// What the result host asks for; the vendor's pages contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultAccess {
    /// The address is enough.
    Public,
    /// HTTP 401 without the key headers, 403 with wrong ones.
    Credentials,
    /// HTTP 200 with code 40101 or 40102 in an envelope.
    CredentialsInEnvelope,
    /// Every address is already dead: HTTP 403.
    Expired,
}

/// Form of the downloaded result; the vendor's pages show both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultForm {
    /// The result itself.
    Bare,
    /// `code`, `message` and the result under `data`.
    Enveloped,
}

/// How the webhook behaves; nothing about it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookMode {
    /// One delivery when the job ends.
    Once,
    /// The same delivery twice.
    Duplicate,
    /// No delivery.
    Lost,
    /// One delivery, this many virtual seconds after the end.
    Late {
        /// Virtual seconds.
        seconds: f64,
    },
    /// At submit a stranger claims the job completed, with a result address of its own; the true delivery follows.
    Forged,
}

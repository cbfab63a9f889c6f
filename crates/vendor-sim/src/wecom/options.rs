//! The rules of the WeCom printer simulator that a test may bend, its fault switches included.

use serde::{Deserialize, Serialize};

/// Options of the simulator; readable and changeable at `/_sim/options` by these names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeComOptions {
    /// Serial number of the one printer.
    pub sn: String,
    /// Its own SecretNo.
    pub secret_no: String,
    /// With it the printer must first exchange this shared secret for its own (`get_secret_no`).
    pub seed_secret_no: Option<String>,
    /// Whether a company has bound the printer from the start.
    pub bound: bool,
    /// Name of the company.
    pub corp_name: String,
    /// Seconds by which the cloud's clock is ahead of the world, in signatures and `get_timestamp`.
    pub clock_skew_seconds: i64,
    /// What `active` answers while no company has bound the printer.
    pub unbound_active: UnboundActive,
    /// What `subscribe_corp` answers when it was done before on this connection: 600045 or 600054.
    pub subscribed_code: i64,
    /// `active` already subscribes, so that every `subscribe_corp` after it answers `subscribed_code`.
    pub subscribed_by_active: bool,
    /// What a second `register` on a connection answers: 600002, or 600012 by the table of codes.
    pub second_register_code: i64,
    /// What happens when another connection of the same printer registers.
    pub second_link: SecondLink,
    /// Virtual seconds without anything from the device after which the connection is closed.
    pub idle_seconds: f64,
    /// Which answers repeat the request's id.
    pub header_mode: HeaderMode,
    /// Whether 600020 comes without headers and with an empty text even when all others repeat the id.
    pub bare_login_errors: bool,
    /// Form of `errmsg` in failures.
    pub error_text: ErrorText,
    /// List items hold only the seven fields seen in 2019.
    pub sparse_items: bool,
    /// Whether `userid` still filters beside `jobid_list`, which is not documented.
    pub userid_filters_ids: bool,
    /// Virtual seconds for which jobs are kept.
    pub retention_seconds: f64,
    /// Virtual seconds by which the clean-up comes late.
    pub retention_late_seconds: f64,
    /// Largest file that can be downloaded.
    pub max_file_bytes: usize,
    /// What a download behind the end of the file gives, which is not documented.
    pub past_end: PastEnd,
    /// The code for requests that make no sense, which is not documented.
    pub bad_request_code: i64,
    /// Which number means success in a report.
    pub report_numbering: ReportNumbering,
    /// Virtual seconds between the making of a job and its push.
    pub push_seconds: f64,
    /// Up to so many virtual seconds more.
    pub push_jitter_seconds: f64,
    /// How pushes travel.
    pub push_mode: PushMode,
    /// An unknown push comes before every answer.
    pub chatter: bool,
    /// Virtual seconds before each answer.
    pub latency_seconds: f64,
    /// Up to so many virtual seconds more.
    pub jitter_seconds: f64,
    /// Answers and items carry fields that nobody knows.
    pub unknown_fields: bool,
    /// Numbers in the body of answers are sent as texts.
    pub numbers_as_text: bool,
    /// By how much `pic_file_list.size` is wrong.
    pub pic_size_error: i64,
    /// By how much `data_len` of every download is wrong.
    pub data_len_error: i64,
}

impl Default for WeComOptions {
    fn default() -> Self {
        Self {
            sn: "SIM-SN-0001".to_owned(),
            secret_no: "5127051270512705127051270512abcd".to_owned(),
            seed_secret_no: None,
            bound: true,
            corp_name: "Simulated Company".to_owned(),
            clock_skew_seconds: 0,
            unbound_active: UnboundActive::Code,
            subscribed_code: 600_045,
            subscribed_by_active: false,
            second_register_code: 600_002,
            second_link: SecondLink::Refuse,
            idle_seconds: 95.0,
            header_mode: HeaderMode::Echo,
            bare_login_errors: true,
            error_text: ErrorText::Hint,
            sparse_items: false,
            userid_filters_ids: false,
            retention_seconds: 7.0 * 86_400.0,
            retention_late_seconds: 0.0,
            max_file_bytes: 20 << 20,
            past_end: PastEnd::ShortChunk,
            bad_request_code: -1,
            report_numbering: ReportNumbering::Documented,
            push_seconds: 1.0,
            push_jitter_seconds: 1.0,
            push_mode: PushMode::Once,
            chatter: false,
            latency_seconds: 0.0,
            jitter_seconds: 0.0,
            unknown_fields: false,
            numbers_as_text: false,
            pic_size_error: 0,
            data_len_error: 0,
        }
    }
}

/// What `active` answers while no company has bound the printer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnboundActive {
    /// 600004.
    Code,
    /// -1 with an empty `secret` in the body, as seen in 2019.
    EmptySecret,
}

/// What happens when another connection of the same printer registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondLink {
    /// It is refused with 600002 while the first lives.
    Refuse,
    /// The first is closed.
    Replace,
}

/// Which answers repeat the request's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderMode {
    /// All, as documented.
    Echo,
    /// Not those to printer commands, nor refusals for lack of login: as seen in 2018 and 2019.
    Log,
}

/// Form of `errmsg` in failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorText {
    /// The text alone.
    Plain,
    /// With a hint for the vendor's support.
    Hint,
    /// With the request's id as well, as seen since 2020.
    HintAndReqId,
    /// Nothing.
    Empty,
}

/// What a download behind the end of the file gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastEnd {
    /// What is left, perhaps nothing.
    ShortChunk,
    /// 600041.
    Refuse,
}

/// Which number means success in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportNumbering {
    /// 1 failed, 2 succeeded: the opposite of the list.
    Documented,
    /// 1 succeeded, 2 failed, as in the list.
    AsListed,
}

/// How pushes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushMode {
    /// Each one once.
    Once,
    /// Each one twice with the same id.
    Duplicate,
    /// Each one behind the next one that comes.
    Swapped,
    /// None.
    Lost,
}

//! The rules of the Tencent e-sign simulator that a test may bend. Everything the vendor does not document is here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Options of the simulator; readable and changeable at `/_sim/options` by these names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TencentOptions {
    /// Id of the first account's key.
    pub secret_id: String,
    /// The first account's key.
    pub secret_key: String,
    /// With it the first account's key is a temporary one, and every request must carry this token.
    pub session_token: Option<String>,
    /// The first account's application.
    pub app_id: String,
    /// The company that the environment names.
    pub org_open_id: String,
    /// The employee that the environment names.
    pub operator_open_id: String,
    /// Only that company and that employee may act; otherwise any.
    pub known_people_only: bool,
    /// Further accounts, each with one application.
    pub other_accounts: Vec<TencentAccount>,
    /// The code for an application that is not the account's, which is not documented.
    pub foreign_app_code: String,
    /// Seconds by which the simulator's own clock is ahead of the world, in signatures and the `Date` header.
    pub clock_skew_seconds: i64,
    /// Whether the service in a signature must be the product's (on the upload host also `file`), which is not documented.
    pub check_service: bool,
    /// Whether a signature over the literal `UNSIGNED-PAYLOAD` is accepted; unknown for this product.
    pub unsigned_payload: bool,
    /// Requests per second, action and account; no limit when absent.
    pub qps: Option<u32>,
    /// Real milliseconds by which the network may squeeze two requests together, forgiven by the limit (half the window at most).
    pub qps_slack_ms: f64,
    /// The legacy pair of operations is gone (`ActionOffline`).
    pub legacy_retired: bool,
    /// Answers of the legacy pair carry this warning.
    pub deprecated_warning: Option<String>,
    /// Form of the request ids.
    pub request_id_form: RequestIdForm,
    /// Body limit of the general host.
    pub max_body_bytes: u64,
    /// Body limit of the upload host, which is not documented.
    pub max_upload_body_bytes: u64,
    /// Limit of an image.
    pub max_image_bytes: u64,
    /// Limit of any other file.
    pub max_file_bytes: u64,
    /// Suffixes accepted as `DOCUMENT`. The list of the vendor lacks `jpeg`, `bmp` and `txt`, which can be converted.
    pub document_types: Vec<String>,
    /// Whether files are checked to be what their name says.
    pub check_content: bool,
    /// Virtual seconds until a file id dies.
    pub file_seconds: f64,
    /// Virtual seconds until an upload's address dies.
    pub url_seconds: f64,
    /// Whether an upload's answer tells when the ids die.
    pub deadline_in_answer: bool,
    /// Whether this customer may choose the time when ids die.
    pub deadline_allowed: bool,
    /// The code for an id that has died or never was. Empty: the task is accepted and fails to fetch its source.
    pub unknown_file_code: String,
    /// Form of the task ids.
    pub task_id_form: TaskIdForm,
    /// Queries answer with the other form of the id.
    pub echo_other_form: bool,
    /// Whether each family of operations knows the other's tasks, which is not documented.
    pub one_task_store: bool,
    /// Virtual seconds in state 0.
    pub pending_seconds: f64,
    /// Virtual seconds in state 4.
    pub processing_seconds: f64,
    /// Virtual seconds for which a finished task can be queried; for ever when absent.
    pub task_seconds: Option<f64>,
    /// How tasks end, by resource name. Others succeed.
    pub outcomes: BTreeMap<String, TaskOutcome>,
    /// What `ResourceId` is until the task is done.
    pub resource_id_before: ResourceIdBefore,
    /// Language of `TaskMessage`.
    pub task_message: TaskMessage,
}

impl Default for TencentOptions {
    fn default() -> Self {
        let types = [
            "pdf", "doc", "docx", "jpg", "png", "xls", "xlsx", "html", "jpeg", "bmp", "txt",
        ];
        Self {
            secret_id: "sim-secret-id".to_owned(),
            secret_key: "sim-secret-key".to_owned(),
            session_token: None,
            app_id: "yDSIMULATORAPP000000000000000001".to_owned(),
            org_open_id: "sim-org".to_owned(),
            operator_open_id: "sim-operator".to_owned(),
            known_people_only: false,
            other_accounts: Vec::new(),
            foreign_app_code: "OperationDenied".to_owned(),
            clock_skew_seconds: 0,
            check_service: true,
            unsigned_payload: false,
            qps: Some(20),
            qps_slack_ms: 10.0,
            legacy_retired: false,
            deprecated_warning: None,
            request_id_form: RequestIdForm::Both,
            max_body_bytes: 10 << 20,
            max_upload_body_bytes: 1 << 30,
            max_image_bytes: 8 << 20,
            max_file_bytes: 60 << 20,
            document_types: types.map(str::to_owned).into(),
            check_content: true,
            file_seconds: 3_600.0,
            url_seconds: 300.0,
            deadline_in_answer: true,
            deadline_allowed: true,
            unknown_file_code: "InvalidParameter.InvalidId".to_owned(),
            task_id_form: TaskIdForm::Digits,
            echo_other_form: false,
            one_task_store: true,
            pending_seconds: 1.0,
            processing_seconds: 4.0,
            task_seconds: None,
            outcomes: BTreeMap::new(),
            resource_id_before: ResourceIdBefore::Absent,
            task_message: TaskMessage::English,
        }
    }
}

/// A further account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TencentAccount {
    /// Id of its key.
    pub secret_id: String,
    /// Its key.
    pub secret_key: String,
    /// Its application.
    pub app_id: String,
}

/// Form of a request id; the vendor's samples show both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestIdForm {
    /// A UUID.
    Uuid,
    /// `s` and Unix nanoseconds.
    Nanoseconds,
    /// In turns.
    Both,
}

/// Form of a task id; the vendor's samples show both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskIdForm {
    /// Twenty digits: Beijing time and microseconds.
    Digits,
    /// Thirty-two letters that begin with `yD`.
    Letters,
}

/// How a task ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskOutcome {
    /// 8, with a PDF.
    #[default]
    Done,
    /// -2: the source could not be fetched.
    DownloadFailed,
    /// -6: conversion failed.
    ProcessFailed,
    /// -13: conversion took too long.
    ProcessTimeout,
    /// Any other number.
    Number {
        /// The number.
        status: i64,
    },
    /// 8 without a `ResourceId`.
    DoneWithoutResource,
    /// Stays at 4 for ever.
    Never,
}

/// What `ResourceId` is until a task is done; not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceIdBefore {
    /// Not there.
    Absent,
    /// An empty text.
    Empty,
    /// `null`.
    Null,
}

/// Language of a task's message: constants by the text of the documentation, Chinese in its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskMessage {
    /// The English constants, with the vendor's misspelling.
    English,
    /// Words as in the sample.
    Chinese,
}

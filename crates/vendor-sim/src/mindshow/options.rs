//! The rules of the MindShow simulator that a test may bend. Everything the vendor does not document is here, not in code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Options of the simulator; readable and changeable at `/_sim/options` by these names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MindShowOptions {
    /// The bearer token.
    pub api_key: String,
    /// Credits at the start; the ledger's changes are added to them.
    pub score: i64,
    /// `vip_type` of the account.
    pub vip_type: String,
    /// Error numbers. The vendor's list could not be read, so these are inventions.
    pub codes: Codes,
    /// HTTP status of an answer to a wrong token; only 200 is described.
    pub token_http_status: u16,
    /// Credits for one outline or one content call.
    pub cost_model_call: i64,
    /// Credits for a deck from pages or Markdown.
    pub cost_deck: i64,
    /// Credits for a deck from a topic.
    pub cost_gpt_topic: i64,
    /// Credits for a deck from an outline.
    pub cost_gpt_outline: i64,
    /// Credits for a deck from an uploaded deck; not documented.
    pub cost_by_ppt: i64,
    /// Credits for a template from an uploaded deck; not documented.
    pub cost_template: i64,
    /// Further credits for process pictures.
    pub cost_create_log: i64,
    /// Credits for a PDF.
    pub cost_pdf: i64,
    /// Which calls of `get_pdf` cost.
    pub pdf_charge: PdfCharge,
    /// `get_pdf` is refused, and free, until the job has succeeded.
    pub pdf_needs_finished_job: bool,
    /// Failed jobs, exports and model calls give their credits back.
    pub refund_failed: bool,
    /// The ledger shows spending as a positive `modified_score`.
    pub positive_spending: bool,
    /// Virtual seconds in `queued`.
    pub queued_seconds: f64,
    /// Jobs ahead in the queue at first.
    pub queue_ahead: u64,
    /// Virtual seconds in `running` of decks made without a model.
    pub plain_seconds: f64,
    /// Virtual seconds in `running` of decks made by a model.
    pub gpt_seconds: f64,
    /// Virtual seconds in `running` of templates.
    pub template_seconds: f64,
    /// Virtual seconds in `running` of PDF exports.
    pub pdf_seconds: f64,
    /// Virtual seconds that a model call takes without streaming.
    pub model_seconds: f64,
    /// `progress_percent` is 100 while queued and 0 on success; it means something only while running.
    pub misleading_progress: bool,
    /// How a time that is not there yet is written.
    pub absent_times: AbsentTime,
    /// Job objects carry a field nobody knows.
    pub extra_fields: bool,
    /// How jobs end, by title. Others succeed.
    pub outcomes: BTreeMap<String, Outcome>,
    /// Finish reasons of model calls by topic or by the outline's first line; others stop as they should.
    pub finish_reasons: BTreeMap<String, String>,
    /// How streams look.
    pub stream: StreamOptions,
    /// Virtual seconds until deck, preview and jump links die.
    pub link_seconds: f64,
    /// Virtual seconds until PDF links die; no period is documented.
    pub pdf_link_seconds: f64,
    /// Each poll hands out a link that lives from then on, instead of from the end of the job.
    pub links_renewed: bool,
    /// Largest upload.
    pub max_upload_bytes: u64,
    /// Virtual seconds that an upload lives.
    pub upload_seconds: f64,
    /// Accepted file name extensions.
    pub upload_formats: Vec<String>,
    /// Most items on a page of a list; not documented.
    pub max_limit: u64,
    /// Cursors count from the newest item, so that new jobs repeat old ones on the next page.
    pub offset_cursors: bool,
}

impl Default for MindShowOptions {
    fn default() -> Self {
        Self {
            api_key: "sim-mindshow-key".to_owned(),
            score: 100_000,
            vip_type: "year".to_owned(),
            codes: Codes::default(),
            token_http_status: 200,
            cost_model_call: 1,
            cost_deck: 10,
            cost_gpt_topic: 12,
            cost_gpt_outline: 11,
            cost_by_ppt: 10,
            cost_template: 10,
            cost_create_log: 10,
            cost_pdf: 10,
            pdf_charge: PdfCharge::FirstOnly,
            pdf_needs_finished_job: true,
            refund_failed: false,
            positive_spending: false,
            queued_seconds: 3.0,
            queue_ahead: 3,
            plain_seconds: 15.0,
            gpt_seconds: 90.0,
            template_seconds: 45.0,
            pdf_seconds: 15.0,
            model_seconds: 5.0,
            misleading_progress: true,
            absent_times: AbsentTime::Empty,
            extra_fields: true,
            outcomes: BTreeMap::new(),
            finish_reasons: BTreeMap::new(),
            stream: StreamOptions::default(),
            link_seconds: 7.0 * 86_400.0,
            pdf_link_seconds: 86_400.0,
            links_renewed: false,
            max_upload_bytes: 20_000_000,
            upload_seconds: 86_400.0,
            upload_formats: ["docx", "pdf", "pptx", "ppt", "doc", "txt"]
                .map(str::to_owned)
                .to_vec(),
            max_limit: 100,
            offset_cursors: false,
        }
    }
}

/// Error numbers, all invented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Codes {
    /// Missing or wrong token.
    pub token: i64,
    /// A field is missing, of the wrong type or of a value that does not exist.
    pub parameter: i64,
    /// No such job, template or operation.
    pub not_found: i64,
    /// Not enough credits.
    pub score: i64,
    /// No such upload, or it is too old.
    pub resource: i64,
    /// An upload is too large or of the wrong format.
    pub upload: i64,
    /// The job has not succeeded yet.
    pub unfinished: i64,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            token: 10_001,
            parameter: 10_002,
            not_found: 10_003,
            score: 10_004,
            resource: 10_005,
            upload: 10_006,
            unfinished: 10_007,
        }
    }
}

/// Which calls of `get_pdf` cost; the vendor's page allows all three readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PdfCharge {
    /// The first for a job.
    FirstOnly,
    /// The first of each export; a PDF asked for again after it was handed out is exported again.
    EachRun,
    /// All of them.
    EveryCall,
}

/// How a time that is not there yet is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentTime {
    /// `""`.
    Empty,
    /// `null`.
    Null,
    /// The field is not there.
    Missing,
}

/// How a job or an export ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// `succeeded`.
    #[default]
    Succeeded,
    /// `failed`.
    Failed {
        /// The job's `error`.
        error: String,
    },
    /// A word nobody knows.
    Word {
        /// The word.
        word: String,
    },
    /// Stays `running` for ever.
    Never,
}

/// How streams look; little of it is documented.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamOptions {
    /// Virtual seconds before each event.
    pub step_seconds: f64,
    /// Letters of text that an event brings.
    pub letters: usize,
    /// Bytes are sent in pieces of this size, which may end inside a letter.
    pub chunk_bytes: Option<usize>,
    /// A comment line stands before each event.
    pub comments: bool,
    /// Lines end as in Windows.
    pub crlf: bool,
    /// The text of a last `data:` line, such as `[DONE]`.
    pub sentinel: Option<String>,
    /// The stream ends in good order after so many events, without a finish reason.
    pub end_after: Option<usize>,
    /// A refusal comes as an event instead of a plain JSON body.
    pub refusals_as_events: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            step_seconds: 0.2,
            letters: 24,
            chunk_bytes: None,
            comments: false,
            crlf: false,
            sentinel: None,
            end_after: None,
            refusals_as_events: false,
        }
    }
}

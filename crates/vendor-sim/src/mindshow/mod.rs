//! The MindShow simulator: two origins (API and file host), one state: decks, PDF exports, model calls, uploads,
//! templates and the ledger of credits.
//!
//! Not here: templates do not change how decks look; the events behind `create_log_url` are a guess; preview pictures are
//! one white pixel.

mod answer;
mod api;
mod arguments;
mod content;
mod create;
mod cursor;
mod files;
mod handle;
mod ledger;
mod model;
mod options;
mod state;
mod templates;
mod timeline;
mod upload;

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::handle::{MindShow, MindShowHandle};
pub use self::ledger::Charge;
pub use self::options::{AbsentTime, Codes, MindShowOptions, Outcome, PdfCharge, StreamOptions};
pub use self::state::{Counters, JobView};

use self::answer::{Refusal, success};
use self::arguments::Arguments;
use self::state::State;
use crate::clock::Clock;
use crate::control::Controlled;
use crate::fault::FaultPlan;
use crate::lock::lock;
use crate::recorder::Recorder;

/// Operations that faults can be scripted for: those of the API by the last words of their paths, then those of the file
/// host.
pub const OPERATIONS: &[&str] = &[
    "account_info",
    "score_log",
    "template_list",
    "template_get",
    "tag_cfg",
    "advance_template_add",
    "advance_template_list",
    "advance_template_get",
    "advance_template_set",
    "advance_template_del",
    "upload",
    "gen_outline_by_topic",
    "gen_content_by_outline",
    "ppt_create_by_json",
    "ppt_create_by_markdown",
    "ppt_create_by_gpt",
    "ppt_create_by_ppt",
    "template_create_by_ppt",
    "job_list",
    "job_get",
    "get_quality_check_data",
    "get_pdf",
    "get_jump_link",
    "job_del",
    "deck_file",
    "pdf_file",
    "preview_file",
    "jump_page",
    "create_log",
];

/// Items on a page when the request does not say.
const USUAL_LIMIT: u64 = 10;

/// What both origins share.
pub(crate) struct Shared {
    state: Mutex<State>,
    clock: Clock,
    recorder: Recorder,
    faults: FaultPlan,
    /// Signs file addresses.
    link_key: u128,
    file_base: String,
}

impl Shared {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    /// One rule.
    fn rule<T>(&self, read: impl FnOnce(&MindShowOptions) -> T) -> T {
        read(&lock(&self.state).options)
    }
}

/// Items wanted on a page, within what the rules allow.
fn limit_of(options: &MindShowOptions, sent: &Arguments) -> Result<usize, Refusal> {
    let limit = sent
        .number("limit", USUAL_LIMIT)?
        .clamp(1, options.max_limit.max(1));
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The control endpoint's view.
impl Controlled for Shared {
    fn state(&self) -> Value {
        let now = self.now();
        let mut state = lock(&self.state);
        json!({
            "now": now.as_secs_f64(),
            "jobs": state.jobs(now),
            "charges": state.charges(now),
            "score": state.balance(),
            "counters": state.counters,
            "requests": self.recorder.total(),
            "pending_faults": self.faults.pending(),
        })
    }

    fn options(&self) -> Value {
        json!(self.rule(Clone::clone))
    }

    fn set_options(&self, options: Value) -> Result<(), String> {
        let options = serde_json::from_value(options).map_err(|error| error.to_string())?;
        lock(&self.state).options = options;
        Ok(())
    }

    fn reset(&self) {
        let mut state = lock(&self.state);
        *state = State::new(state.options.clone());
        drop(state);
        self.recorder.clear();
        self.faults.clear();
    }

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
    }

    fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

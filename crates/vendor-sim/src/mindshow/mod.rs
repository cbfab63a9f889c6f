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
use crate::lock::lock;
use crate::simulator::{Common, Simulated};

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
#[doc(hidden)]
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    common: Common,
    /// Signs file addresses.
    link_key: u128,
    file_base: String,
}

impl Shared {
    fn now(&self) -> Duration {
        self.common.clock.now()
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

impl Simulated for Shared {
    type Options = MindShowOptions;
    const OPERATIONS: &'static [&'static str] = OPERATIONS;

    fn common(&self) -> &Common {
        &self.common
    }

    fn state(&self) -> Value {
        let now = self.now();
        let mut state = lock(&self.state);
        json!({
            "now": now.as_secs_f64(),
            "jobs": state.jobs(now),
            "charges": state.charges(now),
            "score": state.balance(),
            "counters": state.counters,
            "requests": self.common.recorder.total(),
            "pending_faults": self.common.faults.pending(),
        })
    }

    fn with_options<T>(&self, act: impl FnOnce(&mut MindShowOptions) -> T) -> T {
        act(&mut lock(&self.state).options)
    }

    fn clear(&self) {
        let mut state = lock(&self.state);
        *state = State::new(state.options.clone());
    }
}

//! The TextIn xParse simulator: two origins (API and result host), one state, every rule that the vendor's pages or
//! clients reveal.
//!
//! Not wrapped: the endpoints older than v1, OAuth bearer tokens, recognition of any kind. Texts and PDFs up to 8 MiB are
//! read; all else is known by name, size and digest.

mod answer;
mod api;
mod blocks;
mod body;
mod config;
mod document;
mod export;
mod handle;
mod options;
mod result;
mod result_host;
mod state;
mod upload;
mod webhook;

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::body::ResultBytes;
pub use self::handle::{TextIn, TextInHandle};
pub use self::options::{Outcome, ResultAccess, ResultForm, TextInOptions, WebhookMode};
pub use self::state::{Charge, Counters, JobView, WebhookDelivery};

use self::state::{Job, State};
use crate::lock::lock;
use crate::simulator::{Common, Simulated};

/// Operations that faults can be scripted for.
pub const OPERATIONS: &[&str] = &["submit", "poll", "sync", "export", "result", "image"];

/// What both origins share.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    common: Common,
    /// Signs result addresses, so that a made-up one is refused.
    link_key: u128,
    result_base: String,
}

impl Shared {
    fn now(&self) -> Duration {
        self.common.clock.now()
    }

    fn options(&self) -> TextInOptions {
        lock(&self.state).options.clone()
    }

    /// One rule; copying all of them for each request would be felt with many jobs.
    fn rule<T>(&self, read: impl FnOnce(&TextInOptions) -> T) -> T {
        read(&lock(&self.state).options)
    }

    /// A job's result as the result host serves it now.
    fn result_bytes(
        &self,
        job: &Job,
        form: ResultForm,
        request_id: Option<&str>,
    ) -> Option<ResultBytes> {
        let document = job.document.as_deref()?;
        let source = result::Source {
            job_id: &job.id,
            document,
            config: &job.config,
            success_count: job.success_count(),
            image_base: &format!("{}/file/xparse_image", self.result_base),
        };
        let mut result = result::build(&source);
        if !job.config.exports.is_empty() {
            let markdown = self.export_text(job);
            let expires = job.due.unwrap_or_default() + export::LIFETIME;
            let entry =
                |format: &config::ExportFormat| export::entry(*format, &job.id, &markdown, expires);
            let exports: Vec<Value> = job.config.exports.iter().map(entry).collect();
            result.insert("exports".to_owned(), json!(exports));
        }
        let size = self.rule(|options| options.result_bytes);
        Some(match (form, size) {
            (ResultForm::Bare, None) => ResultBytes::plain(&Value::Object(result)),
            (ResultForm::Bare, Some(size)) => ResultBytes::stretched(result, None, size),
            (ResultForm::Enveloped, None) => ResultBytes::plain(&answer::envelope(
                200,
                None,
                request_id,
                Some(Value::Object(result)),
            )),
            (ResultForm::Enveloped, Some(size)) => {
                let envelope = answer::envelope(200, None, request_id, None);
                ResultBytes::stretched(result, envelope.as_object().cloned(), size)
            }
        })
    }

    fn export_text(&self, job: &Job) -> String {
        let Some(document) = job.document.as_deref() else {
            return String::new();
        };
        let pages = result::selected_pages(document, &job.config).unwrap_or_default();
        result::markdown(document, &job.config, &pages)
    }
}

impl Simulated for Shared {
    type Options = TextInOptions;
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
            "counters": state.counters,
            "webhooks": state.deliveries,
            "requests": self.common.recorder.total(),
            "pending_faults": self.common.faults.pending(),
        })
    }

    fn with_options<T>(&self, act: impl FnOnce(&mut TextInOptions) -> T) -> T {
        act(&mut lock(&self.state).options)
    }

    fn clear(&self) {
        let mut state = lock(&self.state);
        *state = State::new(state.options.clone());
    }
}

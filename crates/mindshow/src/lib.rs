#![doc = include_str!("../README.md")]

mod account;
mod api;
mod auth;
mod client;
mod code;
mod envelope;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz_oracle;
mod generated;
#[cfg(feature = "runner")]
mod handler;
mod job;
mod lost_submit;
mod model;
mod operation;
mod page;
mod pdf;
#[cfg(feature = "runner")]
mod pdf_handler;
mod request;
mod resource;
mod result;
mod sse;
mod template;
mod upload;

/// The types of the vendor's JSON: requests and what they bring.
pub mod types {
    pub use crate::generated::types::{
        AccountInfo, AdvanceTemplate, AdvanceTemplateAddRequest, ContentRequest, DeckPage,
        DeckSource, FinishReason, GptDeck, ImageMode, JobInfo, JobStatus, JsonDeck,
        JumpLinkRequest, Language, ListRequest, MarkdownDeck, Model, OutlineRequest, PageItem,
        PageType, PptDeck, PreviewImages, QualityData, QualityPage, Question, ScoreEntry,
        SecretText, Tag, TagConfig, Template, TemplateFromPpt, TemplateListRequest, TemplateOrigin,
        TemplateType, Theme, VipType,
    };
}

pub use jobs_core::disk::OutputPath;
pub use jobs_core::http::{ClientConfig, Document, SavedFile};
pub use jobs_core::vendor::{Account, Env, JobKind, ResumeError};
pub use jobs_core::{
    Error, ErrorKind, Job, JobId, LostSubmit, RunError, Secret, SubmitError, Ticket, WaitError,
    WaitOptions,
};

pub use self::client::{Client, ClientBuilder, PdfExport};
#[cfg(feature = "runner")]
pub use self::handler::{
    DeckHandler, DeckInput, DeckSubmit, handler, markdown_input, options, outline_input,
    topic_input,
};
pub use self::job::{Deck, Ready};
pub use self::lost_submit::{Candidate, SearchCriteria};
pub use self::model::{Content, ContentStream, FullText, Increment, Outline, OutlineStream};
pub use self::page::{Page, Pages};
pub use self::pdf::{Pdf, PdfBudget, PdfCharge, PdfReady, PdfSpent};
#[cfg(feature = "runner")]
pub use self::pdf_handler::{PdfHandler, PdfSubmit, pdf_handler, pdf_input};
pub use self::request::DeckRequest;
pub use self::resource::ResourceId;
pub use self::result::DeckSummary;

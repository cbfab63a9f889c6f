#![doc = include_str!("../README.md")]

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
mod page_count;
mod request;
mod result;
mod scan;
mod text_encoding;
pub mod webhook;

/// The types of the vendor's JSON: request options, and the parsed document.
pub mod types {
    pub use crate::generated::types::{
        Capabilities, CellSourceRegion, CharDetail, DataSource, DocumentConfig, DocumentMetadata,
        Element, ElementMergeMode, ElementMetadata, ElementType, Engine, EngineConfig,
        EngineParams, Export, ExportConfig, ExportFile, ExportFormat, ExportMode, ExportRequest,
        ExportScope, ExportSheetMode, ExportStatus, ImageData, ImageOutputType, InlineObject,
        InlineObjectMetadata, Page, ParseConfig, ParseMode, ParseResult, Recognition,
        RecognitionCandidate, RecordLocator, Scope, SecretText, Summary, TableCell, TableLayout,
        TableSourceRegion, TableStructure, TableView, TextSourceRange, TitleTreeNode,
    };
}

pub use jobs_core::disk::OutputPath;
pub use jobs_core::http::{ClientConfig, Document, SavedFile};
pub use jobs_core::vendor::{Account, Env, JobKind, ResumeError};
pub use jobs_core::{
    Error, ErrorKind, Job, JobId, LostSubmit, RunError, Secret, SubmitError, Ticket, WaitError,
    WaitOptions,
};

pub use self::client::{Client, ClientBuilder};
#[cfg(feature = "runner")]
pub use self::handler::{ParseHandler, ParseInput, handler, input, options, url_input};
pub use self::job::{Parse, Ready};
pub use self::page_count::count_pages;
pub use self::request::{InvalidPageRange, PageRange, ParseRequest};
pub use self::result::{Parsed, ResultSummary};

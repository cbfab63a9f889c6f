//! Typed bodies of commands, answers and pushes.

mod device;
mod download;
mod event;
mod job;
mod lifecycle;
mod list;
mod report;
mod scan;

pub use device::{CorpInfo, CorpInfoRequest, DeviceFeature, ErrorReport, LoginQr, PrinterQr};
pub use download::{CHUNK_BYTES, DownloadRequest};
pub use event::{Event, UnknownBody, UserScan};
pub use job::{Format, ListedJob, PageFile, PageFiles, PageProblem, PrintStatus};
pub use lifecycle::{
    Activate, Active, ExchangeSeed, GetTimestamp, NetInfo, Ping, Register, Registered, ServerTime,
    SignedIdentity, Subscribe, own_secret_no,
};
pub use list::{JobList, ListQuery, MAX_PAGE, PAGE, StatusFilter};
pub use report::{PrintOutcome, PrintReport, ReportNumbering};
pub use scan::ScanArgs;

//! Typed bodies of commands, answers and pushes.

mod device;
mod download;
mod event;
mod job;
mod lifecycle;
mod list;
mod report;
mod scan;

pub use device::CorpInfo;
pub(crate) use device::{CorpInfoRequest, DeviceFeature, ErrorReport, LoginQr, PrinterQr};
pub(crate) use download::{CHUNK_BYTES, DownloadRequest};
pub use event::{Event, UnknownBody, UserScan};
pub(crate) use job::PageProblem;
pub use job::{Format, ListedJob, PageFile, PageFiles, PrintStatus};
pub use lifecycle::NetInfo;
pub(crate) use lifecycle::{
    Activate, Active, ExchangeSeed, GetTimestamp, Ping, Register, Registered, ServerTime,
    Subscribe, own_secret_no,
};
pub(crate) use list::{JobList, MAX_PAGE, PAGE};
pub use list::{ListQuery, StatusFilter};
pub(crate) use report::PrintReport;
pub use report::{PrintOutcome, ReportNumbering};
pub use scan::ScanArgs;

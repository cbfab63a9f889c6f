//! The request layer that vendor crates share.
//!
//! One [`HttpClient`] for each vendor account: it knows the API's [`Origin`], holds the quota, caps what it reads, says
//! of every failure whether the vendor may have acted, and never lets a credential reach another origin. A
//! [`Download`] brings a result to disk in three steps that cannot be taken in another order: the bytes of an [`UnverifiedFile`] are
//! verified, and only [`Verified`] ones can be saved under their final name. Bytes that arrived whole and did not pass are
//! handed over as an [`InvalidFile`], which can be kept beside the place or accepted.

mod body;
mod client;
mod client_config;
mod coding;
mod connect;
mod context;
mod download;
mod lenient;
mod networks;
mod origin;
mod partial;
mod reason;
mod request;
mod response;
mod result_file;
pub(crate) mod ssrf_guard;
mod streaming_body;
mod streaming_response;
mod surroundings;
mod watched;
#[cfg(feature = "zip")]
mod zip;

pub use self::body::{Body, Document, Form};
pub use self::client::{HttpClient, HttpClientBuilder};
pub use self::client_config::ClientConfig;
pub use self::connect::{InvalidProxy, Proxy, Resolver};
#[cfg(feature = "rustls")]
pub use self::connect::{InvalidTlsRoots, TlsRoots};
#[cfg(feature = "testing")]
pub(crate) use self::context::Context;
pub use self::download::Download;
pub use self::lenient::{LenientJson, LenientValue};
pub use self::networks::{InvalidNetwork, ResultNetworks};
pub use self::origin::{InvalidAddress, Origin, shown};
pub use self::request::Request;
pub use self::response::Response;
pub use self::result_file::{
    CheckError, DownloadError, Inspection, InvalidFile, SavedFile, StoppableReader, UnverifiedFile,
    Verified, Warning,
};
pub use self::streaming_body::StreamingBody;
pub use self::streaming_response::StreamingResponse;
#[cfg(feature = "zip")]
pub use self::zip::{ZipContents, check_zip};

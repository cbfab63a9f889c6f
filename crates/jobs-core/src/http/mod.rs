//! The request layer that vendor crates share.
//!
//! One [`Transport`] for each vendor account: it knows the API's [`Origin`], holds the quota, caps what it reads, says
//! of every failure whether the vendor may have acted, and never lets a credential reach another origin. A
//! [`Fetch`] brings a result to disk in three steps that cannot be taken in another order: [`Fetched`] bytes are
//! verified, and only [`Verified`] ones can be saved under their final name. Bytes that arrived whole and did not pass are
//! handed over as an [`InvalidFile`], which can be kept beside the place or accepted.

mod answer;
mod body;
mod coding;
mod context;
mod download;
mod incoming;
mod lenient;
mod networks;
mod origin;
mod partial;
pub(crate) mod reach;
mod reason;
mod request;
mod result_file;
mod streamed;
mod surroundings;
mod transport;
mod watched;
#[cfg(feature = "zip")]
mod zip;

pub use self::answer::Answer;
pub use self::body::{Body, Document, Form};
#[cfg(feature = "testing")]
pub(crate) use self::context::Context;
pub use self::download::Fetch;
pub use self::incoming::Incoming;
pub use self::lenient::{LenientJson, LenientValue};
pub use self::networks::{InvalidNetwork, ResultNetworks};
pub use self::origin::{InvalidAddress, Origin, shown};
pub use self::request::Request;
pub use self::result_file::{
    CheckError, DownloadError, Fetched, Inspection, InvalidFile, Saved, StoppableReader, Verified,
    Warning,
};
pub use self::streamed::Streamed;
pub use self::transport::{Transport, TransportBuilder};
#[cfg(feature = "zip")]
pub use self::zip::{ZipContents, check_zip};

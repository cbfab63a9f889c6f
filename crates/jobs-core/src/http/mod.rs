//! The request layer that vendor crates share.
//!
//! One [`Transport`] for each vendor account: it knows the API's [`Origin`], holds the quota, caps what it reads, says
//! of every failure whether the vendor may have acted, and never lets a credential reach another origin. A
//! [`Fetch`] brings a result to disk in three steps that cannot be taken in another order: [`Fetched`] bytes are
//! verified, and only [`Verified`] ones can be saved under their final name.

mod answer;
mod body;
mod coding;
mod context;
mod download;
mod incoming;
mod origin;
pub(crate) mod reach;
mod request;
mod streamed;
mod transport;

pub use self::answer::Answer;
pub use self::body::{Body, Document, Form};
#[cfg(feature = "testing")]
pub(crate) use self::context::Context;
pub use self::download::{Fetch, Fetched, Saved, Verified};
pub use self::incoming::Incoming;
pub use self::origin::{InvalidAddress, Origin};
pub use self::request::Request;
pub use self::streamed::Streamed;
pub use self::transport::{Transport, TransportBuilder};

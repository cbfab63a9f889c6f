//! Time moved by hand, a scripted kind, and the contract that every kind must keep.
//!
//! A vendor crate tests its kind by writing one [`Subject`]: how its vendor would say each [`Beat`], in raw bytes.
//! [`contract::all`] does the rest.

#[cfg(feature = "http")]
mod answer;
mod clock;
pub mod contract;
mod fixture;
mod script;
mod scripted;
#[cfg(feature = "http")]
mod server;
mod shared;

#[cfg(feature = "http")]
pub use self::answer::{answer, said_by};
pub use self::clock::ManualClock;
pub use self::fixture::{Encode, Fixtures, encoded};
pub use self::script::{Asked, Beat, Odd, Play, Stage, Subject};
pub use self::scripted::{Scripted, ScriptedSubject};
#[cfg(feature = "http")]
pub use self::server::{Reply, ScriptedServer};
pub use self::shared::SharedPlaces;

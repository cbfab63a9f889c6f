//! Time moved by hand, a scripted kind, and the contract that every kind must keep.
//!
//! A vendor crate tests its kind by writing one [`KindUnderTest`]: how its vendor would say each [`ScriptStep`], in raw bytes.
//! [`contract::all`] does the rest.

mod clock;
pub mod contract;
mod fixture;
#[cfg(feature = "http")]
mod response;
mod script;
mod scripted_kind;
#[cfg(feature = "http")]
mod server;
mod shared_rate;

pub use self::clock::ManualClock;
pub use self::fixture::{Encode, Fixtures, encoded};
#[cfg(feature = "http")]
pub use self::response::{canned_response, debug_and_display};
pub use self::script::{KindUnderTest, MalformedBody, RequestLog, Script, ScriptStep, TestVendor};
pub use self::scripted_kind::{ScriptedKind, ScriptedKindUnderTest};
#[cfg(feature = "http")]
pub use self::server::{Reply, ScriptedServer};
pub use self::shared_rate::InMemorySharedRate;

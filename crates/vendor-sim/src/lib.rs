#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! Everything that is not a vendor's is shared: [`server`] owns the sockets, [`fault`] spoils answers as a test asks,
//! [`recorder`] remembers every request, `control` offers all of it under `/_sim/`, [`clock`] is the only time there is.

pub mod clock;
mod control;
mod deck;
pub mod delivery;
pub mod fault;
mod lock;
mod malformed;
pub mod mindshow;
pub mod outgoing;
pub mod pdf;
pub mod ppj;
pub mod recorder;
pub mod server;
mod simulator;
mod simulators;
mod sliding_window;
pub mod spool;
pub mod tencent;
pub mod textin;
pub mod wecom;
mod wire;

pub use clock::VirtualClock;
pub use fault::{Fault, Times};
pub use mindshow::{MindShow, MindShowHandle, MindShowOptions};
pub use ppj::{Ppj, PpjHandle, PpjOptions};
pub use recorder::RecordedRequest;
pub use server::Site;
pub use simulator::Simulator;
pub use simulators::{SimOptions, Simulators};
pub use tencent::{Tencent, TencentHandle, TencentOptions};
pub use textin::{TextIn, TextInHandle, TextInOptions};
pub use wecom::{WeCom, WeComHandle, WeComOptions};

//! The HTTPS flavour of the vendor's interface, for printers behind a cloud of their own.

mod callback;
mod cipher;
mod client;
mod download;
mod envelope;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
mod list;
mod qr;
mod request;
mod token;

pub use callback::{Callback, CallbackKey, Framing, Notice, Nudge, Scan, Signed, sorted_sha1};
pub use cipher::{CipherProblem, Decryptor, FileKey, decrypt};
pub use client::{CloudClient, CloudClientBuilder};
pub use list::CloudQuery;
pub use qr::{LoginQrType, QrCode};
pub use request::{DeviceStatus, ScanFile, ScanSource};

//! The HTTPS flavour of the vendor's interface, for printers behind a cloud of their own.

mod cipher;
mod client;
mod download;
mod envelope;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz_oracle;
mod list;
mod qr;
mod request;
mod token;
mod webhook;

pub use client::{CloudClient, CloudClientBuilder};
pub use list::CloudQuery;
pub use qr::{LoginQrType, QrCode};
pub use request::{DeviceStatus, ScanFile, ScanSource};
pub use webhook::{
    Framing, Scan, Signed, WebhookEvent, WebhookKey, WebhookNotice, WebhookRequest, sorted_sha1,
};

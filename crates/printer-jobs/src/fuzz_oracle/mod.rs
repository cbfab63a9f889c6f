//! What holds whatever the cloud, or somebody in its place, sends over the socket: tried by the tests here and by the fuzz targets.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "it fails like a test"
)]

mod correlate;
mod envelope;
mod frame;

pub use correlate::correlate;
pub use envelope::envelope;
pub use frame::frame;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            super::frame(&bytes);
            super::envelope(&bytes);
            super::correlate(&bytes);
        }
    }
}

//! An archive with an entry that cannot be tested here is delivered; damage that was seen is not.

use super::stand_in::{StandIn, Step, Vendor, http};

/// One stored entry that says of itself that it was made by this method, and this sum of its bytes.
fn zip(method: u8, content: &[u8], crc: u32) -> Vec<u8> {
    let (name, size) = (
        b"index.html",
        u32::try_from(content.len()).unwrap().to_le_bytes(),
    );
    let common = [
        &[method, 0, 0, 0, 0x21, 0][..],
        &crc.to_le_bytes(),
        &size,
        &size,
        &[10, 0, 0, 0],
    ]
    .concat();
    let local = [&b"PK\x03\x04\x14\0\0\0"[..], &common, name, content].concat();
    let central = [&b"PK\x01\x02\x14\0\x14\0\0\0"[..], &common, &[0; 14], name].concat();
    let (at, length) = (
        u32::try_from(local.len()).unwrap(),
        u32::try_from(central.len()).unwrap(),
    );
    let end = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &length.to_le_bytes(),
        &at.to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [local, central, end].concat()
}

/// Of `hello`.
const SUM: u32 = 0x3610_a686;

fn bundle(bytes: &[u8]) -> StandIn {
    let answer = http(200, &["Content-Type: application/zip"], bytes);
    StandIn::saying(Vendor::Ppj, Step::Result, answer)
}

#[test]
fn a_method_that_is_not_known_here_is_delivered_with_a_warning() {
    // LZMA, Zstandard, XZ, PPMd, AES.
    for method in [14, 93, 95, 98, 99] {
        let bytes = zip(method, b"hello", SUM);
        let vendor = bundle(&bytes);
        let ran = vendor.buy();
        ran.ended(0, &[]);
        assert_eq!(std::fs::read(vendor.path("r")).unwrap(), bytes, "{method}");
        assert!(ran.stderr.contains("warning"), "{ran:#?}");
    }
}

#[test]
fn a_wrong_sum_is_kept_beside_the_place() {
    let bytes = zip(0, b"hello", SUM ^ 1);
    let vendor = bundle(&bytes);
    vendor.buy().ended(4, &["r.unverified"]);
    assert_eq!(std::fs::read(vendor.path("r.unverified")).unwrap(), bytes);
    assert_eq!(
        (vendor.count(Step::Submit), vendor.count(Step::Result)),
        (1, 2)
    );
}

#[test]
fn a_right_one_is_delivered_in_silence() {
    let vendor = bundle(&zip(0, b"hello", SUM));
    let ran = vendor.buy();
    ran.ended(0, &[]);
    assert!(!ran.stderr.contains("warning"), "{ran:#?}");
}

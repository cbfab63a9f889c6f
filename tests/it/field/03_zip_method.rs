//! An archive with an entry that cannot be tested here is delivered; damage that was seen is not.

use super::stand_in::{SUM, StandIn, Step, Vendor, http, zip};

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

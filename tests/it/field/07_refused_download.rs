//! A refused download of a finished job is no failure of the job: it is told, and tried again until the deadline.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::stand_in::{StandIn, Step, Vendor, http, page};

const DENIED: &str =
    "<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>";

#[test]
fn what_the_storage_said_is_shown_beside_the_ticket() {
    for status in [400, 403, 404, 410] {
        let answer = http(
            status,
            &["Content-Type: application/xml"],
            DENIED.as_bytes(),
        );
        let vendor = StandIn::saying(Vendor::TextIn, Step::Result, answer);
        let ran = vendor.buy();
        assert_eq!(ran.exit, Some(4), "{status}: {ran:#?}");
        for words in ["AccessDenied", "Request has expired."] {
            assert!(ran.stderr.contains(words), "{status}: {ran:#?}");
        }
        assert!(ran.ticket().is_some(), "{ran:#?}");
        assert!(vendor.count(Step::Poll) > 1, "no fresh link: {ran:#?}");
        assert_eq!(vendor.count(Step::Submit), 1);
    }
}

#[test]
fn a_refusal_that_passes_is_waited_for() {
    let tries = AtomicUsize::new(0);
    let vendor = StandIn::new(Vendor::TextIn, move |asked, _| {
        let refuses = asked.step == Step::Result && tries.fetch_add(1, Ordering::SeqCst) < 4;
        refuses.then(|| page(403, DENIED))
    });
    vendor.buy().ended(0, &[]);
    assert_eq!(std::fs::read_to_string(vendor.path("r")).unwrap(), "# ok");
}

#[test]
fn a_worker_goes_on_with_it_later() {
    let tries = AtomicUsize::new(0);
    let vendor = StandIn::new(Vendor::TextIn, move |asked, _| {
        let refuses = asked.step == Step::Result && tries.fetch_add(1, Ordering::SeqCst) < 4;
        refuses.then(|| page(403, DENIED))
    });
    vendor
        .run(&["textin", "parse", "a.pdf", "--no-wait"])
        .ended(0, &[]);
    vendor
        .run(&["work", "--once", "--out", "new"])
        .ended(0, &[]);
    assert_eq!(std::fs::read_dir(vendor.path("new")).unwrap().count(), 1);
}

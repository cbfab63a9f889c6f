//! A documented end is seen whatever stands beside it; a state that is not there is not guessed.

use super::stand_in::{JOB, StandIn, Step, Vendor, json};

#[test]
fn a_failure_is_told_with_its_text_however_that_is_written() {
    for (text, said) in [
        (r#""bad \ud835 glyph""#, "bad \u{fffd} glyph"),
        ("\"bad \x02 glyph\"", "bad"),
        (r#"["bad","glyph"]"#, ""),
        ("NaN", ""),
    ] {
        let poll = format!(
            r#"{{"code":200,"message":"ok","data":{{"job_id":"{JOB}","status":"failed","message":{text}}}}}"#
        );
        let vendor = StandIn::saying(Vendor::TextIn, Step::Poll, json(&poll));
        let ran = vendor.buy();
        assert_eq!(ran.exit, Some(3), "{poll}: {ran:#?}");
        assert!(ran.stderr.contains(said), "{ran:#?}");
    }
}

#[test]
fn a_worker_ends_on_a_failure_beside_odd_text() {
    let poll = format!(
        r#"{{"code":200,"message":"ok","data":{{"job_id":"{JOB}","status":"failed","message":"bad \ud835 glyph"}}}}"#
    );
    let vendor = StandIn::saying(Vendor::TextIn, Step::Poll, json(poll));
    vendor
        .run(&["textin", "parse", "a.pdf", "--no-wait"])
        .ended(0, &[]);
    vendor
        .run(&["work", "--once", "--out", "new"])
        .ended(3, &[]);
}

#[test]
fn an_end_is_seen_beside_numbers_that_are_none() {
    let signed = format!(
        r#"{{"Response":{{"TaskStatus":8,"Cost":NaN,"TaskMessage":"\ud835","ResourceId":"{JOB}","RequestId":"q"}}}}"#
    );
    let bundle = format!(
        r#"{{"token":"{JOB}","state":"completed","total_pages":Infinity,"name":"\ud835"}}"#
    );
    for (vendor, poll) in [(Vendor::Tencent, signed), (Vendor::Ppj, bundle)] {
        let stand_in = StandIn::saying(vendor, Step::Poll, json(&poll));
        let ran = stand_in.buy();
        assert_eq!(ran.exit, Some(0), "{poll}: {ran:#?}");
    }
}

#[test]
fn a_state_that_is_not_there_is_not_guessed() {
    let poll = format!(
        r#"{{"code":200,"message":"\ud835","data":{{"job_id":"{JOB}","note":"\"status\":\"failed\""}}}}"#
    );
    let vendor = StandIn::saying(Vendor::TextIn, Step::Poll, json(poll));
    let ran = vendor.buy();
    ran.ended(4, &[]);
    assert!(ran.ticket().is_some(), "{ran:#?}");
}

#[test]
fn a_state_never_seen_before_is_named_when_the_wait_ends_on_it() {
    let poll = format!(
        r#"{{"code":200,"message":"ok","data":{{"job_id":"{JOB}","status":"hibernating"}}}}"#
    );
    let vendor = StandIn::saying(Vendor::TextIn, Step::Poll, json(poll));
    vendor.buy().ended(4, &["hibernating"]);
}

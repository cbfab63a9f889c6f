//! Storage at a private address is reached only where that is allowed, and never at the addresses of machines' secrets.

use super::stand_in::{JOB, StandIn, Step, Vendor, http, json};

fn leading_to(url: &str) -> StandIn {
    let poll = format!(
        r#"{{"code":200,"data":{{"job_id":"{JOB}","status":"completed","result_url":"{url}"}}}}"#
    );
    StandIn::saying(Vendor::TextIn, Step::Poll, json(poll))
}

#[test]
fn the_addresses_of_machines_secrets_are_never_reached() {
    for url in [
        "http://169.254.169.254/r",
        "https://169.254.169.254/r",
        "https://[::ffff:169.254.169.254]/r",
        "https://[64:ff9b::a9fe:a9fe]/r",
        "https://2852039166/r",
        "https://100.100.100.200/r",
        "https://[fd00:ec2::254]/r",
    ] {
        let vendor = leading_to(url);
        let all = [("DOCJOBS_RESULT_NETS", "0.0.0.0/0,::/0")];
        let ran = vendor.run_with(&vendor.purchase(), &all);
        assert!(matches!(ran.exit, Some(4)), "{url}: {ran:#?}");
    }
}

#[test]
fn a_redirect_leads_no_further_than_a_link() {
    let answer = http(
        302,
        &["Location: http://169.254.169.254/latest/meta-data"],
        b"",
    );
    let vendor = StandIn::saying(Vendor::TextIn, Step::Result, answer);
    vendor.buy().ended(4, &["169.254.169.254"]);
}

#[test]
fn a_bad_list_is_refused_before_anything_is_sent() {
    for list in ["10.0.0.0/33", "hello", "10.1.2.3.4/8", "fd00::/129"] {
        let vendor = leading_to("https://10.1.2.3/r");
        let ran = vendor.run_with(&vendor.purchase(), &[("DOCJOBS_RESULT_NETS", list)]);
        ran.ended(2, &["DOCJOBS_RESULT_NETS"]);
        assert!(vendor.asked().is_empty(), "{list}");
    }
}

//! What a proxy or firewall said is shown, and its refusals do not pass for the vendor's.

use super::stand_in::{Answer, StandIn, Step, Vendor, http, json, page};

const BLOCKED: &str = "<html>blocked by Corp WAF policy 4711</html>";
const WORDS: &str = "blocked by Corp WAF policy 4711";

fn at(step: Step, answer: &Answer) -> StandIn {
    StandIn::saying(Vendor::TextIn, step, answer.clone())
}

#[test]
fn a_refusal_from_in_between_is_no_refusal_of_the_vendor() {
    for status in [401, 402, 403, 404, 407, 451] {
        let vendor = at(Step::Submit, &page(status, BLOCKED));
        let ran = vendor.buy();
        assert_eq!(ran.exit, Some(8), "{status}: {ran:#?}");
        assert!(ran.stderr.contains(WORDS), "{status}: {ran:#?}");
        assert!(
            ran.stderr
                .contains(vendor.url().trim_start_matches("http://")),
            "{ran:#?}"
        );
        assert_eq!(vendor.count(Step::Submit), 1);
    }
}

#[test]
fn all_four_vendors_are_told_apart_from_what_stands_before_them() {
    for vendor in [
        Vendor::TextIn,
        Vendor::Ppj,
        Vendor::MindShow,
        Vendor::Tencent,
    ] {
        let stand_in = StandIn::saying(vendor, Step::Submit, page(403, BLOCKED));
        let ran = stand_in.buy();
        assert_eq!(ran.exit, Some(8), "{vendor:?}: {ran:#?}");
        assert!(ran.stderr.contains(WORDS), "{vendor:?}: {ran:#?}");
    }
}

#[test]
fn a_page_behind_which_the_work_may_have_been_done_is_an_unknown_outcome() {
    for (status, body) in [
        (200, BLOCKED),
        (500, BLOCKED),
        (502, BLOCKED),
        (504, BLOCKED),
    ] {
        let vendor = at(Step::Submit, &page(status, body));
        let ran = vendor.buy();
        assert_eq!(ran.exit, Some(5), "{status}: {ran:#?}");
        assert!(ran.stderr.contains(WORDS), "{status}: {ran:#?}");
        assert_eq!(vendor.count(Step::Submit), 1, "{status}");
    }
}

#[test]
fn where_a_redirect_leads_is_shown_and_not_followed() {
    const LOCATION: &[&str] = &["Location: https://portal.corp.example/login?next=secret"];
    // After a 302 or 303 the work may have been done; the others ask for it to be asked for elsewhere.
    for (status, exit) in [(302, 5), (303, 5), (301, 8), (307, 8), (308, 8)] {
        let vendor = at(Step::Submit, &http(status, LOCATION, b""));
        let ran = vendor.buy();
        ran.ended(exit, &["portal.corp.example"]);
        assert!(!ran.stderr.contains("next=secret"), "{ran:#?}");
        assert_eq!(vendor.count(Step::Submit), 1, "{status}");
    }
}

#[test]
fn after_acceptance_it_is_a_missed_poll() {
    let vendor = at(Step::Poll, &page(403, BLOCKED));
    let ran = vendor.buy();
    ran.ended(4, &[WORDS]);
    assert!(ran.ticket().is_some(), "{ran:#?}");
    assert!(vendor.count(Step::Poll) > 1, "{ran:#?}");
}

#[test]
fn the_words_are_in_json_and_in_the_history_too() {
    let vendor = at(Step::Submit, &page(403, BLOCKED));
    let mut line = vendor.purchase();
    line.push("--json");
    let ran = vendor.run(&line);
    assert_eq!(ran.exit, Some(8), "{ran:#?}");
    assert!(ran.stdout.contains(WORDS), "{ran:#?}");
    let shown = vendor.run(&["show", &vendor.id()]);
    assert!(shown.stdout.contains(WORDS), "{shown:#?}");
}

#[test]
fn what_the_vendor_itself_refuses_keeps_its_code() {
    let refusal = r#"{"code":40102,"message":"x-ti-app-id or x-ti-secret-code is invalid"}"#;
    let vendor = at(
        Step::Submit,
        &http(401, &["Content-Type: application/json"], refusal.as_bytes()),
    );
    vendor.buy().ended(6, &["40102"]);
    let vendor = at(Step::Submit, &json(refusal));
    vendor.buy().ended(6, &["40102"]);
}

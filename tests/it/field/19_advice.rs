//! Advice does not contradict what the vendor said, and names only what is there.

use super::stand_in::{StandIn, Step, Vendor, json};

fn refusing(answer: &str) -> StandIn {
    StandIn::saying(Vendor::TextIn, Step::Submit, json(answer))
}

#[test]
fn the_vendors_reason_stands_alone() {
    for code in [40422, 40426] {
        let vendor = refusing(&format!(
            r#"{{"code":{code},"message":"password required"}}"#
        ));
        let ran = vendor.buy();
        assert!(ran.stderr.contains("password required"), "{ran:#?}");
        assert!(!ran.stderr.contains("damaged"), "{ran:#?}");
    }
}

#[test]
fn a_locked_document_names_the_option_that_opens_it() {
    let vendor = refusing(r#"{"code":40423,"message":"PDF password error"}"#);
    let ran = vendor.buy();
    assert!(ran.stderr.contains("--password-file"), "{ran:#?}");
    let help = vendor.run(&["textin", "parse", "--help"]);
    assert!(help.stdout.contains("--password-file"), "{help:#?}");
}

#[test]
fn a_password_is_sent_and_written_down_nowhere() {
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    std::fs::write(vendor.path("key"), "hunter2-hunter2\n").unwrap();
    let mut line = vendor.purchase();
    line.extend(["--password-file", "key", "-vv"]);
    let ran = vendor.run(&line);
    ran.ended(0, &[]);
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:#?}");
    let submit = vendor
        .asked()
        .into_iter()
        .find(|asked| asked.step == Step::Submit);
    let sent = String::from_utf8_lossy(&submit.unwrap().body).into_owned();
    assert!(
        sent.contains("hunter2-hunter2\"") || !sent.contains("hunter2-hunter2\n\""),
        "{sent}"
    );
    assert!(sent.contains("hunter2-hunter2"), "{sent}");
    for name in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(vendor.path(name)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&bytes).contains("hunter2"),
            "{name}"
        );
    }
}

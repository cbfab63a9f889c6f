//! A paid result is delivered however it is written; what arrived whole and is broken is kept and not fetched for ever.

use super::stand_in::{Answer, StandIn, Step, Vendor, http, json};

fn result(answer: Answer) -> StandIn {
    StandIn::saying(Vendor::TextIn, Step::Result, answer)
}

fn in_json(vendor: &StandIn) -> Vec<&'static str> {
    let mut line = vendor.purchase();
    line.extend(["--format", "json"]);
    line
}

/// The bytes served, and the Markdown in them.
fn oddities() -> Vec<(Vec<u8>, String)> {
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    };
    let utf32 = |text: &str, bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
        text.chars().flat_map(|c| bytes(c.into())).collect()
    };
    let plain = r#"{"elements":[],"markdown":"处理"}"#;
    let marked = &format!("\u{feff}{plain}");
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (
            br#"{"elements":[],"markdown":"x \ud835 y"}"#.into(),
            "x \u{fffd} y",
        ),
        (
            br#"{"elements":[],"markdown":"x \udc00\ud835 y"}"#.into(),
            "x \u{fffd}\u{fffd} y",
        ),
        (
            br#"{"elements":[{"text":"\ud835"}],"markdown":"ok"}"#.into(),
            "ok",
        ),
        (
            br#"{"elements":[{"score":NaN}],"markdown":"ok"}"#.into(),
            "ok",
        ),
        (
            br#"{"elements":[{"score":-Infinity}],"markdown":"ok"}"#.into(),
            "ok",
        ),
        (
            b"{\"elements\":[],\"markdown\":\"a\x01b\"}".to_vec(),
            "a\u{1}b",
        ),
        (
            b"\xef\xbb\xbf{\"elements\":[],\"markdown\":\"ok\"}".to_vec(),
            "ok",
        ),
        (
            b"{\"elements\":[],\"markdown\":\"a\xff\xfeb\"}".to_vec(),
            "a\u{fffd}\u{fffd}b",
        ),
        (utf16(marked, u16::to_le_bytes), "处理"),
        (utf16(marked, u16::to_be_bytes), "处理"),
        (utf16(plain, u16::to_le_bytes), "处理"),
        (utf16(plain, u16::to_be_bytes), "处理"),
        (utf32(marked, u32::to_le_bytes), "处理"),
        (utf32(marked, u32::to_be_bytes), "处理"),
        (utf32(plain, u32::to_le_bytes), "处理"),
    ];
    rows.into_iter()
        .map(|(bytes, text)| (bytes, text.to_owned()))
        .collect()
}

#[test]
fn odd_text_is_delivered_as_markdown_with_its_replacement() {
    for (served, text) in oddities() {
        let vendor = result(json(&served));
        vendor.buy().ended(0, &[]);
        assert_eq!(std::fs::read_to_string(vendor.path("r")).unwrap(), text);
        assert_eq!(vendor.count(Step::Submit), 1);
    }
}

#[test]
fn odd_text_is_delivered_as_json_byte_for_byte() {
    for (served, _) in oddities() {
        let vendor = result(json(&served));
        vendor.run(&in_json(&vendor)).ended(0, &["warning: "]);
        assert_eq!(std::fs::read(vendor.path("r")).unwrap(), served);
    }
}

#[test]
fn a_declared_charset_is_read() {
    let body = b"{\"elements\":[],\"markdown\":\"\xb4\xa6\xc0\xed\"}";
    let answer = http(200, &["Content-Type: application/json; charset=GBK"], body);
    let vendor = result(answer);
    vendor.buy().ended(0, &[]);
    assert_eq!(std::fs::read_to_string(vendor.path("r")).unwrap(), "处理");
}

#[test]
fn a_worker_delivers_odd_text_and_ends() {
    let vendor = result(json(r#"{"elements":[],"markdown":"x \ud835 y"}"#));
    let line = ["textin", "parse", "a.pdf", "--no-wait"];
    vendor.run(&line).ended(0, &[]);
    vendor
        .run(&["work", "--once", "--out", "new"])
        .ended(0, &[]);
    let files: Vec<_> = std::fs::read_dir(vendor.path("new")).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let text = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    assert_eq!(text, "x \u{fffd} y");
}

#[test]
fn what_is_broken_is_fetched_twice_kept_and_handed_over_when_accepted() {
    for broken in [
        r##"{"elements":[],"markdown":"# o"##,
        "<html>It works!</html>",
    ] {
        let vendor = result(json(broken));
        let ran = vendor.buy();
        ran.ended(4, &["r.unverified"]);
        assert_eq!(vendor.count(Step::Result), 2, "{ran:#?}");
        let kept = std::fs::read_to_string(vendor.path("r.unverified")).unwrap();
        assert_eq!(kept, broken);
        assert!(!vendor.path("r").exists());
        let mut line = in_json(&vendor);
        line.truncate(line.len() - 2);
        line.push("--accept-unverified");
        vendor.run(&line).ended(0, &[]);
        assert_eq!(std::fs::read_to_string(vendor.path("r")).unwrap(), broken);
        assert_eq!(
            (vendor.count(Step::Submit), vendor.count(Step::Result)),
            (1, 2)
        );
    }
}

#[test]
fn a_worker_ends_on_what_is_broken() {
    let vendor = result(json(r#"{"elements":["#));
    vendor
        .run(&["textin", "parse", "a.pdf", "--no-wait"])
        .ended(0, &[]);
    vendor
        .run(&["work", "--once", "--out", "new"])
        .ended(4, &[]);
    assert_eq!(vendor.count(Step::Result), 2);
    let names: Vec<_> = std::fs::read_dir(vendor.path("new"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.len() == 1 && names[0].ends_with(".unverified"),
        "{names:?}"
    );
}

//! The id of a paid job is read first, from whatever shows it; what is not understood is kept and shown.

use super::stand_in::{JOB, StandIn, Step, Vendor, json};

#[test]
fn an_id_that_is_shown_is_taken() {
    let utf16 = |text: &str| -> Vec<u8> {
        let text = format!("\u{feff}{text}");
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let textin =
        |rest: &str| format!(r#"{{"code":200,"data":{{"job_id":"{JOB}"{rest}}}}}"#).into_bytes();
    let rows: Vec<(Vendor, Vec<u8>)> = vec![
        (Vendor::TextIn, [b"\xef\xbb\xbf", &textin("")[..]].concat()),
        (Vendor::TextIn, utf16(std::str::from_utf8(&textin("")).unwrap())),
        (Vendor::TextIn, textin(r#","job_id":"0123456789abcdef0123456789abcdef""#)),
        (Vendor::TextIn, textin(r#","pages":NaN"#)),
        (Vendor::TextIn, textin(r#","note":"\ud835""#)),
        (Vendor::TextIn, textin(",\"note\":\"\x01\"")),
        (Vendor::TextIn, format!(r#"{{"code":"200","message":["ok"],"data":{{"job_id":"{JOB}"}}}}"#).into()),
        (Vendor::TextIn, format!(r#"{{"code":200,"message":null,"x":"\xff","data":{{"job_id":"{JOB}"}}}}"#).into()),
        (Vendor::Ppj, format!(r#"{{"token":"{JOB}","state":7,"total_pages":NaN}}"#).into()),
        (Vendor::Ppj, format!("\u{feff}{{\"token\":\"{JOB}\"}}").into()),
        (Vendor::MindShow, format!(r#"{{"code":0,"info":"\ud835","data":{{"job":{{"id":"{JOB}","title":"\ud835"}}}}}}"#).into()),
        (Vendor::MindShow, format!(r#"{{"code":"0","info":1,"data":{{"job":{{"id":"{JOB}","queue_wait_count":NaN}}}}}}"#).into()),
    ];
    for (vendor, answer) in rows {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let stand_in = StandIn::saying(vendor, Step::Submit, json(&answer));
        let mut line = stand_in.purchase();
        line.retain(|word| !matches!(*word, "-o" | "r"));
        line.push("--no-wait");
        let ran = stand_in.run(&line);
        assert_eq!(ran.exit, Some(0), "{vendor:?} {shown}: {ran:#?}");
        let jobs = stand_in.run(&["jobs", "--json"]);
        assert!(jobs.stdout.contains(JOB), "{vendor:?} {shown}: {jobs:#?}");
        assert_eq!(stand_in.count(Step::Submit), 1);
    }
}

#[test]
fn of_repeated_keys_the_last_wins() {
    let answer = format!(
        r#"{{"code":200,"data":{{"job_id":"{}","job_id":"{JOB}"}}}}"#,
        "f".repeat(32)
    );
    let vendor = StandIn::saying(Vendor::TextIn, Step::Submit, json(answer));
    vendor.buy().ended(0, &[]);
    let polls: Vec<_> = vendor
        .asked()
        .into_iter()
        .filter(|asked| asked.step == Step::Poll)
        .collect();
    assert!(!polls.is_empty() && polls.iter().all(|asked| asked.head.contains(JOB)));
}

#[test]
fn what_is_not_understood_is_shown_and_kept() {
    let vendor = StandIn::saying(
        Vendor::TextIn,
        Step::Submit,
        json(r#"{"kode":200,"daten":{"auftrag":"B-4711"},"secret":"secret-0001"}"#),
    );
    let ran = vendor.buy();
    ran.ended(5, &["B-4711"]);
    let shown = vendor.run(&["show", &vendor.id()]);
    let all = format!("{}{}{}", ran.stderr, shown.stdout, shown.stderr);
    assert!(shown.stdout.contains("B-4711"), "{shown:#?}");
    assert!(!all.contains("secret-0001"), "{all}");
    let mut line = vendor.purchase();
    line.push("--json");
    let ran = vendor.run(&line);
    assert_eq!(
        (ran.exit, vendor.count(Step::Submit)),
        (Some(5), 1),
        "{ran:#?}"
    );
}

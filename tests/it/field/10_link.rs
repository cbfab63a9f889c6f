//! A link is followed as the vendor wrote it, or with just that character escaped that cannot be sent.

use super::stand_in::{JOB, StandIn, Step, Vendor, json};

#[test]
fn whatever_characters_a_link_has_it_is_asked_for() {
    for (written, sent) in [
        ("/r?n=UTF-8''%E8%AE%A1.md", "/r?n=UTF-8''%E8%AE%A1.md"),
        ("/r?attname=计划.md", "/r?attname=%E8%AE%A1%E5%88%92.md"),
        ("/r?a=b c", "/r?a=b%20c"),
        ("/r?sig=a%2Bb+c%20d", "/r?sig=a%2Bb+c%20d"),
        ("/r?a=%zz&b=100%", "/r?a=%zz&b=100%"),
        ("/r?q={x}|y^`z", ""),
        ("/r//a/b/c?x=..", "/r//a/b/c?x=.."),
    ] {
        let vendor = StandIn::new(Vendor::TextIn, move |asked, here| {
            let poll = format!(
                r#"{{"code":200,"data":{{"job_id":"{JOB}","status":"completed","result_url":"{here}{written}"}}}}"#
            );
            (asked.step == Step::Poll).then(|| json(poll))
        });
        let ran = vendor.buy();
        assert_eq!(ran.exit, Some(0), "{written}: {ran:#?}");
        let asked = vendor.asked();
        let result = asked
            .iter()
            .find(|asked| asked.step == Step::Result)
            .unwrap();
        let target = result.head.split(' ').nth(1).unwrap();
        // An apostrophe may go either way.
        let target = &*target.replace("%27", "'");
        assert!(
            sent.is_empty() || target == sent,
            "{written} became {target}"
        );
        assert!(
            !target.contains("%25"),
            "{written} was escaped twice: {target}"
        );
    }
}

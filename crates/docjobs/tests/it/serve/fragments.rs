//! What the page swaps while it is open, as text: a change of a template shows as a change of these files.

use std::path::PathBuf;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};

use jobs_core::vendor::Account;
use jobs_ledger::{Estimate, IntendOutcome, Intent, Ledger, Note, Stage as JobStage};

use super::Server;
use crate::stage::Stage;

/// Writes the files instead of comparing them.
const BLESS: &str = "DOCJOBS_TEST_BLESS";

/// The elements of a page that are swapped, one after another.
fn live(page: &str) -> String {
    let mut found = String::new();
    for (at, _) in page.match_indices(" data-live") {
        let from = page[..at].rfind('<').unwrap();
        let name = page[from + 1..].split(' ').next().unwrap();
        let (open, close) = (format!("<{name}"), format!("</{name}>"));
        let (mut depth, mut end) = (0, from);
        while depth > 0 || end == from {
            let rest = &page[end..];
            let (next, step) = match (rest.find(&open), rest.find(&close)) {
                (Some(opens), Some(closes)) if opens < closes => (opens + open.len(), 1),
                (_, closes) => (closes.unwrap() + close.len(), -1),
            };
            end += next;
            depth += step;
        }
        found.push_str(&page[from..end]);
        found.push('\n');
    }
    found
}

/// The same whenever and wherever it was made: digits of times become zeros.
fn timeless(text: &str) -> String {
    let is_time = |piece: &[u8]| {
        piece
            .iter()
            .zip(b"dddd-dd-dd")
            .all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                _ => byte == form,
            })
    };
    let mut bytes = text.as_bytes().to_vec();
    for at in 0..bytes.len().saturating_sub(10) {
        if is_time(&bytes[at..at + 10]) {
            let digits = bytes[at..].iter_mut();
            let time = digits.take_while(|byte| byte.is_ascii_digit() || b"-T :.".contains(byte));
            time.filter(|byte| byte.is_ascii_digit())
                .for_each(|byte| *byte = b'0');
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fragments_of_each_view_are_those_on_record() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--hooks", "127.0.0.1:0"]).await;
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    let mut ids = Vec::new();
    for (number, to) in [JobStage::Intended, JobStage::InDoubt, JobStage::Failed]
        .into_iter()
        .enumerate()
    {
        let content = [u8::try_from(number).unwrap(); 32];
        let intent = Intent::new("textin", "parse", Account::of("textin", "key"), content)
            .with_input(format!("report-{number} <b>.pdf"));
        let IntendOutcome::New(claim, job) = ledger.intend(intent).await.unwrap() else {
            panic!("it is new");
        };
        ids.push(job.id.to_string());
        match to {
            JobStage::Intended => continue,
            JobStage::InDoubt => {
                let begun = ledger
                    .begin_submit(claim, Estimate::Units(3))
                    .await
                    .unwrap();
                let claim = begun.granted().unwrap();
                let lost = Note::new("the answer was lost");
                drop(ledger.record_in_doubt(&claim, lost).await.unwrap());
            }
            _ => {
                let refused = Note::new("no such <i>page</i>");
                ledger.record_rejected(&claim, refused).await.unwrap();
            }
        }
    }
    let clock = SystemClock::new();
    let hooks = server.hooks.clone().unwrap();
    let hook = super::call(&hooks, "GET", "/ppj?token=nobody&type=completed", &[], b"").await;
    assert_eq!(hook.status, 200);
    while !server.get("/hooks").await.text().contains("nobody") {
        clock
            .sleep_until(clock.now() + Duration::from_millis(5))
            .await;
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/serve/fragments");
    for (view, name) in [
        ("/", "jobs"),
        ("/in-doubt", "in-doubt"),
        ("/money", "money"),
        ("/rates", "rates"),
        ("/hooks", "hooks"),
        ("/workers", "workers"),
        (&format!("/jobs/{}", ids[1]), "job"),
    ] {
        let page = server.get(view).await;
        assert_eq!(page.status, 200, "{view}");
        let mut shown = timeless(&live(page.text()));
        for (number, id) in ids.iter().enumerate() {
            shown = shown.replace(id, &format!("ID{number}"));
        }
        let file = folder.join(format!("{name}.html"));
        if std::env::var_os(BLESS).is_some() {
            std::fs::write(&file, &shown).unwrap();
        }
        let recorded = std::fs::read_to_string(&file).unwrap();
        assert!(!shown.is_empty() && !shown.contains("<b>.pdf") && !shown.contains("<i>page"));
        assert_eq!(shown, recorded, "{view}; {BLESS}=1 writes what is shown");
    }
}

//! What the ledger says was charged is what the vendor charged, as far as it tells.

use serde_json::{Value, json};
use vendor_sim::Times;
use vendor_sim::fault::Fault;
use vendor_sim::textin::Outcome;

use crate::mindshow::MARKDOWN;
use crate::stage::Stage;

/// The credits of each job that this ledger knows, the newest first.
async fn credits(stage: &Stage) -> Vec<Value> {
    let ran = stage.run(&["jobs", "--json"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["credits"].clone())
        .collect()
}

/// What is spent and reserved of the budget of a vendor.
async fn spent(stage: &Stage) -> (Value, Value) {
    let ran = stage.run(&["budget", "--json"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let budget: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    (budget["spent"].clone(), budget["reserved"].clone())
}

async fn limit(stage: &Stage, vendor: &str, units: &str) {
    let ran = stage.run(&["budget", "set", vendor, units]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
}

fn calls(stage: &Stage, end: &str) -> usize {
    let requests = stage.simulators.mindshow().requests();
    let calls = requests.iter().filter(|call| call.path.ends_with(end));
    calls.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_the_vendor_counted_replace_those_that_were_reserved() {
    let stage = Stage::new().await;
    limit(&stage, "textin", "100").await;
    let pages = ["one", "two", "three"].map(|text| vec![text.to_owned()]);
    let pdf = vendor_sim::pdf::of_pages("three pages", &pages);
    std::fs::write(stage.path("a.pdf"), pdf).unwrap();
    let textin = stage.simulators.textin();
    textin.next_outcome(Outcome::Partial { success_count: 2 });
    let parse = ["textin", "parse", "a.pdf", "-o", "a.md"];
    let ran = stage.run(&parse).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(credits(&stage).await, [json!(2)]);
    assert_eq!(spent(&stage).await, (json!(2), json!(0)));
    // Its result once more, in another format, costs nothing.
    let again = [
        "textin", "parse", "a.pdf", "-o", "a.json", "--format", "json",
    ];
    let ran = stage.run(&again).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(credits(&stage).await, [json!(2)]);
    assert_eq!(spent(&stage).await, (json!(2), json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parse_that_failed_is_free_by_one_command_and_in_a_batch() {
    let stage = Stage::new().await;
    limit(&stage, "textin", "100").await;
    let failed = || Outcome::Failed {
        message: "page 3 is illegible".to_owned(),
    };
    stage.input("a.txt", "one");
    stage.simulators.textin().next_outcome(failed());
    let ran = stage.run(&["textin", "parse", "a.txt"]).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert_eq!(spent(&stage).await, (json!(0), json!(0)));
    std::fs::create_dir(stage.path("in")).unwrap();
    stage.input("in/b.txt", "two");
    stage.simulators.textin().next_outcome(failed());
    let ran = stage.run(&["textin", "parse", "in", "--out", "out"]).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert_eq!(credits(&stage).await, [json!(0), json!(0)]);
    assert_eq!(spent(&stage).await, (json!(0), json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn decks_cost_what_the_vendor_s_pages_say() {
    let stage = Stage::new().await;
    limit(&stage, "mindshow", "33").await;
    stage.input("plan.md", MARKDOWN);
    for (args, name) in [
        (["--markdown", "plan.md"], "a.pptx"),
        (["--outline", "plan.md"], "b.pptx"),
        (["--topic", "Better tests"], "c.pptx"),
    ] {
        let deck = [&["mindshow", "deck"], &args[..], &["-o", name]].concat();
        let ran = stage.run(&deck).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
    }
    assert_eq!(credits(&stage).await, [json!(12), json!(11), json!(10)]);
    assert_eq!(spent(&stage).await, (json!(33), json!(0)));
    let ran = stage
        .run(&["mindshow", "deck", "--topic", "More", "-o", "d.pptx"])
        .await;
    assert_eq!(
        (ran.exit, calls(&stage, "_by_gpt")),
        (7, 2),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_charged_for_the_calls_that_it_made() {
    let stage = Stage::new().await;
    let deck = deck(&stage).await;
    let ran = stage.run(&["mindshow", "pdf", &deck, "-o", "a.pdf"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let made = calls(&stage, "/get_pdf");
    assert!((1..6).contains(&made));
    assert_eq!(credits(&stage).await[0], json!(10 * made));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_that_a_paid_poll_brought_is_followed_again() {
    let reset = Fault::DropBeforeCommit {
        after_bytes: None,
        reset: true,
    };
    let status = |status| Fault::Status {
        status,
        body: String::new(),
        headers: Vec::new(),
        after_commit: false,
    };
    let mut undisturbed = 0;
    for (fault, exit) in [
        (None, 0),
        (Some(reset), 0),
        (Some(status(503)), 0),
        (Some(status(403)), 4),
    ] {
        let stage = Stage::new().await;
        let deck = deck(&stage).await;
        let export = ["mindshow", "pdf", &deck, "-o", "a.pdf", "--max-calls", "40"];
        let mindshow = stage.simulators.mindshow();
        mindshow.change_options(|options| options.pdf_seconds = 0.0);
        if let Some(fault) = fault.clone() {
            mindshow.faults().times("pdf_file", fault, Times::N(3));
        }
        let ran = stage.run(&export).await;
        assert_eq!(ran.exit, exit, "{fault:?}: {}", ran.stderr);
        let made = calls(&stage, "/get_pdf");
        if fault.is_none() {
            undisturbed = made;
        }
        assert_eq!(made, undisturbed, "{fault:?}: {}", ran.stderr);
        if exit == 4 {
            for words in ["may cost 10 credits", "ticket: "] {
                assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
            }
        }
    }
}

async fn deck(stage: &Stage) -> String {
    stage.input("plan.md", MARKDOWN);
    let made = [
        "mindshow",
        "deck",
        "--markdown",
        "plan.md",
        "-o",
        "plan.pptx",
    ];
    let ran = stage.run(&made).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    stage.simulators.mindshow().jobs()[0].id.clone()
}

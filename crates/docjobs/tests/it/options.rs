//! The vendors' documented options, and what they tell for free.

use serde_json::{Value, json};

use crate::mindshow::MARKDOWN;
use crate::stage::Stage;

fn lines(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_reaches_the_vendor_is_recorded_and_decides_what_the_input_is() {
    let stage = Stage::new().await;
    stage.input("a.txt", "# Heading\n\nsome text\n");
    let parse = ["textin", "parse", "a.txt", "-o"];
    let ran = stage.run(&[&parse[..], &["plain.md"]].concat()).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let options = [
        "--table-view",
        "markdown",
        "--include-hierarchy=false",
        "--title-tree",
    ];
    let ran = stage
        .run(&[&parse[..], &["other.md"], &options].concat())
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let submits = || {
        let requests = stage.simulators.textin().requests();
        let is_submit = |request: &&vendor_sim::RecordedRequest| request.method == "POST";
        requests.iter().filter(is_submit).count()
    };
    assert_eq!(submits(), 2, "other options are another input");
    let again = stage
        .run(&[&parse[..], &["other.md"], &options].concat())
        .await;
    assert_eq!((again.exit, submits()), (0, 2), "{}", again.stderr);

    for (options, says) in [
        (["--table-view", "pdf"], "markdown"),
        (["--formula-level", "high"], "formula-level"),
        (["--exports", "{"], "JSON"),
    ] {
        let ran = stage
            .run(&[&["textin", "parse", "a.txt"][..], &options].concat())
            .await;
        assert_eq!((ran.exit, submits()), (2, 2), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let help = stage.run(&["textin", "parse", "--help"]).await.stdout;
    for flag in [
        "Options of the vendor:",
        "--parse-mode",
        "--crop-dewarp",
        "--schema-version",
    ] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_of_another_source_is_refused_before_anything_is_sent() {
    let stage = Stage::new().await;
    stage.input("plan.md", MARKDOWN);
    for args in [
        ["--topic", "Tea", "--image-mode", "self"],
        ["--markdown", "plan.md", "--language", "en"],
    ] {
        let ran = stage
            .run(&[&["mindshow", "deck", "-o", "x.pptx"][..], &args].concat())
            .await;
        assert_eq!(ran.exit, 2, "{}", ran.stderr);
    }
    assert_eq!(stage.simulators.mindshow().requests().len(), 0);
    let deck = [
        "mindshow",
        "deck",
        "--topic",
        "Tea",
        "--page-count",
        "7",
        "-o",
        "tea.pptx",
    ];
    let ran = stage.run(&deck).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vendors_tell_is_free_and_shows_no_link() {
    let stage = Stage::new().await;
    stage.input("plan.md", MARKDOWN);
    let deck = [
        "mindshow",
        "deck",
        "--markdown",
        "plan.md",
        "-o",
        "plan.pptx",
    ];
    assert_eq!(stage.run(&deck).await.exit, 0);
    let charges = stage.simulators.mindshow().charges().len();

    let account = stage.run(&["mindshow", "account"]).await;
    assert_eq!(account.exit, 0, "{}", account.stderr);
    assert!(account.stdout.contains("credits"), "{}", account.stdout);
    let account = stage.run(&["mindshow", "account", "--json"]).await;
    assert!(
        lines(&account.stdout)[0]["score"].is_i64(),
        "{}",
        account.stdout
    );

    let templates = stage
        .run(&["mindshow", "templates", "--json", "--limit", "2"])
        .await;
    assert_eq!(templates.exit, 0, "{}", templates.stderr);
    let found = lines(&templates.stdout);
    assert!(
        found.len() <= 2
            && found
                .iter()
                .all(|template| template["template_id"].is_string())
    );

    let list = stage.run(&["mindshow", "list", "--json"]).await;
    let jobs = lines(&list.stdout);
    assert_eq!(
        (jobs.len(), &jobs[0]["has_deck"]),
        (1, &json!(true)),
        "{}",
        list.stdout
    );
    assert!(!list.stdout.contains("http"), "{}", list.stdout);
    let list = stage.run(&["mindshow", "list"]).await;
    assert!(
        list.stdout.contains(jobs[0]["id"].as_str().unwrap()),
        "{}",
        list.stdout
    );
    assert_eq!(stage.simulators.mindshow().charges().len(), charges);

    let quota = stage.run(&["ppj", "quota", "--json"]).await;
    assert!(
        lines(&quota.stdout)[0]["permanents_left"].is_i64(),
        "{}",
        quota.stdout
    );
    let none = stage.run(&["ppj", "list"]).await;
    assert_eq!(
        (none.exit, none.stdout.as_str()),
        (0, ""),
        "{}",
        none.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_unpacked_beside_its_zip() {
    let stage = Stage::new().await;
    stage.input("plan.md", MARKDOWN);
    let deck = [
        "mindshow",
        "deck",
        "--markdown",
        "plan.md",
        "-o",
        "plan.pptx",
    ];
    assert_eq!(stage.run(&deck).await.exit, 0);
    let convert = ["ppj", "convert", "plan.pptx", "-o", "web.zip", "--unpack"];
    let ran = stage.run(&convert).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(stage.path("web").is_dir() && stage.path("web.zip").is_file());
    let again = stage.run(&convert).await;
    assert_eq!(again.exit, 0, "{}", again.stderr);
    assert_eq!(stage.simulators.ppj().charges().len(), 1);
    let list = stage.run(&["ppj", "list", "--details"]).await;
    assert!(list.stdout.contains("plan.pptx"), "{}", list.stdout);
    let ran = stage
        .run(&["ppj", "convert", "plan.pptx", "--unpack"])
        .await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
}

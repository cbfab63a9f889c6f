//! `docjobs ppj convert` against the simulator.

use vendor_sim::fault::Fault;

use crate::mindshow::MARKDOWN;
use crate::stage::Stage;

fn creates(stage: &Stage) -> usize {
    stage
        .simulators
        .ppj()
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .count()
}

/// A real deck, made by the other simulator.
async fn stage_with_deck() -> Stage {
    let stage = Stage::new().await;
    stage.input("plan.md", MARKDOWN);
    let ran = stage
        .run(&[
            "mindshow",
            "deck",
            "--markdown",
            "plan.md",
            "-o",
            "plan.pptx",
        ])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deck_becomes_the_bundle_that_was_served() {
    let stage = stage_with_deck().await;
    let ran = stage
        .run(&["ppj", "convert", "plan.pptx", "-o", "plan.zip"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let job = stage.simulators.ppj().jobs().remove(0);
    let served = stage.simulators.ppj().bundle(&job.token).unwrap();
    assert_eq!(std::fs::read(stage.path("plan.zip")).unwrap(), served);
    assert_eq!(
        (creates(&stage), stage.simulators.ppj().charges().len()),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signed_api_serves_the_same_command() {
    let stage = stage_with_deck().await;
    let mut signed: Vec<(String, String)> = stage.simulators.ppj().signed_env();
    signed.push(("PPJ_ACCESS_KEY".to_owned(), String::new()));
    let signed: Vec<(&str, &str)> = signed
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let ran = stage
        .run_with(&["ppj", "convert", "plan.pptx", "-o", "plan.zip"], &signed)
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(creates(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_found_by_its_document_and_adopted() {
    let stage = stage_with_deck().await;
    stage
        .simulators
        .ppj()
        .set_fault("create", Fault::DropAfterCommit { reset: false });
    let ran = stage
        .run(&["ppj", "convert", "plan.pptx", "-o", "plan.zip"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        (creates(&stage), stage.simulators.ppj().jobs().len()),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_html_page_never_becomes_a_zip() {
    let stage = stage_with_deck().await;
    for _ in 0..2 {
        stage.simulators.ppj().set_fault(
            "download",
            Fault::NonJson {
                body: Some("<html>".to_owned()),
            },
        );
    }
    let ran = stage
        .run(&["ppj", "convert", "plan.pptx", "-o", "plan.zip"])
        .await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(!stage.path("plan.zip").exists());
    let page = std::fs::read_to_string(stage.path("plan.zip.unverified")).unwrap();
    assert_eq!(page, "<html>");
    let args = [
        "wait",
        ran.ticket(),
        "-o",
        "plan.zip",
        "--accept-unverified",
    ];
    let ran = stage.run(&args).await;
    assert_eq!((ran.exit, creates(&stage)), (0, 1), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_deck_is_refused_before_it_is_sent() {
    let stage = Stage::new().await;
    stage.input("fake.pptx", "this is text");
    let ran = stage.run(&["ppj", "convert", "fake.pptx"]).await;
    assert_eq!((ran.exit, creates(&stage)), (2, 0), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_exit_6() {
    let stage = stage_with_deck().await;
    let ran = stage
        .run_with(
            &["ppj", "convert", "plan.pptx"],
            &[("PPJ_ACCESS_KEY", "wrong")],
        )
        .await;
    assert_eq!(ran.exit, 6, "{}", ran.stderr);
}

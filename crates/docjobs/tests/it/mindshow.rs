//! `docjobs mindshow` against the simulator.

use vendor_sim::fault::Fault;
use vendor_sim::mindshow::PdfCharge;

use crate::stage::Stage;

pub(crate) const MARKDOWN: &str = "# Annual plan\n\n## Part one\n\n### Goals\n\n#### Fewer bugs\n\nWe find them before users do.\n";

fn creates(stage: &Stage) -> usize {
    stage
        .simulators
        .mindshow()
        .requests()
        .iter()
        .filter(|request| request.path.contains("_create_by_"))
        .count()
}

fn pdf_calls(stage: &Stage) -> usize {
    stage
        .simulators
        .mindshow()
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/get_pdf"))
        .count()
}

/// Makes a deck and gives its id at the vendor.
async fn deck(stage: &Stage) -> String {
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
    stage.simulators.mindshow().jobs()[0].id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_source_becomes_the_deck_that_was_served() {
    let stage = Stage::new().await;
    stage.input("plan.md", MARKDOWN);
    stage.input("outline.md", MARKDOWN);
    for (args, name) in [
        (["mindshow", "deck", "--markdown", "plan.md"], "a.pptx"),
        (["mindshow", "deck", "--outline", "outline.md"], "b.pptx"),
        (["mindshow", "deck", "--topic", "Better tests"], "c.pptx"),
    ] {
        let before: Vec<String> = stage
            .simulators
            .mindshow()
            .jobs()
            .into_iter()
            .map(|job| job.id)
            .collect();
        let ran = stage.run(&[&args[..], &["-o", name]].concat()).await;
        assert_eq!(ran.exit, 0, "{args:?}: {}", ran.stderr);
        let made = stage
            .simulators
            .mindshow()
            .jobs()
            .into_iter()
            .find(|job| !before.contains(&job.id))
            .unwrap();
        let served = stage.simulators.mindshow().deck(&made.id).unwrap();
        assert_eq!(std::fs::read(stage.path(name)).unwrap(), served, "{args:?}");
    }
    assert_eq!(
        (creates(&stage), stage.simulators.mindshow().charges().len()),
        (3, 3)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_found_and_adopted() {
    let stage = Stage::new().await;
    stage.input("plan.md", MARKDOWN);
    stage.simulators.mindshow().set_fault(
        "ppt_create_by_markdown",
        Fault::DropAfterCommit { reset: false },
    );
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
    assert!(ran.stderr.contains("is the one"), "{}", ran.stderr);
    assert_eq!(
        (creates(&stage), stage.simulators.mindshow().jobs().len()),
        (1, 1)
    );
    let served = stage
        .simulators
        .mindshow()
        .deck(&stage.simulators.mindshow().jobs()[0].id)
        .unwrap();
    assert_eq!(std::fs::read(stage.path("plan.pptx")).unwrap(), served);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_never_taken_stays_in_doubt_without_a_second_one() {
    let stage = Stage::new().await;
    stage.input("plan.md", MARKDOWN);
    let lost = Fault::DropBeforeCommit {
        after_bytes: None,
        reset: false,
    };
    stage
        .simulators
        .mindshow()
        .set_fault("ppt_create_by_markdown", lost);
    for _ in 0..2 {
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
        assert_eq!(ran.exit, 5, "{}", ran.stderr);
    }
    assert_eq!(
        (creates(&stage), stage.simulators.mindshow().jobs().len()),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_costs_one_charge_where_the_first_call_is_charged() {
    let stage = Stage::new().await;
    let id = deck(&stage).await;
    let before = stage.simulators.mindshow().charges().len();
    let ran = stage.run(&["mindshow", "pdf", &id, "-o", "plan.pdf"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        std::fs::read(stage.path("plan.pdf")).unwrap(),
        stage.simulators.mindshow().pdf(&id).unwrap()
    );
    assert_eq!(stage.simulators.mindshow().charges().len() - before, 1);

    // Once exported, it is copied from where it lies, and not paid for again by accident.
    let calls = pdf_calls(&stage);
    let again = ["mindshow", "pdf", &id, "-o", "again.pdf"];
    let ran = stage.run(&again).await;
    assert_eq!((ran.exit, pdf_calls(&stage)), (0, calls), "{}", ran.stderr);
    let copy = std::fs::read(stage.path("again.pdf")).unwrap();
    assert_eq!(copy, std::fs::read(stage.path("plan.pdf")).unwrap());
    for name in ["plan.pdf", "again.pdf"] {
        std::fs::remove_file(stage.path(name)).unwrap();
    }
    let ran = stage.run(&again).await;
    assert_eq!((ran.exit, pdf_calls(&stage)), (2, calls), "{}", ran.stderr);
    assert!(ran.stderr.contains("plan.pdf"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ticket_of_an_export_spends_nothing_unless_told_how_much() {
    let stage = Stage::new().await;
    let id = deck(&stage).await;
    let elsewhere = [("DOCJOBS_LEDGER", "elsewhere.db")];
    let args = ["mindshow", "pdf", &id, "-o", "a.pdf", "--no-wait"];
    let ran = stage.run_with(&args, &elsewhere).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let (ticket, calls) = (ran.stdout.trim(), pdf_calls(&stage));
    let ran = stage.run(&["wait", ticket, "-o", "b.pdf"]).await;
    assert_eq!((ran.exit, pdf_calls(&stage)), (2, calls), "{}", ran.stderr);
    assert!(ran.stderr.contains("--max-calls"), "{}", ran.stderr);
    let args = ["wait", ticket, "-o", "b.pdf", "--max-calls", "6"];
    let ran = stage.run(&args).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_never_costs_more_calls_than_its_budget_in_any_number_of_processes() {
    let stage = Stage::new().await;
    let id = deck(&stage).await;
    stage.simulators.mindshow().change_options(|options| {
        options.pdf_charge = PdfCharge::EveryCall;
        options.pdf_seconds = 36_000.0;
    });
    let ran = stage
        .run(&["mindshow", "pdf", &id, "--max-calls", "3", "-o", "plan.pdf"])
        .await;
    assert_eq!((ran.exit, pdf_calls(&stage)), (7, 3), "{}", ran.stderr);
    let ran = stage
        .run(&["mindshow", "pdf", &id, "--max-calls", "3", "-o", "plan.pdf"])
        .await;
    assert_eq!((ran.exit, pdf_calls(&stage)), (7, 3), "{}", ran.stderr);
    assert!(!stage.path("plan.pdf").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_result_leaves_its_folder_whatever_the_id_is() {
    let stage = Stage::new().await;
    let absolute = stage.path("absolute").display().to_string();
    let ids = [
        "../evil", &absolute, ".hidden", "a/b", "a%2Fb", "a\\b", "a.b",
    ];
    let command = ["mindshow", "pdf", "--out", "deep/out", "--enqueue"];
    let ran = stage.run(&[&command[..], &ids].concat()).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["jobs", "--json"]).await;
    let mut names: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| {
            let job: serde_json::Value = serde_json::from_str(line).unwrap();
            let place = std::path::PathBuf::from(job["output"].as_str().unwrap());
            assert_eq!(place.parent().unwrap(), stage.path("deep/out"));
            place.file_name().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    let absolute = format!("{}.pdf", absolute.replace('/', "%2F"));
    let expected = [
        absolute.as_str(),
        "%2E.%2Fevil.pdf",
        "%2Ehidden.pdf",
        "a%252Fb.pdf",
        "a%2Fb.pdf",
        "a%5Cb.pdf",
        "a.b.pdf",
    ];
    assert_eq!(names.len(), expected.len(), "{names:?}");
    for name in expected {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    assert_eq!(stage.files(), ["deep"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_costs_nothing() {
    let stage = Stage::new().await;
    stage.input("flat.md", "no headings at all");
    for args in [
        &["mindshow", "deck", "--markdown", "flat.md"][..],
        &["mindshow", "deck", "--outline", "flat.md"],
        &["mindshow", "deck", "--topic", ""],
        &["mindshow", "deck", "--outline", "missing.md"],
        &["mindshow", "deck"],
        &["mindshow", "deck", "--topic", "a", "--markdown", "flat.md"],
        &["mindshow", "pdf", "x", "--max-calls", "0"],
        &["mindshow", "deck", "--topic", "a", "--json"],
    ] {
        let ran = stage.run(args).await;
        assert_eq!(ran.exit, 2, "{args:?}: {}", ran.stderr);
    }
    assert_eq!((creates(&stage), pdf_calls(&stage)), (0, 0));
}

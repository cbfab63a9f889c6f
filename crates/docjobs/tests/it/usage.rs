//! Bad usage and input: exit 2, one line with the way out, nothing sent, nothing overwritten.

use std::time::Duration;

use jobs_core::clock::{SystemClock, bounded};

use crate::stage::{self, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_nothing_is_sent() {
    let stage = Stage::new().await;
    stage.input("good.pdf", "%PDF-1.4");
    stage.input("empty.pdf", "");
    stage.input("notes.xyz", "text");
    stage.input("taken.md", "precious");
    std::fs::create_dir(stage.path("folder.pdf")).unwrap();
    let truncated = "docjobs1.textin.parse.05fecb5c.6b027f61.77d0";
    for (args, words) in [
        (&["textin", "parse", "missing.pdf"][..], "missing.pdf"),
        (&["textin", "parse", "folder.pdf"], "folder"),
        (&["textin", "parse", "empty.pdf"], "empty"),
        (&["textin", "parse", "notes.xyz"], "of no type"),
        (
            &["textin", "parse", "good.pdf", "--pages", "5-1"],
            "page range",
        ),
        (
            &["textin", "parse", "good.pdf", "-o", "taken.md"],
            "not overwritten",
        ),
        (
            &["textin", "parse", "good.pdf", "-o", "no/such/folder/x.md"],
            "no/such/folder/x.md",
        ),
        (
            &["textin", "parse", "good.pdf", "-o", "folder.pdf"],
            "folder.pdf",
        ),
        (
            &["textin", "parse", "good.pdf", "--deadline", "soon"],
            "10m",
        ),
        (&["textin", "parse"], "INPUT"),
        (&["wait", "hello"], "neither a ticket nor a job"),
        (&["wait", truncated], "damaged"),
        (&["sim", "--listen", "0.0.0.0"], "0.0.0.0"),
    ] {
        let ran = stage.run(args).await;
        assert_eq!(ran.exit, 2, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
    assert_eq!(stage.simulators.textin().requests().len(), 0);
    assert_eq!(
        std::fs::read_to_string(stage.path("taken.md")).unwrap(),
        "precious"
    );
    assert_eq!(
        stage.files(),
        [
            "empty.pdf",
            "folder.pdf",
            "good.pdf",
            "notes.xyz",
            "taken.md"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_variables_are_named() {
    let stage = Stage::new().await;
    stage.input("good.pdf", "%PDF-1.4");
    for (variables, words) in [
        (&[("TEXTIN_APP_ID", "")][..], "TEXTIN_APP_ID is not set"),
        (
            &[("TEXTIN_SECRET_CODE", "")],
            "TEXTIN_SECRET_CODE is not set",
        ),
        (
            &[("TEXTIN_SECRET_CODE", " sim-secret-code")],
            "TEXTIN_SECRET_CODE begins or ends with a blank",
        ),
        (
            &[("TEXTIN_SERVER_URL", "http://10.1.2.3")],
            "TEXTIN_SERVER_URL",
        ),
        (&[("TEXTIN_SERVER_URL", "nonsense")], "TEXTIN_SERVER_URL"),
        (
            &[("TEXTIN_SERVER_URL", "https://api.textin.com")],
            "DOCJOBS_TIME_SCALE",
        ),
        (&[("DOCJOBS_TIME_SCALE", "0.5")], "DOCJOBS_TIME_SCALE"),
    ] {
        let ran = stage
            .run_with(&["textin", "parse", "good.pdf"], variables)
            .await;
        assert_eq!(ran.exit, 2, "{variables:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{variables:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("sim-secret-code"));
    }
    assert_eq!(stage.simulators.textin().requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ticket_of_another_account_is_refused() {
    let stage = Stage::new().await;
    stage.input("good.txt", "text");
    let ran = stage
        .run(&["textin", "parse", "good.txt", "--no-wait"])
        .await;
    let before = stage.simulators.textin().requests().len();
    let other = stage
        .run_with(
            &["wait", ran.stdout.trim()],
            &[("TEXTIN_APP_ID", "somebody-else")],
        )
        .await;
    assert_eq!(other.exit, 2, "{}", other.stderr);
    assert!(other.stderr.contains("another account"), "{}", other.stderr);
    assert_eq!(stage.simulators.textin().requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_what_is_missing_and_never_charges() {
    let stage = Stage::new().await;
    let good = stage.run(&["doctor"]).await;
    assert_eq!(good.exit, 0, "{}{}", good.stdout, good.stderr);
    for line in [
        "version        docjobs ",
        "ledger         ready: ",
        "can be written; 0 jobs",
        "textin         ready: http://127.0.0.1:",
        "its clock agrees",
        "ppj            ready: ",
        "mindshow       ready: ",
        "tencent-ess    ready: ",
        "printer-jobs   ready: printer ",
    ] {
        assert!(good.stdout.contains(line), "{line}: {}", good.stdout);
    }
    let bad = stage
        .run_with(&["doctor"], &[("TEXTIN_SECRET_CODE", "wrong")])
        .await;
    assert_eq!(bad.exit, 6, "{}", bad.stdout);
    assert!(bad.stdout.contains("40102"), "{}", bad.stdout);
    let bad = stage
        .run_with(&["doctor"], &[("WECOM_PRINTER_SECRET_NO", "wrong")])
        .await;
    assert_eq!(bad.exit, 6, "{}{}", bad.stdout, bad.stderr);
    // Keys reach the API only: the question for the time has none.
    let bare_polls = stage.simulators.textin().requests();
    let bare_polls = bare_polls.iter().filter(|request| request.path == "/");
    for request in bare_polls.clone() {
        assert!(
            !format!("{request:?}").contains("sim-secret"),
            "{request:?}"
        );
    }
    assert!(bare_polls.count() > 0);
    let bare = stage::run(stage.folder.path(), &["doctor"], &[]).await;
    assert_eq!(bare.exit, 2, "{}", bare.stdout);
    assert!(
        bare.stdout.contains("TEXTIN_APP_ID is not set"),
        "{}",
        bare.stdout
    );
    assert!(stage.simulators.textin().charges().is_empty());
    assert!(stage.simulators.textin().jobs().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_gives_a_ledger_up_that_never_answers() {
    let stage = Stage::new().await;
    // Connections are taken, and nobody says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap().to_string();
    let url = format!("postgres://me:hunter2@{place}/jobs?sslmode=disable");
    let variables = [
        ("DOCJOBS_LEDGER", url.as_str()),
        ("DOCJOBS_TIME_SCALE", "1"),
    ];
    let doctor = stage.run_with(&["doctor"], &variables);
    let clock = SystemClock::shared();
    let limit = clock.now() + Duration::from_secs(60);
    let ran = bounded(&*clock, limit, doctor).await.unwrap();
    assert_ne!(ran.exit, 0);
    assert!(ran.stdout.contains(&place), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
}

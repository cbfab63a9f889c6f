//! A ledger that commit 2f5c79d left: whatever its jobs were at, this version goes on with them.
//! `cargo xtask old-ledger` made the fixtures.

use std::collections::HashMap;

use jobs_core::vendor::Account;
use jobs_ledger::{
    ClaimOutcome, Claimed, IntendOutcome, Intent, JobFilter, JobOutcome, JobRecord, Ledger,
    ParkReason, Stage, event_kind,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::world::World;

conformance! {
    every_job_of_an_old_ledger_is_there_with_what_is_decided_by
    stages_and_history_are_read_in_the_words_of_today
    an_old_ledger_goes_on
    what_an_old_ledger_paid_for_is_not_bought_again
}

/// Where the old ledger is, as that version left it.
async fn left(world: &World) -> Ledger {
    if world.is_sqlite() {
        let options = SqliteConnectOptions::new()
            .filename(world.file())
            .create_if_missing(true);
        let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(include_str!("../fixtures/ledger-2f5c79d.sqlite.sql"))
            .execute(&mut conn)
            .await
            .unwrap();
        conn.close().await.unwrap();
    } else {
        let schema = world.settings.schema.as_deref().unwrap();
        let sql =
            include_str!("../fixtures/ledger-2f5c79d.postgres.sql").replace("docjobs_old", schema);
        let mut conn = PgConnection::connect(&world.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap();
        conn.close().await.unwrap();
    }
    world.open().await
}

/// The jobs by what people read of them.
async fn jobs(ledger: &Ledger) -> HashMap<String, JobRecord> {
    let page = ledger.list(&JobFilter::all()).await.unwrap();
    page.jobs
        .into_iter()
        .map(|job| (job.input.clone(), job))
        .collect()
}

fn result() -> Option<[u8; 32]> {
    Some(Sha256::digest("# ok").into())
}

async fn every_job_of_an_old_ledger_is_there_with_what_is_decided_by(world: &World) {
    let ledger = left(world).await;
    let jobs = jobs(&ledger).await;
    assert_eq!(jobs.len(), 20);
    let verified = |input: &str| jobs[input].verified;
    assert_eq!(verified("done.pdf"), result());
    assert_eq!(verified("named.pdf"), result());
    assert_eq!(verified("cut.pdf"), None);

    let outcome = |input: &str| jobs[input].outcome.clone();
    assert_eq!(outcome("p1.pdf"), Some(JobOutcome::Succeeded));
    assert_eq!(outcome("p2.pdf"), Some(JobOutcome::Succeeded));
    let failed = JobOutcome::Failed {
        code: 3,
        message: "out of paper (tray 2): really".to_owned(),
    };
    assert_eq!(outcome("p3.pdf"), Some(failed));
    assert_eq!(outcome("p4.pdf"), None);
    assert_eq!(outcome("named.pdf"), None);

    let parked = |input: &str| jobs[input].parked;
    assert_eq!(parked("parked.pdf"), Some(ParkReason::Unspecified));
    assert_eq!(
        parked("topic \"A talk about snow\""),
        Some(ParkReason::InDoubt)
    );
    for input in [
        "held.pdf",
        "done.pdf",
        "failed.pdf",
        "named.pdf",
        "wanted.pdf",
    ] {
        assert_eq!(parked(input), None, "{input}");
    }

    // The address still opens for the submit, and is shown without what opens it.
    let address = &jobs["https://files.example/a.pdf?…"];
    let whole = "https://files.example/a.pdf?sign=s3cret";
    assert_eq!(address.private_request, json!({ "text": whole }));
    assert_eq!(address.content, <[u8; 32]>::from(Sha256::digest(whole)));
    assert_eq!(
        jobs["deck 20260101"].private_request,
        json!({"text": "deck 20260101"})
    );
    assert_eq!(jobs["deck 20260102"].private_request, Value::Null);
    assert_eq!(jobs["deck 20260102"].calls, 2);
    for input in ["wanted.pdf", "done.pdf", "failed.pdf"] {
        assert_eq!(jobs[input].private_request, Value::Null, "{input}");
    }
}

async fn stages_and_history_are_read_in_the_words_of_today(world: &World) {
    let ledger = left(world).await;
    let jobs = jobs(&ledger).await;
    for (input, stage) in [
        ("refused.pdf", Stage::Rejected),
        ("failed.pdf", Stage::Failed),
        ("gone.pdf", Stage::Gone),
        ("stopped.pdf", Stage::Abandoned),
        ("sending.pdf", Stage::Submitting),
        ("cut.pdf", Stage::Downloading),
        ("done.pdf", Stage::Completed),
    ] {
        assert_eq!(jobs[input].stage, stage, "{input}");
    }
    let of = async |input: &str| -> Vec<String> {
        let events = ledger.events(jobs[input].id).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    };
    assert_eq!(
        of("done.pdf").await,
        [
            event_kind::INTENDED,
            event_kind::SUBMITTING,
            event_kind::ACCEPTED,
            event_kind::POLLED,
            event_kind::AVAILABLE,
            event_kind::DOWNLOADING,
            event_kind::NOTED,
            event_kind::COMPLETED
        ]
    );
    assert_eq!(
        of("refused.pdf").await.last().unwrap(),
        event_kind::REJECTED
    );
}

async fn an_old_ledger_goes_on(world: &World) {
    let ledger = left(world).await;
    world.pass(std::time::Duration::from_secs(3600));
    let textin = Account::of("textin", "app-0001");
    assert_eq!(
        ledger.unpark(&[textin], ParkReason::RETRIED).await.unwrap(),
        1
    );
    let due = ledger.claim_due(&[textin], 100).await.unwrap();
    let mut stages: Vec<(String, Stage)> = due
        .iter()
        .map(|claimed| (claimed.job().input.clone(), claimed.job().stage))
        .collect();
    stages.sort();
    let expected = [
        ("cut.pdf", Stage::Downloading),
        ("held.pdf", Stage::Accepted),
        ("https://files.example/a.pdf?…", Stage::Intended),
        ("named.pdf", Stage::Downloading),
        ("parked.pdf", Stage::Accepted),
        // It may have been charged: never sent again by itself.
        ("sending.pdf", Stage::InDoubt),
        ("wanted.pdf", Stage::Intended),
    ];
    let expected = expected.map(|(input, stage)| (input.to_owned(), stage));
    assert_eq!(stages, expected);

    let jobs = jobs(&ledger).await;
    let ClaimOutcome::Claimed(Claimed::InDoubt(_, paper)) =
        ledger.claim(jobs["p3.pdf"].id).await.unwrap()
    else {
        panic!("paper that may be out is in doubt");
    };
    assert!(paper.outcome.is_some());
    let ClaimOutcome::Settled(done) = ledger.claim(jobs["done.pdf"].id).await.unwrap() else {
        panic!("done is done");
    };
    assert_eq!(done.sha256, result());
    // A second opening changes nothing.
    let again = world.open().await;
    assert_eq!(self::jobs(&again).await.len(), 20);
    assert_eq!(again.check().await.unwrap().schema, 3);
}

async fn what_an_old_ledger_paid_for_is_not_bought_again(world: &World) {
    let ledger = left(world).await;
    for (input, stage) in [
        ("failed.pdf", Some(Stage::Failed)),
        ("gone.pdf", Some(Stage::Gone)),
        ("done.pdf", Some(Stage::Completed)),
        // Nothing was bought, or somebody gave it up.
        ("refused.pdf", None),
        ("stopped.pdf", None),
    ] {
        let content = Sha256::digest(input).into();
        let wish = Intent::new(
            "textin",
            "parse",
            Account::of("textin", "app-0001"),
            content,
        )
        .with_options(json!({ "pages": null }));
        let found = match ledger.intend(wish).await.unwrap() {
            IntendOutcome::Attached(job) => Some(job.stage),
            IntendOutcome::New(..) => None,
        };
        assert_eq!(found, stage, "{input}");
    }
}

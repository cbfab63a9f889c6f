//! What is kept in types because something is decided by it, and jobs that are parked for a reason.

use std::path::Path;
use std::time::Duration;

use jobs_core::clock::Clock as _;
use jobs_core::vendor::{Account, Delivery};
use jobs_core::{Error, ErrorKind, JobId};
use jobs_ledger::{
    Claim, ClaimOutcome, ClaimUpdate, Claimed, Due, Estimate, IntendOutcome, Intent, JobOutcome,
    JobRecord, Ledger, LedgerErrorKind, LedgerId, Note, ParkReason, PlaceKey, at, event_kind,
};
use serde_json::{Value, json};

use crate::world::World;

conformance! {
    a_request_is_kept_and_its_secrets_only_until_it_is_accepted
    the_secrets_of_a_job_that_is_over_are_forgotten
    what_was_verified_is_known_before_it_gets_its_name
    an_outcome_is_known_before_it_is_reported
    unverified_results_are_counted_by_their_bytes
    an_answer_that_was_not_understood_is_kept_once_and_in_bounds
    an_error_is_kept_in_words_and_in_types
    a_parked_job_says_why_and_is_taken_up_again_once_the_reason_passed
    a_job_parked_in_a_batch_has_a_reason_too
    a_stale_claim_records_nothing
    a_place_is_known_again_by_whoever_gave_it
}

fn account() -> Account {
    Account::of("vendor", "app-1")
}

fn intent(content: u8) -> Intent {
    Intent::new("vendor", "parse", account(), [content; 32])
        .with_input("https://h.example/a?…")
        .with_request(json!({"url": "https://h.example/a?…"}))
        .with_private_request(json!({"url": "https://h.example/a?s3cret"}))
}

async fn wanted(ledger: &Ledger, content: u8) -> Claim<at::Intended> {
    match ledger.intend(intent(content)).await.unwrap() {
        IntendOutcome::New(claim, _) => claim,
        IntendOutcome::Attached(job) => panic!("attached to {job:?}"),
    }
}

async fn sending(ledger: &Ledger, content: u8) -> Claim<at::Submitting> {
    let claim = wanted(ledger, content).await;
    ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap()
}

async fn held(ledger: &Ledger, content: u8) -> Claim<at::Accepted> {
    let claim = sending(ledger, content).await;
    let id = JobId::new(format!("remote-{content}")).unwrap();
    let now = ledger.clock().wall();
    ledger
        .record_accepted(&claim, &id, now, Note::none())
        .await
        .unwrap()
}

async fn fetching(ledger: &Ledger, content: u8) -> Claim<at::Downloading> {
    let claim = held(ledger, content).await;
    let ready = ledger
        .record_available(&claim, &Value::Null, Note::none())
        .await
        .unwrap();
    ledger.begin_download(&ready).await.unwrap()
}

async fn get(ledger: &Ledger, job: LedgerId) -> JobRecord {
    ledger.get(job).await.unwrap().unwrap()
}

async fn a_request_is_kept_and_its_secrets_only_until_it_is_accepted(world: &World) {
    let ledger = world.open().await;
    let claim = sending(&ledger, 1).await;
    let row = get(&ledger, claim.job()).await;
    assert_eq!(
        row.private_request,
        json!({"url": "https://h.example/a?s3cret"})
    );
    assert!(!format!("{row:?}").contains("s3cret"), "{row:?}");
    let unknown = ledger.record_in_doubt(&claim, Note::none()).await.unwrap();
    // Still needed for a search.
    assert_ne!(
        get(&ledger, unknown.job()).await.private_request,
        Value::Null
    );
    let id = JobId::new("found").unwrap();
    let now = world.clock.wall();
    let held = ledger
        .adopt(&unknown, &id, now, Note::none())
        .await
        .unwrap();
    let row = get(&ledger, held.job()).await;
    assert_eq!(row.private_request, Value::Null);
    assert_eq!(row.request, json!({"url": "https://h.example/a?…"}));
    let other = self::held(&ledger, 2).await;
    assert_eq!(get(&ledger, other.job()).await.private_request, Value::Null);
}

async fn the_secrets_of_a_job_that_is_over_are_forgotten(world: &World) {
    let ledger = world.open().await;
    let refused = sending(&ledger, 1).await;
    ledger
        .record_rejected(&refused, Note::none())
        .await
        .unwrap();
    let abandoned = wanted(&ledger, 2).await;
    ledger.abandon(&abandoned, Note::none()).await.unwrap();
    for job in [refused.job(), abandoned.job()] {
        assert_eq!(get(&ledger, job).await.private_request, Value::Null);
    }
}

async fn what_was_verified_is_known_before_it_gets_its_name(world: &World) {
    let ledger = world.open().await;
    let claim = fetching(&ledger, 1).await;
    assert_eq!(get(&ledger, claim.job()).await.verified, None);
    ledger.record_verified(&claim, [1; 32]).await.unwrap();
    ledger.record_verified(&claim, [7; 32]).await.unwrap();
    let row = get(&ledger, claim.job()).await;
    assert_eq!((row.verified, row.sha256), (Some([7; 32]), None));
    let path = Path::new("/out/a.md");
    ledger
        .complete(&claim, Some(path), Some([7; 32]), Note::none())
        .await
        .unwrap();
    let events = ledger.events(claim.job()).await.unwrap();
    let last = events.last().unwrap();
    assert_eq!(last.data.sha256, Some([7; 32]));
    assert_eq!(last.data.path.as_deref(), Some(path));
    let verified: Vec<_> = events
        .iter()
        .filter(|e| e.kind == event_kind::VERIFIED)
        .collect();
    assert_eq!(verified.len(), 2);
    assert_eq!(verified[1].data.sha256, Some([7; 32]));
}

async fn an_outcome_is_known_before_it_is_reported(world: &World) {
    let ledger = world.open().await;
    let claim = sending(&ledger, 1).await;
    let failed = JobOutcome::Failed {
        code: 3,
        message: "out of paper (tray 2): \0really\n".to_owned(),
    };
    for outcome in [JobOutcome::Succeeded, failed] {
        ledger.record_outcome(&claim, &outcome).await.unwrap();
        assert_eq!(get(&ledger, claim.job()).await.outcome, Some(outcome));
    }
}

async fn unverified_results_are_counted_by_their_bytes(world: &World) {
    let ledger = world.open().await;
    let claim = fetching(&ledger, 1).await;
    let kept = Path::new("/out/a.md.unverified");
    let one = ledger
        .record_unverified(
            &claim,
            [1; 32],
            Some("markdown"),
            Some(kept),
            Note::new("not a zip"),
        )
        .await
        .unwrap();
    assert!(Ledger::allows_fetch(&one));
    let row = get(&ledger, claim.job()).await;
    assert!(row.allows_fetch(None));
    assert_eq!(row.unverified[0].path.as_deref(), Some(kept));
    let two = ledger
        .record_unverified(&claim, [1; 32], Some("markdown"), None, Note::none())
        .await
        .unwrap();
    assert_eq!((two.len(), two[0].count), (1, 2));
    assert!(!Ledger::allows_fetch(&two));
    // Whoever takes it up next knows.
    let key = claim.key();
    ledger
        .park(
            key,
            ParkReason::UnverifiedResult,
            Note::new("twice the same"),
        )
        .await
        .unwrap();
    let ClaimOutcome::Claimed(claimed) = ledger.claim(claim.job()).await.unwrap() else {
        panic!("not claimed");
    };
    for (format, may) in [
        (None, false),
        (Some("markdown"), false),
        (Some("json"), true),
    ] {
        assert_eq!(claimed.job().allows_fetch(format), may, "{format:?}");
    }
    assert_eq!(claimed.job().parked, Some(ParkReason::UnverifiedResult));
}

async fn an_answer_that_was_not_understood_is_kept_once_and_in_bounds(world: &World) {
    let ledger = world.open().await;
    let claim = held(&ledger, 1).await;
    let odd = |body: &str| {
        Error::new(ErrorKind::UnexpectedResponse, "vendor", "poll")
            .with_http_status(200)
            .with_body_excerpt(body)
    };
    for body in ["<html>", "<html>", "{"] {
        ledger
            .record_not_understood(claim.key(), &odd(body))
            .await
            .unwrap();
    }
    let bare = Error::new(ErrorKind::Timeout, "vendor", "poll");
    ledger
        .record_not_understood(claim.key(), &bare)
        .await
        .unwrap();
    let kept = async || {
        let events = ledger.events(claim.job()).await.unwrap();
        let odd = events
            .into_iter()
            .filter(|e| e.kind == event_kind::NOT_UNDERSTOOD);
        odd.filter_map(|e| e.data.error?.body).collect::<Vec<_>>()
    };
    assert_eq!(kept().await, ["<html>", "{"]);
    let job = ledger.get(claim.job()).await.unwrap().unwrap();
    assert_eq!(job.error_data.unwrap().body.as_deref(), Some("{"));
    assert!(job.error.is_some());
    for number in 0..20 {
        let error = odd(&format!("{number}"));
        ledger
            .record_not_understood(claim.key(), &error)
            .await
            .unwrap();
    }
    assert_eq!(kept().await.len(), 16);
}

async fn an_error_is_kept_in_words_and_in_types(world: &World) {
    let ledger = world.open().await;
    let error = Error::new(ErrorKind::QuotaExceeded, "vendor", "submit")
        .with_delivery(Delivery::Answered)
        .with_code("40003")
        .with_message("no balance");
    let claim = sending(&ledger, 1).await;
    ledger
        .record_not_sent(&claim, Due::Now, Note::from(&error))
        .await
        .unwrap();
    let row = get(&ledger, claim.job()).await;
    assert_eq!(row.error, Some(error.to_string()));
    let data = row.error_data.unwrap();
    assert_eq!(data.error_kind(), Some(ErrorKind::QuotaExceeded));
    assert_eq!(data.code.as_deref(), Some("40003"));
    assert_eq!(
        (data.sent.as_str(), data.message.as_deref()),
        ("yes", Some("no balance"))
    );
    // The next try is accepted, and nothing is wrong any more.
    let ClaimOutcome::Claimed(Claimed::Intended(claim, _)) = ledger.claim(row.id).await.unwrap()
    else {
        panic!("not wanted");
    };
    let sending = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let id = JobId::new("r").unwrap();
    let now = world.clock.wall();
    let held = ledger
        .record_accepted(&sending, &id, now, Note::none())
        .await
        .unwrap();
    assert_eq!(get(&ledger, row.id).await.error_data, None);
    // Words alone do not keep the types of an older error.
    ledger
        .record_failed(&held, Note::from(&error))
        .await
        .unwrap();
    assert!(get(&ledger, row.id).await.error_data.is_some());
}

async fn a_parked_job_says_why_and_is_taken_up_again_once_the_reason_passed(world: &World) {
    let ledger = world.open().await;
    let place = held(&ledger, 1).await;
    let bytes = held(&ledger, 2).await;
    let doubt = ledger
        .record_in_doubt(&sending(&ledger, 3).await, Note::none())
        .await
        .unwrap();
    let (p, b, d) = (place.job(), bytes.job(), doubt.job());
    let full = Note::new("cannot write /out: no such folder");
    ledger
        .park(place.key(), ParkReason::OutputPath, full)
        .await
        .unwrap();
    ledger
        .park(bytes.key(), ParkReason::UnverifiedResult, Note::none())
        .await
        .unwrap();
    // Said by nobody, and still in doubt.
    ledger.release(doubt, Due::Parked).await.unwrap();
    let row = get(&ledger, p).await;
    assert_eq!(
        (row.parked, row.due, row.claimed),
        (Some(ParkReason::OutputPath), None, false)
    );
    assert_eq!(
        row.error.as_deref(),
        Some("cannot write /out: no such folder")
    );
    let events = ledger.events(p).await.unwrap();
    assert_eq!(
        events.last().unwrap().data.parked,
        Some(ParkReason::OutputPath)
    );
    assert_eq!(get(&ledger, d).await.parked, Some(ParkReason::Unspecified));

    let others = [Account::of("vendor", "app-2")];
    assert_eq!(ledger.unpark(&others, ParkReason::ALL).await.unwrap(), 0);
    let ours = [account()];
    assert_eq!(ledger.unpark(&ours, ParkReason::RETRIED).await.unwrap(), 1);
    assert_eq!(ledger.unpark(&ours, ParkReason::RETRIED).await.unwrap(), 0);
    let due = ledger.claim_due(&ours, 10).await.unwrap();
    let ids: Vec<LedgerId> = due.iter().map(|claimed| claimed.job().id).collect();
    assert_eq!(ids, [p]);
    assert_eq!(get(&ledger, p).await.parked, None);
    assert_eq!(
        get(&ledger, b).await.parked,
        Some(ParkReason::UnverifiedResult)
    );
    // Whatever is asked for, doubt is a person's.
    assert_eq!(ledger.unpark(&ours, ParkReason::ALL).await.unwrap(), 1);
    assert_eq!(get(&ledger, d).await.due, None);
    let ClaimOutcome::Claimed(Claimed::InDoubt(claim, row)) = ledger.claim(d).await.unwrap() else {
        panic!("not in doubt");
    };
    assert_eq!(row.parked, Some(ParkReason::Unspecified));
    drop(claim);
}

async fn a_job_parked_in_a_batch_has_a_reason_too(world: &World) {
    let ledger = world.open().await;
    let one = held(&ledger, 1).await;
    let two = held(&ledger, 2).await;
    let three = held(&ledger, 3).await;
    let (a, b, c) = (one.job(), two.job(), three.job());
    ledger.release_all(&[one.key()], Due::Parked).await.unwrap();
    let poll = jobs_ledger::PollRecord::new("running");
    let batch = vec![
        ClaimUpdate::polled(two, poll.clone(), Due::Parked),
        ClaimUpdate::polled(three, poll, Due::Now),
    ];
    assert_eq!(ledger.update_claims(batch).await.unwrap().accepted, 2);
    for (job, parked) in [
        (a, Some(ParkReason::Unspecified)),
        (b, Some(ParkReason::Unspecified)),
        (c, None),
    ] {
        assert_eq!(get(&ledger, job).await.parked, parked);
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(
        ledger
            .unpark(&[account()], ParkReason::RETRIED)
            .await
            .unwrap(),
        2
    );
}

async fn a_stale_claim_records_nothing(world: &World) {
    let ledger = world.open().await;
    let claim = fetching(&ledger, 1).await;
    world.pass(Duration::from_secs(11));
    let other = ledger.as_worker(world.clock.shared());
    let taken = other.claim(claim.job()).await.unwrap();
    let error = Error::new(ErrorKind::UnexpectedResponse, "vendor", "poll").with_body_excerpt("{");
    let outcomes = [
        ledger.record_verified(&claim, [1; 32]).await,
        ledger.record_outcome(&claim, &JobOutcome::Succeeded).await,
        ledger
            .record_unverified(&claim, [1; 32], None, None, Note::none())
            .await
            .map(drop),
        ledger.record_not_understood(claim.key(), &error).await,
        ledger
            .park(claim.key(), ParkReason::Refused, Note::none())
            .await,
    ];
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().kind(), LedgerErrorKind::ClaimLost);
    }
    let row = get(&ledger, claim.job()).await;
    assert_eq!((row.verified, row.outcome, row.parked), (None, None, None));
    assert!(row.unverified.is_empty());
    drop(taken);
    let sending = sending(&ledger, 2).await;
    let refused = ledger
        .park(sending.key(), ParkReason::Refused, Note::none())
        .await;
    assert_eq!(
        refused.unwrap_err().kind(),
        LedgerErrorKind::IllegalTransition
    );
}

async fn a_place_is_known_again_by_whoever_gave_it(world: &World) {
    let opened = async |key: Option<u8>| {
        let mut settings = world.settings.clone();
        settings.place_key = key.map(|key| PlaceKey::new([key; 32]));
        let clock = world.clock.shared();
        Ledger::open_with(&world.url, clock, &settings)
            .await
            .unwrap()
    };
    let (ours, theirs, any) = (
        opened(Some(1)).await,
        opened(Some(2)).await,
        opened(None).await,
    );
    let said = async |job: LedgerId| {
        let job = any.get(job).await.unwrap().unwrap();
        [&ours, &theirs, &any].map(|ledger| ledger.is_own_output(&job))
    };
    let (mine, everybodys) = ([true, false, true], [false, false, true]);
    // With the intent, one by one and in numbers.
    let place = |content: u8| intent(content).with_output(format!("/out/{content}.md"));
    let one = ours.intend(place(1)).await.unwrap();
    let IntendOutcome::New(claim, job) = one else {
        panic!("it is new");
    };
    assert_eq!(said(job.id).await, mine);
    let many = ours.intend_all(vec![place(2), place(3)]).await.unwrap();
    for enqueued in many {
        let jobs_ledger::RecordedIntent::New(job) = enqueued else {
            panic!("it is new");
        };
        assert_eq!(said(job).await, mine);
    }
    // Later; whoever completes a job says where its result is.
    let bare = wanted(&any, 4).await;
    assert_eq!(said(bare.job()).await, everybodys);
    let places = [(bare.job(), "/out/4.md".into())];
    assert_eq!(ours.set_outputs(&places).await.unwrap(), 1);
    assert_eq!(said(bare.job()).await, mine);
    let done = fetching(&any, 5).await;
    ours.complete(&done, Some(Path::new("/out/5.md")), None, Note::none())
        .await
        .unwrap();
    assert_eq!(said(done.job()).await, mine);
    drop(theirs.reopen(done.job(), None).await.unwrap());
    assert_eq!(said(done.job()).await, mine);
    // A place without a seal is nobody's.
    any.release(claim, Due::Now).await.unwrap();
    let unsealed = any.intend(place(6)).await.unwrap();
    let IntendOutcome::New(_, job) = unsealed else {
        panic!("it is new");
    };
    assert_eq!(said(job.id).await, everybodys);
}

//! What every store must do, run against each.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobs_core::clock::Clock;
use jobs_core::vendor::{Account, Acquired, RateLimit};
use jobs_core::{JobId, Ticket};
use jobs_ledger::{
    Claim, ClaimOutcome, ClaimUpdate, Claimed, Due, Estimate, EventCursor, IntendOutcome, Intent,
    JobEvent, JobFilter, JobRecord, Ledger, LedgerErrorKind, LedgerId, Note, ParkReason,
    PollRecord, RecordedIntent, Stage, StreamedEvent, WebhookReceipt, at, event_kind,
};
use serde_json::{Value, json};

use crate::world::World;

const LEASE: Duration = Duration::from_secs(10);

macro_rules! conformance {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                let world = super::World::sqlite();
                super::$name(&world).await;
                world.end().await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                let Some(world) = super::World::postgres() else { return };
                let world = std::sync::Arc::new(world);
                let running = std::sync::Arc::clone(&world);
                // On a task, so that the schema is dropped even when the test fails.
                let tasks = tokio::task::LocalSet::new();
                let task = tasks.spawn_local(async move { super::$name(&running).await });
                let outcome = tasks.run_until(task).await;
                drop(tasks);
                std::sync::Arc::try_unwrap(world).unwrap().end().await;
                if let Err(failed) = outcome {
                    std::panic::resume_unwind(failed.into_panic());
                }
            })*
        }
    };
}

conformance! {
    the_same_wish_is_new_once_and_then_attaches
    a_wish_that_bought_nothing_or_was_given_up_is_new_again
    a_wish_that_the_vendor_ended_attaches_until_it_is_bought_again
    again_that_bought_nothing_leaves_what_was_bought_before
    again_buys_another_and_is_recorded
    the_way_of_a_job_is_written_down_step_by_step
    a_stale_claim_writes_nothing
    a_claim_holds_as_long_as_its_lease_and_no_longer
    found_sending_is_unknown_in_the_same_moment
    one_job_of_the_vendor_is_not_adopted_twice
    a_late_answer_ends_the_doubt
    a_late_answer_to_a_job_given_up_stays_in_the_history
    a_repeated_write_counts_once
    an_illegal_move_is_an_error_and_writes_nothing
    not_sent_is_wanted_again
    due_jobs_are_claimed_oldest_first_and_by_one_worker_only
    a_batch_is_settled_each_on_its_own_terms
    stale_claims_of_a_batch_are_told
    a_batch_can_go_on_with_its_claims
    many_claims_are_renewed_at_once
    many_claims_are_given_back_at_once
    the_work_of_many_is_taken_over_at_once
    only_new_words_enter_the_history
    parked_jobs_wait_for_their_name
    a_push_wakes_a_known_job
    an_early_push_is_kept_for_ten_minutes
    workers_share_a_rate
    places_of_a_dead_worker_are_free_again
    workers_in_a_hurry_never_get_more_than_the_limit
    paid_polls_stop_at_their_budget
    a_done_job_can_be_reopened
    a_job_that_is_not_delivered_once_more_is_done_as_before
    a_lapsed_link_leads_back_to_looking
    lists_come_in_pages_and_by_filter
    a_job_is_found_by_either_id
    the_history_of_all_jobs_is_read_behind_a_cursor
    old_settled_jobs_are_pruned_and_stay_bought
    values_are_kept_for_each_account
    a_ticket_from_elsewhere_is_taken_in_once
    names_and_paths_that_cannot_be_kept_are_refused
    odd_texts_are_kept_as_one_line
    many_wishes_at_once_make_one_job
    many_workers_share_the_due_jobs
    a_keeper_renews_until_the_claim_is_lost
    waiting_workers_are_notified
    a_dropped_write_is_written_all_the_same
    the_check_counts
    a_worker_whose_clock_is_ahead_cannot_undo_the_answer
    a_worker_whose_clock_is_behind_writes_nothing_stale
    many_intents_are_recorded_at_once_and_claimed_by_nobody
    of_many_intents_all_are_recorded_or_none
    the_same_jobs_are_found_without_a_write
    a_place_is_given_to_unsettled_jobs_that_have_none
    many_jobs_are_claimed_by_their_ids_at_once
}

fn account() -> Account {
    Account::of("textin", "app-1")
}

fn intent(content: u8) -> Intent {
    Intent::new("textin", "parse", account(), [content; 32])
        .with_options(json!({"pages": "1-5"}))
        .with_input("report.pdf")
        .with_input_path("/in/report.pdf")
        .with_output("/out/report.md")
}

fn remote(id: &str) -> JobId {
    JobId::new(id).unwrap()
}

async fn wanted(ledger: &Ledger, content: u8) -> (Claim<at::Intended>, JobRecord) {
    match ledger.intend(intent(content)).await.unwrap() {
        IntendOutcome::New(claim, job) => (claim, job),
        IntendOutcome::Attached(job) => panic!("attached to {job:?}"),
    }
}

async fn sending(ledger: &Ledger, content: u8) -> Claim<at::Submitting> {
    let (claim, _) = wanted(ledger, content).await;
    ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap()
}

async fn held(ledger: &Ledger, content: u8) -> Claim<at::Accepted> {
    let claim = sending(ledger, content).await;
    let id = remote(&format!("remote-{content}"));
    let now = ledger.clock().wall();
    ledger
        .record_accepted(&claim, &id, now, Note::none())
        .await
        .unwrap()
}

async fn ready(ledger: &Ledger, content: u8) -> Claim<at::Available> {
    let claim = held(ledger, content).await;
    let result = json!({"url": "https://results.example/1"});
    ledger
        .record_available(&claim, &result, Note::none())
        .await
        .unwrap()
}

async fn done(ledger: &Ledger, content: u8) -> JobRecord {
    let claim = ready(ledger, content).await;
    ledger
        .complete(&claim, None, None, Note::none())
        .await
        .unwrap();
    ledger.get(claim.job()).await.unwrap().unwrap()
}

async fn taken(ledger: &Ledger, job: LedgerId) -> Claimed {
    match ledger.claim(job).await.unwrap() {
        ClaimOutcome::Claimed(claimed) => claimed,
        other => panic!("not claimed: {other:?}"),
    }
}

async fn taken_unknown(ledger: &Ledger, job: LedgerId) -> Claim<at::InDoubt> {
    match taken(ledger, job).await {
        Claimed::InDoubt(claim, _) => claim,
        other => panic!("not unknown: {other:?}"),
    }
}

async fn taken_held(ledger: &Ledger, job: LedgerId) -> Claim<at::Accepted> {
    match taken(ledger, job).await {
        Claimed::Accepted(claim, _) => claim,
        other => panic!("not held: {other:?}"),
    }
}

async fn get(ledger: &Ledger, job: LedgerId) -> JobRecord {
    ledger.get(job).await.unwrap().unwrap()
}

async fn words(ledger: &Ledger, job: LedgerId) -> Vec<String> {
    let events = ledger.events(job).await.unwrap();
    events.into_iter().map(|event| event.kind).collect()
}

async fn the_same_wish_is_new_once_and_then_attaches(world: &World) {
    let (ours, theirs) = (world.open().await, world.open().await);
    let (claim, job) = wanted(&ours, 1).await;
    assert_eq!(job.stage, Stage::Intended);
    for ledger in [&ours, &theirs] {
        match ledger
            .intend(intent(1).with_input("other name.pdf"))
            .await
            .unwrap()
        {
            IntendOutcome::Attached(found) => {
                assert_eq!((found.id, found.input.as_str()), (job.id, "report.pdf"))
            }
            other => panic!("{other:?}"),
        }
    }
    let sending = ours
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let unknown = ours
        .record_in_doubt(&sending, Note::new("reset"))
        .await
        .unwrap();
    assert!(
        matches!(theirs.intend(intent(1)).await.unwrap(), IntendOutcome::Attached(found) if found.stage == Stage::InDoubt)
    );
    ours.abandon(&unknown, Note::none()).await.unwrap();
    let finished = done(&ours, 1).await;
    assert!(
        matches!(theirs.intend(intent(1)).await.unwrap(), IntendOutcome::Attached(found) if found.id == finished.id)
    );
    let (_, other) = wanted(&theirs, 2).await;
    assert_ne!(other.id, finished.id);
    assert_eq!(ours.list(&JobFilter::all()).await.unwrap().jobs.len(), 3);
}

/// What the same wish, said without *again*, attaches to.
async fn attached(ledger: &Ledger, content: u8) -> JobRecord {
    match ledger.intend(intent(content)).await.unwrap() {
        IntendOutcome::Attached(job) => job,
        other => panic!("{other:?}"),
    }
}

async fn a_wish_that_bought_nothing_or_was_given_up_is_new_again(world: &World) {
    let ledger = world.open().await;
    let claim = sending(&ledger, 1).await;
    ledger
        .record_rejected(&claim, Note::new("page limit"))
        .await
        .unwrap();
    assert_eq!(
        get(&ledger, claim.job()).await.error.as_deref(),
        Some("page limit")
    );
    let (claim, _) = wanted(&ledger, 1).await;
    ledger
        .record_rejected(&claim, Note::new("no such file"))
        .await
        .unwrap();
    let claim = held(&ledger, 1).await;
    ledger.abandon(&claim, Note::new("by hand")).await.unwrap();
    let (_, job) = wanted(&ledger, 1).await;
    let page = ledger.list(&JobFilter::all()).await.unwrap();
    for (stage, count) in [
        (Stage::Rejected, 2),
        (Stage::Abandoned, 1),
        (Stage::Intended, 1),
    ] {
        let found = page.jobs.iter().filter(|job| job.stage == stage).count();
        assert_eq!(found, count, "{stage}");
    }
    assert_eq!(
        get(&ledger, job.id).await.due,
        Some(world.clock.wall() + LEASE)
    );
}

async fn a_wish_that_the_vendor_ended_attaches_until_it_is_bought_again(world: &World) {
    let ledger = world.open().await;
    let claim = held(&ledger, 1).await;
    ledger
        .record_failed(&claim, Note::new("bad pdf"))
        .await
        .unwrap();
    let failed = attached(&ledger, 1).await;
    assert_eq!((failed.id, failed.stage), (claim.job(), Stage::Failed));
    assert_eq!(failed.error.as_deref(), Some("bad pdf"));

    let claim = ready(&ledger, 2).await;
    ledger
        .record_gone(&claim, Note::new("expired"))
        .await
        .unwrap();
    let gone = attached(&ledger, 2).await;
    assert_eq!((gone.id, gone.stage), (claim.job(), Stage::Gone));

    // Only *again* pays anew, and what it bought is what everybody attaches to from then on.
    let IntendOutcome::New(claim, second) = ledger.intend(intent(1).again()).await.unwrap() else {
        panic!("attached");
    };
    assert_eq!(attached(&ledger, 1).await.id, second.id);
    let sending = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let now = world.clock.wall();
    let held = ledger
        .record_accepted(&sending, &remote("second"), now, Note::none())
        .await
        .unwrap();
    ledger
        .record_failed(&held, Note::new("bad pdf again"))
        .await
        .unwrap();
    assert_eq!(attached(&ledger, 1).await.id, second.id);
    assert_eq!(ledger.list(&JobFilter::all()).await.unwrap().jobs.len(), 3);
}

async fn again_that_bought_nothing_leaves_what_was_bought_before(world: &World) {
    let ledger = world.open().await;
    let refuse = async |intent: Intent| {
        let IntendOutcome::New(claim, _) = ledger.intend(intent).await.unwrap() else {
            panic!("attached");
        };
        let sending = ledger
            .begin_submit(claim, Estimate::Free)
            .await
            .unwrap()
            .granted()
            .unwrap();
        ledger
            .record_rejected(&sending, Note::new("quota"))
            .await
            .unwrap();
    };
    let first = done(&ledger, 1).await;
    refuse(intent(1).again()).await;
    refuse(intent(1).again()).await;
    assert_eq!(attached(&ledger, 1).await.id, first.id);

    let claim = held(&ledger, 2).await;
    ledger
        .record_failed(&claim, Note::new("bad pdf"))
        .await
        .unwrap();
    refuse(intent(2).again()).await;
    assert_eq!(attached(&ledger, 2).await.id, claim.job());

    // In doubt: it may have been bought.
    let claim = sending(&ledger, 3).await;
    let claim = ledger.record_in_doubt(&claim, Note::none()).await.unwrap();
    refuse(intent(3).again()).await;
    assert_eq!(attached(&ledger, 3).await.id, claim.job());

    // What was given up does not come back.
    let claim = held(&ledger, 4).await;
    ledger.abandon(&claim, Note::none()).await.unwrap();
    refuse(intent(4)).await;
    let _ = wanted(&ledger, 4).await;
}

async fn again_buys_another_and_is_recorded(world: &World) {
    let ledger = world.open().await;
    let first = done(&ledger, 1).await;
    let IntendOutcome::New(_, second) = ledger.intend(intent(1).again()).await.unwrap() else {
        panic!("attached");
    };
    assert_ne!(second.id, first.id);
    assert!(second.again && !first.again);
    assert_eq!(
        words(&ledger, second.id).await,
        [event_kind::INTENDED_AGAIN]
    );
    assert_eq!(get(&ledger, first.id).await.stage, Stage::Completed);
    // Whoever comes now goes on with the newest.
    assert!(
        matches!(ledger.intend(intent(1)).await.unwrap(), IntendOutcome::Attached(found) if found.id == second.id)
    );
}

async fn the_way_of_a_job_is_written_down_step_by_step(world: &World) {
    let ledger = world.open().await;
    let begun = world.clock.wall();
    let (claim, job) = wanted(&ledger, 7).await;
    assert_eq!(job.input_path.as_deref(), Some(Path::new("/in/report.pdf")));
    assert_eq!(
        (job.content, &job.options),
        ([7; 32], &json!({"pages": "1-5"}))
    );
    assert_eq!((job.ticket(), job.attempts, job.claimed), (None, 0, true));
    assert_eq!((claim.fence(), claim.lease_until()), (1, begun + LEASE));

    world.pass(Duration::from_secs(1));
    let claim = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let job = get(&ledger, claim.job()).await;
    assert_eq!((job.stage, job.attempts), (Stage::Submitting, 1));
    assert_eq!(job.sent_at, Some(begun + Duration::from_secs(1)));

    world.pass(Duration::from_secs(2));
    let accepted = begun + Duration::from_secs(3);
    let note = Note::none()
        .with_request_id(Some("req-1"))
        .with_credits(Some(5));
    let mut claim = ledger
        .record_accepted(&claim, &remote("vendor-1"), accepted, note)
        .await
        .unwrap();
    let job = get(&ledger, claim.job()).await;
    assert_eq!(
        (job.stage, job.remote_id.as_ref()),
        (Stage::Accepted, Some(&remote("vendor-1")))
    );
    assert_eq!(job.accepted_at, Some(accepted));
    assert_eq!(job.ticket().unwrap().id(), &remote("vendor-1"));

    world.pass(Duration::from_secs(5));
    ledger
        .record_poll(&mut claim, PollRecord::new("running"))
        .await
        .unwrap();
    assert_eq!(claim.lease_until(), begun + Duration::from_secs(18));
    let job = get(&ledger, claim.job()).await;
    assert_eq!(
        (job.polls, job.vendor_status.as_deref()),
        (1, Some("running"))
    );
    assert_eq!(job.last_poll, Some(begun + Duration::from_secs(8)));

    let result = json!({"url": "https://results.example/one-time"});
    let claim = ledger
        .record_available(&claim, &result, Note::none())
        .await
        .unwrap();
    assert_eq!(get(&ledger, claim.job()).await.result, Some(result));
    let claim = ledger.begin_download(&claim).await.unwrap();
    let claim = ledger.begin_download(&claim).await.unwrap();
    assert_eq!(get(&ledger, claim.job()).await.stage, Stage::Downloading);
    let note = Note::none().with_credits(Some(2));
    ledger
        .complete(
            &claim,
            Some(Path::new("/out/final.md")),
            Some([9; 32]),
            note,
        )
        .await
        .unwrap();

    let job = get(&ledger, claim.job()).await;
    assert_eq!(
        (job.stage, job.due, job.claimed),
        (Stage::Completed, None, false)
    );
    assert_eq!(
        (job.result.clone(), job.sha256, job.credits),
        (None, Some([9; 32]), Some(7))
    );
    assert!(!format!("{job:?}").contains("results.example"));
    let ticket = job.ticket().unwrap().to_string();
    assert_eq!(
        serde_json::to_value(&job).unwrap(),
        json!({
            "id": job.id.to_string(), "vendor": "textin", "kind": "parse", "stage": "completed", "remote_id": "vendor-1",
            "ticket": ticket, "input": "report.pdf", "output": "/out/final.md",
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:08.000Z",
            "credits": 7, "error": null
        })
    );
    let events = ledger.events(job.id).await.unwrap();
    let told: Vec<(&str, Option<&str>)> = events
        .iter()
        .map(|e| (e.kind.as_str(), e.text.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (event_kind::INTENDED, None),
            (event_kind::SUBMITTING, Some("attempt 1")),
            (event_kind::ACCEPTED, Some("vendor-1")),
            (event_kind::POLLED, Some("running")),
            (event_kind::AVAILABLE, None),
            (event_kind::DOWNLOADING, None),
            (event_kind::DOWNLOADING, None),
            (event_kind::COMPLETED, Some("/out/final.md")),
        ]
    );
    assert!(
        events
            .iter()
            .all(|e| e.fence == Some(1) && e.worker == ledger.worker())
    );
    assert_eq!(
        (events[2].request_id.as_deref(), events[2].credits),
        (Some("req-1"), Some(5))
    );
    assert_eq!(events[2].at, accepted);
    assert!(
        serde_json::to_string(&events[2])
            .unwrap()
            .contains("2026-01-01T00:00:03.000Z")
    );
}

async fn a_stale_claim_writes_nothing(world: &World) {
    let (paused, other) = (world.open().await, world.open().await);
    let none = Note::none;
    // One job for each stage that a claim can be in, all taken over by another worker.
    let wanted_claim = wanted(&paused, 1).await.0;
    let sending_claim = sending(&paused, 2).await;
    let mut held_claim = held(&paused, 3).await;
    let ready_claim = ready(&paused, 4).await;
    let fetching_claim = paused
        .begin_download(&ready(&paused, 5).await)
        .await
        .unwrap();
    let unknown_claim = paused
        .record_in_doubt(&sending(&paused, 6).await, none())
        .await
        .unwrap();
    let released_claim = held(&paused, 7).await;
    world.pass(LEASE);
    let mut rescued = other.claim_due(&[account()], 100).await.unwrap();
    assert_eq!(rescued.len(), 7);
    rescued.sort_by_key(|claimed| claimed.job().content);
    let stages: Vec<Stage> = rescued.iter().map(|claimed| claimed.job().stage).collect();
    let before = other.list(&JobFilter::all()).await.unwrap();
    let history = histories(&other).await;

    let result = Value::Null;
    let mut lost = Vec::new();
    lost.push(
        paused
            .record_rejected(&wanted_claim, none())
            .await
            .unwrap_err(),
    );
    lost.push(paused.abandon(&wanted_claim, none()).await.unwrap_err());
    lost.push(
        paused
            .begin_submit(wanted_claim, Estimate::Free)
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .record_rejected(&sending_claim, none())
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .record_not_sent(&sending_claim, Due::Now, none())
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .record_in_doubt(&sending_claim, none())
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .record_poll(&mut held_claim, PollRecord::new("late"))
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .record_available(&held_claim, &result, none())
            .await
            .unwrap_err(),
    );
    lost.push(paused.record_failed(&held_claim, none()).await.unwrap_err());
    lost.push(paused.record_gone(&held_claim, none()).await.unwrap_err());
    lost.push(paused.note(&held_claim, none()).await.unwrap_err());
    lost.push(paused.spend_call(&held_claim, 5).await.unwrap_err());
    lost.push(paused.renew(&mut held_claim).await.unwrap_err());
    lost.push(paused.begin_download(&ready_claim).await.unwrap_err());
    lost.push(
        paused
            .record_link_expired(&ready_claim, none())
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .complete(&ready_claim, None, None, none())
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .complete(&fetching_claim, None, None, none())
            .await
            .unwrap_err(),
    );
    lost.push(
        paused
            .adopt(&unknown_claim, &remote("x"), world.clock.wall(), none())
            .await
            .unwrap_err(),
    );
    lost.push(paused.abandon(&unknown_claim, none()).await.unwrap_err());
    lost.push(paused.release(released_claim, Due::Now).await.unwrap_err());
    for (place, problem) in lost.iter().enumerate() {
        assert!(problem.is_claim_lost(), "{place}: {problem}");
        assert!(problem.job().is_some());
    }
    let settled = paused
        .update_claims(vec![ClaimUpdate::gone(held_claim, none())])
        .await
        .unwrap();
    assert_eq!((settled.accepted, settled.lost.len()), (0, 1));

    assert_eq!(
        stages,
        [
            Stage::Intended,
            Stage::InDoubt,
            Stage::Accepted,
            Stage::Available,
            Stage::Downloading,
            Stage::InDoubt,
            Stage::Accepted
        ]
    );
    assert_eq!(other.list(&JobFilter::all()).await.unwrap(), before);
    assert_eq!(histories(&other).await, history);
}

async fn a_claim_holds_as_long_as_its_lease_and_no_longer(world: &World) {
    let (ours, theirs) = (world.open().await, world.open().await);
    let mut claim = held(&ours, 1).await;
    let begun = world.clock.wall();
    world.pass(LEASE - Duration::from_micros(1));
    match theirs.claim(claim.job()).await.unwrap() {
        ClaimOutcome::Busy { until, job } => {
            assert_eq!((until, job.stage), (begun + LEASE, Stage::Accepted))
        }
        other => panic!("{other:?}"),
    }
    assert!(theirs.claim_due(&[account()], 10).await.unwrap().is_empty());
    assert_eq!(claim.left(world.clock.wall()), Duration::from_micros(1));
    ours.renew(&mut claim).await.unwrap();
    world.pass(LEASE - Duration::from_micros(1));
    assert!(matches!(
        theirs.claim(claim.job()).await.unwrap(),
        ClaimOutcome::Busy { .. }
    ));
    // Not renewed in time, but nobody else wanted it: the fence is what counts.
    world.pass(LEASE);
    ours.renew(&mut claim).await.unwrap();
    world.pass(LEASE);
    let rescued = taken_held(&theirs, claim.job()).await;
    assert_eq!(rescued.fence(), claim.fence() + 1);
    assert!(ours.renew(&mut claim).await.unwrap_err().is_claim_lost());
    assert_eq!(
        words(&ours, claim.job()).await.last().unwrap(),
        event_kind::TAKEN_OVER
    );
    theirs
        .release(rescued, Due::At(world.clock.wall() + LEASE))
        .await
        .unwrap();
    // Given back: nobody has to wait for a lease, and a person may take it before it is due.
    assert!(ours.claim_due(&[account()], 10).await.unwrap().is_empty());
    assert_eq!(
        taken_held(&ours, claim.job()).await.fence(),
        claim.fence() + 2
    );
    assert_eq!(
        words(&ours, claim.job())
            .await
            .iter()
            .filter(|w| *w == event_kind::TAKEN_OVER)
            .count(),
        1
    );
}

async fn found_sending_is_unknown_in_the_same_moment(world: &World) {
    let ledger = world.open().await;
    let claim = sending(&ledger, 1).await;
    let by_name = sending(&ledger, 2).await;
    assert!(matches!(
        ledger.claim(claim.job()).await.unwrap(),
        ClaimOutcome::Busy { .. }
    ));
    // Nothing was written for the waiting one.
    assert_eq!(get(&ledger, claim.job()).await.stage, Stage::Submitting);
    world.pass(LEASE);
    let next = world.open().await;
    let unknown = taken_unknown(&next, by_name.job()).await;
    assert_eq!(unknown.fence(), by_name.fence() + 1);
    let due = next.claim_due(&[account()], 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert!(
        matches!(&due[0], Claimed::InDoubt(_, job) if job.id == claim.job() && job.stage == Stage::InDoubt)
    );
    let job = get(&next, claim.job()).await;
    assert_eq!(job.stage, Stage::InDoubt);
    assert!(
        job.error
            .as_deref()
            .unwrap()
            .contains("may have been charged")
    );
    assert_eq!(
        words(&next, claim.job()).await,
        [
            event_kind::INTENDED,
            event_kind::SUBMITTING,
            event_kind::IN_DOUBT
        ]
    );
    assert!(matches!(
        next.intend(intent(1)).await.unwrap(),
        IntendOutcome::Attached(_)
    ));
}

async fn one_job_of_the_vendor_is_not_adopted_twice(world: &World) {
    let ledger = world.open().await;
    let first = ledger
        .record_in_doubt(&sending(&ledger, 1).await, Note::none())
        .await
        .unwrap();
    let second = ledger
        .record_in_doubt(&sending(&ledger, 2).await, Note::none())
        .await
        .unwrap();
    let now = world.clock.wall();
    let note = Note::new("the only one of that name");
    let held = ledger
        .adopt(&first, &remote("found"), now, note.clone())
        .await
        .unwrap();
    // The same word again, as after a lost answer.
    let _ = ledger
        .adopt(&first, &remote("found"), now, note)
        .await
        .unwrap();
    let refused = ledger
        .adopt(&second, &remote("found"), now, Note::none())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), LedgerErrorKind::InvalidInput);
    assert!(
        refused.to_string().contains(&held.job().to_string()),
        "{refused}"
    );
    let job = get(&ledger, first.job()).await;
    assert_eq!(
        (job.stage, job.remote_id, job.error),
        (Stage::Accepted, Some(remote("found")), None)
    );
    assert_eq!(get(&ledger, second.job()).await.stage, Stage::InDoubt);
    let events = ledger.events(first.job()).await.unwrap();
    let adopted: Vec<&JobEvent> = events
        .iter()
        .filter(|e| e.kind == event_kind::ADOPTED)
        .collect();
    assert_eq!(adopted.len(), 1);
    assert_eq!(
        adopted[0].text.as_deref(),
        Some("found the only one of that name")
    );
}

async fn a_late_answer_ends_the_doubt(world: &World) {
    let (paused, searcher) = (world.open().await, world.open().await);
    let claim = sending(&paused, 1).await;
    world.pass(LEASE);
    let search = taken_unknown(&searcher, claim.job()).await;
    let now = world.clock.wall();
    let held = paused
        .record_accepted(&claim, &remote("answer"), now, Note::none())
        .await
        .unwrap();
    assert_eq!(held.fence(), search.fence() + 1);
    let late = searcher
        .adopt(&search, &remote("answer"), now, Note::none())
        .await
        .unwrap_err();
    assert!(late.is_claim_lost(), "{late}");
    let job = get(&paused, claim.job()).await;
    assert_eq!(
        (job.stage, job.remote_id, job.error),
        (Stage::Accepted, Some(remote("answer")), None)
    );
    assert_eq!(
        words(&paused, claim.job()).await.last().unwrap(),
        event_kind::ANSWERED_LATE
    );
    let _ = paused
        .record_available(&held, &Value::Null, Note::none())
        .await
        .unwrap();

    // Where the search was quicker, the answer tells nothing new and the searcher goes on.
    let claim = sending(&paused, 2).await;
    world.pass(LEASE);
    let search = taken_unknown(&searcher, claim.job()).await;
    let held = searcher
        .adopt(&search, &remote("answer-2"), now, Note::none())
        .await
        .unwrap();
    let count = words(&paused, claim.job()).await.len();
    let lost = paused
        .record_accepted(&claim, &remote("answer-2"), now, Note::none())
        .await
        .unwrap_err();
    assert!(lost.is_claim_lost());
    assert_eq!(words(&paused, claim.job()).await.len(), count);
    let _ = searcher
        .record_available(&held, &Value::Null, Note::none())
        .await
        .unwrap();
}

async fn a_late_answer_to_a_job_given_up_stays_in_the_history(world: &World) {
    let (paused, person) = (world.open().await, world.open().await);
    let claim = sending(&paused, 1).await;
    world.pass(LEASE);
    let unknown = taken_unknown(&person, claim.job()).await;
    person
        .abandon(&unknown, Note::new("by hand"))
        .await
        .unwrap();
    let now = world.clock.wall();
    let lost = paused
        .record_accepted(&claim, &remote("too-late"), now, Note::none())
        .await
        .unwrap_err();
    assert!(lost.is_claim_lost());
    let job = get(&person, claim.job()).await;
    assert_eq!((job.stage, job.remote_id), (Stage::Abandoned, None));
    let events = person.events(claim.job()).await.unwrap();
    let last = events.last().unwrap();
    assert_eq!(
        (last.kind.as_str(), last.text.as_deref()),
        (event_kind::ANSWERED_LATE, Some("too-late"))
    );
}

async fn a_repeated_write_counts_once(world: &World) {
    let ledger = world.open().await;
    let none = Note::none;
    let now = world.clock.wall();
    let claim = sending(&ledger, 1).await;
    let credits = Note::none().with_credits(Some(3));
    let _ = ledger
        .record_accepted(&claim, &remote("r"), now, credits.clone())
        .await
        .unwrap();
    let claim = ledger
        .record_accepted(&claim, &remote("r"), now, credits.clone())
        .await
        .unwrap();
    let other = ledger.claim(claim.job()).await.unwrap();
    assert!(matches!(other, ClaimOutcome::Busy { .. }));
    let _ = ledger
        .record_available(&claim, &json!(1), none())
        .await
        .unwrap();
    let claim = ledger
        .record_available(&claim, &json!(2), none())
        .await
        .unwrap();
    assert_eq!(get(&ledger, claim.job()).await.result, Some(json!(1)));
    ledger
        .complete(&claim, None, None, credits.clone())
        .await
        .unwrap();
    ledger.complete(&claim, None, None, credits).await.unwrap();
    assert_eq!(get(&ledger, claim.job()).await.credits, Some(6));
    assert_eq!(
        words(&ledger, claim.job()).await,
        [
            event_kind::INTENDED,
            event_kind::SUBMITTING,
            event_kind::ACCEPTED,
            event_kind::AVAILABLE,
            event_kind::COMPLETED
        ]
    );
    let claim = sending(&ledger, 2).await;
    ledger.record_rejected(&claim, none()).await.unwrap();
    ledger.record_rejected(&claim, none()).await.unwrap();
    assert_eq!(
        words(&ledger, claim.job()).await,
        [
            event_kind::INTENDED,
            event_kind::SUBMITTING,
            event_kind::REJECTED
        ]
    );
}

async fn an_illegal_move_is_an_error_and_writes_nothing(world: &World) {
    let ledger = world.open().await;
    let claim = sending(&ledger, 1).await;
    ledger.record_rejected(&claim, Note::none()).await.unwrap();
    let now = world.clock.wall();
    let before = words(&ledger, claim.job()).await;
    for problem in [
        ledger
            .record_accepted(&claim, &remote("r"), now, Note::none())
            .await
            .unwrap_err(),
        ledger
            .record_in_doubt(&claim, Note::none())
            .await
            .unwrap_err(),
        ledger
            .record_not_sent(&claim, Due::Now, Note::none())
            .await
            .unwrap_err(),
        ledger.reopen(claim.job(), None).await.unwrap_err(),
    ] {
        assert_eq!(
            problem.kind(),
            LedgerErrorKind::IllegalTransition,
            "{problem}"
        );
    }
    // Another id for a job that has one is no repetition.
    let sent = sending(&ledger, 2).await;
    let _ = ledger
        .record_accepted(&sent, &remote("one"), now, Note::none())
        .await
        .unwrap();
    let two = ledger
        .record_accepted(&sent, &remote("two"), now, Note::none())
        .await
        .unwrap_err();
    assert_eq!(two.kind(), LedgerErrorKind::IllegalTransition);
    assert_eq!(
        get(&ledger, sent.job()).await.remote_id,
        Some(remote("one"))
    );
    assert_eq!(words(&ledger, claim.job()).await, before);
    let stranger = "0000000000".parse().unwrap();
    assert_eq!(
        ledger.claim(stranger).await.unwrap_err().kind(),
        LedgerErrorKind::NotFound
    );
    assert_eq!(ledger.get(stranger).await.unwrap(), None);
    assert!(
        matches!(ledger.claim(claim.job()).await.unwrap(), ClaimOutcome::Settled(job) if job.stage == Stage::Rejected)
    );
}

async fn not_sent_is_wanted_again(world: &World) {
    let ledger = world.open().await;
    let claim = sending(&ledger, 1).await;
    let due = world.clock.wall() + Duration::from_secs(30);
    ledger
        .record_not_sent(&claim, Due::At(due), Note::new("connection refused"))
        .await
        .unwrap();
    let job = get(&ledger, claim.job()).await;
    assert_eq!(
        (job.stage, job.due, job.claimed),
        (Stage::Intended, Some(due), false)
    );
    assert_eq!(ledger.next_due(&[account()]).await.unwrap(), Some(due));
    world.pass(Duration::from_secs(30));
    let mut due = ledger.claim_due(&[account()], 10).await.unwrap();
    let Some(Claimed::Intended(claim, _)) = due.pop() else {
        panic!("{due:?}")
    };
    let claim = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let now = world.clock.wall();
    let _ = ledger
        .record_accepted(&claim, &remote("r"), now, Note::none())
        .await
        .unwrap();
    let job = get(&ledger, claim.job()).await;
    assert_eq!((job.attempts, job.error), (2, None));
    let events = ledger.events(job.id).await.unwrap();
    assert_eq!(events[3].text.as_deref(), Some("attempt 2"));
}

async fn due_jobs_are_claimed_oldest_first_and_by_one_worker_only(world: &World) {
    let (ours, theirs) = (world.open().await, world.open().await);
    let begun = world.clock.wall();
    let mut order = Vec::new();
    for content in [3u8, 1, 2] {
        let claim = held(&ours, content).await;
        order.push((content, claim.job()));
        ours.release(
            claim,
            Due::At(begun + Duration::from_secs(u64::from(content))),
        )
        .await
        .unwrap();
    }
    order.sort_unstable();
    let stranger = Account::of("textin", "app-2");
    let foreign = Intent::new("textin", "parse", stranger, [9; 32]);
    let IntendOutcome::New(claim, _) = ours.intend(foreign).await.unwrap() else {
        panic!()
    };
    ours.release(claim, Due::Now).await.unwrap();

    assert!(ours.claim_due(&[account()], 10).await.unwrap().is_empty());
    assert_eq!(
        ours.next_due(&[account()]).await.unwrap(),
        Some(begun + Duration::from_secs(1))
    );
    assert_eq!(ours.next_due(&[]).await.unwrap(), None);
    world.pass(Duration::from_secs(5));
    let first = ours.claim_due(&[account()], 2).await.unwrap();
    let second = theirs.claim_due(&[account()], 2).await.unwrap();
    let ids: Vec<_> = first
        .iter()
        .chain(&second)
        .map(|claimed| claimed.job().id)
        .collect();
    assert_eq!(ids, order.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    assert!(ours.claim_due(&[account()], 0).await.unwrap().is_empty());
    assert!(ours.claim_due(&[], 10).await.unwrap().is_empty());
    assert_eq!(
        theirs
            .claim_due(&[account(), stranger], 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

fn held_ones(claimed: Vec<Claimed>) -> Vec<Claim<at::Accepted>> {
    claimed
        .into_iter()
        .map(|claimed| match claimed {
            Claimed::Accepted(claim, _) => claim,
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn a_batch_is_settled_each_on_its_own_terms(world: &World) {
    let ledger = world.open().await;
    let now = world.clock.wall();
    let mut batch = Vec::new();
    let mut jobs = Vec::new();
    for content in 1..=6u8 {
        let claim = held(&ledger, content).await;
        jobs.push(claim.job());
        batch.push(match content {
            1 => ClaimUpdate::polled(claim, PollRecord::new("running"), Due::At(now + LEASE * 3)),
            2 => ClaimUpdate::polled(
                claim,
                PollRecord::new("queued").with_note(Note::new("3 ahead")),
                Due::Now,
            ),
            3 => ClaimUpdate::available(
                claim,
                &json!({"url": "u"}),
                Note::none().with_credits(Some(4)),
            ),
            4 => ClaimUpdate::failed(claim, Note::new("encrypted")),
            5 => ClaimUpdate::gone(claim, Note::none()),
            _ => ClaimUpdate::not_polled(claim, Due::Parked),
        });
    }
    let settled = ledger.update_claims(batch).await.unwrap();
    assert_eq!((settled.accepted, settled.lost.len()), (6, 0));
    let mut found = Vec::new();
    for job in jobs {
        let job = get(&ledger, job).await;
        assert!(!job.claimed);
        found.push((
            job.stage,
            job.due,
            job.polls,
            job.vendor_status,
            job.error,
            job.credits,
        ));
    }
    let word = |word: &str| Some(word.to_owned());
    assert_eq!(
        found,
        [
            (
                Stage::Accepted,
                Some(now + LEASE * 3),
                1,
                word("running"),
                None,
                None
            ),
            (Stage::Accepted, Some(now), 1, word("queued"), None, None),
            (Stage::Available, Some(now), 1, None, None, Some(4)),
            (Stage::Failed, None, 0, None, word("encrypted"), None),
            (Stage::Gone, None, 0, None, None, None),
            (Stage::Accepted, None, 0, None, None, None),
        ]
    );
    assert_eq!(ledger.update_claims(Vec::new()).await.unwrap().accepted, 0);
}

async fn stale_claims_of_a_batch_are_told(world: &World) {
    let (paused, other) = (world.open().await, world.open().await);
    let stale = held(&paused, 1).await;
    let (job, polls) = (stale.job(), || PollRecord::new("x"));
    world.pass(LEASE);
    let kept = held(&paused, 2).await;
    let current = taken_held(&other, job).await;
    let settled = paused
        .update_claims(vec![
            ClaimUpdate::polled(stale, polls(), Due::Now),
            ClaimUpdate::polled(kept, polls(), Due::Now),
        ])
        .await
        .unwrap();
    assert_eq!((settled.accepted, settled.lost), (1, vec![job]));
    let untouched = get(&paused, job).await;
    assert_eq!(
        (untouched.polls, untouched.vendor_status, untouched.claimed),
        (0, None, true)
    );
    let settled = other
        .update_claims(vec![ClaimUpdate::polled(current, polls(), Due::Now)])
        .await
        .unwrap();
    assert_eq!(settled.accepted, 1);
}

async fn a_batch_can_go_on_with_its_claims(world: &World) {
    let (ledger, other) = (world.open().await, world.open().await);
    let (first, second, lost) = (
        held(&ledger, 1).await,
        held(&ledger, 2).await,
        held(&ledger, 3).await,
    );
    world.pass(LEASE);
    let taken = taken_held(&other, lost.job()).await;
    let polls = |note: &str| {
        vec![
            ClaimUpdate::polled_and_kept(&first, PollRecord::new("running")),
            ClaimUpdate::polled_and_kept(
                &second,
                PollRecord::new("queued").with_note(Note::new(note)),
            ),
            ClaimUpdate::polled_and_kept(&lost, PollRecord::new("running")),
        ]
    };
    for _ in 0..2 {
        let settled = ledger.update_claims(polls("3 ahead")).await.unwrap();
        assert_eq!((settled.accepted, settled.lost), (2, vec![lost.job()]));
    }
    for (claim, word, told) in [(&first, "running", 1), (&second, "queued", 2)] {
        let job = get(&ledger, claim.job()).await;
        assert_eq!(job.due, Some(world.clock.wall() + LEASE));
        assert_eq!(
            (
                job.claimed,
                job.polls,
                job.last_poll,
                job.vendor_status.as_deref()
            ),
            (true, 2, Some(world.clock.wall()), Some(word))
        );
        let words = words(&ledger, claim.job()).await;
        assert_eq!(
            words
                .iter()
                .filter(|word| *word == event_kind::POLLED)
                .count(),
            told
        );
    }
    assert_eq!(get(&ledger, lost.job()).await.polls, 0);
    // The claims are as good as before; one that was given back is not.
    ledger
        .record_available(&first, &Value::Null, Note::none())
        .await
        .unwrap()
        .key();
    let given_back = second.key();
    ledger.release(second, Due::Now).await.unwrap();
    assert_eq!(
        ledger.renew_all(&[given_back, first.key()]).await.unwrap(),
        [given_back.job()]
    );
    assert_eq!(taken.fence(), 2);
}

async fn many_claims_are_renewed_at_once(world: &World) {
    let (ledger, other) = (world.open().await, world.open().await);
    let mut keys = vec![
        wanted(&ledger, 0).await.0.key(),
        sending(&ledger, 1).await.key(),
    ];
    for content in 2..40 {
        keys.push(held(&ledger, content).await.key());
    }
    world.pass(LEASE);
    let stale = [keys[7].job(), keys[20].job()];
    for job in stale {
        taken(&other, job).await.key();
    }
    let mut lost = ledger.renew_all(&keys).await.unwrap();
    lost.sort_unstable();
    let mut expected = stale.to_vec();
    expected.sort_unstable();
    assert_eq!(lost, expected);
    world.pass(LEASE - Duration::from_micros(1));
    assert!(other.claim_due(&[account()], 100).await.unwrap().is_empty());
    world.pass(Duration::from_micros(1));
    assert_eq!(other.claim_due(&[account()], 100).await.unwrap().len(), 40);
    assert_eq!(ledger.renew_all(&[]).await.unwrap(), []);
}

async fn many_claims_are_given_back_at_once(world: &World) {
    let (ledger, other) = (world.open().await, world.open().await);
    let lost = held(&ledger, 1).await.key();
    world.pass(LEASE);
    taken(&other, lost.job()).await.key();
    let (wanted_key, sending_key) = (
        wanted(&ledger, 2).await.0.key(),
        sending(&ledger, 3).await.key(),
    );
    let finished = done(&ledger, 4).await.id;
    let unknown = sending(&ledger, 5).await;
    let unknown = ledger
        .record_in_doubt(&unknown, Note::none())
        .await
        .unwrap()
        .key();
    let mut keys = vec![wanted_key, sending_key, lost, unknown];
    for content in 10..40 {
        keys.push(held(&ledger, content).await.key());
    }
    // A push came meanwhile.
    let pushed = keys[10].job();
    let id = get(&ledger, pushed).await.remote_id.unwrap();
    assert_eq!(
        ledger.record_webhook("textin", &id).await.unwrap(),
        WebhookReceipt::Matched
    );
    let later = world.clock.wall() + LEASE * 6;
    // Twice, as when the first answer was lost.
    for _ in 0..2 {
        let mut kept = ledger.release_all(&keys, Due::At(later)).await.unwrap();
        kept.sort_unstable();
        let mut expected = vec![sending_key.job(), lost.job()];
        expected.sort_unstable();
        assert_eq!(kept, expected);
    }
    for key in &keys {
        let job = get(&ledger, key.job()).await;
        let is_ours = ![sending_key, lost].contains(key);
        assert_eq!(job.claimed, !is_ours);
        if is_ours {
            let now = world.clock.wall();
            let due = if key.job() == pushed { now } else { later };
            assert_eq!(job.due, Some(due));
        }
    }
    assert_eq!(
        get(&ledger, sending_key.job()).await.stage,
        Stage::Submitting
    );
    assert_eq!(get(&ledger, finished).await.due, None);
    let again = taken(&ledger, keys[5].job()).await.key();
    let kept = ledger.release_all(&[again], Due::Parked).await.unwrap();
    assert_eq!(kept, []);
    assert_eq!(get(&ledger, again.job()).await.due, None);
    let words = words(&ledger, again.job()).await;
    assert_eq!(words.last().map(String::as_str), Some(event_kind::PARKED));
}

async fn the_work_of_many_is_taken_over_at_once(world: &World) {
    let (ledger, other) = (world.open().await, world.open().await);
    let doubtful = sending(&ledger, 0).await.job();
    for content in 1..40 {
        held(&ledger, content).await.key();
    }
    world.pass(LEASE);
    let rescued = other.claim_due(&[account()], 100).await.unwrap();
    assert_eq!(rescued.len(), 40);
    for claimed in rescued {
        let job = claimed.job().id;
        let events = other.events(job).await.unwrap();
        let last = events.last().unwrap();
        let word = if job == doubtful {
            event_kind::IN_DOUBT
        } else {
            event_kind::TAKEN_OVER
        };
        assert_eq!((last.kind.as_str(), last.fence), (word, Some(2)));
        assert_eq!(last.worker, other.worker());
    }
}

async fn only_new_words_enter_the_history(world: &World) {
    let ledger = world.open().await;
    let mut claim = held(&ledger, 1).await;
    let job = claim.job();
    for word in ["queued", "queued", "running"] {
        ledger
            .record_poll(&mut claim, PollRecord::new(word))
            .await
            .unwrap();
    }
    ledger
        .update_claims(vec![ClaimUpdate::polled(
            claim,
            PollRecord::new("running"),
            Due::Now,
        )])
        .await
        .unwrap();
    for word in ["notifying", "notifying"] {
        let claims = held_ones(ledger.claim_due(&[account()], 1).await.unwrap());
        for claim in claims {
            ledger
                .update_claims(vec![ClaimUpdate::polled(
                    claim,
                    PollRecord::new(word),
                    Due::Now,
                )])
                .await
                .unwrap();
        }
    }
    let events = ledger.events(job).await.unwrap();
    let polls: Vec<_> = events
        .iter()
        .filter(|e| e.kind == event_kind::POLLED)
        .map(|e| e.text.as_deref().unwrap())
        .collect();
    assert_eq!(polls, ["queued", "running", "notifying"]);
    assert_eq!(events.last().unwrap().fence, Some(2));
    assert_eq!(get(&ledger, job).await.polls, 6);
}

async fn parked_jobs_wait_for_their_name(world: &World) {
    let ledger = world.open().await;
    let unknown = ledger
        .record_in_doubt(&sending(&ledger, 1).await, Note::new("time-out"))
        .await
        .unwrap();
    let job = unknown.job();
    ledger.release(unknown, Due::Parked).await.unwrap();
    world.pass(LEASE * 1000);
    assert!(ledger.claim_due(&[account()], 10).await.unwrap().is_empty());
    assert_eq!(ledger.next_due(&[account()]).await.unwrap(), None);
    assert_eq!(get(&ledger, job).await.due, None);
    let claim = taken_unknown(&ledger, job).await;
    let _ = ledger
        .adopt(&claim, &remote("by-hand"), world.clock.wall(), Note::none())
        .await
        .unwrap();
    assert_eq!(
        words(&ledger, job).await,
        [
            event_kind::INTENDED,
            event_kind::SUBMITTING,
            event_kind::IN_DOUBT,
            event_kind::PARKED,
            event_kind::ADOPTED
        ]
    );
}

async fn a_push_wakes_a_known_job(world: &World) {
    let ledger = world.open().await;
    let claim = held(&ledger, 1).await;
    let job = claim.job();
    let far = Due::At(world.clock.wall() + LEASE * 100);
    ledger.release(claim, far).await.unwrap();
    assert_eq!(
        ledger
            .record_webhook("textin", &remote("remote-1"))
            .await
            .unwrap(),
        WebhookReceipt::Matched
    );
    let claim = held_ones(ledger.claim_due(&[account()], 1).await.unwrap())
        .pop()
        .unwrap();
    // While somebody has it, the push must not end the lease; it counts when the claim ends.
    assert_eq!(
        ledger
            .record_webhook("textin", &remote("remote-1"))
            .await
            .unwrap(),
        WebhookReceipt::Matched
    );
    assert!(matches!(
        ledger.claim(job).await.unwrap(),
        ClaimOutcome::Busy { .. }
    ));
    ledger
        .update_claims(vec![ClaimUpdate::polled(
            claim,
            PollRecord::new("running"),
            far,
        )])
        .await
        .unwrap();
    let claim = held_ones(ledger.claim_due(&[account()], 1).await.unwrap())
        .pop()
        .unwrap();
    ledger
        .update_claims(vec![ClaimUpdate::polled(
            claim,
            PollRecord::new("running"),
            far,
        )])
        .await
        .unwrap();
    assert!(ledger.claim_due(&[account()], 1).await.unwrap().is_empty());
    // Nothing happens to one that is settled.
    let over = done(&ledger, 2).await;
    assert_eq!(
        ledger
            .record_webhook("textin", &remote("remote-2"))
            .await
            .unwrap(),
        WebhookReceipt::Matched
    );
    assert_eq!(get(&ledger, over.id).await, over);
}

async fn an_early_push_is_kept_for_ten_minutes(world: &World) {
    let ledger = world.open().await;
    for (content, pause, is_early) in [(1u8, 599, true), (2, 601, false)] {
        let id = remote(&format!("remote-{content}"));
        assert_eq!(
            ledger.record_webhook("textin", &id).await.unwrap(),
            WebhookReceipt::Stored
        );
        assert_eq!(
            ledger.record_webhook("ppj", &id).await.unwrap(),
            WebhookReceipt::Stored
        );
        world.pass(Duration::from_secs(pause));
        let claim = held(&ledger, content).await;
        let job = claim.job();
        ledger
            .release(claim, Due::At(world.clock.wall() + LEASE * 100))
            .await
            .unwrap();
        let due = ledger.claim_due(&[account()], 1).await.unwrap();
        assert_eq!(due.len(), usize::from(is_early), "{pause} s");
        if let Some(claim) = held_ones(due).pop() {
            assert_eq!(claim.job(), job);
            ledger.release(claim, Due::Parked).await.unwrap();
        }
    }
}

async fn workers_share_a_rate(world: &World) {
    let workers = [world.open().await, world.open().await];
    let windows = [RateLimit {
        limit: 3.try_into().unwrap(),
        per: Duration::from_secs(1),
    }];
    let mut places = Vec::new();
    let mut waits = Vec::new();
    for turn in 0..6 {
        match workers[turn % 2]
            .acquire(account(), "poll", &windows)
            .await
            .unwrap()
        {
            Acquired::Granted(place) => places.push(place),
            Acquired::Wait(time) => waits.push(time),
        }
    }
    assert_eq!((places.len(), waits), (3, vec![Duration::from_secs(2); 3]));
    // Another action and another account have rates of their own.
    let other = Account::of("textin", "app-2");
    assert!(matches!(
        workers[0]
            .acquire(account(), "submit", &windows)
            .await
            .unwrap(),
        Acquired::Granted(_)
    ));
    assert!(matches!(
        workers[0].acquire(other, "poll", &windows).await.unwrap(),
        Acquired::Granted(_)
    ));
    world.pass(Duration::from_millis(100));
    workers[1]
        .record_response(account(), "poll", places.pop().unwrap())
        .await
        .unwrap();
    let Acquired::Wait(wait) = workers[0]
        .acquire(account(), "poll", &windows)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(wait, Duration::from_secs(1));
    world.pass(wait);
    assert!(matches!(
        workers[0]
            .acquire(account(), "poll", &windows)
            .await
            .unwrap(),
        Acquired::Granted(_)
    ));
    assert!(matches!(
        workers[1]
            .acquire(account(), "poll", &windows)
            .await
            .unwrap(),
        Acquired::Wait(_)
    ));
    assert!(matches!(
        workers[1].acquire(account(), "free", &[]).await.unwrap(),
        Acquired::Granted(_)
    ));
}

fn three_a_second() -> [RateLimit; 1] {
    [RateLimit {
        limit: 3.try_into().unwrap(),
        per: Duration::from_secs(1),
    }]
}

async fn places_of_a_dead_worker_are_free_again(world: &World) {
    let dead = world.open().await;
    let windows = three_a_second();
    let mut numbers = Vec::new();
    for _ in 0..3 {
        match dead.acquire(account(), "poll", &windows).await.unwrap() {
            Acquired::Granted(place) => numbers.push(place),
            Acquired::Wait(wait) => panic!("{wait:?}"),
        }
    }
    drop(dead);
    let ledger = world.open().await;
    world.pass(Duration::from_secs(2));
    for _ in 0..3 {
        let turn = ledger.acquire(account(), "poll", &windows).await.unwrap();
        assert!(matches!(turn, Acquired::Granted(_)), "{turn:?}");
    }
    // Its answers, should they come after all, give nobody a place.
    world.pass(Duration::from_millis(500));
    for number in numbers {
        ledger
            .record_response(account(), "poll", number)
            .await
            .unwrap();
    }
    world.pass(Duration::from_millis(1499));
    assert_eq!(
        ledger.acquire(account(), "poll", &windows).await.unwrap(),
        Acquired::Wait(Duration::from_millis(1))
    );
}

async fn workers_in_a_hurry_never_get_more_than_the_limit(world: &World) {
    let mut asking = Vec::new();
    for worker in 0..6 {
        let ledger = world.open().await;
        asking.push(tokio::spawn(async move {
            let mut granted = Vec::new();
            for _ in 0..4 {
                let turn = ledger.acquire(account(), "poll", &three_a_second()).await;
                if let Acquired::Granted(place) = turn.unwrap() {
                    if worker % 2 == 0 {
                        ledger
                            .record_response(account(), "poll", place)
                            .await
                            .unwrap();
                    }
                    granted.push(place);
                }
            }
            granted
        }));
    }
    let mut granted = Vec::new();
    for one in asking {
        granted.extend(one.await.unwrap());
    }
    granted.sort_unstable();
    assert_eq!(granted, [1, 2, 3]);
}

async fn paid_polls_stop_at_their_budget(world: &World) {
    let ledger = world.open().await;
    let claim = held(&ledger, 1).await;
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(ledger.spend_call(&claim, 3).await.unwrap());
    }
    assert_eq!(calls, [Some(1), Some(2), Some(3), None]);
    assert_eq!(get(&ledger, claim.job()).await.calls, 3);
}

async fn a_done_job_can_be_reopened(world: &World) {
    let ledger = world.open().await;
    let job = done(&ledger, 1).await;
    let elsewhere = Path::new("/elsewhere/result.md");
    let claim = ledger.reopen(job.id, Some(elsewhere)).await.unwrap();
    let reopened = ledger.get(job.id).await.unwrap().unwrap();
    assert_eq!(reopened.output.as_deref(), Some(elsewhere));
    assert_eq!(claim.fence(), 2);
    assert!(matches!(
        ledger.claim(job.id).await.unwrap(),
        ClaimOutcome::Busy { .. }
    ));
    assert!(
        matches!(ledger.intend(intent(1)).await.unwrap(), IntendOutcome::Attached(found) if found.id == job.id)
    );
    let claim = ledger
        .record_available(&claim, &json!({"url": "new"}), Note::none())
        .await
        .unwrap();
    ledger
        .complete(&claim, None, None, Note::none())
        .await
        .unwrap();
    let seen = words(&ledger, job.id).await;
    assert_eq!(
        seen[seen.len() - 3..],
        [
            event_kind::REOPENED,
            event_kind::AVAILABLE,
            event_kind::COMPLETED
        ]
    );
    assert_eq!(get(&ledger, job.id).await.attempts, 1);
}

async fn a_job_that_is_not_delivered_once_more_is_done_as_before(world: &World) {
    let ledger = world.open().await;
    let claim = ready(&ledger, 1).await;
    let place = Path::new("/out/a.md");
    ledger
        .complete(&claim, Some(place), Some([1; 32]), Note::none())
        .await
        .unwrap();
    let job = claim.job();
    assert!(!ledger.complete_again(job).await.unwrap(), "it is done");
    let claim = ledger.reopen(job, None).await.unwrap();
    let other = ledger.as_worker(world.clock.shared());
    assert!(!other.complete_again(job).await.unwrap(), "it is taken");
    ledger
        .park(claim.key(), ParkReason::Refused, Note::new("no such link"))
        .await
        .unwrap();
    assert!(other.complete_again(job).await.unwrap());
    let row = get(&ledger, job).await;
    assert_eq!((row.stage, row.parked), (Stage::Completed, None));
    assert_eq!(
        (row.output.as_deref(), row.sha256),
        (Some(place), Some([1; 32]))
    );
    assert_eq!((row.error, row.due, row.claimed), (None, None, false));
    // A process that was stopped for longer than its lease writes nothing.
    drop(ledger.reopen(job, None).await.unwrap());
    world.pass(Duration::from_secs(11));
    assert!(other.complete_again(job).await.unwrap());
    // What was never done is not done now.
    let accepted = held(&ledger, 2).await;
    let job = accepted.job();
    ledger.release(accepted, Due::Now).await.unwrap();
    assert!(!ledger.complete_again(job).await.unwrap());
    assert_eq!(get(&ledger, job).await.stage, Stage::Accepted);
}

async fn a_lapsed_link_leads_back_to_looking(world: &World) {
    let ledger = world.open().await;
    let claim = ledger
        .begin_download(&ready(&ledger, 1).await)
        .await
        .unwrap();
    let claim = ledger
        .record_link_expired(&claim, Note::new("HTTP 403"))
        .await
        .unwrap();
    assert_eq!(get(&ledger, claim.job()).await.stage, Stage::Accepted);
    let claim = ledger
        .record_available(&claim, &json!({"url": "newer"}), Note::none())
        .await
        .unwrap();
    let job = get(&ledger, claim.job()).await;
    assert_eq!(job.result, Some(json!({"url": "newer"})));
    ledger
        .record_gone(&claim, Note::new("kept 24 h only"))
        .await
        .unwrap();
    let job = get(&ledger, claim.job()).await;
    assert_eq!(
        (job.stage, job.error.as_deref()),
        (Stage::Gone, Some("kept 24 h only"))
    );
}

async fn lists_come_in_pages_and_by_filter(world: &World) {
    let ledger = world.open().await;
    for content in 0..7u8 {
        // Two at the same time each, so that the order must not rest on the time alone.
        if content % 2 == 0 {
            world.pass(Duration::from_secs(1));
        }
        wanted(&ledger, content).await.0.key();
    }
    let other = Intent::new("ppj", "conversion", Account::of("ppj", "k"), [1; 32]);
    let IntendOutcome::New(claim, foreign) = ledger.intend(other).await.unwrap() else {
        panic!()
    };
    ledger.record_rejected(&claim, Note::none()).await.unwrap();

    let mut filter = JobFilter::all().with_limit(3);
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let page = ledger.list(&filter).await.unwrap();
        sizes.push(page.jobs.len());
        seen.extend(page.jobs);
        match page.next {
            Some(next) => filter = filter.after(next),
            None => break,
        }
    }
    assert_eq!(sizes, [3, 3, 2]);
    assert!(
        seen.windows(2)
            .all(|two| (two[0].created_at, two[0].id) > (two[1].created_at, two[1].id))
    );
    assert_eq!(
        seen.iter().map(|job| job.id).collect::<HashSet<_>>().len(),
        8
    );
    for (filter, count) in [
        (JobFilter::unfinished(), 7),
        (JobFilter::all().with_stages([Stage::Rejected]), 1),
        (JobFilter::all().with_vendor("ppj"), 1),
        (JobFilter::all().with_vendor("textin").with_kind("parse"), 7),
        (JobFilter::all().with_kind("nothing"), 0),
        (JobFilter::all().with_account(foreign.account), 1),
        (JobFilter::unfinished().with_account(foreign.account), 0),
    ] {
        assert_eq!(
            ledger.list(&filter).await.unwrap().jobs.len(),
            count,
            "{filter:?}"
        );
    }
}

async fn a_job_is_found_by_either_id(world: &World) {
    let ledger = world.open().await;
    let claim = held(&ledger, 1).await;
    for text in [
        claim.job().to_string(),
        claim.job().to_string().to_uppercase(),
        " remote-1 ".into(),
    ] {
        let found = ledger.find(&text).await.unwrap();
        assert_eq!(
            found.iter().map(|job| job.id).collect::<Vec<_>>(),
            [claim.job()],
            "{text}"
        );
    }
    assert!(ledger.find("remote-\0 2").await.unwrap().is_empty());
    // A vendor's id that looks like one of ours.
    let sent = sending(&ledger, 2).await;
    let id = remote(&claim.job().to_string());
    let _ = ledger
        .record_accepted(&sent, &id, world.clock.wall(), Note::none())
        .await
        .unwrap();
    let found = ledger.find(id.as_str()).await.unwrap();
    assert_eq!(
        found.iter().map(|job| job.id).collect::<Vec<_>>(),
        [claim.job(), sent.job()]
    );
}

/// The histories of all jobs, whether or not every reader would see them yet.
async fn histories(ledger: &Ledger) -> Vec<JobEvent> {
    let mut all = Vec::new();
    for job in ledger.list(&JobFilter::all()).await.unwrap().jobs {
        all.extend(ledger.events(job.id).await.unwrap());
    }
    all
}

/// On PostgreSQL an event shows up when older transactions have ended, those of other tests too.
async fn streamed(ledger: &Ledger, after: EventCursor, count: usize) -> Vec<StreamedEvent> {
    for _ in 0..10_000 {
        let events = ledger.events_after(after, count).await.unwrap();
        if events.len() >= count {
            return events;
        }
    }
    panic!("the events do not show up");
}

async fn the_history_of_all_jobs_is_read_behind_a_cursor(world: &World) {
    let (writer, reader) = (world.open().await, world.open().await);
    let kinds = |events: &[StreamedEvent]| -> Vec<String> {
        events.iter().map(|it| it.event.kind.clone()).collect()
    };
    let claim = held(&writer, 1).await;
    let first = streamed(&reader, EventCursor::START, 2).await;
    assert_eq!(
        kinds(&first),
        [event_kind::INTENDED, event_kind::SUBMITTING]
    );
    assert_eq!(first[0].stage, Some(Stage::Accepted));
    assert_eq!(first[0].vendor.as_deref(), Some("textin"));
    // Nothing is used up by reading, and a cursor survives as text.
    let cursor: EventCursor = first[1].cursor.to_string().parse().unwrap();
    for _ in 0..2 {
        let rest = streamed(&reader, cursor, 1).await;
        assert_eq!(kinds(&rest), [event_kind::ACCEPTED]);
        assert_eq!(
            reader.events_after(rest[0].cursor, 10).await.unwrap(),
            Vec::new()
        );
    }
    let end = reader.event_cursor().await.unwrap();
    assert_eq!(reader.events_after(end, 10).await.unwrap(), Vec::new());
    writer
        .record_failed(&claim, Note::new("bad pdf"))
        .await
        .unwrap();
    let next = streamed(&reader, end, 1).await;
    assert_eq!(kinds(&next), [event_kind::FAILED]);
    assert_eq!(next[0].event.job, claim.job());
    assert_eq!(writer.events(claim.job()).await.unwrap().len(), 4);
}

async fn old_settled_jobs_are_pruned_and_stay_bought(world: &World) {
    let ledger = world.open().await;
    let old = done(&ledger, 1).await;
    let doubt = ledger
        .record_in_doubt(&sending(&ledger, 2).await, Note::none())
        .await
        .unwrap();
    let open = held(&ledger, 3).await;
    world.pass(Duration::from_secs(3600));
    let young = done(&ledger, 4).await;
    assert_eq!(ledger.prune(Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(ledger.prune(Duration::from_secs(3599)).await.unwrap(), 1);
    assert_eq!(ledger.prune(Duration::from_secs(3599)).await.unwrap(), 0);
    let pruned = get(&ledger, old.id).await;
    assert_eq!(
        (&pruned.options, &pruned.request),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (pruned.stage, &pruned.output, &pruned.remote_id),
        (Stage::Completed, &old.output, &old.remote_id)
    );
    assert!(ledger.events(old.id).await.unwrap().is_empty());
    for kept in [doubt.job(), open.job(), young.id] {
        assert!(ledger.get(kept).await.unwrap().is_some());
        assert!(!ledger.events(kept).await.unwrap().is_empty());
    }
    // The same input stays bought, and can be bought again.
    assert_eq!(attached(&ledger, 1).await.id, old.id);
    let same = ledger.find_same(&[intent(1)]).await.unwrap();
    assert_eq!(same[0].as_ref().map(|job| job.id), Some(old.id));
    let again = ledger.intend(intent(1).again_of(old.id)).await.unwrap();
    assert!(matches!(again, IntendOutcome::New(..)));
}

async fn values_are_kept_for_each_account(world: &World) {
    let ledger = world.open().await;
    ledger.put_value(account(), "pace", "one").await.unwrap();
    ledger.put_value(account(), "pace", "two").await.unwrap();
    let other = Account::of("ppj", "x");
    assert_eq!(
        ledger
            .get_value(account(), "pace")
            .await
            .unwrap()
            .as_deref(),
        Some("two")
    );
    assert_eq!(ledger.get_value(other, "pace").await.unwrap(), None);
    assert_eq!(ledger.get_value(account(), "rest").await.unwrap(), None);
}

async fn a_ticket_from_elsewhere_is_taken_in_once(world: &World) {
    let ledger = world.open().await;
    let ticket = Ticket::new(
        "textin",
        "parse",
        account(),
        world.clock.wall(),
        remote("far"),
    )
    .unwrap();
    let job = ledger
        .import(&ticket, Some(Path::new("/out/far.md")))
        .await
        .unwrap();
    assert_eq!(
        (job.stage, job.claimed, job.due),
        (Stage::Accepted, false, Some(world.clock.wall()))
    );
    assert_eq!(job.ticket(), Some(ticket.clone()));
    assert_eq!(ledger.import(&ticket, None).await.unwrap(), job);
    let claim = held_ones(ledger.claim_due(&[account()], 10).await.unwrap())
        .pop()
        .unwrap();
    assert_eq!(claim.job(), job.id);
    // A job that was submitted here is known by its ticket as well.
    let ours = held(&ledger, 1).await;
    let ticket = get(&ledger, ours.job()).await.ticket().unwrap();
    assert_eq!(ledger.import(&ticket, None).await.unwrap().id, ours.job());
}

async fn names_and_paths_that_cannot_be_kept_are_refused(world: &World) {
    let ledger = world.open().await;
    for intent in [
        Intent::new("Text In", "parse", account(), [0; 32]),
        Intent::new("textin", "", account(), [0; 32]),
        intent(0).with_output("a\0b"),
        #[cfg(unix)]
        intent(0).with_input_path(
            <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff.pdf"),
        ),
    ] {
        let problem = ledger.intend(intent).await.unwrap_err();
        assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{problem}");
    }
    assert!(
        ledger
            .list(&JobFilter::all())
            .await
            .unwrap()
            .jobs
            .is_empty()
    );
}

async fn odd_texts_are_kept_as_one_line(world: &World) {
    let ledger = world.open().await;
    let odd = Intent::new("textin", "parse", account(), [1; 32])
        .with_input("报告\n\0'\"; DROP TABLE job;--.pdf")
        .with_options(json!({"note": "a\u{0}b\n'\"", "numbers": [1.5, -0.0, 1e300]}));
    let IntendOutcome::New(claim, job) = ledger.intend(odd.clone()).await.unwrap() else {
        panic!()
    };
    assert_eq!(job.input, "报告  '\"; DROP TABLE job;--.pdf");
    assert_eq!(job.options, odd.options);
    let sent = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let note = Note::new("bad\0\r\nnews").with_request_id(Some("a\0b"));
    let mut claim = ledger
        .record_accepted(&sent, &remote("'\"%00"), world.clock.wall(), note)
        .await
        .unwrap();
    ledger
        .record_poll(&mut claim, PollRecord::new("wo\0rd\n"))
        .await
        .unwrap();
    let job_id = claim.job();
    ledger
        .update_claims(vec![ClaimUpdate::polled(
            claim,
            PollRecord::new("\0[\"x\",\\"),
            Due::Now,
        )])
        .await
        .unwrap();
    let found = get(&ledger, job_id).await;
    assert_eq!(found.vendor_status.as_deref(), Some("[\"x\",\\"));
    assert_eq!(found.remote_id, Some(remote("'\"%00")));
    let claim = taken_held(&ledger, job_id).await;
    let claim = ledger
        .record_available(&claim, &json!({"t": "\u{0}"}), Note::none())
        .await
        .unwrap();
    ledger
        .complete(&claim, Some(Path::new("/a\0b")), None, Note::none())
        .await
        .unwrap();
    assert_eq!(
        get(&ledger, job_id).await.output.as_deref(),
        Some(Path::new("/ab"))
    );
}

async fn many_wishes_at_once_make_one_job(world: &World) {
    let ledgers = [world.open().await, world.open().await, world.open().await];
    let mut tasks = Vec::new();
    for turn in 0..30 {
        let ledger = ledgers[turn % 3].clone();
        tasks.push(tokio::spawn(async move {
            match ledger.intend(intent(1)).await.unwrap() {
                IntendOutcome::New(_, job) => (true, job.id),
                IntendOutcome::Attached(job) => (false, job.id),
            }
        }));
    }
    let mut ids = HashSet::new();
    let mut new = 0;
    for task in tasks {
        let (is_new, id) = task.await.unwrap();
        new += usize::from(is_new);
        ids.insert(id);
    }
    assert_eq!((new, ids.len()), (1, 1));
}

async fn many_workers_share_the_due_jobs(world: &World) {
    let ledger = world.open().await;
    for content in 0..40u8 {
        let (claim, _) = wanted(&ledger, content).await;
        ledger.release(claim, Due::Now).await.unwrap();
    }
    let others = [
        world.open().await,
        world.open().await,
        world.open().await,
        world.open().await,
    ];
    let mut tasks = Vec::new();
    for worker in others {
        tasks.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let batch = worker.claim_due(&[account()], 3).await.unwrap();
                if batch.is_empty() {
                    return mine;
                }
                mine.extend(batch.iter().map(|claimed| claimed.job().id));
            }
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    assert_eq!(all.len(), 40);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 40);
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..20_000 {
        if check().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

async fn a_keeper_renews_until_the_claim_is_lost(world: &World) {
    let (ours, theirs) = (world.open().await, world.open().await);
    let claim = sending(&ours, 1).await;
    let mut keeper = ours.heartbeat(&claim);
    for _ in 0..5 {
        let due = get(&ours, claim.job()).await.due;
        until("asleep", async || world.clock.next_sleep().is_some()).await;
        world.pass(LEASE / 3 + Duration::from_micros(1));
        until("renewed", async || get(&ours, claim.job()).await.due > due).await;
    }
    assert!(matches!(
        theirs.claim(claim.job()).await.unwrap(),
        ClaimOutcome::Busy { .. }
    ));
    assert!(!keeper.is_lost());
    // As if this process had been stopped: another clock, well ahead, takes the job over.
    let ahead = jobs_core::testing::ManualClock::new();
    ahead.move_to(world.clock.now() + LEASE * 2);
    taken_unknown(&theirs.as_worker(ahead.shared()), claim.job())
        .await
        .key();
    until("asleep", async || world.clock.next_sleep().is_some()).await;
    world.pass(LEASE / 3 + Duration::from_micros(1));
    keeper.lost().await;
    assert!(keeper.is_lost());
    assert_eq!(get(&ours, claim.job()).await.stage, Stage::InDoubt);
}

async fn waiting_workers_are_notified(world: &World) {
    let ledger = world.open().await;
    // Another process on PostgreSQL; a file only tells its own process.
    let waiter = if world.is_sqlite() {
        ledger.clone()
    } else {
        world.open().await
    };
    let far = world.clock.now() + Duration::from_secs(3600);
    let waiting = tokio::spawn(async move { waiter.wait_for_work(far).await });
    let mut content = 0;
    until("nudged", async || {
        // Again and again, because the listener may not listen yet.
        content += 1;
        let (claim, _) = wanted(&ledger, content % 200).await;
        ledger.record_rejected(&claim, Note::none()).await.unwrap();
        let (claim, _) = wanted(&ledger, content % 200).await;
        let job = claim.job();
        ledger.release(claim, Due::Now).await.unwrap();
        if let ClaimOutcome::Claimed(Claimed::Intended(claim, _)) = ledger.claim(job).await.unwrap()
        {
            ledger.record_rejected(&claim, Note::none()).await.unwrap();
        }
        waiting.is_finished()
    })
    .await;
    waiting.await.unwrap();
    assert_eq!(world.clock.now().since_start(), Duration::ZERO);
}

async fn a_dropped_write_is_written_all_the_same(world: &World) {
    let ledger = world.open().await;
    let claim = sending(&ledger, 1).await;
    let job = claim.job();
    {
        let id = remote("kept");
        let writing = ledger.record_accepted(&claim, &id, SystemTime::UNIX_EPOCH, Note::none());
        let mut writing = std::pin::pin!(writing);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(writing.as_mut().poll(&mut cx).is_pending());
    }
    until("written", async || {
        get(&ledger, job).await.stage == Stage::Accepted
    })
    .await;
}

async fn the_check_counts(world: &World) {
    let ledger = world.open().await;
    held(&ledger, 1).await.key();
    done(&ledger, 2).await;
    let check = ledger.check().await.unwrap();
    assert_eq!((check.jobs, check.unfinished), (2, 1));
    let name = if world.is_sqlite() {
        "sqlite"
    } else {
        "postgres"
    };
    assert_eq!((check.store, check.schema), (name, 3));
    assert_eq!(check.clock_off.is_some(), !world.is_sqlite());
    ledger.close().await;
    let closed = ledger.intend(intent(3)).await.unwrap_err();
    assert_eq!(closed.kind(), LedgerErrorKind::Unavailable, "{closed}");
}

async fn a_worker_whose_clock_is_behind_writes_nothing_stale(world: &World) {
    let behind = jobs_core::testing::ManualClock::new();
    world.pass(Duration::from_secs(300));
    let (other, slow) = (
        world.open().await,
        world.open().await.as_worker(Arc::new(behind)),
    );
    let waiting = held(&other, 1).await;
    other.release(waiting, Due::Now).await.unwrap();
    let mut stale = held(&slow, 2).await;
    // What is due by its clock is due for nobody else yet, and its leases are over before they begin.
    assert!(slow.claim_due(&[account()], 10).await.unwrap().is_empty());
    assert_eq!(other.claim_due(&[account()], 10).await.unwrap().len(), 2);
    let problem = slow
        .record_poll(&mut stale, PollRecord::new("x"))
        .await
        .unwrap_err();
    assert!(problem.is_claim_lost());
    assert_eq!(get(&other, stale.job()).await.polls, 0);
}

async fn a_worker_whose_clock_is_ahead_cannot_undo_the_answer(world: &World) {
    let ledger = world.open().await;
    let ahead = jobs_core::testing::ManualClock::new();
    ahead.advance(Duration::from_secs(300));
    let hasty = world.open().await.as_worker(Arc::new(ahead));
    let claim = sending(&ledger, 1).await;
    // It takes the living worker's lease for over, and the call for lost.
    let search = taken_unknown(&hasty, claim.job()).await;
    hasty.release(search, Due::Parked).await.unwrap();
    let now = world.clock.wall();
    let claim = ledger
        .record_accepted(&claim, &remote("r"), now, Note::none())
        .await
        .unwrap();
    assert_eq!(get(&ledger, claim.job()).await.stage, Stage::Accepted);
    assert_eq!(get(&ledger, claim.job()).await.attempts, 1);
}

fn news(outcomes: &[RecordedIntent]) -> Vec<Option<LedgerId>> {
    let new = |outcome: &RecordedIntent| match outcome {
        RecordedIntent::New(id) => Some(*id),
        RecordedIntent::Attached(_) => None,
    };
    outcomes.iter().map(new).collect()
}

async fn many_intents_are_recorded_at_once_and_claimed_by_nobody(world: &World) {
    let (ours, theirs) = (world.open().await, world.open().await);
    let (_, known) = wanted(&theirs, 2).await;
    let outcomes = ours
        .intend_all(vec![intent(1), intent(2), intent(3), intent(1)])
        .await
        .unwrap();
    let new = news(&outcomes);
    assert!(new[0].is_some() && new[2].is_some() && new[0] != new[2]);
    match &outcomes[1] {
        RecordedIntent::Attached(job) => assert_eq!(job.id, known.id),
        other => panic!("{other:?}"),
    }
    match &outcomes[3] {
        RecordedIntent::Attached(job) => assert_eq!(Some(job.id), new[0]),
        other => panic!("{other:?}"),
    }
    let job = ours.get(new[0].unwrap()).await.unwrap().unwrap();
    assert_eq!((job.stage, job.claimed), (Stage::Intended, false));
    assert_eq!(job.output.as_deref(), Some(Path::new("/out/report.md")));
    let events = ours.events(job.id).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, [event_kind::INTENDED]);
    // Any worker takes them up, and each once.
    let due = theirs.claim_due(&[account()], 10).await.unwrap();
    assert_eq!(due.len(), 2);
    assert!(ours.claim_due(&[account()], 10).await.unwrap().is_empty());
    // Again is another job, to which the same input attaches from then on.
    let again = ours.intend_all(vec![intent(1).again()]).await.unwrap();
    let again = news(&again)[0].unwrap();
    assert_ne!(Some(again), new[0]);
    assert_eq!(attached(&theirs, 1).await.id, again);
}

async fn of_many_intents_all_are_recorded_or_none(world: &World) {
    let ledger = world.open().await;
    let bad = Intent::new("TextIn", "parse", account(), [3; 32]);
    let refused = ledger.intend_all(vec![intent(1), bad]).await.unwrap_err();
    assert_eq!(refused.kind(), LedgerErrorKind::InvalidInput);
    assert!(
        ledger
            .list(&JobFilter::all())
            .await
            .unwrap()
            .jobs
            .is_empty()
    );
    assert!(ledger.intend_all(Vec::new()).await.unwrap().is_empty());
}

async fn the_same_jobs_are_found_without_a_write(world: &World) {
    let ledger = world.open().await;
    let (_, first) = wanted(&ledger, 1).await;
    let finished = done(&ledger, 2).await;
    let other = intent(1).with_options(json!({ "pages": "2" }));
    let found = ledger
        .find_same(&[intent(2), intent(9), intent(1), other])
        .await
        .unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|job| job.as_ref().map(|job| job.id))
        .collect();
    assert_eq!(found, [Some(finished.id), None, Some(first.id), None]);
    assert!(ledger.find_same(&[]).await.unwrap().is_empty());
}

async fn a_place_is_given_to_unsettled_jobs_that_have_none(world: &World) {
    let ledger = world.open().await;
    let bare = Intent::new("textin", "parse", account(), [7; 32]);
    let outcomes = ledger.intend_all(vec![bare, intent(1)]).await.unwrap();
    let ids: Vec<LedgerId> = news(&outcomes).into_iter().flatten().collect();
    let finished = done(&ledger, 2).await;
    let place = |id| (id, std::path::PathBuf::from("/new/place.md"));
    let given = ledger
        .set_outputs(&[place(ids[0]), place(ids[1]), place(finished.id)])
        .await
        .unwrap();
    assert_eq!(given, 1);
    let output = async |id| ledger.get(id).await.unwrap().unwrap().output;
    assert_eq!(
        output(ids[0]).await.as_deref(),
        Some(Path::new("/new/place.md"))
    );
    assert_eq!(
        output(ids[1]).await.as_deref(),
        Some(Path::new("/out/report.md"))
    );
    assert_ne!(
        output(finished.id).await.as_deref(),
        Some(Path::new("/new/place.md"))
    );
}

async fn many_jobs_are_claimed_by_their_ids_at_once(world: &World) {
    let (ours, theirs) = (world.open().await, world.open().await);
    let outcomes = ours.intend_all(vec![intent(1), intent(3)]).await.unwrap();
    let ids: Vec<LedgerId> = news(&outcomes).into_iter().flatten().collect();
    let finished = done(&ours, 2).await;
    let taken = theirs.claim_all(&[ids[1]]).await.unwrap();
    assert!(matches!(&taken[..], [ClaimOutcome::Claimed(_)]));
    let claimed = ours
        .claim_all(&[ids[0], finished.id, ids[1]])
        .await
        .unwrap();
    match &claimed[..] {
        [
            ClaimOutcome::Claimed(Claimed::Intended(claim, _)),
            ClaimOutcome::Settled(job),
            ClaimOutcome::Busy { job: busy, .. },
        ] => assert_eq!(
            (claim.job(), job.id, busy.id),
            (ids[0], finished.id, ids[1])
        ),
        other => panic!("{other:?}"),
    }
    let unknown: LedgerId = "zzzzzzzzzz".parse().unwrap();
    let refused = theirs.claim_all(&[unknown]).await.unwrap_err();
    assert_eq!(refused.kind(), LedgerErrorKind::NotFound);
}

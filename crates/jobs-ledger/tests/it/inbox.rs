//! Webhooks, workers and what else the processes of a ledger tell each other.

use std::collections::HashSet;
use std::time::Duration;

use jobs_core::JobId;
use jobs_core::vendor::{Account, Acquired, RateLimit};
use jobs_ledger::{
    BulkAction, BulkOutcome, Claim, Due, Estimate, FileIdentity, IntendOutcome, Intent, JobFilter,
    Ledger, LedgerErrorKind, LedgerId, Note, ParkReason, PollRecord, Stage, WebhookCall,
    WebhookFilter, WebhookTrust, WebhookVerdict, at, event_kind,
};
use serde_json::json;

use crate::world::World;

conformance! {
    each_call_gets_its_verdict_and_brings_the_poll_forward
    a_call_that_comes_before_the_answer_is_early
    what_is_not_verified_is_capped_by_the_day_and_then_counted
    rows_are_listed_by_each_condition_and_pruned
    a_claimed_job_tells_its_worker_that_a_poll_is_wanted
    workers_are_listed_as_long_as_they_report_themselves
    the_use_of_a_rate_is_shown
    shared_values_are_the_same_for_all
    an_action_on_many_jobs_counts_them_first
    more_paid_polls_are_allowed_and_never_fewer
    again_of_a_job_buys_once_however_often_it_is_asked
    a_run_buys_once_under_its_name
    what_may_have_been_bought_is_not_bought_again
    a_request_that_bought_nothing_buys_anew
    files_are_known_again_until_they_change
    what_is_bought_with_one_key_of_a_joined_account_is_bought_with_each
    who_did_it_is_in_the_history
    a_restored_ledger_submits_nothing_until_it_is_recovered
}

fn account() -> Account {
    Account::of("textin", "app-1")
}

fn intent(content: u8) -> Intent {
    Intent::new("textin", "parse", account(), [content; 32])
}

async fn intended(ledger: &Ledger, content: u8) -> Claim<at::Intended> {
    match ledger.intend(intent(content)).await.unwrap() {
        IntendOutcome::New(claim, _) => claim,
        IntendOutcome::Attached(job) => panic!("attached to {job:?}"),
    }
}

async fn submitting(ledger: &Ledger, content: u8) -> Claim<at::Submitting> {
    let claim = intended(ledger, content).await;
    let asked = ledger.begin_submit(claim, Estimate::Free).await.unwrap();
    asked.granted().unwrap()
}

async fn accepted(ledger: &Ledger, content: u8) -> Claim<at::Accepted> {
    let claim = submitting(ledger, content).await;
    accept(ledger, &claim, content).await
}

async fn accept(
    ledger: &Ledger,
    claim: &Claim<at::Submitting>,
    content: u8,
) -> Claim<at::Accepted> {
    let now = ledger.clock().wall();
    ledger
        .record_accepted(claim, &remote(content), now, Note::none())
        .await
        .unwrap()
}

async fn waiting(ledger: &Ledger, content: u8) -> LedgerId {
    let claim = accepted(ledger, content).await;
    let id = claim.job();
    let later = ledger.clock().wall() + Duration::from_secs(600);
    ledger.release(claim, Due::At(later)).await.unwrap();
    id
}

fn remote(content: u8) -> JobId {
    JobId::new(format!("remote-{content}")).unwrap()
}

fn call(content: u8, body: &str, trust: WebhookTrust) -> WebhookCall {
    WebhookCall::new("textin", Some(remote(content)), body, trust)
}

async fn due_now(ledger: &Ledger, job: LedgerId) -> bool {
    let due = ledger.get(job).await.unwrap().unwrap().due;
    due.is_some_and(|due| due <= ledger.clock().wall())
}

async fn each_call_gets_its_verdict_and_brings_the_poll_forward(world: &World) {
    use WebhookTrust::{Forged, Signed, Unsigned};
    use WebhookVerdict as V;
    let ledger = world.open().await;
    let (one, two) = (waiting(&ledger, 1).await, waiting(&ledger, 2).await);
    let verdicts = ledger
        .record_webhooks(vec![
            call(1, "a", Forged),
            call(1, "a", Unsigned),
            call(1, "a", Unsigned),
            call(9, "a", Signed),
            WebhookCall::new("textin", None, "a", Signed),
            WebhookCall::new("ppj", Some(remote(1)), "a", Signed),
        ])
        .await
        .unwrap();
    let expected = [
        V::Forged,
        V::Unsigned,
        V::Duplicate,
        V::UnknownJob,
        V::UnknownJob,
        V::UnknownJob,
    ];
    assert_eq!(verdicts, expected);
    assert!(due_now(&ledger, one).await);
    assert!(!due_now(&ledger, two).await);
    // Forged and said before: neither does anything, in a later batch too.
    let again = vec![call(2, "b", Forged), call(1, "a", Unsigned)];
    let verdicts = ledger.record_webhooks(again).await.unwrap();
    assert_eq!(verdicts, [V::Forged, V::Duplicate]);
    assert!(!due_now(&ledger, two).await);
    let verdicts = ledger.record_webhooks(vec![call(2, "b", Signed)]).await;
    assert_eq!(verdicts.unwrap(), [V::Verified]);
    assert!(due_now(&ledger, two).await);
    let rows = ledger.webhooks(&WebhookFilter::all()).await.unwrap();
    assert_eq!(rows.len(), 9);
    assert_eq!(
        (rows[0].job, rows[0].verdict, rows[0].body.as_str()),
        (Some(two), Some(V::Verified), "b")
    );
    assert_eq!((rows[8].verdict, rows[8].job), (Some(V::Forged), None));
    assert!(ledger.record_webhooks(Vec::new()).await.unwrap().is_empty());
}

async fn a_call_that_comes_before_the_answer_is_early(world: &World) {
    let ledger = world.open().await;
    let claim = submitting(&ledger, 1).await;
    let verdicts = ledger.record_webhooks(vec![call(1, "a", WebhookTrust::Unsigned)]);
    assert_eq!(verdicts.await.unwrap(), [WebhookVerdict::UnknownJob]);
    world.pass(Duration::from_secs(9));
    let claim = accept(&ledger, &claim, 1).await;
    let id = claim.job();
    let later = ledger.clock().wall() + Duration::from_secs(600);
    ledger.release(claim, Due::At(later)).await.unwrap();
    assert!(due_now(&ledger, id).await);
    let rows = ledger.webhooks(&WebhookFilter::all()).await.unwrap();
    assert_eq!(
        (rows[0].verdict, rows[0].job),
        (Some(WebhookVerdict::Early), Some(id))
    );
    let counts = ledger.webhook_counts(1).await.unwrap();
    let brief: Vec<_> = counts.iter().map(|it| (it.verdict, it.calls)).collect();
    assert_eq!(
        brief,
        [(WebhookVerdict::Early, 1), (WebhookVerdict::UnknownJob, 0)]
    );
    // Ten minutes later it is not that job's any more.
    let claim = submitting(&ledger, 2).await;
    let call = vec![call(2, "a", WebhookTrust::Unsigned)];
    ledger.record_webhooks(call).await.unwrap();
    world.pass(Duration::from_secs(601));
    let claim = accept(&ledger, &claim, 2).await;
    let id = claim.job();
    let later = ledger.clock().wall() + Duration::from_secs(600);
    ledger.release(claim, Due::At(later)).await.unwrap();
    assert!(!due_now(&ledger, id).await);
}

async fn what_is_not_verified_is_capped_by_the_day_and_then_counted(world: &World) {
    let ledger = world.open().await;
    waiting(&ledger, 1).await;
    let many = |trust| {
        let calls = (0..1050).map(|number| call(1, &number.to_string(), trust));
        calls.collect::<Vec<_>>()
    };
    ledger
        .record_webhooks(many(WebhookTrust::Forged))
        .await
        .unwrap();
    let verified = ledger.record_webhooks(many(WebhookTrust::Signed)).await;
    assert!(
        verified
            .unwrap()
            .iter()
            .all(|it| *it == WebhookVerdict::Verified)
    );
    let rows = async |verdict| {
        let mut filter = WebhookFilter::all();
        filter.verdict = Some(verdict);
        filter.limit = 5000;
        ledger.webhooks(&filter).await.unwrap().len()
    };
    assert_eq!(rows(WebhookVerdict::Forged).await, 1000);
    assert_eq!(rows(WebhookVerdict::Verified).await, 1050);
    ledger
        .count_webhooks("textin", WebhookVerdict::Forged, 5)
        .await
        .unwrap();
    let counts = ledger.webhook_counts(1).await.unwrap();
    assert_eq!(counts[0].calls, 1055);
    world.pass(Duration::from_secs(24 * 3600));
    ledger
        .record_webhooks(vec![call(1, "tomorrow", WebhookTrust::Forged)])
        .await
        .unwrap();
    assert_eq!(rows(WebhookVerdict::Forged).await, 1001);
}

async fn rows_are_listed_by_each_condition_and_pruned(world: &World) {
    let ledger = world.open().await;
    let one = waiting(&ledger, 1).await;
    waiting(&ledger, 2).await;
    let calls = vec![
        call(1, "a", WebhookTrust::Signed),
        call(2, "a", WebhookTrust::Unsigned),
        WebhookCall::new("ppj", Some(remote(1)), "c", WebhookTrust::Signed),
        call(1, "d", WebhookTrust::Signed),
    ];
    ledger.record_webhooks(calls).await.unwrap();
    let found = async |edit: fn(&mut WebhookFilter, LedgerId)| -> Vec<String> {
        let mut filter = WebhookFilter::all();
        edit(&mut filter, one);
        let rows = ledger.webhooks(&filter).await.unwrap();
        rows.into_iter().map(|row| row.body).collect()
    };
    assert_eq!(found(|it, _| it.limit = 1).await, ["d"]);
    assert_eq!(found(|it, one| it.job = Some(one)).await, ["d", "a"]);
    assert_eq!(
        found(|it, _| it.vendor = Some("ppj".to_owned())).await,
        ["c"]
    );
    let unsigned = Some(WebhookVerdict::Unsigned);
    assert_eq!(
        found(|it, _| it.verdict = Some(WebhookVerdict::Unsigned))
            .await
            .len(),
        1
    );
    let mut filter = WebhookFilter::all();
    filter.verdict = unsigned;
    filter.vendor = Some("ppj".to_owned());
    assert_eq!(ledger.webhooks(&filter).await.unwrap(), []);
    let mut filter = WebhookFilter::all();
    filter.limit = 3;
    let page = ledger.webhooks(&filter).await.unwrap();
    filter.after = Some(page[2].seq);
    let rest = ledger.webhooks(&filter).await.unwrap();
    assert_eq!((page.len(), rest.len()), (3, 1));
    world.pass(Duration::from_secs(31 * 24 * 3600));
    ledger
        .record_webhooks(vec![call(1, "new", WebhookTrust::Signed)])
        .await
        .unwrap();
    assert_eq!(found(|_, _| {}).await, ["new"]);
}

async fn a_claimed_job_tells_its_worker_that_a_poll_is_wanted(world: &World) {
    let (worker, other) = (world.open().await, world.open().await);
    let mut claim = accepted(&worker, 1).await;
    assert_eq!(worker.take_poll_requests().await.unwrap(), []);
    let note = Note::none().by("alice");
    assert!(other.poll_soon(claim.job(), note).await.unwrap());
    assert_eq!(other.take_poll_requests().await.unwrap(), []);
    assert_eq!(worker.take_poll_requests().await.unwrap(), [claim.job()]);
    assert_eq!(worker.take_poll_requests().await.unwrap(), []);
    let call = vec![call(1, "a", WebhookTrust::Signed)];
    other.record_webhooks(call).await.unwrap();
    assert_eq!(worker.take_poll_requests().await.unwrap(), [claim.job()]);
    worker
        .record_poll(&mut claim, PollRecord::new("running"))
        .await
        .unwrap();
    let intended = intended(&worker, 2).await;
    assert!(!other.poll_soon(intended.job(), Note::none()).await.unwrap());
    let nobody = "0000000000".parse().unwrap();
    let problem = other.poll_soon(nobody, Note::none()).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::NotFound);
}

async fn workers_are_listed_as_long_as_they_report_themselves(world: &World) {
    let (one, two) = (world.open().await, world.open().await);
    one.worker_seen(3).await.unwrap();
    world.pass(Duration::from_secs(30));
    two.worker_seen(0).await.unwrap();
    one.worker_seen(4).await.unwrap();
    let seen = async || -> HashSet<(String, u64)> {
        let workers = one.workers().await.unwrap().into_iter();
        workers.map(|it| (it.id, it.jobs)).collect()
    };
    let both = [(one.worker().to_owned(), 4), (two.worker().to_owned(), 0)];
    assert_eq!(seen().await, HashSet::from(both));
    two.worker_stopped().await.unwrap();
    assert_eq!(seen().await.len(), 1);
    world.pass(Duration::from_secs(60));
    assert_eq!(seen().await.len(), 0);
}

async fn the_use_of_a_rate_is_shown(world: &World) {
    let ledger = world.open().await;
    let windows = [RateLimit {
        limit: 5.try_into().unwrap(),
        per: Duration::from_secs(1),
    }];
    for _ in 0..2 {
        let taken = ledger.acquire(account(), "submit", &windows).await.unwrap();
        assert!(matches!(taken, Acquired::Granted(_)));
    }
    waiting(&ledger, 1).await;
    let rates = ledger.rates().await.unwrap();
    assert_eq!(rates.len(), 1);
    let rate = &rates[0];
    assert_eq!(
        (rate.vendor.as_deref(), rate.action.as_str(), rate.per),
        (Some("textin"), "submit", Duration::from_secs(1))
    );
    assert_eq!((rate.used, rate.limit), (2, 5));
    world.pass(Duration::from_secs(3));
    assert_eq!(ledger.rates().await.unwrap(), []);
}

async fn shared_values_are_the_same_for_all(world: &World) {
    let (one, two) = (world.open().await, world.open().await);
    assert_eq!(one.get_shared("secret").await.unwrap(), None);
    assert_eq!(one.get_or_put_shared("secret", "a").await.unwrap(), "a");
    assert_eq!(two.get_or_put_shared("secret", "b").await.unwrap(), "a");
    two.put_shared("secret", "c").await.unwrap();
    assert_eq!(
        one.get_shared("secret").await.unwrap().as_deref(),
        Some("c")
    );
    one.remove_shared("secret").await.unwrap();
    assert_eq!(two.get_shared("secret").await.unwrap(), None);
}

async fn an_action_on_many_jobs_counts_them_first(world: &World) {
    let ledger = world.open().await;
    for content in 1..=3 {
        let claim = accepted(&ledger, content).await;
        let parked = ledger.park(claim.key(), ParkReason::OutputPath, Note::new("full"));
        parked.await.unwrap();
    }
    let busy = accepted(&ledger, 4).await;
    let doubt = ledger
        .record_in_doubt(&submitting(&ledger, 5).await, Note::none())
        .await
        .unwrap();
    ledger
        .park(doubt.key(), ParkReason::InDoubt, Note::none())
        .await
        .unwrap();
    let all = JobFilter::all();
    let act = async |action, filter: &JobFilter, expect| {
        let note = Note::none().by("alice");
        ledger.bulk(action, filter, expect, note).await.unwrap()
    };
    let differs = act(BulkAction::Abandon, &all, 4).await;
    assert_eq!(differs, BulkOutcome::CountDiffers(5));
    let BulkOutcome::Done(retried) = act(BulkAction::Retry, &all, 5).await else {
        panic!("they were counted");
    };
    // Not the one that is claimed, nor the one in doubt.
    assert_eq!(retried.len(), 3);
    assert!(due_now(&ledger, retried[0]).await);
    let accepted = all.clone().with_stages([Stage::Accepted]);
    let BulkOutcome::Done(polled) = act(BulkAction::PollSoon, &accepted, 4).await else {
        panic!("they were counted");
    };
    assert_eq!(polled.len(), 4);
    let held = act(BulkAction::Abandon, &all, 5).await;
    assert_eq!(held, BulkOutcome::Held(1));
    let parked = ledger.park(busy.key(), ParkReason::OutputPath, Note::none());
    parked.await.unwrap();
    let BulkOutcome::Done(given_up) = act(BulkAction::Abandon, &all, 5).await else {
        panic!("they were counted");
    };
    assert_eq!(given_up.len(), 5);
    let stages = ledger.list(&all).await.unwrap().jobs;
    let abandoned = stages.iter().filter(|job| job.stage == Stage::Abandoned);
    assert_eq!(abandoned.count(), 5);
    let events = ledger.events(given_up[0]).await.unwrap();
    let last = events.last().unwrap();
    assert_eq!(
        (last.kind.as_str(), last.data.actor.as_deref()),
        (event_kind::ABANDONED, Some("alice"))
    );
    let problem = ledger
        .bulk(BulkAction::Abandon, &all, 1001, Note::none())
        .await
        .unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput);
}

async fn more_paid_polls_are_allowed_and_never_fewer(world: &World) {
    let ledger = world.open().await;
    let claim = accepted(&ledger, 1).await;
    let job = claim.job();
    let allowed = async || ledger.get(job).await.unwrap().unwrap().max_calls;
    let allow = async |calls| ledger.allow_calls(job, calls, Note::none()).await.unwrap();
    allow(4).await;
    assert_eq!(ledger.spend_call(&claim, 1).await.unwrap(), Some(1));
    let parked = ledger.park(claim.key(), ParkReason::PaidPolls, Note::none());
    parked.await.unwrap();
    allow(1).await;
    assert_eq!(allowed().await, Some(4));
    assert!(!due_now(&ledger, job).await, "one call is spent");
    allow(5).await;
    assert_eq!(allowed().await, Some(5));
    assert!(due_now(&ledger, job).await);
}

async fn completed(ledger: &Ledger, claim: &Claim<at::Submitting>, content: u8) -> LedgerId {
    let claim = accept(ledger, claim, content).await;
    let claim = ledger
        .record_available(&claim, &json!({}), Note::none())
        .await
        .unwrap();
    ledger
        .complete(&claim, None, None, Note::none())
        .await
        .unwrap();
    claim.job()
}

async fn id_of(ledger: &Ledger, intent: Intent) -> (bool, LedgerId) {
    match ledger.intend(intent).await.unwrap() {
        IntendOutcome::New(claim, job) => {
            ledger.release(claim, Due::Now).await.unwrap();
            (true, job.id)
        }
        IntendOutcome::Attached(job) => (false, job.id),
    }
}

async fn again_of_a_job_buys_once_however_often_it_is_asked(world: &World) {
    let ledger = world.open().await;
    let first = completed(&ledger, &submitting(&ledger, 1).await, 1).await;
    let job = ledger.get(first).await.unwrap().unwrap();
    let again = Intent::of(&job).again_of(first);
    assert_eq!(
        ledger
            .find_same(std::slice::from_ref(&again))
            .await
            .unwrap(),
        [None]
    );
    let (is_new, second) = id_of(&ledger, again.clone()).await;
    assert!(is_new && second != first);
    for _ in 0..2 {
        assert_eq!(id_of(&ledger, again.clone()).await, (false, second));
    }
    let all = ledger.intend_all(vec![again.clone(), again.clone()]).await;
    for outcome in all.unwrap() {
        assert!(matches!(outcome, jobs_ledger::RecordedIntent::Attached(job) if job.id == second));
    }
    let same = ledger.find_same(&[intent(1), again, intent(7)]).await;
    let same: Vec<_> = same
        .unwrap()
        .into_iter()
        .map(|job| job.map(|job| job.id))
        .collect();
    assert_eq!(same, [Some(second), Some(second), None]);
    // Without "again" the newest is attached to; another input is not the same.
    assert_eq!(id_of(&ledger, intent(1)).await, (false, second));
    let other = ledger.intend(intent(2).again_of(first)).await.unwrap_err();
    assert_eq!(other.kind(), LedgerErrorKind::InvalidInput);
    // Of a job of which nothing was bought yet nothing is bought twice.
    let once_more = intent(1).again_of(second);
    assert_eq!(id_of(&ledger, once_more).await, (false, second));
}

async fn a_run_buys_once_under_its_name(world: &World) {
    let ledger = world.open().await;
    let first = completed(&ledger, &submitting(&ledger, 1).await, 1).await;
    let (is_new, monday) = id_of(&ledger, intent(1).again().run("monday")).await;
    assert!(is_new && monday != first);
    assert_eq!(
        id_of(&ledger, intent(1).again().run("monday")).await,
        (false, monday)
    );
    let runs = vec![
        intent(1).run("tuesday"),
        intent(2).run("tuesday"),
        intent(1).run("tuesday"),
    ];
    let outcomes = ledger.intend_all(runs.clone()).await.unwrap();
    let new = outcomes
        .iter()
        .filter(|it| matches!(it, jobs_ledger::RecordedIntent::New(_)));
    assert_eq!(new.count(), 2);
    for outcome in ledger.intend_all(runs).await.unwrap() {
        assert!(matches!(outcome, jobs_ledger::RecordedIntent::Attached(_)));
    }
}

async fn what_may_have_been_bought_is_not_bought_again(world: &World) {
    let ledger = world.open().await;
    let claim = submitting(&ledger, 1).await;
    let again = intent(1).again_of(claim.job());
    for _ in 0..2 {
        let problem = ledger.intend(again.clone()).await.unwrap_err();
        assert_eq!(
            (problem.kind(), problem.job()),
            (LedgerErrorKind::InDoubt, Some(claim.job()))
        );
        let doubt = ledger.record_in_doubt(&claim, Note::none()).await;
        drop(doubt.unwrap());
    }
    let nobody = intent(1).again_of("0000000000".parse().unwrap());
    let problem = ledger.intend(nobody).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::NotFound);
}

async fn a_request_that_bought_nothing_buys_anew(world: &World) {
    let ledger = world.open().await;
    let first = completed(&ledger, &submitting(&ledger, 1).await, 1).await;
    let again = intent(1).again_of(first);
    let IntendOutcome::New(claim, second) = ledger.intend(again.clone()).await.unwrap() else {
        panic!("it is bought again");
    };
    ledger
        .record_rejected(&claim, Note::new("no balance"))
        .await
        .unwrap();
    assert_eq!(id_of(&ledger, intent(1)).await, (false, first));
    let (is_new, third) = id_of(&ledger, again).await;
    assert!(is_new && third != second.id);
}

async fn files_are_known_again_until_they_change(world: &World) {
    let ledger = world.open().await;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["a.pdf", "b.pdf", "文.pdf"] {
        std::fs::write(at(name), name).unwrap();
    }
    // The world's clock stands years behind the file system's: an old file is one of long ago.
    let identity = |name: &str| {
        let mut it = FileIdentity::of(&at(name)).unwrap();
        it.mtime = 1_000_000_000_000_000_000;
        it
    };
    let files = ["a.pdf", "b.pdf", "文.pdf"].map(identity);
    let seen = [
        (files[0].clone(), [1; 32]),
        (files[2].clone(), [3; 32]),
        (files[0].clone(), [1; 32]),
    ];
    ledger.remember_inputs(&seen).await.unwrap();
    let known = ledger.known_inputs(&files).await.unwrap();
    assert_eq!(known, [Some([1; 32]), None, Some([3; 32])]);
    for edit in [
        |it: &mut FileIdentity| it.size += 1,
        |it: &mut FileIdentity| it.mtime += 1,
        |it: &mut FileIdentity| it.inode = u64::MAX,
    ] {
        let mut other = files[0].clone();
        edit(&mut other);
        assert_eq!(ledger.known_inputs(&[other]).await.unwrap(), [None]);
    }
    // One that was changed a moment ago may change again unseen.
    let mut fresh = files[1].clone();
    let now = ledger.clock().wall();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    fresh.mtime = i64::try_from(since.as_nanos()).unwrap() - 1_000_000_000;
    ledger
        .remember_inputs(&[(fresh.clone(), [2; 32])])
        .await
        .unwrap();
    assert_eq!(ledger.known_inputs(&[fresh]).await.unwrap(), [None]);
    // A time that is no time is that of many files.
    let mut timeless = files[1].clone();
    timeless.mtime = 0;
    assert!(!timeless.is_settled(now) && files[1].is_settled(now));
    let seen = [(timeless.clone(), [2; 32])];
    ledger.remember_inputs(&seen).await.unwrap();
    assert_eq!(ledger.known_inputs(&[timeless]).await.unwrap(), [None]);
}

async fn what_is_bought_with_one_key_of_a_joined_account_is_bought_with_each(world: &World) {
    let ledger = world.open().await;
    let keys = ["old", "new", "newest"].map(|key| Account::of("textin", key));
    let [old, new, newest] = keys;
    let wish = |content: u8, account| Intent::new("textin", "parse", account, [content; 32]);
    let mut bought = Vec::new();
    for intent in [
        wish(1, old),
        wish(1, old).run("r1"),
        wish(2, new),
        wish(3, newest),
        Intent::new("ppj", "convert", Account::of("ppj", "a"), [1; 32]),
    ] {
        let (is_new, job) = id_of(&ledger, intent).await;
        assert!(is_new);
        bought.push(job);
    }
    for (old, new, words) in [
        (old, old, "twice"),
        (Account::of("textin", "x"), new, "no job"),
        (old, Account::of("ppj", "a"), "ppj"),
    ] {
        let refused = ledger.join_accounts(old, new).await.unwrap_err();
        assert_eq!(refused.kind(), LedgerErrorKind::InvalidInput);
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let (is_new, other) = id_of(&ledger, wish(1, new)).await;
    assert!(is_new, "before they are joined, they are two");
    assert_ne!(other, bought[1]);

    assert_eq!(ledger.join_accounts(old, new).await.unwrap(), 2);
    assert_eq!(ledger.join_accounts(new, newest).await.unwrap(), 4);
    let joined = ledger.joined_accounts().await.unwrap();
    assert!(joined.are_one(old, newest) && joined.are_one(new, old));
    assert!(!joined.are_one(old, Account::of("ppj", "a")));
    // Whichever key asks, also for a named run, and also many at once.
    for account in keys {
        let wishes = [
            wish(1, account).run("r1"),
            wish(2, account),
            wish(3, account),
        ];
        let found = ledger.find_same(&wishes).await.unwrap();
        let found: Vec<_> = found.iter().flatten().map(|job| job.id).collect();
        assert_eq!(found, bought[1..4]);
        for (intent, job) in wishes.into_iter().zip(&bought[1..4]) {
            assert_eq!(id_of(&ledger, intent).await, (false, *job));
        }
        assert!(!id_of(&ledger, wish(1, account)).await.0);
    }
    // What is new is new once.
    let (is_new, job) = id_of(&ledger, wish(4, old)).await;
    assert!(is_new);
    assert_eq!(id_of(&ledger, wish(4, newest)).await, (false, job));
    let again = wish(2, newest).again_of(bought[2]);
    let (_, same) = id_of(&ledger, again).await;
    assert_eq!(same, bought[2], "nothing of it was bought yet");
    // The jobs and their totals are those of the newest key.
    for account in [old, new] {
        let claimed = ledger.claim_due(&[account], 10).await.unwrap();
        let claimed: Vec<_> = claimed.iter().map(|it| it.job().id).collect();
        let expected = if account == old {
            vec![job]
        } else {
            Vec::new()
        };
        assert_eq!(claimed, expected);
    }
    let counts = ledger.stage_counts().await.unwrap();
    let of = |account| -> u64 {
        let counts = counts.iter().filter(|count| count.account == account);
        counts.map(|count| count.jobs).sum()
    };
    assert_eq!((of(old), of(new), of(newest)), (1, 0, 5));
}

async fn who_did_it_is_in_the_history(world: &World) {
    let ledger = world.open().await;
    let IntendOutcome::New(claim, job) = ledger
        .intend(intent(1).by("alice").max_calls(3))
        .await
        .unwrap()
    else {
        panic!("it is new");
    };
    assert_eq!(job.max_calls, Some(3));
    ledger
        .abandon(&claim, Note::new("by hand").by("bob"))
        .await
        .unwrap();
    let events = ledger.events(job.id).await.unwrap();
    let actors: Vec<_> = events.iter().map(|it| it.data.actor.as_deref()).collect();
    assert_eq!(actors, [Some("alice"), Some("bob")]);
}

async fn a_restored_ledger_submits_nothing_until_it_is_recovered(world: &World) {
    let ledger = world.open().await;
    let (is_new, waiting) = id_of(&ledger, intent(1)).await;
    assert!(is_new);
    let lost = submitting(&ledger, 2).await;
    let running = accepted(&ledger, 3).await;
    assert_eq!(ledger.mark_restored().await.unwrap(), 2);
    // What runs at the vendor goes on at once; its former worker is gone.
    let due = ledger.claim_due(&[account()], 10).await.unwrap();
    let due: Vec<_> = due.iter().map(|it| it.job().id).collect();
    assert_eq!(due, [running.job()]);
    for job in [waiting, lost.job()] {
        let problem = ledger.claim(job).await.unwrap_err();
        assert_eq!(problem.kind(), LedgerErrorKind::Restored, "{problem}");
        assert!(problem.to_string().contains("docjobs ledger recover"));
    }
    let unparked = ledger.unpark(&[account()], ParkReason::RETRIED).await;
    assert_eq!(unparked.unwrap(), 0);
    let all = JobFilter::all();
    let note = Note::none();
    let done = ledger.bulk(BulkAction::Retry, &all, 3, note).await.unwrap();
    assert_eq!(done, BulkOutcome::Done(Vec::new()));
    let stale = ledger.record_rejected(&lost, Note::none()).await;
    assert_eq!(stale.unwrap_err().kind(), LedgerErrorKind::ClaimLost);
    let recovered = ledger.recover().await.unwrap();
    assert_eq!((recovered.due, recovered.in_doubt), (1, 1));
    let due = ledger.claim_due(&[account()], 10).await.unwrap();
    let due: Vec<_> = due.iter().map(|it| it.job().id).collect();
    assert_eq!(due, [waiting]);
    let job = ledger.get(lost.job()).await.unwrap().unwrap();
    assert_eq!(
        (job.stage, job.parked),
        (Stage::InDoubt, Some(ParkReason::InDoubt))
    );
    let recovered = ledger.recover().await.unwrap();
    assert_eq!((recovered.due, recovered.in_doubt), (0, 0));
}

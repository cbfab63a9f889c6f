//! Budgets: no paid call is permitted that does not fit, whoever asks and whatever is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use jobs_core::JobId;
use jobs_core::vendor::Account;
use jobs_ledger::{
    Budget, BudgetPeriod, Claim, ClaimOutcome, Claimed, Due, Estimate, IntendOutcome, Intent,
    JobFilter, Ledger, LedgerErrorKind, LedgerId, Note, OverBudget, Stage, SubmitPermission, at,
    event_kind,
};
use serde_json::Value;

use crate::world::World;

conformance! {
    a_call_that_does_not_fit_is_not_permitted_and_its_job_stays_intended
    what_was_charged_replaces_the_estimate
    a_job_in_doubt_keeps_its_reservation_until_it_is_resolved
    what_was_refused_or_not_sent_gives_its_reservation_back
    a_process_that_dies_while_submitting_leaves_its_reservation
    days_and_months_begin_anew_in_shanghai_and_a_total_never
    a_charge_counts_in_the_period_of_its_reservation
    jobs_that_were_held_back_are_due_when_there_is_room
    the_estimate_of_what_cannot_be_counted_is_the_mean_of_the_account
    a_strict_budget_refuses_what_cannot_be_estimated
    budgets_of_vendors_are_apart_and_are_cleared
    many_who_submit_at_once_never_exceed_a_budget
    random_lives_of_jobs_keep_the_budget_and_its_sums
}

const LEASE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

fn account() -> Account {
    Account::of("textin", "app-1")
}

fn intent(number: u32) -> Intent {
    let mut content = [0; 32];
    content[..4].copy_from_slice(&number.to_be_bytes());
    Intent::new("textin", "parse", account(), content)
}

async fn intended(ledger: &Ledger, number: u32) -> Claim<at::Intended> {
    match ledger.intend(intent(number)).await.unwrap() {
        IntendOutcome::New(claim, _) => claim,
        IntendOutcome::Attached(job) => panic!("attached to {job:?}"),
    }
}

async fn ask(ledger: &Ledger, number: u32, units: u64) -> SubmitPermission {
    let claim = intended(ledger, number).await;
    ledger
        .begin_submit(claim, Estimate::Units(units))
        .await
        .unwrap()
}

async fn granted(ledger: &Ledger, number: u32, units: u64) -> Claim<at::Submitting> {
    ask(ledger, number, units).await.granted().unwrap()
}

async fn refused(ledger: &Ledger, number: u32, units: u64) -> OverBudget {
    ask(ledger, number, units).await.granted().unwrap_err()
}

async fn accepted(ledger: &Ledger, claim: &Claim<at::Submitting>) -> Claim<at::Accepted> {
    let remote = JobId::new(format!("remote-{}", claim.job())).unwrap();
    let now = ledger.clock().wall();
    ledger
        .record_accepted(claim, &remote, now, Note::none())
        .await
        .unwrap()
}

/// Accepted, available with this charge, and completed.
async fn completed(ledger: &Ledger, claim: &Claim<at::Submitting>, credits: Option<i64>) {
    let claim = accepted(ledger, claim).await;
    let note = Note::none().with_credits(credits);
    let claim = ledger
        .record_available(&claim, &Value::Null, note)
        .await
        .unwrap();
    ledger
        .complete(&claim, None, None, Note::none())
        .await
        .unwrap();
}

async fn daily(ledger: &Ledger, limit: u64) {
    let budget = ledger.set_budget("textin", limit, BudgetPeriod::Day, false);
    assert_eq!(budget.await.unwrap().limit, limit);
}

async fn used(ledger: &Ledger) -> (u64, u64) {
    let budget = ledger.budget("textin").await.unwrap().unwrap();
    (budget.spent, budget.reserved)
}

async fn a_call_that_does_not_fit_is_not_permitted_and_its_job_stays_intended(world: &World) {
    let ledger = world.open().await;
    daily(&ledger, 10).await;
    granted(&ledger, 1, 6).await.key();
    let over = refused(&ledger, 2, 5).await;
    assert_eq!((over.needed, over.budget.left()), (Some(5), 4));
    let job = ledger.get(over.job).await.unwrap().unwrap();
    let until = over.until().unwrap();
    assert_eq!(
        (
            job.stage,
            job.claimed,
            job.attempts,
            job.blocked_until,
            job.due
        ),
        (Stage::Intended, false, 0, Some(until), Some(until))
    );
    assert!(job.error.unwrap().contains("has 4 left"));
    let by_error = JobFilter::all().with_error("over-budget");
    assert_eq!(ledger.list(&by_error).await.unwrap().jobs.len(), 1);
    // Exactly what is left fits.
    granted(&ledger, 3, 4).await.key();
    assert_eq!(used(&ledger).await, (0, 10));
    assert_eq!(refused(&ledger, 4, 1).await.budget.left(), 0);
    // What is free is permitted all the same.
    let claim = intended(&ledger, 5).await;
    let free = ledger.begin_submit(claim, Estimate::Free).await.unwrap();
    free.granted().unwrap().key();
    // Asking once more adds nothing to the history.
    let ClaimOutcome::Claimed(Claimed::Intended(claim, _)) = ledger.claim(over.job).await.unwrap()
    else {
        panic!("it is intended");
    };
    let again = ledger
        .begin_submit(claim, Estimate::Units(5))
        .await
        .unwrap();
    let over = again.granted().unwrap_err();
    let kinds: Vec<String> = ledger
        .events(over.job)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, [event_kind::INTENDED, event_kind::BLOCKED]);
    assert_eq!(
        jobs_ledger::LedgerError::from(over).kind(),
        LedgerErrorKind::OverBudget
    );
}

async fn what_was_charged_replaces_the_estimate(world: &World) {
    let ledger = world.open().await;
    daily(&ledger, 100).await;
    completed(&ledger, &granted(&ledger, 1, 10).await, Some(4)).await;
    assert_eq!(used(&ledger).await, (4, 0));
    // More than the estimate, too.
    completed(&ledger, &granted(&ledger, 2, 10).await, Some(30)).await;
    assert_eq!(used(&ledger).await, (34, 0));
    // Where nothing is told, the estimate is what it cost.
    completed(&ledger, &granted(&ledger, 3, 10).await, None).await;
    assert_eq!(used(&ledger).await, (44, 0));
    let claim = accepted(&ledger, &granted(&ledger, 4, 10).await).await;
    ledger
        .record_failed(&claim, Note::new("bad pdf"))
        .await
        .unwrap();
    assert_eq!(used(&ledger).await, (54, 0));
    // Of polls that cost, each uses up its part.
    let claim = accepted(&ledger, &granted(&ledger, 5, 10).await).await;
    for _ in 0..2 {
        let note = Note::none().with_credits(Some(3));
        ledger.note(&claim, note).await.unwrap();
    }
    assert_eq!(used(&ledger).await, (60, 4));
    ledger.record_gone(&claim, Note::none()).await.unwrap();
    assert_eq!(used(&ledger).await, (60, 0));
}

async fn a_job_in_doubt_keeps_its_reservation_until_it_is_resolved(world: &World) {
    let ledger = world.open().await;
    daily(&ledger, 20).await;
    let doubt = async |number| {
        let claim = granted(&ledger, number, 10).await;
        let claim = ledger.record_in_doubt(&claim, Note::none()).await;
        claim.unwrap()
    };
    let (one, two) = (doubt(1).await, doubt(2).await);
    assert_eq!(used(&ledger).await, (0, 20));
    let money = ledger.money_in_doubt().await.unwrap();
    assert_eq!((money[0].jobs, money[0].reserved), (2, 20));
    refused(&ledger, 3, 1).await;
    ledger
        .abandon(&one, Note::new("the vendor has none"))
        .await
        .unwrap();
    assert_eq!(used(&ledger).await, (0, 10));
    let remote = JobId::new("found").unwrap();
    let now = world.clock.shared().wall();
    let claim = ledger
        .adopt(&two, &remote, now, Note::none())
        .await
        .unwrap();
    assert_eq!(used(&ledger).await, (0, 10));
    // What was bought and is given up was paid for.
    ledger.abandon(&claim, Note::new("by hand")).await.unwrap();
    assert_eq!(used(&ledger).await, (10, 0));
}

async fn what_was_refused_or_not_sent_gives_its_reservation_back(world: &World) {
    let ledger = world.open().await;
    daily(&ledger, 10).await;
    let claim = granted(&ledger, 1, 10).await;
    ledger
        .record_not_sent(&claim, Due::Now, Note::none())
        .await
        .unwrap();
    assert_eq!(used(&ledger).await, (0, 0));
    let claim = granted(&ledger, 2, 10).await;
    ledger.record_rejected(&claim, Note::none()).await.unwrap();
    assert_eq!(used(&ledger).await, (0, 0));
    granted(&ledger, 3, 10).await.key();
}

async fn a_process_that_dies_while_submitting_leaves_its_reservation(world: &World) {
    let (dead, other) = (world.open().await, world.open().await);
    daily(&dead, 10).await;
    let claim = granted(&dead, 1, 10).await;
    world.pass(LEASE);
    let taken = other.claim_due(&[account()], 10).await.unwrap();
    let [Claimed::InDoubt(doubt, _)] = taken.as_slice() else {
        panic!("{taken:?}");
    };
    assert_eq!(used(&other).await, (0, 10));
    refused(&other, 2, 1).await;
    // The answer that comes late still counts, once.
    let _ = accepted(&dead, &claim).await;
    assert_eq!(used(&other).await, (0, 10));
    let stale = other.abandon(doubt, Note::none()).await.unwrap_err();
    assert_eq!(stale.kind(), LedgerErrorKind::ClaimLost);
    assert_eq!(used(&other).await, (0, 10));
}

async fn days_and_months_begin_anew_in_shanghai_and_a_total_never(world: &World) {
    let ledger = world.open().await;
    // Eight in the morning of 2026-01-01 in Shanghai.
    daily(&ledger, 10).await;
    completed(&ledger, &granted(&ledger, 1, 10).await, Some(10)).await;
    let over = refused(&ledger, 2, 10).await;
    let midnight = world.clock.shared().wall() + HOUR * 16;
    assert_eq!(over.until(), Some(midnight));
    world.pass(HOUR * 16 - Duration::from_secs(1));
    refused(&ledger, 3, 10).await;
    world.pass(Duration::from_secs(1));
    granted(&ledger, 4, 10).await.key();
    let set = async |limit, per| {
        ledger
            .set_budget("textin", limit, per, false)
            .await
            .unwrap()
    };
    let month = set(25, BudgetPeriod::Month).await;
    assert_eq!((month.spent, month.reserved, month.left()), (10, 10, 5));
    assert_eq!(month.resets_at, Some(midnight + HOUR * 24 * 30));
    refused(&ledger, 5, 6).await;
    world.pass(HOUR * 24 * 30);
    assert_eq!(used(&ledger).await, (0, 0));
    granted(&ledger, 6, 25).await.key();
    let total = set(40, BudgetPeriod::Total).await;
    assert_eq!((total.spent, total.reserved), (10, 35));
    assert_eq!((total.resets_at, total.left()), (None, 0));
    world.pass(HOUR * 24 * 400);
    let over = refused(&ledger, 7, 1).await;
    assert_eq!(over.until(), None);
    let json = serde_json::to_value(&total).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"vendor": "textin", "limit": 40, "per": "total", "spent": 10, "reserved": 35,
            "resets_at": null, "strict": false})
    );
}

async fn a_charge_counts_in_the_period_of_its_reservation(world: &World) {
    let ledger = world.open().await;
    daily(&ledger, 10).await;
    let claim = granted(&ledger, 1, 10).await;
    world.pass(HOUR * 24);
    assert_eq!(used(&ledger).await, (0, 0));
    let claim = ledger.record_in_doubt(&claim, Note::none()).await.unwrap();
    let remote = JobId::new("found").unwrap();
    let now = world.clock.shared().wall();
    let claim = ledger
        .adopt(&claim, &remote, now, Note::none())
        .await
        .unwrap();
    let note = Note::none().with_credits(Some(7));
    drop(
        ledger
            .record_available(&claim, &Value::Null, note)
            .await
            .unwrap(),
    );
    assert_eq!(used(&ledger).await, (0, 0));
    granted(&ledger, 2, 10).await.key();
    let money = ledger.money(7).await.unwrap();
    let days: Vec<_> = money
        .iter()
        .map(|it| (it.day.as_str(), it.charged, it.reserved))
        .collect();
    assert_eq!(days, [("2026-01-02", 0, 10), ("2026-01-01", 7, 3)]);
}

async fn due(ledger: &Ledger) -> Vec<Claimed> {
    ledger.claim_due(&[account()], 100).await.unwrap()
}

async fn give_back(ledger: &Ledger, claimed: Vec<Claimed>) {
    let keys: Vec<_> = claimed.iter().map(Claimed::key).collect();
    ledger.release_all(&keys, Due::Now).await.unwrap();
}

async fn jobs_that_were_held_back_are_due_when_there_is_room(world: &World) {
    let ledger = world.open().await;
    daily(&ledger, 10).await;
    let running = granted(&ledger, 1, 10).await;
    let over = refused(&ledger, 2, 3).await;
    let never = refused(&ledger, 3, 11).await;
    assert_eq!(never.until(), None);
    assert_eq!(due(&ledger).await.len(), 0);
    // Less was charged than was kept free.
    completed(&ledger, &running, Some(7)).await;
    let mut waiting = due(&ledger).await;
    // A call that is permitted lets those try that were held back before it.
    waiting.sort_by_key(|it| it.job().id == never.job);
    let mut ids: Vec<_> = waiting.iter().map(|it| it.job().id).collect();
    ids.sort_unstable();
    let mut both = [over.job, never.job];
    both.sort_unstable();
    assert_eq!(ids, both);
    for claimed in waiting {
        let Claimed::Intended(claim, job) = claimed else {
            panic!("{claimed:?}");
        };
        let units = if job.id == over.job { 3 } else { 11 };
        let asked = ledger.begin_submit(claim, Estimate::Units(units)).await;
        assert_eq!(asked.unwrap().granted().is_ok(), units == 3);
    }
    // At the latest when the budget begins anew, but not what never fits.
    let over = refused(&ledger, 4, 1).await;
    world.pass(HOUR * 15);
    give_back(&ledger, due(&ledger).await).await;
    world.pass(HOUR);
    let found: Vec<LedgerId> = due(&ledger)
        .await
        .iter()
        .filter(|it| it.job().stage == Stage::Intended)
        .map(|it| it.job().id)
        .collect();
    assert_eq!(found, [over.job]);
    // Another budget, or none, lets all of them try.
    daily(&ledger, 11).await;
    let found = due(&ledger).await;
    assert!(found.iter().any(|it| it.job().id == never.job), "{found:?}");
    for claimed in found {
        if let Claimed::Intended(claim, _) = claimed {
            let asked = ledger.begin_submit(claim, Estimate::Units(12)).await;
            asked.unwrap().granted().unwrap_err();
        }
    }
    assert!(ledger.clear_budget("textin").await.unwrap());
    assert!(due(&ledger).await.iter().any(|it| it.job().id == never.job));
}

async fn the_estimate_of_what_cannot_be_counted_is_the_mean_of_the_account(world: &World) {
    let ledger = world.open().await;
    daily(&ledger, 12).await;
    let ask = async |number| {
        let claim = intended(&ledger, number).await;
        let asked = ledger.begin_submit(claim, Estimate::Unknown).await;
        asked.unwrap().granted()
    };
    let first = ask(1).await.unwrap();
    assert_eq!(used(&ledger).await, (0, 1));
    completed(&ledger, &first, Some(4)).await;
    completed(&ledger, &ask(2).await.unwrap(), Some(5)).await;
    assert_eq!(used(&ledger).await, (9, 0));
    // 9 of 2 jobs, rounded up.
    let over = ask(3).await.unwrap_err();
    assert_eq!(over.needed, Some(5));
}

async fn a_strict_budget_refuses_what_cannot_be_estimated(world: &World) {
    let ledger = world.open().await;
    let strict = ledger.set_budget("textin", 100, BudgetPeriod::Day, true);
    assert!(strict.await.unwrap().strict);
    let claim = intended(&ledger, 1).await;
    let asked = ledger.begin_submit(claim, Estimate::Unknown).await.unwrap();
    let over = asked.granted().unwrap_err();
    assert_eq!((over.needed, over.until()), (None, None));
    assert!(over.to_string().contains("strict"), "{over}");
    granted(&ledger, 2, 1).await.key();
}

async fn budgets_of_vendors_are_apart_and_are_cleared(world: &World) {
    let ledger = world.open().await;
    granted(&ledger, 1, 50).await.key();
    assert_eq!(ledger.budgets().await.unwrap(), []);
    // What was reserved before there was a budget counts.
    daily(&ledger, 10).await;
    let other = ledger.set_budget("ppj", 1, BudgetPeriod::Total, false);
    other.await.unwrap();
    assert_eq!(used(&ledger).await, (0, 50));
    let all = ledger.budgets().await.unwrap();
    let brief: Vec<_> = all
        .iter()
        .map(|it: &Budget| (&*it.vendor, it.left()))
        .collect();
    assert_eq!(brief, [("ppj", 1), ("textin", 0)]);
    refused(&ledger, 2, 1).await;
    assert!(ledger.clear_budget("textin").await.unwrap());
    assert!(!ledger.clear_budget("textin").await.unwrap());
    assert_eq!(ledger.budget("textin").await.unwrap(), None);
    granted(&ledger, 3, 1).await.key();
}

async fn many_who_submit_at_once_never_exceed_a_budget(world: &World) {
    const WORKERS: u32 = 6;
    const JOBS: u32 = 12;
    let setter = world.open().await;
    let limit = 100;
    daily(&setter, limit).await;
    let spent = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for worker in 0..WORKERS {
        let (ledger, spent) = (world.open().await, Arc::clone(&spent));
        tasks.push(tokio::spawn(async move {
            for job in 0..JOBS {
                let number = worker * 1000 + job;
                let units = u64::from(number % 7 + 1);
                match ask(&ledger, number, units).await {
                    SubmitPermission::Granted(claim) if number.is_multiple_of(5) => {
                        let refused = ledger.record_rejected(&claim, Note::none());
                        refused.await.unwrap();
                    }
                    SubmitPermission::Granted(claim) => {
                        spent.fetch_add(units, Ordering::Relaxed);
                        if number.is_multiple_of(3) {
                            completed(&ledger, &claim, Some(i64::try_from(units).unwrap())).await;
                        }
                    }
                    SubmitPermission::OverBudget(over) => assert_eq!(over.needed, Some(units)),
                }
                assert!(spent.load(Ordering::Relaxed) <= limit);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let (charged, reserved) = used(&setter).await;
    assert_eq!(charged + reserved, spent.load(Ordering::Relaxed));
    assert!(charged + reserved <= limit);
    // Enough was asked for that it was nearly used up.
    assert!(charged + reserved > limit - 7, "{charged} {reserved}");
}

/// What a job is worth to the budget, kept beside the ledger.
#[derive(Debug, Clone, Copy, Default)]
struct Model {
    reserved: i64,
    charged: Option<i64>,
}

async fn random_lives_of_jobs_keep_the_budget_and_its_sums(world: &World) {
    let seed = 20_261_122;
    let mut random = Rng::with_seed(seed);
    let ledgers = [world.open().await, world.open().await];
    let limit = 40;
    ledgers[0]
        .set_budget("textin", limit, BudgetPeriod::Total, false)
        .await
        .unwrap();
    let mut models: HashMap<LedgerId, Model> = HashMap::new();
    let mut number = 0;
    for step in 0..400 {
        let ledger = &ledgers[random.usize(..2)];
        if random.u8(..3) == 0 {
            number += 1;
            let claim = intended(ledger, number).await;
            ledger.release(claim, Due::Now).await.unwrap();
        }
        if random.u8(..6) == 0 {
            // Whoever works now is as good as dead.
            world.pass(LEASE);
        }
        let Some(claimed) = ledger.claim_due(&[account()], 1).await.unwrap().pop() else {
            continue;
        };
        let id = claimed.job().id;
        let model = models.entry(id).or_default();
        match claimed {
            Claimed::Intended(claim, _) => {
                let units = random.u64(1..8);
                let sums: i64 = models
                    .values()
                    .map(|it| it.reserved + it.charged.unwrap_or(0))
                    .sum();
                let fits = sums + units as i64 <= limit as i64;
                let asked = ledger.begin_submit(claim, Estimate::Units(units)).await;
                let asked = asked.unwrap();
                assert_eq!(
                    matches!(asked, SubmitPermission::Granted(_)),
                    fits,
                    "{seed} {step}"
                );
                let SubmitPermission::Granted(claim) = asked else {
                    continue;
                };
                let model = models.entry(id).or_default();
                match random.u8(..6) {
                    // It dies here: in doubt, with what was reserved.
                    0 => model.reserved = units as i64,
                    1 => ledger.record_rejected(&claim, Note::none()).await.unwrap(),
                    2 => {
                        let not_sent = ledger.record_not_sent(&claim, Due::Now, Note::none());
                        not_sent.await.unwrap();
                    }
                    _ => {
                        model.reserved = units as i64;
                        let claim = accepted(ledger, &claim).await;
                        ledger.release(claim, Due::Now).await.unwrap();
                    }
                }
            }
            Claimed::InDoubt(claim, _) if random.bool() => {
                ledger.abandon(&claim, Note::none()).await.unwrap();
                *model = Model::default();
            }
            Claimed::InDoubt(claim, _) => {
                let remote = JobId::new(format!("adopted-{id}")).unwrap();
                let now = ledger.clock().wall();
                let adopted = ledger.adopt(&claim, &remote, now, Note::none()).await;
                ledger.release(adopted.unwrap(), Due::Now).await.unwrap();
            }
            Claimed::Accepted(claim, _) => {
                let credits = random.bool().then(|| random.i64(0..9));
                let note = Note::none().with_credits(credits);
                if let Some(credits) = credits {
                    *model = Model {
                        reserved: (model.reserved - credits).max(0),
                        charged: Some(model.charged.unwrap_or(0) + credits),
                    };
                }
                match random.u8(..4) {
                    0 => {
                        ledger.record_failed(&claim, note).await.unwrap();
                        end(model);
                    }
                    1 => {
                        ledger.abandon(&claim, note).await.unwrap();
                        end(model);
                    }
                    _ => drop(
                        ledger
                            .record_available(&claim, &Value::Null, note)
                            .await
                            .unwrap(),
                    ),
                }
            }
            Claimed::Available(claim, _) => {
                ledger
                    .complete(&claim, None, None, Note::none())
                    .await
                    .unwrap();
                end(model);
            }
            other => panic!("{other:?}"),
        }
        let budget = ledger.budget("textin").await.unwrap().unwrap();
        let sum = |of: fn(&Model) -> i64| models.values().map(of).sum::<i64>().unsigned_abs();
        assert_eq!(
            (budget.spent, budget.reserved),
            (sum(|it| it.charged.unwrap_or(0)), sum(|it| it.reserved)),
            "{seed} {step} {id}"
        );
    }
    assert!(number > 50);
}

/// What was not told is what was estimated.
fn end(model: &mut Model) {
    *model = Model {
        reserved: 0,
        charged: model.charged.or(Some(model.reserved)),
    };
}

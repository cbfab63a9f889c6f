//! Lists by every condition and their combinations: what the index finds is what reading everything finds.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jobs_core::JobId;
use jobs_core::vendor::Account;
use jobs_ledger::{
    ClaimUpdate, ErrorRecord, Estimate, IntendOutcome, Intent, JobFilter, JobRecord, Ledger,
    LedgerErrorKind, Note, Stage,
};
use serde_json::Value;

use crate::world::World;

conformance! {
    every_combination_of_conditions_finds_what_reading_everything_finds
    a_page_goes_on_where_it_ended_whatever_is_added
    an_input_that_many_share_is_found_among_the_newest_and_the_oldest
    a_job_is_found_by_each_of_its_ids_and_by_its_place
    a_cursor_of_another_ledger_is_named
    counts_by_stage_are_those_of_reading_everything
    the_oldest_that_waits_is_told_whatever_waits_beside_it
    money_is_counted_by_the_day_in_shanghai
}

const VENDORS: [(&str, &str); 3] = [
    ("textin", "parse"),
    ("mindshow", "deck"),
    ("mindshow", "pdf"),
];

/// Moves a job on to one of its stages.
async fn bring(ledger: &Ledger, number: u32) {
    let (vendor, kind) = VENDORS[number as usize % 3];
    let account = Account::of(vendor, &format!("key-{}", number % 2));
    let mut content = [0; 32];
    content[..4].copy_from_slice(&number.to_be_bytes());
    let intent = Intent::new(vendor, kind, account, content)
        .with_input(match number % 4 {
            0 => format!("in/a/{number}.pdf"),
            1 => format!("in/b/{number}.pdf"),
            2 => "in/a%_.pdf".to_owned(),
            _ => format!("文件/{number}.pdf"),
        })
        .with_output(format!("/out/{number}.md"));
    let IntendOutcome::New(claim, _) = ledger.intend(intent).await.unwrap() else {
        panic!("it is new");
    };
    let error = |kind: &str, message: &str| {
        let mut record = ErrorRecord::default();
        record.kind = kind.to_owned();
        Note::new(message).with_error(record)
    };
    let step = number % 7;
    if step == 0 {
        return;
    }
    if step == 1 {
        let note = error("quota_exceeded", "No balance left");
        return ledger.record_rejected(&claim, note).await.unwrap();
    }
    let claim = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    if step == 2 {
        let doubt = ledger
            .record_in_doubt(&claim, error("timeout", "no answer in time"))
            .await;
        return drop(doubt.unwrap());
    }
    let remote = JobId::new(format!("remote-{number}")).unwrap();
    let now = ledger.clock().wall();
    let claim = ledger
        .record_accepted(&claim, &remote, now, Note::none())
        .await
        .unwrap();
    if step == 3 {
        let note = error("rejected", "The document is encrypted");
        return ledger.record_failed(&claim, note).await.unwrap();
    }
    if step == 4 {
        return ledger.abandon(&claim, Note::new("by hand")).await.unwrap();
    }
    let claim = ledger
        .record_available(&claim, &Value::Null, Note::none())
        .await
        .unwrap();
    if step == 5 {
        ledger
            .complete(&claim, None, None, Note::none())
            .await
            .unwrap();
    }
}

async fn brought(world: &World, count: u32) -> Ledger {
    let ledger = world.open().await;
    for number in 0..count {
        bring(&ledger, number).await;
        if number % 3 == 0 {
            world.pass(Duration::from_secs(1));
        }
    }
    ledger
}

async fn all(ledger: &Ledger, filter: &JobFilter, page: usize) -> Vec<JobRecord> {
    let mut filter = filter.clone().with_limit(page);
    let mut found = Vec::new();
    loop {
        let page = ledger.list(&filter).await.unwrap();
        found.extend(page.jobs);
        match page.next {
            Some(next) => filter = filter.after(next),
            None => return found,
        }
    }
}

async fn every_combination_of_conditions_finds_what_reading_everything_finds(world: &World) {
    let begin = world.clock.shared().wall();
    let ledger = brought(world, 84).await;
    let everything = all(&ledger, &JobFilter::all(), 1000).await;
    assert_eq!(everything.len(), 84);
    let error_kind = |job: &JobRecord| {
        let record = job.error_data.as_ref();
        record.map(|record| record.kind.clone())
    };
    let stages: [&[Stage]; 3] = [
        &[],
        &[Stage::Failed],
        &[Stage::Rejected, Stage::InDoubt, Stage::Completed],
    ];
    let at = |seconds| Some(begin + Duration::from_secs(seconds));
    let times: [(Option<SystemTime>, Option<SystemTime>); 2] = [(None, None), (at(5), at(20))];
    let mut checked = 0;
    for stages in stages {
        for vendor in [None, Some("mindshow")] {
            for kind in [None, Some("pdf")] {
                for input in [None, Some("in/a"), Some("in/a%"), Some("文")] {
                    for error in [None, Some("quota-exceeded"), Some("ENCRYPTED")] {
                        for (since, until) in times {
                            let mut filter = JobFilter::all().with_stages(stages.to_vec());
                            filter.vendor = vendor.map(Into::into);
                            filter.kind = kind.map(Into::into);
                            filter.input = input.map(Into::into);
                            filter.error = error.map(Into::into);
                            (filter.since, filter.until) = (since, until);
                            let expected: Vec<_> = everything
                                .iter()
                                .filter(|job| stages.is_empty() || stages.contains(&job.stage))
                                .filter(|job| vendor.is_none_or(|it| job.vendor == it))
                                .filter(|job| kind.is_none_or(|it| job.kind == it))
                                .filter(|job| input.is_none_or(|it| job.input.starts_with(it)))
                                .filter(|job| match error {
                                    None => true,
                                    Some("quota-exceeded") => {
                                        error_kind(job).as_deref() == Some("quota_exceeded")
                                    }
                                    Some(text) => job.error.as_ref().is_some_and(|error| {
                                        error.to_lowercase().contains(&text.to_lowercase())
                                    }),
                                })
                                .filter(|job| since.is_none_or(|at| job.created_at >= at))
                                .filter(|job| until.is_none_or(|at| job.created_at < at))
                                .map(|job| job.id)
                                .collect();
                            let page = [7, 100, 100][checked % 3];
                            let found = all(&ledger, &filter, page).await;
                            let found: Vec<_> = found.iter().map(|job| job.id).collect();
                            assert_eq!(found, expected, "{filter:?}");
                            assert_eq!(ledger.count(&filter, 1000).await.unwrap(), expected.len());
                            checked += 1;
                        }
                    }
                }
            }
        }
    }
    let account = Account::of("textin", "key-0");
    let found = all(&ledger, &JobFilter::all().with_account(account), 5).await;
    let expected: Vec<_> = everything
        .into_iter()
        .filter(|job| job.account == account)
        .collect();
    assert_eq!(found, expected);
    assert!(!expected.is_empty() && checked > 250);
}

async fn a_page_goes_on_where_it_ended_whatever_is_added(world: &World) {
    let ledger = brought(world, 20).await;
    for filter in [
        JobFilter::all(),
        JobFilter::all().with_vendor("textin"),
        JobFilter::all().with_input("in/"),
    ] {
        let before = all(&ledger, &filter, 100).await;
        let mut page = ledger.list(&filter.clone().with_limit(3)).await.unwrap();
        let mut found = Vec::new();
        world.pass(Duration::from_secs(1));
        let mut number = 1000 + u32::try_from(before.len()).unwrap() * 100;
        loop {
            found.extend(page.jobs.iter().map(|job| job.id));
            let Some(next) = page.next else { break };
            bring(&ledger, number).await;
            number += 1;
            let filter = filter.clone().with_limit(3).after(next);
            page = ledger.list(&filter).await.unwrap();
        }
        let before: Vec<_> = before.iter().map(|job| job.id).collect();
        assert_eq!(found, before, "{filter:?}");
    }
}

async fn an_input_that_many_share_is_found_among_the_newest_and_the_oldest(world: &World) {
    let ledger = brought(world, 8).await;
    // In the same millisecond, ids would decide which of the others stands among the newest.
    world.pass(Duration::from_secs(1));
    let intents: Vec<_> = (0..2100u32)
        .map(|number| {
            let mut content = [1; 32];
            content[..4].copy_from_slice(&number.to_be_bytes());
            Intent::new("textin", "parse", Account::of("textin", "key-0"), content)
                .with_input(format!("many/{number}.pdf"))
        })
        .collect();
    for intent in intents {
        drop(ledger.intend(intent).await.unwrap());
    }
    let filter = JobFilter::all().with_input("many/").with_limit(10);
    let page = ledger.list(&filter).await.unwrap();
    assert_eq!(page.jobs.len(), 10);
    let all = JobFilter::all().with_limit(10);
    assert_eq!(page, ledger.list(&all).await.unwrap());
    let none = filter.with_stages([Stage::Gone]);
    assert_eq!(ledger.list(&none).await.unwrap().jobs, Vec::new());
}

async fn a_job_is_found_by_each_of_its_ids_and_by_its_place(world: &World) {
    let ledger = brought(world, 14).await;
    let page = ledger.list(&JobFilter::all()).await.unwrap();
    let job = page
        .jobs
        .iter()
        .find(|job| job.remote_id.is_some())
        .unwrap();
    let remote = job.remote_id.clone().unwrap();
    let place = job.output.clone().unwrap();
    for found in [
        ledger.find(&job.id.to_string()).await.unwrap(),
        ledger.find(remote.as_str()).await.unwrap(),
        ledger.find_by_output(&place).await.unwrap(),
        ledger.get_many(&[job.id]).await.unwrap(),
    ] {
        assert_eq!(found.as_slice(), std::slice::from_ref(job));
    }
    let nowhere = ledger.find_by_output("/out/none.md".as_ref());
    assert_eq!(nowhere.await.unwrap(), Vec::new());
}

async fn a_cursor_of_another_ledger_is_named(world: &World) {
    let ledger = brought(world, 3).await;
    let filter = JobFilter::all().after("zzzzzzzzzz".parse().unwrap());
    let problem = ledger.list(&filter).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{problem}");
    assert!(problem.to_string().contains("zzzzzzzzzz"), "{problem}");
}

async fn counted(ledger: &Ledger) -> BTreeMap<(String, String, String, Stage), u64> {
    let counts = ledger.stage_counts().await.unwrap();
    let count = counts.len();
    let counts: BTreeMap<_, _> = counts
        .into_iter()
        .map(|it| {
            (
                (it.vendor, it.kind, it.account.to_string(), it.stage),
                it.jobs,
            )
        })
        .collect();
    assert_eq!(counts.len(), count);
    counts
}

async fn counts_by_stage_are_those_of_reading_everything(world: &World) {
    let ledger = brought(world, 84).await;
    let read = async || {
        let mut read = BTreeMap::new();
        for job in all(&ledger, &JobFilter::all(), 1000).await {
            let class = (job.vendor, job.kind, job.account.to_string(), job.stage);
            *read.entry(class).or_insert(0) += 1;
        }
        read
    };
    assert_eq!(counted(&ledger).await, read().await);
    // The same after it was summed up, and after a settled job is open again.
    let _ = ledger.claim_due(&[], 1).await.unwrap();
    let completed = JobFilter::all().with_stages([Stage::Completed]);
    let job = ledger.list(&completed).await.unwrap().jobs[0].id;
    drop(ledger.reopen(job, None).await.unwrap());
    assert_eq!(counted(&ledger).await, read().await);
}

async fn the_oldest_that_waits_is_told_whatever_waits_beside_it(world: &World) {
    let ledger = world.open().await;
    assert_eq!(ledger.waiting_since().await.unwrap(), None);
    let intend = async |vendor: &str, content: u8| {
        let account = Account::of("textin", "key");
        let intent = Intent::new(vendor, "parse", account, [content; 32]);
        let IntendOutcome::New(claim, job) = ledger.intend(intent).await.unwrap() else {
            panic!("it is new");
        };
        (claim, job)
    };
    let (gone, first) = intend("textin", 1).await;
    let mut later = Vec::new();
    for content in 2..5 {
        world.pass(Duration::from_secs(60));
        later.push(intend(if content == 3 { "ppj" } else { "textin" }, content).await);
    }
    assert_eq!(
        ledger.waiting_since().await.unwrap(),
        Some(first.created_at)
    );
    ledger.abandon(&gone, Note::none()).await.unwrap();
    let oldest = ledger.waiting_since().await.unwrap();
    assert_eq!(oldest, Some(later[0].1.created_at));
}

async fn money_is_counted_by_the_day_in_shanghai(world: &World) {
    let ledger = world.open().await;
    let charged = async |content: u8, credits: i64| {
        let intent = Intent::new(
            "textin",
            "parse",
            Account::of("textin", "key"),
            [content; 32],
        );
        let IntendOutcome::New(claim, job) = ledger.intend(intent.clone()).await.unwrap() else {
            panic!("it is new");
        };
        let claim = ledger
            .begin_submit(claim, Estimate::Free)
            .await
            .unwrap()
            .granted()
            .unwrap();
        let remote = JobId::new(format!("r{content}")).unwrap();
        let now = ledger.clock().wall();
        let claim = ledger
            .record_accepted(&claim, &remote, now, Note::none())
            .await
            .unwrap();
        if content.is_multiple_of(2) {
            let note = Note::none().with_credits(Some(credits));
            drop(
                ledger
                    .record_available(&claim, &Value::Null, note)
                    .await
                    .unwrap(),
            );
        } else {
            let note = Note::none().with_credits(Some(credits));
            let update = ClaimUpdate::available(claim, &Value::Null, note);
            assert_eq!(
                ledger.update_claims(vec![update]).await.unwrap().accepted,
                1
            );
        }
        drop(ledger.intend(intent).await.unwrap());
        assert_eq!(
            ledger.get(job.id).await.unwrap().unwrap().credits,
            Some(credits)
        );
    };
    // The clock begins at midnight in Greenwich, which is eight in the morning in Shanghai.
    charged(1, 3).await;
    charged(2, 4).await;
    world.pass(Duration::from_secs(16 * 3600));
    charged(3, 5).await;
    let days = async || -> Vec<_> {
        let money = ledger.money(30).await.unwrap();
        let days = money.into_iter();
        days.map(|it| (it.day, it.charged, it.reserved, it.spared, it.jobs))
            .collect()
    };
    let expected = [
        ("2026-01-02".to_owned(), 5, 0, 5, 1),
        ("2026-01-01".to_owned(), 7, 0, 7, 2),
    ];
    assert_eq!(days().await, expected);
    drop(ledger.claim_due(&[], 1).await.unwrap());
    assert_eq!(days().await, expected);
    assert_eq!(ledger.money(1).await.unwrap().len(), 1);
}

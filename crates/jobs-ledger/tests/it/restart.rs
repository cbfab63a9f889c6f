//! Processes that are killed or stopped while they hold claims, and who takes over from them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jobs_core::JobId;
use jobs_core::clock::Clock as _;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Account;
use jobs_ledger::{
    ClaimOutcome, Claimed, Due, Estimate, IntendOutcome, Intent, Ledger, LedgerConfig, LedgerId,
    Note, PollRecord, Stage, event_kind,
};

use crate::world::World;

const LEASE: Duration = Duration::from_secs(10);

/// Set in the other process: which ledger to open.
const URL: &str = "DOCJOBS_TEST_HOLDER_URL";
const SCHEMA: &str = "DOCJOBS_TEST_HOLDER_SCHEMA";
/// Begins each line that the other process tells.
const TOLD: &str = "holder: ";

/// Every test of this file is also the way into the other process, which runs this program again with that one test.
macro_rules! restart {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                if super::is_holder() {
                    return super::hold().await;
                }
                let world = super::World::sqlite();
                let holder = super::Holder::start(&world, concat!(module_path!(), "::", stringify!($name)));
                super::$name(&world, holder).await;
                world.end().await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if super::is_holder() {
                    return super::hold().await;
                }
                let Some(world) = super::World::postgres() else { return };
                let holder = super::Holder::start(&world, concat!(module_path!(), "::", stringify!($name)));
                super::$name(&world, holder).await;
                world.end().await;
            })*
        }
    };
}

restart! {
    jobs_of_a_killed_process_are_taken_over_at_once
    a_running_worker_takes_over_within_a_second
    a_process_that_nobody_has_reaped_has_ended_too
    a_stopped_process_keeps_its_jobs_until_its_lease_ends
    a_job_taken_over_counts_as_polled
}

fn account() -> Account {
    Account::of("textin", "app-1")
}

fn is_holder() -> bool {
    std::env::var_os(URL).is_some()
}

/// The other process: claims one job in each of three stages, tells, and waits for its end.
async fn hold() {
    let mut settings = LedgerConfig::default();
    settings.schema = std::env::var(SCHEMA).ok();
    let url = std::env::var(URL).unwrap();
    let ledger = Ledger::open_with(&url, ManualClock::new().shared(), &settings)
        .await
        .unwrap();
    for (content, stage) in [Stage::Intended, Stage::Submitting, Stage::Accepted]
        .into_iter()
        .enumerate()
    {
        let content = [u8::try_from(content).unwrap(); 32];
        let intent = Intent::new("textin", "parse", account(), content);
        let IntendOutcome::New(claim, job) = ledger.intend(intent).await.unwrap() else {
            panic!("attached");
        };
        if stage != Stage::Intended {
            let claim = ledger
                .begin_submit(claim, Estimate::Free)
                .await
                .unwrap()
                .granted()
                .unwrap();
            if stage == Stage::Accepted {
                let (id, now) = (JobId::new("remote").unwrap(), ledger.clock().wall());
                let mut claim = ledger
                    .record_accepted(&claim, &id, now, Note::none())
                    .await
                    .unwrap();
                ledger
                    .record_poll(&mut claim, PollRecord::new("running"))
                    .await
                    .unwrap();
            }
        }
        println!("\n{TOLD}{}", job.id);
    }
    // Ends with the process that started this one, if nobody kills it before.
    let _ = std::io::stdin().read(&mut [0]);
}

struct Holder {
    process: Child,
    jobs: [LedgerId; 3],
}

impl Holder {
    fn start(world: &World, test: &str) -> Self {
        let (_, test) = test.split_once("::").unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--nocapture"])
            .env(URL, &world.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(schema) = &world.settings.schema {
            command.env(SCHEMA, schema);
        }
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let jobs: Vec<LedgerId> = lines
            .map(Result::unwrap)
            .filter_map(|line| line.strip_prefix(TOLD).map(|id| id.parse().unwrap()))
            .take(3)
            .collect();
        Self {
            process,
            jobs: jobs.try_into().unwrap(),
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.process.id());
        assert!(
            Command::new("sh")
                .args(["-c", &line])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn is_busy(ledger: &Ledger, job: LedgerId) -> bool {
    matches!(ledger.claim(job).await.unwrap(), ClaimOutcome::Busy { .. })
}

async fn claimed(ledger: &Ledger, job: LedgerId) -> Claimed {
    match ledger.claim(job).await.unwrap() {
        ClaimOutcome::Claimed(claimed) => claimed,
        other => panic!("not claimed: {other:?}"),
    }
}

async fn due(ledger: &Ledger) -> Vec<Claimed> {
    ledger.claim_due(&[account()], 10).await.unwrap()
}

/// No time passes here: the other process has a lease of ten seconds from this very moment.
async fn jobs_of_a_killed_process_are_taken_over_at_once(world: &World, mut holder: Holder) {
    let before = world.open().await;
    for job in holder.jobs {
        assert!(is_busy(&before, job).await);
    }
    assert!(due(&before).await.is_empty());
    holder.kill();
    let [wanted, sending, held] = holder.jobs;
    let Claimed::Intended(claim, _) = claimed(&before, wanted).await else {
        panic!("not wanted");
    };
    assert_eq!(claim.fence(), 2);
    // The new process, as it begins.
    let after = world.open().await;
    let mut found: Vec<_> = due(&after)
        .await
        .iter()
        .map(|claimed| (claimed.job().id, claimed.job().stage, claimed.key().fence()))
        .collect();
    found.sort_by_key(|(_, stage, _)| *stage);
    assert_eq!(
        found,
        [(held, Stage::Accepted, 2), (sending, Stage::InDoubt, 2)]
    );
    for (job, last) in [
        (wanted, event_kind::TAKEN_OVER),
        (held, event_kind::TAKEN_OVER),
        (sending, event_kind::IN_DOUBT),
    ] {
        let events = after.events(job).await.unwrap();
        assert_eq!(events.last().unwrap().kind, last, "{job}");
        // Now this process has it, which lives.
        assert!(is_busy(&before, job).await && is_busy(&after, job).await);
    }
}

async fn a_running_worker_takes_over_within_a_second(world: &World, mut holder: Holder) {
    let ledger = world.open().await;
    assert!(due(&ledger).await.is_empty());
    holder.kill();
    // It has searched just now.
    assert!(due(&ledger).await.is_empty());
    world.pass(Duration::from_secs(1));
    let first = ledger.claim_due(&[account()], 1).await.unwrap();
    assert_eq!(first.len(), 1);
    // What was left over is due for everybody, also where nothing can be proved.
    assert!(ledger.next_due(&[account()]).await.unwrap().unwrap() <= world.clock.wall());
    assert_eq!(due(&ledger).await.len(), 2);
}

async fn a_process_that_nobody_has_reaped_has_ended_too(world: &World, mut holder: Holder) {
    let ledger = world.open().await;
    holder.process.kill().unwrap();
    // It takes the system a moment to end it.
    let mut tries = 0;
    while is_busy(&ledger, holder.jobs[0]).await {
        tries += 1;
        assert!(tries < 20_000, "still busy");
    }
    assert_eq!(due(&ledger).await.len(), 2);
}

async fn a_stopped_process_keeps_its_jobs_until_its_lease_ends(world: &World, holder: Holder) {
    let ledger = world.open().await;
    holder.signal("STOP");
    for job in holder.jobs {
        assert!(is_busy(&ledger, job).await);
    }
    world.pass(LEASE - Duration::from_micros(1));
    assert!(due(&ledger).await.is_empty());
    world.pass(Duration::from_micros(1));
    assert_eq!(due(&ledger).await.len(), 3);
}

async fn a_job_taken_over_counts_as_polled(world: &World, mut holder: Holder) {
    let polled = world.clock.wall();
    let ledger = world.open().await;
    holder.kill();
    world.pass(Duration::from_secs(3));
    let [wanted, _, held] = holder.jobs;
    let job = ledger.get(held).await.unwrap().unwrap();
    assert_eq!(job.last_poll, Some(polled));
    let Claimed::Accepted(claim, job) = claimed(&ledger, held).await else {
        panic!("not held");
    };
    let rescued = polled + Duration::from_secs(3);
    assert_eq!(job.last_poll, Some(rescued));
    assert_eq!(job.polls, 1);
    // For whoever comes next as well; but what was given back in order is as it was told.
    ledger.release(claim, Due::Now).await.unwrap();
    world.pass(Duration::from_secs(3));
    for claimed in due(&ledger).await {
        let expected = (claimed.job().id == held).then_some(rescued);
        assert_eq!(claimed.job().last_poll, expected);
        let kept = ledger.get(claimed.job().id).await.unwrap().unwrap();
        assert_eq!(kept.last_poll, expected);
    }
    assert!(is_busy(&ledger, wanted).await);
}

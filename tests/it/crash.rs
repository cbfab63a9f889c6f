//! The command killed at points chosen by seed, and both ledgers compared; `cargo xtask crash --runs N` does more of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use docjobs_tests::crash::compare::Violation;
use docjobs_tests::crash::plan::{Round, Shape, Start, Work};
use docjobs_tests::crash::{
    ManyJobs, Outcome, Plan, Setting, Store, run, run_all, run_many_jobs, run_workers,
};

use crate::docjobs;

/// Names the database server of the tests that need one.
const SERVER: &str = "DOCJOBS_TEST_POSTGRES";
/// A few hundred where our code is optimised, fewer where it is not, within three minutes on two cores.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 400 };
/// Of them on PostgreSQL as well.
const ON_POSTGRES: u64 = SEEDS / 10;
/// Runs wait more than they work.
const WIDTH: usize = 6;

fn setting(store: Store) -> Setting {
    Setting {
        docjobs: docjobs(),
        store,
    }
}

/// None, and one visible line, when no server is named.
fn server() -> Option<Store> {
    let url = std::env::var(SERVER).ok();
    if url.is_none() {
        skipped(&format!("on PostgreSQL, because {SERVER} is not set"));
    }
    url.map(Store::Postgres)
}

fn skipped(what: &str) {
    use std::io::Write as _;
    // Past the capture of the test runner, so that it is seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED: the crash runs {what}");
}

async fn seeds(count: u64, store: Store) {
    let mut broken = Vec::new();
    let ended = |plan: &Plan, outcome: &Outcome, _: &_| {
        if !outcome.violations.is_empty() {
            let story = outcome.story.join("\n  ");
            broken.push(format!(
                "{plan}\n  {story}\n  repeat it with: cargo xtask crash --seed {}",
                plan.seed
            ));
        }
    };
    let tally = run_all(0..count, WIDTH, &setting(store), ended)
        .await
        .unwrap();
    assert!(broken.is_empty(), "{tally}{}", broken.join("\n"));
    // Not for lack of trying.
    assert!(
        tally.killed() > count / 2 && tally.done > count / 2,
        "{tally}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_nothing_is_bought_twice_and_nothing_lost() {
    seeds(SEEDS, Store::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_on_postgres() {
    if let Some(store) = server() {
        seeds(ON_POSTGRES, store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_and_stopped_lose_and_repeat_nothing() {
    let Some(store) = server() else { return };
    let setting = setting(store);
    let (a, b) = tokio::join!(run_workers(0, &setting), run_workers(2, &setting));
    for outcome in [a, b] {
        let outcome = outcome.unwrap();
        assert!(
            outcome.violations.is_empty(),
            "{}",
            outcome.story.join("\n")
        );
        assert!(outcome.done + outcome.unknown >= outcome.charges);
        assert!(outcome.done >= 20, "{:?}", outcome.story);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_submit_each_of_many_jobs_once_and_never_faster_than_allowed() {
    let Some(store) = server() else { return };
    let crowd = ManyJobs {
        seed: 7,
        workers: 4,
        jobs: 60,
        // The vendor's second is a fifth of ours, which is longer than a busy machine makes a process wait.
        speed: 5,
    };
    let outcome = run_many_jobs(&crowd, &setting(store)).await.unwrap();
    let story = outcome.story.join("\n");
    assert!(outcome.violations.is_empty(), "{story}");
    assert_eq!((outcome.charges, outcome.done), (60, 60), "{story}");
}

/// One undisturbed run of a program that stands for the command.
async fn disturbed_by(script: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docjobs");
    let real = docjobs();
    std::fs::write(&program, script.replace("REAL", &shown(&real))).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let plan = Plan {
        seed: 0,
        work: Work::Parse,
        shape: Shape::Single,
        rounds: vec![Round {
            start: Start::Again,
            shots: vec![None],
            troubles: Vec::new(),
        }],
        ending: Start::Resume,
    };
    let setting = Setting {
        docjobs: program,
        store: Store::File,
    };
    run(&plan, &setting).await.unwrap()
}

fn shown(path: &Path) -> String {
    format!("'{}'", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_buys_twice_is_caught() {
    let twice = "#!/bin/sh\n[ $1 = textin ] && REAL textin parse 0.txt --again --no-wait > again.txt\nexec REAL \"$@\"\n";
    let outcome = disturbed_by(twice).await;
    assert!(
        outcome.violations.iter().any(Violation::is_double_charge),
        "{:?}",
        outcome.story
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_forgets_what_it_bought_is_caught() {
    let outcome =
        disturbed_by("#!/bin/sh\nREAL \"$@\"; code=$?; rm -f ledger.db*; exit $code\n").await;
    assert!(
        outcome.violations.iter().any(Violation::is_lost_job),
        "{:?}",
        outcome.story
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_leaves_half_a_file_is_caught() {
    let outcome =
        disturbed_by("#!/bin/sh\n[ -e result-0 ] || printf half > result-0\nexit 0\n").await;
    let is_wrong = |one: &Violation| matches!(one, Violation::WrongFile { .. });
    assert!(
        outcome.violations.iter().any(is_wrong),
        "{:?}",
        outcome.story
    );
    let is_wedged = |one: &Violation| matches!(one, Violation::Wedged(_));
    assert!(
        outcome.violations.iter().any(is_wedged),
        "{:?}",
        outcome.story
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undisturbed_run_is_no_violation() {
    let outcome = disturbed_by("#!/bin/sh\nexec REAL \"$@\"\n").await;
    assert_eq!(outcome.violations, [], "{:?}", outcome.story);
    assert_eq!(
        (outcome.charges, outcome.done),
        (1, 1),
        "{:?}",
        outcome.story
    );
}

//! An engine that makes each step of a job itself: submit, poll until the result is there, fetch; and what it finds after a
//! step that went wrong.

use std::path::Path;

use jobs_ledger::{JobRecord, LedgerId, ParkReason, Stage};
use jobs_runner::{
    CancellationToken, IntoJobInput, RunOptions, RunOutcome, Runner, RunnerError, RunnerErrorKind,
    WorkerConfig,
};
use vendor_sim::{Fault, Simulators};

struct Engine {
    runner: Runner,
    simulators: Simulators,
    folder: tempfile::TempDir,
}

impl Engine {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulators = crate::simulators().await;
        simulators
            .textin()
            .change_options(|options| options.qps = None);
        let ledger = folder.path().join("ledger.db");
        let runner = Runner::open(ledger.to_str().unwrap())
            .await
            .unwrap()
            .with(textin::handler(crate::textin(&simulators)))
            .with(ppj::handler(crate::ppj(&simulators)));
        Self {
            runner,
            simulators,
            folder,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    async fn intended(&self, input: impl IntoJobInput, output: &Path) -> LedgerId {
        let enqueued = self.runner.enqueue(input).output(output).await.unwrap();
        enqueued.id
    }

    async fn parse(&self) -> LedgerId {
        let input = self.path("notes.txt");
        std::fs::write(&input, "some words\n").unwrap();
        let document = textin::Document::open(&input).unwrap();
        self.intended(textin::input(document), &self.path("notes.md"))
            .await
    }

    async fn convert(&self) -> LedgerId {
        let input = self.path("slides.pptx");
        std::fs::write(&input, b"PK\x03\x04 slides").unwrap();
        let document = ppj::Document::open(&input).unwrap();
        self.intended(ppj::input(document), &self.path("slides.zip"))
            .await
    }

    async fn submit(&self, id: LedgerId) -> Result<JobRecord, RunnerError> {
        let shutdown = CancellationToken::new();
        self.runner.submit_job(id, &shutdown).await
    }

    /// Polls this job as an engine does, until nothing is left to poll.
    async fn poll(&self, id: LedgerId) -> JobRecord {
        let config = WorkerConfig::default().polls_only(true).only(vec![id]);
        let worker = self.runner.worker(config);
        worker.run(std::future::pending()).await.unwrap();
        self.runner.job(id).await.unwrap()
    }

    fn submits(&self) -> usize {
        let requests = self.simulators.textin().requests();
        let posts = requests.iter().filter(|request| request.method == "POST");
        posts.count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_made_once_and_leaves_the_others_alone() {
    let engine = Engine::start().await;
    let id = engine.parse().await;
    // Nothing is submitted by whoever only polls.
    assert_eq!(engine.poll(id).await.stage, Stage::Intended);
    assert_eq!(engine.submits(), 0);
    let accepted = engine.submit(id).await.unwrap();
    assert_eq!(accepted.stage, Stage::Accepted);
    assert_eq!(engine.submit(id).await.unwrap().stage, Stage::Accepted);
    assert_eq!(engine.submits(), 1);
    let available = engine.poll(id).await;
    assert_eq!(available.stage, Stage::Available);
    assert!(!engine.path("notes.md").exists());
    assert_eq!(engine.submit(id).await.unwrap().stage, Stage::Available);
    let outcome = engine.runner.run_job(id, &RunOptions::default()).await;
    assert!(
        matches!(outcome, Ok(RunOutcome::Completed(..))),
        "{outcome:?}"
    );
    let text = std::fs::read_to_string(engine.path("notes.md")).unwrap();
    assert_eq!(text, "some words\n");
    assert_eq!(
        (engine.submits(), engine.simulators.textin().charges().len()),
        (1, 1)
    );
    assert_eq!(engine.submit(id).await.unwrap().stage, Stage::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_without_an_answer_is_in_doubt_and_never_made_again() {
    let engine = Engine::start().await;
    let id = engine.parse().await;
    let lost = Fault::DropAfterCommit { reset: true };
    engine.simulators.textin().set_fault("submit", lost);
    for _ in 0..2 {
        let error = engine.submit(id).await;
        let stage = engine.runner.job(id).await.unwrap().stage;
        assert_eq!(stage, Stage::InDoubt, "{error:?}");
    }
    // The vendor offers no search: the job waits for a person.
    let error = engine.runner.search_job(id).await.unwrap_err();
    assert!(
        matches!(error.kind(), RunnerErrorKind::OutcomeUnknown { .. }),
        "{error:?}"
    );
    let row = engine.runner.job(id).await.unwrap();
    assert_eq!(
        (row.stage, row.parked),
        (Stage::InDoubt, Some(ParkReason::InDoubt))
    );
    assert_eq!(
        (engine.submits(), engine.simulators.textin().jobs().len()),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_job_is_found_by_a_search_and_adopted() {
    let engine = Engine::start().await;
    let id = engine.convert().await;
    let lost = Fault::DropAfterCommit { reset: true };
    engine.simulators.ppj().set_fault("create", lost);
    let error = engine.submit(id).await.unwrap_err();
    assert!(
        matches!(error.kind(), RunnerErrorKind::OutcomeUnknown { .. }),
        "{error:?}"
    );
    let row = engine.runner.search_job(id).await.unwrap();
    assert_eq!(row.stage, Stage::Accepted);
    let jobs = engine.simulators.ppj().jobs();
    assert_eq!(jobs.len(), 1);
    assert_eq!(row.remote_id.unwrap().as_str(), jobs[0].token);
    // There is nothing in doubt any more.
    let error = engine.runner.search_job(id).await.unwrap_err();
    assert!(
        matches!(error.kind(), RunnerErrorKind::NotResolvable { .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_submit_is_over() {
    let engine = Engine::start().await;
    let id = engine.parse().await;
    let refused = Fault::Code {
        code: 40422.into(),
        message: None,
        after_commit: false,
    };
    engine.simulators.textin().set_fault("submit", refused);
    let error = engine.submit(id).await.unwrap_err();
    assert!(
        matches!(error.kind(), RunnerErrorKind::Rejected(_)),
        "{error:?}"
    );
    assert_eq!(engine.submit(id).await.unwrap().stage, Stage::Rejected);
    assert_eq!(
        (engine.submits(), engine.simulators.textin().jobs().len()),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_input_has_gone_waits_for_it_and_is_nobodys() {
    let engine = Engine::start().await;
    let id = engine.parse().await;
    let input = engine.path("notes.txt");
    std::fs::rename(&input, engine.path("elsewhere.txt")).unwrap();
    let error = engine.submit(id).await.unwrap_err();
    assert!(
        matches!(error.kind(), RunnerErrorKind::InvalidInput(_)),
        "{error:?}"
    );
    let row = engine.runner.job(id).await.unwrap();
    assert_eq!(
        (row.stage, row.parked),
        (Stage::Intended, Some(ParkReason::InputFile))
    );
    assert!(!row.claimed);
    // Once it is there again, at once.
    std::fs::rename(engine.path("elsewhere.txt"), &input).unwrap();
    assert_eq!(engine.submit(id).await.unwrap().stage, Stage::Accepted);
    assert_eq!(engine.submits(), 1);
}

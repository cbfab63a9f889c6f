//! Every operation of every vendor against servers that behave badly at random, run after run in one process: each ends in
//! time, and neither memory nor open files grow. `cargo xtask soak --runs N` does more of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use jobs_core::vendor::JobKind;
use jobs_core::{Job, Secret, WaitOptions};
use mindshow::PdfBudget;
use mindshow::types::{ListRequest, MarkdownDeck};
use tencent_ess::types::ResourceType;
use tokio::task::JoinSet;
use vendor_sim::fault::FaultPlan;
use vendor_sim::wecom::NewJob;
use vendor_sim::{Fault, Simulators, Times, pdf};

use crate::clock::{self, Stopwatch};
use crate::faults::commands::{MARKDOWN, NEIGHBOURS, SPEED, fault, simulators};

/// How many runs, and the seed of the first.
const RUNS: &str = "DOCJOBS_SOAK_RUNS";
const SEED: &str = "DOCJOBS_SOAK_SEED";
/// What every `cargo test` does of it.
const FEW: u64 = 48;
/// Runs at the same time: most of them wait.
const WIDTH: u64 = 12;
/// How often memory and files are counted: when none runs.
const COUNTS: u64 = 8;
/// What each operation is given, of the clients' time.
const DEADLINE: Duration = Duration::from_secs(60);
/// What a request that carries a document is given, in the world's time.
const UPLOAD: Duration = Duration::from_secs(5);
/// Real time by which a run of at most five operations must have ended, on a machine that is busy with others too.
const PATIENCE: Duration = Duration::from_secs(60);
/// By so much may memory and files differ between counts: what allocators and runtimes keep.
const SLACK_KIB: u64 = 48 << 10;
const SLACK_FILES: usize = 12;

/// Where a neighbour may stand, by vendor and by the simulators' names.
const PLACES: [(&str, &str); 20] = [
    ("textin", "submit"),
    ("textin", "poll"),
    ("textin", "result"),
    ("textin", "sync"),
    ("ppj", "create"),
    ("ppj", "show"),
    ("ppj", "list"),
    ("ppj", "download"),
    ("mindshow", "ppt_create_by_markdown"),
    ("mindshow", "job_get"),
    ("mindshow", "job_list"),
    ("mindshow", "deck_file"),
    ("mindshow", "get_pdf"),
    ("mindshow", "pdf_file"),
    ("tencent-ess", "upload"),
    ("tencent-ess", "create"),
    ("tencent-ess", "query"),
    ("printer", "connect"),
    ("printer", "printer/get_job_list"),
    ("printer", "printer/download_file"),
];

#[derive(Clone, Copy, Debug)]
struct Run {
    /// With which it is had again.
    #[allow(dead_code, reason = "shown by what is stuck")]
    seed: u64,
    vendor: &'static str,
    place: &'static str,
    neighbour: &'static str,
    times: Times,
}

impl Run {
    fn of(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let (vendor, place) = PLACES[random.usize(..PLACES.len())];
        let neighbour = loop {
            let neighbour = NEIGHBOURS[random.usize(..NEIGHBOURS.len())];
            // Nobody sends a signal here.
            if fault(neighbour).is_some() && neighbour != "SIGTERM" {
                break neighbour;
            }
        };
        let times = match place {
            // These have no deadline but that of each request, and are repeated.
            "list" | "job_list" | "sync" | "upload" => Times::Once,
            _ => [Times::Once, Times::N(3), Times::Always][random.usize(..3)],
        };
        Self {
            seed,
            vendor,
            place,
            neighbour,
            times,
        }
    }

    /// Everything that the vendor offers, with the neighbour at its place, up to the first error.
    async fn play(self) -> Result<(), String> {
        let simulators = simulators(SPEED).await;
        let faults = match self.vendor {
            "textin" => simulators.textin().faults(),
            "ppj" => simulators.ppj().faults(),
            "mindshow" => simulators.mindshow().faults(),
            "tencent-ess" => simulators.tencent().faults(),
            _ => simulators.wecom().faults(),
        };
        self.strike(faults);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let target = OutputPath::new(folder.path().join("a")).map_err(said)?;
        let ended = match self.vendor {
            "textin" => textin(&simulators, &target).await,
            "ppj" => ppj(&simulators, &target).await,
            "mindshow" => mindshow(&simulators, &target).await,
            "tencent-ess" => tencent(&simulators).await,
            _ => printer(&simulators, folder.path()).await,
        };
        simulators.stop().await;
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        // What was not delivered has left nothing behind.
        assert!(ended.is_ok() || left.is_empty(), "{self:?}: {left:?}");
        ended
    }

    fn strike(&self, faults: &FaultPlan) {
        let fault = match fault(self.neighbour) {
            // As many times as there are runs, it need not be as large.
            Some(Fault::HugeKey { .. }) => Some(Fault::HugeKey { bytes: 32 << 20 }),
            Some(Fault::ManyEntries { .. }) => Some(Fault::ManyEntries { entries: 50_000 }),
            fault => fault,
        };
        if let Some(fault) = fault {
            faults.times(self.place, fault, self.times);
        }
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::with_speed(SPEED))
}

async fn waited<K: JobKind>(job: &Job<K>) -> Result<K::Output, String> {
    job.wait(WaitOptions::new(DEADLINE)).await.map_err(said)
}

async fn textin(simulators: &Simulators, target: &OutputPath) -> Result<(), String> {
    let (sim, clock) = (simulators.textin(), clock());
    let client = ::textin::Client::builder(
        Secret::new(sim.app_id()).map_err(said)?,
        Secret::new(sim.secret_code()).map_err(said)?,
    )
    .with_config(|config| {
        config
            .with_base_url(sim.api_url())
            .with_upload_timeout(UPLOAD)
            .with_clock(Arc::clone(&clock) as _)
    })
    .build()
    .map_err(said)?;
    let request = ::textin::ParseRequest::document(Document::from_bytes("a.txt", "some text"));
    client
        .parse(request.clone())
        .run_now()
        .await
        .map_err(said)?;
    let submission = client.parse(request.clone()).submit().await;
    let ready = waited(&submission.map_err(said)?).await?;
    let until = clock.now() + DEADLINE;
    let (verified, _) = ready.fetch_markdown(target, until).await.map_err(said)?;
    verified.save().await.map_err(said)?;
    Ok(())
}

async fn ppj(simulators: &Simulators, target: &OutputPath) -> Result<(), String> {
    let (sim, clock) = (simulators.ppj(), clock());
    let key = Secret::new(sim.access_key()).map_err(said)?;
    let client = ::ppj::Client::builder(::ppj::Credentials::AccessKey(key))
        .with_config(|config| {
            config
                .with_base_url(sim.api_url())
                .with_upload_timeout(UPLOAD)
                .with_clock(Arc::clone(&clock) as _)
        })
        .build()
        .map_err(said)?;
    client.list(&::ppj::ListFilter::new()).await.map_err(said)?;
    let document = Document::from_bytes("a.pptx", "PK some slides");
    let request = ::ppj::ConvertRequest::new(document).with_any_content();
    let submission = client.convert(request.clone()).submit().await;
    let ready = waited(&submission.map_err(said)?).await?;
    let until = clock.now() + DEADLINE;
    let (verified, _) = ready.fetch(target, until).await.map_err(said)?;
    verified.save().await.map_err(said)?;
    Ok(())
}

async fn mindshow(simulators: &Simulators, target: &OutputPath) -> Result<(), String> {
    let (sim, clock) = (simulators.mindshow(), clock());
    let client = ::mindshow::Client::builder(Secret::new(sim.api_key()).map_err(said)?)
        .with_config(|config| {
            config
                .with_base_url(sim.api_url())
                .with_clock(Arc::clone(&clock) as _)
        })
        .with_create_timeout(UPLOAD)
        .build()
        .map_err(said)?;
    client
        .list_jobs(&ListRequest::default())
        .await
        .map_err(said)?;
    let request = MarkdownDeck::from_markdown(MARKDOWN);
    let submission = client.deck(request.clone()).submit().await;
    let job = submission.map_err(said)?;
    let ready = waited(&job).await?;
    let until = clock.now() + DEADLINE;
    let (verified, _) = ready.fetch(target, until).await.map_err(said)?;
    // Not saved: what is dropped leaves nothing behind either.
    drop(verified);
    let pdf = waited(&client.pdf_job(job.id().clone(), PdfBudget::calls(3))).await?;
    let until = clock.now() + DEADLINE;
    let verified = pdf.fetch(target, until).await.map_err(said)?;
    verified.save().await.map_err(said)?;
    Ok(())
}

async fn tencent(simulators: &Simulators) -> Result<(), String> {
    let sim = simulators.tencent();
    let options = sim.options();
    let secret = |text| Secret::new(text).map_err(said);
    let agent = tencent_ess::Agent::new(
        options.app_id,
        options.org_open_id,
        options.operator_open_id,
    );
    let environment = tencent_ess::Environment::custom(sim.general_url(), sim.upload_url());
    let client = tencent_ess::Client::builder(
        secret(options.secret_id)?,
        secret(options.secret_key)?,
        agent,
    )
    .with_environment(environment)
    .with_config(|config| config.with_upload_timeout(UPLOAD).with_clock(clock()))
    .build()
    .map_err(said)?;
    let document = Document::from_bytes("a.docx", "PK a contract");
    let upload = tencent_ess::UploadRequest::new([&document]);
    let uploaded = client.upload_files(&upload).await.map_err(said)?;
    let id = uploaded.files.first().ok_or("no file")?.id.clone();
    let submission = client
        .convert(tencent_ess::ConvertRequest::uploaded(
            id.clone(),
            ResourceType::Docx,
            "a.docx",
        ))
        .submit()
        .await;
    waited(&submission.map_err(said)?).await?;
    Ok(())
}

async fn printer(simulators: &Simulators, folder: &std::path::Path) -> Result<(), String> {
    use printer_jobs::{ListQuery, PrintOutcome};
    let sim = simulators.wecom();
    sim.add_job(NewJob::pdf("a.pdf", pdf::of_lines(&["one page"])));
    let options = sim.options();
    let secret = Secret::new(options.secret_no).map_err(said)?;
    let device = printer_jobs::Device::builder(options.sn, secret)
        .with_url(sim.url())
        .with_clock(clock())
        .with_list_rate(None)
        .connect()
        .map_err(said)?;
    device.online(DEADLINE).await.map_err(said)?;
    let jobs = device.jobs(ListQuery::all()).await.map_err(said)?;
    let job = jobs.first().ok_or("no job")?;
    let to = printer_jobs::Destination::new(folder, "a").map_err(said)?;
    device.download(job, &to).await.map_err(said)?;
    device
        .report(
            &jobs_core::JobId::new(job.id.clone()).map_err(said)?,
            &PrintOutcome::Succeeded,
        )
        .await
        .map_err(said)?;
    Ok(())
}

/// What the process holds while nothing runs.
#[derive(Clone, Copy, Debug)]
struct Held {
    memory_kib: u64,
    files: usize,
}

impl Held {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        Self {
            memory_kib: line.split_whitespace().nth(1).unwrap().parse().unwrap(),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// Set in the process that the runs have for themselves.
const ALONE: &str = "DOCJOBS_TEST_SOAK_ALONE";

/// Memory and open files are those of a whole process, so the runs get one without other tests in it. Its allocator gives
/// back what is freed, else only its habits would be measured.
fn in_a_process_of_its_own() -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let name = "soak::no_neighbour_holds_a_run_or_leaves_anything_behind";
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .env("MALLOC_ARENA_MAX", "2")
        .env("MALLOC_TRIM_THRESHOLD_", "131072")
        .env("MALLOC_MMAP_THRESHOLD_", "65536")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_neighbour_holds_a_run_or_leaves_anything_behind() {
    if in_a_process_of_its_own() {
        return;
    }
    let (runs, first) = (number(RUNS, FEW), number(SEED, 0));
    let mut held = vec![Held::now()];
    let mut ended: BTreeMap<&str, (u64, u64, Duration)> = BTreeMap::new();
    let mut stuck = Vec::new();
    let mut next = first;
    for count in 1..=COUNTS {
        let until = first + runs * count / COUNTS;
        let mut under_way = JoinSet::new();
        while next < until || !under_way.is_empty() {
            while next < until && under_way.len() < usize::try_from(WIDTH).unwrap() {
                let run = Run::of(next);
                next += 1;
                under_way.spawn(async move {
                    let began = Stopwatch::start();
                    let outcome = clock::within(PATIENCE, Box::pin(run.play())).await;
                    (run, outcome, began.elapsed())
                });
            }
            let (run, outcome, took) = under_way.join_next().await.unwrap().unwrap();
            let (all, whole, slowest) = ended.entry(run.neighbour).or_default();
            *all += 1;
            *slowest = took.max(*slowest);
            match outcome {
                Some(Ok(())) => *whole += 1,
                Some(Err(_)) => {}
                None => stuck.push(run),
            }
        }
        held.push(Held::now());
    }
    println!("{:<20}  runs  without error  slowest", "neighbour");
    for (neighbour, (all, whole, slowest)) in &ended {
        println!("{neighbour:<20}  {all:>4}  {whole:>13}  {slowest:>6.1?}");
    }
    for (count, held) in held.iter().enumerate() {
        let runs = runs * count as u64 / COUNTS;
        let memory = held.memory_kib >> 10;
        println!(
            "after {runs:>5} runs  {memory:>5} MiB  {:>4} open files",
            held.files
        );
    }
    assert!(
        stuck.is_empty(),
        "still there after {PATIENCE:?}: {stuck:#?}"
    );
    // From the first count on, when everything has been loaded and warmed.
    let (early, last) = (held[2], held[held.len() - 1]);
    assert!(last.files <= early.files + SLACK_FILES, "{held:?}");
    assert!(last.memory_kib <= early.memory_kib + SLACK_KIB, "{held:?}");
}

//! The example service killed at seeded instants: no document is charged twice, and none is lost.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use jobs_ledger::{JobFilter, JobRecord, Ledger, Stage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const KILLS: u64 = 50;
const SEED: u64 = 20_261_122;
/// The longest that a process lives before it is killed; it starts in a tenth of that.
const LONGEST: u64 = 400;

struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(program: &Path, folder: &Path, env: &[(String, String)]) -> Self {
        let mut child = Command::new(program)
            .current_dir(folder)
            .env_clear()
            .envs(env.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        Self {
            child,
            address: line.trim().to_owned(),
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Posts a document; none when the service is killed meanwhile.
async fn post(address: &str, name: &str) -> Option<String> {
    let body = content(name);
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = format!(
        "POST /{name} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, id) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| id.to_owned())
}

fn content(name: &str) -> String {
    format!("The text of {name}.\n")
}

async fn rows(folder: &Path) -> Vec<JobRecord> {
    let url = format!("sqlite:{}", folder.join("ledger.db").display());
    let ledger = Ledger::open(&url, SystemClock::shared()).await.unwrap();
    let jobs = ledger.list(&JobFilter::all().with_limit(1000)).await;
    ledger.close().await;
    jobs.unwrap().jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_buys_no_document_twice_and_loses_none() {
    let programs = tokio::task::spawn_blocking(crate::examples::programs);
    let programs: HashMap<_, _> = programs.await.unwrap().into_iter().collect();
    let simulators = crate::simulators().await;
    let sim = simulators.textin();
    sim.change_options(|options| options.qps = None);
    let folder = tempfile::tempdir().unwrap();
    let (env, clock) = (simulators.env(), SystemClock::new());
    let start = || Service::start(&programs["parse_service"], folder.path(), &env);

    let mut random = fastrand::Rng::with_seed(SEED);
    let mut ids: HashMap<String, String> = HashMap::new();
    for kill in 0..KILLS {
        let service = start();
        let ends = clock.now() + Duration::from_millis(random.u64(..LONGEST));
        // One new document each time, and those again whose answer did not come.
        let due: Vec<String> = (0..=kill)
            .map(|number| format!("{number}.txt"))
            .filter(|name| !ids.contains_key(name))
            .collect();
        let posts = async {
            for name in &due {
                if let Some(id) = post(&service.address, name).await {
                    ids.insert(name.clone(), id);
                }
            }
        };
        jobs_core::clock::bounded(&clock, ends, posts).await;
        clock.sleep_until(ends).await;
        service.kill();
    }

    let service = start();
    for number in 0..KILLS {
        let name = format!("{number}.txt");
        let id = post(&service.address, &name).await.unwrap();
        if let Some(known) = ids.insert(name, id.clone()) {
            assert_eq!(known, id, "the same document is the same job");
        }
    }
    let limit = clock.now() + Duration::from_secs(120);
    let settled = |row: &JobRecord| matches!(row.stage, Stage::Completed | Stage::InDoubt);
    while !rows(folder.path()).await.iter().all(settled) {
        assert!(clock.now() < limit, "{:?}", rows(folder.path()).await);
        clock
            .sleep_until(clock.now() + Duration::from_millis(200))
            .await;
    }
    service.kill();

    let rows = rows(folder.path()).await;
    let mut charged: HashMap<String, u32> = HashMap::new();
    for charge in sim.charges() {
        *charged.entry(charge.file_id).or_default() += 1;
    }
    let twice = charged.values().filter(|count| **count > 1).count();
    assert_eq!(twice, 0, "bought twice: {charged:?}");
    assert_eq!(rows.len(), ids.len(), "a document is one job");
    let completed = rows.iter().filter(|row| row.stage == Stage::Completed);
    for row in completed.clone() {
        let name = row.input.as_str();
        let result = std::fs::read_to_string(row.output.as_ref().unwrap()).unwrap();
        assert!(result.contains(content(name).trim()), "{name}: {result}");
    }
    // What the vendor took and a kill hid is in doubt, not lost.
    let in_doubt = rows.len() - completed.clone().count();
    assert!(charged.len() >= completed.clone().count());
    assert!(charged.len() <= completed.count() + in_doubt);
    assert!(in_doubt < rows.len() / 2, "{in_doubt} of {}", rows.len());
}

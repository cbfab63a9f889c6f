//! The same for the vendors' crates alone: logs at the lowest level, errors with their causes, tickets, and everything else
//! that can be printed.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs_core::disk::Target;
use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use jobs_core::{Env, JobId, JobKind, Patience, Submission, SystemClock, WaitError};
use tracing_subscriber::fmt::MakeWriter;
use vendor_sim::Simulators;
use vendor_sim::fault::{Fault, Times};

use super::marks::{Search, marks, simulators};
use super::{echo, page};
use crate::mindshow::MARKDOWN;

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Prints whatever comes of calls in every way in which somebody might.
#[derive(Default)]
struct Witness {
    printed: Vec<(String, String)>,
    errors: usize,
}

impl Witness {
    fn prints(&mut self, what: &str, value: &impl Debug) {
        let text = format!("{value:?}\n{value:#?}");
        self.printed.push((what.to_owned(), text));
    }

    fn sees<T: Debug, E: StdError + Debug + 'static>(
        &mut self,
        what: &str,
        outcome: &Result<T, E>,
    ) {
        self.prints(what, outcome);
        let Err(error) = outcome else { return };
        self.errors += 1;
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            let text = format!("{error}\n{error:?}\n{error:#?}");
            self.printed.push((format!("a cause in {what}"), text));
            cause = error.source();
        }
    }

    /// The job's id, if it was taken.
    fn submits<K: JobKind>(&mut self, what: &str, submission: Submission<K>) -> Option<JobId> {
        self.prints(what, &submission);
        let outcome = submission.into_result();
        self.sees(what, &outcome);
        let job = outcome.ok()?;
        self.printed
            .push(("a ticket".to_owned(), job.ticket().unwrap().to_string()));
        Some(job.id().clone())
    }

    fn waits<T: Debug>(&mut self, what: &str, outcome: Result<T, WaitError>) -> Option<T> {
        self.sees(what, &outcome);
        if let Err(error) = &outcome {
            let ticket = error.ticket().to_string();
            self.printed.push((format!("the ticket of {what}"), ticket));
        }
        outcome.ok()
    }
}

/// Long enough for a few looks.
fn patience() -> Patience {
    Patience {
        blind: Duration::from_secs(40),
        ..Patience::until(Duration::from_secs(3600))
    }
}

/// What the vendors answer with: the truth, and several ways to repeat a credential.
fn faults(code: serde_json::Value, mark: &str) -> Vec<Option<Fault>> {
    vec![
        None,
        Some(Fault::Code {
            code,
            message: Some(echo(mark)),
            after_commit: false,
        }),
        Some(page(403, mark)),
        Some(page(502, mark)),
        Some(page(302, mark)),
        Some(Fault::NonJson {
            body: Some(echo(mark)),
        }),
        Some(Fault::DropAfterCommit { reset: true }),
    ]
}

#[tokio::test]
async fn no_call_lets_a_credential_out() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let simulators = simulators().await;
    let variables = simulators.env();
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let mut witness = Witness::default();
    // Time is moved by hand, so that pauses between repetitions cost nothing; the vendors are as quick.
    let clock = ManualClock::new();
    let calls = textin(&clock, &simulators, &lookup, &mut witness);
    clock.run(Box::pin(calls)).await;
    let calls = ppj(&clock, &simulators, &lookup, &mut witness);
    clock.run(Box::pin(calls)).await;
    let calls = mindshow(&clock, &simulators, &lookup, &mut witness);
    clock.run(Box::pin(calls)).await;
    let calls = tencent(&clock, &simulators, &lookup, &mut witness);
    clock.run(Box::pin(calls)).await;
    let own = printer(&simulators, &lookup, &mut witness).await;

    assert!(witness.errors >= 60, "only {} errors", witness.errors);
    let all = marks().into_iter().map(|mark| mark.text);
    let all = all.chain([PASSWORD.to_owned()]).chain(own);
    let mut search = Search::for_marks(all);
    for (what, text) in &witness.printed {
        search.through(what, text.as_bytes());
    }
    let logged = log.0.lock().unwrap().clone();
    assert!(!logged.is_empty());
    search.through("the log", &logged);
    search.end(100_000);
}

/// Of a document, which goes to the vendor and nowhere else.
const PASSWORD: &str = "mk-password+A1/bb=2%31";

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

async fn textin(
    clock: &ManualClock,
    simulators: &Simulators,
    lookup: Lookup<'_>,
    witness: &mut Witness,
) {
    let sim = simulators.textin();
    sim.change_options(|options| {
        options.qps = None;
        (options.pending_seconds, options.in_progress_seconds) = (0.0, 0.0);
    });
    let builder = textin::Client::builder_from(&Env::new("textin", lookup)).unwrap();
    witness.prints("a builder", &builder);
    let client = builder.with_clock(clock.shared()).build().unwrap();
    witness.prints("a client", &(&client, client.kind()));
    let folder = tempfile::tempdir().unwrap();
    let document = || Document::from_bytes("a.txt", "some text");
    let request = textin::ParseRequest::document(document()).with_password(PASSWORD);
    witness.prints("a request", &request);
    let id = witness.submits("textin", client.submit_parse(&request).await);
    let job = client.parse(id.unwrap());
    witness.prints("a job", &job);
    let ready = witness
        .waits("textin wait", job.wait(patience()).await)
        .unwrap();
    for n in [0, 1] {
        for (turn, fault) in faults(40102.into(), &marks()[n].text)
            .into_iter()
            .enumerate()
        {
            sim.faults().clear();
            if let Some(fault) = fault {
                sim.set_fault_times("*", fault, Times::Always);
            }
            drop(witness.submits("textin submit", client.submit_parse(&request).await));
            drop(witness.waits("textin look", job.wait(patience()).await));
            witness.sees("textin parse", &client.parse_now(&request).await);
            witness.sees("textin result", &client.result(&ready).await);
            witness.sees("textin check", &client.check_credentials().await);
            let target = Target::new(folder.path().join(format!("{n}-{turn}"))).unwrap();
            witness.sees(
                "textin download",
                &client.download_json(&ready, &target).await,
            );
        }
    }
    sim.faults().clear();
}

async fn ppj(
    clock: &ManualClock,
    simulators: &Simulators,
    lookup: Lookup<'_>,
    witness: &mut Witness,
) {
    let sim = simulators.ppj();
    sim.change_options(|options| {
        options.halt_on_bad_pptx = false;
        (options.conversion_seconds, options.notifying_seconds) = (0.0, 0.0);
    });
    let signed = sim.signed_env();
    let signed = |name: &str| {
        let found = signed.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let request = ppj::ConvertRequest::new(Document::from_bytes("a.pptx", "PK")).with_any_content();
    for (lookup, mark) in [(lookup, 2), (&signed as Lookup<'_>, 4)] {
        let mark = &marks()[mark].text;
        let builder = ppj::Client::builder_from(&Env::new("ppj", lookup)).unwrap();
        witness.prints("a builder", &builder);
        let client = builder.with_clock(clock.shared()).build().unwrap();
        witness.prints("a client", &(&client, client.kind()));
        let id = witness.submits("ppj", client.submit_convert(&request).await);
        let id = id.unwrap();
        let job = client.conversion(id.clone());
        let ready = witness
            .waits("ppj wait", job.wait(patience()).await)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (turn, fault) in faults("PermissionError".into(), mark)
            .into_iter()
            .enumerate()
        {
            sim.faults().clear();
            if let Some(fault) = fault {
                sim.set_fault_times("*", fault, Times::Always);
            }
            drop(witness.submits("ppj create", client.submit_convert(&request).await));
            drop(witness.waits("ppj look", job.wait(patience()).await));
            witness.sees("ppj show", &client.show(&id).await);
            witness.sees("ppj list", &client.list(&ppj::JobFilter::new()).await);
            witness.sees("ppj quotas", &client.quotas().await);
            let target = Target::new(folder.path().join(turn.to_string())).unwrap();
            witness.sees("ppj download", &client.download_zip(&ready, &target).await);
        }
        sim.faults().clear();
    }
}

async fn mindshow(
    clock: &ManualClock,
    simulators: &Simulators,
    lookup: Lookup<'_>,
    witness: &mut Witness,
) {
    let sim = simulators.mindshow();
    sim.change_options(|options| {
        (options.queued_seconds, options.plain_seconds) = (0.0, 0.0);
        options.pdf_seconds = 0.0;
    });
    let builder = mindshow::Client::builder_from(&Env::new("mindshow", lookup)).unwrap();
    witness.prints("a builder", &builder);
    let client = builder.with_clock(clock.shared()).build().unwrap();
    let budget = mindshow::PdfBudget::calls(5);
    witness.prints(
        "a client",
        &(&client, client.kind(), client.pdf_kind(budget)),
    );
    let request = mindshow::types::MarkdownDeck::from_markdown(MARKDOWN);
    let id = witness.submits("mindshow", client.submit_markdown(&request).await);
    let id = id.unwrap();
    let job = client.deck(id.clone());
    let ready = witness
        .waits("mindshow wait", job.wait(patience()).await)
        .unwrap();
    let export = client.pdf(id.clone(), budget).wait(patience()).await;
    let exported = witness.waits("mindshow pdf", export).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let theme = || mindshow::types::Theme::Light;
    for (turn, fault) in faults(1001.into(), &marks()[5].text)
        .into_iter()
        .enumerate()
    {
        sim.faults().clear();
        if let Some(fault) = fault {
            sim.set_fault_times("*", fault, Times::Always);
        }
        drop(witness.submits("mindshow create", client.submit_markdown(&request).await));
        drop(witness.waits("mindshow look", job.wait(patience()).await));
        let export = client.pdf(id.clone(), budget).wait(patience()).await;
        drop(witness.waits("mindshow get_pdf", export));
        witness.sees("mindshow account", &client.account_info().await);
        witness.sees("mindshow job", &client.job_info(&id).await);
        witness.sees(
            "mindshow link",
            &client.jump_link(&id, theme(), false).await,
        );
        let target =
            |name: &str| Target::new(folder.path().join(format!("{turn}.{name}"))).unwrap();
        witness.sees(
            "mindshow deck",
            &client.download_deck(&ready, &target("pptx")).await,
        );
        witness.sees(
            "mindshow pdf file",
            &client.download_pdf(&exported, &target("pdf")).await,
        );
    }
    sim.faults().clear();
}

async fn tencent(
    clock: &ManualClock,
    simulators: &Simulators,
    lookup: Lookup<'_>,
    witness: &mut Witness,
) {
    let sim = simulators.tencent();
    sim.change_options(|options| {
        options.qps = None;
        options.check_content = false;
        (options.pending_seconds, options.processing_seconds) = (0.0, 0.0);
    });
    let builder = tencent_ess::Client::builder_from(&Env::new("tencent-ess", lookup)).unwrap();
    witness.prints("a builder", &builder);
    let client = builder.with_clock(clock.shared()).build().unwrap();
    witness.prints("a client", &(&client, client.kind()));
    let document = Document::from_bytes("a.docx", "PK");
    let id = witness.submits("tencent", client.submit_conversion(&document).await);
    let job = client.conversion(id.unwrap());
    for n in [6, 7, 8] {
        for fault in faults("AuthFailure.SignatureFailure".into(), &marks()[n].text) {
            sim.faults().clear();
            if let Some(fault) = fault {
                sim.set_fault_times("*", fault, Times::Always);
            }
            drop(witness.submits("tencent", client.submit_conversion(&document).await));
            drop(witness.waits("tencent look", job.wait(patience()).await));
            witness.sees("tencent check", &client.check_credentials().await);
        }
    }
    sim.faults().clear();
}

/// Also gives back what the cloud gave the printer, which must not be found either.
async fn printer(
    simulators: &Simulators,
    lookup: Lookup<'_>,
    witness: &mut Witness,
) -> Vec<String> {
    use printer_jobs::wire::{ListQuery, PrintOutcome};
    use printer_jobs::{CredentialStore, Destination, Device, MemoryStore};

    const HOUR: Duration = Duration::from_secs(3600);
    let sim = simulators.wecom();
    let id = sim.add_job(super::job("a.pdf"));
    let builder = || {
        let builder = Device::builder_from(&Env::new("printer-jobs", lookup)).unwrap();
        builder.with_clock(Arc::new(SystemClock::with_speed(super::marks::SPEED)))
    };
    witness.prints("a builder", &builder());
    let store = Arc::new(MemoryStore::new());
    let device = builder().with_store(store.clone()).connect().unwrap();
    witness.sees("going online", &device.online(HOUR).await);
    witness.prints("a device", &(&device, device.kind(), device.bind_url()));
    let jobs = device.jobs(ListQuery::all()).await;
    witness.sees("printer list", &jobs);
    let folder = tempfile::tempdir().unwrap();
    let to = Destination::new(folder.path(), "a").unwrap();
    witness.sees(
        "printer download",
        &device.download(&jobs.unwrap()[0], &to).await,
    );
    let stored = store.load(device.sn()).unwrap();
    witness.prints("what is stored", &(&store, &stored));
    let own: Vec<String> = [&stored.secret, &stored.active_code]
        .into_iter()
        .flatten()
        .map(|secret| secret.expose().to_owned())
        .collect();
    assert!(!own.is_empty());
    let id = JobId::new(id).unwrap();
    for mark in own.iter().chain([&marks()[9].text]) {
        for command in [
            "printer/get_job_list",
            "printer/report_job_status",
            "get_corp_info",
        ] {
            let fault = Fault::Code {
                code: 600_033.into(),
                message: Some(echo(mark)),
                after_commit: false,
            };
            sim.set_fault(command, fault);
        }
        witness.sees("printer list", &device.jobs(ListQuery::all()).await);
        witness.sees(
            "printer report",
            &device.report(&id, &PrintOutcome::Succeeded).await,
        );
        witness.sees("printer company", &device.corp_info().await);
    }
    device.close().await;
    // A login that is refused with the credential in the refusal.
    let fault = Fault::Code {
        code: 600_001.into(),
        message: Some(echo(&marks()[9].text)),
        after_commit: false,
    };
    sim.set_fault("register", fault);
    let device = builder().with_store(store).connect().unwrap();
    witness.sees("a refused login", &device.online(HOUR).await);
    own
}

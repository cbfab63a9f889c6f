//! The same for the vendors' crates alone: logs at the lowest level, errors with their causes, tickets, and everything else
//! that can be printed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobs_core::clock::SystemClock;
use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Env;
use jobs_core::{Error, ErrorKind, JobId, LostSubmit, WaitOptions};
use printer_jobs::{
    CredentialStore, Destination, Device, ListQuery, ListedJob, MemoryStore, PrintOutcome, ScanArgs,
};
use vendor_sim::Simulators;
use vendor_sim::fault::{Fault, Times};

use super::marks::{Search, marks, simulators};
use super::witness::{Log, Stranger, Witness};
use super::{echo, page, told_to_nobody_else};
use crate::mindshow::MARKDOWN;

/// Long enough for a few polls.
fn patience() -> WaitOptions {
    WaitOptions {
        max_unreachable: Duration::from_secs(40),
        ..WaitOptions::new(Duration::from_secs(3600))
    }
}

/// What the vendors answer with: the truth, several ways to repeat a credential, and the way to a stranger.
fn faults(code: serde_json::Value, mark: &str, stranger: &Stranger) -> Vec<Option<Fault>> {
    vec![
        None,
        Some(Fault::Code {
            code,
            message: Some(echo(mark)),
            after_commit: false,
        }),
        Some(page(403, mark)),
        Some(page(502, mark)),
        Some(Fault::Redirect {
            location: format!("http://{}/elsewhere", stranger.address),
            status: Some(307),
        }),
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
    let stranger = Stranger::listen("200 OK").await;
    // Time is moved by hand, so that pauses between repetitions cost nothing; the vendors are as quick.
    let clock = ManualClock::new();
    let mut scene = Scene {
        clock: &clock,
        simulators: &simulators,
        lookup: &lookup,
        stranger: &stranger,
        witness: &mut witness,
    };
    clock.run(Box::pin(textin(&mut scene))).await;
    clock.run(Box::pin(ppj(&mut scene))).await;
    clock.run(Box::pin(mindshow(&mut scene))).await;
    clock.run(Box::pin(tencent(&mut scene))).await;
    let own = printer(&mut scene).await;

    assert!(witness.errors >= 300, "only {} errors", witness.errors);
    told_to_nobody_else(&simulators, &own);
    let all = marks().into_iter().map(|mark| mark.text);
    let all = all.chain([PASSWORD.to_owned()]).chain(own);
    let mut search = Search::for_marks(all);
    for (what, text) in &witness.printed {
        search.through(what, text.as_bytes());
    }
    let logged = log.text();
    assert!(!logged.is_empty());
    search.through("the log", &logged);
    for head in stranger.told() {
        assert!(head.starts_with("GET /elsewhere "), "{head}");
        search.through("a stranger", head.as_bytes());
    }
    assert!(!stranger.told().is_empty());
    search.end(1 << 20);
}

/// What every vendor's calls need.
struct Scene<'a> {
    clock: &'a ManualClock,
    simulators: &'a Simulators,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    stranger: &'a Stranger,
    witness: &'a mut Witness,
}

/// A submit of which nobody knows what became, so long ago that every job may be its.
fn lost(vendor: &'static str) -> LostSubmit {
    LostSubmit {
        summary: "a document".into(),
        sent_at: SystemTime::UNIX_EPOCH,
        error: Error::new(ErrorKind::Timeout, vendor, "create"),
    }
}

/// Of a document, which goes to the vendor and nowhere else.
const PASSWORD: &str = "mk-password+A1/bb=2%31";

async fn textin(scene: &mut Scene<'_>) {
    let sim = scene.simulators.textin();
    let witness = &mut *scene.witness;
    sim.change_options(|options| {
        options.qps = None;
        (options.pending_seconds, options.in_progress_seconds) = (0.0, 0.0);
    });
    let builder = textin::Client::builder_from(&Env::new("textin", scene.lookup)).unwrap();
    witness.prints("a builder", &builder);
    let client = builder
        .with_config(|config| config.with_clock(scene.clock.shared()))
        .build()
        .unwrap();
    witness.prints("a client", &(&client, client.kind()));
    let folder = tempfile::tempdir().unwrap();
    let document = || Document::from_bytes("a.txt", "some text");
    let mut config = textin::types::ParseConfig::default();
    let export = textin::types::ExportRequest::new(textin::types::ExportFormat::Docx);
    config.exports = Some(vec![export]);
    let request = textin::ParseRequest::document(document())
        .with_config(config)
        .with_password(PASSWORD);
    witness.prints("a request", &request);
    let id = witness.submits("textin", client.parse(request.clone()).submit().await);
    let job = client.job(id.unwrap());
    witness.prints("a job", &job);
    let ready = witness
        .waits("textin wait", job.wait(patience()).await)
        .unwrap();
    let parsed = ready.parsed().await.unwrap().result;
    let file = parsed.exports.unwrap().remove(0).file.unwrap();
    let file = file.file_id.unwrap();
    for n in [0, 1] {
        for (turn, fault) in faults(40102.into(), &marks()[n].text, scene.stranger)
            .into_iter()
            .enumerate()
        {
            sim.faults().clear();
            if let Some(fault) = fault {
                sim.set_fault_times("*", fault, Times::Always);
            }
            drop(witness.submits(
                "textin submit",
                client.parse(request.clone()).submit().await,
            ));
            drop(witness.waits("textin look", job.wait(patience()).await));
            witness.sees(
                "textin parse",
                &client.parse(request.clone()).run_now().await,
            );
            witness.sees("textin result", &ready.parsed().await);
            witness.sees("textin check", &client.check_credentials().await);
            let target = |name: &str| {
                OutputPath::new(folder.path().join(format!("{n}-{turn}.{name}"))).unwrap()
            };
            witness.sees(
                "textin download",
                &ready.save_json(target("json").path()).await,
            );
            witness.sees(
                "textin Markdown",
                &ready.save_markdown(target("md").path()).await,
            );
            witness.sees(
                "textin export",
                &client.download_export(&file, &target("docx")).await,
            );
        }
    }
    sim.faults().clear();
}

async fn ppj(scene: &mut Scene<'_>) {
    let sim = scene.simulators.ppj();
    let witness = &mut *scene.witness;
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
    for (lookup, mark) in [(scene.lookup, 2), (&signed as &dyn Fn(&str) -> _, 4)] {
        let mark = &marks()[mark].text;
        let builder = ppj::Client::builder_from(&Env::new("ppj", lookup)).unwrap();
        witness.prints("a builder", &builder);
        let client = builder
            .with_config(|config| config.with_clock(scene.clock.shared()))
            .build()
            .unwrap();
        witness.prints("a client", &(&client, client.kind()));
        let id = witness.submits("ppj", client.convert(request.clone()).submit().await);
        let id = id.unwrap();
        let job = client.job(id.clone());
        let ready = witness
            .waits("ppj wait", job.wait(patience()).await)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (turn, fault) in faults("PermissionError".into(), mark, scene.stranger)
            .into_iter()
            .enumerate()
        {
            sim.faults().clear();
            if let Some(fault) = fault {
                sim.set_fault_times("*", fault, Times::Always);
            }
            drop(witness.submits("ppj create", client.convert(request.clone()).submit().await));
            drop(witness.waits("ppj look", job.wait(patience()).await));
            witness.sees("ppj show", &client.show(&id).await);
            witness.sees("ppj list", &client.list(&ppj::ListFilter::new()).await);
            witness.sees("ppj quotas", &client.quotas().await);
            witness.sees("ppj check", &client.check_credentials().await);
            let found = client.find_lost(&lost("ppj"), "a.pptx", 2).await;
            witness.sees("ppj search", &found);
            let target = OutputPath::new(folder.path().join(turn.to_string())).unwrap();
            witness.sees("ppj download", &ready.save(target.path()).await);
        }
        sim.faults().clear();
    }
}

async fn mindshow(scene: &mut Scene<'_>) {
    let sim = scene.simulators.mindshow();
    let witness = &mut *scene.witness;
    sim.change_options(|options| {
        (options.queued_seconds, options.plain_seconds) = (0.0, 0.0);
        (options.gpt_seconds, options.template_seconds) = (0.0, 0.0);
        (options.pdf_seconds, options.model_seconds) = (0.0, 0.0);
        options.stream.step_seconds = 0.0;
        options.score = 1_000_000;
    });
    let builder = mindshow::Client::builder_from(&Env::new("mindshow", scene.lookup)).unwrap();
    witness.prints("a builder", &builder);
    let client = builder
        .with_config(|config| config.with_clock(scene.clock.shared()))
        .build()
        .unwrap();
    let budget = mindshow::PdfBudget::calls(5);
    witness.prints(
        "a client",
        &(&client, client.kind(), client.pdf_kind(budget)),
    );
    let request = mindshow::types::MarkdownDeck::from_markdown(MARKDOWN);
    let id = witness.submits("mindshow", client.deck(request.clone()).submit().await);
    let id = id.unwrap();
    let job = client.job(id.clone());
    let ready = witness
        .waits("mindshow wait", job.wait(patience()).await)
        .unwrap();
    let export = client.pdf_job(id.clone(), budget).wait(patience()).await;
    let exported = witness.waits("mindshow pdf", export).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let theme = || mindshow::types::Theme::Light;
    for (turn, fault) in faults(1001.into(), &marks()[5].text, scene.stranger)
        .into_iter()
        .enumerate()
    {
        sim.faults().clear();
        if let Some(fault) = fault {
            sim.set_fault_times("*", fault, Times::Always);
        }
        drop(witness.submits(
            "mindshow create",
            client.deck(request.clone()).submit().await,
        ));
        drop(witness.waits("mindshow look", job.wait(patience()).await));
        let export = client.pdf_job(id.clone(), budget).wait(patience()).await;
        drop(witness.waits("mindshow get_pdf", export));
        witness.sees("mindshow account", &client.account_info().await);
        witness.sees("mindshow job", &client.job_info(&id).await);
        mindshow_lists(&client, &id, witness).await;
        mindshow_works(&client, witness).await;
        witness.sees(
            "mindshow link",
            &client.jump_link(&id, theme(), false).await,
        );
        let target =
            |name: &str| OutputPath::new(folder.path().join(format!("{turn}.{name}"))).unwrap();
        witness.sees("mindshow deck", &ready.save(target("pptx").path()).await);
        witness.sees(
            "mindshow pdf file",
            &exported.save(target("pdf").path()).await,
        );
    }
    sim.faults().clear();
}

/// What is free, and an export of a page as a template.
async fn mindshow_lists(client: &mindshow::Client, id: &JobId, witness: &mut Witness) {
    use mindshow::types::{AdvanceTemplateAddRequest, ListRequest, TemplateListRequest};
    let (all, templates) = (ListRequest::default(), TemplateListRequest::default());
    witness.sees("mindshow jobs", &client.list_jobs(&all).await);
    witness.sees("mindshow charges", &client.list_score_log(&all).await);
    let since = client.charges_since(SystemTime::UNIX_EPOCH).await;
    witness.sees("mindshow charges since", &since);
    let found = client
        .find_lost(&lost("mindshow"), &mindshow::SearchCriteria::default())
        .await;
    witness.sees("mindshow search", &found);
    witness.sees("mindshow quality", &client.quality_data(id).await);
    witness.sees(
        "mindshow templates",
        &client.list_templates(&templates).await,
    );
    let mut pages = client.template_pages(&templates);
    witness.sees("mindshow template page", &pages.next().await.unwrap());
    witness.prints("mindshow template pages", &pages);
    witness.sees("mindshow template", &client.template("t").await);
    witness.sees("mindshow tags", &client.tag_cfg().await);
    let page = AdvanceTemplateAddRequest::new("p".to_owned(), "A page".to_owned());
    witness.sees(
        "mindshow add page",
        &client.add_advance_template(&page).await,
    );
    witness.sees("mindshow pages", &client.list_advance_templates(&all).await);
    witness.sees("mindshow page", &client.advance_template("adv-1").await);
    let renamed = client.rename_advance_template("adv-1", "Another").await;
    witness.sees("mindshow rename page", &renamed);
    let deleted = client.delete_advance_template("adv-1").await;
    witness.sees("mindshow delete page", &deleted);
    let nobody = JobId::new("nobody").unwrap();
    witness.sees("mindshow delete", &client.delete_job(&nobody).await);
}

/// What costs credits, and the upload that it begins with.
async fn mindshow_works(client: &mindshow::Client, witness: &mut Witness) {
    use mindshow::types::{
        ContentRequest, DeckPage, GptDeck, JsonDeck, OutlineRequest, PageType, PptDeck,
        TemplateFromPpt,
    };
    let document = Document::from_bytes("a.pptx", "PK");
    let uploaded = client.upload(&document).await;
    witness.sees("mindshow upload", &uploaded);
    let resource = uploaded.unwrap_or_else(|_| mindshow::ResourceId::new("res-none"));
    let deck = PptDeck::from_upload(resource.clone(), true);
    drop(witness.submits(
        "mindshow from deck",
        client.deck(deck.clone()).submit().await,
    ));
    let deck = TemplateFromPpt::from_upload(resource);
    drop(witness.submits(
        "mindshow as template",
        client.deck(deck.clone()).submit().await,
    ));
    let deck = GptDeck::from_topic("Tea");
    drop(witness.submits("mindshow about", client.deck(deck.clone()).submit().await));
    let deck = JsonDeck::pptx(vec![DeckPage::new(PageType::Cover)]);
    drop(witness.submits(
        "mindshow of pages",
        client.deck(deck.clone()).submit().await,
    ));

    let topic = OutlineRequest::about("Tea");
    witness.sees("mindshow outline", &client.outline(&topic).await);
    let stream = client.stream_outline(&topic).await;
    witness.sees("mindshow outline begun", &stream);
    if let Ok(mut stream) = stream {
        witness.sees("mindshow outline piece", &stream.next().await);
        witness.sees("mindshow outline written", &stream.finish().await);
    }
    let outline = ContentRequest::new("# Tea\n\n## Leaves\n\n### Green\n".to_owned());
    witness.sees("mindshow content", &client.content(&outline).await);
    let stream = client.stream_content(&outline).await;
    witness.sees("mindshow content begun", &stream);
    if let Ok(mut stream) = stream {
        witness.sees("mindshow content so far", &stream.next().await);
        witness.sees("mindshow content written", &stream.finish().await);
    }
}

async fn tencent(scene: &mut Scene<'_>) {
    let sim = scene.simulators.tencent();
    let witness = &mut *scene.witness;
    sim.change_options(|options| {
        options.qps = None;
        options.check_content = false;
        (options.pending_seconds, options.processing_seconds) = (0.0, 0.0);
    });
    let builder =
        tencent_ess::Client::builder_from(&Env::new("tencent-ess", scene.lookup)).unwrap();
    witness.prints("a builder", &builder);
    let client = builder
        .with_config(|config| config.with_clock(scene.clock.shared()))
        .build()
        .unwrap();
    witness.prints("a client", &(&client, client.kind()));
    let document = Document::from_bytes("a.docx", "PK");
    let id = witness.submits("tencent", client.convert(document.clone()).submit().await);
    let job = client.job(id.unwrap());
    let upload = tencent_ess::UploadRequest::new([&document]);
    let file = client
        .upload_files(&upload)
        .await
        .unwrap()
        .files
        .remove(0)
        .id;
    for n in [6, 7, 8] {
        for fault in faults(
            "AuthFailure.SignatureFailure".into(),
            &marks()[n].text,
            scene.stranger,
        ) {
            sim.faults().clear();
            if let Some(fault) = fault {
                sim.set_fault_times("*", fault, Times::Always);
            }
            drop(witness.submits("tencent", client.convert(document.clone()).submit().await));
            drop(witness.waits("tencent look", job.wait(patience()).await));
            witness.sees("tencent upload", &client.upload_files(&upload).await);
            let docx = tencent_ess::types::ResourceType::Docx;
            let submission = client
                .convert(tencent_ess::ConvertRequest::uploaded(
                    file.clone(),
                    docx,
                    "a.docx",
                ))
                .submit()
                .await;
            drop(witness.submits("tencent create", submission));
            witness.sees("tencent check", &client.check_credentials().await);
        }
    }
    sim.faults().clear();
}

/// Also gives back what the cloud gave the printer, which must not be found either.
async fn printer(scene: &mut Scene<'_>) -> Vec<String> {
    const HOUR: Duration = Duration::from_secs(3600);
    let sim = scene.simulators.wecom();
    let witness = &mut *scene.witness;
    sim.add_job(super::job("a.pdf"));
    let builder = || {
        let builder = Device::builder_from(&Env::new("printer-jobs", scene.lookup)).unwrap();
        builder.with_clock(Arc::new(SystemClock::with_speed(super::marks::SPEED)))
    };
    witness.prints("a builder", &builder());
    let store = Arc::new(MemoryStore::new());
    let device = builder().with_store(store.clone()).connect().unwrap();
    witness.sees("going online", &device.online(HOUR).await);
    witness.prints("a device", &(&device, device.kind(), device.bind_url()));
    witness.sees("printer login address", &device.login_url("desk"));
    let mut news = device.events();
    drop(sim.scan("u1", "desk"));
    witness.prints("printer news", &news.next().await);
    let folder = tempfile::tempdir().unwrap();
    let job = device.jobs(ListQuery::all()).await.unwrap().remove(0);
    let to = Destination::new(folder.path(), "a").unwrap();
    printer_calls(&device, &job, &to, witness).await;
    let stored = store.load(device.sn()).unwrap();
    witness.prints("what is stored", &(&store, &stored));
    let own: Vec<String> = [&stored.secret, &stored.active_code]
        .into_iter()
        .flatten()
        .map(|secret| secret.expose().to_owned())
        .collect();
    assert!(!own.is_empty());
    for (turn, mark) in own.iter().chain([&marks()[9].text]).enumerate() {
        for command in [
            "printer/get_job_list",
            "printer/download_file",
            "printer/report_job_status",
            "printer/gen_qrcode",
            "printer/upload_scan_file",
            "gen_login_qrcode",
            "report_device_feature",
            "error_report",
            "get_corp_info",
        ] {
            let fault = Fault::Code {
                code: 600_033.into(),
                message: Some(echo(mark)),
                after_commit: false,
            };
            sim.set_fault(command, fault);
        }
        let errors = witness.errors;
        let to = Destination::new(folder.path(), turn.to_string()).unwrap();
        printer_calls(&device, &job, &to, witness).await;
        assert_eq!(witness.errors - errors, 9);
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

/// Every command after the login.
async fn printer_calls(device: &Device, job: &ListedJob, to: &Destination, witness: &mut Witness) {
    let id = JobId::new(&*job.id).unwrap();
    witness.sees("printer list", &device.jobs(ListQuery::all()).await);
    witness.sees("printer download", &device.download(job, to).await);
    let reported = device.report(&id, &PrintOutcome::Succeeded).await;
    witness.sees("printer report", &reported);
    witness.sees("printer QR code", &device.printer_qr("desk").await);
    witness.sees("printer login QR code", &device.login_qr("desk").await);
    let scan = ScanArgs::new("u1", "scan.pdf").unwrap();
    witness.sees("printer scan", &device.upload_scan(&scan, b"%PDF").await);
    let feature = serde_json::json!({ "color": 1 });
    witness.sees("printer feature", &device.report_feature(&feature).await);
    witness.sees("printer trouble", &device.report_error(7, "no paper").await);
    witness.sees("printer company", &device.corp_info().await);
}

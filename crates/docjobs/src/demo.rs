//! `docjobs demo`: the vendors end to end, with documents made here and simulators in this process.

use std::fs;
use std::path::{Path, PathBuf};

use jobs_core::http::Document;
use vendor_sim::fault::Fault;
use vendor_sim::wecom::NewJob;
use vendor_sim::{SimOptions, Simulators};

use crate::app::App;
use crate::args::{
    ConvertArgs, DeckArgs, DeckSource, DemoArgs, Format, ParseArgs, PdfArgs, PrinterCommand,
    RunArgs, ServeArgs, SignableArgs,
};
use crate::clean::count;
use crate::exit::{CommandError, ExitCode};
use crate::input_args::{BatchArgs, InputArgs, OutArgs};
use crate::output::print_line;
use crate::vendor_options::VendorOptions;
use crate::{mindshow, ppj, printer, serve, tencent, textin, vendors};

/// How much faster than the vendors the simulators are.
const SPEED: f64 = 20.0;

const OUTLINE: &str = "\
# Quarterly report

## What happened

### Highlights

#### One deck

It was made from this outline, and exported to PDF.

#### One bundle

The same deck became a page for phones.
";

/// How many documents the page shows beside the jobs of the demo.
const NOTES: usize = 8;

pub(crate) async fn run(app: &App, args: DemoArgs) -> Result<(), CommandError> {
    let folder = new_folder(args.out).map_err(|problem| {
        CommandError::invalid_input(format!("cannot make a folder: {problem}; use --out"))
    })?;
    let simulators = Simulators::start(SimOptions {
        speed: SPEED,
        ..SimOptions::default()
    })
    .await
    .map_err(|problem| {
        CommandError::unexpected(format!("cannot start the simulators: {problem}"))
    })?;
    let app = app
        .with_variables(simulators.env())
        .with_ledger(folder.join("ledger.db"));
    app.report.say(&format!(
        "simulators run {SPEED} times as fast as the vendors; results go to {}",
        folder.display()
    ));
    if args.serve {
        serve_jobs(&app, &simulators, &folder).await?;
    } else {
        every_vendor(&app, &simulators, &folder).await?;
    }
    simulators.stop().await;
    Ok(())
}

/// The same jobs and some more, on the page of a server, until Ctrl-C.
async fn serve_jobs(app: &App, simulators: &Simulators, folder: &Path) -> Result<(), CommandError> {
    let jobs = async {
        let ran = async {
            enqueue_notes(app, simulators, folder).await?;
            every_vendor(app, simulators, folder).await
        };
        match ran.await {
            Err(stop) if app.shutdown.asked().is_none() => stop,
            ran => {
                if ran.is_ok() {
                    app.report.say(
                        "the jobs are done, one submit lost its answer; the page is there until Ctrl-C",
                    );
                }
                std::future::pending().await
            }
        }
    };
    let address = "127.0.0.1:0".to_owned();
    tokio::select! {
        ended = Box::pin(serve::serve(app, ServeArgs::working_at(address))) => ended,
        stop = Box::pin(jobs) => Err(stop),
    }
}

/// Leaves documents to the server's worker; the answer to the first submit is lost, so that there is a job in doubt.
async fn enqueue_notes(
    app: &App,
    simulators: &Simulators,
    folder: &Path,
) -> Result<(), CommandError> {
    let lost = Fault::DropAfterCommit { reset: false };
    simulators.textin().set_fault("submit", lost);
    let runner = vendors::of(app, app.runner().await?, textin::VENDOR)?;
    let notes = folder.join("notes");
    fs::create_dir_all(&notes).map_err(|problem| {
        CommandError::unexpected(format!("cannot make {}: {problem}", notes.display()))
    })?;
    for number in 1..=NOTES {
        let note = notes.join(format!("note-{number}.txt"));
        write(&note, &format!("What was said in meeting {number}.\n"))?;
        let document = Document::open(&note).map_err(|problem| {
            CommandError::unexpected(format!("cannot read {}: {problem}", note.display()))
        })?;
        let job = runner.enqueue(::textin::input(document));
        job.output(note.with_extension("md")).await?;
    }
    Ok(())
}

/// A deck, its PDF, a bundle of it, the text of the PDF, a PDF that can be signed, and three printed jobs.
async fn every_vendor(
    app: &App,
    simulators: &Simulators,
    folder: &Path,
) -> Result<(), CommandError> {
    let outline = folder.join("report-outline.md");
    write(&outline, OUTLINE)?;
    let deck = folder.join("report.pptx");
    let source = DeckSource {
        topic: None,
        outline: Vec::new(),
        markdown: vec![outline.into_os_string()],
    };
    mindshow::deck(
        app,
        DeckArgs {
            vendor: VendorOptions::default(),
            source,
            output: Some(deck.clone()),
            out: OutArgs::default(),
            batch: BatchArgs::default(),
        },
    )
    .await?;
    say(
        app,
        "mindshow",
        &deck,
        &format!("{} credits", spent(simulators)),
    )?;

    let pdf = folder.join("report.pdf");
    let deck_id = simulators
        .mindshow()
        .jobs()
        .first()
        .map(|job| job.id.clone())
        .unwrap_or_default();
    let export = PdfArgs {
        job_ids: vec![deck_id],
        output: Some(pdf.clone()),
        max_calls: crate::args::MAX_CALLS,
        out: OutArgs::default(),
        batch: BatchArgs::default(),
    };
    mindshow::pdf(app, export).await?;
    say(
        app,
        "mindshow",
        &pdf,
        &format!("{} credits in all", spent(simulators)),
    )?;

    let bundle = folder.join("report.zip");
    ppj::convert(
        app,
        ConvertArgs {
            unpack: false,
            inputs: InputArgs::of(deck),
            output: Some(bundle.clone()),
            out: OutArgs::default(),
            batch: BatchArgs::default(),
        },
    )
    .await?;
    say(
        app,
        "ppj",
        &bundle,
        &count(simulators.ppj().charges().len(), "project"),
    )?;

    let markdown = folder.join("report.md");
    let parse = ParseArgs {
        vendor: VendorOptions::default(),
        inputs: InputArgs::of(pdf),
        output: Some(markdown.clone()),
        format: Format::Markdown,
        pages: None,
        password_file: None,
        out: OutArgs::default(),
        batch: BatchArgs::default(),
    };
    Box::pin(textin::parse(app, parse)).await?;
    expect(&markdown, "It was made from this outline")?;
    let pages: u64 = simulators
        .textin()
        .charges()
        .iter()
        .map(|charge| charge.pages)
        .sum();
    say(app, "textin", &markdown, &count(pages, "page"))?;

    let contract = folder.join("contract.html");
    write(
        &contract,
        "<html><body><p>Clause 1: nothing is bought twice.</p></body></html>",
    )?;
    if !app.report.is_json() {
        app.report.say("tencent-ess: the PDF that can be signed is");
    }
    tencent::convert(
        app,
        SignableArgs {
            vendor: VendorOptions::default(),
            inputs: InputArgs::of(contract),
            batch: BatchArgs::default(),
        },
    )
    .await?;
    print(app, simulators, folder.join("spool")).await
}

/// Three jobs wait at the printer's cloud: a document, two pictures, and one whose file is missing, which is reported failed.
async fn print(app: &App, simulators: &Simulators, spool: PathBuf) -> Result<(), CommandError> {
    let cloud = simulators.wecom();
    cloud.add_job(NewJob::pdf_of("invitation.docx", "You are invited."));
    cloud.add_job(NewJob::jpg_of("holiday.jpg", 2));
    cloud.add_job(NewJob::pdf("lost.pdf", Vec::new()));
    fs::create_dir_all(&spool).map_err(|problem| {
        CommandError::invalid_input(format!("cannot make {}: {problem}", spool.display()))
    })?;
    let run = RunArgs {
        spool: spool.clone(),
        exec: None,
        once: true,
        remove: false,
    };
    match printer::run(app, PrinterCommand::Run(run)).await {
        Err(stop) if stop.exit == ExitCode::Failed => {}
        other => {
            return other.and(Err(CommandError::unexpected(
                "a print job without a file was not reported as failed",
            )));
        }
    }
    say(
        app,
        "printer-jobs",
        &spool,
        &format!(
            "{} reported, one of them failed",
            count(cloud.reports().len(), "job")
        ),
    )
}

fn spent(simulators: &Simulators) -> i64 {
    simulators.mindshow().options().score - simulators.mindshow().score()
}

fn say(app: &App, vendor: &str, path: &Path, cost: &str) -> Result<(), CommandError> {
    if app.report.is_json() {
        Ok(())
    } else {
        print_line(&format!("{vendor}: {} ({cost})", path.display()))
    }
}

/// The result holds the text of the document.
fn expect(path: &Path, words: &str) -> Result<(), CommandError> {
    let text = fs::read_to_string(path).map_err(|problem| {
        CommandError::unexpected(format!("cannot read {}: {problem}", path.display()))
    })?;
    if text.contains(words) {
        return Ok(());
    }
    Err(CommandError::unexpected(format!(
        "{} lacks the words {words:?}",
        path.display()
    )))
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    fs::write(path, text).map_err(|problem| {
        CommandError::unexpected(format!("cannot write {}: {problem}", path.display()))
    })
}

/// The named folder, or the first of `docjobs-demo`, `docjobs-demo-2`, … that is not there yet.
fn new_folder(out: Option<PathBuf>) -> std::io::Result<PathBuf> {
    if let Some(folder) = out {
        fs::create_dir_all(&folder)?;
        return Ok(folder);
    }
    for number in 1u32.. {
        let name = if number == 1 {
            "docjobs-demo".to_owned()
        } else {
            format!("docjobs-demo-{number}")
        };
        match fs::create_dir(&name) {
            Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| PathBuf::from(name)),
        }
    }
    Err(std::io::Error::other("every name is taken"))
}

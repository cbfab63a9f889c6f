//! `docjobs demo`: the vendors end to end, with documents made here and simulators in this process.

use std::fs;
use std::path::{Path, PathBuf};

use vendor_sim::wecom::NewJob;
use vendor_sim::{SimOptions, Simulators};

use crate::app::App;
use crate::args::{
    ConvertArgs, DeckArgs, DeckSource, Format, ParseArgs, PdfArgs, PrinterCommand, RunArgs,
    SignableArgs,
};
use crate::clean::count;
use crate::exit::{CommandError, ExitCode};
use crate::input_args::{BatchArgs, InputArgs, OutArgs};
use crate::output::print_line;
use crate::vendor_options::VendorOptions;
use crate::{mindshow, ppj, printer, tencent, textin};

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

pub(crate) async fn run(app: &App, out: Option<PathBuf>) -> Result<(), CommandError> {
    let folder = new_folder(out).map_err(|problem| {
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

    let outline = folder.join("report-outline.md");
    write(&outline, OUTLINE)?;
    let deck = folder.join("report.pptx");
    let source = DeckSource {
        topic: None,
        outline: Vec::new(),
        markdown: vec![outline.into_os_string()],
    };
    mindshow::deck(
        &app,
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
        &app,
        "mindshow",
        &deck,
        &format!("{} credits", spent(&simulators)),
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
    mindshow::pdf(&app, export).await?;
    say(
        &app,
        "mindshow",
        &pdf,
        &format!("{} credits in all", spent(&simulators)),
    )?;

    let bundle = folder.join("report.zip");
    ppj::convert(
        &app,
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
        &app,
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
    Box::pin(textin::parse(&app, parse)).await?;
    expect(&markdown, "It was made from this outline")?;
    let pages: u64 = simulators
        .textin()
        .charges()
        .iter()
        .map(|charge| charge.pages)
        .sum();
    say(&app, "textin", &markdown, &count(pages, "page"))?;

    let contract = folder.join("contract.html");
    write(
        &contract,
        "<html><body><p>Clause 1: nothing is bought twice.</p></body></html>",
    )?;
    if !app.report.is_json() {
        app.report.say("tencent-ess: the PDF that can be signed is");
    }
    tencent::convert(
        &app,
        SignableArgs {
            vendor: VendorOptions::default(),
            inputs: InputArgs::of(contract),
            batch: BatchArgs::default(),
        },
    )
    .await?;
    print(&app, &simulators, folder.join("spool")).await?;
    simulators.stop().await;
    Ok(())
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

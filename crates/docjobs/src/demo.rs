//! `docjobs demo`: every vendor end to end, with documents made here and simulators in this process.

use std::fs;
use std::path::{Path, PathBuf};

use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, dictionary};
use vendor_sim::{SimOptions, Simulators};

use crate::app::App;
use crate::args::{Format, ParseArgs};
use crate::exit::Stop;
use crate::flow::print_line;
use crate::textin;

/// How much faster than the vendors the simulators are.
const SPEED: f64 = 20.0;

const LINES: [&str; 3] = [
    "Quarterly report",
    "This text was put into a PDF, sent over HTTP, and parsed.",
    "It cost one page, once.",
];

pub(crate) async fn run(app: &App, out: Option<PathBuf>) -> Result<(), Stop> {
    let folder = new_folder(out).map_err(|problem| {
        Stop::bad_input(format!("cannot make a folder: {problem}; use --out"))
    })?;
    let simulators = Simulators::start(SimOptions {
        speed: SPEED,
        ..SimOptions::default()
    })
    .await
    .map_err(|problem| Stop::unexpected(format!("cannot start the simulators: {problem}")))?;
    let app = app.with_variables(simulators.env());
    app.report.say(&format!(
        "simulators run {SPEED} times as fast as the vendors; results go to {}",
        folder.display()
    ));

    let (pdf, markdown) = (folder.join("report.pdf"), folder.join("report.md"));
    write_pdf(&pdf, &LINES).map_err(|problem| {
        Stop::unexpected(format!("cannot write {}: {problem}", pdf.display()))
    })?;
    let parse = ParseArgs {
        input: pdf.display().to_string(),
        output: Some(markdown.clone()),
        format: Format::Markdown,
        pages: None,
    };
    textin::parse(&app, parse).await?;
    expect_text(&markdown)?;
    let charged: u64 = simulators
        .textin()
        .charges()
        .iter()
        .map(|charge| charge.pages)
        .sum();
    if !app.report.is_json() {
        print_line(&format!(
            "textin: {} ({charged} page charged)",
            markdown.display()
        ))?;
    }
    simulators.stop().await;
    Ok(())
}

/// The result holds the text of the document.
fn expect_text(markdown: &Path) -> Result<(), Stop> {
    let text = fs::read_to_string(markdown).map_err(|problem| {
        Stop::unexpected(format!("cannot read {}: {problem}", markdown.display()))
    })?;
    match LINES.iter().find(|line| !text.contains(**line)) {
        None => Ok(()),
        Some(line) => Err(Stop::unexpected(format!(
            "{} lacks the line {line:?}",
            markdown.display()
        ))),
    }
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

/// A PDF of one page with these lines of plain text.
fn write_pdf(path: &Path, lines: &[&str]) -> Result<(), lopdf::Error> {
    let mut document = Document::with_version("1.5");
    let pages = document.new_object_id();
    let font = document.add_object(
        dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica" },
    );
    let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let mut operations = vec![
        Operation::new("BT", vec![]),
        Operation::new("Tf", vec!["F1".into(), 14.into()]),
        Operation::new("TL", vec![20.into()]),
        Operation::new("Td", vec![72.into(), 720.into()]),
    ];
    for line in lines {
        operations.push(Operation::new("Tj", vec![Object::string_literal(*line)]));
        operations.push(Operation::new("T*", vec![]));
    }
    operations.push(Operation::new("ET", vec![]));
    let content = document.add_object(Stream::new(
        dictionary! {},
        Content { operations }.encode()?,
    ));
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages, "Contents" => content, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    });
    let tree = dictionary! { "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1 };
    document.objects.insert(pages, Object::Dictionary(tree));
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    document.save(path)?;
    Ok(())
}

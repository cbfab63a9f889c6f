//! Parses a document to Markdown: submit, wait, download. Billed for each page, unless the variables name a simulator.
//!
//! `cargo run -p textin --example parse -- report.pdf report.md`, with `TEXTIN_APP_ID` and `TEXTIN_SECRET_CODE` set.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::sync::Arc;
use std::time::Duration;

use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use jobs_core::{Clock, Env, SubmitError, SystemClock};
use textin::{Client, ParseRequest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(from), Some(to)) = (words.next(), words.next()) else {
        return Err("say: parse DOCUMENT RESULT.md".into());
    };
    let client = Client::builder_from(&Env::of_process("textin"))?
        .with_clock(clock())
        .build()?;
    let target = OutputPath::new(to)?; // checked before money is spent
    let request = ParseRequest::document(Document::open(from)?);

    let job = match client.submit_parse(&request).await.into_result() {
        Ok(job) => job,
        Err(SubmitError::Rejected(why)) => return Err(why.into()), // nothing was charged
        Err(SubmitError::OutcomeUnknown(lost)) => return Err(lost.to_string().into()), // may be charged: a person decides
    };
    println!("ticket: {}", job.ticket()?); // with it any process can go on

    let ready = job.wait(Duration::from_secs(600)).await?;
    let (saved, outline) = client.download_markdown(&ready, &target).await?;
    println!(
        "{} elements, Markdown in {}",
        outline.elements,
        saved.path.display()
    );
    Ok(())
}

/// Simulators run faster than the vendor: `docjobs sim --speed 20` prints `DOCJOBS_TIME_SCALE=20`.
fn clock() -> Arc<dyn Clock> {
    let scale = std::env::var("DOCJOBS_TIME_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok());
    Arc::new(SystemClock::with_speed(scale.unwrap_or(1)))
}

//! Parses a document to Markdown: submit, wait, save. Billed for each page, unless the variables name a simulator.
//!
//! `cargo run -p textin --example parse -- report.pdf report.md`, with `TEXTIN_APP_ID` and `TEXTIN_SECRET_CODE` set.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use textin::{Client, Document, Env, SubmitError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(from), Some(to)) = (words.next(), words.next()) else {
        return Err("say: parse DOCUMENT RESULT.md".into());
    };
    let client = Client::builder_from(&Env::of_process("textin"))?
        .with_config(|config| config.with_clock(Arc::new(SystemClock::with_speed(speed()))))
        .build()?;

    let job = match client.parse(Document::open(from)?).submit().await {
        Ok(job) => job,
        Err(SubmitError::Rejected(why)) => return Err(why.into()), // nothing was charged
        Err(SubmitError::OutcomeUnknown(lost)) => return Err(lost.to_string().into()), // may be charged: a person decides
    };
    println!("ticket: {}", job.ticket()?); // with it any process can go on

    let parsed = job.wait(Duration::from_secs(600)).await?;
    let saved = parsed.save_markdown(to).await?;
    println!("Markdown in {}", saved.path.display());
    Ok(())
}

/// Simulators run faster than the vendor: `docjobs sim --speed 20` prints `DOCJOBS_TIME_SCALE=20`.
fn speed() -> u32 {
    let scale = std::env::var("DOCJOBS_TIME_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

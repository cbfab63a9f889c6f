//! Makes a deck of Markdown, and a PDF of the deck. 10 credits, and for the PDF 10 or more, unless the variables name a
//! simulator.
//!
//! `cargo run -p mindshow --example deck -- plan.md plan.pptx plan.pdf`, with `MINDSHOW_API_KEY` set.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use mindshow::types::MarkdownDeck;
use mindshow::{Client, Env, PdfBudget, SubmitError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(from), Some(deck), Some(pdf)) = (words.next(), words.next(), words.next()) else {
        return Err("say: deck PLAN.md DECK.pptx DECK.pdf".into());
    };
    let client = Client::builder_from(&Env::of_process("mindshow"))?
        .with_config(|config| config.with_clock(Arc::new(SystemClock::with_speed(speed()))))
        .build()?;
    let request = MarkdownDeck::from_markdown(std::fs::read_to_string(from)?);

    let job = match client.deck(request).submit().await {
        Ok(job) => job,
        Err(SubmitError::Rejected(why)) => return Err(why.into()), // nothing was charged
        Err(SubmitError::OutcomeUnknown(lost)) => return Err(lost.to_string().into()), // see Client::find_lost
    };
    println!("ticket: {}", job.ticket()?); // with it any process can go on

    let ready = job.wait(Duration::from_secs(600)).await?;
    let saved = ready.save(deck).await?;
    println!("{:?} in {}", ready.title, saved.path.display());

    // Every call for the PDF may cost 10 credits, so how many there may be is said here.
    let export = client.pdf(ready.job_id.clone(), PdfBudget::calls(12));
    let saved = export
        .run(Duration::from_secs(120))
        .await?
        .save(pdf)
        .await?;
    println!("{} bytes in {}", saved.len, saved.path.display());
    Ok(())
}

/// Simulators run faster than the vendor: `docjobs sim --speed 20` prints `DOCJOBS_TIME_SCALE=20`.
fn speed() -> u32 {
    let scale = std::env::var("DOCJOBS_TIME_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

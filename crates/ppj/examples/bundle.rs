//! Converts a PowerPoint file to an H5 bundle and unpacks it. Takes one project of the quota, unless the variables name a
//! simulator.
//!
//! `cargo run -p ppj --example bundle -- deck.pptx deck.zip`, with `PPJ_ACCESS_KEY` set.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use ppj::{Client, Document, Env, Limits, SubmitError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(from), Some(to)) = (words.next(), words.next()) else {
        return Err("say: bundle DECK.pptx RESULT.zip".into());
    };
    let client = Client::builder_from(&Env::of_process("ppj"))?
        .with_config(|config| config.with_clock(Arc::new(SystemClock::with_speed(speed()))))
        .build()?;

    let job = match client.convert(Document::open(from)?).submit().await {
        Ok(job) => job,
        Err(SubmitError::Rejected(why)) => return Err(why.into()), // no project was taken
        Err(SubmitError::OutcomeUnknown(lost)) => return Err(lost.to_string().into()), // see Client::find_lost
    };
    println!("ticket: {}", job.ticket()?); // with it any process can go on

    let ready = job.wait(Duration::from_secs(900)).await?;
    let saved = ready.save(&to).await?;

    let folder = Path::new(&to).with_extension("");
    let bundle = ppj::unpack(&saved.path, &folder, &Limits::default())?;
    println!(
        "{} files in {to}, unpacked in {}",
        bundle.files,
        folder.display()
    );
    Ok(())
}

/// Simulators run faster than the vendor: `docjobs sim --speed 20` prints `DOCJOBS_TIME_SCALE=20`.
fn speed() -> u32 {
    let scale = std::env::var("DOCJOBS_TIME_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

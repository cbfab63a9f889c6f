//! Converts a PowerPoint file to an H5 bundle and unpacks it. Takes one project of the quota, unless the variables name a
//! simulator.
//!
//! `cargo run -p ppj --example bundle -- deck.pptx deck.zip`, with `PPJ_ACCESS_KEY` set.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use jobs_core::{Clock, Env, SubmitError, SystemClock};
use ppj::{Client, ConvertRequest, Limits};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(from), Some(to)) = (words.next(), words.next()) else {
        return Err("say: bundle DECK.pptx RESULT.zip".into());
    };
    let client = Client::builder_from(&Env::of_process("ppj"))?
        .with_clock(clock())
        .build()?;
    let target = OutputPath::new(&to)?; // checked before a project is taken
    let request = ConvertRequest::new(Document::open(from)?);

    let job = match client.submit_convert(&request).await.into_result() {
        Ok(job) => job,
        Err(SubmitError::Rejected(why)) => return Err(why.into()), // no project was taken
        Err(SubmitError::OutcomeUnknown(lost)) => return Err(lost.to_string().into()), // see Client::find_lost
    };
    println!("ticket: {}", job.ticket()?); // with it any process can go on

    let ready = job.wait(Duration::from_secs(900)).await?;
    let (saved, bundle) = client.download_zip(&ready, &target).await?;
    println!("{} files in {}", bundle.files, saved.path.display());

    let folder = Path::new(&to).with_extension("");
    ppj::unpack(&saved.path, &folder, &Limits::default())?;
    println!("unpacked in {}", folder.display());
    Ok(())
}

/// Simulators run faster than the vendor: `docjobs sim --speed 20` prints `DOCJOBS_TIME_SCALE=20`.
fn clock() -> Arc<dyn Clock> {
    let scale = std::env::var("DOCJOBS_TIME_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok());
    Arc::new(SystemClock::with_speed(scale.unwrap_or(1)))
}

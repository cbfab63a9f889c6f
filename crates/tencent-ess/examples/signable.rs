//! Converts a file to a PDF that can be signed, and prints the id with which a contract is started.
//!
//! `cargo run -p tencent-ess --example signable -- contract.docx`, with `TENCENTCLOUD_SECRET_ID`,
//! `TENCENTCLOUD_SECRET_KEY` and the three `TENCENT_ESS_…` ids set.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use tencent_ess::{Client, Document, Env, SubmitError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(from) = std::env::args().nth(1) else {
        return Err("say: signable DOCUMENT".into());
    };
    let client = Client::builder_from(&Env::of_process("tencent-ess"))?
        .with_config(|config| config.with_clock(Arc::new(SystemClock::with_speed(speed()))))
        .build()?;

    // Upload, then create.
    let job = match client.convert(Document::open(from)?).submit().await {
        Ok(job) => job,
        Err(SubmitError::Rejected(why)) => return Err(why.into()), // there is no task
        Err(SubmitError::OutcomeUnknown(lost)) => return Err(lost.to_string().into()), // there may be one, and none can be listed
    };
    println!("ticket: {}", job.ticket()?); // with it any process can go on

    let ready = job.wait(Duration::from_secs(180)).await?;
    println!("resource id: {}", ready.resource_id);
    Ok(())
}

/// Simulators run faster than the vendor: `docjobs sim --speed 20` prints `DOCJOBS_TIME_SCALE=20`.
fn speed() -> u32 {
    let scale = std::env::var("DOCJOBS_TIME_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

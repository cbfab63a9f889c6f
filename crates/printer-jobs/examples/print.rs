//! Is a WeCom printer for a moment: prints every unprinted job into a folder and reports it. Free.
//!
//! `cargo run -p printer-jobs --example print -- spool`, with `WECOM_PRINTER_SN` and `WECOM_PRINTER_SECRET_NO` set.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::{Clock, SystemClock};
use printer_jobs::{Destination, Device, Env, ListQuery, PrintOutcome, StatusFilter};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(spool) = std::env::args().nth(1) else {
        return Err("say: print FOLDER".into());
    };
    std::fs::create_dir_all(&spool)?;
    let device = Device::builder_from(&Env::of_process("printer-jobs"))?
        .with_clock(clock())
        .connect()?;
    device.online(Duration::from_secs(600)).await?;

    for job in device
        .jobs(ListQuery::all().with_status(StatusFilter::Unprinted))
        .await?
    {
        // A file that cannot be right is an outcome as well: the person at the phone is told.
        let outcome = match device
            .download(&job, &Destination::for_job(&spool, &job))
            .await
        {
            Ok(got) => {
                for file in &got.files {
                    println!("{}: {}", job.id, file.display());
                }
                PrintOutcome::Succeeded
            }
            Err(why) if why.is_transient() => return Err(why.into()),
            Err(why) => {
                println!("{}: {why}", job.id);
                PrintOutcome::Failed {
                    code: 1,
                    message: "the file cannot be printed".to_owned(),
                }
            }
        };
        device.report(&job.job_id()?, &outcome).await?;
    }
    device.close().await;
    Ok(())
}

/// Simulators run faster than the vendor: `docjobs sim --speed 20` prints `DOCJOBS_TIME_SCALE=20`.
fn clock() -> Arc<dyn Clock> {
    let scale = std::env::var("DOCJOBS_TIME_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok());
    Arc::new(SystemClock::with_speed(scale.unwrap_or(1)))
}

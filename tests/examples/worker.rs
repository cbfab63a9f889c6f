//! A worker that goes on with the jobs of a ledger, in as many processes as you like, and gives them back at Ctrl-C.
//! `worker sqlite:ledger.db`

#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use jobs_runner::{Observer, Runner, RunnerEvent, WorkerConfig};

struct Print;

impl Observer for Print {
    fn on_event(&self, event: &RunnerEvent<'_>) {
        match event {
            RunnerEvent::Completed { job, output } => println!("{job}: {:?}", output.path()),
            RunnerEvent::Ended { job, error } | RunnerEvent::Parked { job, error } => {
                println!("job {job}: {error}");
            }
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ledger = std::env::args().nth(1).ok_or("name a ledger")?;
    let runner = Runner::open(&ledger)
        .await?
        .with(textin::handler(textin::Client::from_env()?))
        .with_observer(Print);
    let config = WorkerConfig::default().until_idle(true);
    let report = runner.worker(config).run(interrupted()).await?;
    println!("gave back {} unfinished", report.given_back);
    Ok(())
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

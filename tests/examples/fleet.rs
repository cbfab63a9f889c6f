//! Parses many documents at once to Markdown beside them: `fleet a.pdf b.pdf …`. Billed for each page.

#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use std::time::Duration;

use jobs_core::fleet::{Fleet, FleetConfig};
use textin::{Client, Document};

const ONE_HOUR: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let mut fleet = Fleet::new(FleetConfig::default());
    for path in std::env::args().skip(1) {
        match client.parse(Document::open(&path)?).submit().await {
            Ok(job) => fleet.watch(job, path, ONE_HOUR)?,
            Err(error) => println!("{path}: {error}"),
        }
    }
    while let Some(done) = fleet.next().await {
        let path = done.tag;
        match done.result {
            Ok(parsed) => println!("{:?}", parsed.save_markdown(path + ".md").await?.path),
            Err(error) => println!("{path}: {error}; ticket {}", error.ticket()),
        }
    }
    Ok(())
}

//! Goes on with a job that another process submitted, by its ticket, and prints the Markdown. Free.
//!
//! `cargo run -p textin --example resume -- docjobs1.textin.parse.…`, with the variables of the same account.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::time::Duration;

use textin::{Client, Ticket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ticket: Ticket = std::env::args().nth(1).unwrap_or_default().parse()?;
    let job = Client::from_env()?.resume(&ticket)?;
    let parsed = job.wait(Duration::from_secs(600)).await?;
    println!("{}", parsed.markdown().await?);
    Ok(())
}

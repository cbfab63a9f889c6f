//! Parses one document durably: `durable report.pdf report.md`. Kill it at any instant and run it again: it goes on where it
//! was, and pays once.

#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use jobs_runner::{RunOptions, Runner};
use textin::{Client, Document};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(from), Some(to)) = (words.next(), words.next()) else {
        return Err("say: durable DOCUMENT RESULT.md".into());
    };
    let handler = textin::handler(Client::from_env()?);
    let runner = Runner::open("sqlite:ledger.db").await?.with(handler);
    let document = textin::input(Document::open(from)?);
    let outcome = runner.enqueue(document).output(to);
    println!("{:?}", outcome.run(&RunOptions::default()).await?);
    Ok(())
}

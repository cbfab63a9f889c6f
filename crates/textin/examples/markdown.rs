//! Prints a document as Markdown, in one expression. Billed for each page, unless the variables name a simulator.
//!
//! `cargo run -p textin --example markdown -- report.pdf`, with `TEXTIN_APP_ID` and `TEXTIN_SECRET_CODE` set.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to whoever runs it"
)]

use std::process::ExitCode;
use std::time::Duration;

use textin::{Client, Document, RunError};

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let path = std::env::args().nth(1).unwrap_or_default();
    match markdown(&path).await {
        Ok(markdown) => {
            println!("{markdown}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            if error.is_outcome_unknown() {
                eprintln!(
                    "it may have been charged: look into the vendor's console before trying again"
                );
            } else if let Some(ticket) = error.ticket() {
                eprintln!(
                    "it is paid for, and not lost: cargo run -p textin --example resume -- {ticket}"
                );
            }
            ExitCode::FAILURE
        }
    }
}

async fn markdown(path: &str) -> Result<String, RunError> {
    Client::from_env()?
        .parse(Document::open(path)?)
        .run(TEN_MINUTES)
        .await?
        .markdown()
        .await
}

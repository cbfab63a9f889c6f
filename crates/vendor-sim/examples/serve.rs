//! Runs the simulators until standard input ends, for clients in other languages. The first argument is the speed.
//!
//! `cargo run -p vendor-sim --example serve -- 20` prints `NAME=value` lines for the environment of the client.

use std::io::{Read, Write};

use vendor_sim::{SimOptions, Simulators};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let speed = std::env::args()
        .nth(1)
        .and_then(|speed| speed.parse().ok())
        .unwrap_or(1.0);
    let simulators = Simulators::start(SimOptions {
        speed,
        ..SimOptions::default()
    })
    .await?;
    let mut out = std::io::stdout();
    for (name, value) in simulators.env() {
        writeln!(out, "{name}={value}")?;
    }
    out.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    simulators.stop().await;
    Ok(())
}

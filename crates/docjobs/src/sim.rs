//! `docjobs sim`: the simulators as a server.

use std::fs;

use vendor_sim::{SimOptions, Simulators};

use crate::app::App;
use crate::args::SimArgs;
use crate::exit::Stop;
use crate::place::print_line;

pub(crate) async fn run(app: &App, args: SimArgs) -> Result<(), Stop> {
    let options = SimOptions {
        listen: args.listen,
        speed: f64::from(args.speed),
        ..SimOptions::default()
    };
    let simulators = Simulators::start(options).await.map_err(|problem| {
        Stop::bad_input(format!("cannot listen on {}: {problem}", args.listen))
    })?;
    let lines: Vec<String> = simulators
        .env()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for line in &lines {
        print_line(line)?;
    }
    if let Some(path) = &args.env_file {
        fs::write(path, lines.join("\n") + "\n").map_err(|problem| {
            Stop::bad_input(format!("cannot write {}: {problem}", path.display()))
        })?;
    }
    app.report
        .say("the simulators listen on this machine until Ctrl-C");
    let ended = tokio::signal::ctrl_c().await;
    simulators.stop().await;
    ended.map_err(|problem| Stop::unexpected(format!("cannot wait for Ctrl-C: {problem}")))
}

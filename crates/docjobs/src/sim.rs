//! `docjobs sim`: the simulators as a server.

use vendor_sim::{SimOptions, Simulators};

use crate::app::App;
use crate::args::SimArgs;
use crate::exit::CommandError;
use crate::output::{self, absolute, print_line};

pub(crate) async fn run(app: &App, args: SimArgs) -> Result<(), CommandError> {
    let env_file = args
        .env_file
        .as_deref()
        .map(|path| output::target(&absolute(path)?, app.options.overwrite));
    let env_file = env_file.transpose()?;
    let options = SimOptions {
        listen: args.listen,
        speed: f64::from(args.speed),
        ..SimOptions::default()
    };
    let simulators = Simulators::start(options).await.map_err(|problem| {
        CommandError::invalid_input(format!("cannot listen on {}: {problem}", args.listen))
    })?;
    let lines: Vec<String> = simulators
        .env()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for line in &lines {
        print_line(line)?;
    }
    if let Some(target) = &env_file {
        output::write(target, &(lines.join("\n") + "\n"))?;
    }
    app.report
        .say("the simulators listen on this machine until Ctrl-C");
    let _attended = app.shutdown.attend();
    let signal = app.shutdown.requested().await;
    simulators.stop().await;
    Err(CommandError::asked_to_end(
        signal.exit(),
        "the simulators have ended",
    ))
}

//! `docjobs ppj`: convert PowerPoint to H5.

use ppj::Client;

use crate::app::App;
use crate::args::ConvertArgs;
use crate::exit::CommandError;
use crate::input::Given;
use crate::{rate, run};

pub(crate) const VENDOR: &str = "ppj";

/// `docjobs ppj convert`
pub(crate) async fn convert(app: &App, args: ConvertArgs) -> Result<(), CommandError> {
    let client = client(app)?;
    let given = Given::new(&args.input, args.name).await?;
    let input = ppj::input(given.open()?);
    let input = if given.is_kept() {
        input
    } else {
        input.without_path()
    };
    run::new_job(app, ppj::handler(client), input, args.output.as_deref()).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, CommandError> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| CommandError::rejected(&error))?;
    let (clock, rate) = (app.clock()?, rate::shared(app)?);
    let client = client
        .with_config(|config| config.with_clock(clock).with_shared_rate(rate))
        .with_policy(|facts| app.pace(VENDOR, facts))
        .build()
        .map_err(|error| CommandError::rejected(&error))?;
    app.allow_scale(client.origin())?;
    Ok(client)
}

//! `docjobs tencent-ess`: convert a file to a PDF that can be signed.

use tencent_ess::Client;

use crate::app::App;
use crate::args::SignableArgs;
use crate::exit::CommandError;
use crate::input::Given;
use crate::{rate, run};

pub(crate) const VENDOR: &str = "tencent-ess";

/// `docjobs tencent-ess convert`
pub(crate) async fn convert(app: &App, args: SignableArgs) -> Result<(), CommandError> {
    let client = client(app)?;
    let given = Given::new(&args.input, args.name).await?;
    let input = tencent_ess::input(given.open()?);
    let input = if given.is_kept() {
        input
    } else {
        input.without_path()
    };
    run::new_job(app, tencent_ess::handler(client), input, None).await
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
    for origin in client.origins() {
        app.allow_scale(origin)?;
    }
    Ok(client)
}

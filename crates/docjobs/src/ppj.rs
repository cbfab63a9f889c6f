//! `docjobs ppj`: convert PowerPoint to H5.

use std::path::Path;

use ppj::Client;
use serde_json::json;

use crate::app::App;
use crate::args::ConvertArgs;
use crate::batch::{self, Batch, Documents, Results};
use crate::exit::CommandError;
use crate::input::Given;
use crate::{rate, run};

pub(crate) const VENDOR: &str = "ppj";

/// `docjobs ppj convert`
pub(crate) async fn convert(app: &App, args: ConvertArgs) -> Result<(), CommandError> {
    let given = args.inputs.given(args.out.out.as_deref());
    if batch::is_wanted(&given, &args.batch) {
        let batch = Batch {
            vendor: VENDOR,
            kind: "convert",
            documents: Documents::Given(given),
            options: json!({}),
            format: None,
            results: Results::Files {
                out: args.out.out.clone(),
                output: args.output.clone(),
            },
            handler: |app, runner| Ok(runner.with(ppj::handler(client(app)?))),
            args: &args.batch,
        };
        return Box::pin(batch::run(app, batch)).await;
    }
    let client = client(app)?;
    let given = Given::new(Path::new(args.inputs.single()?), args.inputs.name.clone()).await?;
    let input = ppj::input(given.open()?);
    let input = if given.is_kept() {
        input
    } else {
        input.without_path()
    };
    let app = &app.with_deadline(args.batch.bound(app.options.deadline));
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

//! `docjobs tencent-ess`: convert a file to a PDF that can be signed.

use std::path::Path;

use jobs_core::vendor::JobKind as _;
use tencent_ess::Client;

use crate::app::App;
use crate::args::SignableArgs;
use crate::batch::{self, Batch, Documents, Results};
use crate::exit::CommandError;
use crate::input::Given;
use crate::{rate, run};

pub(crate) const VENDOR: &str = "tencent-ess";

/// `docjobs tencent-ess convert`
pub(crate) async fn convert(app: &App, args: SignableArgs) -> Result<(), CommandError> {
    let client = client(app)?;
    let given = args.inputs.given(None);
    if batch::is_wanted(&given, &args.batch) {
        let kind = client.kind();
        let batch = Batch {
            vendor: VENDOR,
            kind: kind.name(),
            documents: Documents::Given(given),
            options: args.vendor.to_json(),
            format: None,
            results: Results::Texts,
            handler: |app, runner| Ok(runner.with(tencent_ess::handler(self::client(app)?))),
            args: &args.batch,
        };
        return Box::pin(batch::run(app, batch)).await;
    }
    let handler = tencent_ess::handler(client);
    let input = Path::new(args.inputs.single(&handler)?);
    let given = Given::new(input, args.inputs.name.clone()).await?;
    let input = tencent_ess::input(given.open()?).with_options(&args.vendor.to_json())?;
    let input = if given.is_kept() {
        input
    } else {
        input.without_path()
    };
    run::new_job(app, handler, input, None, &args.batch).await
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

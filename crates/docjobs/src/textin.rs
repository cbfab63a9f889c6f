//! `docjobs textin`: parse a document.

use std::path::Path;

use textin::{Client, PageRange};

use crate::app::App;
use crate::args::ParseArgs;
use crate::batch::{self, Batch, Documents, Results};
use crate::exit::CommandError;
use crate::input::Given;
use crate::output::absolute;
use crate::{inputs, rate, run};

pub(crate) const VENDOR: &str = "textin";

/// `docjobs textin parse`
pub(crate) async fn parse(app: &App, args: ParseArgs) -> Result<(), CommandError> {
    let given = args.inputs.given(args.out.out.as_deref());
    let password_file = args.password_file.as_deref().map(absolute).transpose()?;
    if batch::is_wanted(&given, &args.batch) {
        let mut options = args.vendor.to_map();
        if let Some(pages) = &args.pages {
            options.insert("pages".to_owned(), self::pages(pages)?.to_string().into());
        }
        if let Some(path) = &password_file {
            options.insert("password_file".to_owned(), utf8(path)?.into());
        }
        let batch = Batch {
            vendor: VENDOR,
            kind: "parse",
            documents: Documents::Given(given),
            options: options.into(),
            format: Some(args.format.name()),
            results: Results::Files {
                out: args.out.out.clone(),
                output: args.output.clone(),
            },
            handler: |app, runner| Ok(runner.with(textin::handler(client(app)?))),
            args: &args.batch,
        };
        return Box::pin(batch::run(app, batch)).await;
    }
    let handler = textin::handler(client(app)?);
    let input = args.inputs.single(&handler)?;
    // What came on stdin is there until the end of this command.
    let given;
    let mut input = match input.to_str().filter(|text| inputs::is_url(text)) {
        Some(url) => textin::url_input(url),
        None => {
            given = Given::new(Path::new(input), args.inputs.name.clone()).await?;
            let input = textin::input(given.open()?);
            if given.is_kept() {
                input
            } else {
                input.without_path()
            }
        }
    };
    if let Some(pages) = &args.pages {
        input = input.with_pages(self::pages(pages)?);
    }
    if let Some(path) = password_file {
        input = input.with_password_file(path);
    }
    let input = input
        .with_options(&args.vendor.to_json())?
        .with_format(args.format.name());
    run::new_job(app, handler, input, args.output.as_deref(), &args.batch).await
}

fn pages(text: &str) -> Result<PageRange, CommandError> {
    text.parse()
        .map_err(|problem| CommandError::invalid_input(format!("--pages: {problem}")))
}

fn utf8(path: &Path) -> Result<&str, CommandError> {
    path.to_str().ok_or_else(|| {
        let path = path.display();
        CommandError::invalid_input(format!(
            "--password-file: the path {path} is not UTF-8; rename the file"
        ))
    })
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

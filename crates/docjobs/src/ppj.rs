//! `docjobs ppj`: convert PowerPoint to H5.

use std::path::{Path, PathBuf};

use ppj::{Client, Limits};
use serde_json::json;

use crate::app::App;
use crate::args::ConvertArgs;
use crate::batch::{self, Batch, Documents, Results};
use crate::exit::{CommandError, ExitCode};
use crate::input::{Given, is_stdin};
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
        if args.unpack && args.out.out.is_none() {
            return Err(CommandError::invalid_input(
                "--unpack needs a place: give -o OUT.zip, or --out DIR",
            ));
        }
        Box::pin(batch::run(app, batch)).await?;
        return match args.out.out.as_deref().filter(|_| args.unpack) {
            Some(folder) => unpack_below(app, folder).await,
            None => Ok(()),
        };
    }
    let handler = ppj::handler(client(app)?);
    let input = Path::new(args.inputs.single(&handler)?);
    let given = Given::new(input, args.inputs.name.clone()).await?;
    let input = ppj::input(given.open()?);
    let input = if given.is_kept() {
        input
    } else {
        input.without_path()
    };
    let output = args.output.as_deref();
    let folder = match (output, args.unpack) {
        (Some(zip), true) => Some(unpacked(zip)?),
        (None, true) => {
            return Err(CommandError::invalid_input(
                "--unpack needs a place: give -o OUT.zip, or --out DIR",
            ));
        }
        (_, false) => None,
    };
    run::new_job(app, handler, input, output, &args.batch).await?;
    match (output, folder) {
        (Some(zip), Some(folder)) if !app.options.no_wait => unpack(app, zip, folder).await,
        _ => Ok(()),
    }
}

/// The folder beside a zip into which it is unpacked: of its name, without the extension.
fn unpacked(zip: &Path) -> Result<PathBuf, CommandError> {
    let folder = zip.with_extension("");
    if is_stdin(zip) || folder == zip {
        return Err(CommandError::invalid_input(
            "--unpack makes a folder named like the zip without its extension; give -o NAME.zip",
        ));
    }
    // A folder of the same run is there already; a file or a link is somebody else's.
    match std::fs::symlink_metadata(&folder) {
        Ok(there) if !there.is_dir() => Err(CommandError::invalid_input(format!(
            "--unpack: there is something at {} that is no folder",
            folder.display()
        ))),
        _ => Ok(folder),
    }
}

/// Unpacks every zip below a folder of results that has no folder beside it yet.
async fn unpack_below(app: &App, folder: &Path) -> Result<(), CommandError> {
    let unreadable = |problem: std::io::Error| {
        let problem = format!("cannot look for zips in {}: {problem}", folder.display());
        CommandError::new(ExitCode::Unfinished, problem)
    };
    let mut folders = vec![folder.to_owned()];
    let mut zips = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "zip") {
                zips.push(path);
            } else if path.is_dir() && !path.with_extension("zip").is_file() {
                folders.push(path);
            }
        }
    }
    zips.sort_unstable();
    for zip in zips {
        let into = unpacked(&zip)?;
        if !into.is_dir() {
            unpack(app, &zip, into).await?;
        }
    }
    Ok(())
}

async fn unpack(app: &App, zip: &Path, folder: PathBuf) -> Result<(), CommandError> {
    if folder.is_dir() {
        let folder = folder.display();
        app.report.say(&format!(
            "{folder} is there already, and nothing in it is changed"
        ));
        return Ok(());
    }
    let (zip, into) = (zip.to_owned(), folder.clone());
    let unpack = move || ppj::unpack(&zip, &into, &Limits::default());
    let unpacked = tokio::task::spawn_blocking(unpack)
        .await
        .map_err(|problem| CommandError::unexpected(format!("cannot unpack: {problem}")))?;
    let bundle = unpacked.map_err(|error| {
        let problem = format!("the zip is there, but cannot be unpacked: {error}");
        CommandError::new(ExitCode::Unfinished, problem)
    })?;
    let folder = folder.display();
    app.report
        .say(&format!("{} files unpacked in {folder}", bundle.files));
    Ok(())
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

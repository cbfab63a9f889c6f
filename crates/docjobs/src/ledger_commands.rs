//! `docjobs ledger`: backup, restore and recover.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use serde_json::json;

use crate::app::App;
use crate::args::LedgerCommand;
use crate::clean::count;
use crate::exit::CommandError;
use crate::output::print_json;

/// `docjobs ledger`
pub(crate) async fn ledger(app: &App, command: LedgerCommand) -> Result<(), CommandError> {
    match command {
        LedgerCommand::Backup { file } => {
            app.ledger().await?.backup(&file).await?;
            if app.report.is_json() {
                return print_json(&json!({"event": "backup", "file": file}));
            }
            app.report
                .say(&format!("the ledger was copied to {}", file.display()));
            Ok(())
        }
        LedgerCommand::Restore { file } => restore(app, file.as_deref()).await,
        LedgerCommand::Recover => {
            let recovered = app.ledger().await?.recover().await?;
            if app.report.is_json() {
                return print_json(&json!({
                    "event": "recovered", "due": recovered.due, "in_doubt": recovered.in_doubt,
                }));
            }
            app.report.say(&format!(
                "{} will be submitted; {} in doubt: decide about each with docjobs resolve",
                count(recovered.due, "job"),
                count(recovered.in_doubt, "job")
            ));
            Ok(())
        }
    }
}

async fn restore(app: &App, copy: Option<&Path>) -> Result<(), CommandError> {
    match (app.ledger_file()?, copy) {
        (Some(place), Some(copy)) => put(copy, &place).map_err(|problem| {
            CommandError::invalid_input(format!(
                "{} was not restored to {}: {problem}",
                copy.display(),
                place.display()
            ))
        })?,
        (None, Some(_)) => {
            return Err(CommandError::invalid_input(
                "the ledger is in a PostgreSQL database: restore that with pg_restore, then run docjobs ledger restore \
                 without a file",
            ));
        }
        (Some(_), None) => {
            let line = "name the copy to restore: docjobs ledger restore FILE";
            return Err(CommandError::invalid_input(line));
        }
        (None, None) => {}
    }
    let waiting = app.ledger().await?.mark_restored().await?;
    if app.report.is_json() {
        return print_json(&json!({"event": "restored", "waiting": waiting}));
    }
    app.report.say(&format!(
        "the ledger was restored; {} may have been bought since the copy was made and will not be submitted before: \
         docjobs ledger recover",
        count(waiting, "job")
    ));
    Ok(())
}

/// Never over a ledger that is there.
fn put(copy: &Path, place: &Path) -> io::Result<()> {
    let mut from = fs::File::open(copy)?;
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options.open(place)?;
    let copied = io::copy(&mut from, &mut to).and_then(|_| to.sync_all());
    if copied.is_err() {
        let _ = fs::remove_file(place);
    }
    copied
}

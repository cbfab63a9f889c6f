//! `docjobs ledger`: backup, restore and recover.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::NamedTempFile;

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
    let waiting = match (app.ledger_file()?, copy) {
        (Some(place), Some(copy)) => put(app, copy, &place).await.map_err(|stop| {
            let (copy, place) = (copy.display(), place.display());
            let line = format!("{copy} was not restored to {place}: {}", stop.line);
            CommandError { line, ..stop }
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
        (None, None) => app.ledger().await?.mark_restored().await?,
    };
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

/// Never over a ledger that is there. The copy gets its name once it is known to be whole and its jobs wait.
async fn put(app: &App, copy: &Path, place: &Path) -> Result<u64, CommandError> {
    if fs::symlink_metadata(place).is_ok() {
        return Err(CommandError::invalid_input(
            "a file is there already; move it away, or name another place with --ledger",
        ));
    }
    for end in ["-wal", "-journal"] {
        let rest = with_end(place, end);
        if fs::symlink_metadata(&rest).is_ok() {
            return Err(CommandError::invalid_input(format!(
                "{} is left of a ledger that was there and would be taken for this one's: move it away to where that \
                 ledger is now",
                rest.display()
            )));
        }
    }
    let unusable = |problem: io::Error| CommandError::invalid_input(problem.to_string());
    if !is_ledger(copy).map_err(unusable)? {
        return Err(CommandError::invalid_input(
            "it is no ledger; name a file that docjobs ledger backup made",
        ));
    }
    let draft = beside(copy, place).map_err(unusable)?;
    let marked = mark(app, draft.path()).await;
    let left = ["-wal", "-shm", "-journal"]
        .into_iter()
        .filter(|end| fs::remove_file(with_end(draft.path(), end)).is_ok())
        .count();
    let waiting = marked?;
    if left > 0 {
        return Err(CommandError::unexpected("the copy was not closed cleanly"));
    }
    draft
        .persist_noclobber(place)
        .map_err(|problem| unusable(problem.error))?;
    Ok(waiting)
}

/// What SQLite keeps beside a file.
fn with_end(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Whether the header of a file says so. An empty file would become a ledger when it is opened.
fn is_ledger(file: &Path) -> io::Result<bool> {
    let mut header = Vec::new();
    fs::File::open(file)?.take(72).read_to_end(&mut header)?;
    // The last four bytes are SQLite's application id.
    Ok(header.starts_with(b"SQLite format 3\0") && header.get(68..) == Some(b"DJL1"))
}

/// Copies the file into the folder of that place, for its owner alone.
fn beside(copy: &Path, place: &Path) -> io::Result<NamedTempFile> {
    let folder = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut draft = tempfile::Builder::new()
        .prefix(".docjobs-restore-")
        .tempfile_in(folder)?;
    io::copy(&mut fs::File::open(copy)?, &mut draft)?;
    draft.as_file().sync_all()?;
    Ok(draft)
}

async fn mark(app: &App, file: &Path) -> Result<u64, CommandError> {
    let ledger = app.with_ledger(file.to_owned()).ledger().await?;
    let marked = match ledger.check().await {
        Ok(_) => ledger.mark_restored().await,
        Err(problem) => Err(problem),
    };
    ledger.close().await;
    Ok(marked?)
}

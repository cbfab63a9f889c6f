//! Takes out of the spool what no job needs any more: uploads and passwords of settled jobs, what a killed process left
//! behind, results that were kept long enough.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::bounded;
use jobs_ledger::{JobFilter, JobRecord, LedgerError, LedgerId, Stage};
use tokio::sync::broadcast::error::RecvError;

use super::spool::Spool;
use super::state::ServeState;

/// How often old results are looked for.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Cleans until the process is about to end.
pub(super) async fn run(state: Arc<ServeState>, keep_results: Duration) {
    tokio::select! {
        () = clean(&state, keep_results) => {}
        () = state.ending.begun() => {}
    }
}

async fn clean(state: &ServeState, keep_results: Duration) {
    let mut told = state.feed.subscribe();
    remove_orphans(state).await;
    let mut next = state.clock.now();
    loop {
        if state.clock.now() >= next {
            let before = state.clock.wall().checked_sub(keep_results);
            if let Some(before) = before {
                state.spool.remove_old_results(before);
            }
            next = state.clock.now() + HOUR;
        }
        match bounded(state.clock.as_ref(), next, told.recv()).await {
            Some(Ok(event)) if event.stage.is_some_and(Stage::is_settled) => {
                forget(state, event.job).await;
            }
            // What was missed is what settled jobs left behind.
            Some(Err(RecvError::Lagged(_))) => remove_orphans(state).await,
            Some(Err(RecvError::Closed)) => return,
            Some(Ok(_)) | None => {}
        }
    }
}

async fn forget(state: &ServeState, id: LedgerId) {
    match state.ledger.get(id).await {
        Ok(Some(job)) if job.stage.is_settled() => {
            forget_settled(&state.spool, &job);
        }
        Ok(_) => {}
        Err(problem) => tracing::debug!("cannot read job {id}: {problem}"),
    }
}

/// Removes what a settled job leaves.
pub(super) fn forget_settled(spool: &Spool, job: &JobRecord) {
    if let Some(input) = &job.input_path {
        spool.forget_upload(input);
    }
    if let Some(password) = password_of(job) {
        spool.forget_password(password, job.updated_at);
    }
}

/// Where the password of a job's document lies.
fn password_of(job: &JobRecord) -> Option<&Path> {
    job.options.get("password_file")?.as_str().map(Path::new)
}

/// Removes uploads and passwords that no unsettled job needs, of processes that have ended or in whose time events were
/// missed.
async fn remove_orphans(state: &ServeState) {
    let (uploads, passwords) = (state.spool.left_behind(), state.spool.settled_passwords());
    if uploads.is_empty() && passwords.is_empty() {
        return;
    }
    match needed(state).await {
        Ok(needed) => {
            for folder in uploads {
                if !needed.contains(&folder) {
                    drop(std::fs::remove_dir_all(folder));
                }
            }
            for file in passwords {
                if !needed.contains(&file) {
                    drop(std::fs::remove_file(file));
                }
            }
            state.spool.remove_empty();
        }
        Err(problem) => tracing::warn!("cannot tell what of the spool is needed: {problem}"),
    }
}

/// The folders with the inputs of unsettled jobs, and their passwords.
async fn needed(state: &ServeState) -> Result<HashSet<PathBuf>, LedgerError> {
    const PAGE: usize = 1000;
    let mut filter = JobFilter::unfinished().with_limit(PAGE);
    let mut needed = HashSet::new();
    loop {
        let page = state.ledger.list(&filter).await?;
        for job in &page.jobs {
            let folder = job.input_path.as_deref().and_then(Path::parent);
            let files = folder.into_iter().chain(password_of(job));
            needed.extend(files.map(Path::to_path_buf));
        }
        match page.next {
            Some(next) => filter = filter.after(next),
            None => return Ok(needed),
        }
    }
}

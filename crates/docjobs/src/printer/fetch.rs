//! A job's files in the spool: downloaded, or found there from an earlier run.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use jobs_core::clock::{Moment, bounded};
use jobs_core::{Error, ErrorKind};
use printer_jobs::{Destination, ListedJob};

use super::VENDOR;
use super::outcome::{self, Next};
use super::print_runner::{PAUSE, PrintRunner};
use super::spool::{self, Found};
use crate::exit::{CommandError, ExitCode};

/// Why there are no files.
pub(super) enum FetchError {
    Gone(Error),
    Hopeless(Error),
    /// Something that is not known to be ours is at the file's name.
    InTheWay(PathBuf),
    Left,
    /// Not yet, which says nothing of other jobs.
    Later(CommandError),
    CommandError(CommandError),
}

/// A job of the list.
pub(super) struct Listed<'a> {
    pub(super) job: &'a ListedJob,
    /// Why the beginning of its file cannot be had; then it is not asked for as a whole.
    pub(super) unidentified: Option<Error>,
}

impl PrintRunner<'_> {
    /// Brings the job's files into the spool, or finds those of an earlier run there.
    pub(super) async fn fetch(
        &self,
        listed: Listed<'_>,
        again: bool,
        deadline: Moment,
    ) -> Result<Vec<PathBuf>, FetchError> {
        let Listed {
            job,
            mut unidentified,
        } = listed;
        let place = Destination::for_job(&self.spool, job);
        let names = place.files(job);
        let in_the_way = || FetchError::InTheWay(names.first().cloned().unwrap_or_default());
        match spool::find(job, &place) {
            Found::Complete => return Ok(names),
            Found::Nothing => {}
            // The ledger says that this job was begun and not printed, so it is ours and good for nothing.
            Found::Rest if again => spool::remove(&names).map_err(|_| in_the_way())?,
            Found::Rest => return Err(in_the_way()),
        }
        let mut tries = 0;
        loop {
            let downloaded = match unidentified.take() {
                Some(error) => Some(Err(error)),
                None => tokio::select! {
                    downloaded = bounded(&*self.clock, deadline, self.device.download(job, &place)) => downloaded,
                    () = self.shutdown.asked() => return Err(FetchError::Left),
                },
            };
            let error = match downloaded {
                Some(Ok(downloaded)) => return Ok(downloaded.files),
                Some(Err(error)) => error,
                None => {
                    return Err(FetchError::Later(CommandError::new(
                        ExitCode::Unfinished,
                        format!(
                            "{VENDOR} download of job {}: the deadline passed before the document had come; the next \
                             docjobs printer run asks for it again",
                            job.id
                        ),
                    )));
                }
            };
            tries += 1;
            let next = match on_disk(&error) {
                Some(io::ErrorKind::AlreadyExists) => return Err(in_the_way()),
                Some(_) => {
                    // A spool that can be used shows that it is about this job.
                    spool::probe(&self.spool).map_err(FetchError::CommandError)?;
                    outcome::after_disk(tries)
                }
                None => outcome::after_download(&error, tries),
            };
            match next {
                Next::Drop => return Err(FetchError::Gone(error)),
                Next::GiveUp => return Err(FetchError::Hopeless(error)),
                Next::End => return Err(FetchError::CommandError(CommandError::rejected(&error))),
                Next::Later => return Err(FetchError::Later(CommandError::rejected(&error))),
                Next::Again if self.clock.now() + PAUSE >= deadline => {
                    return Err(FetchError::Later(CommandError::rejected(&error)));
                }
                Next::Again => self.app.report.missed(&error),
            }
            if self.pause().await {
                return Err(FetchError::Left);
            }
        }
    }
}

/// What the disk said, if it was the disk.
fn on_disk(error: &Error) -> Option<io::ErrorKind> {
    if error.kind() != ErrorKind::LocalIo {
        return None;
    }
    let cause = error.source()?.downcast_ref::<io::Error>()?;
    Some(cause.kind())
}

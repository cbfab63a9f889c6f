//! A job's files in the spool: downloaded, or found there from an earlier run.

use std::path::PathBuf;

use jobs_core::{Error, Moment};
use printer_jobs::Destination;
use printer_jobs::wire::ListedJob;

use super::outcome::{self, Next};
use super::press::{PAUSE, Press};
use super::spool::{self, Found};
use crate::exit::Stop;

/// Why there are no files.
pub(super) enum Missing {
    Gone(Error),
    Hopeless(Error),
    /// Something that is not known to be ours is at the file's name.
    InTheWay(PathBuf),
    Left,
    Stop(Stop),
}

impl Press<'_> {
    /// Brings the job's files into the spool, or finds those of an earlier run there.
    pub(super) async fn fetch(
        &self,
        job: &ListedJob,
        again: bool,
        deadline: Moment,
    ) -> Result<Vec<PathBuf>, Missing> {
        let names = self.names(job);
        match spool::look(job, &names) {
            Found::Complete => return Ok(names),
            Found::Nothing => {}
            // The ledger says that this job was begun and not printed, so it is ours and good for nothing.
            Found::Rest if again => spool::remove(&names).map_err(|problem| {
                Missing::Stop(Stop::bad_input(format!(
                    "print job {}: cannot remove what is left of it in the spool: {problem}",
                    job.id
                )))
            })?,
            Found::Rest => {
                let at = names.first().cloned().unwrap_or_default();
                return Err(Missing::InTheWay(at));
            }
        }
        let place = Destination::for_job(&self.spool, job);
        let mut tries = 0;
        loop {
            let downloaded = tokio::select! {
                downloaded = self.device.download(job, &place) => downloaded,
                () = self.halt.asked(1) => return Err(Missing::Left),
            };
            let error = match downloaded {
                Ok(downloaded) => return Ok(downloaded.files),
                Err(error) => error,
            };
            tries += 1;
            match outcome::after_download(&error, tries) {
                Next::Drop => return Err(Missing::Gone(error)),
                Next::GiveUp => return Err(Missing::Hopeless(error)),
                Next::End => return Err(Missing::Stop(Stop::before_acceptance(&error))),
                Next::Again if self.clock.now() + PAUSE >= deadline => {
                    return Err(Missing::Stop(Stop::before_acceptance(&error)));
                }
                Next::Again => self.app.report.missed(&error),
            }
            if self.pause().await {
                return Err(Missing::Left);
            }
        }
    }
}

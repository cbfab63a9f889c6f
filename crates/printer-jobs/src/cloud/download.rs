//! Brings a job's file to disk: fetched beside its place, decrypted there, checked, then given its name.

use std::fs::File;
use std::io::{BufWriter, Read, Write};

use jobs_core::disk::OutputPath;
use jobs_core::http::{CheckError, Download, Inspection, SavedFile, UnverifiedFile};
use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId, Secret};
use serde_json::json;

use super::cipher::{Decryptor, FileKey};
use super::client::{Call, CloudClient, secret};
use super::envelope::{self, VENDOR};
use crate::integrity::{Expected, FileProblem};
use crate::wire::ListedJob;

const OPERATION: &str = "download";
/// The file may be this much longer while it is encrypted.
const PADDING: u64 = 32;

impl CloudClient {
    /// Brings the file of a job to disk, decrypted and checked by size and start marker. Free and harmless to repeat.
    ///
    /// The pages of a jpg job are in one file, one after the other, which is our inference.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a job that was deleted or has lapsed: drop it. [`ErrorKind::Refused`],
    /// [`ErrorKind::TooLarge`] and [`ErrorKind::UnexpectedResponse`] for a file that cannot be right: report the job as failed.
    /// Nothing appears at the final name then.
    pub async fn download(&self, job: &ListedJob, target: &OutputPath) -> Result<SavedFile, Error> {
        let id = job.job_id().map_err(|cause| {
            Error::invalid_input(VENDOR, OPERATION, "the job's id is unusable").with_source(cause)
        })?;
        let expected =
            Expected::of(job, self.0.max_file).map_err(|problem| impossible(&id, problem))?;
        let (fetched, key) = match self.fetch_encrypted(&id, target).await {
            // A link lives ten minutes, and may have lapsed in the middle of a slow download.
            Err(error) if is_refused_link(&error) => {
                let again = self.fetch_encrypted(&id, target).await;
                again.map_err(|error| refused_link(error, &id))?
            }
            fetched => fetched?,
        };
        let decrypt = move |from: &mut File, to: &mut File, inspection: &mut Inspection| {
            decrypt(&key, &expected, &mut inspection.reader(from), to)
        };
        let (verified, ()) = fetched.convert(decrypt).await?;
        verified.save().await
    }

    async fn fetch_encrypted(
        &self,
        id: &JobId,
        target: &OutputPath,
    ) -> Result<(UnverifiedFile, FileKey), Error> {
        let (link, key) = self.link(id).await?;
        let fetch = Download::new(OPERATION, link.expose())
            .for_job(id)
            .with_max_size(self.0.max_file.saturating_add(PADDING));
        Ok((self.0.transport.download(fetch, target).await?, key))
    }

    /// Where the file lies for ten minutes, and what opens it.
    async fn link(&self, id: &JobId) -> Result<(Secret, FileKey), Error> {
        let path = &["device", "get_printer_job_download_url"];
        let call = Call::new(OPERATION, path, json!({ "jobid": id.as_str() })).for_job(id.as_str());
        let (answer, body) = self.harmless(&call).await?;
        let key = FileKey::parse(&secret(&answer, &body, "encoding_aeskey")?)
            .map_err(|problem| envelope::garbled(&answer, &problem.to_string()))?;
        Ok((secret(&answer, &body, "download_url")?, key))
    }
}

/// Refused by the file's host, not by the interface, which always gives a code.
fn is_refused_link(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && error.code().is_none()
}

/// Not "not found", which would say that the job is gone.
fn refused_link(error: Error, id: &JobId) -> Error {
    if !is_refused_link(&error) {
        return error;
    }
    Error::new(ErrorKind::Unavailable, VENDOR, OPERATION)
        .with_delivery(Delivery::Answered)
        .with_job(id.clone())
        .with_message("the link of the file is refused, and so is a new one")
        .with_source(error)
}

fn impossible(id: &JobId, problem: FileProblem) -> Error {
    let kind = match problem {
        FileProblem::Oversize { .. } => ErrorKind::TooLarge,
        _ => ErrorKind::Refused,
    };
    Error::new(kind, VENDOR, OPERATION)
        .with_job(id.clone())
        .with_message(problem.to_string())
        .with_help("report the job as failed if this happens again")
        .with_source(problem)
}

fn decrypt(
    key: &FileKey,
    expected: &Expected,
    from: &mut impl Read,
    to: &mut File,
) -> Result<(), CheckError> {
    let mut decryptor = Decryptor::new(key);
    let mut to = BufWriter::new(to);
    let mut offset = 0_u64;
    let mut keep = |plain: Vec<u8>| -> Result<(), CheckError> {
        expected
            .check_chunk(offset, &plain)
            .map_err(|problem| problem.to_string())?;
        offset = offset.saturating_add(plain.len() as u64);
        Ok(to.write_all(&plain)?)
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            break;
        };
        keep(decryptor.update(piece))?;
    }
    keep(decryptor.finish().map_err(|problem| problem.to_string())?)?;
    expected
        .check_end(offset)
        .map_err(|problem| problem.to_string())?;
    Ok(to.flush()?)
}

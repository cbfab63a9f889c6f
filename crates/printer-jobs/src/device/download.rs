//! Brings a job's file to disk, resuming after a lost connection, and checks it before it gets its name.

use std::io::SeekFrom;
use std::num::NonZeroU32;

use jobs_core::{Error, ErrorKind};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Bytes;

use super::{Destination, Device, Downloaded, PageFetch, Transfer, operation_context};
use crate::errors::OperationContext;
use crate::integrity::{self, Expected};
use crate::wire::{DownloadRequest, Format, ListedJob, PageFiles};

impl Device {
    /// Brings the file of a job to disk: one PDF, or one file for each page of a jpg job. Free and harmless to repeat.
    ///
    /// Written beside its final name and checked by size and start marker; nothing appears at a final name before all is
    /// complete, and nothing is overwritten. What arrived in chunks survives a lost connection, but not this call.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a job that was deleted or has lapsed: drop it. [`ErrorKind::Refused`],
    /// [`ErrorKind::TooLarge`] and [`ErrorKind::UnexpectedResponse`] for a file that cannot be right: report the job as failed.
    /// [`ErrorKind::LocalIo`] when the disk is in trouble or a file is there already.
    pub async fn download(
        &self,
        job: &ListedJob,
        destination: &Destination,
    ) -> Result<Downloaded, Error> {
        let doing = operation_context("download", Some(&job.id));
        let expected = Expected::of(job, self.0.max_file).map_err(|problem| doing.file(problem))?;
        let names = destination.files(job);
        let place = destination.clone();
        let checked = names.clone();
        blocking(doing, move || place.check(&checked)).await?;
        let place = destination.clone();
        let draft = blocking(doing, move || place.draft()).await?;
        let handle = draft.file().try_clone();
        let mut file = tokio::fs::File::from_std(handle.map_err(|cause| local(doing, cause))?);
        let mut bytes = 0;
        if job.format == Format::Jpg && self.0.pages == PageFetch::ByIndex {
            // Joined on disk: a file for each page would be an open one until all are there.
            for (page, range) in job.pages.files().iter().zip(expected.pages()) {
                let expected = Expected::of_page(range, self.0.max_file)
                    .map_err(|problem| doing.file(problem))?;
                let piece = Piece {
                    job,
                    page: Some(page.index),
                    expected: &expected,
                    start: bytes,
                };
                bytes += self.transfer(doing, piece, &mut file).await?;
            }
        } else {
            let piece = Piece {
                job,
                page: None,
                expected: &expected,
                start: 0,
            };
            bytes = self.transfer(doing, piece, &mut file).await?;
        }
        drop(file);
        let place = destination.clone();
        let pages = expected.pages().to_vec();
        let finals = names.clone();
        blocking(doing, move || place.publish(draft, &pages, &finals)).await?;
        Ok(Downloaded {
            files: names,
            bytes,
        })
    }

    /// The job with its format, found by the first bytes of its file if the list does not say. Free and harmless to repeat.
    ///
    /// Recorded lists leave the format out; that such a job can be a picture is our inference. Its pages cannot be told
    /// apart then, so it counts as one.
    ///
    /// # Errors
    /// As [`download`](Self::download), without the disk.
    pub async fn identify(&self, job: &ListedJob) -> Result<ListedJob, Error> {
        const HEAD: NonZeroU32 = NonZeroU32::MIN.saturating_add(15);
        let mut job = job.clone();
        if job.is_format_stated || job.doc_size == Some(0) {
            return Ok(job);
        }
        let doing = operation_context("download", Some(&job.id));
        let head = self
            .piece(doing, DownloadRequest::chunk(&job.id, 0, HEAD))
            .await?;
        if integrity::is_jpeg(&head) {
            job.format = Format::Jpg;
            job.pages = PageFiles::one(job.doc_size);
        }
        Ok(job)
    }

    async fn transfer(
        &self,
        doing: OperationContext<'_>,
        piece: Piece<'_>,
        file: &mut tokio::fs::File,
    ) -> Result<u64, Error> {
        let disk = |cause| local(doing, cause);
        let length = match self.0.transfer {
            Transfer::Whole => {
                let data = self.piece(doing, piece.whole()).await?;
                piece.check(doing, 0, &data)?;
                file.write_all(&data).await.map_err(disk)?;
                data.len() as u64
            }
            Transfer::Chunks(limit) => self.chunks(doing, piece, limit, file).await?,
        };
        file.flush().await.map_err(disk)?;
        piece
            .expected
            .check_end(length)
            .map_err(|problem| doing.file(problem))?;
        Ok(length)
    }

    async fn chunks(
        &self,
        doing: OperationContext<'_>,
        piece: Piece<'_>,
        limit: NonZeroU32,
        file: &mut tokio::fs::File,
    ) -> Result<u64, Error> {
        const BAD_RANGE: &str = "600041";
        const BAD_CHUNK: &str = "600052";
        let disk = |cause| local(doing, cause);
        let total = piece.expected.bytes();
        let (mut offset, mut restarted, mut repeated) = (0_u64, false, false);
        while total.is_none_or(|total| offset < total) {
            let start = u32::try_from(offset).unwrap_or(u32::MAX);
            let data = match self.piece(doing, piece.chunk(start, limit)).await {
                Ok(data) => data,
                // Without a listed size the end is found by running into it; what the cloud says there is not documented.
                Err(error) if error.code() == Some(BAD_RANGE) && total.is_none() && offset > 0 => {
                    break;
                }
                Err(error) if error.code() == Some(BAD_RANGE) && offset > 0 && !restarted => {
                    restarted = true;
                    file.set_len(piece.start).await.map_err(disk)?;
                    let start = SeekFrom::Start(piece.start);
                    file.seek(start).await.map_err(disk)?;
                    offset = 0;
                    continue;
                }
                Err(error) if error.code() == Some(BAD_CHUNK) && !repeated => {
                    repeated = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            piece.check(doing, offset, &data)?;
            file.write_all(&data).await.map_err(disk)?;
            offset += data.len() as u64;
            let full = data.len() as u64 >= u64::from(limit.get());
            if data.is_empty() || (total.is_none() && !full) {
                break;
            }
        }
        Ok(offset)
    }

    async fn piece(
        &self,
        doing: OperationContext<'_>,
        request: DownloadRequest,
    ) -> Result<Bytes, Error> {
        self.fetch_idempotent(doing, &request, self.0.download_timeout)
            .await
    }
}

/// What is fetched: a job's whole file, or one page of it.
#[derive(Clone, Copy)]
struct Piece<'a> {
    job: &'a ListedJob,
    page: Option<u64>,
    expected: &'a Expected,
    /// Where it begins in the file on disk.
    start: u64,
}

impl Piece<'_> {
    fn whole(self) -> DownloadRequest {
        self.with_page(DownloadRequest::whole(&self.job.id))
    }

    fn chunk(self, offset: u32, limit: NonZeroU32) -> DownloadRequest {
        self.with_page(DownloadRequest::chunk(&self.job.id, offset, limit))
    }

    fn with_page(self, request: DownloadRequest) -> DownloadRequest {
        match self.page {
            Some(index) => request.with_page_index(index),
            None => request,
        }
    }

    fn check(self, doing: OperationContext<'_>, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.expected
            .check_chunk(offset, data)
            .map_err(|problem| doing.file(problem))
    }
}

async fn blocking<T: Send + 'static>(
    doing: OperationContext<'_>,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|cause| local(doing, cause)),
        Err(panicked) => Err(local(doing, std::io::Error::other(panicked))),
    }
}

fn local(doing: OperationContext<'_>, cause: std::io::Error) -> Error {
    doing
        .error(ErrorKind::LocalIo)
        .with_message(format!("cannot keep the file: {cause}"))
        .with_help("nothing appeared at the final name; download again once there is room")
        .with_source(cause)
}

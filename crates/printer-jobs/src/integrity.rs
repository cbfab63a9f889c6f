//! Whether downloaded bytes are what the list promised. The cloud offers no checksum, so length and
//! start markers have to do.

use std::ops::Range;

use crate::wire::{Format, ListedJob, PageProblem};

/// Largest file the vendor prints.
pub(crate) const MAX_FILE_BYTES: u64 = 20 * 1024 * 1024;

const PDF: &[u8] = b"%PDF";
const JPEG: &[u8] = &[0xff, 0xd8];

/// Whether these first bytes of a file are those of a JPEG.
pub(crate) fn is_jpeg(head: &[u8]) -> bool {
    head.starts_with(JPEG)
}

/// What is wrong with a job's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileProblem {
    /// The list announces no bytes; downloads of such jobs fail.
    #[error("the cloud announces a file of zero bytes")]
    Empty,
    /// The file exceeds the limit.
    #[error("file of {bytes} bytes exceeds the limit of {limit}")]
    Oversize {
        /// The file's size.
        bytes: u64,
        /// The limit in force.
        limit: u64,
    },
    /// Fewer or more bytes than announced.
    #[error("file has {actual} bytes instead of {expected}")]
    Length {
        /// What the list announced.
        expected: u64,
        /// What arrived.
        actual: u64,
    },
    /// It does not start like a PDF.
    #[error("file does not start like a PDF")]
    NotPdf,
    /// A page does not start like a JPEG.
    #[error("page {page} does not start like a JPEG")]
    NotJpeg {
        /// The page, from zero.
        page: usize,
    },
    /// The pages cannot be told apart.
    #[error("the pages cannot be told apart")]
    Pages(#[source] PageProblem),
}

/// What a job's file must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    bytes: Option<u64>,
    limit: u64,
    /// Start of each piece and the marker that must stand there.
    starts: Vec<u64>,
    marker: &'static [u8],
    pages: Vec<Range<u64>>,
}

impl Expected {
    /// Works out from the listed job what to expect; `limit` bounds the size ([`MAX_FILE_BYTES`]).
    ///
    /// A jpg job's file is taken to be its pages joined in order, each page with the listed size.
    ///
    /// # Errors
    ///
    /// The job cannot be downloaded or taken apart: report it as failed.
    pub(crate) fn of(job: &ListedJob, limit: u64) -> Result<Self, FileProblem> {
        let (bytes, marker, pages) = match job.format {
            Format::Jpg => {
                let pages = job.pages.ranges().map_err(FileProblem::Pages)?;
                (pages.last().map(|page| page.end), JPEG, pages)
            }
            Format::Pdf => (job.doc_size, PDF, Vec::new()),
            Format::Other(_) => (job.doc_size, &[] as &[u8], Vec::new()),
        };
        match bytes {
            Some(0) => return Err(FileProblem::Empty),
            Some(bytes) if bytes > limit => return Err(FileProblem::Oversize { bytes, limit }),
            _ => {}
        }
        let starts = if pages.is_empty() {
            vec![0]
        } else {
            pages.iter().map(|page| page.start).collect()
        };
        Ok(Self {
            bytes,
            limit,
            starts,
            marker,
            pages,
        })
    }

    /// What to expect of one page of a jpg job that is fetched by itself.
    ///
    /// # Errors
    ///
    /// The listed size is zero or exceeds `limit`.
    pub(crate) fn of_page(page: &Range<u64>, limit: u64) -> Result<Self, FileProblem> {
        let bytes = page.end.saturating_sub(page.start);
        if bytes == 0 {
            return Err(FileProblem::Empty);
        }
        if bytes > limit {
            return Err(FileProblem::Oversize { bytes, limit });
        }
        Ok(Self {
            bytes: Some(bytes),
            limit,
            starts: vec![0],
            marker: JPEG,
            pages: Vec::new(),
        })
    }

    /// How many bytes must arrive, if the list says it.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Where each page of a jpg job lies; empty for other jobs.
    pub(crate) fn pages(&self) -> &[Range<u64>] {
        &self.pages
    }

    /// Checks what of the start markers lies in `chunk`, which begins at `offset` of the file, and that
    /// the file does not grow beyond what is allowed. Chunks may come in any size.
    ///
    /// # Errors
    ///
    /// A wrong marker or too many bytes: there is no use in downloading more.
    pub(crate) fn check_chunk(&self, offset: u64, chunk: &[u8]) -> Result<(), FileProblem> {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let end = offset.saturating_add(length);
        if let Some(expected) = self.bytes.filter(|&expected| end > expected) {
            return Err(FileProblem::Length {
                expected,
                actual: end,
            });
        }
        if end > self.limit {
            return Err(FileProblem::Oversize {
                bytes: end,
                limit: self.limit,
            });
        }
        // Only the pieces whose marker can touch the chunk.
        let reach = offset.saturating_sub(3);
        let first = self.starts.partition_point(|&start| start < reach);
        for (page, &start) in self.starts.iter().enumerate().skip(first) {
            if start >= end {
                break;
            }
            if !self.marker_fits(start, offset, chunk) {
                return Err(self.wrong_marker(page));
            }
        }
        Ok(())
    }

    /// Checks the length of the complete file, all of whose chunks have passed.
    ///
    /// # Errors
    ///
    /// Bytes are missing.
    pub(crate) fn check_end(&self, actual: u64) -> Result<(), FileProblem> {
        if let Some(expected) = self.bytes.filter(|&expected| expected != actual) {
            return Err(FileProblem::Length { expected, actual });
        }
        // Chunks check only what is there, so a last piece shorter than its marker shows here.
        let last = self.starts.last().copied().unwrap_or(0);
        let marker = u64::try_from(self.marker.len()).unwrap_or(u64::MAX);
        if last.saturating_add(marker) > actual {
            return Err(self.wrong_marker(self.starts.len().saturating_sub(1)));
        }
        Ok(())
    }

    fn marker_fits(&self, start: u64, offset: u64, chunk: &[u8]) -> bool {
        (start..).zip(self.marker).all(|(position, expected)| {
            let found = position
                .checked_sub(offset)
                .and_then(|index| usize::try_from(index).ok())
                .and_then(|index| chunk.get(index));
            found.is_none_or(|found| found == expected)
        })
    }

    fn wrong_marker(&self, page: usize) -> FileProblem {
        if self.marker == PDF {
            FileProblem::NotPdf
        } else {
            FileProblem::NotJpeg { page }
        }
    }
}

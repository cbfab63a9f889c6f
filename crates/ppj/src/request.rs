//! What to convert and what to list, checked before anything is sent.

use std::io::{self, Read};
use std::time::SystemTime;

use jobs_core::Error;
use jobs_core::http::{Document, Form};
use md5::{Digest, Md5};

use crate::code::VENDOR;
use crate::date;
use crate::generated::types::JobState;

/// A document to convert.
///
/// Made by [`Client::convert`](crate::Client::convert) it can be submitted; made by itself it only describes.
#[derive(Debug, Clone)]
pub struct ConvertRequest<C = ()> {
    client: C,
    document: Document,
    takes_any_content: bool,
}

/// How a file of PowerPoint begins: as a zip, or as the older container, which also wraps encrypted new files.
const BEGINNINGS: [&[u8]; 2] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"];
pub(crate) const POWERPOINT: [&str; 8] =
    ["ppt", "pptx", "pps", "ppsx", "pot", "potx", "pptm", "ppsm"];

impl ConvertRequest {
    /// Converts this document. It is read twice: once for its MD5, once to send it, never whole into memory.
    pub fn new(document: Document) -> Self {
        Self {
            client: (),
            document,
            takes_any_content: false,
        }
    }

    /// The same request of a client, or of whatever else sends it.
    pub(crate) fn on<C>(self, client: C) -> ConvertRequest<C> {
        ConvertRequest {
            client,
            document: self.document,
            takes_any_content: self.takes_any_content,
        }
    }
}

impl<C> ConvertRequest<C> {
    pub(crate) fn client(&self) -> &C {
        &self.client
    }

    /// Sends the document even if it is named like a PowerPoint file and does not begin like one.
    #[must_use]
    pub fn with_any_content(mut self) -> Self {
        self.takes_any_content = true;
        self
    }

    /// What is converted, in words.
    pub(crate) fn what(&self) -> String {
        format!("{} ({} bytes)", self.document.name(), self.document.size())
    }

    /// Reads the document once: checks it, and gives its MD5.
    ///
    /// The vendor documents neither formats nor limits of size, so only accidents are refused.
    pub(crate) async fn prepare(&self, operation: &'static str) -> Result<String, Error> {
        let bad = |problem: String| Err(Error::invalid_input(VENDOR, operation, problem));
        let name = self.document.name();
        if self.document.size() == 0 {
            return bad(format!("{name:?} is empty"));
        }
        let document = self.document.clone();
        let read = tokio::task::spawn_blocking(move || read_through(&document))
            .await
            .map_err(io::Error::other)
            .flatten();
        let (md5, beginning) = read.map_err(|cause| self.unreadable(operation, cause))?;
        let is_powerpoint = POWERPOINT.contains(&self.document.extension().as_str());
        if is_powerpoint
            && !self.takes_any_content
            && !BEGINNINGS.iter().any(|known| beginning.starts_with(known))
        {
            return bad(format!(
                "{name:?} is named like a PowerPoint file, but does not begin like one"
            ));
        }
        Ok(md5)
    }

    /// The form for one attempt. The MD5 stands first, so that a server that reads as it goes knows it in time.
    pub(crate) fn form(&self, operation: &'static str, md5: &str) -> Result<Form, Error> {
        Form::new()
            .text("file_md5", md5)
            .document("file_source", &self.document)
            .map_err(|cause| self.unreadable(operation, cause))
    }

    fn unreadable(&self, operation: &'static str, cause: io::Error) -> Error {
        let name = self.document.name();
        Error::local_io(
            VENDOR,
            operation,
            format!("cannot read {name:?}: {cause}"),
            cause,
        )
    }
}

impl From<Document> for ConvertRequest {
    fn from(document: Document) -> Self {
        Self::new(document)
    }
}

/// The MD5 in hex, and the first bytes.
fn read_through(document: &Document) -> io::Result<(String, Vec<u8>)> {
    let mut reader = document.reader()?;
    let mut beginning = Vec::with_capacity(8);
    reader.by_ref().take(8).read_to_end(&mut beginning)?;
    let mut md5 = Md5::new_with_prefix(&beginning);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = match reader.read(&mut piece) {
            Ok(count) => count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        };
        if count == 0 {
            return Ok((hex::encode(md5.finalize()), beginning));
        }
        md5.update(piece.get(..count).unwrap_or_default());
    }
}

/// Which jobs to list; all of them unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListFilter {
    created_from: Option<SystemTime>,
    created_before: Option<SystemTime>,
    state: Option<JobState>,
}

impl ListFilter {
    /// Every job.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only jobs created at this time or later. Cut to whole seconds.
    #[must_use]
    pub fn with_created_from(mut self, time: SystemTime) -> Self {
        self.created_from = Some(time);
        self
    }

    /// Only jobs created before this time. Cut to whole seconds.
    #[must_use]
    pub fn with_created_before(mut self, time: SystemTime) -> Self {
        self.created_before = Some(time);
        self
    }

    /// Only jobs in this state. The signed API knows this; with an access key it is refused here, because the service would
    /// ignore it and list everything.
    #[must_use]
    pub fn with_state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// The query's parameters.
    pub(crate) fn parameters(&self, is_signed: bool) -> Result<Vec<(&'static str, String)>, Error> {
        if self.state.is_some() && !is_signed {
            let problem = "with an access key, jobs cannot be listed by state";
            return Err(Error::invalid_input(VENDOR, "list", problem)
                .with_help("list all of them and look at each"));
        }
        let state = self.state.as_ref().map(|state| state.as_str().to_owned());
        Ok([
            ("state", state),
            ("start_date", self.created_from.map(date::written)),
            ("end_date", self.created_before.map(date::written)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn prepared(name: &str, bytes: &'static [u8]) -> Result<String, Error> {
        ConvertRequest::new(Document::from_bytes(name, bytes))
            .prepare("create")
            .await
    }

    #[tokio::test]
    async fn the_md5_is_that_of_the_whole_document() {
        let zip = prepared("a.pptx", b"PK\x03\x04the rest").await.unwrap();
        assert_eq!(zip, "9761c0797f5f3aa8466861274d158d3f");
        // The test vector of RFC 1321.
        assert_eq!(
            prepared("a.odp", b"message digest").await.unwrap(),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
        assert_eq!(
            prepared("short.key", b"abc").await.unwrap(),
            "900150983cd24fb0d6963f7d28e17f72"
        );
    }

    #[tokio::test]
    async fn a_large_file_on_disk_is_read_in_pieces_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.bin");
        std::fs::write(&path, vec![b'a'; 1_000_000]).unwrap();
        let request = ConvertRequest::new(Document::open(&path).unwrap());
        assert_eq!(
            request.prepare("create").await.unwrap(),
            "7707d6ae4e027c70eea2a935c2296f21"
        );
    }

    #[tokio::test]
    async fn accidents_are_named_before_anything_is_sent() {
        for (name, bytes, problem) in [
            ("a.pptx", &b""[..], "\"a.pptx\" is empty"),
            ("a.PPTX", b"<html>", "does not begin like one"),
            ("a.ppt", b"PK", "does not begin like one"),
        ] {
            let error = prepared(name, bytes).await.unwrap_err();
            assert_eq!(error.kind(), jobs_core::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(problem), "{error}");
        }
        for beginning in BEGINNINGS {
            assert!(prepared("a.pptx", beginning).await.is_ok());
        }
        let html = Document::from_bytes("a.pptx", &b"<html>"[..]);
        let on_purpose = ConvertRequest::new(html).with_any_content();
        assert!(on_purpose.prepare("create").await.is_ok());
    }

    #[tokio::test]
    async fn a_file_that_vanishes_is_local_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pptx");
        std::fs::write(&path, "PK\x03\x04").unwrap();
        let request = ConvertRequest::new(Document::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let error = request.prepare("create").await.unwrap_err();
        assert_eq!(error.kind(), jobs_core::ErrorKind::LocalIo);
        assert_eq!(error.delivery(), jobs_core::vendor::Delivery::NotSent);
    }

    #[test]
    fn dates_cannot_be_misread_and_a_filter_is_never_dropped_silently() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_501_352_439_700);
        let range = ListFilter::new()
            .with_created_from(time)
            .with_created_before(time + Duration::from_secs(1));
        assert_eq!(
            range.parameters(false).unwrap(),
            [
                ("start_date", "2017-07-29T18:20:39Z".to_owned()),
                ("end_date", "2017-07-29T18:20:40Z".to_owned())
            ]
        );
        let halted = ListFilter::new().with_state(JobState::Halted);
        assert_eq!(
            halted.parameters(true).unwrap(),
            [("state", "halted".to_owned())]
        );
        assert!(halted.parameters(false).is_err());
    }
}

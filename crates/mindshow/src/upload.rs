//! Files that the service works from.

use std::io::Read as _;

use jobs_core::Error;
use jobs_core::http::{Body, Document, Form};
use jobs_core::vendor::retry;

use crate::client::Client;
use crate::code::VENDOR;
use crate::envelope;
use crate::generated::types::UploadData;
use crate::operation::UPLOAD;
use crate::resource::ResourceId;

/// The formats that the service takes, by extension.
const FORMATS: [&str; 6] = ["docx", "pdf", "pptx", "ppt", "doc", "txt"];

impl Client {
    /// Uploads a docx, pdf, pptx, ppt, doc or txt of at most 20 000 000 bytes, streamed from disk.
    ///
    /// Free. Repeated by itself on transient trouble: at worst a copy that nobody uses dies after 24 hours.
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) for a file that the service does not take, before anything is sent;
    /// [`LocalIo`](jobs_core::ErrorKind::LocalIo) when it cannot be read.
    pub async fn upload(&self, document: &Document) -> Result<ResourceId, Error> {
        check(document, self.api.settings().upload_limit)?;
        let uploaded: UploadData = retry::idempotent(&**self.api.clock(), async || {
            let form = Form::new().document("file", document).map_err(|cause| {
                let name = document.name();
                Error::local_io(
                    VENDOR,
                    UPLOAD.name,
                    format!("cannot read {name:?}: {cause}"),
                    cause,
                )
            })?;
            let call = UPLOAD
                .request()
                .with_body(Body::Form(form))
                .with_timeout(self.api.upload_timeout());
            envelope::open(&self.api.send(call).await?, self.api.codes())
        })
        .await?;
        Ok(ResourceId::new(uploaded.resource_id))
    }
}

fn check(document: &Document, largest: u64) -> Result<(), Error> {
    let bad = |problem: String| Err(Error::invalid_input(VENDOR, UPLOAD.name, problem));
    let (name, extension) = (document.name(), document.extension());
    if !FORMATS.contains(&extension.as_str()) {
        let formats = FORMATS.join(", ");
        return bad(format!(
            "{name:?} is of no supported format; supported are {formats}"
        ));
    }
    match document.size() {
        0 => return bad(format!("{name:?} is empty")),
        size if size > largest => {
            return bad(format!(
                "{name:?} has {size} bytes; at most {largest} are allowed"
            ));
        }
        _ => {}
    }
    // A renamed file would be found out only by a job that is charged for.
    let head: &[u8] = match extension.as_str() {
        "pptx" | "docx" => b"PK\x03\x04",
        _ => return Ok(()),
    };
    let mut found = [0; 4];
    let read = document
        .reader()
        .and_then(|mut reader| reader.read_exact(&mut found));
    match read {
        Ok(()) if found == head => Ok(()),
        Ok(()) => bad(format!("{name:?} is not a real {extension} file")),
        Err(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            bad(format!("{name:?} is not a real {extension} file"))
        }
        Err(cause) => Err(Error::local_io(
            VENDOR,
            UPLOAD.name,
            format!("cannot read {name:?}: {cause}"),
            cause,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_the_service_does_not_take_are_named() {
        let problem = |name: &str, bytes: Vec<u8>| {
            check(&Document::from_bytes(name, bytes), 20)
                .err()
                .map(|error| error.message().unwrap_or_default().to_owned())
        };
        let zip = b"PK\x03\x04rest".to_vec();
        for (name, bytes, expected) in [
            ("a.pptx", zip.clone(), None),
            ("a.PPT", vec![1], None),
            ("a.txt", vec![b'x'; 20], None),
            ("a.txt", vec![b'x'; 21], Some("at most 20 are allowed")),
            ("a.txt", vec![], Some("is empty")),
            ("a.key", zip, Some("no supported format")),
            ("a.pptx", b"%PDF-1.7".to_vec(), Some("not a real pptx")),
            ("a.docx", vec![b'P'], Some("not a real docx")),
        ] {
            match (problem(name, bytes), expected) {
                (None, None) => {}
                (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}

//! Files to upload: checked before anything is sent, and put into JSON while they are sent.

use std::fmt;
use std::io::{self, Read};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jobs_core::Error;
use jobs_core::http::{Document, StreamingBody};
use sha2::{Digest, Sha256};

use crate::auth::CONTENT_TYPE;
use crate::code::VENDOR;
use crate::generated::types::{
    BusinessType, CompanyUploadFilesRequest, UploadFile, UploadFilesRequest,
};
use crate::identity::Product;
use crate::job::ResourceId;
use crate::request;

const OPERATION: &str = "upload";
const MOST_FILES: usize = 20;
/// The longest file name, in characters.
const LONGEST_NAME: usize = 200;
const MIB: u64 = 1 << 20;

/// 1 to 20 files of one type, to be uploaded together: all are stored, or none.
#[derive(Debug)]
pub struct UploadRequest<'a> {
    documents: Vec<&'a Document>,
    business_type: BusinessType,
    deadline: Option<SystemTime>,
}

impl<'a> UploadRequest<'a> {
    /// Files for contracts and conversions.
    pub fn new(documents: impl IntoIterator<Item = &'a Document>) -> Self {
        Self {
            documents: documents.into_iter().collect(),
            business_type: BusinessType::Document,
            deadline: None,
        }
    }

    /// Files for something else, which decides on the formats.
    #[must_use]
    pub fn with_business_type(mut self, business_type: BusinessType) -> Self {
        self.business_type = business_type;
        self
    }

    /// Keeps the files until then, at most for a year. For customers whom the vendor has put on a list.
    #[must_use]
    pub fn with_deadline(mut self, deadline: SystemTime) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// Checks everything that the vendor's documentation lets us check.
    pub(crate) fn check(&self, product: &Product) -> Result<(), Error> {
        let bad = |problem: String| Err(Error::invalid_input(VENDOR, OPERATION, problem));
        let (Some(first), count) = (self.documents.first(), self.documents.len()) else {
            return bad("there is no file to upload".to_owned());
        };
        if count > MOST_FILES {
            return bad(format!(
                "{count} files are too many; one upload takes {MOST_FILES}"
            ));
        }
        let wanted = file_type(first);
        for document in &self.documents {
            let file_type = file_type(document);
            if file_type != wanted {
                return bad(format!(
                    "{:?} and {:?} are of different types; one upload takes files of one type",
                    first.name(),
                    document.name()
                ));
            }
            if let Err(problem) = self.check_document(document, product) {
                return bad(problem);
            }
        }
        Ok(())
    }

    fn check_document(&self, document: &Document, product: &Product) -> Result<(), String> {
        let (name, extension) = (document.name(), document.extension());
        // Two of these, and `txt`, are missing from the list for contracts, but they can be converted.
        let formats: &[&str] = match &self.business_type {
            BusinessType::Document => &[
                "pdf", "doc", "docx", "jpg", "jpeg", "png", "bmp", "xls", "xlsx", "html", "txt",
            ],
            BusinessType::Template => &["pdf", "doc", "docx", "html"],
            BusinessType::Seal | BusinessType::BusinessLicense => &["jpg", "jpeg", "png"],
            BusinessType::Archive => &["pdf", "zip"],
            BusinessType::Other(_) => &[],
        };
        if !formats.is_empty() && !formats.contains(&extension.as_str()) {
            return Err(format!(
                "{name:?} is of no supported format; supported are {}",
                formats.join(", ")
            ));
        }
        let length = name.chars().count();
        if length > LONGEST_NAME {
            return Err(format!(
                "the file name has {length} characters; at most {LONGEST_NAME} are allowed"
            ));
        }
        let largest = match (extension.as_str(), product) {
            ("jpg" | "jpeg" | "png", Product::Ess { .. }) => 5 * MIB,
            ("jpg" | "jpeg" | "png", _) => 8 * MIB,
            _ => 60 * MIB,
        };
        match document.size() {
            0 => Err(format!("{name:?} is empty")),
            size if size > largest => Err(format!(
                "{name:?} has {size} bytes; at most {largest} are allowed"
            )),
            _ => Ok(()),
        }
    }

    /// The body, with the files left where they are.
    pub(crate) fn parcel(&self, product: &Product) -> Result<Parcel<'a>, Error> {
        let infos = self
            .documents
            .iter()
            .map(|document| {
                let mut file = UploadFile::new(String::new());
                file.file_name = Some(document.name().to_owned());
                file
            })
            .collect();
        let deadline = self.deadline.map(|at| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH);
            i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
        });
        let json = match product {
            Product::Essbasic { agent } => {
                let mut request = UploadFilesRequest::new(agent.wire(), self.business_type.clone());
                request.file_infos = Some(infos);
                request.deadline = deadline;
                request::json(OPERATION, &request)
            }
            Product::Ess { operator } => {
                let mut request = CompanyUploadFilesRequest::new(
                    operator.wire_caller(),
                    self.business_type.clone(),
                );
                request.agent = operator.wire_agent();
                request.file_infos = Some(infos);
                request.deadline = deadline;
                request::json(OPERATION, &request)
            }
        }?;
        Parcel::new(json, &self.documents).ok_or_else(|| {
            Error::invalid_input(VENDOR, OPERATION, "the request cannot be written as JSON")
        })
    }
}

/// `jpg` and `jpeg` are two names of one type.
fn file_type(document: &Document) -> String {
    match document.extension().as_str() {
        "jpeg" => "jpg".to_owned(),
        extension => extension.to_owned(),
    }
}

/// JSON around files, which are read anew for each pass: once to sign it, once for each time it is sent.
pub(crate) struct Parcel<'a> {
    /// The JSON before, between and behind the files: one text more than there are files.
    texts: Vec<String>,
    documents: Vec<&'a Document>,
}

impl<'a> Parcel<'a> {
    /// Splits `json`, in which every file is empty, where the files belong. Inside of a JSON text a quotation mark is
    /// escaped, so no file name can look like the place of a file.
    fn new(json: Vec<u8>, documents: &[&'a Document]) -> Option<Self> {
        let json = String::from_utf8(json).ok()?;
        let mut texts: Vec<String> = json
            .split_inclusive(r#""FileBody":""#)
            .map(str::to_owned)
            .collect();
        if texts.len() != documents.len() + 1 {
            return None;
        }
        texts.shrink_to_fit();
        Some(Self {
            texts,
            documents: documents.to_vec(),
        })
    }

    /// The body's length in bytes.
    pub(crate) fn size(&self) -> u64 {
        let texts: u64 = self.texts.iter().map(|text| text.len() as u64).sum();
        let files: u64 = self
            .documents
            .iter()
            .map(|document| document.size().div_ceil(3) * 4)
            .sum();
        texts + files
    }

    /// The hash of the body, as it is signed.
    pub(crate) async fn hash(&self) -> Result<String, Error> {
        let mut reader = self.reader()?;
        let work = move || {
            let mut hasher = Sha256::new();
            let mut piece = vec![0; PIECE];
            loop {
                match reader.read(&mut piece)? {
                    0 => return Ok(hex::encode(hasher.finalize())),
                    count => hasher.update(piece.get(..count).unwrap_or_default()),
                }
            }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(cause)) => Err(unreadable(cause)),
            Err(cause) => Err(unreadable(io::Error::other(cause))),
        }
    }

    /// The body for one attempt.
    pub(crate) fn body(&self) -> Result<StreamingBody, Error> {
        Ok(StreamingBody::new(
            CONTENT_TYPE,
            self.size(),
            self.reader()?,
        ))
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        let mut texts = self.texts.iter().cloned().map(io::Cursor::new);
        let mut reader: Box<dyn Read + Send> = Box::new(io::empty());
        for document in &self.documents {
            let file = Base64::new(document.reader().map_err(unreadable)?);
            reader = match texts.next() {
                Some(text) => Box::new(reader.chain(text).chain(file)),
                None => Box::new(reader.chain(file)),
            };
        }
        for text in texts {
            reader = Box::new(reader.chain(text));
        }
        Ok(reader)
    }
}

impl fmt::Debug for Parcel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel")
            .field("documents", &self.documents)
            .finish_non_exhaustive()
    }
}

fn unreadable(cause: io::Error) -> Error {
    Error::local_io(
        VENDOR,
        OPERATION,
        format!("a file cannot be read: {cause}"),
        cause,
    )
}

/// How much is encoded at once: whole groups of three bytes.
const GROUPS: usize = 48 * 1024;
const PIECE: usize = 64 * 1024;

/// A reader's bytes in base64.
struct Base64<R> {
    reader: R,
    encoded: io::Cursor<String>,
}

impl<R: Read> Base64<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            encoded: io::Cursor::default(),
        }
    }
}

impl<R: Read> Read for Base64<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.encoded.read(into)?;
        if count > 0 || into.is_empty() {
            return Ok(count);
        }
        // Read until the piece is full: only the last one may end inside of a group.
        let mut piece = Vec::with_capacity(GROUPS);
        Read::take(&mut self.reader, GROUPS as u64).read_to_end(&mut piece)?;
        self.encoded = io::Cursor::new(STANDARD.encode(piece));
        self.encoded.read(into)
    }
}

/// Files that the vendor stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploaded {
    /// In the order of the request.
    pub files: Vec<UploadedFile>,
    /// When the ids expire, if the vendor says so; otherwise assume an hour.
    pub deadline: Option<SystemTime>,
}

/// One stored file.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadedFile {
    /// Its id.
    pub id: ResourceId,
    url: Option<Box<str>>,
}

impl UploadedFile {
    pub(crate) fn new(id: ResourceId, url: Option<Box<str>>) -> Self {
        Self { id, url }
    }

    /// A link to the file for anybody who has it, good for 5 minutes. Third-party platform edition only.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

impl fmt::Debug for UploadedFile {
    /// Without the link, which opens the file for anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadedFile")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Agent, Operator};
    use crate::tc3;

    fn platform() -> Product {
        Agent::new("app", "org", "open").into()
    }

    fn read(parcel: &Parcel<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        parcel.reader().unwrap().read_to_end(&mut body).unwrap();
        body
    }

    #[tokio::test]
    async fn the_body_is_what_was_hashed_and_has_the_announced_length() {
        for size in [1, 2, 3, GROUPS - 1, GROUPS, GROUPS + 1, 3 * GROUPS + 2] {
            let content: Vec<u8> = (0..=255).cycle().take(size).collect();
            let document = Document::from_bytes("a.docx", content.clone());
            let parcel = UploadRequest::new([&document]).parcel(&platform()).unwrap();
            let body = read(&parcel);
            assert_eq!(body.len() as u64, parcel.size(), "{size}");
            assert_eq!(tc3::hash(&body), parcel.hash().await.unwrap(), "{size}");
            let body = String::from_utf8(body).unwrap();
            assert_eq!(
                body,
                format!(
                    r#"{{"Agent":{{"AppId":"app","ProxyOrganizationOpenId":"org","ProxyOperator":{{"OpenId":"open"}}}},"BusinessType":"DOCUMENT","FileInfos":[{{"FileBody":"{}","FileName":"a.docx"}}]}}"#,
                    STANDARD.encode(content)
                )
            );
        }
    }

    #[test]
    fn a_file_name_cannot_take_the_place_of_a_file() {
        let documents = [r#"","FileBody":".txt"#, r#"FileBody":"".txt"#, "\".txt"]
            .map(|name| Document::from_bytes(name, name.to_owned()));
        let product = Product::from(Operator::new("u").with_organization_id("sub"));
        let parcel = UploadRequest::new(&documents)
            .with_business_type(BusinessType::Archive)
            .with_deadline(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000))
            .parcel(&product)
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&read(&parcel)).unwrap();
        assert_eq!(
            (&body["Caller"]["OperatorId"], &body["Deadline"]),
            (&"u".into(), &1_800_000_000.into())
        );
        assert_eq!(body["Agent"]["ProxyOrganizationId"], "sub");
        for (file, document) in body["FileInfos"].as_array().unwrap().iter().zip(&documents) {
            assert_eq!(file["FileName"], document.name());
            let content = STANDARD.decode(file["FileBody"].as_str().unwrap()).unwrap();
            assert_eq!(content, document.name().as_bytes());
        }
    }

    fn problem(request: &UploadRequest<'_>, product: &Product) -> Option<String> {
        request
            .check(product)
            .err()
            .map(|error| error.message().unwrap_or_default().to_owned())
    }

    #[test]
    fn bad_input_is_named_before_anything_is_sent() {
        let company = Product::from(Operator::new("u"));
        let document = |name: &str, size: u64| {
            Document::from_bytes(name, vec![b'x'; usize::try_from(size).unwrap()])
        };
        for (name, size, product, expected) in [
            ("a.PDF", 1, platform(), None),
            ("a.txt", 60 * MIB, platform(), None),
            ("a.png", 8 * MIB, platform(), None),
            ("a.png", 5 * MIB, company.clone(), None),
            ("a.pdf", 0, platform(), Some("is empty")),
            ("a.pptx", 1, platform(), Some("no supported format")),
            ("README", 1, platform(), Some("no supported format")),
            ("a.docx", 60 * MIB + 1, platform(), Some("at most 62914560")),
            ("a.png", 8 * MIB + 1, platform(), Some("at most 8388608")),
            ("a.jpg", 5 * MIB + 1, company, Some("at most 5242880")),
            (
                &format!("{}.pdf", "长".repeat(197)),
                1,
                platform(),
                Some("201 characters"),
            ),
        ] {
            let document = document(name, size);
            let problem = problem(&UploadRequest::new([&document]), &product);
            match expected {
                None => assert_eq!(problem, None, "{name}"),
                Some(text) => assert!(problem.unwrap().contains(text), "{name}"),
            }
        }
    }

    #[test]
    fn one_upload_takes_1_to_20_files_of_one_type() {
        let documents: Vec<_> = (0..21)
            .map(|n| Document::from_bytes(&format!("{n}.pdf"), "x"))
            .collect();
        let request = |count| UploadRequest::new(documents.iter().take(count));
        assert!(
            problem(&request(0), &platform())
                .unwrap()
                .contains("no file")
        );
        assert_eq!(problem(&request(20), &platform()), None);
        assert!(
            problem(&request(21), &platform())
                .unwrap()
                .contains("21 files")
        );
        let (jpg, jpeg, png) = (
            Document::from_bytes("a.jpg", "x"),
            Document::from_bytes("b.jpeg", "x"),
            Document::from_bytes("c.png", "x"),
        );
        assert_eq!(
            problem(&UploadRequest::new([&jpg, &jpeg]), &platform()),
            None
        );
        assert!(
            problem(&UploadRequest::new([&jpg, &png]), &platform())
                .unwrap()
                .contains("different types")
        );
    }

    #[test]
    fn a_link_is_not_printed() {
        let file = UploadedFile::new(
            ResourceId::new("yD").unwrap(),
            Some("https://h/x?sign=s3cret".into()),
        );
        assert!(!format!("{file:?}").contains("s3cret"));
        assert_eq!(file.url(), Some("https://h/x?sign=s3cret"));
    }
}

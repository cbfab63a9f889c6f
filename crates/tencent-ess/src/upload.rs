//! Files to upload, checked before anything is sent.

use std::fmt;
use std::time::SystemTime;

use jobs_core::Error;
use jobs_core::http::Document;

use crate::code::VENDOR;
use crate::generated::types::{
    BusinessType, CompanyUploadFilesRequest, UploadFile, UploadFilesRequest,
};
use crate::identity::Product;
use crate::parcel::Parcel;
use crate::request;
use crate::resource::ResourceId;

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
    use std::io::Read as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::identity::{Agent, Operator};
    use crate::parcel::GROUPS;
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

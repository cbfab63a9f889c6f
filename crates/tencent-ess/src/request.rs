//! What may be converted, and the requests as the vendor's JSON.

use jobs_core::Error;
use jobs_core::http::Document;
use serde::Serialize;

use crate::code::VENDOR;
use crate::generated::types::{
    CompanyCreateTaskRequest, CompanyDescribeTaskRequest, CreateTaskRequest, DescribeTaskRequest,
    ResourceType,
};
use crate::identity::Product;
use crate::resource::ResourceId;

/// The longest `ResourceName`, in characters.
const LONGEST_NAME: usize = 256;

/// A file to convert to a PDF that can be signed: one that is sent along, or one that was uploaded.
///
/// Made by [`Client::convert`](crate::Client::convert) it can be submitted; made by itself it only describes.
#[derive(Debug, Clone)]
pub struct ConvertRequest<C = ()> {
    client: C,
    source: Source,
    resource_type: Option<ResourceType>,
    name: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Source {
    Document(Document),
    Uploaded {
        resource_id: ResourceId,
        name: String,
    },
}

impl ConvertRequest {
    /// Uploads this document and converts it.
    pub fn document(document: Document) -> Self {
        Self::new(Source::Document(document))
    }

    /// Converts a file that was uploaded before, of this type and name.
    pub fn uploaded(
        resource_id: ResourceId,
        resource_type: ResourceType,
        name: impl Into<String>,
    ) -> Self {
        let name = name.into();
        Self::new(Source::Uploaded { resource_id, name }).with_resource_type(resource_type)
    }

    fn new(source: Source) -> Self {
        Self {
            client: (),
            source,
            resource_type: None,
            name: None,
        }
    }

    /// The same request of a client, or of whatever else sends it.
    pub(crate) fn on<C>(self, client: C) -> ConvertRequest<C> {
        ConvertRequest {
            client,
            source: self.source,
            resource_type: self.resource_type,
            name: self.name,
        }
    }
}

impl<C> ConvertRequest<C> {
    /// Says what the file is, whatever its name ends in.
    #[must_use]
    pub fn with_resource_type(mut self, resource_type: ResourceType) -> Self {
        self.resource_type = Some(resource_type);
        self
    }

    /// Gives the file this name at the vendor, 1 to 256 characters; its own unless set.
    #[must_use]
    pub fn with_resource_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn client(&self) -> &C {
        &self.client
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn name(&self) -> &str {
        match (&self.name, &self.source) {
            (Some(name), _) | (None, Source::Uploaded { name, .. }) => name,
            (None, Source::Document(document)) => document.name(),
        }
    }

    /// What is converted, in words.
    pub(crate) fn what(&self) -> String {
        match &self.source {
            Source::Document(document) => {
                format!("{} ({} bytes)", document.name(), document.size())
            }
            Source::Uploaded { resource_id, .. } => {
                format!("{} (file id {resource_id})", self.name())
            }
        }
    }

    /// As it was set, or else by the document's suffix.
    pub(crate) fn resource_type(&self) -> Result<ResourceType, Error> {
        match (&self.resource_type, &self.source) {
            (Some(resource_type), _) => Ok(resource_type.clone()),
            (None, Source::Document(document)) => convertible(document)
                .map_err(|problem| Error::invalid_input(VENDOR, "upload", problem)),
            (None, Source::Uploaded { name, .. }) => Ok(ResourceType::from_word(
                name.rsplit_once('.').map_or("", |(_, suffix)| suffix),
            )),
        }
    }
}

impl From<Document> for ConvertRequest {
    fn from(document: Document) -> Self {
        Self::document(document)
    }
}

/// The type of a document that shall be converted, by its suffix.
pub(crate) fn convertible(document: &Document) -> Result<ResourceType, String> {
    let extension = document.extension();
    match ResourceType::from_word(&extension) {
        ResourceType::Other(_) if extension == "pdf" => Err(format!(
            "{:?} is a PDF already: upload it and use its file id",
            document.name()
        )),
        ResourceType::Other(_) => Err(format!(
            "{:?} is of no format that can be converted; those are doc, docx, xls, xlsx, jpg, jpeg, png, bmp, html and txt",
            document.name()
        )),
        resource_type => Ok(resource_type),
    }
}

/// The body of a create.
pub(crate) fn create(
    product: &Product,
    resource_id: &ResourceId,
    resource_type: &ResourceType,
    name: &str,
) -> Result<Vec<u8>, Error> {
    const OPERATION: &str = "create";
    let length = name.chars().count();
    if name.trim().is_empty() || length > LONGEST_NAME {
        return Err(Error::invalid_input(
            VENDOR,
            OPERATION,
            format!("the file name has {length} characters; 1 to {LONGEST_NAME} are allowed"),
        ));
    }
    let (id, name) = (resource_id.as_str().to_owned(), name.to_owned());
    match product {
        Product::Essbasic { agent } => json(
            OPERATION,
            &CreateTaskRequest::new(agent.wire(), resource_type.clone(), name, id),
        ),
        Product::Ess { operator } => {
            let mut request =
                CompanyCreateTaskRequest::new(operator.wire(), resource_type.clone(), name, id);
            request.agent = operator.wire_agent();
            json(OPERATION, &request)
        }
    }
}

/// The body of a poll.
pub(crate) fn describe(product: &Product, task_id: &str) -> Result<Vec<u8>, Error> {
    const OPERATION: &str = "poll";
    match product {
        Product::Essbasic { agent } => json(
            OPERATION,
            &DescribeTaskRequest::new(agent.wire(), task_id.to_owned()),
        ),
        Product::Ess { operator } => {
            let mut request = CompanyDescribeTaskRequest::new(operator.wire(), task_id.to_owned());
            request.agent = operator.wire_agent();
            json(OPERATION, &request)
        }
    }
}

/// Absent fields are left out: the vendor refuses what it does not know, and its own clients never send null.
pub(crate) fn json(operation: &'static str, request: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(request).map_err(|cause| {
        Error::invalid_input(VENDOR, operation, "the request cannot be written as JSON")
            .with_source(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Agent, Operator};

    fn text(json: Result<Vec<u8>, Error>) -> String {
        String::from_utf8(json.unwrap()).unwrap()
    }

    #[test]
    fn each_product_has_its_own_identity_and_nothing_is_null() {
        let platform = Product::from(Agent::new("app", "org", "open"));
        let company = Product::from(Operator::new("user"));
        let group = Product::from(Operator::new("user").with_organization_id("sub"));
        let id = ResourceId::new("yDRS").unwrap();
        let agent =
            r#"{"AppId":"app","ProxyOrganizationOpenId":"org","ProxyOperator":{"OpenId":"open"}}"#;
        let rest = r#""ResourceType":"docx","ResourceName":"合同.docx","ResourceId":"yDRS"}"#;
        for (product, identity) in [
            (&platform, format!(r#""Agent":{agent}"#)),
            (&company, r#""Operator":{"UserId":"user"}"#.to_owned()),
            (
                &group,
                r#""Operator":{"UserId":"user"},"Agent":{"ProxyOrganizationId":"sub"}"#.to_owned(),
            ),
        ] {
            assert_eq!(
                text(create(product, &id, &ResourceType::Docx, "合同.docx")),
                format!("{{{identity},{rest}")
            );
            assert_eq!(
                text(describe(product, "t1")),
                format!(r#"{{{identity},"TaskId":"t1"}}"#)
            );
        }
    }

    #[test]
    fn what_cannot_be_converted_is_named() {
        let document = |name: &str| Document::from_bytes(name, "x");
        assert_eq!(convertible(&document("a.DOCX")), Ok(ResourceType::Docx));
        for (name, problem) in [
            ("a.pdf", "PDF already"),
            ("a.pptx", "no format that can be converted"),
            ("README", "no format that can be converted"),
        ] {
            assert!(
                convertible(&document(name)).unwrap_err().contains(problem),
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_has_its_limits() {
        let product = Product::from(Operator::new("user"));
        let id = ResourceId::new("yDRS").unwrap();
        let create = |name: &str| create(&product, &id, &ResourceType::Txt, name);
        assert!(create(&"长".repeat(256)).is_ok());
        assert!(create(&"长".repeat(257)).is_err());
        assert!(create(" ").is_err());
    }
}

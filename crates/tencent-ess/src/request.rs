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
use crate::job::ResourceId;

/// The longest `ResourceName`, in characters.
const LONGEST_NAME: usize = 256;

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

/// The body of a look.
pub(crate) fn describe(product: &Product, task_id: &str) -> Result<Vec<u8>, Error> {
    const OPERATION: &str = "look";
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

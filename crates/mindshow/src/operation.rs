//! The vendor's operations: what errors call them, and where they are.

use bytes::Bytes;
use jobs_core::Error;
use jobs_core::http::{Body, Request};
use serde::Serialize;

use crate::code::VENDOR;

/// One operation. All of them are POSTs, reads included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    group: &'static str,
    call: &'static str,
}

impl Operation {
    const fn new(name: &'static str, group: &'static str, call: &'static str) -> Self {
        Self { name, group, call }
    }

    /// A request without its body.
    pub(crate) fn request(self) -> Request {
        Request::post(self.name, &["v1", self.group, self.call])
    }

    /// The body as JSON; `{}` where there are no parameters.
    pub(crate) fn json(self, body: &impl Serialize) -> Result<Bytes, Error> {
        let json = serde_json::to_vec(body).map_err(|cause| {
            Error::invalid_input(VENDOR, self.name, "the request cannot be written as JSON")
                .with_source(cause)
        })?;
        Ok(json.into())
    }

    /// A request with this JSON.
    pub(crate) fn with_json(self, bytes: &Bytes) -> Request {
        self.request().with_body(Body::Bytes {
            content_type: "application/json",
            bytes: bytes.clone(),
        })
    }
}

macro_rules! operations {
    ($($constant:ident = $name:literal, $group:literal / $call:literal;)*) => {
        $(pub(crate) const $constant: Operation = Operation::new($name, $group, $call);)*
    };
}

operations! {
    ACCOUNT_INFO = "account_info", "account" / "info";
    SCORE_LOG = "score_log", "account" / "score_log";
    TEMPLATE_LIST = "template_list", "template" / "list";
    TEMPLATE_GET = "template_get", "template" / "get";
    TAG_CFG = "tag_cfg", "template" / "tag_cfg";
    ADVANCE_TEMPLATE_ADD = "advance_template_add", "advance_template" / "add";
    ADVANCE_TEMPLATE_LIST = "advance_template_list", "advance_template" / "list";
    ADVANCE_TEMPLATE_GET = "advance_template_get", "advance_template" / "get";
    ADVANCE_TEMPLATE_SET = "advance_template_set", "advance_template" / "set";
    ADVANCE_TEMPLATE_DEL = "advance_template_del", "advance_template" / "del";
    UPLOAD = "upload", "resource" / "upload";
    GEN_OUTLINE = "gen_outline_by_topic", "gpt" / "gen_outline_by_topic";
    GEN_CONTENT = "gen_content_by_outline", "gpt" / "gen_content_by_outline";
    CREATE_BY_JSON = "ppt_create_by_json", "job" / "ppt_create_by_json";
    CREATE_BY_MARKDOWN = "ppt_create_by_markdown", "job" / "ppt_create_by_markdown";
    CREATE_BY_GPT = "ppt_create_by_gpt", "job" / "ppt_create_by_gpt";
    CREATE_BY_PPT = "ppt_create_by_ppt", "job" / "ppt_create_by_ppt";
    CREATE_TEMPLATE = "template_create_by_ppt", "job" / "template_create_by_ppt";
    JOB_LIST = "job_list", "job" / "list";
    JOB_GET = "job_get", "job" / "get";
    JOB_DEL = "job_del", "job" / "del";
    GET_QUALITY = "get_quality_check_data", "job" / "get_quality_check_data";
    GET_JUMP_LINK = "get_jump_link", "job" / "get_jump_link";
    GET_PDF = "get_pdf", "job" / "get_pdf";
}

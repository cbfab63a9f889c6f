//! The vendor's outer JSON and the table of its error codes.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::fault::Dialect;

pub(crate) const DIALECT: Dialect = Dialect {
    error: scripted_error,
    state_field: "/data/status",
};

/// The account's keys in the headers of a request.
pub(crate) fn keys(headers: &HeaderMap) -> (&str, &str) {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .trim()
    };
    (text("x-ti-app-id"), text("x-ti-secret-code"))
}

/// A request that is turned down, in the vendor's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i64,
    /// HTTP status; 200 for all but the unsupported schema version.
    pub(crate) http: u16,
    /// Replaces the usual message of the code.
    pub(crate) message: Option<String>,
    /// What `data.message` says.
    pub(crate) detail: Option<String>,
}

impl Refusal {
    pub(crate) fn code(code: i64) -> Self {
        Self {
            code,
            http: 200,
            message: None,
            detail: None,
        }
    }

    pub(crate) fn parameter(detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::code(40004)
        }
    }

    /// For a failed job, which has a text and no code.
    pub(crate) fn in_words(self) -> String {
        self.detail
            .or(self.message)
            .unwrap_or_else(|| usual_message(self.code).to_owned())
    }

    pub(crate) fn with_message(self, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..self
        }
    }
}

/// Messages are for people; the notes say never to branch on them.
pub(crate) fn usual_message(code: i64) -> &'static str {
    match code {
        200 => "success",
        400 => "Bad request",
        500 => "服务器内部错误",
        30203 => "基础服务故障，请稍后重试",
        40003 => "余额不足",
        40004 => "Parameter error",
        40007 => "机器人不存在或未发布",
        40008 => "机器人未开通",
        40101 => "x-ti-app-id 或 x-ti-secret-code 为空",
        40102 => "x-ti-app-id 或 x-ti-secret-code 无效",
        40103 => "客户端IP不在白名单",
        40301 => "图片类型不支持",
        40302 => "上传文件大小不符",
        40303 => "文件类型不支持",
        40304 => "图片尺寸不符",
        40305 => "识别文件未上传",
        40306 => "qps超过限制",
        40307 => "今日免费额度已用完",
        40400 => "无效的请求链接",
        40422 => "文件损坏",
        40423 => "PDF密码错误",
        40424 => "页码设置超出文件范围",
        40425 => "文件格式不支持",
        40428 => "Office转PDF失败或超时",
        40429 => "不支持的引擎",
        50207 => "部分页面解析失败",
        _ => "error",
    }
}

pub(crate) fn new_request_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The envelope. `request_id` is repeated in the body only if the options say so.
pub(crate) fn envelope(
    code: i64,
    message: Option<&str>,
    request_id: Option<&str>,
    data: Option<Value>,
) -> Value {
    let mut body = Map::new();
    body.insert("code".to_owned(), json!(code));
    body.insert(
        "message".to_owned(),
        json!(message.unwrap_or(usual_message(code))),
    );
    if let Some(id) = request_id {
        body.insert("x_request_id".to_owned(), json!(id));
    }
    if let Some(data) = data {
        body.insert("data".to_owned(), data);
    }
    Value::Object(body)
}

pub(crate) fn respond(http: u16, request_id: &str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(http).unwrap_or(StatusCode::OK);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// For scripted faults: any code in the usual envelope.
pub(crate) fn scripted_error(code: &Value, message: Option<&str>) -> Response<Body> {
    let mut body = envelope(code.as_i64().unwrap_or(500), message, None, None);
    if let Some(field) = body.get_mut("code") {
        *field = code.clone();
    }
    respond(200, &new_request_id(), body.to_string())
}

//! The vendor's outer JSON, its request ids, and refusals with their texts in two languages.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use serde_json::{Map, Value, json};

/// A request that is turned down: code, and the text for people in Chinese and English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    chinese: String,
    english: String,
}

impl Refusal {
    pub(crate) fn new(code: &str, chinese: impl Into<String>, english: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            chinese: chinese.into(),
            english: english.into(),
        }
    }

    /// The vendor's codes speak for themselves; the text repeats the point in question.
    pub(crate) fn about(code: &str, point: &str) -> Self {
        Self::new(
            code,
            format!("请求有误: {point}"),
            format!("The request is wrong at {point}."),
        )
    }

    pub(crate) fn missing(point: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("缺少参数 {point}"),
            format!("The parameter {point} is missing."),
        )
    }

    pub(crate) fn message(&self, language: Language) -> &str {
        match language {
            Language::Chinese => &self.chinese,
            Language::English => &self.english,
        }
    }
}

/// Which text a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Chinese,
    English,
}

impl Language {
    /// Official clients ask for Chinese; callers without the header were seen to get English.
    pub(crate) fn of(header: Option<&str>) -> Self {
        match header {
            Some("zh-CN") => Self::Chinese,
            _ => Self::English,
        }
    }
}

/// The data of a success under `Response`.
pub(crate) fn success(mut fields: Map<String, Value>, request_id: &str) -> Response<Body> {
    fields.insert("RequestId".to_owned(), json!(request_id));
    respond(&json!({ "Response": fields }))
}

pub(crate) fn failure(code: &Value, message: &str, request_id: &str) -> Response<Body> {
    respond(&json!({
        "Response": {"Error": {"Code": code, "Message": message}, "RequestId": request_id}
    }))
}

/// For scripted faults: any code in the usual envelope.
pub(crate) fn scripted_error(code: &Value, message: Option<&str>) -> Response<Body> {
    let message = message.unwrap_or("An internal error has occurred. Retry your request.");
    failure(code, message, &uuid())
}

/// The content type stands alone: an official client takes an error envelope of any other type for an empty success.
fn respond(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn uuid() -> String {
    let digits = format!("{:032x}", fastrand::u128(..));
    let mut cuts = digits.chars();
    [8, 4, 4, 4, 12]
        .map(|length| cuts.by_ref().take(length).collect::<String>())
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_has_five_groups() {
        let lengths: Vec<usize> = uuid().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }

    #[test]
    fn only_those_who_ask_for_chinese_get_it() {
        let refusal = Refusal::missing("TaskId");
        assert!(
            refusal
                .message(Language::of(Some("zh-CN")))
                .contains("缺少")
        );
        assert!(
            refusal
                .message(Language::of(Some("en-US")))
                .contains("missing")
        );
        assert!(refusal.message(Language::of(None)).contains("missing"));
    }
}

//! Which parameters each operation knows, and the check that a request has no others, no nulls and no wrong types.

use serde_json::Value;

use super::answer::Refusal;

/// What a parameter looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Text,
    Integer,
    List(&'static Shape),
    Object(&'static [(&'static str, Shape)]),
    /// Its inside is not documented.
    Anything,
}

use Shape::{Anything, Integer, List, Object, Text};

const USER: Shape = Object(&[
    ("OpenId", Text),
    ("Channel", Text),
    ("CustomUserId", Text),
    ("ClientIp", Text),
    ("ProxyIp", Text),
]);
const AGENT: Shape = Object(&[
    ("AppId", Text),
    ("ProxyOrganizationOpenId", Text),
    ("ProxyOperator", USER),
    ("ProxyAppId", Text),
    ("ProxyOrganizationId", Text),
]);
const FILES: Shape = List(&Object(&[("FileBody", Text), ("FileName", Text)]));

pub(crate) const UPLOAD: Shape = Object(&[
    ("Agent", AGENT),
    ("BusinessType", Text),
    ("FileInfos", FILES),
    ("Deadline", Integer),
    ("Operator", USER),
]);
pub(crate) const CREATE: Shape = Object(&[
    ("Agent", AGENT),
    ("ResourceType", Text),
    ("ResourceName", Text),
    ("ResourceId", Text),
]);
pub(crate) const QUERY: Shape = Object(&[("Agent", AGENT), ("TaskId", Text)]);
/// The legacy pair also lists two parameters that nobody should send.
pub(crate) const LEGACY_CREATE: Shape = Object(&[
    ("Agent", AGENT),
    ("ResourceType", Text),
    ("ResourceName", Text),
    ("ResourceId", Text),
    ("Operator", USER),
    ("Organization", Anything),
]);
pub(crate) const LEGACY_QUERY: Shape = Object(&[
    ("Agent", AGENT),
    ("TaskId", Text),
    ("Operator", USER),
    ("Organization", Anything),
]);

const COMPANY_USER: Shape = Object(&[("UserId", Text)]);
const COMPANY_AGENT: Shape = Object(&[("ProxyOrganizationId", Text)]);

pub(crate) const COMPANY_UPLOAD: Shape = Object(&[
    ("Caller", Object(&[("OperatorId", Text)])),
    ("Agent", COMPANY_AGENT),
    ("BusinessType", Text),
    ("FileInfos", FILES),
    ("FileType", Text),
    ("CoverRect", Anything),
    ("Deadline", Integer),
]);
pub(crate) const COMPANY_CREATE: Shape = Object(&[
    ("Operator", COMPANY_USER),
    ("Agent", COMPANY_AGENT),
    ("ResourceType", Text),
    ("ResourceName", Text),
    ("ResourceId", Text),
]);
pub(crate) const COMPANY_QUERY: Shape = Object(&[
    ("Operator", COMPANY_USER),
    ("Agent", COMPANY_AGENT),
    ("TaskId", Text),
]);

/// Refuses unknown parameters, nulls and wrong types anywhere inside.
pub(crate) fn check(value: &Value, shape: &Shape, place: &str) -> Result<(), Refusal> {
    let wrong = || {
        Refusal::new(
            "InvalidParameter",
            format!("参数 {place} 类型错误"),
            format!("The value type of parameter {place} is not valid."),
        )
    };
    match (shape, value) {
        (_, Value::Null) => Err(wrong()),
        (Anything, _) | (Text, Value::String(_)) => Ok(()),
        (Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(()),
        (List(shape), Value::Array(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check(item, shape, &below(place, &index.to_string()))),
        (Object(known), Value::Object(fields)) => fields.iter().try_for_each(|(key, value)| {
            let place = below(place, key);
            match known.iter().find(|(name, _)| name == key) {
                Some((_, shape)) => check(value, shape, &place),
                None => Err(Refusal::new(
                    "UnknownParameter",
                    format!("未知参数 {place}"),
                    format!("The parameter {place} is not recognized."),
                )),
            }
        }),
        _ => Err(wrong()),
    }
}

fn below(place: &str, key: &str) -> String {
    if place.is_empty() {
        key.to_owned()
    } else {
        format!("{place}.{key}")
    }
}

/// A text that must be there and not be empty.
pub(crate) fn required<'a>(body: &'a Value, pointer: &str) -> Result<&'a str, Refusal> {
    body.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::missing(&pointer.trim_start_matches('/').replace('/', ".")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_null_and_wrong_parameters_are_refused_at_any_depth() {
        let code = |body: Value| check(&body, &UPLOAD, "").map_err(|refusal| refusal.code);
        let agent =
            json!({"AppId": "a", "ProxyOrganizationOpenId": "o", "ProxyOperator": {"OpenId": "p"}});
        assert_eq!(
            code(
                json!({"Agent": agent, "BusinessType": "DOCUMENT", "FileInfos": [{"FileBody": "eA=="}], "Deadline": 5})
            ),
            Ok(())
        );
        let invalid = Err("InvalidParameter".to_owned());
        let unknown = Err("UnknownParameter".to_owned());
        assert_eq!(code(json!({"ClientToken": "x"})), unknown);
        assert_eq!(
            code(json!({"Agent": {"ProxyOperator": {"UserId": "x"}}})),
            unknown
        );
        assert_eq!(code(json!({"FileInfos": [{"File": "x"}]})), unknown);
        assert_eq!(code(json!({"Agent": null})), invalid);
        assert_eq!(code(json!({"Agent": {"AppId": null}})), invalid);
        assert_eq!(code(json!({"FileInfos": {}})), invalid);
        assert_eq!(code(json!({"Deadline": "5"})), invalid);
        assert_eq!(code(json!({"Deadline": 5.5})), invalid);
        assert_eq!(code(json!([])), invalid);
    }

    #[test]
    fn required_texts_are_named_when_missing_or_empty() {
        let body = json!({"Agent": {"AppId": ""}, "TaskId": "t"});
        assert_eq!(required(&body, "/TaskId"), Ok("t"));
        for place in ["/Agent/AppId", "/Agent/ProxyOperator/OpenId"] {
            assert_eq!(required(&body, place).unwrap_err().code, "MissingParameter");
        }
    }
}

//! The text messages of the protocol: requests read, answers and pushes written, with or without headers.

use serde_json::{Map, Value, json};

use super::options::{ErrorText, HeaderMode, WeComOptions};
use super::state::{Reply, hexadecimal};

/// A request's outer fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) cmd: String,
    pub(crate) req_id: String,
    pub(crate) body: Value,
}

/// Reads a request; `None` if it has no `cmd` or is not JSON.
pub(crate) fn read(text: &str) -> Option<Envelope> {
    let value: Value = serde_json::from_str(text).ok()?;
    let req_id = value.pointer("/headers/req_id").and_then(Value::as_str);
    Some(Envelope {
        cmd: value.get("cmd")?.as_str()?.to_owned(),
        req_id: req_id.unwrap_or_default().to_owned(),
        body: value.get("body").cloned().unwrap_or_else(|| json!({})),
    })
}

/// The JSON of an answer.
pub(crate) fn answer(
    cmd: &str,
    req_id: &str,
    reply: &Reply,
    options: &WeComOptions,
    server_unix: u64,
) -> Value {
    let bare = options.bare_login_errors && reply.code == 600_020 && cmd.starts_with("printer/");
    let mut fields = Map::new();
    if !bare && with_headers(cmd, reply.code, options.header_mode) {
        fields.insert("headers".to_owned(), json!({ "req_id": req_id }));
    }
    if let Some(body) = &reply.body {
        let mut body = body.clone();
        if options.numbers_as_text {
            numbers_to_texts(&mut body);
        }
        if options.unknown_fields {
            add_unknown(&mut body);
        }
        fields.insert("body".to_owned(), body);
    }
    let text = match options.error_text {
        _ if reply.code == 0 => reply.text.clone(),
        _ if bare => String::new(),
        ErrorText::Empty => String::new(),
        ErrorText::Plain => reply.text.clone(),
        ErrorText::Hint => format!("{}, {}", reply.text, hint(server_unix)),
        ErrorText::HintAndReqId => {
            format!("{}, {}, reqid: [{req_id}]", reply.text, hint(server_unix))
        }
    };
    fields.insert("errcode".to_owned(), json!(reply.code));
    fields.insert("errmsg".to_owned(), json!(text));
    if options.unknown_fields {
        fields.insert("x_new_field".to_owned(), json!({"since": "tomorrow"}));
    }
    Value::Object(fields)
}

/// The JSON of a push.
pub(crate) fn push(cmd: &str, body: Option<&Value>, req_id: &str) -> Value {
    let mut fields = json!({"cmd": cmd, "headers": {"req_id": req_id}});
    if let (Some(body), Some(fields)) = (body, fields.as_object_mut()) {
        fields.insert("body".to_owned(), body.clone());
    }
    fields
}

/// An id as the cloud makes them for pushes.
pub(crate) fn push_id(server_unix: u64) -> String {
    format!("{server_unix}_{}", hexadecimal())
}

fn with_headers(cmd: &str, code: i64, mode: HeaderMode) -> bool {
    match mode {
        HeaderMode::Echo => true,
        HeaderMode::Log => {
            !cmd.starts_with("printer/") && !matches!(code, 600_014 | 600_016 | 600_020)
        }
    }
}

fn hint(server_unix: u64) -> String {
    format!("hint: [{server_unix}_1_{}]", hexadecimal())
}

fn numbers_to_texts(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_to_texts),
        Value::Object(fields) => fields.values_mut().for_each(numbers_to_texts),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn add_unknown(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(add_unknown),
        Value::Object(fields) => {
            fields.values_mut().for_each(add_unknown);
            fields.insert("x_new_field".to_owned(), json!([1, "two", null]));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cmd: &str, reply: &Reply, options: &WeComOptions) -> Value {
        answer(cmd, "r-1", reply, options, 1_700_000_000)
    }

    #[test]
    fn headers_are_echoed_or_missing_as_the_mode_says() {
        let mut options = WeComOptions::default();
        let (ok, late) = (Reply::ok(None), Reply::refused(600_020, "device not login"));
        let has = |cmd: &str, reply: &Reply, options: &WeComOptions| {
            written(cmd, reply, options).get("headers").is_some()
        };
        let list = "printer/get_job_list";
        assert!(has(list, &ok, &options) && has("ping", &ok, &options));
        let bare = written(list, &late, &options);
        assert_eq!(bare, json!({"errcode": 600_020, "errmsg": ""}));
        options.bare_login_errors = false;
        assert!(has(list, &late, &options));
        options.header_mode = HeaderMode::Log;
        assert!(!has(list, &ok, &options) && !has(list, &late, &options));
        assert!(has("ping", &ok, &options));
        assert!(!has(
            "subscribe_corp",
            &Reply::refused(600_016, "x"),
            &options
        ));
        assert!(has(
            "subscribe_corp",
            &Reply::refused(600_005, "x"),
            &options
        ));
    }

    #[test]
    fn error_texts_have_their_forms_and_success_is_ok() {
        let mut options = WeComOptions::default();
        let refused = Reply::refused(600_003, "invalid active code");
        let mut text = |form| {
            options.error_text = form;
            let value = written("active", &refused, &options);
            value["errmsg"].as_str().unwrap().to_owned()
        };
        assert_eq!(text(ErrorText::Plain), "invalid active code");
        assert!(text(ErrorText::Hint).starts_with("invalid active code, hint: [1700000000_1_"));
        assert!(text(ErrorText::HintAndReqId).ends_with("], reqid: [r-1]"));
        assert_eq!(text(ErrorText::Empty), "");
        assert_eq!(
            written("active", &Reply::ok(None), &options)["errmsg"],
            "ok"
        );
    }

    #[test]
    fn odd_modes_change_bodies_and_keep_the_code() {
        let options = WeComOptions {
            numbers_as_text: true,
            unknown_fields: true,
            ..WeComOptions::default()
        };
        let reply = Reply::ok(Some(json!({"printer_job_list": [{"doc_size": 5}]})));
        let value = written("printer/get_job_list", &reply, &options);
        assert_eq!(value["body"]["printer_job_list"][0]["doc_size"], "5");
        assert!(value["body"]["printer_job_list"][0]["x_new_field"].is_array());
        assert_eq!(value["errcode"], 0);
        assert!(value["x_new_field"].is_object());
    }

    #[test]
    fn requests_are_read_with_or_without_headers_and_body() {
        let full = read(r#"{"cmd":"ping","headers":{"req_id":"a"},"body":{"x":1},"new":2}"#);
        assert_eq!(full.unwrap().body["x"], 1);
        assert_eq!(read(r#"{"cmd":"ping"}"#).unwrap().req_id, "");
        assert_eq!(read(r#"{"headers":{}}"#), None);
        assert_eq!(read("{"), None);
    }
}

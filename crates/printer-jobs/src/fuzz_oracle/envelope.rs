//! Text messages: any bytes are read or refused, and what is read is what the JSON says.
use crate::envelope::{Answer, Incoming, Push, decode, encode};
use crate::wire::{Active, CorpInfo, Event, JobList, Ping, Registered, ServerTime, own_secret_no};
use crate::{Command, ProtocolError};
use serde_json::{Map, Value};

const LIMIT: usize = 1 << 20;

/// The bytes as a message, read and written.
pub fn envelope(message: &[u8]) {
    read(message);
    limit(message);
    write(message);
}

/// The same message through a reader that knows nothing of the protocol.
fn read(message: &[u8]) {
    let plain = match serde_json::from_slice(message) {
        Ok(Value::Object(object)) if std::str::from_utf8(message).is_ok() => Some(object),
        _ => None,
    };
    match (decode(message, LIMIT), plain) {
        (Ok(Incoming::Answer(answer)), Some(object)) => {
            assert!(matches!(object.get("cmd"), None | Some(Value::Null)));
            check_answer(&answer, &object);
        }
        (Ok(Incoming::Push(push)), Some(object)) => check_push(push, &object),
        (Err(ProtocolError::Shape { field: "cmd" }), Some(object)) => {
            assert!(!matches!(
                object.get("cmd"),
                None | Some(Value::Null | Value::String(_))
            ));
        }
        (Err(error), None) => {
            assert!(matches!(
                error,
                ProtocolError::NotUtf8 { .. }
                    | ProtocolError::Json(_)
                    | ProtocolError::Shape {
                        field: "message" | "cmd"
                    }
            ));
            assert_eq!(error.to_string().lines().count(), 1);
        }
        // Read although something in it is no JSON.
        (Ok(_), None) => {}
        (read, plain) => panic!("{read:?} although plainly {plain:?}"),
    }
}

fn check_answer(answer: &Answer, object: &Map<String, Value>) {
    assert_eq!(answer.req_id(), plain_req_id(object));
    let message = object.get("errmsg").and_then(Value::as_str);
    assert_eq!(answer.message(), message.unwrap_or_default());
    if let Some(code) = object.get("errcode").and_then(Value::as_i64) {
        assert!(answer.code().is_some());
        assert_eq!(answer.accepted().is_ok(), code == 0);
    }
    match answer.accepted() {
        Ok(body) => {
            assert!(answer.code().is_some_and(|code| code.is_ok()));
            assert_eq!(body.len(), plain_body_len(object));
        }
        Err(ProtocolError::Refused(refusal)) => {
            assert_eq!(Some(refusal.code()), answer.code());
            assert_eq!(refusal.req_id(), answer.req_id_in_message());
            for inside in [refusal.hint(), refusal.req_id()].into_iter().flatten() {
                assert!(!inside.is_empty() && answer.message().contains(inside));
            }
        }
        Err(other) => assert!(matches!(other, ProtocolError::Shape { field: "errcode" })),
    }
    read_as_every_type(answer);
}

/// Whatever an answer holds, reading it as an answer to any command is not fatal.
fn read_as_every_type(answer: &Answer) {
    let accepted = answer.accepted().is_ok();
    if let Ok(list) = JobList::from_answer(answer) {
        assert!(accepted);
        for job in &list.jobs {
            let _ = job.job_id();
        }
    }
    assert!(ServerTime::from_answer(answer).is_err() || accepted);
    assert!(own_secret_no(answer).is_err() || accepted);
    assert!(Registered::from_answer(answer).is_err() || accepted);
    assert!(Active::from_answer(answer).is_err() || accepted);
    assert!(CorpInfo::from_answer(answer).is_err() || accepted);
}

fn check_push(push: Push, object: &Map<String, Value>) {
    assert_eq!(
        Some(push.cmd.as_str()),
        object.get("cmd").and_then(Value::as_str)
    );
    assert_eq!(push.req_id.as_deref(), plain_req_id(object));
    assert_eq!(push.body.len(), plain_body_len(object));
    let name = push.cmd.clone();
    if let Event::Unknown { cmd, .. } = Event::from_push(push) {
        assert_eq!(cmd, name);
    }
}

fn plain_req_id(object: &Map<String, Value>) -> Option<&str> {
    let req_id = object.get("headers")?.get("req_id")?.as_str()?;
    (!req_id.is_empty()).then_some(req_id)
}

fn plain_body_len(object: &Map<String, Value>) -> usize {
    let body = object.get("body").and_then(Value::as_object);
    body.map_or(0, Map::len)
}

/// A message of just the limit is looked at, a byte more is not.
fn limit(message: &[u8]) {
    let too_large = |limit| matches!(decode(message, limit), Err(ProtocolError::TooLarge { .. }));
    assert!(!too_large(message.len()));
    assert!(message.is_empty() || too_large(message.len() - 1));
}

/// Any text that may be a request id comes back from what we write with it.
fn write(message: &[u8]) {
    let req_id = String::from_utf8_lossy(message);
    let usable = (1..=127).contains(&req_id.len());
    let Ok(text) = encode(&Ping, &req_id) else {
        assert!(!usable, "refused {req_id:?}");
        return;
    };
    assert!(usable, "accepted {} bytes", req_id.len());
    let Ok(Incoming::Push(request)) = decode(text.as_bytes(), LIMIT) else {
        panic!("cannot read back {text}");
    };
    assert_eq!(request.cmd, Command::Ping.name());
    assert_eq!(request.req_id.as_deref(), Some(&*req_id));
    assert!(request.body.is_empty());
}

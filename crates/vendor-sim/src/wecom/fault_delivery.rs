//! What becomes of an answer on its way: a whole message, a spoiled one, pieces, or nothing and the end of the connection.

use bytes::Bytes;
use serde_json::Value;

use super::frame;
use crate::clock::seconds;
use crate::fault::{self, Fault};
use crate::malformed;
use std::time::Duration;

/// An answer before it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Json(Value),
    /// Layout A.
    File {
        req_id: String,
        data: Bytes,
        data_len_error: i64,
    },
}

/// What is done with the socket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delivery {
    Text(String),
    Binary(Bytes),
    /// One message in pieces of this many bytes, with pauses between them.
    Pieces {
        message: Message,
        chunk: usize,
        pause: Duration,
    },
    /// The whole message is declared, so many bytes of it are sent, the connection ends.
    Cut {
        message: Message,
        at: usize,
    },
    /// A text message of bytes that are perhaps not text.
    Garbled(Bytes),
    /// A text message of this many bytes, made while it is sent.
    Huge(u64),
    /// A text message of such bytes with so many others between the first and the second of them.
    Around {
        before: Bytes,
        length: u64,
        behind: Bytes,
    },
    /// No answer, but pings, and nothing is read any more.
    Deaf,
    /// The connection ends.
    Drop {
        reset: bool,
    },
}

/// A message's opcode and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) opcode: u8,
    pub(crate) payload: Bytes,
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// How late an answer is because of a fault.
pub(crate) fn lateness(fault: Option<&Fault>) -> Duration {
    match fault {
        Some(Fault::Delay { seconds: late }) => seconds(*late),
        _ => Duration::ZERO,
    }
}

/// Whether the work is left undone.
pub(crate) fn prevents(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::DropBeforeCommit { .. }
            | Fault::Redirect { .. }
            | Fault::Status {
                after_commit: false,
                ..
            }
            | Fault::Code {
                after_commit: false,
                ..
            }
    )
}

/// The answer under a fault. HTTP faults have no meaning inside a connection and end it.
pub(crate) fn deliver(answer: Answer, fault: Option<&Fault>) -> Delivery {
    let whole = |answer: Answer| match message(&answer) {
        Message {
            opcode: TEXT,
            payload,
        } => Delivery::Text(String::from_utf8_lossy(&payload).into_owned()),
        Message { payload, .. } => Delivery::Binary(payload),
    };
    match fault {
        None | Some(Fault::Delay { .. } | Fault::Code { .. }) => whole(answer),
        Some(Fault::DropBeforeCommit { reset, .. } | Fault::DropAfterCommit { reset }) => {
            Delivery::Drop { reset: *reset }
        }
        Some(
            Fault::Status { .. }
            | Fault::Redirect { .. }
            | Fault::Coding { .. }
            | Fault::ManyEntries { .. }
            | Fault::EndlessHeaders { .. },
        ) => Delivery::Drop { reset: false },
        Some(Fault::Deaf {}) => Delivery::Deaf,
        Some(Fault::OddText { how }) => match message(&answer) {
            Message {
                opcode: TEXT,
                payload,
            } => Delivery::Garbled(how.written(&payload).into()),
            Message { payload, .. } => Delivery::Binary(payload),
        },
        Some(Fault::HugeKey { bytes }) => match message(&answer) {
            Message {
                opcode: TEXT,
                payload,
            } => {
                let (before, behind) = malformed::around_key(&payload);
                Delivery::Around {
                    before: Bytes::from_static(before),
                    length: *bytes,
                    behind: behind.into(),
                }
            }
            Message { payload, .. } => Delivery::Binary(payload),
        },
        Some(Fault::CutInTurn { at }) => Delivery::Cut {
            message: message(&answer),
            at: usize::try_from(at.first().copied().unwrap_or_default()).unwrap_or(usize::MAX),
        },
        Some(Fault::SlowBody {
            chunk,
            seconds: pause,
        }) => Delivery::Pieces {
            message: message(&answer),
            chunk: (*chunk).max(1),
            pause: seconds(*pause),
        },
        Some(Fault::CutBody { at }) => Delivery::Cut {
            message: message(&answer),
            at: usize::try_from(*at).unwrap_or(usize::MAX),
        },
        Some(Fault::TruncatedJson {}) => {
            let Message { opcode, payload } = message(&answer);
            let half = payload.slice(..payload.len() / 2);
            match opcode {
                TEXT => Delivery::Text(String::from_utf8_lossy(&half).into_owned()),
                _ => Delivery::Binary(half),
            }
        }
        Some(Fault::NonJson { body }) => {
            Delivery::Text(body.clone().unwrap_or_else(|| "It works!".to_owned()))
        }
        Some(Fault::InvalidUtf8 {}) => {
            Delivery::Garbled(fault::not_utf8(&message(&answer).payload).into())
        }
        Some(Fault::HugeBody { bytes }) => Delivery::Huge(*bytes),
        Some(Fault::WrongTypes { keys }) => whole(changed(answer, |value| {
            fault::wrong_types(value, keys, keys.is_empty());
        })),
        Some(Fault::UnknownWord { word }) => whole(changed(answer, |value| {
            let field = "/body/printer_job_list/0/status";
            fault::set(value, field, Value::String(word.clone()));
        })),
        Some(Fault::SetField {
            pointer,
            value: new,
        }) => match answer {
            Answer::Json(_) => whole(changed(answer, |value| {
                fault::set(value, pointer, new.clone());
            })),
            Answer::File { req_id, data, .. } => {
                Delivery::Binary(field_set(&req_id, &data, pointer, new))
            }
        },
    }
}

fn changed(answer: Answer, change: impl FnOnce(&mut Value)) -> Answer {
    match answer {
        Answer::Json(mut value) => {
            change(&mut value);
            Answer::Json(value)
        }
        file => file,
    }
}

/// A file's frame with one field that says something else: `/format_version`, `/req_id` or `/data_len`.
fn field_set(req_id: &str, data: &Bytes, pointer: &str, new: &Value) -> Bytes {
    let number = new
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or_default();
    let length = frame::length(data);
    match pointer {
        "/format_version" => frame::download(number, req_id, length, data),
        "/req_id" => frame::download(1, new.as_str().unwrap_or_default(), length, data),
        "/data_len" => frame::download(1, req_id, number, data),
        _ => frame::download(1, req_id, length, data),
    }
    .into()
}

fn message(answer: &Answer) -> Message {
    match answer {
        Answer::Json(value) => Message {
            opcode: TEXT,
            payload: value.to_string().into(),
        },
        Answer::File {
            req_id,
            data,
            data_len_error,
        } => {
            let length = i64::from(frame::length(data)).saturating_add(*data_len_error);
            let length = u32::try_from(length.max(0)).unwrap_or(u32::MAX);
            Message {
                opcode: BINARY,
                payload: frame::download(1, req_id, length, data).into(),
            }
        }
    }
}

/// The head of a frame as a server writes it. `first`: not a continuation; `last`: nothing follows.
pub(crate) fn frame_head(opcode: u8, length: u64, first: bool, last: bool) -> Vec<u8> {
    let mut head = vec![(u8::from(last) << 7) | if first { opcode } else { 0 }];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => head.push(short),
        (_, Ok(middle)) => {
            head.push(126);
            head.extend(middle.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend(length.to_be_bytes());
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Answer {
        Answer::File {
            req_id: "r-1".to_owned(),
            data: Bytes::from_static(b"%PDF"),
            data_len_error: 0,
        }
    }

    fn hexadecimal(delivery: Delivery) -> String {
        match delivery {
            Delivery::Binary(bytes) => hex::encode(bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_files_frame_is_whole_halved_or_lies() {
        let good = "0100000003000000722d310400000025504446";
        assert_eq!(hexadecimal(deliver(file(), None)), good);
        let half = deliver(file(), Some(&Fault::TruncatedJson {}));
        assert_eq!(hexadecimal(half), &good[..18]);
        let set = |pointer: &str, value: Value| {
            let fault = Fault::SetField {
                pointer: pointer.to_owned(),
                value,
            };
            hexadecimal(deliver(file(), Some(&fault)))
        };
        assert_eq!(
            set("/data_len", json!(255)),
            good.replace("04000000", "ff000000")
        );
        assert_eq!(
            set("/format_version", json!(9)),
            good.replacen("01000000", "09000000", 1)
        );
        assert_eq!(
            set("/req_id", json!("r-2")),
            good.replace("722d31", "722d32")
        );
    }

    #[test]
    fn an_answer_in_json_is_changed_garbled_or_dropped() {
        let answer =
            || Answer::Json(json!({"body": {"printer_job_list": [{"status": 0}]}, "errcode": 0}));
        let text = |fault: Fault| match deliver(answer(), Some(&fault)) {
            Delivery::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
            other => panic!("{other:?}"),
        };
        let word = text(Fault::UnknownWord {
            word: "later".to_owned(),
        });
        assert_eq!(word["body"]["printer_job_list"][0]["status"], "later");
        let types = text(Fault::WrongTypes {
            keys: vec!["errcode".to_owned()],
        });
        assert_eq!(types["errcode"], json!([0]));
        let Delivery::Garbled(bytes) = deliver(answer(), Some(&Fault::InvalidUtf8 {})) else {
            panic!()
        };
        assert!(std::str::from_utf8(&bytes).is_err());
        let reset = Fault::DropAfterCommit { reset: true };
        assert_eq!(
            deliver(answer(), Some(&reset)),
            Delivery::Drop { reset: true }
        );
        assert!(!prevents(&reset));
        assert!(prevents(&Fault::DropBeforeCommit {
            after_bytes: None,
            reset: false
        }));
    }

    #[test]
    fn frame_heads_have_three_lengths() {
        assert_eq!(frame_head(1, 125, true, true), [0x81, 125]);
        assert_eq!(frame_head(2, 126, true, false), [0x02, 126, 0, 126]);
        assert_eq!(frame_head(2, 255, false, true), [0x80, 126, 0, 255]);
        let long = frame_head(1, 65_536, true, true);
        assert_eq!(long, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}

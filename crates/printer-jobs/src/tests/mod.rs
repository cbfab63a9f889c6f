//! The protocol against raw messages.

mod correlate;
mod envelope;
mod frame;
mod integrity;
mod login;
mod wire;

use crate::envelope::{Answer, Incoming, MAX_MESSAGE_BYTES, Push, decode};

fn answer(json: &str) -> Answer {
    match decode(json.as_bytes(), MAX_MESSAGE_BYTES) {
        Ok(Incoming::Answer(answer)) => answer,
        other => panic!("not an answer: {other:?}"),
    }
}

fn push(json: &str) -> Push {
    match decode(json.as_bytes(), MAX_MESSAGE_BYTES) {
        Ok(Incoming::Push(push)) => push,
        other => panic!("not a push: {other:?}"),
    }
}

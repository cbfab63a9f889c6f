//! The vendor's outer JSON, and the only place that knows its in-band error code.

use jobs_core::http::Answer;
use jobs_core::{Error, ErrorKind, Sent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::code::{self, Codes};
use crate::generated::types::Envelope;

/// The code of success; anything else is a failure, also under HTTP 200.
const SUCCESS: i64 = 0;

/// The answer's `data`, if its code is that of success.
pub(crate) fn open<T: DeserializeOwned>(answer: &Answer, codes: &Codes) -> Result<T, Error> {
    open_if_any(answer, codes)?.ok_or_else(|| answer.garbled("the answer has no data"))
}

/// The same where `data` may be missing.
pub(crate) fn open_if_any<T: DeserializeOwned>(
    answer: &Answer,
    codes: &Codes,
) -> Result<Option<T>, Error> {
    #[derive(Deserialize)]
    struct Content<T> {
        data: Option<T>,
    }
    check(answer, codes)?;
    let content: Content<T> = serde_json::from_slice(answer.body())
        .map_err(|cause| answer.garbled_by("the content is not as documented", cause))?;
    Ok(content.data)
}

/// One thing out of `data`: below one of `names`, or `data` itself where it has the key that every such thing has.
///
/// The name is documented for some operations only, and a paid answer must not be lost over the others.
pub(crate) fn part<T: DeserializeOwned>(
    answer: &Answer,
    data: &Value,
    names: &[&str],
    own_key: &str,
) -> Result<T, Error> {
    let named = names
        .iter()
        .find_map(|name| data.get(name))
        .filter(|value| !value.is_null());
    let part = named.or_else(|| Some(data).filter(|data| data.get(own_key).is_some()));
    let part = part.ok_or_else(|| answer.garbled("the answer does not hold what was asked for"))?;
    T::deserialize(part)
        .map_err(|cause| answer.garbled_by("the content is not as documented", cause))
}

/// Whether the answer is a success.
///
/// # Errors
/// The vendor's refusal, or what HTTP says about an answer that is not an envelope.
pub(crate) fn check(answer: &Answer, codes: &Codes) -> Result<(), Error> {
    let failure = answer.http_failure();
    match (serde_json::from_slice::<Envelope>(answer.body()), failure) {
        (Ok(envelope), None) if envelope.code == SUCCESS => Ok(()),
        (Ok(envelope), failure) if envelope.code != SUCCESS => {
            Err(rejection(answer, &envelope, failure.as_ref(), codes))
        }
        (_, Some(failure)) => Err(match code::advice(failure.kind(), None) {
            Some(advice) => failure.with_advice(advice),
            None => failure,
        }),
        (Err(cause), None) => Err(answer.garbled_by("this is not the vendor's envelope", cause)),
        (Ok(_), None) => Ok(()),
    }
}

/// The error for a code other than success.
///
/// A documented failure has no data: then nothing was begun. One that has data, or that a server in trouble wraps in HTTP
/// 5xx, does not tell.
fn rejection(
    answer: &Answer,
    envelope: &Envelope,
    failure: Option<&Error>,
    codes: &Codes,
) -> Error {
    let kind = codes
        .kind(envelope.code)
        .or(failure.map(Error::kind))
        .unwrap_or(ErrorKind::Refused);
    let sent = if has_data(answer) {
        Sent::Maybe
    } else {
        failure.map_or(Sent::Yes, Error::sent)
    };
    let info = envelope.info.as_deref().unwrap_or_default();
    let error = answer
        .error(kind)
        .with_sent(sent)
        .with_code(envelope.code)
        .with_message(answer.clean(info))
        .with_request_id(envelope.request_id.as_deref().map(|id| answer.clean(id)));
    match code::advice(kind, Some(envelope.code)) {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

fn has_data(answer: &Answer) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
        // Readable up to the code and not beyond it: there is something.
        return true;
    };
    match body.get("data") {
        None | Some(Value::Null) => false,
        Some(Value::Object(data)) => !data.is_empty(),
        Some(_) => true,
    }
}

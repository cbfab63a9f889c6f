//! The vendor's outer JSON, and the only place that knows its in-band error code.

use jobs_core::http::{LenientJson, LenientValue, Response};
use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId};
use serde::de::DeserializeOwned;

use crate::code::{self, Codes};

/// The code of success; anything else is a failure, also under HTTP 200.
const SUCCESS: i64 = 0;

/// The answer's JSON, if its code is that of success.
///
/// # Errors
/// The vendor's refusal, or what can be said of an answer that is not the vendor's.
pub(crate) fn read(answer: &Response, codes: &Codes) -> Result<LenientJson, Error> {
    if let Some(error) = answer.broken_off() {
        return Err(error.clone());
    }
    let json = answer.json();
    let failure = answer.http_failure();
    match json.get("code").integer() {
        Some(SUCCESS) if failure.is_none() => Ok(json),
        Some(code) if code != SUCCESS => {
            Err(rejection(answer, &json, code, failure.as_ref(), codes))
        }
        _ => Err(answer.foreign()),
    }
}

/// The answer's `data`, if its code is that of success.
pub(crate) fn open<T: DeserializeOwned>(answer: &Response, codes: &Codes) -> Result<T, Error> {
    open_if_any(answer, codes)?.ok_or_else(|| answer.unexpected("the answer has no data"))
}

/// The same where `data` may be missing.
pub(crate) fn open_if_any<T: DeserializeOwned>(
    answer: &Response,
    codes: &Codes,
) -> Result<Option<T>, Error> {
    let json = answer.whole(read(answer, codes)?)?;
    json.get("data")
        .try_decode()
        .map_err(|cause| answer.unexpected_with("the content is not as documented", cause))
}

/// One thing out of `data`: below one of `names`, or `data` itself where it has the key that every such thing has.
///
/// The name is documented for some operations only, and a paid answer must not be lost over the others.
pub(crate) fn part<'a>(
    json: &'a LenientJson,
    names: &[&str],
    own_key: &str,
) -> Option<LenientValue<'a>> {
    let data = json.get("data");
    let named = data.first(names);
    if named.is_some() {
        return Some(named);
    }
    Some(data).filter(|data| data.get(own_key).is_some())
}

/// The same as its type says. Of an answer that breaks off it is taken too: one thing is not half a list.
pub(crate) fn decode_part<T: DeserializeOwned>(
    answer: &Response,
    json: &LenientJson,
    names: &[&str],
    own_key: &str,
) -> Result<T, Error> {
    part(json, names, own_key)
        .ok_or_else(|| answer.unexpected("the answer does not hold what was asked for"))?
        .try_decode()
        .map_err(|cause| answer.unexpected_with("the content is not as documented", cause))
}

/// The names that a job has below `data`, and its own key.
pub(crate) const JOB: (&[&str], &str) = (&["job", "item"], "id");

/// The id of the job that a create made.
///
/// It is read first: an answer that shows it is one of a job that may be charged, whatever is odd about the rest and
/// whatever the HTTP status says. The code of a failure beside it, or an answer that breaks off before its code, leaves in
/// doubt whether there is such a job.
pub(crate) fn accepted(answer: &Response, codes: &Codes) -> Result<JobId, Error> {
    const PROBLEM: &str = "accepted, but without a usable job id";
    let json = answer.json();
    let (names, own_key) = JOB;
    let Some(id) = part(&json, names, own_key).and_then(|job| job.get(own_key).filled()) else {
        read(answer, codes)?;
        return Err(answer.unexpected(PROBLEM));
    };
    let id = JobId::new(id.trim()).map_err(|cause| answer.unexpected_with(PROBLEM, cause))?;
    let code = json.get("code").integer();
    let is_accepted = match answer.broken_off() {
        Some(_) => code == Some(SUCCESS) && answer.http_failure().is_none(),
        None => code.is_none_or(|code| code == SUCCESS),
    };
    match read(answer, codes) {
        Err(error) if !is_accepted => Err(answer.in_doubt(error, id)),
        _ => Ok(id),
    }
}

/// Whether the answer is a success.
///
/// # Errors
/// As [`read`].
pub(crate) fn check(answer: &Response, codes: &Codes) -> Result<(), Error> {
    read(answer, codes).map(drop)
}

/// The error for a code other than success.
///
/// A documented failure has no data: then nothing was begun. One that has data, or that a server in trouble wraps in HTTP
/// 5xx, does not tell.
fn rejection(
    answer: &Response,
    json: &LenientJson,
    code: i64,
    failure: Option<&Error>,
    codes: &Codes,
) -> Error {
    let kind = codes
        .kind(code)
        .or(failure.map(Error::kind))
        .unwrap_or(ErrorKind::Refused);
    let sent = if json.get("data").is_empty() && json.is_whole() {
        failure.map_or(Delivery::Answered, Error::delivery)
    } else {
        Delivery::MaybeSent
    };
    let info = json.get("info").message().unwrap_or_default();
    let request_id = json.get("request_id").filled();
    let error = answer
        .error(kind)
        .with_delivery(sent)
        .with_code(code)
        .with_message(answer.redact(&info))
        .with_request_id(request_id.map(|id| answer.redact(&id)));
    let error = answer.kept_in(error);
    match code::help(kind, Some(code)) {
        Some(advice) => error.with_help(advice),
        None => error,
    }
}

//! What a vendor's webhook says: who may have sent it, which job it names, and what of it may be kept. No claim in it is
//! believed, and no link followed.

use jobs_core::vendor::Env;
use jobs_core::{Error, JobId, Secret};
use ppj::{WebhookEvent as PpjNotice, WebhookKey as PpjKey, WebhookRequest as PpjCallback};
use printer_jobs::cloud::{WebhookEvent, WebhookKey as CloudKey, WebhookRequest as CloudCallback};
use serde_json::{Value, json};
use tencent_ess::WebhookKey as EssCallback;
use url::form_urlencoded;

use jobs_runner::redacted_address;

/// The most of a body that is kept.
const LONGEST_BODY: usize = 8 * 1024;

/// A call of a webhook, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HookCall {
    pub(super) vendor: &'static str,
    /// The vendor's id of the job; none where it is about something else.
    pub(super) remote_id: Option<JobId>,
    /// What is kept of the body: no secrets, no signed addresses.
    pub(super) body: String,
    pub(super) trust: Trust,
}

/// What the signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is missing or wrong, although the vendor signs.
    Forged,
    /// It is right.
    Signed,
    /// There is none to check.
    Unsigned,
}

/// What to answer, and what to note.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) answer: Answer,
    pub(super) call: Option<HookCall>,
}

/// The answer, which never depends on the ledger.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Json(String),
    Text(String),
    /// The signature is wrong: who sent it by right sends it again once the secret is set right.
    Forbidden,
    /// It is not what this vendor sends.
    BadRequest,
    /// Nobody set up what such a call needs.
    NotFound,
}

/// The secrets with which signatures are checked.
pub(super) struct HookKeys {
    ppj: Option<PpjKey>,
    ess: EssCallback,
    has_ess_token: bool,
    cloud: Option<CloudKey>,
}

impl HookKeys {
    /// From the variables; a value that cannot be used is an error.
    pub(super) fn from_env<'a>(env: impl Fn(&'static str) -> Env<'a>) -> Result<Self, Error> {
        let secret = |vendor, name: &str| -> Result<Option<Secret>, Error> {
            let env = env(vendor);
            match env.optional(name) {
                Some(_) => env.secret(name).map(Some),
                None => Ok(None),
            }
        };
        let ppj = secret("ppj", "PPJ_APP_SECRET")?;
        let mut ess = EssCallback::new();
        let token = secret("tencent-ess", "TENCENT_ESS_CALLBACK_TOKEN")?;
        let has_ess_token = token.is_some();
        if let Some(token) = token {
            ess = ess.with_token(token);
        }
        if let Some(key) = secret("tencent-ess", "TENCENT_ESS_CALLBACK_KEY")? {
            ess = ess.with_key(key)?;
        }
        let token = secret("wecom", "WECOM_CLOUD_TOKEN")?;
        let key = secret("wecom", "WECOM_CLOUD_AES_KEY")?;
        let cloud = match token.zip(key) {
            Some((token, key)) => Some(CloudKey::new(token, &key)?),
            None => None,
        };
        Ok(Self {
            ppj: ppj.map(|secret| PpjKey::new(secret).with_older_rule()),
            ess,
            has_ess_token,
            cloud,
        })
    }

    /// A call at TextIn's secret path.
    pub(super) fn textin(&self, body: &[u8]) -> Read {
        match textin::webhook::parse(body) {
            Ok(job) => Read {
                answer: Answer::Json("{}".to_owned()),
                call: Some(HookCall {
                    vendor: "textin",
                    remote_id: Some(job),
                    body: kept_json(body),
                    trust: Trust::Unsigned,
                }),
            },
            Err(_) => bad(),
        }
    }

    /// A call at PPJ's path: `target` is path and query, `signature` the timestamp and the signature of its headers.
    pub(super) fn ppj(
        &self,
        method_is_post: bool,
        target: &str,
        body: &[u8],
        signature: Option<(&str, &str)>,
    ) -> Read {
        let callback = if method_is_post {
            PpjCallback::post(target, body)
        } else {
            PpjCallback::get(target)
        };
        let callback = match signature {
            Some((timestamp, signature)) => callback.with_signature(timestamp, signature),
            None => callback,
        };
        let notice = match callback.parse() {
            Ok(notice) => notice,
            Err(_) => return bad(),
        };
        let PpjNotice::JobChanged(job) = &notice else {
            return Read {
                answer: Answer::Json(notice.answer()),
                call: None,
            };
        };
        let trust = match &self.ppj {
            None => Trust::Unsigned,
            Some(key) if callback.parse_verified(key).is_ok() => Trust::Signed,
            Some(_) => Trust::Forged,
        };
        Read {
            answer: match trust {
                Trust::Forged => Answer::Forbidden,
                _ => Answer::Json(notice.answer()),
            },
            call: Some(HookCall {
                vendor: "ppj",
                remote_id: Some(job.clone()),
                body: kept_form(target, body),
                trust,
            }),
        }
    }

    /// A call at the e-sign path. It is about contracts, seals and staff, and names no job of ours.
    pub(super) fn ess(&self, body: &[u8], content_signature: Option<&str>) -> Read {
        match tencent_ess::webhook::parse(body, content_signature, &self.ess) {
            Ok(notice) => Read {
                answer: Answer::Json("{}".to_owned()),
                call: Some(HookCall {
                    vendor: "tencent-ess",
                    remote_id: None,
                    body: kept(&json!({
                        "MsgId": &*notice.msg_id,
                        "MsgType": &*notice.msg_type,
                        "MsgVersion": &*notice.msg_version,
                        "MsgData": notice.data,
                    })),
                    trust: if self.has_ess_token {
                        Trust::Signed
                    } else {
                        Trust::Unsigned
                    },
                }),
            },
            // Without token and key nobody can tell a forgery; what cannot be read is just no notice.
            Err(_) if !self.has_ess_token => bad(),
            Err(_) => forged("tencent-ess", body),
        }
    }

    /// A call at the printers' path: the query, and the body of a POST.
    pub(super) fn cloud(&self, query: &str, body: Option<&[u8]>) -> Read {
        let Some(key) = &self.cloud else {
            return Read {
                answer: Answer::NotFound,
                call: None,
            };
        };
        let one = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        let (signature, timestamp, nonce) = (one("msg_signature"), one("timestamp"), one("nonce"));
        let Some(body) = body else {
            // The check of the address: the answer is the text that was encrypted.
            let encrypted = one("echostr");
            let check = CloudCallback::new(&signature, &timestamp, &nonce, &encrypted);
            return match key.open(&check) {
                Ok(text) => Read {
                    answer: Answer::Text(text),
                    call: None,
                },
                Err(_) => Read {
                    answer: Answer::Forbidden,
                    call: None,
                },
            };
        };
        let notice = CloudCallback::from_body(&signature, &timestamp, &nonce, body)
            .and_then(|callback| key.parse(&callback));
        let Ok(notice) = notice else {
            return forged("wecom", body);
        };
        let (what, ids) = match notice.event {
            WebhookEvent::JobSubmitted { ids } => ("printer_job_submit".to_owned(), ids),
            WebhookEvent::JobConversion { ids } => ("printer_job_trans".to_owned(), ids),
            WebhookEvent::JobDeleted { ids } => ("printer_job_del".to_owned(), ids),
            WebhookEvent::Scanned(_) => ("user_scan".to_owned(), Vec::new()),
            WebhookEvent::StatusWanted => ("fetch_device_status".to_owned(), Vec::new()),
            WebhookEvent::Bound { .. } => ("bind".to_owned(), Vec::new()),
            WebhookEvent::Unbound => ("unbind".to_owned(), Vec::new()),
            WebhookEvent::ModelTicket(_) => ("model_ticket".to_owned(), Vec::new()),
            WebhookEvent::Unknown { name } => (name, Vec::new()),
            _ => ("unknown".to_owned(), Vec::new()),
        };
        let remote_id = ids.first().and_then(|id| JobId::new(id.as_str()).ok());
        Read {
            answer: Answer::Text("success".to_owned()),
            call: Some(HookCall {
                vendor: "wecom",
                remote_id,
                // Secrets may stand in the rest of it.
                body: kept(&json!({
                    "what": what, "ids": ids, "req_id": notice.req_id, "device_sn": notice.device_sn,
                })),
                trust: Trust::Signed,
            }),
        }
    }
}

fn bad() -> Read {
    Read {
        answer: Answer::BadRequest,
        call: None,
    }
}

fn forged(vendor: &'static str, body: &[u8]) -> Read {
    Read {
        answer: Answer::Forbidden,
        call: Some(HookCall {
            vendor,
            remote_id: None,
            body: kept_json(body),
            trust: Trust::Forged,
        }),
    }
}

/// A body that should be JSON, without what signs its addresses; what is none is kept as text.
fn kept_json(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => kept(&value),
        Err(_) => cut(&without_queries(&String::from_utf8_lossy(body))),
    }
}

fn kept(value: &Value) -> String {
    cut(&redacted(value).to_string())
}

/// The same value; of each address in it neither the user nor the query.
fn redacted(value: &Value) -> Value {
    match value {
        Value::String(text) => public(text).into(),
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (public(name), redacted(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A text of a body; of one that is an address without a scheme, what stands before its query.
fn public(text: &str) -> String {
    let path = text.split_once(['?', '#']).map(|(path, _)| path);
    match path {
        Some(path) if text.trim_start().starts_with('/') => format!("{path}?…"),
        _ => without_queries(text),
    }
}

/// Where the first address begins.
fn address_in(word: &str) -> Option<usize> {
    let lower = word.to_ascii_lowercase();
    let schemes = ["http://", "https://"].map(|scheme| lower.find(scheme));
    schemes.into_iter().flatten().min()
}

fn without_queries(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')');
    let mut clean = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_end) {
        let word = piece.trim_end_matches(is_end);
        match address_in(word) {
            Some(at) => {
                let (before, link) = word.split_at(at);
                clean.push_str(before);
                clean.push_str(&redacted_address(link));
            }
            None => clean.push_str(word),
        }
        clean.push_str(piece.get(word.len()..).unwrap_or_default());
    }
    clean
}

/// The vendor's own parameters: among the others may be a secret part of the address.
fn kept_form(target: &str, body: &[u8]) -> String {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let all = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(body));
    let ours = all.filter(|(name, _)| matches!(&**name, "token" | "type" | "code"));
    let mut kept = form_urlencoded::Serializer::new(String::new());
    kept.extend_pairs(ours);
    cut(&kept.finish())
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_BODY);
    text.get(..end)
        .unwrap_or_default()
        .replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(variables: &'static [(&'static str, &'static str)]) -> HookKeys {
        let lookup = Box::leak(Box::new(move |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }));
        HookKeys::from_env(|vendor| Env::new(vendor, lookup)).unwrap()
    }

    #[test]
    fn textin_is_read_for_its_id_and_keeps_no_signed_address() {
        let body = br#"{"job_id":"j1","status":"completed","result_url":"https://u:p@h/r.json?sig=SECRET&x=1"}"#;
        let read = keys(&[]).textin(body);
        let call = read.call.unwrap();
        assert_eq!(read.answer, Answer::Json("{}".to_owned()));
        assert_eq!(
            (call.remote_id.unwrap().as_str(), call.trust),
            ("j1", Trust::Unsigned)
        );
        assert!(
            call.body.contains("https://h/r.json") || call.body.contains("h/r.json"),
            "{}",
            call.body
        );
        assert!(
            !call.body.contains("SECRET") && !call.body.contains("u:p"),
            "{}",
            call.body
        );
        assert_eq!(keys(&[]).textin(b"nothing").answer, Answer::BadRequest);
    }

    /// The vector of the vendor's page: its secret, its timestamp, the path `/notify`.
    #[test]
    fn ppj_is_checked_only_where_the_secret_is_known() {
        let target = "/ppj?token=8v9iSKnj&type=completed&code=0&key=hidden";
        let read = keys(&[]).ppj(false, target, b"", None);
        let call = read.call.unwrap();
        assert_eq!(call.trust, Trust::Unsigned);
        assert_eq!(call.body, "token=8v9iSKnj&type=completed&code=0");
        let read = keys(&[("PPJ_APP_SECRET", "s")]).ppj(false, target, b"", None);
        assert_eq!(read.answer, Answer::Forbidden);
        assert_eq!(read.call.unwrap().trust, Trust::Forged);
        let check =
            keys(&[("PPJ_APP_SECRET", "s")]).ppj(false, "/ppj?type=verify&nonce=n", b"", None);
        assert_eq!(check.answer, Answer::Json(r#"{"nonce":"n"}"#.to_owned()));
        assert!(check.call.is_none());
        let posted = keys(&[]).ppj(true, "/ppj", b"token=abc&type=halted&code=1", None);
        assert_eq!(posted.call.unwrap().remote_id.unwrap().as_str(), "abc");
    }

    #[test]
    fn an_e_sign_notice_is_opened_by_token_and_key() {
        const BODY: &str = "{\"encrypt\":\"QfNwBEPHpRJ5wLvWwBQmgqCeRj9dtE4UOvL3Z4asnL0btF2/5L/qsVXZpg4PoWOcZH7DwtApUfGfe13ivfQBA4qmZxsY0vzlwhSu8Zpu7sCneZvZmM70sozl9KFtVqzL\"}";
        const SIGNATURE: &str =
            "sha256=637c095b3af1fe3dbeaf56f47579d7c16e0ff5407610d8ccd013be954b0ed5ca";
        let keys = keys(&[
            ("TENCENT_ESS_CALLBACK_TOKEN", "TESTTOKEN"),
            (
                "TENCENT_ESS_CALLBACK_KEY",
                "0123456789abcdef0123456789ABCDEF",
            ),
        ]);
        let read = keys.ess(BODY.as_bytes(), Some(SIGNATURE));
        let call = read.call.unwrap();
        assert_eq!(call.trust, Trust::Signed);
        assert!(call.body.contains("yDTESTMSG"), "{}", call.body);
        let read = keys.ess(BODY.as_bytes(), Some("sha256=00"));
        assert_eq!(
            (read.answer, read.call.unwrap().trust),
            (Answer::Forbidden, Trust::Forged)
        );
    }

    #[test]
    fn printers_are_unknown_until_their_keys_are_set_and_forgeries_are_told() {
        assert_eq!(keys(&[]).cloud("", Some(b"{}")).answer, Answer::NotFound);
        let keys = keys(&[
            ("WECOM_CLOUD_TOKEN", "t"),
            (
                "WECOM_CLOUD_AES_KEY",
                "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
            ),
        ]);
        let read = keys.cloud(
            "msg_signature=x&timestamp=1&nonce=n",
            Some(br#"{"encrypt":"AAAA"}"#),
        );
        assert_eq!(
            (read.answer, read.call.unwrap().trust),
            (Answer::Forbidden, Trust::Forged)
        );
        assert_eq!(
            keys.cloud("msg_signature=x", None).answer,
            Answer::Forbidden
        );
    }

    #[test]
    fn a_body_is_cut_and_its_addresses_are_shown_without_queries() {
        assert_eq!(
            without_queries("see https://h/a?sig=1 and (http://h/b?x) end"),
            "see https://h/a?… and (http://h/b?…) end"
        );
        assert!(kept_json(&vec![b'x'; 100_000]).len() <= LONGEST_BODY);
    }

    #[test]
    fn no_signed_query_is_kept_however_its_address_is_written() {
        for body in [
            json!({ "u": "https://h/r?sig=SECRET&next=http://other" }),
            json!({ "u": "HTTPS://h/r?sig=SECRET" }),
            json!({ "u": ["see https://a/r?sig=SECRET,https://b/r?sig=SECRET"] }),
            json!({ "https://h/r?sig=SECRET": 1 }),
            json!({ "u": "//h/r?X-Amz-Signature=SECRET" }),
            json!({ "u": "/file/r?sign=a b&c=SECRET" }),
        ] {
            let kept = kept_json(body.to_string().as_bytes());
            assert!(kept.contains("?…") && !kept.contains("SECRET"), "{kept}");
        }
        assert_eq!(public("what? /really"), "what? /really");
    }
}

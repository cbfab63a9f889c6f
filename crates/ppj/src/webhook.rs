//! The vendor's callbacks: the check of an address, and notices, which only bring a poll forward.

use std::fmt;

use jobs_core::{Error, JobId, Secret};
use serde_json::json;
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use crate::auth;
use crate::code::VENDOR;

/// A callback as it arrived. Not believed: see [`parse`](Self::parse).
#[derive(Clone)]
pub struct WebhookRequest<'a> {
    method: &'static str,
    path: &'a str,
    parameters: Vec<(String, String)>,
    signature: Option<(&'a str, &'a str)>,
}

/// What a callback asks for. Answer it with status 200 and [`answer`](Self::answer) within ten seconds, and work afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// The vendor's console checks the address.
    Verification {
        /// What the answer has to repeat.
        nonce: Box<str>,
    },
    /// A reason to poll this job now, and nothing more. The same one may come many times, late, and after the bundle was
    /// purged.
    JobChanged(JobId),
}

/// What a webhook asks for; with a key, only if it was signed with it.
///
/// # Errors
/// As [`WebhookRequest::parse`] and [`WebhookRequest::parse_verified`].
///
/// ```
/// use ppj::webhook::{self, WebhookEvent, WebhookRequest};
///
/// let request = WebhookRequest::get("/ppj?token=8v9iSKnj&type=complete");
/// assert!(matches!(webhook::parse(&request, None)?, WebhookEvent::JobChanged(_)));
/// # Ok::<(), ppj::Error>(())
/// ```
pub fn parse(
    request: &WebhookRequest<'_>,
    key: Option<&WebhookKey>,
) -> Result<WebhookEvent, Error> {
    match key {
        Some(key) => request.parse_verified(key),
        None => request.parse(),
    }
}

/// What checks the signatures of a signed account's callbacks.
#[derive(Debug, Clone)]
pub struct WebhookKey {
    app_secret: Secret,
    takes_older_rule: bool,
}

impl WebhookKey {
    /// The secret of the application.
    pub fn new(app_secret: Secret) -> Self {
        Self {
            app_secret,
            takes_older_rule: false,
        }
    }

    /// Also takes signatures by the rule of 2017-03-22, which leaves out the parameters of the configured address.
    #[must_use]
    pub fn with_older_rule(mut self) -> Self {
        self.takes_older_rule = true;
        self
    }
}

impl<'a> WebhookRequest<'a> {
    /// A GET of `target`, the path and query of the request line.
    pub fn get(target: &'a str) -> Self {
        Self::new("GET", target, b"")
    }

    /// A POST of `target` with a form, as the vendor sent it until November 2017.
    pub fn post(target: &'a str, form: &[u8]) -> Self {
        Self::new("POST", target, form)
    }

    fn new(method: &'static str, target: &'a str, form: &[u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameters =
            form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
        Self {
            method,
            path,
            parameters: parameters
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            signature: None,
        }
    }

    /// Adds the headers `X-PPJ-Timestamp` and `X-PPJ-Signature`.
    #[must_use]
    pub fn with_signature(mut self, timestamp: &'a str, signature: &'a str) -> Self {
        self.signature = Some((timestamp, signature));
        self
    }

    /// What it asks for, whoever sent it.
    ///
    /// The vendor documents no signature for accounts with an access key, so the claimed outcome is not handed out: put an
    /// unguessable part into the address, and keep polling beside it.
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) when it names no job and asks for no check.
    ///
    /// ```
    /// use ppj::{WebhookEvent, WebhookRequest};
    ///
    /// let WebhookEvent::JobChanged(job) = WebhookRequest::get("/ppj?token=8v9iSKnj&type=complete").parse().unwrap() else { panic!() };
    /// assert_eq!(job.as_str(), "8v9iSKnj");
    ///
    /// let check = WebhookRequest::get("/ppj?type=verify&nonce=7bza").parse().unwrap();
    /// assert_eq!(check.answer(), r#"{"nonce":"7bza"}"#);
    /// ```
    pub fn parse(&self) -> Result<WebhookEvent, Error> {
        if matches!(self.one("type")?, Some("verify" | "validation")) {
            let nonce = self
                .one("nonce")?
                .filter(|nonce| !nonce.is_empty())
                .ok_or_else(|| bad("the check of the address has no nonce"))?;
            return Ok(WebhookEvent::Verification {
                nonce: nonce.into(),
            });
        }
        let token = self.one("token")?.unwrap_or_default();
        let job = JobId::new(token)
            .map_err(|cause| bad("the notice names no usable job").with_source(cause))?;
        Ok(WebhookEvent::JobChanged(job))
    }

    /// The same, if it was signed with this key. The check of an address is not signed, and harmless to answer.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and for a notice without a right signature.
    pub fn parse_verified(&self, key: &WebhookKey) -> Result<WebhookEvent, Error> {
        let notice = self.parse()?;
        if matches!(notice, WebhookEvent::JobChanged(_)) && !self.is_signed_by(key) {
            return Err(bad("the signature is missing or wrong").with_help(
                "check the application's secret, and that the path is the one the vendor requests",
            ));
        }
        Ok(notice)
    }

    fn is_signed_by(&self, key: &WebhookKey) -> bool {
        let Some((timestamp, claimed)) = self.signature else {
            return false;
        };
        let derived = auth::derived_key(key.app_secret.expose(), timestamp);
        let is_right = |takes: &dyn Fn(&str) -> bool| {
            let parameters: Vec<_> = self
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .filter(|(name, _)| takes(name))
                .collect();
            let text = auth::text(self.method, self.path, &parameters);
            let wanted = auth::signature(&derived, &text);
            bool::from(wanted.as_bytes().ct_eq(claimed.as_bytes()))
        };
        is_right(&|_| true)
            || key.takes_older_rule && is_right(&|name| ["token", "type", "code"].contains(&name))
    }

    /// The one value of a parameter; twice is nobody's honest notice.
    fn one(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.parameters.iter().filter(|(known, _)| known == name);
        let first = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(first),
            Some(_) => Err(bad(&format!("the parameter {name} stands twice"))),
        }
    }
}

impl WebhookEvent {
    /// The JSON to answer with.
    pub fn answer(&self) -> String {
        match self {
            Self::Verification { nonce } => json!({ "nonce": nonce }).to_string(),
            Self::JobChanged(_) => "{}".to_owned(),
        }
    }
}

impl fmt::Debug for WebhookRequest<'_> {
    /// Without the parameters, among which may be a secret part of the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("method", &self.method)
            .field("is_signed", &self.signature.is_some())
            .finish_non_exhaustive()
    }
}

fn bad(problem: &str) -> Error {
    Error::invalid_input(VENDOR, "callback", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> WebhookKey {
        WebhookKey::new(Secret::new("kKdBnfSJNnBjex9gczp6P9g2").unwrap())
    }

    fn notify(token: &str) -> WebhookEvent {
        WebhookEvent::JobChanged(JobId::new(token).unwrap())
    }

    #[test]
    fn every_spelling_is_an_event_with_nothing_but_the_job() {
        for target in [
            "/notify?token=8v9iSKnj&type=complete",
            "/notify?token=8v9iSKnj&type=completed&code=0",
            "/notify?type=error&code=2&token=8v9iSKnj",
            "/notify?token=8v9iSKnj&type=novelty&download_url=https%3A%2F%2Fevil.example",
            "/notify?token=8v9iSKnj",
        ] {
            assert_eq!(
                WebhookRequest::get(target).parse().unwrap(),
                notify("8v9iSKnj"),
                "{target}"
            );
        }
        let form = WebhookRequest::post("/notify?agent=1", b"token=8v9iSKnj&type=complete");
        assert_eq!(form.parse().unwrap(), notify("8v9iSKnj"));
    }

    #[test]
    fn both_words_for_the_check_of_an_address_are_answered_with_the_nonce() {
        for word in ["verify", "validation"] {
            let target = format!("/notify?type={word}&nonce=a%22b");
            let notice = WebhookRequest::get(&target).parse().unwrap();
            assert_eq!(notice.answer(), r#"{"nonce":"a\"b"}"#);
        }
        assert!(WebhookRequest::get("/notify?type=verify").parse().is_err());
        assert!(
            WebhookRequest::get("/notify?type=verify&nonce=")
                .parse()
                .is_err()
        );
    }

    #[test]
    fn what_names_no_job_is_refused() {
        for target in [
            "",
            "/notify",
            "/notify?type=complete",
            "/notify?token=",
            "/notify?token=..%2F",
            "/notify?token=a&token=b",
        ] {
            assert!(WebhookRequest::get(target).parse().is_err(), "{target}");
        }
        assert!(
            WebhookRequest::post("/notify", b"\xff\xfe%zz&&=")
                .parse()
                .is_err()
        );
    }

    const FINAL: &str = "/notify?agent=06875f8b&code=0&token=8v9iSKnj&type=completed";
    const FINAL_SIGNATURE: &str =
        "9b566f493c25afa7b57b6e2289f2382c32ab2393bdf0b0367ba77bb53dce36db";

    #[test]
    fn the_final_rule_signs_every_parameter() {
        let signed = |target, timestamp, signature| {
            WebhookRequest::get(target)
                .with_signature(timestamp, signature)
                .parse_verified(&key())
        };
        assert_eq!(
            signed(FINAL, "1490255398", FINAL_SIGNATURE).unwrap(),
            notify("8v9iSKnj")
        );
        let forged = FINAL.replace("8v9iSKnj", "9v9iSKnj");
        assert!(signed(&forged, "1490255398", FINAL_SIGNATURE).is_err());
        assert!(signed(FINAL, "1490255399", FINAL_SIGNATURE).is_err());
        assert!(signed(FINAL, "1490255398", "").is_err());
        assert!(WebhookRequest::get(FINAL).parse_verified(&key()).is_err());
        let other_verb =
            WebhookRequest::post(FINAL, b"").with_signature("1490255398", FINAL_SIGNATURE);
        assert!(other_verb.parse_verified(&key()).is_err());
    }

    #[test]
    fn the_older_rule_is_taken_only_when_asked_for() {
        let callback =
            WebhookRequest::get("/notify?agent=06875f8b&token=8v9iSKnj&type=completed&code=0")
                .with_signature(
                    "1490092579",
                    "1159af6662969062edb3d1dc303dda77af5fcf1de2a43bcf7c28b1c1e409b4e9",
                );
        assert!(callback.parse_verified(&key()).is_err());
        assert_eq!(
            callback.parse_verified(&key().with_older_rule()).unwrap(),
            notify("8v9iSKnj")
        );
    }

    #[test]
    fn the_check_of_an_address_needs_no_signature() {
        let check = WebhookRequest::get("/notify?type=verify&nonce=n").parse_verified(&key());
        assert_eq!(check.unwrap().answer(), r#"{"nonce":"n"}"#);
    }
}

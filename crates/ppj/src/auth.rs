//! Who asks: an access key, or an application whose requests are signed.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use jobs_core::Secret;
use jobs_core::http::{Download, Request};
use jobs_core::vendor::Account;
use sha2::Sha256;

use crate::code::VENDOR;

/// What identifies an account, and with it the generation of the API that is spoken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// An access key: the API that the vendor documents today.
    AccessKey(Secret),
    /// An application and its secret: the API of March 2017, whose requests are signed.
    Signed {
        /// The application's id.
        app_id: Secret,
        /// The application's secret; it signs and is never sent.
        app_secret: Secret,
    },
}

impl Credentials {
    pub(crate) fn is_signed(&self) -> bool {
        matches!(self, Self::Signed { .. })
    }

    pub(crate) fn account(&self) -> Account {
        match self {
            Self::AccessKey(key) => Account::of(VENDOR, key.expose()),
            Self::Signed { app_id, .. } => Account::of(VENDOR, app_id.expose()),
        }
    }

    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::AccessKey(key) => vec![key.clone()],
            Self::Signed { app_secret, .. } => vec![app_secret.clone()],
        }
    }

    /// What is no secret, and still nobody's business.
    pub(crate) fn id(&self) -> Option<Secret> {
        match self {
            Self::AccessKey(_) => None,
            Self::Signed { app_id, .. } => Some(app_id.clone()),
        }
    }

    /// The headers for one request, made anew for each attempt.
    ///
    /// `path` is the path as requested, without the host; `parameters` are those of the query, of the form and of the path.
    pub(crate) fn headers(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
        now: SystemTime,
    ) -> Headers {
        match self {
            Self::AccessKey(key) => Headers {
                plain: None,
                secret: vec![(CREDENTIAL, key.expose().to_owned())],
            },
            Self::Signed { app_id, app_secret } => {
                let timestamp = now
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or(Duration::ZERO)
                    .as_secs()
                    .to_string();
                let text = text(method, path, parameters);
                let signature = signature(&derived_key(app_secret.expose(), &timestamp), &text);
                Headers {
                    plain: Some(("accept", "application/vnd.ppj.v1+json")),
                    secret: vec![
                        (CREDENTIAL, app_id.expose().to_owned()),
                        (TIMESTAMP, timestamp),
                        (SIGNATURE, signature),
                    ],
                }
            }
        }
    }
}

const CREDENTIAL: &str = "x-ppj-credential";
const TIMESTAMP: &str = "x-ppj-timestamp";
const SIGNATURE: &str = "x-ppj-signature";

/// What a request carries to say who asks.
pub(crate) struct Headers {
    plain: Option<(&'static str, &'static str)>,
    secret: Vec<(&'static str, String)>,
}

impl Headers {
    pub(crate) fn onto(&self, request: Request) -> Request {
        let request = match self.plain {
            Some((name, value)) => request.with_header(name, value),
            None => request,
        };
        self.secret.iter().fold(request, |request, (name, value)| {
            request.with_secret_header(name, value)
        })
    }

    pub(crate) fn onto_download<'a>(&'a self, fetch: Download<'a>) -> Download<'a> {
        let fetch = match self.plain {
            Some((name, value)) => fetch.with_header(name, value),
            None => fetch,
        };
        self.secret.iter().fold(fetch, |fetch, (name, value)| {
            fetch.with_secret_header(name, value)
        })
    }
}

/// What is signed: method, path, and the parameters sorted by name, upper case first. Their values are signed as they are
/// before any escaping. Without parameters the text ends with the second line feed.
///
/// The document itself is left out, and so is every name with a leading underscore.
pub(crate) fn text(method: &str, path: &str, parameters: &[(&str, &str)]) -> String {
    let mut signed: Vec<_> = parameters
        .iter()
        .filter(|(name, _)| !name.starts_with('_') && *name != "file_source")
        .collect();
    signed.sort();
    let pairs: Vec<_> = signed
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{method}\n{path}\n{}", pairs.join("&"))
}

/// The first step. The timestamp is the key and the secret the message, not the other way round.
pub(crate) fn derived_key(app_secret: &str, timestamp: &str) -> String {
    hmac_hex(timestamp.as_bytes(), app_secret.as_bytes())
}

/// The second step. Its key is the hex text of the first one, not the bytes that it stands for: with those, none of the
/// published examples comes out.
pub(crate) fn signature(derived_key: &str, text: &str) -> String {
    hmac_hex(derived_key.as_bytes(), text.as_bytes())
}

fn hmac_hex(key: &[u8], message: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes a key of any length")
    };
    mac.update(message);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's documentation value.
    const SECRET: &str = "kKdBnfSJNnBjex9gczp6P9g2";

    #[test]
    fn every_published_example_comes_out() {
        for (timestamp, method, path, parameters, key, wanted) in [
            (
                "1490089532",
                "POST",
                "/jobs",
                &[("file_md5", "be92023d515907f5faaac32c3605d7ec")][..],
                "ee17afa6d69f1221c07b1cd3edba30e3ae95331f663d04a606a3d53a5588bbb4",
                "562ef9fee364f995dc9e0e5b1d57a855afd4e4bfed4fa414d4937dd1c7c5547f",
            ),
            (
                "1490255398",
                "GET",
                "/notify",
                &[
                    ("token", "8v9iSKnj"),
                    ("type", "completed"),
                    ("code", "0"),
                    ("agent", "06875f8b"),
                ],
                "e2eef1820e50b7ad16b208ff00b6b7cf7bb679e3de3d377fcfaf1e898e746dc6",
                "9b566f493c25afa7b57b6e2289f2382c32ab2393bdf0b0367ba77bb53dce36db",
            ),
            // The path of this draft is neither of the two that were ever served; the arithmetic is right.
            (
                "1489820220",
                "GET",
                "/jobs/list",
                &[("status", "completed")],
                "8f91cf9d54ccb163af07cc05210ecee355ce92c95c1dbd5558d0f5b3218fac1f",
                "ecebba8f5ca8965833c05797c1c4cff8f48c6346594bad5f2d86bcdef33a7495",
            ),
            // Printed with the timestamp 1490092448, which gives something else; found by search.
            (
                "1490092579",
                "GET",
                "/notify",
                &[("code", "0"), ("token", "8v9iSKnj"), ("type", "completed")],
                "9998c39b50e75af156f3c3c05096759c2b1985314d41dccf85ac1d9f2fb63c1e",
                "1159af6662969062edb3d1dc303dda77af5fcf1de2a43bcf7c28b1c1e409b4e9",
            ),
        ] {
            let derived = derived_key(SECRET, timestamp);
            assert_eq!(derived, key, "{timestamp}");
            assert_eq!(
                signature(&derived, &text(method, path, parameters)),
                wanted,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn a_nonce_alone_was_signed_in_a_draft() {
        assert_eq!(
            signature(&derived_key(SECRET, "1489820220"), "7bzaglsx2y1nmujw"),
            "988b7b1bdd05d10a0b21840561097f2dbbabeaf7e2bbe0dc960856a5fcdeb84e"
        );
    }

    #[test]
    fn the_oldest_examples_prove_the_line_feeds_and_the_order() {
        assert_eq!(
            signature(
                &derived_key("appid", "my_timestamp"),
                &text("http_method", "my_path", &[])
            ),
            "0e8b444b883e7251f8b90e055a80c89dc688d7fb8a23d535494dcac9dd63d36f"
        );
        let parameters = [
            ("abc", "1"),
            ("random", "false"),
            ("Vdc", "2"),
            ("Jesus", "queries"),
        ];
        assert_eq!(
            text("get", "/path/by", &parameters),
            "get\n/path/by\nJesus=queries&Vdc=2&abc=1&random=false"
        );
        assert_eq!(
            signature(
                &derived_key("appid", "2017022929"),
                &text("get", "/path/by", &parameters)
            ),
            "9b23e189d4a944db007ee3b3b19641eaeb8adf5d7657da471f18726fa3dc245a"
        );
    }

    #[test]
    fn every_operation_has_its_own_signature() {
        let token = [("token", "8v9iSKnj")];
        let range = [
            ("state", "completed"),
            ("start_date", "2017-03-16T02:20:39+00:00"),
            ("end_date", "2017-03-17T02:20:39+00:00"),
        ];
        let key = derived_key(SECRET, "1490089532");
        for (path, parameters, wanted) in [
            (
                "/jobs/8v9iSKnj",
                &token[..],
                "1817eca5f4f52427efa9d9db86880ac78f7cd4800e04e9fd5c2387a4199ef570",
            ),
            (
                "/job/status",
                &token,
                "18a5acebe4d389de0ac6f33831796b697ae08d2072769b296515820eaa905278",
            ),
            (
                "/jobs/8v9iSKnj/download",
                &token,
                "5e3422684b958d012dd6fd92b29866c88ddc38e4162cca3556416c8352cdf13c",
            ),
            (
                "/job/download",
                &token,
                "c818774e52f73a2310f77c57128c9695c687f1fb21e1be6bd1ebc35990a363da",
            ),
            (
                "/jobs",
                &[],
                "1b20d21319b9e8eef7dc54d72bac61161fe74cc340d5ad443ef0a7675460757f",
            ),
            (
                "/jobs",
                &range,
                "18ba8607e11b4d1a6aa0788a7f894a24cb03bde6f2b777b3a725d831bfa0b933",
            ),
        ] {
            assert_eq!(
                signature(&key, &text("GET", path, parameters)),
                wanted,
                "{path}"
            );
        }
    }

    #[test]
    fn the_document_and_underscored_names_are_never_signed() {
        let parameters = [
            ("file_source", "bytes"),
            ("_method", "POST"),
            ("file_md5", "m"),
        ];
        assert_eq!(
            text("POST", "/jobs", &parameters),
            "POST\n/jobs\nfile_md5=m"
        );
    }

    #[test]
    fn debug_shows_no_credential() {
        let secret = |text: &str| Secret::new(text).unwrap();
        let signed = Credentials::Signed {
            app_id: secret("shEgGCzL2QQi"),
            app_secret: secret(SECRET),
        };
        let printed = format!("{signed:?} {:?}", Credentials::AccessKey(secret("k3y")));
        assert!(!printed.contains("shEg") && !printed.contains("kKd") && !printed.contains("k3y"));
    }
}

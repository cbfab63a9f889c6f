//! The two hosts of an environment, which are never mixed.

use std::fmt;

use jobs_core::Error;
use jobs_core::http::{Origin, shown};
use jobs_core::vendor::Env;

use crate::code::VENDOR;
use crate::identity::Product;

/// Where to talk to. Both hosts come together, since the keys of one environment are unknown in the other.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Environment {
    /// The vendor's production.
    #[default]
    Production,
    /// The vendor's environment for integration tests, with keys of its own.
    Test,
    /// Other hosts, such as a simulator: `https` addresses, or `http` on this machine. A bare host means `https`.
    Custom {
        /// For every operation but uploads.
        general: String,
        /// For uploads.
        upload: String,
    },
}

impl fmt::Debug for Environment {
    /// Of addresses, nothing but scheme, host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Production => f.write_str("Production"),
            Self::Test => f.write_str("Test"),
            Self::Custom { general, upload } => f
                .debug_struct("Custom")
                .field("general", &shown(general))
                .field("upload", &shown(upload))
                .finish(),
        }
    }
}

const GENERAL: &str = "TENCENT_ESS_ENDPOINT";
const UPLOAD: &str = "TENCENT_ESS_UPLOAD_ENDPOINT";

impl Environment {
    /// Other hosts than the vendor's.
    pub fn custom(general: impl Into<String>, upload: impl Into<String>) -> Self {
        Self::Custom {
            general: general.into(),
            upload: upload.into(),
        }
    }

    /// What the variables say: both hosts, or one that belongs to a known pair, or none for production.
    pub(crate) fn from_env(env: &Env<'_>, product: &Product) -> Result<Self, Error> {
        let (missing, one) = match (env.optional(GENERAL), env.optional(UPLOAD)) {
            (Some(general), Some(upload)) => return Ok(Self::Custom { general, upload }),
            (None, None) => return Ok(Self::Production),
            (Some(general), None) => (UPLOAD, general),
            (None, Some(upload)) => (GENERAL, upload),
        };
        // The upload host of production takes any product's files, so half a setting could send them there by mistake.
        let known = [Self::Production, Self::Test].into_iter().find(|known| {
            let address = address(&one);
            let (general, upload) = known.addresses(product);
            let expected = if missing == UPLOAD { general } else { upload };
            address.trim_end_matches('/') == expected
        });
        known.ok_or_else(|| {
            Error::invalid_input(
                VENDOR,
                "configure",
                format!("the variable {missing} is not set, and both hosts must belong together"),
            )
            .with_help(format!("set {missing} too"))
        })
    }

    /// The base addresses for general operations and for uploads.
    pub(crate) fn origins(&self, product: &Product) -> Result<(Origin, Origin), Error> {
        let (general, upload) = self.addresses(product);
        Ok((origin(&general, GENERAL)?, origin(&upload, UPLOAD)?))
    }

    fn addresses(&self, product: &Product) -> (String, String) {
        let service = product.service();
        match self {
            Self::Production => (
                format!("https://{service}.tencentcloudapi.com"),
                "https://file.ess.tencent.cn".to_owned(),
            ),
            Self::Test => (
                format!("https://{service}.test.ess.tencent.cn"),
                "https://file.test.ess.tencent.cn".to_owned(),
            ),
            Self::Custom { general, upload } => (address(general), address(upload)),
        }
    }
}

/// The documentation names hosts, so a bare one is taken as well.
fn address(text: &str) -> String {
    if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    }
}

fn origin(address: &str, variable: &str) -> Result<Origin, Error> {
    let unusable = |problem: String| {
        Error::invalid_input(VENDOR, "configure", problem)
            .with_help(format!("set {variable} to an https address without a path"))
    };
    let origin = Origin::parse(address)
        .map_err(|problem| unusable(format!("the address is unusable: {problem}")))?;
    if origin.prefix().is_empty() {
        Ok(origin)
    } else {
        // The path is signed, and the vendor's is always the root.
        Err(unusable(format!("the address {origin} has a path")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Agent, Operator};

    fn hosts(environment: &Environment, product: &Product) -> (String, String) {
        let (general, upload) = environment.origins(product).unwrap();
        (general.host(), upload.host())
    }

    fn platform() -> Product {
        Agent::new("app", "org", "open").into()
    }

    #[test]
    fn each_product_has_its_pair_in_each_environment() {
        let company = Product::from(Operator::new("user"));
        for (environment, product, general, upload) in [
            (
                Environment::Production,
                platform(),
                "essbasic.tencentcloudapi.com",
                "file.ess.tencent.cn",
            ),
            (
                Environment::Test,
                platform(),
                "essbasic.test.ess.tencent.cn",
                "file.test.ess.tencent.cn",
            ),
            (
                Environment::Production,
                company.clone(),
                "ess.tencentcloudapi.com",
                "file.ess.tencent.cn",
            ),
            (
                Environment::Test,
                company,
                "ess.test.ess.tencent.cn",
                "file.test.ess.tencent.cn",
            ),
            (
                Environment::custom("http://127.0.0.1:81", "files.example"),
                platform(),
                "127.0.0.1:81",
                "files.example",
            ),
        ] {
            assert_eq!(
                hosts(&environment, &product),
                (general.to_owned(), upload.to_owned())
            );
        }
    }

    #[test]
    fn plain_text_and_paths_are_refused() {
        for bad in ["http://files.example", "https://h/api", "", "https://u:p@h"] {
            let error = Environment::custom(bad, "https://h")
                .origins(&platform())
                .unwrap_err();
            assert!(error.help().unwrap().contains(GENERAL), "{bad}");
        }
    }

    #[test]
    fn half_a_pair_is_refused_unless_it_is_known() {
        let read = |general: Option<&str>, upload: Option<&str>| {
            let lookup = |name: &str| match name {
                GENERAL => general.map(str::to_owned),
                UPLOAD => upload.map(str::to_owned),
                _ => None,
            };
            Environment::from_env(&Env::new(VENDOR, &lookup), &platform())
        };
        assert_eq!(read(None, None).unwrap(), Environment::Production);
        assert_eq!(
            read(Some("essbasic.test.ess.tencent.cn"), None).unwrap(),
            Environment::Test
        );
        assert_eq!(
            read(None, Some("https://file.ess.tencent.cn/")).unwrap(),
            Environment::Production
        );
        assert_eq!(
            read(Some("a.example"), Some("b.example")).unwrap(),
            Environment::custom("a.example", "b.example")
        );
        let error = read(Some("a.example"), None).unwrap_err();
        assert_eq!(error.help(), Some("set TENCENT_ESS_UPLOAD_ENDPOINT too"));
        assert!(read(None, Some("b.example")).is_err());
        // Of the other product.
        assert!(read(Some("ess.tencentcloudapi.com"), None).is_err());
    }
}

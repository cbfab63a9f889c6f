//! How connections come about where the machine's own settings do not do: a proxy, names, roots of trust.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::http::surroundings::is_proxy;
use crate::secret::Secret;

/// A proxy for all requests, in the place of those that the environment names.
///
/// It sees the names of hosts, not what is said to them. It also resolves those names: that no result link leads into a
/// private network is then for the proxy's rules to ensure.
#[derive(Clone)]
pub struct Proxy(pub(crate) reqwest::Proxy);

/// What was given is not the address of a proxy. It is not repeated, because a password may stand in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a proxy, such as http://host:port or http://user:password@host:port")]
pub struct InvalidProxy;

impl Proxy {
    /// The proxy at `http://host:port` or `http://user:password@host:port`, with odd characters of a password escaped.
    ///
    /// # Errors
    /// [`InvalidProxy`].
    pub fn new(address: &Secret) -> Result<Self, InvalidProxy> {
        if !is_proxy(address.expose()) {
            return Err(InvalidProxy);
        }
        let proxy = reqwest::Proxy::all(address.expose()).map_err(|_| InvalidProxy)?;
        Ok(Self(proxy))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

/// Resolves names in the place of the system.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of a name. The port is filled in when connecting, unless it is given here.
    ///
    /// # Errors
    /// There is no such name, or it cannot be found out. Nothing is sent then.
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// A [`Resolver`] as the HTTP library asks it.
pub(crate) struct Resolved(pub(crate) Arc<dyn Resolver>);

impl Resolve for Resolved {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await;
            let addresses = addresses.map_err(Box::<dyn StdError + Send + Sync>::from)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Certificate authorities that are trusted besides those of the platform: of a company's proxy, or of an installation of one's own.
#[cfg(feature = "rustls")]
#[derive(Clone)]
pub struct TlsRoots(pub(crate) Vec<reqwest::Certificate>);

/// The text holds no certificate, or a broken one.
#[cfg(feature = "rustls")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a PEM text with certificates")]
pub struct InvalidTlsRoots;

#[cfg(feature = "rustls")]
impl TlsRoots {
    /// The certificates of a PEM text.
    ///
    /// # Errors
    /// [`InvalidTlsRoots`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidTlsRoots> {
        let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| InvalidTlsRoots)?;
        if roots.is_empty() {
            return Err(InvalidTlsRoots);
        }
        Ok(Self(roots))
    }
}

#[cfg(feature = "rustls")]
impl fmt::Debug for TlsRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsRoots").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_told_by_its_address_and_shows_no_password() {
        let proxy = |address: &str| Proxy::new(&Secret::new(address).unwrap());
        let shown = format!("{:?}", proxy("http://user:pa55@proxy.corp:3128").unwrap());
        assert!(
            !shown.contains("pa55") && !shown.contains("user"),
            "{shown}"
        );
        for odd in ["http://", "http://pa55@", "http://a b:1", "http://h#pa55"] {
            assert_eq!(proxy(odd).unwrap_err(), InvalidProxy, "{odd}");
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn roots_are_certificates() {
        assert!(TlsRoots::from_pem(b"nothing of the kind").is_err());
        assert!(TlsRoots::from_pem(b"").is_err());
    }
}

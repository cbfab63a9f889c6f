//! What the machine's environment says about TLS and proxies, checked before anything is sent.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::env::Env;
use crate::error::Error;
use crate::http::reason::proxy_variable;

/// Names a list of certificates that cannot work: the TLS library reads it when a client is built, and does not tell why it
/// fails.
pub(crate) fn check_certificates(vendor: &'static str) -> Result<(), Error> {
    let env = Env::of_process(vendor);
    if let Some(path) = env.optional("SSL_CERT_FILE")
        && let Err(problem) = certificates(&path)
    {
        let message = format!("the variable SSL_CERT_FILE names {path}, which {problem}");
        let error = Error::invalid_input(vendor, "configure", message);
        return Err(
            error.with_help("set it to a PEM file with certificate authorities, or unset it")
        );
    }
    Ok(())
}

/// Names a proxy that cannot be one: without this, connections would go past the proxy that was asked for.
pub(crate) fn check_proxy(vendor: &'static str) -> Result<(), Error> {
    let env = Env::of_process(vendor);
    if let Some(name) = proxy_variable()
        && let Some(value) = env.optional(name)
        && !is_proxy(&value)
    {
        // The value may hold a password.
        let message = format!("the variable {name} does not hold the address of a proxy");
        return Err(Error::invalid_input(vendor, "configure", message).with_help(
            "set it to http://host:port or http://user:password@host:port, with odd characters of a password escaped",
        ));
    }
    Ok(())
}

/// One certificate is enough: the TLS library passes over those that it cannot read.
fn certificates(path: &str) -> Result<(), String> {
    let file = std::fs::File::open(path).map_err(|problem| format!("cannot be read: {problem}"))?;
    let mut pem: Option<Vec<u8>> = None;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(|problem| format!("cannot be read: {problem}"))?;
        if line.starts_with(b"-----BEGIN CERTIFICATE-----") {
            pem = Some(Vec::new());
        }
        let Some(pem) = &mut pem else { continue };
        pem.extend_from_slice(&line);
        pem.push(b'\n');
        if line.starts_with(b"-----END CERTIFICATE-----") && is_certificate(pem) {
            return Ok(());
        }
    }
    Err(match pem {
        None => "holds no certificate".to_owned(),
        Some(_) => "holds no certificate that can be read".to_owned(),
    })
}

#[cfg(feature = "rustls")]
fn is_certificate(pem: &[u8]) -> bool {
    // Only a client looks at what is between the marks.
    let trusting = |root| {
        let client = reqwest::Client::builder().no_proxy();
        client.tls_certs_only([root]).build()
    };
    reqwest::Certificate::from_pem(pem)
        .and_then(trusting)
        .is_ok()
}

/// Without TLS of our own nobody here reads it.
#[cfg(not(feature = "rustls"))]
fn is_certificate(_pem: &[u8]) -> bool {
    true
}

/// As the HTTP client reads it: with a scheme or without. Any other scheme it would pass by in silence, or fail on later.
pub(super) fn is_proxy(value: &str) -> bool {
    let address = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    let is_plain = address
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_http = |url: Url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
    };
    is_plain && Url::parse(&address).is_ok_and(is_http)
}

/// Resolves `localhost` to this machine and to nothing else, whatever a file of hosts says: plain HTTP goes there.
pub(crate) struct OnThisMachine(pub(crate) Arc<dyn Resolve>);

/// `localhost` leads away from this machine. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} leads to {address}, which is not this machine")]
pub(crate) struct LeadsAway {
    name: String,
    address: std::net::IpAddr,
}

impl Resolve for OnThisMachine {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let text = name.as_str().to_owned();
            let is_local = text == "localhost" || text.ends_with(".localhost");
            let addresses: Vec<SocketAddr> = resolver.resolve(name).await?.collect();
            let stays = |to: &&SocketAddr| !is_local || to.ip().to_canonical().is_loopback();
            let here: Vec<SocketAddr> = addresses.iter().filter(stays).copied().collect();
            match (addresses.first(), here.is_empty()) {
                (Some(first), true) => Err(LeadsAway {
                    name: text,
                    address: first.ip(),
                }
                .into()),
                _ => Ok(Box::new(here.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ssrf_guard::tests::Names;

    /// Of nobody.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBiDCCAS+gAwIBAgIUHEVUV+6BmA83SHj8Us6eoLIFJsAwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTMwMjAzMDM5WhgPMjEy
NjExMDYyMDMwMzlaMBkxFzAVBgNVBAMMDnRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEzrYmuqWGCPSC2R50Nhf1fEa8ZbQFLgYS6M2e2dBu
ckTiB5QymD03zm17VCNv7w1LA3Op/2PmyGWK/WJ0qv1LcaNTMFEwHQYDVR0OBBYE
FOPUuBIZ+9Y3z6sAsiYmv+bnKrxSMB8GA1UdIwQYMBaAFOPUuBIZ+9Y3z6sAsiYm
v+bnKrxSMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgTlq+oF/C
g5B5f00w32OY5eJVzWGylsRUJGz4H9DSLOQCIEOmQB8rVCbTHCQ2I8/XLyssry3Z
1pIYAavS2EHMpsP4
-----END CERTIFICATE-----
";

    async fn resolved(names: &[(&'static str, &str)], name: &str) -> Result<Vec<String>, String> {
        let resolver = OnThisMachine(Names::new(names));
        let found = resolver.resolve(name.parse().unwrap()).await;
        let found = found.map_err(|problem| problem.to_string())?;
        Ok(found.map(|to| to.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn localhost_is_this_machine_whatever_the_hosts_say() {
        let away = resolved(&[("localhost", "203.0.113.7")], "localhost").await;
        assert_eq!(
            away.unwrap_err(),
            "localhost leads to 203.0.113.7, which is not this machine"
        );
        let mixed = resolved(&[("localhost", "203.0.113.7 127.0.0.1 ::1")], "localhost").await;
        assert_eq!(mixed.unwrap(), ["127.0.0.1", "::1"]);
        let other = resolved(&[("h.example", "203.0.113.7")], "h.example").await;
        assert_eq!(other.unwrap(), ["203.0.113.7"]);
    }

    #[test]
    fn a_file_without_certificates_is_told_from_one_with_them() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ca.pem");
        let text = path.to_str().unwrap();
        assert!(
            certificates(text)
                .unwrap_err()
                .starts_with("cannot be read")
        );
        std::fs::write(&path, "nothing of the kind").unwrap();
        assert_eq!(certificates(text).unwrap_err(), "holds no certificate");
        for broken in ["AAAA\n-----END CERTIFICATE-----\n", "MII\n"] {
            std::fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{broken}")).unwrap();
            #[cfg(feature = "rustls")]
            assert_eq!(
                certificates(text).unwrap_err(),
                "holds no certificate that can be read"
            );
        }
        // One that is broken stands in nobody's way.
        let junk = "# CAs\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, format!("{junk}{AUTHORITY}")).unwrap();
        assert_eq!(certificates(text), Ok(()));
    }

    #[test]
    fn a_proxy_has_an_address() {
        for good in [
            "http://127.0.0.1:3128",
            "https://user:p%40ss@proxy.example:8443",
            "proxy.example:3128",
        ] {
            assert!(is_proxy(good), "{good}");
        }
        for bad in [
            "http://",
            "http://h:99999",
            "not a proxy",
            "http://u:p#w@h:1",
            "ftp://user:pw@127.0.0.1:21",
            "socks5://127.0.0.1:1080",
            "socks5h://127.0.0.1:1080",
            "socks4a://127.0.0.1:1080",
            ":",
        ] {
            assert!(!is_proxy(bad), "{bad}");
        }
    }
}

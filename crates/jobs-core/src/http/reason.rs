//! Why there was no connection, and what to do about it.

use std::error::Error as StdError;
use std::io;

use url::Url;

/// What is wrong, in the words of the causes. The first two are the HTTP client's own, and say no more than that it is a
/// connection.
pub(crate) fn told(error: &reqwest::Error) -> String {
    let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
    let own = causes.len().saturating_sub(1).min(2);
    let mut told: Vec<&str> = Vec::new();
    for cause in causes.iter().skip(own) {
        // Many a wrapper repeats what it wraps.
        match told.last_mut() {
            Some(last) if cause.contains(*last) => *last = cause,
            Some(last) if last.contains(cause.as_str()) => {}
            _ => told.push(cause),
        }
    }
    told.join(": ")
}

/// What to do, by the causes and by what is set.
pub(crate) fn advice(error: &reqwest::Error) -> String {
    let is_tls = causes(error)
        .filter_map(io_error)
        .any(|cause| cause.kind() == io::ErrorKind::InvalidData);
    let proxy = proxy_variable().map(|name| {
        let at = proxy_address(name).map_or_else(String::new, |at| format!(" ({at})"));
        format!("a proxy is taken from {name}{at}")
    });
    advise(&told(error), is_tls, proxy.as_deref())
}

/// The HTTP client keeps the types of a proxy's and a certificate's refusal to itself, so they are told by their words.
fn advise(told: &str, is_tls: bool, proxy: Option<&str>) -> String {
    let (check, proxy_check) = if told.contains("tunnel error: unsuccessful") {
        (
            "the proxy refused to connect to this host: have it let the host through, or name the host in NO_PROXY",
            "",
        )
    } else if told.contains("tunnel error: proxy authorization required") {
        (
            "the proxy asks for a login: check its user name and its password",
            "",
        )
    } else if told.contains("CaUsedAsEndEntity") {
        // Trusting it does not help: no server may use a certificate of an authority.
        (
            "the server shows a certificate that is made for a certificate authority; give it one that an authority has \
             signed, and set SSL_CERT_FILE to a PEM file with that authority, not with the server's own certificate",
            "",
        )
    } else if is_tls {
        (
            "check the address; where a proxy or firewall inspects TLS, set SSL_CERT_FILE to a PEM file with its \
             certificate authority",
            "",
        )
    } else {
        ("check the address and the network", ": check its address")
    };
    let proxy = proxy.map(|proxy| format!("; {proxy}{proxy_check}"));
    format!("nothing was sent: {check}{}", proxy.unwrap_or_default())
}

/// The variable that a proxy for HTTPS is taken from, as the HTTP client looks for it.
pub(crate) fn proxy_variable() -> Option<&'static str> {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    names.into_iter().find(is_set)
}

/// Host and port of the proxy in this variable, without what logs in to it.
fn proxy_address(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    let url = match value.contains("://") {
        true => Url::parse(&value),
        false => Url::parse(&format!("http://{value}")),
    };
    let url = url.ok()?;
    Some(format!(
        "{}:{}",
        url.host_str()?,
        url.port_or_known_default()?
    ))
}

type WaitErrorKind<'a> = &'a (dyn StdError + 'static);

fn causes<'a>(error: WaitErrorKind<'a>) -> impl Iterator<Item = WaitErrorKind<'a>> {
    std::iter::successors(Some(error), |error| next_cause(*error))
}

fn next_cause(error: WaitErrorKind<'_>) -> Option<WaitErrorKind<'_>> {
    match error.downcast_ref::<io::Error>() {
        // An I/O error shows what it wraps as itself, and gives the cause of that as its own.
        Some(error) => error.get_ref().map(|inner| inner as WaitErrorKind<'_>),
        None => error.source(),
    }
}

fn io_error(error: WaitErrorKind<'_>) -> Option<&io::Error> {
    error.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_fits_what_stood_in_the_way() {
        let proxy = Some("a proxy is taken from HTTPS_PROXY (127.0.0.1:3128)");
        let refused = advise("tunnel error: unsuccessful", false, proxy);
        assert!(refused.contains("NO_PROXY") && refused.contains("127.0.0.1:3128"));
        assert!(!refused.contains("password"), "{refused}");
        let login = advise("tunnel error: proxy authorization required", false, proxy);
        assert!(login.contains("password") && !login.contains("NO_PROXY"));
        let own = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        assert!(advise(own, true, None).contains("not with the server's own certificate"));
        let unknown = advise("invalid peer certificate: UnknownIssuer", true, None);
        assert!(unknown.contains("set SSL_CERT_FILE"), "{unknown}");
        let closed = advise("Connection refused (os error 111)", false, proxy);
        assert!(closed.ends_with("(127.0.0.1:3128): check its address"));
    }
}

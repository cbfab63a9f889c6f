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

/// What to do, by the types of the causes and by what is set.
pub(crate) fn advice(error: &reqwest::Error) -> String {
    let mut advice = String::from("nothing was sent: ");
    let tls = causes(error)
        .filter_map(io_error)
        .any(|cause| cause.kind() == io::ErrorKind::InvalidData);
    advice.push_str(match (tls, error.is_timeout()) {
        (true, _) => {
            "check the address; where a proxy or firewall inspects TLS, set SSL_CERT_FILE to a PEM file with its certificate authority"
        }
        (false, _) => "check the address and the network",
    });
    if let Some(name) = proxy_variable() {
        let at = proxy_address(name).map_or_else(String::new, |at| format!(" ({at})"));
        advice.push_str(&format!(
            "; a proxy is taken from {name}{at}: check its address, its user name and its password"
        ));
    }
    advice
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

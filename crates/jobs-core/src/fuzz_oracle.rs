//! What holds whatever a vendor, or somebody in its place, sends: tried by the tests here and by the fuzz targets.

use std::future::{Future as _, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use reqwest::dns::{Name, Resolve, Resolving};
use url::{Host, Url};

use crate::http::ssrf_guard::SsrfGuard;
use crate::http::{Origin, ResultNetworks};

/// A link that a vendor gave, under an API at `base`: what is followed stays on TLS, does not reach inside and is sent as it
/// stands but for what no request can carry, and no refusal repeats what the link may hold.
pub fn link(base: &str, link: &str) {
    let Ok(origin) = Origin::parse(base) else {
        return;
    };
    match origin.check_link(link) {
        Ok(url) => {
            check(&origin, &url);
            check_target(&url, link);
        }
        Err(refusal) => {
            let said = refusal.to_string();
            let (shown, query) = link.split_once(['?', '#']).unwrap_or((link, ""));
            let authority = shown.split_once("://").map_or("", |(_, rest)| rest);
            let authority = authority.split('/').next().unwrap_or_default();
            let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            for (hidden, rest) in [(query, shown), (login, host)] {
                let is_new = hidden.len() >= 12 && !rest.contains(hidden);
                assert!(!is_new || !said.contains(hidden), "{said}");
            }
        }
    }
}

/// Characters are escaped, and that is all: nothing is decoded, nothing is escaped twice.
fn check_target(url: &Url, link: &str) {
    let link = link.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let (scheme, target) = link.split_once("://").unwrap_or_default();
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        // The host begins before these slashes, which only a browser's rules know.
        return;
    }
    if target.starts_with('/') || target.find(['/', '?', '#']) != target.find('/') {
        // Without a host where one is due, or without a path, which is then "/".
        return;
    }
    let target = target
        .find('/')
        .map_or("", |at| target.get(at..).unwrap_or_default());
    let target = target.split('#').next().unwrap_or_default();
    // Dot segments are resolved, as every client does.
    let has_dots = target.contains("/.") || target.to_ascii_lowercase().contains("%2e");
    if target.is_empty() || has_dots || link.contains(['\\', '\t', '\n', '\r']) {
        return;
    }
    let sent = url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    );
    assert_eq!(unescaped(&sent), unescaped(target), "{link}");
    assert_eq!(sent.matches("%25").count(), target.matches("%25").count());
}

fn unescaped(target: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = target.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        (rest, _) = match byte.filter(|_| *first == b'%') {
            Some(byte) => (tail.get(2..).unwrap_or_default(), bytes.push(byte)),
            None => (tail, bytes.push(*first)),
        };
    }
    bytes
}

fn check(origin: &Origin, url: &Url) {
    assert!(url.username().is_empty() && url.password().is_none());
    let is_local = origin.is_loopback();
    assert!(url.scheme() == "https" || (url.scheme() == "http" && is_local));
    let Ok(base) = Url::parse(&origin.to_string()) else {
        return;
    };
    if !reaches_inside(&base) && reaches_inside(url) {
        let reach = SsrfGuard::new(origin, ResultNetworks::default(), Some(Arc::new(Nowhere)));
        let judged = pin!(reach.check(url)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(judged, Poll::Ready(Err(_))), "{url} under {base}");
    }
    assert_eq!(origin.covers(url), base.origin() == url.origin());
}

/// No name leads anywhere.
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(ready(Err("no such name".into())))
    }
}

/// Whether it names this machine or a private network, by every way of writing an address.
fn reaches_inside(url: &Url) -> bool {
    let v4 = |ip: Ipv4Addr| {
        ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
    };
    let ip = match url.host() {
        None => return true,
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            return name == "localhost" || name.ends_with(".localhost");
        }
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_canonical(),
    };
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h] = ip.segments();
            let last = [g, h].map(u16::to_be_bytes);
            let embedded = Ipv4Addr::from([last[0][0], last[0][1], last[1][0], last[1][1]]);
            let is_translated = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
            let is_compatible = [a, b, c, d, e, f] == [0; 6] && g != 0;
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || (is_translated || is_compatible) && v4(embedded)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::link as check_link;

    const HOSTS: &[&str] = &[
        "h.example",
        "localhost",
        "localhost.",
        "a.localhost",
        "127.1",
        "0x7f.1",
        "2130706433",
        "10.0.0.1",
        "0",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[::10.0.0.1]",
        "[fe80::1]",
        "[fd00::1]",
        "169.254.169.254",
        "1.1.1.1",
        "u:p@h.example",
        "LOCALHOST",
        "１２７.0.0.1",
        "",
    ];
    const TARGETS: &[&str] = &[
        "",
        "/",
        "/a/../b",
        "/a%2e%2e/?x=1",
        "?signature=0123456789",
        "/a b",
        "\\\\x",
        "/#f",
        "//x",
        "/報",
    ];

    proptest! {
        #[test]
        fn no_link_leads_inside_or_out_of_tls(
            base in prop::sample::select(&["https://api.example", "http://127.0.0.1:9", "https://10.0.0.9"][..]),
            scheme in prop::sample::select(&["https://", "http://", "HTTPS:", "file://", "//", ""][..]),
            host in prop::sample::select(HOSTS),
            port in prop::sample::select(&["", ":1", ":99999"][..]),
            target in prop::sample::select(TARGETS),
        ) {
            check_link(base, &format!("{scheme}{host}{port}{target}"));
        }
    }
}

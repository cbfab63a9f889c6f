//! Which addresses may be talked to, and what may be told to them.

use std::borrow::Cow;
use std::fmt;

use url::{Host, Position, Url};

use crate::http::networks::ResultNetworks;

/// The base address of a vendor's API: `https`, or plain `http` on loopback.
///
/// It is the only origin that ever receives credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Url);

/// Why an address is not used. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// Not an absolute address.
    #[error("{0:?} is not an address such as https://api.example.com")]
    Malformed(Box<str>),
    /// Plain text over a network.
    #[error("{0:?} is neither https nor http on this machine itself")]
    PlainText(Box<str>),
    /// A user name or password in the address would end up in logs.
    #[error("the address holds a user name or a password")]
    Credentials,
    /// A result link into a private network, while the API is a public one.
    #[error("the link points to the private address {0}")]
    Private(Box<str>),
    /// A result link to where clouds give out the secrets of a machine.
    #[error("the link points to {0}, where machines give out their secrets, and is never followed")]
    Metadata(Box<str>),
    /// A link that is signed as it stands, but holds characters that no request can carry as they stand.
    #[error(
        "the link cannot be sent without rewriting characters in it, which would break its signature"
    )]
    Rewritten,
}

impl InvalidAddress {
    /// What may be done about it.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Private(address) => {
                let ip = address.split(' ').next().unwrap_or_default();
                let ip = ip.trim_matches(['[', ']']);
                let variable = ResultNetworks::VARIABLE;
                Some(format!(
                    "if that is the vendor's storage, list its network: {variable}={ip}"
                ))
            }
            _ => None,
        }
    }
}

impl Origin {
    /// Reads a base address. A path is kept as a prefix, a query or fragment is not.
    ///
    /// # Errors
    /// [`InvalidAddress`] when it is malformed, plain HTTP to another machine, or holds credentials.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let mut url = parse(text)?;
        url.set_query(None);
        url.set_fragment(None);
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(InvalidAddress::PlainText(text.into()));
        }
        Ok(Self(url))
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The host and, where it is not the usual one, the port: the value of the `Host` header.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The host alone.
    pub(crate) fn name(&self) -> Host<String> {
        let host = self.0.host().map(|host| host.to_owned());
        host.unwrap_or_else(|| Host::Domain(String::new()))
    }

    /// The path prefix, without a slash at its end.
    pub fn prefix(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// The address below this base whose path is `segments`, each escaped so that it cannot leave its place.
    pub(crate) fn join<S: AsRef<str>>(&self, segments: &[S]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Checks a link that the vendor gave for a result. Whether its host may be reached is for
    /// [`Reach`](crate::http::reach::Reach) to say.
    ///
    /// # Errors
    /// [`InvalidAddress`] when following it would leave TLS.
    pub(crate) fn check_link(&self, link: &str) -> Result<Url, InvalidAddress> {
        let url = parse(link)?;
        if url.scheme() == "http" && !(is_loopback(&url) && self.0.scheme() == "http") {
            return Err(InvalidAddress::PlainText(
                url.origin().ascii_serialization().into(),
            ));
        }
        Ok(url)
    }

    /// The same for a link whose bytes are signed: whatever follows the host must stand in the request as it stands in
    /// the link.
    ///
    /// # Errors
    /// As [`check_link`](Self::check_link), and [`InvalidAddress::Rewritten`].
    pub(crate) fn check_exact_link(&self, link: &str) -> Result<Url, InvalidAddress> {
        let url = self.check_link(link)?;
        let sent = &url[Position::BeforePath..Position::AfterQuery];
        if sent == request_target(link) {
            Ok(url)
        } else {
            Err(InvalidAddress::Rewritten)
        }
    }

    /// Whether `url` has the scheme, host and port of this base, so that credentials may go there.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What follows the host in a link, up to a fragment, which is never sent. Without a path, a request carries a slash.
fn request_target(link: &str) -> Cow<'_, str> {
    let link = link.split('#').next().unwrap_or_default();
    let behind_scheme = link.split_once("://").map_or(link, |(_, rest)| rest);
    match behind_scheme.find(['/', '?']) {
        Some(at) => match behind_scheme.get(at..).unwrap_or_default() {
            target if target.starts_with('/') => Cow::Borrowed(target),
            query => Cow::Owned(format!("/{query}")),
        },
        None => Cow::Borrowed("/"),
    }
}

fn parse(text: &str) -> Result<Url, InvalidAddress> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| {
        InvalidAddress::Malformed(
            text.split(['?', '#', '@'])
                .next()
                .unwrap_or_default()
                .into(),
        )
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidAddress::Credentials);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in [
            "https://api.example.com",
            "http://127.0.0.1:80",
            "http://localhost:1",
            "http://[::1]:8080/api/",
        ] {
            assert!(Origin::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.example.com",
            "http://localhost.evil.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "api.example.com",
            "",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Origin::parse("https://u:p@h"),
            Err(InvalidAddress::Credentials)
        );
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        let origin = Origin::parse("https://api.example.com/api/").unwrap();
        assert_eq!(
            origin.join(&["jobs", "a/b?c#d%2e"]).as_str(),
            "https://api.example.com/api/jobs/a%2Fb%3Fc%23d%252e"
        );
        assert_eq!(
            Origin::parse("https://h")
                .unwrap()
                .join::<&str>(&[])
                .as_str(),
            "https://h/"
        );
    }

    #[test]
    fn links_do_not_leave_tls() {
        let public = Origin::parse("https://api.example.com").unwrap();
        assert!(
            public
                .check_link("https://files.example.com/file/x?sig=1")
                .is_ok()
        );
        for bad in [
            "http://files.example.com/x",
            "http://127.0.0.1/x",
            "file:///etc/passwd",
        ] {
            assert!(public.check_link(bad).is_err(), "{bad}");
        }
        let simulator = Origin::parse("http://127.0.0.1:9000").unwrap();
        assert!(simulator.check_link("http://127.0.0.1:9001/x").is_ok());
        assert!(simulator.check_link("http://10.0.0.1/x").is_err());
    }

    #[test]
    fn a_signed_link_is_sent_as_it_stands_or_not_at_all() {
        let origin = Origin::parse("https://api.example.com").unwrap();
        for (link, target) in [
            ("https://h", "/"),
            ("https://h?a=b", "/?a=b"),
            ("https://h/?", "/?"),
            (
                "https://h/%7e/~%2F%2f?s=a+b/c==&x=|{}[]^`\\%41#",
                "/%7e/~%2F%2f?s=a+b/c==&x=|{}[]^`\\%41",
            ),
            (
                "https://h//a;b=1,2//@:!$&'()*?e?f#g#h",
                "//a;b=1,2//@:!$&'()*?e?f",
            ),
        ] {
            let url = origin.check_exact_link(link).unwrap();
            assert_eq!(
                &url[Position::BeforePath..Position::AfterQuery],
                target,
                "{link}"
            );
        }
        for link in [
            "https://h/a b",
            "https://h/a?b=c'd",
            "https://h/报告.pptx?s=1",
            "https://h/a/../b",
            "https://h/a/%2e%2e/b",
            "https://h/a\\b",
            "https://h/a\tb",
            " https://h/a ",
        ] {
            assert_eq!(
                origin.check_exact_link(link),
                Err(InvalidAddress::Rewritten),
                "{link}"
            );
            assert!(origin.check_link(link).is_ok(), "{link}");
        }
    }

    #[test]
    fn another_port_is_another_origin() {
        let origin = Origin::parse("http://127.0.0.1:9000").unwrap();
        assert!(origin.covers(&Url::parse("http://127.0.0.1:9000/x").unwrap()));
        assert!(!origin.covers(&Url::parse("http://127.0.0.1:9001/x").unwrap()));
    }
}

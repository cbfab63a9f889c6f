//! Which addresses may be talked to, and what may be told to them.

use std::fmt;

use url::{Host, Url};

use crate::http::networks::ResultNetworks;

/// The base address of a vendor's API: `https`, or plain `http` on loopback.
///
/// It is the only origin that ever receives credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(Url);

/// Why an address is not used. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// Not an absolute address. What is kept of it is scheme and host, where they can be told from a password.
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
            return Err(InvalidAddress::PlainText(shown(text).into()));
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

    /// The host and the port, as errors show it.
    pub(crate) fn address(&self) -> String {
        address_of(&self.0)
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

    /// Checks a link that the vendor gave for a result. Its text may be signed, so it is sent as it stands; a character that
    /// no request can carry is escaped, and nothing else is. Whether its host may be reached is for
    /// [`SsrfGuard`](crate::http::reach::SsrfGuard) to say.
    ///
    /// # Errors
    /// [`InvalidAddress`] when following it would leave TLS.
    pub(crate) fn check_link(&self, link: &str) -> Result<Url, InvalidAddress> {
        let url = parse(&with_odd_characters_escaped(link))?;
        if url.scheme() == "http" && !(is_loopback(&url) && self.0.scheme() == "http") {
            return Err(InvalidAddress::PlainText(
                url.origin().ascii_serialization().into(),
            ));
        }
        Ok(url)
    }

    /// Whether `url` has the scheme, host and port of this base, so that credentials may go there.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl fmt::Display for Origin {
    /// Scheme, host and port: a path may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

/// The link with those characters escaped that reading it as an address would drop or take for others: blanks, controls
/// and, in the path, backslashes. Reading it escapes the rest of what is no URL character.
fn with_odd_characters_escaped(link: &str) -> String {
    let link = link.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let behind_scheme = link.find("://").map_or(0, |at| at + 3);
    let (_, rest) = link.split_at(behind_scheme);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (head, tail) = link.split_at(behind_scheme + end);
    let mut escaped = head.to_owned();
    let mut is_path = true;
    for c in tail.chars() {
        is_path &= !matches!(c, '?' | '#');
        if (c == '\\' && is_path) || c == ' ' || c.is_ascii_control() {
            escaped.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Host and port, which is all of an address that is shown.
pub(crate) fn address_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn parse(text: &str) -> Result<Url, InvalidAddress> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| InvalidAddress::Malformed(shown(text).into()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidAddress::Credentials);
    }
    Ok(url)
}

/// What may be shown of something that was given as an address: scheme, host and port, where there is a host and nothing in
/// front of it. Anything else may be a password, or a key in the wrong variable.
pub fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return "…".to_owned();
    };
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric());
    let scheme = if is_scheme { scheme } else { "…" };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (host, behind) = rest.split_at(end);
    let (host, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    match () {
        // What seems to be a host may be the beginning of a password.
        () if rest.contains('@') || !host.chars().all(is_host) => format!("{scheme}://…"),
        () if port.is_empty() || !port.bytes().all(|digit| digit.is_ascii_digit()) => {
            format!(
                "{scheme}://{host}{}",
                if behind.is_empty() && port.is_empty() {
                    ""
                } else {
                    "…"
                }
            )
        }
        () => format!("{scheme}://{host}:{port}"),
    }
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
    use url::Position;

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
    fn a_link_is_sent_as_it_stands_or_with_an_odd_character_escaped() {
        let origin = Origin::parse("https://api.example.com").unwrap();
        for (link, target) in [
            ("https://h", "/"),
            ("https://h?a=b", "/?a=b"),
            (
                "https://h/%7e/~%2F%2f?s=a+b/c==&x=|{}[]^`\\%41#",
                "/%7e/~%2F%2f?s=a+b/c==&x=|{}[]^`\\%41",
            ),
            (
                "https://h//a;b=1,2//@:!$&'()*?e?f#g#h",
                "//a;b=1,2//@:!$&'()*?e?f",
            ),
            (
                "https://h/a.pptx?n=UTF-8''%E8%AE%A1.pptx",
                "/a.pptx?n=UTF-8%27%27%E8%AE%A1.pptx",
            ),
            (
                "https://h/a?attname=计划.pptx&s=%2B+",
                "/a?attname=%E8%AE%A1%E5%88%92.pptx&s=%2B+",
            ),
            ("https://h/报告.pptx?s=1", "/%E6%8A%A5%E5%91%8A.pptx?s=1"),
            ("https://h/a b\tc?d e\nf", "/a%20b%09c?d%20e%0Af"),
            ("https://h/a\\b?c\\d", "/a%5Cb?c\\d"),
            (" https://h/a?b%zz\r\n", "/a?b%zz"),
        ] {
            let url = origin.check_link(link).unwrap();
            let sent = &url[Position::BeforePath..Position::AfterQuery];
            assert_eq!(sent, target, "{link}");
        }
    }

    #[test]
    fn of_an_address_nothing_but_scheme_host_and_port_is_shown() {
        for (text, shown) in [
            ("https://user:s3cret@h:99999", "https://…"),
            ("ftp://user:s3cret@h/x", "ftp://…"),
            ("https://user:s3/cret@h", "https://…"),
            ("https://user:s3cret", "https://user…"),
            ("https://h:99999/s3cret?s3cret", "https://h:99999"),
            ("http://api.example.com/s3cret", "http://api.example.com…"),
            ("s3cret", "…"),
            ("s3 cret://h", "…://h"),
            ("https://s3 cret/", "https://…"),
            ("", "…"),
        ] {
            let line = Origin::parse(text).unwrap_err().to_string();
            assert!(
                line.contains(shown) && !line.contains("cret"),
                "{text}: {line}"
            );
        }
        let origin = Origin::parse("https://h:81/s3cret/").unwrap();
        assert_eq!(
            format!("{origin} {origin:?}"),
            "https://h:81 Origin(https://h:81)"
        );
    }

    #[test]
    fn another_port_is_another_origin() {
        let origin = Origin::parse("http://127.0.0.1:9000").unwrap();
        assert!(origin.covers(&Url::parse("http://127.0.0.1:9000/x").unwrap()));
        assert!(!origin.covers(&Url::parse("http://127.0.0.1:9001/x").unwrap()));
    }
}

//! A proxy on the way to the cloud: which one, and the tunnel that it opens.
//!
//! The variables are read by the library that the HTTP client of the other vendors uses, so that all of them go the same
//! way.

use std::env;
use std::fmt;
use std::io;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use jobs_core::Secret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::http::Uri;

/// Which proxy to take.
#[derive(Debug, Clone, Default)]
pub(crate) enum ProxyChoice {
    /// That of the environment.
    #[default]
    Environment,
    /// This one, which may hold a login.
    Given(Secret),
    None,
}

/// A proxy that connects to the cloud on request.
#[derive(Clone)]
pub(crate) struct Proxy {
    intercept: Intercept,
    host: String,
    port: u16,
}

/// Why a proxy cannot be used. Says nothing of what is written there: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address of an HTTP proxy")]
pub(crate) struct InvalidProxy(pub(crate) &'static str);

/// What a proxy did instead of connecting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untunnelled {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It wants another login than it got, or one at all.
    #[error("HTTP 407: it asks for a login")]
    Login,
    #[error("{0}")]
    Refused(String),
}

impl ProxyChoice {
    /// The proxy on the way to a host, if there is one.
    pub(crate) fn to(&self, host: &str, port: u16) -> Result<Option<Proxy>, InvalidProxy> {
        match self {
            Self::None => Ok(None),
            Self::Given(url) => {
                judged(url.expose(), "the proxy")?;
                let matcher = Matcher::builder().all(url.expose()).build();
                let proxy = taken(&matcher, host, port).ok_or(InvalidProxy("the proxy"))?;
                Proxy::new(proxy, "the proxy").map(Some)
            }
            Self::Environment => {
                let variable = |names: [&'static str; 2]| {
                    let mut set = names
                        .into_iter()
                        .filter_map(|name| Some((name, env::var(name).ok()?)));
                    set.next().filter(|(_, value)| !value.is_empty())
                };
                let all = variable(["ALL_PROXY", "all_proxy"]);
                let set = variable(["HTTPS_PROXY", "https_proxy"]).or(all);
                let Some((name, value)) = set else {
                    return Ok(None);
                };
                judged(&value, name)?;
                match taken(&Matcher::from_env(), host, port) {
                    Some(proxy) => Proxy::new(proxy, name).map(Some),
                    // Unusable, or not taken to this host: only one of these goes unsaid.
                    None => match taken(&Matcher::builder().all(value).build(), host, port) {
                        Some(_) => Ok(None),
                        None => Err(InvalidProxy(name)),
                    },
                }
            }
        }
    }
}

/// As the other vendors' HTTP client judges it: the library here would go to another port than the one that is no number of
/// a port.
fn judged(address: &str, name: &'static str) -> Result<(), InvalidProxy> {
    let address = Secret::new(address).map_err(|_| InvalidProxy(name))?;
    jobs_core::http::Proxy::new(&address).map_err(|_| InvalidProxy(name))?;
    Ok(())
}

fn taken(matcher: &Matcher, host: &str, port: u16) -> Option<Intercept> {
    let uri = Uri::builder()
        .scheme("https")
        .authority(format!("{host}:{port}"))
        .path_and_query("/")
        .build();
    matcher.intercept(&uri.ok()?)
}

impl Proxy {
    fn new(intercept: Intercept, name: &'static str) -> Result<Self, InvalidProxy> {
        let uri = intercept.uri();
        let port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(InvalidProxy(name)),
        };
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or(InvalidProxy(name))?;
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(port),
            intercept,
        })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is spoken to over TLS itself.
    pub(crate) fn is_tls(&self) -> bool {
        self.intercept.uri().scheme_str() == Some("https")
    }

    /// Has it connect to `authority`. Then everything on the stream goes there.
    pub(crate) async fn tunnel<S>(&self, mut stream: S, authority: &str) -> Result<S, Untunnelled>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        /// As much as a proxy may say before it is taken for something else.
        const HEAD: usize = 16 * 1024;
        let mut request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(login) = self.intercept.basic_auth() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(login.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        loop {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            head.extend_from_slice(piece.get(..count).unwrap_or_default());
            if let Some(verdict) = judge(&head)? {
                return verdict.map(|()| stream);
            }
            if head.len() > HEAD {
                return Err(Untunnelled::Refused("its answer is too long".to_owned()));
            }
        }
    }
}

/// What the answer so far means; `None` while its head is not complete.
fn judge(answer: &[u8]) -> Result<Option<Result<(), Untunnelled>>, Untunnelled> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut headers);
    let end = match response.parse(answer) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Untunnelled::Refused("it does not speak HTTP".to_owned())),
    };
    Ok(Some(match response.code.unwrap_or_default() {
        // The cloud speaks after us, so what follows at once is no part of the tunnel.
        200..=299 if answer.len() == end => Ok(()),
        200..=299 => Err(Untunnelled::Refused(
            "it said more than that it has connected".to_owned(),
        )),
        407 => Err(Untunnelled::Login),
        code => {
            let reason = response.reason.unwrap_or_default();
            Err(Untunnelled::Refused(
                format!("HTTP {code} {reason}").trim_end().to_owned(),
            ))
        }
    }))
}

/// Where it is; never how one logs in there.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(url: &str) -> Result<Option<Proxy>, InvalidProxy> {
        ProxyChoice::Given(Secret::new(url).unwrap()).to("cloud.example", 443)
    }

    #[test]
    fn addresses_are_read_and_never_shown_with_their_login() {
        for (url, address, tls) in [
            ("http://proxy.example:8080", "proxy.example:8080", false),
            ("proxy.example:3128", "proxy.example:3128", false),
            ("http://user:pass%40word@[::1]:8080/", "[::1]:8080", false),
            ("https://proxy.example", "proxy.example:443", true),
        ] {
            let proxy = given(url).unwrap().unwrap();
            assert_eq!(proxy.to_string(), address);
            assert_eq!(proxy.is_tls(), tls, "{url}");
            assert!(!format!("{proxy:?}").contains("pass"));
        }
        for url in [
            "socks5://user:password@proxy.example",
            "ftp://x",
            "http://",
            "::",
            "http://user:password@127.0.0.1:99999",
        ] {
            let error = given(url).unwrap_err();
            assert!(!error.to_string().contains("password"), "{error}");
        }
    }

    #[tokio::test]
    async fn only_a_plain_yes_opens_the_tunnel() {
        for (answer, said) in [
            (
                "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
                None,
            ),
            ("HTTP/1.0 200\r\n\r\n", None),
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                Some("HTTP 407: it asks for a login"),
            ),
            (
                "HTTP/1.1 403 Forbidden by policy\r\n\r\n<html>",
                Some("HTTP 403 Forbidden by policy"),
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://x\r\n\r\n",
                Some("HTTP 302 Found"),
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\nmore",
                Some("it said more than that it has connected"),
            ),
            ("SSH-2.0-x\r\n\r\n", Some("it does not speak HTTP")),
            ("HTTP/1.1 200 OK\r\n", Some("unexpected end of file")),
        ] {
            let proxy = given("http://us:p%40ss@proxy.example").unwrap().unwrap();
            let (ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(answer.as_bytes()).await.unwrap();
            if !answer.ends_with("\r\n\r\n") {
                theirs.shutdown().await.unwrap();
            }
            let opened = proxy.tunnel(ours, "cloud.example:443").await;
            let refused = opened.err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), said, "{answer}");
            let mut request = vec![0; 512];
            let count = theirs.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            assert!(request.starts_with("CONNECT cloud.example:443 HTTP/1.1\r\n"));
            // "us:p@ss"
            assert!(
                request.contains("\r\nProxy-Authorization: Basic dXM6cEBzcw==\r\n"),
                "{request}"
            );
        }
    }

    #[tokio::test]
    async fn an_endless_answer_is_no_answer() {
        let proxy = given("http://proxy.example").unwrap().unwrap();
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(32 * 1024));
        theirs.write_all(endless.as_bytes()).await.unwrap();
        let error = proxy.tunnel(ours, "cloud.example:443").await.unwrap_err();
        assert_eq!(error.to_string(), "its answer is too long");
    }
}

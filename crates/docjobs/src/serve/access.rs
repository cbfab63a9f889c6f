//! Who may: the name by which the server is called, the token or cookie that is shown, and what may be changed with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use jobs_core::clock::Clock;
use subtle::ConstantTimeEq as _;

use super::language::Words;
use super::problem::Problem;
use super::server::Peer;
use super::session;
use super::tokens::{Holder, TokenFile};
use super::wrong_tokens::WrongTokens;
use crate::exit::ExitCode;

/// The cookie that keeps the language that a person switched to.
pub(super) const LANGUAGE_COOKIE: &str = "docjobs_language";

/// What decides who may do what.
pub(super) struct Access {
    /// None: whoever reaches the loopback address.
    tokens: Option<TokenFile>,
    wrong: WrongTokens,
    /// The names by which the server may be called, without ports.
    hosts: Vec<String>,
    is_read_only: bool,
    has_open_metrics: bool,
    clock: Arc<dyn Clock>,
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// As events name them; none without a token file.
    pub(super) name: Option<String>,
    /// Whether they may change anything.
    pub(super) may_write: bool,
    /// Of whoever logged in: what each of their changes carries.
    pub(super) csrf: Option<String>,
}

impl Caller {
    /// Who it is, as the history keeps it.
    pub(super) fn as_word(&self) -> String {
        match &self.name {
            Some(name) => format!("by {name}"),
            None => "by a person's word".to_owned(),
        }
    }

    /// Refuses a change that another page made in this person's name.
    pub(super) fn check_csrf(&self, given: Option<&str>) -> Result<(), Problem> {
        let Some(wanted) = &self.csrf else {
            return Ok(());
        };
        let given = given.unwrap_or_default();
        if bool::from(wanted.as_bytes().ct_eq(given.as_bytes())) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "csrf",
            "a change made with a cookie carries the token of the page that shows it; load the page again",
        ))
    }
}

impl Access {
    pub(super) fn new(
        tokens: Option<TokenFile>,
        listen: SocketAddr,
        hosts: &[String],
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut hosts: Vec<String> = hosts.iter().map(|host| without_port(host)).collect();
        hosts.push("localhost".to_owned());
        hosts.push(without_port(&listen.to_string()));
        Self {
            tokens,
            wrong: WrongTokens::new(Arc::clone(&clock)),
            hosts,
            is_read_only: false,
            has_open_metrics: false,
            clock,
        }
    }

    #[must_use]
    pub(super) fn read_only(mut self, is_read_only: bool) -> Self {
        self.is_read_only = is_read_only;
        self
    }

    #[must_use]
    pub(super) fn open_metrics(mut self, has_open_metrics: bool) -> Self {
        self.has_open_metrics = has_open_metrics;
        self
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    pub(super) fn has_open_metrics(&self) -> bool {
        self.has_open_metrics
    }

    /// Lets a person in by the log-in form: the header with their cookie.
    pub(super) fn log_in(
        &self,
        token: &str,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<HeaderValue, Problem> {
        let holder = match &self.tokens {
            Some(file) => file.holder_of(token.trim()),
            None => {
                return Err(Problem::not_found(
                    "this server has no token file, so nobody logs in",
                ));
            }
        };
        let Some(holder) = holder else {
            return Err(self.wrong_token(client_address(headers, peer)));
        };
        let is_https = peer.0.ip().to_canonical().is_loopback()
            && text(headers, "x-forwarded-proto") == Some("https");
        HeaderValue::from_str(&session::set_cookie(&holder, self.clock.wall(), is_https))
            .map_err(|problem| Problem::unexpected(problem.to_string()))
    }

    fn wrong_token(&self, address: IpAddr) -> Problem {
        match self.wrong.note(address) {
            None => unauthenticated("the token is wrong; ask whoever keeps the token file"),
            Some(pause) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-wrong-tokens",
                "Too many wrong tokens",
                "too many wrong tokens came from this address; a right one is accepted at any time",
            )
            .with_retry_after(pause.max(Duration::from_secs(1))),
        }
    }

    /// Who makes the request, if that is a person or program of the token file.
    pub(super) fn caller(&self, headers: &HeaderMap, peer: Peer) -> Result<Caller, Problem> {
        let Some(file) = &self.tokens else {
            return Ok(Caller {
                name: None,
                may_write: !self.is_read_only,
                csrf: None,
            });
        };
        let known = |holder: Holder, csrf: Option<String>| Caller {
            may_write: !self.is_read_only && !holder.is_read_only,
            name: Some(holder.name),
            csrf,
        };
        if let Some(token) = bearer(headers) {
            return match file.holder_of(token) {
                Some(holder) => Ok(known(holder, None)),
                None => Err(self.wrong_token(client_address(headers, peer))),
            };
        }
        let cookies = headers.get_all(header::COOKIE).iter();
        let cookie = cookies
            .filter_map(|cookies| cookies.to_str().ok())
            .find_map(session::find)
            .and_then(|value| session::open(value, file, self.clock.wall()));
        match cookie {
            Some((holder, csrf)) => Ok(known(holder, Some(csrf))),
            None => Err(unauthenticated(
                "this server wants a token: Authorization: Bearer TOKEN, or log in with a browser",
            )),
        }
    }

    /// Refuses to be called by a name that is not ours: a page of another site may have made it point here.
    pub(super) fn check_host(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        let hosts: Vec<&HeaderValue> = headers.get_all(header::HOST).iter().collect();
        let host = match (request.uri().authority(), hosts.as_slice()) {
            (Some(authority), _) => Some(authority.as_str()),
            (None, [host]) => host.to_str().ok(),
            _ => None,
        };
        if !host.is_some_and(|host| self.is_ours(host)) {
            return Err(Problem::forbidden(
                "foreign-host",
                "the Host of the request is not a name of this server; add it with --host NAME",
            ));
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().ok();
            let host = origin.and_then(|origin| {
                let (scheme, host) = origin.split_once("://")?;
                matches!(scheme, "http" | "https").then_some(host)
            });
            if !host.is_some_and(|host| self.is_ours(host)) {
                return Err(Problem::forbidden(
                    "foreign-origin",
                    "the request comes from a page of another site",
                ));
            }
        }
        Ok(())
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = without_port(host);
        self.hosts
            .iter()
            .any(|ours| ours.eq_ignore_ascii_case(&host))
    }
}

/// The language of whoever sends these headers: as switched to by an address or a cookie, else as the browser prefers.
pub(super) fn language_of(headers: &HeaderMap, chosen: Option<&str>) -> &'static Words {
    let cookies = headers.get_all(header::COOKIE).iter();
    let kept = cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .find_map(|cookies| session::value_of(cookies, LANGUAGE_COOKIE));
    Words::of(chosen.or(kept), text(headers, "accept-language"))
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "Unauthenticated",
        detail,
    )
    .with_exit(ExitCode::Unauthenticated)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, "authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// From where a request comes. What a proxy says counts only from a proxy on this machine, and of it the last word: those
/// before it are the client's.
fn client_address(headers: &HeaderMap, peer: Peer) -> IpAddr {
    let direct = peer.0.ip().to_canonical();
    if !direct.is_loopback() {
        return direct;
    }
    let said = headers.get_all("x-forwarded-for").iter().next_back();
    said.and_then(|said| said.to_str().ok())
        .and_then(|said| said.rsplit(',').next())
        .and_then(|address| address.trim().parse().ok())
        .unwrap_or(direct)
}

/// A header that is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `[::1]:8787`, `::1`, `localhost:80` and `LOCALHOST.` without port, brackets and final dot.
fn without_port(host: &str) -> String {
    let host = host.trim();
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    };
    bare.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use jobs_core::clock::SystemClock;

    use super::*;

    fn access() -> Access {
        let listen = "127.0.0.1:8787".parse().unwrap();
        let hosts = ["docs.example.com:443".to_owned()];
        Access::new(None, listen, &hosts, SystemClock::shared())
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = axum::http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn the_server_answers_to_its_own_names_alone() {
        let access = access();
        for (host, is_ours) in [
            ("127.0.0.1:8787", true),
            ("127.0.0.1", true),
            ("LocalHost:1", true),
            ("localhost.", true),
            ("docs.example.com", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("[::1]:8787", false),
            ("", false),
        ] {
            let checked = access.check_host(&request("/", &[("host", host)]));
            assert_eq!(checked.is_ok(), is_ours, "{host}");
        }
        for headers in [&[][..], &[("host", "localhost"), ("host", "evil.example")]] {
            assert!(access.check_host(&request("/", headers)).is_err());
        }
        let absolute = request("http://evil.example/", &[("host", "localhost")]);
        assert!(access.check_host(&absolute).is_err());
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let access = access();
        for (origin, is_ours) in [
            ("http://127.0.0.1:8787", true),
            ("https://docs.example.com", true),
            ("http://evil.example", false),
            ("null", false),
            ("file://", false),
            ("ftp://localhost", false),
        ] {
            let headers = [("host", "localhost"), ("origin", origin)];
            let checked = access.check_host(&request("/", &headers));
            assert_eq!(checked.is_ok(), is_ours, "{origin}");
        }
    }

    #[test]
    fn a_proxy_counts_on_this_machine_only_and_by_its_last_word() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-forwarded-for",
            HeaderValue::from_static("10.0.0.1, 192.0.2.7"),
        );
        let of = |peer: &str| client_address(&headers, Peer(peer.parse().unwrap())).to_string();
        assert_eq!(of("127.0.0.1:5"), "192.0.2.7");
        assert_eq!(of("[::ffff:127.0.0.1]:5"), "192.0.2.7");
        assert_eq!(of("203.0.113.9:5"), "203.0.113.9");
    }
}

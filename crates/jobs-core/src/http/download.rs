//! Brings a result to disk: fetched beside its place, verified, then given its name.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE};
use sha2::Digest;
use tokio::io::AsyncWriteExt;
use url::Url;

use crate::clock::{Clock, Moment, bounded};
use crate::disk::OutputPath;
use crate::error::{Delivery, Error, ErrorKind};
use crate::http::client::HttpClient;
use crate::http::coding::Codings;
use crate::http::context::Context;
use crate::http::origin::{InvalidAddress, address_of};
use crate::http::partial::Partial;
use crate::http::response::Response;
use crate::http::result_file::{Limit, UnverifiedFile, local};
use crate::id::JobId;
use crate::rate_limit::{Permit, RateFeedback, RequestClass};
use crate::retry::{self, decide};
use crate::secret::Secret;

/// What to fetch.
pub struct Download<'a> {
    operation: &'static str,
    link: &'a str,
    job: Option<&'a JobId>,
    headers: Vec<(&'static str, &'a str)>,
    secret_headers: Vec<(&'static str, &'a str)>,
    error_decoder: Option<&'a (dyn Fn(&Response) -> Error + Sync)>,
    max_size: Option<u64>,
    expected_size: Option<u64>,
    timeout: Duration,
    deadline: Option<Moment>,
}

impl<'a> Download<'a> {
    /// The result behind a link of the vendor. No credentials, and no more bytes than the transport allows, unless told
    /// otherwise.
    pub fn new(operation: &'static str, link: &'a str) -> Self {
        Self {
            operation,
            link,
            job: None,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            error_decoder: None,
            max_size: None,
            expected_size: None,
            timeout: ATTEMPT,
            deadline: None,
        }
    }

    /// Names the job in errors.
    #[must_use]
    pub fn for_job(mut self, job: &'a JobId) -> Self {
        self.job = Some(job);
        self
    }

    /// Adds a header that is no secret, sent wherever the link leads.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Lets the vendor's crate say what a refusal means, for results that the API itself serves with its own errors.
    ///
    /// Asked only about answers of the API's own origin; `explain` sees at most 64 KiB of the body.
    #[must_use]
    pub fn with_error_decoder(mut self, explain: &'a (dyn Fn(&Response) -> Error + Sync)) -> Self {
        self.error_decoder = Some(explain);
        self
    }

    /// Adds a credential, sent only while the link stays on the API's own origin.
    #[must_use]
    pub fn with_secret_header(mut self, name: &'static str, value: &'a str) -> Self {
        self.secret_headers.push((name, value));
        self
    }

    /// Refuses a result of more than this many bytes.
    #[must_use]
    pub fn with_max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Gives each attempt this time, from its beginning to its last byte; an hour unless set.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Ends everything at this moment of the transport's clock: attempts, the pauses between them, and the check of what
    /// came. Six hours from the beginning unless set.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Moment) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Refuses a result of another length.
    #[must_use]
    pub fn with_expected_size(mut self, bytes: u64) -> Self {
        self.expected_size = Some(bytes);
        self
    }
}

/// Long enough for the largest results over a slow line, together with resuming.
const ATTEMPT: Duration = Duration::from_secs(60 * 60);

/// What all attempts together have when the caller names no deadline: no download is without an end.
const WHOLE: Duration = Duration::from_secs(6 * 60 * 60);

/// What an attempt must bring beyond every earlier one so that the tries are counted anew. A server that gives a byte now
/// and then, or the same bytes again and again, would otherwise be listened to for ever.
const PROGRESS: u64 = 64 * 1024;

/// What must arrive in each window of an attempt. Slower than the slowest line in use, and faster than a server that
/// dribbles so that nobody notices that it has nothing to give.
const FLOOR: u64 = 32 * 1024;

/// A parameter of a link that is this long may be its signature.
const SECRET: usize = 8;

/// The window of [`FLOOR`].
const WINDOW: Duration = Duration::from_secs(60);

impl fmt::Debug for Download<'_> {
    /// Without the link and the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("operation", &self.operation)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Fetches a result into a file beside `target`, a piece at a time, resuming after breaks where the server allows.
    ///
    /// Harmless and free to repeat. At most five redirects are followed, never away from TLS.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the link is refused or expired: ask the vendor for a new one. What the storage says
    /// stands in the message. [`ErrorKind::Refused`] for a link that is not followed.
    /// [`ErrorKind::TooLarge`] above the limit, [`ErrorKind::LocalIo`] when the disk is the trouble.
    pub async fn download(
        &self,
        fetch: Download<'_>,
        target: &OutputPath,
    ) -> Result<UnverifiedFile, Error> {
        let context = self.context(&fetch);
        let mut partial =
            Partial::new(target).map_err(|cause| local(&context, target.path(), cause))?;
        let limit = self.limit(&fetch);
        let mut repeats = 0;
        loop {
            let before = partial.furthest;
            let attempt = self.attempt(&fetch, &context, &mut partial);
            let Some(ended) = bounded(&*limit.clock, limit.deadline, attempt).await else {
                return Err(too_late(&context, partial.furthest));
            };
            let error = match ended {
                Ok(()) => {
                    return Ok(UnverifiedFile {
                        cap: fetch.max_size.unwrap_or(self.inner.max_result_size),
                        partial,
                        context,
                        limit,
                    });
                }
                Err(error) => error,
            };
            if partial.furthest >= before.saturating_add(PROGRESS) {
                repeats = 0;
            }
            let Some(pause) = decide::idempotent(&error, repeats) else {
                return Err(error);
            };
            let at = limit.clock.now() + retry::lengthened(pause);
            if at >= limit.deadline {
                return Err(error);
            }
            tracing::debug!(%error, bytes = partial.len, "the download broke off, going on");
            limit.clock.sleep_until(at).await;
            repeats += 1;
        }
    }

    /// Reads a small result into memory instead. Harmless and free to repeat.
    ///
    /// # Errors
    /// As [`download`](Self::download), without the disk.
    pub async fn download_to_memory(&self, fetch: Download<'_>) -> Result<Vec<u8>, Error> {
        let context = self.context(&fetch);
        let limit = self.limit(&fetch);
        let read = retry::idempotent(&*limit.clock, async || {
            let mut response = self.open(&fetch, &context, None).await?;
            let (mut body, mut floor) = (Vec::new(), self.floor());
            while let Some(chunk) = floor.chunk(&context, &mut response).await? {
                self.check_cap(&fetch, &context, (body.len() + chunk.len()) as u64)?;
                body.extend_from_slice(&chunk);
            }
            self.plain(&fetch, &context, response.headers(), body)
        });
        let read = bounded(&*limit.clock, limit.deadline, read).await;
        read.unwrap_or_else(|| Err(too_late(&context, 0)))
    }

    /// A small result with its content codings undone.
    fn plain(
        &self,
        fetch: &Download<'_>,
        context: &Context,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let Some(codings) = Codings::declared(headers) else {
            return Ok(body);
        };
        if let Some(name) = codings.unknown() {
            return Err(context.error(ErrorKind::Refused).with_message(format!(
                "the server declares the content coding {name:?}, which cannot be undone here"
            )));
        }
        let cap = fetch.max_size.unwrap_or(self.inner.max_result_size);
        codings.undone(&body, cap).map_err(|cause| {
            let (kind, message) = match cause.kind() {
                io::ErrorKind::FileTooLarge => (
                    ErrorKind::TooLarge,
                    format!("the result is larger than {cap} bytes"),
                ),
                _ => (
                    ErrorKind::UnexpectedResponse,
                    "the result is not in the content coding that the server declares".to_owned(),
                ),
            };
            context.error(kind).with_message(message).with_source(cause)
        })
    }

    /// When a download that begins now ends at the latest, if its caller names no deadline.
    pub fn download_deadline(&self) -> Moment {
        self.clock().now() + WHOLE
    }

    fn limit(&self, fetch: &Download<'_>) -> Limit {
        Limit {
            clock: Arc::clone(self.clock()),
            deadline: fetch.deadline.unwrap_or_else(|| self.download_deadline()),
        }
    }

    fn floor(&self) -> Floor<'_> {
        let clock = &**self.clock();
        Floor {
            clock,
            end: clock.now() + WINDOW,
            arrived: 0,
        }
    }

    fn context(&self, fetch: &Download<'_>) -> Context {
        let mut redactor = self.inner.redactor.clone();
        // The host of a result may repeat what opens it.
        let link = Url::parse(fetch.link).ok();
        let query = link.iter().flat_map(Url::query_pairs);
        for (_, value) in query.filter(|(_, value)| value.len() >= SECRET) {
            if let Ok(secret) = Secret::new(value.into_owned()) {
                redactor.add_secret(&secret);
            }
        }
        Context {
            vendor: self.inner.vendor,
            operation: fetch.operation,
            job: fetch.job.cloned(),
            redactor,
            address: Url::parse(fetch.link)
                .ok()
                .filter(Url::has_host)
                .map(|url| address_of(&url).into()),
        }
    }

    /// One request for what is missing.
    async fn attempt(
        &self,
        fetch: &Download<'_>,
        context: &Context,
        partial: &mut Partial,
    ) -> Result<(), Error> {
        let mut response = self.open(fetch, context, partial.range()).await?;
        let status = response.status().as_u16();
        let path = partial.target.path().to_owned();
        let disk = |cause| local(context, &path, cause);
        if partial.continues_with(&response) {
            tracing::debug!(from = partial.len, "resuming");
        } else if response.status() == StatusCode::PARTIAL_CONTENT {
            // Another part than the missing one, which must not pass for the whole: the next attempt begins anew.
            partial.validator = None;
            return Err(context
                .error(ErrorKind::Unavailable)
                .with_http_status(status)
                .with_message("another part of the result came than was asked for"));
        } else {
            partial.restart(&response).await.map_err(disk)?;
        }
        let total = response
            .content_length()
            .map(|rest| partial.len.saturating_add(rest));
        for len in [total, fetch.expected_size].into_iter().flatten() {
            self.check_cap(fetch, context, len)?;
        }
        let copied = self.copy(fetch, context, &mut response, partial).await;
        // Whatever arrived is kept for the next attempt, also when this one broke.
        partial.file.flush().await.map_err(disk)?;
        copied?;
        match total
            .into_iter()
            .chain(fetch.expected_size)
            .find(|len| *len != partial.len)
        {
            None => Ok(()),
            Some(len) => {
                let message = format!("{} bytes came instead of {len}", partial.len);
                // Complete by HTTP but not by the vendor's word: nothing to resume.
                partial.validator = None;
                Err(context
                    .error(ErrorKind::Unavailable)
                    .with_http_status(status)
                    .with_message(message))
            }
        }
    }

    /// Asks for the result, following redirects within the rules.
    async fn open(
        &self,
        fetch: &Download<'_>,
        context: &Context,
        range: Option<(String, HeaderValue)>,
    ) -> Result<reqwest::Response, Error> {
        const REDIRECTS: u32 = 5;
        let origin = self.origin();
        let not_followed = |sent, problem: InvalidAddress| context.not_followed(sent, &problem);
        let first = origin.check_link(fetch.link);
        let mut sent = Delivery::NotSent;
        let mut url = first.map_err(|problem| not_followed(sent, problem))?;
        for _ in 0..=REDIRECTS {
            let reachable = self.inner.guard.check(&url).await;
            reachable.map_err(|problem| not_followed(sent, problem))?;
            let mut request = self.inner.fetching.get(url.clone()).timeout(fetch.timeout);
            for (name, value) in &fetch.headers {
                request = request.header(*name, *value);
            }
            if origin.covers(&url) {
                for (name, value) in &fetch.secret_headers {
                    let mut value = HeaderValue::from_str(value).map_err(|cause| {
                        context
                            .error(ErrorKind::InvalidInput)
                            .with_delivery(Delivery::NotSent)
                            .with_source(cause)
                    })?;
                    value.set_sensitive(true);
                    request = request.header(*name, value);
                }
            }
            if let Some((range, validator)) = range.clone() {
                request = request.header(RANGE, range).header(IF_RANGE, validator);
            }
            tracing::debug!(host = url.host_str(), "fetching");
            // The account's rate is that of the API; result hosts are elsewhere and have none.
            let permit = if origin.covers(&url) {
                let permit = self.inner.limiter.acquire(RequestClass::Download).await;
                Some(permit.map_err(|cause| context.not_admitted(cause))?)
            } else {
                None
            };
            let response = request
                .send()
                .await
                .map_err(|cause| context.failed_to_send(cause))?;
            let status = response.status();
            match response
                .headers()
                .get(LOCATION)
                .and_then(|to| to.to_str().ok())
            {
                Some(location) if status.is_redirection() => {
                    sent = Delivery::Answered;
                    url = origin
                        .check_link(&resolve(&url, location))
                        .map_err(|problem| not_followed(sent, problem))?;
                }
                _ if status.is_success() => {
                    permit.iter().for_each(Permit::accepted);
                    return Ok(response);
                }
                _ => {
                    let said = permit.as_ref().map(Permit::feedback);
                    let explain = fetch.error_decoder.filter(|_| said.is_some());
                    let answer = self.refusal(context, response, said).await;
                    return Err(
                        explain.map_or_else(|| refused(&answer), |explain| explain(&answer))
                    );
                }
            }
        }
        Err(context
            .error(ErrorKind::Refused)
            .with_message(format!("more than {REDIRECTS} redirects")))
    }

    async fn copy(
        &self,
        fetch: &Download<'_>,
        context: &Context,
        response: &mut reqwest::Response,
        partial: &mut Partial,
    ) -> Result<(), Error> {
        let mut floor = self.floor();
        while let Some(chunk) = floor.chunk(context, response).await? {
            self.check_cap(fetch, context, partial.len + chunk.len() as u64)?;
            partial
                .file
                .write_all(&chunk)
                .await
                .map_err(|cause| local(context, partial.target.path(), cause))?;
            partial.digest.update(&chunk);
            partial.len += chunk.len() as u64;
            partial.furthest = partial.furthest.max(partial.len);
        }
        Ok(())
    }

    fn check_cap(&self, fetch: &Download<'_>, context: &Context, len: u64) -> Result<(), Error> {
        let cap = fetch.max_size.unwrap_or(self.inner.max_result_size);
        if len <= cap {
            return Ok(());
        }
        Err(context
            .error(ErrorKind::TooLarge)
            .with_message(format!("the result is larger than {cap} bytes")))
    }

    /// A refusal as an answer, with the beginning of its body.
    async fn refusal(
        &self,
        context: &Context,
        mut response: reqwest::Response,
        said: Option<RateFeedback>,
    ) -> Response {
        const LONGEST: usize = 64 * 1024;
        const PATIENCE: Duration = Duration::from_secs(10);
        let mut body = BytesMut::new();
        let clock = &**self.clock();
        let end = clock.now() + PATIENCE;
        // What broke off, or does not come, explains as much as it can.
        while let Some(Ok(Some(chunk))) = bounded(clock, end, response.chunk()).await {
            let room = LONGEST.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if body.len() >= LONGEST {
                break;
            }
        }
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let body = body.freeze();
        Response::new(
            status,
            headers,
            body,
            context.clone(),
            &**self.clock(),
            said,
        )
    }
}

/// What the host of a result says by an answer that is not the result. The job is finished, whatever it says: a new link,
/// or a later time, may do.
fn refused(answer: &Response) -> Error {
    let (kind, message) = match answer.status() {
        429 => (
            ErrorKind::RateLimited,
            "the result host wants slower requests",
        ),
        408 | 425 | 500.. => (ErrorKind::Unavailable, "the result host is in trouble"),
        _ => (
            ErrorKind::NotFound,
            "the result link is refused or has expired",
        ),
    };
    let text = String::from_utf8_lossy(answer.body());
    let error = answer.error(kind);
    match (element(&text, "Code"), element(&text, "Message")) {
        // Not the rest of it, which may repeat the signature of the link.
        (Some(code), said) => {
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            let request = element(&text, "RequestId");
            error
                .with_message(format!(
                    "{message}: {}",
                    answer.redact(&format!("{code}{said}"))
                ))
                .with_request_id(request.map(|id| answer.redact(id)))
        }
        (None, _) => answer.explained_by_body(error.with_message(message)),
    }
}

/// The text of the first such element of a storage's error.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim()).filter(|inner| !inner.is_empty())
}

fn resolve(base: &Url, location: &str) -> String {
    base.join(location)
        .map_or_else(|_| location.to_owned(), String::from)
}

fn too_late(context: &Context, arrived: u64) -> Error {
    context
        .error(ErrorKind::Timeout)
        .with_message(format!("the deadline came after {arrived} bytes"))
}

/// Sees to it that an attempt brings something.
struct Floor<'a> {
    clock: &'a dyn Clock,
    end: Moment,
    /// In this window.
    arrived: u64,
}

impl Floor<'_> {
    /// The next piece; `None` at the end.
    async fn chunk(
        &mut self,
        context: &Context,
        response: &mut reqwest::Response,
    ) -> Result<Option<Bytes>, Error> {
        let status = response.status().as_u16();
        loop {
            let chunk = bounded(self.clock, self.end, response.chunk()).await;
            let chunk = chunk
                .transpose()
                .map_err(|cause| context.lost_response(status, cause))?;
            if let Some(chunk) = &chunk {
                self.arrived += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
            }
            if chunk.is_none() || self.clock.now() >= self.end {
                if self.arrived < FLOOR && !matches!(chunk, Some(None)) {
                    let message =
                        format!("only {} bytes came in {} s", self.arrived, WINDOW.as_secs());
                    let error = context.error(ErrorKind::Timeout);
                    return Err(error.with_http_status(status).with_message(message));
                }
                (self.end, self.arrived) = (self.clock.now() + WINDOW, 0);
            }
            if let Some(chunk) = chunk {
                return Ok(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::http::{HttpClientBuilder, Origin};
    use crate::testing::{ManualClock, Reply, RequestLog, ScriptStep, ScriptedServer};

    async fn refusing(clock: &ManualClock, body: &'static str) -> ScriptedServer {
        let say = move |_: &ScriptStep| Reply {
            status: 400,
            ..Reply::json(body)
        };
        ScriptedServer::start(
            clock,
            &[ScriptStep::Unauthenticated],
            &RequestLog::default(),
            say,
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_refusal_of_the_api_itself_is_read_by_the_vendors_crate() {
        let clock = ManualClock::new();
        let (api, elsewhere) = (
            refusing(&clock, r#"{"type":"NotReady"}"#).await,
            refusing(&clock, "forged").await,
        );
        let origin = Origin::parse(&api.url()).unwrap();
        let transport = HttpClientBuilder::new("v", origin)
            .with_clock(clock.shared())
            .build()
            .unwrap();
        let explain = |answer: &Response| {
            let body = String::from_utf8_lossy(answer.body()).into_owned();
            answer.error(ErrorKind::Refused).with_message(body)
        };
        let folder = tempfile::tempdir().unwrap();
        let target = OutputPath::new(folder.path().join("x")).unwrap();
        for (url, message) in [
            (api.url(), r#"{"type":"NotReady"}"#),
            (elsewhere.url(), "the result link is refused or has expired"),
        ] {
            let fetch = Download::new("fetch", &url).with_error_decoder(&explain);
            let error = transport.download(fetch, &target).await.unwrap_err();
            assert_eq!(error.message(), Some(message));
            assert_eq!(error.http_status(), Some(400));
        }
    }

    /// Serves these answers, one a connection.
    async fn serving(
        clock: &ManualClock,
        answers: &'static [&'static str],
    ) -> (HttpClient, JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let transport =
            HttpClientBuilder::new("v", Origin::parse(&origin).unwrap()).with_clock(clock.shared());
        (transport.build().unwrap(), served)
    }

    #[tokio::test]
    async fn another_part_than_the_missing_one_does_not_pass_for_the_whole() {
        const CUT: &str = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 20\r\n\r\n0123456789";
        const OTHER: &str = "HTTP/1.1 206 OK\r\nETag: \"1\"\r\nContent-Range: bytes 5-19/20\r\n\
            Content-Length: 15\r\n\r\n56789abcdefghij";
        const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789abcdefghij";
        let clock = ManualClock::new();
        for answers in [&[CUT, OTHER, WHOLE][..], &[OTHER, WHOLE]] {
            let (transport, served) = serving(&clock, answers).await;
            let folder = tempfile::tempdir().unwrap();
            let target = OutputPath::new(folder.path().join("x")).unwrap();
            let url = format!("{}/x", transport.origin());
            let fetching = transport.download(Download::new("fetch", &url), &target);
            let fetched = clock.run(fetching).await.unwrap();
            assert_eq!(fetched.size(), 20);
            served.await.unwrap();
        }
    }

    #[test]
    fn what_is_fetched_is_printed_without_link_and_credentials() {
        let fetch = Download::new("fetch", "https://h/x?sig=s3cret")
            .with_header("accept", "x/y")
            .with_secret_header("key", "k3y");
        let printed = format!("{fetch:?}");
        assert!(!printed.contains("s3cret") && !printed.contains("k3y"));
        assert!(printed.contains("fetch"));
    }
}

//! What the request layer does on a network, and what it does not let happen there.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs_core::disk::OutputPath;
use jobs_core::http::{Download, HttpClient, HttpClientBuilder, Origin, Proxy, Request, Resolver};
use jobs_core::testing::{ManualClock, Reply, RequestLog, ScriptStep, ScriptedServer};
use jobs_core::vendor::{Delivery, async_trait};
use jobs_core::{Error, ErrorKind, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PUBLIC: &str = "https://api.example.com";

/// A listener that keeps what it is told, says `answer`, and hangs up.
async fn listener(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, told) = (listener.local_addr().unwrap(), Arc::default());
    let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut said = Vec::new();
            stream.read_buf(&mut said).await.unwrap_or_default();
            kept.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&said).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, told)
}

#[derive(Debug)]
struct Names(HashMap<&'static str, SocketAddr>);

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found = self.0.get(name).copied();
        Ok(vec![found.ok_or_else(|| io::Error::other("no such name"))?])
    }
}

fn names<const N: usize>(names: [(&'static str, SocketAddr); N]) -> Arc<dyn Resolver> {
    Arc::new(Names(names.into()))
}

fn builder(clock: &ManualClock, api: &str) -> HttpClientBuilder {
    HttpClientBuilder::new("v", Origin::parse(api).unwrap()).with_clock(clock.shared())
}

/// What comes of fetching, on a clock that is moved by hand, and what then lies in the folder.
async fn fetched(
    clock: &ManualClock,
    transport: &HttpClient,
    fetch: Download<'_>,
) -> (Result<u64, Error>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let target = OutputPath::new(folder.path().join("x")).unwrap();
    let outcome = clock.run(transport.download(fetch, &target)).await;
    let outcome = outcome.map(|fetched| fetched.size());
    (outcome, fs::read_dir(folder.path()).unwrap().count())
}

#[tokio::test]
async fn a_link_whose_name_leads_inside_is_refused_before_a_connection_and_not_tried_again() {
    let (inside, told) = listener("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
    let clock = ManualClock::new();
    let transport = builder(&clock, PUBLIC)
        .with_resolver(names([
            ("api.example.com", ([8, 8, 8, 8], 443).into()),
            ("files.example.com", inside),
        ]))
        .build()
        .unwrap();
    let fetch = Download::new("fetch", "https://files.example.com/x");
    let (outcome, files) = fetched(&clock, &transport, fetch).await;
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery(), error.message().unwrap()),
        (
            ErrorKind::Refused,
            Delivery::NotSent,
            "the result link is not followed: the link points to the private address 127.0.0.1 (files.example.com)"
        )
    );
    assert_eq!((told.lock().unwrap().len(), files), (0, 0));
    // Nor was time spent on trying again.
    assert_eq!(clock.next_sleep(), None);
    assert_eq!(
        jobs_core::clock::Clock::now(&clock),
        jobs_core::clock::Moment::START
    );
}

#[tokio::test]
async fn a_proxy_inside_is_used_and_is_told_no_more_than_the_name() {
    let (proxy, told) = listener("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n").await;
    let clock = ManualClock::new();
    let address = format!("http://proxy.corp:{}", proxy.port());
    let transport = builder(&clock, PUBLIC)
        .with_resolver(names([("proxy.corp", proxy)]))
        .with_proxy(Proxy::new(&Secret::new(&address).unwrap()).unwrap())
        .build()
        .unwrap();
    let call = Request::post("submit", &["jobs"]).with_secret_header("key", "k3y");
    let error = transport.send(call.non_idempotent()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Unreachable, Delivery::NotSent)
    );
    let fetch = Download::new("fetch", "https://files.example.com/x?sig=s1g");
    let (outcome, _) = fetched(&clock, &transport, fetch).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unreachable);
    let told = told.lock().unwrap();
    assert!(told[0].starts_with("CONNECT api.example.com:443 "));
    assert!(told[1].starts_with("CONNECT files.example.com:443 "));
    assert!(
        told.iter()
            .all(|said| !said.contains("k3y") && !said.contains("s1g")),
        "{told:?}"
    );
}

async fn server(
    clock: &ManualClock,
    asked: &RequestLog,
    beat: ScriptStep,
    reply: Reply,
) -> ScriptedServer {
    ScriptedServer::start(clock, &[beat], asked, move |_| reply.clone())
        .await
        .unwrap()
}

fn moved(to: impl std::fmt::Display) -> Reply {
    Reply::text(302, "").with_header(format!("Location: {to}"))
}

#[tokio::test]
async fn only_downloads_follow_redirects_each_is_checked_and_their_number_is_bounded() {
    let clock = ManualClock::new();
    let (second_asked, end) = (RequestLog::default(), Reply::text(200, "whole"));
    let second = server(&clock, &second_asked, ScriptStep::Running, end).await;
    for (location, expected, requests) in [
        (second.url(), Ok(5), 1),
        ("/again".to_owned(), Err(ErrorKind::Refused), 6),
        (
            "http://files.example.com/x".to_owned(),
            Err(ErrorKind::Refused),
            1,
        ),
        ("ftp://127.0.0.1/x".to_owned(), Err(ErrorKind::Refused), 1),
        (
            "http://u:p@127.0.0.1/x".to_owned(),
            Err(ErrorKind::Refused),
            1,
        ),
    ] {
        let asked = RequestLog::default();
        let first = server(&clock, &asked, ScriptStep::Running, moved(&location)).await;
        let transport = builder(&clock, &first.url()).build().unwrap();
        let url = first.url();
        let fetch = Download::new("fetch", &url).with_secret_header("key", "k3y");
        let (outcome, _) = fetched(&clock, &transport, fetch).await;
        assert_eq!(
            (outcome.map_err(|error| error.kind()), asked.count()),
            (expected, requests),
            "{location}"
        );
        // A request to the API hands the redirect out as the answer.
        let answer = transport.send(Request::post("submit", &[])).await.unwrap();
        assert_eq!(answer.status(), 302);
    }
    assert_eq!(second_asked.count(), 1);
}

#[tokio::test]
async fn a_redirect_takes_no_credential_to_another_port() {
    let clock = ManualClock::new();
    let (foreign, told) = listener("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
    let to = moved(format!("http://{foreign}/x"));
    let first = server(&clock, &RequestLog::default(), ScriptStep::Running, to).await;
    let transport = builder(&clock, &first.url()).build().unwrap();
    let url = first.url();
    let fetch = Download::new("fetch", &url)
        .with_secret_header("key", "k3y")
        .with_header("accept", "x/y");
    let (outcome, _) = fetched(&clock, &transport, fetch).await;
    assert_eq!(outcome.unwrap(), 1);
    let told = told.lock().unwrap();
    assert!(
        told[0].contains("accept: x/y") && !told[0].contains("k3y"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_silent_server_is_given_up_by_idle_time_and_by_the_time_of_the_attempt() {
    let clock = ManualClock::new();
    let asked = RequestLog::default();
    let silent = server(&clock, &asked, ScriptStep::NoResponse, Reply::default()).await;
    let url = silent.url();
    let short = Duration::from_millis(5);
    for (transport, fetch) in [
        (
            builder(&clock, &url).with_idle_timeout(short),
            Download::new("fetch", &url),
        ),
        (
            builder(&clock, &url),
            Download::new("fetch", &url).with_timeout(short),
        ),
    ] {
        let before = asked.count();
        let (outcome, files) = fetched(&clock, &transport.build().unwrap(), fetch).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!((asked.count() - before, files), (7, 0));
    }
    let transport = builder(&clock, &url).build().unwrap();
    let call = Request::get("poll", &[]).with_timeout(short);
    let error = transport.send(call).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Timeout, Delivery::MaybeSent)
    );
}

#[tokio::test]
async fn a_server_that_brings_a_byte_with_each_attempt_is_given_up_too() {
    // Each answer has one byte more than the one before, and breaks off.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for n in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            let body = "x".repeat(n);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let clock = ManualClock::new();
    let transport = builder(&clock, &url).build().unwrap();
    let (outcome, files) = fetched(&clock, &transport, Download::new("fetch", &url)).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(files, 0);
}

#[tokio::test]
async fn the_cap_on_a_result_can_be_lowered_and_raised() {
    let clock = ManualClock::new();
    let asked = RequestLog::default();
    let api = server(
        &clock,
        &asked,
        ScriptStep::Running,
        Reply::text(200, "12345"),
    )
    .await;
    let url = api.url();
    let transport = builder(&clock, &url)
        .with_max_result_size(4)
        .build()
        .unwrap();
    for (fetch, expected) in [
        (Download::new("fetch", &url), Err(ErrorKind::TooLarge)),
        (Download::new("fetch", &url).with_max_size(5), Ok(5)),
        (
            Download::new("fetch", &url).with_max_size(3),
            Err(ErrorKind::TooLarge),
        ),
    ] {
        let (outcome, files) = fetched(&clock, &transport, fetch).await;
        assert_eq!(outcome.map_err(|error| error.kind()), expected);
        assert_eq!(files, 0, "dropped without a name");
    }
    // What is too large is not asked for again.
    assert_eq!(asked.count(), 3);
    let small = Download::new("fetch", &url).with_max_size(4);
    let error = transport.download_to_memory(small).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

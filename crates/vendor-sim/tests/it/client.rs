//! A raw HTTP client that shows what really came over the wire, and the forms it sends.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vendor_sim::server::Site;
use vendor_sim::{TextIn, TextInHandle, TextInOptions, VirtualClock};

/// What came back before the connection ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn declared(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> i64 {
        self.json()["code"].as_i64().unwrap()
    }
}

/// Sends a request on a connection of its own. `None`: the connection ended without an answer.
pub(crate) async fn ask(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Option<Answer>> {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).await?;
    let mut head = format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await?;
    Ok(parse(&received))
}

fn parse(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    assert!(
        !headers.iter().any(|(name, _)| name == "transfer-encoding"),
        "lengths are always declared: {head}"
    );
    Some(Answer {
        status,
        headers,
        body: received[end + 4..].to_vec(),
    })
}

/// One part of a form: name, file name, content type, bytes.
pub(crate) type Part<'a> = (&'a str, Option<&'a str>, Option<&'a str>, &'a [u8]);

pub(crate) fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file_name, kind, bytes) in parts {
        body.extend_from_slice(
            format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"").as_bytes(),
        );
        if let Some(file_name) = file_name {
            body.extend_from_slice(format!("; filename=\"{file_name}\"").as_bytes());
        }
        if let Some(kind) = kind {
            body.extend_from_slice(format!("\r\ncontent-type: {kind}").as_bytes());
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    body
}

pub(crate) const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=XX");

/// A simulator whose time stands still, without rate limit unless the test says so.
pub(crate) async fn still(options: TextInOptions) -> TextInHandle {
    TextIn::start_at(&Site::with_clock(VirtualClock::manual()), options)
        .await
        .unwrap()
}

pub(crate) fn no_rate() -> TextInOptions {
    TextInOptions {
        qps: None,
        ..TextInOptions::default()
    }
}

/// Calls of a client with the right keys.
pub(crate) struct Caller<'a>(pub(crate) &'a TextInHandle);

impl Caller<'_> {
    pub(crate) async fn get(&self, url: &str) -> Answer {
        let (app, secret) = (self.0.app_id(), self.0.secret_code());
        ask(
            "GET",
            url,
            &[("x-ti-app-id", &app), ("x-ti-secret-code", &secret)],
            b"",
        )
        .await
        .unwrap()
        .unwrap()
    }

    pub(crate) async fn try_post(
        &self,
        path: &str,
        parts: &[Part<'_>],
    ) -> io::Result<Option<Answer>> {
        let (app, secret) = (self.0.app_id(), self.0.secret_code());
        let url = format!("{}/api/v1/xparse/parse/{path}", self.0.api_url());
        ask(
            "POST",
            &url,
            &[("x-ti-app-id", &app), ("x-ti-secret-code", &secret), FORM],
            &form(parts),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, parts: &[Part<'_>]) -> Answer {
        self.try_post(path, parts).await.unwrap().unwrap()
    }

    /// Submits a text and returns the job's id.
    pub(crate) async fn submit(&self, name: &str, text: &str) -> String {
        self.submit_with(name, text, None).await
    }

    pub(crate) async fn submit_with(
        &self,
        name: &str,
        text: &str,
        config: Option<Value>,
    ) -> String {
        let config = config.map(|config| config.to_string());
        let mut parts: Vec<Part<'_>> = vec![("file", Some(name), None, text.as_bytes())];
        if let Some(config) = &config {
            parts.push(("config", None, Some("application/json"), config.as_bytes()));
        }
        let answer = self.post("async", &parts).await;
        assert_eq!(
            answer.code(),
            200,
            "{:?}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()["data"]["job_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn poll(&self, job_id: &str) -> Answer {
        self.get(&format!(
            "{}/api/v1/xparse/parse/async/{job_id}",
            self.0.api_url()
        ))
        .await
    }

    /// Lets the job end and returns the address of its result.
    pub(crate) async fn result_url(&self, job_id: &str) -> String {
        self.0.clock().advance(Duration::from_secs(60));
        let answer = self.poll(job_id).await.json();
        answer["data"]["result_url"]
            .as_str()
            .unwrap_or_else(|| panic!("no result: {answer}"))
            .to_owned()
    }
}

/// Waits for something that another task brings about, without sleeping.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..1_000_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never happened");
}

/// A PDF with one text a page.
pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
    use lopdf::content::{Content, Operation};
    use lopdf::{Document, Object, Stream, dictionary};
    let mut document = Document::with_version("1.5");
    let parent = document.new_object_id();
    let font = document
        .add_object(dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier"});
    let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
    let mut kids: Vec<Object> = Vec::new();
    for text in pages {
        let operations = vec![
            Operation::new("BT", vec![]),
            Operation::new("Tf", vec!["F1".into(), 12.into()]),
            Operation::new("Td", vec![50.into(), 700.into()]),
            Operation::new("Tj", vec![Object::string_literal(*text)]),
            Operation::new("ET", vec![]),
        ];
        let content = document.add_object(Stream::new(
            dictionary! {},
            Content { operations }.encode().unwrap(),
        ));
        let page = dictionary! {"Type" => "Page", "Parent" => parent, "Contents" => content};
        kids.push(document.add_object(page).into());
    }
    let count = i64::try_from(kids.len()).unwrap();
    let list = dictionary! {
        "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    };
    document.set_object(parent, list);
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => parent});
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

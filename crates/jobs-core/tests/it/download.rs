//! What comes of a result: bounded in time, and delivered or kept once every byte of it has arrived.

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};
use jobs_core::disk::OutputPath;
use jobs_core::http::{
    CheckError, Download, DownloadError, HttpClient, HttpClientBuilder, Inspection, InvalidFile,
    Origin, UnverifiedFile, Verified,
};
use jobs_core::testing::ManualClock;
use jobs_core::{Error, ErrorKind};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server, the client of it, and a folder for what comes.
struct Scene {
    clock: ManualClock,
    transport: HttpClient,
    link: String,
    requests: Arc<AtomicU32>,
    folder: TempDir,
}

impl Scene {
    /// `serve` has each connection once its request has come, with the number of the request.
    async fn new<F: Future<Output = ()> + Send>(
        serve: impl Fn(ManualClock, TcpStream, u32) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let link = format!("http://{}/r", listener.local_addr().unwrap());
        let (clock, requests) = (ManualClock::new(), Arc::new(AtomicU32::new(0)));
        let (its_clock, count) = (clock.clone(), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap_or_default() == 0 {
                        break;
                    }
                }
                let number = count.fetch_add(1, Ordering::Relaxed);
                serve(its_clock.clone(), stream, number).await;
            }
        });
        let transport = HttpClientBuilder::new("v", Origin::parse(&link).unwrap())
            .with_clock(clock.shared())
            .build()
            .unwrap();
        Self {
            clock,
            transport,
            link,
            requests,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn of_body(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::new(move |_, mut stream, _| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let answer = [head.as_bytes(), &body].concat();
            async move {
                drop(stream.write_all(&answer).await);
            }
        })
        .await
    }

    fn target(&self) -> OutputPath {
        OutputPath::new(self.folder.path().join("r.zip")).unwrap()
    }

    async fn fetched(&self, deadline: Moment) -> Result<UnverifiedFile, Error> {
        let fetch = Download::new("fetch", &self.link).with_deadline(deadline);
        let target = self.target();
        self.clock
            .run(self.transport.download(fetch, &target))
            .await
    }

    /// The bytes, which a check refuses.
    async fn invalid(&self) -> InvalidFile {
        let fetched = self.fetched(after(1_000_000)).await.unwrap();
        let checked = fetched.verify(|_, _| Err::<(), _>(CheckError::Invalid("a page".into())));
        match checked.await.unwrap_err() {
            DownloadError::Invalid(file) => *file,
            other => panic!("{other:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn after(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

#[tokio::test]
async fn bytes_that_do_not_pass_are_kept_beside_their_place_once_and_replace_nothing() {
    let scene = Scene::of_body("<html>").await;
    let folder = scene.folder.path();
    for _ in 0..2 {
        let file = scene.invalid().await;
        assert_eq!(
            (file.size(), file.error().kind(), file.error().message()),
            (6, ErrorKind::UnexpectedResponse, Some("a page"))
        );
        let saved = file.persist().await.unwrap();
        assert_eq!(saved.path, folder.join("r.zip.unverified"));
        assert_eq!(scene.names(), ["r.zip.unverified"]);
    }
    fs::write(folder.join("r.zip.unverified"), "precious").unwrap();
    let saved = scene.invalid().await.persist().await.unwrap();
    assert_eq!(saved.path, folder.join("r.zip.unverified-2"));
    assert_eq!(fs::read(saved.path).unwrap(), b"<html>");
    assert_eq!(
        fs::read(folder.join("r.zip.unverified")).unwrap(),
        b"precious"
    );
}

#[tokio::test]
async fn bytes_that_do_not_pass_are_gone_when_dropped_and_are_the_result_when_accepted() {
    let scene = Scene::of_body("<html>").await;
    drop(scene.invalid().await);
    assert_eq!(scene.names(), [""; 0]);
    let (first, second) = (scene.invalid().await, scene.invalid().await);
    assert_eq!(first.sha256(), second.sha256());
    let accepted = first.accept();
    assert_eq!(
        accepted.warnings()[0].to_string(),
        "the result is not verified: a page"
    );
    let digest = accepted.digest().await.unwrap();
    let saved = accepted.save().await.unwrap();
    assert_eq!(
        (saved.sha256, digest),
        (Some(second.sha256()), second.sha256())
    );
    assert_eq!(fs::read(saved.path).unwrap(), b"<html>");
}

#[tokio::test]
async fn what_a_check_finds_odd_is_delivered_with_a_warning() {
    let scene = Scene::of_body("x\u{fffd}").await;
    let checked = scene
        .fetched(after(1_000_000))
        .await
        .unwrap()
        .verify(|file, inspection| {
            let mut text = String::new();
            inspection.reader(file).read_to_string(&mut text)?;
            inspection.warn("odd");
            Ok(text)
        });
    let (verified, text): (Verified, String) = checked.await.unwrap();
    assert_eq!(text, "x\u{fffd}");
    assert_eq!(verified.warnings()[0].to_string(), "odd");
}

#[tokio::test]
async fn trouble_with_this_disk_is_not_held_against_the_bytes() {
    let scene = Scene::of_body("x").await;
    let full = |_: &mut fs::File, _: &mut fs::File, _: &mut Inspection| {
        Err::<(), _>(std::io::Error::other("disk full").into())
    };
    let error = scene
        .fetched(after(1_000_000))
        .await
        .unwrap()
        .convert(full)
        .await;
    let error = error.unwrap_err();
    assert!(matches!(&error, DownloadError::Failed(_)), "{error:?}");
    assert_eq!(error.error().kind(), ErrorKind::LocalIo);
}

#[tokio::test]
async fn a_check_ends_with_the_deadline_and_with_its_caller() {
    let scene = Scene::of_body("x").await;
    for is_dropped in [false, true] {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let deadline = scene.clock.now() + Duration::from_secs(60 * 60);
        let fetched = scene.fetched(deadline).await.unwrap();
        let endless = move |_: &mut fs::File, inspection: &mut Inspection| {
            begun.send(()).unwrap();
            let mut reader = inspection.reader(std::io::repeat(0));
            let end = std::io::copy(&mut reader, &mut std::io::sink());
            ended.send(()).unwrap();
            Err::<(), _>(CheckError::Invalid(format!("{end:?}")))
        };
        let checking = tokio::spawn(fetched.verify(endless));
        has_begun.await.unwrap();
        if is_dropped {
            checking.abort();
        } else {
            scene.clock.move_to(deadline);
            let error = checking.await.unwrap().unwrap_err();
            assert_eq!(error.error().kind(), ErrorKind::Timeout);
        }
        has_ended.await.unwrap();
        assert_eq!(scene.names(), [""; 0]);
    }
}

#[tokio::test]
async fn the_deadline_ends_a_server_that_dribbles_is_silent_or_asks_for_patience() {
    for kind in ["dribbles", "silent", "options"] {
        let scene = Scene::new(move |clock, mut stream, _| async move {
            match kind {
                "dribbles" => {
                    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx";
                    drop(stream.write_all(head.as_bytes()).await);
                }
                "options" => {
                    let head = "HTTP/1.1 429 No\r\nRetry-After: 99999999\r\n\
                        Content-Length: 0\r\nConnection: close\r\n\r\n";
                    drop(stream.write_all(head.as_bytes()).await);
                }
                _ => {}
            }
            // Time passes while the connection is open.
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(9));
            drop(stream.read_buf(&mut Vec::new()).await);
        })
        .await;
        let error = scene.fetched(after(5)).await.unwrap_err();
        let expected = match kind {
            "options" => ErrorKind::RateLimited,
            _ => ErrorKind::Timeout,
        };
        assert_eq!(error.kind(), expected, "{kind}: {error}");
        assert!(scene.clock.now() <= after(9), "{kind}");
        assert_eq!(scene.names(), [""; 0]);
    }
}

#[tokio::test]
async fn a_server_slower_than_any_line_is_given_up_without_a_deadline_too() {
    let scene = Scene::new(|clock, mut stream, _| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: \"1\"\r\n\r\n";
        drop(stream.write_all(head.as_bytes()).await);
        while stream.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(2));
        }
    })
    .await;
    let error = scene.fetched(after(1_000_000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error.message().unwrap().contains("bytes came in 60 s"),
        "{error}"
    );
    // As often as any trouble that brings nothing.
    assert_eq!(scene.requests.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn bytes_that_were_had_before_are_no_progress() {
    let scene = Scene::new(|_, mut stream, number| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        let body = "x".repeat(if number % 2 == 0 { 0 } else { 70_000 });
        drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    })
    .await;
    let error = scene.fetched(after(1_000_000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // Once the 70 000 bytes came for the first time, the tries were counted anew.
    let requests = scene.requests.load(Ordering::Relaxed);
    assert!(requests <= 9, "{requests}");
}

/// A server that says this to every request.
async fn saying(head: &'static str, body: impl Into<Vec<u8>>) -> Scene {
    let body = body.into();
    Scene::new(move |_, mut stream, _| {
        let len = body.len();
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
        let answer = [head.as_bytes(), &body].concat();
        async move {
            drop(stream.write_all(&answer).await);
        }
    })
    .await
}

#[tokio::test]
async fn whatever_the_storage_says_is_told_and_is_no_end_of_the_job() {
    const DENIED: &str = "<?xml version='1.0'?><Error><Code>AccessDenied</Code>\
        <Message>Request has expired.</Message><RequestId>r-7</RequestId>\
        <SignatureProvided>s1gnature</SignatureProvided></Error>";
    for (head, body, kind, told) in [
        (
            "403 No",
            DENIED,
            ErrorKind::NotFound,
            "expired: AccessDenied: Request has expired.",
        ),
        (
            "400 No",
            DENIED,
            ErrorKind::NotFound,
            "expired: AccessDenied: Request has expired.",
        ),
        ("404 No", "", ErrorKind::NotFound, "refused or has expired"),
        (
            "418 No",
            "tea",
            ErrorKind::NotFound,
            "refused or has expired",
        ),
        ("304 No", "", ErrorKind::NotFound, "refused or has expired"),
        (
            "503 No",
            DENIED,
            ErrorKind::Unavailable,
            "in trouble: AccessDenied",
        ),
        ("429 No", "", ErrorKind::RateLimited, "slower"),
    ] {
        let scene = saying(head, body).await;
        let link = format!("{}?Signature=s1gnature", scene.link);
        let fetch = Download::new("fetch", &link).with_deadline(after(3600));
        let target = scene.target();
        let fetched = scene
            .clock
            .run(scene.transport.download(fetch, &target))
            .await;
        let error = fetched.unwrap_err();
        assert_eq!(error.kind(), kind, "{head}: {error}");
        assert!(error.message().unwrap().contains(told), "{error}");
        let shown = format!("{error} {error:?} {:?}", error.body_excerpt());
        assert!(!shown.contains("s1gnature"), "{shown}");
    }
    let scene = saying(
        "403 No",
        "<html>blocked by policy 4711, s1gnature-of-x</html>",
    )
    .await;
    let link = format!("{}?sig=s1gnature-of-x", scene.link);
    let fetch = Download::new("fetch", &link);
    let error = scene
        .transport
        .download(fetch, &scene.target())
        .await
        .unwrap_err();
    let excerpt = error.body_excerpt().unwrap();
    assert!(excerpt.contains("blocked by policy 4711, ***"), "{excerpt}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Takes nothing but `plain` for the result.
async fn checked(scene: &Scene) -> Result<(Verified, Option<String>), DownloadError> {
    let fetched = scene.fetched(after(1_000_000)).await.unwrap();
    let check = |file: &mut fs::File, inspection: &mut Inspection| {
        let mut text = Vec::new();
        inspection.reader(file).read_to_end(&mut text)?;
        if text == b"plain" {
            Ok(inspection.charset().map(str::to_owned))
        } else {
            Err(CheckError::Invalid("not plain".to_owned()))
        }
    };
    fetched.verify(check).await
}

#[tokio::test]
async fn what_a_server_declares_of_the_bytes_is_undone_before_they_are_checked() {
    let scene = saying(
        "200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/x; a=b; Charset=\"GBK\"",
        gzip(b"plain"),
    )
    .await;
    let (verified, charset) = checked(&scene).await.unwrap();
    assert_eq!(charset.as_deref(), Some("GBK"));
    let digest = verified.digest().await.unwrap();
    let saved = verified.save().await.unwrap();
    assert_eq!((saved.len, saved.sha256), (5, None));
    assert_eq!(fs::read(&saved.path).unwrap(), b"plain");
    assert_eq!(digest[..4], [0xa1, 0x16, 0xc9, 0xed], "{digest:x?}");
    let small = Download::new("fetch", &scene.link);
    assert_eq!(
        scene.transport.download_to_memory(small).await.unwrap(),
        b"plain"
    );
}

#[tokio::test]
async fn bytes_in_a_coding_that_cannot_be_undone_are_kept_as_they_came() {
    let bomb = gzip(&vec![0; 1 << 20]);
    for (head, body, problem) in [
        (
            "200 OK\r\nContent-Encoding: lzma86",
            b"abc".to_vec(),
            "\"lzma86\"",
        ),
        (
            "200 OK\r\nContent-Encoding: gzip",
            gzip(b"plain")[..15].to_vec(),
            "not in the content coding",
        ),
        (
            "200 OK\r\nContent-Encoding: gzip",
            bomb,
            "larger than 65536 bytes",
        ),
    ] {
        let scene = saying(head, body.clone()).await;
        let fetch = Download::new("fetch", &scene.link).with_max_size(1 << 16);
        let target = scene.target();
        let fetched = scene.transport.download(fetch, &target).await.unwrap();
        let error = fetched.verify(|_, _| Ok(())).await.unwrap_err();
        assert!(
            error.error().message().unwrap().contains(problem),
            "{error}"
        );
        let DownloadError::Invalid(file) = error else {
            panic!("{error:?}")
        };
        let saved = file.persist().await.unwrap();
        assert_eq!(fs::read(saved.path).unwrap(), body);
    }
    // What was undone and does not pass is kept as it reads.
    let scene = saying("200 OK\r\nContent-Encoding: gzip", gzip(b"page")).await;
    let Err(DownloadError::Invalid(file)) = checked(&scene).await else {
        panic!("passed")
    };
    let saved = file.persist().await.unwrap();
    assert_eq!(fs::read(saved.path).unwrap(), b"page");
}

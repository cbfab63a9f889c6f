//! Bundles: whole and checked, or not at all.

use std::fs;
use std::io::Write;
use std::time::Duration;

use httpmock::MockServer;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::SavedFile;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId};
use ppj::{Bundle, Client, ClientBuilder, Limits, Ready, unpack};

fn bundle() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in [("index.html", "<html>deck</html>"), ("js/a.js", "let a;")] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

struct Scene {
    server: MockServer,
    clock: ManualClock,
    client: Client,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn of(make: fn(&str, &ManualClock) -> ClientBuilder) -> Self {
        let (server, clock) = (MockServer::start_async().await, ManualClock::new());
        let client = make(&server.base_url(), &clock)
            .with_policy(|facts| facts.initial_delay.set(Duration::ZERO))
            .build()
            .unwrap();
        Self {
            server,
            clock,
            client,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn new() -> Self {
        Self::of(crate::client).await
    }

    /// A finished job.
    async fn ready(&self) -> Ready {
        self.ready_of(&self.client).await
    }

    async fn ready_of(&self, client: &Client) -> Ready {
        let mock = self
            .server
            .mock_async(|when, then| {
                when.any_request();
                then.status(200)
                    .body(r#"{"token":"8v9iSKnj","state":"notifying"}"#);
            })
            .await;
        let job = client.job(JobId::new("8v9iSKnj").unwrap());
        let ready = self.clock.run(job.wait(Duration::from_secs(60))).await;
        mock.delete_async().await;
        ready.unwrap()
    }

    async fn serve(&self, status: u16, body: &[u8]) -> httpmock::Mock<'_> {
        self.server
            .mock_async(|when, then| {
                when.path("/api/jobs/8v9iSKnj/download");
                then.status(status)
                    .header("content-type", "application/zip")
                    .body(body);
            })
            .await
    }

    fn target(&self) -> OutputPath {
        OutputPath::new(self.folder.path().join("deck.zip")).unwrap()
    }

    fn files(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

async fn save(ready: &Ready, target: &OutputPath) -> Result<(SavedFile, Bundle), Error> {
    let deadline = Moment::after_start(Duration::from_secs(3600));
    let (verified, bundle) = ready.fetch(target, deadline).await?;
    Ok((verified.save().await?, bundle))
}

#[tokio::test]
async fn the_bytes_are_those_that_were_served() {
    let scene = Scene::new().await;
    let mock = scene
        .server
        .mock_async(|when, then| {
            when.path("/api/jobs/8v9iSKnj/download")
                .header("x-ppj-credential", crate::KEY)
                .is_true(|request| !request.uri_str().contains('?'));
            then.status(200).body(bundle());
        })
        .await;
    let ready = scene.ready().await;
    let (saved, seen) = save(&ready, &scene.target()).await.unwrap();
    assert_eq!(fs::read(&saved.path).unwrap(), bundle());
    assert_eq!((seen.files, seen.size), (2, 23));
    assert_eq!(scene.files(), 1);
    mock.assert_async().await;
    let out = scene.folder.path().join("deck");
    unpack(&saved.path, &out, &Limits::default()).unwrap();
    assert_eq!(fs::read_to_string(out.join("js/a.js")).unwrap(), "let a;");
}

#[tokio::test]
async fn a_signed_download_signs_the_path_that_it_requests() {
    for (is_alias, path, signature) in [
        (
            false,
            "/jobs/8v9iSKnj/download",
            "785299161ae0521958e6213e3bb1323cfa62e381cbd375dc7e9dc04e2e60a4f3",
        ),
        (
            true,
            "/job/download",
            "5591d751e9c61a830e1206b07bf32e883291b6c843e4e2416bf7f4984fdca842",
        ),
    ] {
        let scene = Scene::of(crate::signed_client).await;
        let client = crate::signed_client(&scene.server.base_url(), &scene.clock)
            .with_policy(|facts| facts.initial_delay.set(Duration::ZERO))
            .with_alias_paths(is_alias)
            .build()
            .unwrap();
        let ready = scene.ready_of(&client).await;
        let mock = scene
            .server
            .mock_async(|when, then| {
                when.path(path)
                    .query_param("token", "8v9iSKnj")
                    .header("accept", "application/vnd.ppj.v1+json")
                    .header("x-ppj-credential", crate::APP_ID)
                    .header("x-ppj-timestamp", "1767225600")
                    .header("x-ppj-signature", signature);
                then.status(200).body(bundle());
            })
            .await;
        save(&ready, &scene.target()).await.unwrap();
        mock.assert_async().await;
    }
}

#[tokio::test]
async fn what_is_no_whole_bundle_never_gets_its_name() {
    let whole = bundle();
    let mut damaged = whole.clone();
    // Inside the content of the first file, behind its header and name.
    damaged[45] ^= 1;
    for body in [
        &b"<html>maintenance</html>"[..],
        br#"{"message":"no","type":"Error"}"#,
        b"",
        &whole[..whole.len() - 1],
        &whole[..40],
        &damaged,
    ] {
        let scene = Scene::new().await;
        let mock = scene.serve(200, body).await;
        let ready = scene.ready().await;
        let error = save(&ready, &scene.target()).await;
        assert_eq!(
            error.unwrap_err().kind(),
            ErrorKind::UnexpectedResponse,
            "{body:?}"
        );
        assert_eq!(scene.files(), 0, "{body:?}");
        assert_eq!(mock.calls_async().await, 1);
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_vendors_words_and_not_repeated() {
    for (status, body, kind, code) in [
        (
            400,
            r#"{"message":"Downloading is not available","type":"NotAcceptableError"}"#,
            ErrorKind::Refused,
            "NotAcceptableError",
        ),
        (
            401,
            r#"{"message":"an-access-key","type":"UnauthorizedError"}"#,
            ErrorKind::Unauthenticated,
            "UnauthorizedError",
        ),
        (
            404,
            r#"{"message":"Not Found","type":"NotFoundError"}"#,
            ErrorKind::NotFound,
            "NotFoundError",
        ),
    ] {
        let scene = Scene::new().await;
        let mock = scene.serve(status, body.as_bytes()).await;
        let ready = scene.ready().await;
        let target = scene.target();
        let download = save(&ready, &target);
        // A refusal must not be waited for: this would hang if it were.
        let error = download.await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.http_status()),
            (kind, Some(code), Some(status))
        );
        assert_eq!(
            (error.operation(), error.delivery()),
            ("download", Delivery::Answered)
        );
        assert_eq!(error.job(), Some(&ready.job_id));
        assert!(!error.to_string().contains(crate::KEY));
        assert_eq!(mock.calls_async().await, 1);
        assert_eq!(scene.files(), 0);
    }
}

#[tokio::test]
async fn a_maintenance_is_outlasted() {
    let scene = Scene::new().await;
    let ready = scene.ready().await;
    let mock = scene.serve(503, b"<html>maintenance</html>").await;
    let target = scene.target();
    let error = scene.clock.run(save(&ready, &target)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(mock.calls_async().await, 7);
    assert_eq!(scene.files(), 0);
}

#[tokio::test]
async fn a_redirect_to_another_origin_gets_no_credential() {
    let (scene, elsewhere) = (Scene::new().await, MockServer::start_async().await);
    let ready = scene.ready().await;
    let to = elsewhere.url("/deck.zip");
    scene
        .server
        .mock_async(|when, then| {
            when.path("/api/jobs/8v9iSKnj/download");
            then.status(302).header("Location", &to);
        })
        .await;
    let mock = elsewhere
        .mock_async(|when, then| {
            when.path("/deck.zip").header_missing("x-ppj-credential");
            then.status(200).body(bundle());
        })
        .await;
    save(&ready, &scene.target()).await.unwrap();
    mock.assert_async().await;
}

#[tokio::test]
async fn a_bundle_is_saved_once_and_an_error_holds_the_ticket() {
    let scene = Scene::new().await;
    let zip = bundle();
    let mock = scene.serve(200, &zip).await;
    let ready = scene.ready().await;
    let path = scene.folder.path().join("deck.zip");
    assert_eq!(ready.save(&path).await.unwrap().len, zip.len() as u64);
    assert_eq!(fs::read(&path).unwrap(), zip);
    let requests = mock.calls_async().await;
    let error = ready.save(&path).await.unwrap_err();
    assert_eq!(
        mock.calls_async().await,
        requests,
        "found before anything is asked"
    );
    let ticket = error.ticket().unwrap();
    assert_eq!(scene.client.resume(ticket).unwrap().id(), &ready.job_id);
}

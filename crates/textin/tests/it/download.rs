//! Results: from another origin, without credentials, whole or not at all.

use std::fs;

use httpmock::MockServer;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::SavedFile;
use jobs_core::testing::ManualClock;
use jobs_core::{Error, ErrorKind, JobId};
use textin::{Client, Ready, ResultSummary};

const RESULT: &str = r##"{"schema_version":"1.3.1","file_id":"f","job_id":"j","success_count":1,"metadata":{"page_count":1},"elements":[{"element_id":"e","type":"Title","text":"标题","page_number":1,"coordinates":[0,0,1,0,1,1,0,1],"metadata":{}}],"markdown":"# 标题\n\ntext"}"##;

struct Scene {
    api: MockServer,
    files: MockServer,
    clock: ManualClock,
    client: Client,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let (api, files) = (
            MockServer::start_async().await,
            MockServer::start_async().await,
        );
        let clock = ManualClock::new();
        let client = crate::client(&api.base_url(), &clock).build().unwrap();
        Self {
            api,
            files,
            clock,
            client,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A finished job whose result lies at `path` of the other origin.
    async fn ready(&self, path: &str) -> Ready {
        let link = self.files.url(path);
        let mock = self
            .api
            .mock_async(|when, then| {
                when.path("/api/v1/xparse/parse/async/j");
                then.status(200).body(format!(
                    r#"{{"code":200,"message":"success","data":{{"job_id":"j","file_id":"f","status":"completed","result_url":"{link}"}}}}"#
                ));
            })
            .await;
        let job = self.client.job(JobId::new("j").unwrap());
        let ready = self
            .clock
            .run(job.wait(std::time::Duration::from_secs(60)))
            .await
            .unwrap();
        mock.delete_async().await;
        ready
    }

    fn target(&self) -> OutputPath {
        OutputPath::new(self.folder.path().join("out")).unwrap()
    }

    fn files(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

fn far() -> Moment {
    Moment::after_start(std::time::Duration::from_secs(3600))
}

async fn save_json(
    ready: &Ready,
    target: &OutputPath,
) -> Result<(SavedFile, ResultSummary), Error> {
    let (verified, outline) = ready.fetch_json(target, far()).await?;
    Ok((verified.save().await?, outline))
}

async fn save_markdown(
    ready: &Ready,
    target: &OutputPath,
) -> Result<(SavedFile, ResultSummary), Error> {
    let (verified, outline) = ready.fetch_markdown(target, far()).await?;
    Ok((verified.save().await?, outline))
}

#[tokio::test]
async fn the_bytes_are_those_that_were_served_and_no_credential_went_there() {
    let scene = Scene::new().await;
    let mock = scene
        .files
        .mock_async(|when, then| {
            when.path("/file/x")
                .query_param("sig", "a+b")
                .header_missing("x-ti-app-id")
                .header_missing("x-ti-secret-code");
            then.status(200).body(RESULT);
        })
        .await;
    let ready = scene.ready("/file/x?sig=a%2Bb").await;
    let (saved, outline) = save_json(&ready, &scene.target()).await.unwrap();
    assert_eq!(fs::read_to_string(&saved.path).unwrap(), RESULT);
    assert_eq!((saved.len, outline.elements), (RESULT.len() as u64, 1));
    assert_eq!(scene.files(), 1);
    mock.assert_async().await;
}

#[tokio::test]
async fn markdown_is_taken_out_of_a_bare_or_an_enveloped_result() {
    for body in [
        RESULT.to_owned(),
        format!(r#"{{"code":200,"message":"success","data":{RESULT}}}"#),
    ] {
        let scene = Scene::new().await;
        scene
            .files
            .mock_async(|when, then| {
                when.path("/x");
                then.status(200).body(&body);
            })
            .await;
        let ready = scene.ready("/x").await;
        let (saved, _) = save_markdown(&ready, &scene.target()).await.unwrap();
        assert_eq!(fs::read_to_string(&saved.path).unwrap(), "# 标题\n\ntext");
        assert_eq!(scene.files(), 1);
        let parsed = ready.parsed().await.unwrap();
        assert_eq!(
            (parsed.result.elements[0].text.as_deref(), parsed.raw.get()),
            (Some("标题"), RESULT)
        );
    }
}

#[tokio::test]
async fn a_redirect_is_followed_without_credentials() {
    let scene = Scene::new().await;
    scene
        .files
        .mock_async(|when, then| {
            when.path("/from");
            then.status(302).header("Location", "/to");
        })
        .await;
    let to = scene
        .files
        .mock_async(|when, then| {
            when.path("/to").header_missing("x-ti-app-id");
            then.status(200).body(RESULT);
        })
        .await;
    let ready = scene.ready("/from").await;
    save_json(&ready, &scene.target()).await.unwrap();
    to.assert_async().await;
}

#[tokio::test]
async fn what_is_no_result_never_gets_its_name() {
    for body in [
        "<html>sorry</html>",
        r#"{"code":40102,"message":"no"}"#,
        "",
        &RESULT[..RESULT.len() - 1],
    ] {
        let scene = Scene::new().await;
        scene
            .files
            .mock_async(|when, then| {
                when.path("/x");
                then.status(200).body(body);
            })
            .await;
        let ready = scene.ready("/x").await;
        let error = save_json(&ready, &scene.target()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{body}");
        assert_eq!(scene.files(), 0, "{body}");
    }
}

#[tokio::test]
async fn an_expired_link_is_renewed_once() {
    let scene = Scene::new().await;
    let old = scene
        .files
        .mock_async(|when, then| {
            when.path("/old");
            then.status(403);
        })
        .await;
    scene
        .files
        .mock_async(|when, then| {
            when.path("/new");
            then.status(200).body(RESULT);
        })
        .await;
    let ready = scene.ready("/old").await;
    let link = scene.files.url("/new");
    scene
        .api
        .mock_async(|when, then| {
            when.path("/api/v1/xparse/parse/async/j");
            then.status(200).body(format!(
                r#"{{"code":200,"message":"success","data":{{"job_id":"j","status":"completed","result_url":"{link}"}}}}"#
            ));
        })
        .await;
    let (saved, _) = scene
        .clock
        .run(save_json(&ready, &scene.target()))
        .await
        .unwrap();
    assert_eq!(fs::read_to_string(&saved.path).unwrap(), RESULT);
    assert_eq!(old.calls_async().await, 1);
}

#[tokio::test]
async fn a_file_that_appeared_meanwhile_is_not_replaced() {
    let scene = Scene::new().await;
    scene
        .files
        .mock_async(|when, then| {
            when.path("/x");
            then.status(200).body(RESULT);
        })
        .await;
    let ready = scene.ready("/x").await;
    let target = scene.target();
    fs::write(target.path(), "precious").unwrap();
    let error = save_json(&ready, &target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
    assert_eq!(fs::read_to_string(target.path()).unwrap(), "precious");
}

#[tokio::test]
async fn an_export_is_fetched_with_credentials_from_the_api_itself() {
    let scene = Scene::new().await;
    let mock = scene
        .api
        .mock_async(|when, then| {
            when.path("/export_file/download")
                .query_param("file_id", "e 1.docx")
                .header("x-ti-app-id", "an-app-id")
                .header("x-ti-secret-code", "a-secret-code");
            then.status(200).body("PK");
        })
        .await;
    let saved = scene
        .client
        .download_export("e 1.docx", &scene.target())
        .await
        .unwrap();
    assert_eq!(fs::read(&saved.path).unwrap(), b"PK");
    mock.assert_async().await;
}

#[tokio::test]
async fn an_oddly_written_result_is_delivered_in_both_forms_with_a_warning() {
    const ODD: &[u8] = b"\xef\xbb\xbf{\"elements\":[{\"score\":NaN}],\"markdown\":\"x \\ud835 y\"}";
    let scene = Scene::new().await;
    scene
        .files
        .mock_async(|when, then| {
            when.path("/odd");
            then.status(200).body(ODD);
        })
        .await;
    let ready = scene.ready("/odd").await;
    let target = scene.target();
    let json = ready.fetch_json(&target, far());
    let (verified, outline) = json.await.unwrap();
    assert_eq!(outline.elements, 1);
    let warning = verified.warnings()[0].to_string();
    assert!(warning.contains("a byte order mark"), "{warning}");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut verified.into_file().unwrap(), &mut bytes).unwrap();
    assert_eq!(bytes, ODD);
    let markdown = ready.fetch_markdown(&target, far());
    let (verified, _) = markdown.await.unwrap();
    assert_eq!(verified.warnings().len(), 1);
    let saved = verified.save().await.unwrap();
    assert_eq!(fs::read_to_string(saved.path).unwrap(), "x \u{fffd} y");
}

#[tokio::test]
async fn a_result_in_the_encoding_that_its_header_declares_is_read() {
    let scene = Scene::new().await;
    scene
        .files
        .mock_async(|when, then| {
            when.path("/gbk");
            then.status(200)
                .header("Content-Type", "application/json; charset=gbk")
                .body(b"{\"elements\":[],\"markdown\":\"\xd6\xd0\xce\xc4\"}");
        })
        .await;
    let ready = scene.ready("/gbk").await;
    let (saved, _) = save_markdown(&ready, &scene.target()).await.unwrap();
    assert_eq!(fs::read_to_string(saved.path).unwrap(), "中文");
}

#[tokio::test]
async fn what_arrived_whole_and_is_no_result_is_handed_over() {
    let scene = Scene::new().await;
    let mut whole = RESULT.as_bytes().to_vec();
    whole.pop();
    for body in [whole, b"<html>busy</html>".to_vec()] {
        let mock = scene
            .files
            .mock_async(|when, then| {
                when.path("/x");
                then.status(200).body(&body);
            })
            .await;
        let ready = scene.ready("/x").await;
        let target = scene.target();
        let fetched = ready.fetch_markdown(&target, far());
        let Err(jobs_core::http::DownloadError::Invalid(file)) = fetched.await else {
            panic!("passed")
        };
        assert_eq!(file.size(), body.len() as u64);
        mock.delete_async().await;
    }
}

#[tokio::test]
async fn a_result_acts_and_its_error_holds_the_ticket() {
    let scene = Scene::new().await;
    let mock = scene
        .files
        .mock_async(|when, then| {
            when.path("/x");
            then.status(200).body(RESULT);
        })
        .await;
    let ready = scene.ready("/x").await;
    let path = scene.folder.path().join("a.md");
    assert_eq!(ready.markdown().await.unwrap(), "# 标题\n\ntext");
    assert_eq!(
        ready.elements().await.unwrap()[0].text.as_deref(),
        Some("标题")
    );
    assert_eq!(ready.save_markdown(&path).await.unwrap().path, path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "# 标题\n\ntext");
    let json = scene.folder.path().join("a.json");
    ready.save_json(&json).await.unwrap();
    assert_eq!(fs::read_to_string(&json).unwrap(), RESULT);

    // Paid for, so whatever keeps it away gives the ticket back.
    let requests = mock.calls_async().await;
    let error = ready.save_markdown(&path).await.unwrap_err();
    assert_eq!(
        mock.calls_async().await,
        requests,
        "found before anything is asked"
    );
    mock.delete_async().await;
    scene
        .files
        .mock_async(|when, then| {
            when.path("/x");
            then.status(200).body("<html>");
        })
        .await;
    for error in [error, ready.markdown().await.unwrap_err()] {
        assert!(!error.is_outcome_unknown());
        let ticket = error.ticket().unwrap();
        assert_eq!(scene.client.resume(ticket).unwrap().id(), &ready.job_id);
        assert!(error.to_string().contains(&ticket.to_string()), "{error}");
    }
}

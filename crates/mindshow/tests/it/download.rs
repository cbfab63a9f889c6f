//! Results: the link byte for byte, without credentials, whole or not at all.

use std::fs;
use std::io::{Cursor, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::SavedFile;
use jobs_core::testing::ManualClock;
use jobs_core::{Error, ErrorKind, Job};
use mindshow::{Client, Deck, DeckSummary, PdfBudget, PdfReady, Ready};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::vendor::{Say, Vendor};
use crate::{id, success};

fn pptx() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for part in [
        "[Content_Types].xml",
        "ppt/presentation.xml",
        "ppt/slides/slide1.xml",
    ] {
        zip.start_file(part, SimpleFileOptions::default()).unwrap();
        zip.write_all(b"<xml/>").unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An API that gives these links one after the other, and a host that serves them.
struct Scene {
    api: Vendor,
    files: Vendor,
    clock: ManualClock,
    client: Client,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new(
        targets: &'static [&'static str],
        serve: impl Fn(&str) -> Say + Send + Sync + 'static,
    ) -> Self {
        let files = Vendor::start(move |seen| serve(&seen.target)).await;
        let (host, polls) = (files.url(), AtomicUsize::new(0));
        let api = Vendor::start(move |seen| {
            let poll = polls.fetch_add(1, Ordering::SeqCst);
            let target = targets.get(poll).or(targets.last()).unwrap();
            let link = if target.is_empty() {
                String::new()
            } else {
                format!("{host}{target}")
            };
            let link = serde_json::to_string(&link).unwrap();
            Say::json(success(&match seen.path() {
                "job/get" => format!(
                    r#"{{"job":{{"id":"j","title":"Tea","status":"succeeded","ppt_url":{link}}}}}"#
                ),
                _ => format!(r#"{{"pdf_url":{link},"status":"succeeded"}}"#),
            }))
        })
        .await;
        let clock = ManualClock::new();
        let client = crate::client(&api.url(), &clock).build().unwrap();
        Self {
            api,
            files,
            clock,
            client,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn ready(&self) -> Ready {
        let job: Job<Deck> = self.client.job(id("j"));
        self.clock
            .run(job.wait(Duration::from_secs(60)))
            .await
            .unwrap()
    }

    fn target(&self) -> OutputPath {
        OutputPath::new(self.folder.path().join("out")).unwrap()
    }

    fn left_on_disk(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

const SIGNED: &str = "/a%7eb|c/%E4%B8%AD;v=1,2/~x*!$&'()=@:[]^//d.pptx?sig=a+b/c==%2F%2f&x=|{}^`\\~%7E&y=a?b&empty=&&";

fn far() -> Moment {
    Moment::after_start(Duration::from_secs(3600))
}

async fn save_deck(ready: &Ready, target: &OutputPath) -> Result<(SavedFile, DeckSummary), Error> {
    let (verified, outline) = ready.fetch(target, far()).await?;
    Ok((verified.save().await?, outline))
}

async fn save_pdf(ready: &PdfReady, target: &OutputPath) -> Result<SavedFile, Error> {
    ready.fetch(target, far()).await?.save().await
}

#[tokio::test]
async fn the_signed_link_arrives_byte_for_byte_and_without_the_key() {
    let scene = Scene::new(&[SIGNED], |_| Say::Reply(200, pptx())).await;
    let ready = scene.ready().await;
    let target = scene.target();
    let download = save_deck(&ready, &target);
    let (saved, outline) = scene.clock.run(download).await.unwrap();
    assert_eq!(fs::read(&saved.path).unwrap(), pptx());
    assert_eq!(outline.slides, 1);
    assert_eq!(scene.left_on_disk(), 1);
    let requests = scene.files.seen();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].target, SIGNED);
    assert!(
        !requests[0].head.contains("authorization") && !requests[0].head.contains("an-api-key")
    );
}

#[tokio::test]
async fn a_fragment_is_not_sent_and_changes_nothing() {
    let scene = Scene::new(&["/d.pptx?#"], |_| Say::Reply(200, pptx())).await;
    let ready = scene.ready().await;
    let target = scene.target();
    let download = save_deck(&ready, &target);
    scene.clock.run(download).await.unwrap();
    assert_eq!(scene.files.seen()[0].target, "/d.pptx?");
}

#[tokio::test]
async fn an_odd_character_of_a_link_is_escaped_and_nothing_else() {
    let links: [(&'static [&'static str], &str); 4] = [
        (&["/a b?sig=1"], "/a%20b?sig=1"),
        (
            &["/a.pptx?sig=1&n=UTF-8''%E8%AE%A1.pptx"],
            "/a.pptx?sig=1&n=UTF-8%27%27%E8%AE%A1.pptx",
        ),
        (
            &["/a?sig=%2B&attname=计划.pptx"],
            "/a?sig=%2B&attname=%E8%AE%A1%E5%88%92.pptx",
        ),
        (&["/茶.pptx?sig=1"], "/%E8%8C%B6.pptx?sig=1"),
    ];
    for (link, target) in links {
        let scene = Scene::new(link, |_| Say::Reply(200, pptx())).await;
        let ready = scene.ready().await;
        let place = scene.target();
        let download = save_deck(&ready, &place);
        scene.clock.run(download).await.unwrap();
        assert_eq!(scene.files.seen()[0].target, target, "{link:?}");
    }
}

#[tokio::test]
async fn what_is_no_whole_deck_never_gets_its_name() {
    let damaged = {
        let mut bytes = pptx();
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    for body in [damaged, b"<html>sorry</html>".to_vec(), Vec::new()] {
        let scene = Scene::new(&["/d.pptx"], move |_| Say::Reply(200, body.clone())).await;
        let ready = scene.ready().await;
        let target = scene.target();
        let download = save_deck(&ready, &target);
        let error = scene.clock.run(download).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
        assert_eq!(scene.left_on_disk(), 0);
    }
}

#[tokio::test]
async fn an_expired_link_is_renewed_once() {
    let scene = Scene::new(&["/old", "/new"], |target| match target {
        "/new" => Say::Reply(200, pptx()),
        _ => Say::Reply(403, b"expired".to_vec()),
    })
    .await;
    let ready = scene.ready().await;
    let target = scene.target();
    let download = save_deck(&ready, &target);
    assert_eq!(scene.clock.run(download).await.unwrap().1.slides, 1);
    assert_eq!(scene.api.seen().len(), 2);

    let scene = Scene::new(&["/old"], |_| Say::Reply(403, b"expired".to_vec())).await;
    let ready = scene.ready().await;
    let target = scene.target();
    let download = save_deck(&ready, &target);
    let error = scene.clock.run(download).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(scene.files.seen().len(), 2);
}

#[tokio::test]
async fn a_success_without_a_deck_says_so_and_asks_nobody() {
    let scene = Scene::new(&[""], |_| Say::Reply(200, pptx())).await;
    let ready = scene.ready().await;
    assert!(!ready.has_deck());
    let target = scene.target();
    let error = save_deck(&ready, &target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("create_ppt_flag"), "{error}");
    assert_eq!((scene.files.seen().len(), scene.api.seen().len()), (0, 1));
}

#[tokio::test]
async fn a_pdf_is_whole_or_not_there_and_never_exported_again_for_a_link() {
    const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n";
    let scene = Scene::new(&["/d.pdf?s=1"], |_| Say::Reply(200, PDF.to_vec())).await;
    let wait = scene.client.pdf_job(id("j"), PdfBudget::calls(3));
    let ready = scene
        .clock
        .run(wait.wait(Duration::from_secs(60)))
        .await
        .unwrap();
    let target = scene.target();
    let download = save_pdf(&ready, &target);
    let saved = scene.clock.run(download).await.unwrap();
    assert_eq!(fs::read(&saved.path).unwrap(), PDF);

    for (status, body, kind) in [
        (
            200,
            &b"%PDF-1.7\n1 0 obj"[..],
            ErrorKind::UnexpectedResponse,
        ),
        (403, b"expired", ErrorKind::NotFound),
    ] {
        let scene = Scene::new(&["/d.pdf"], move |_| Say::Reply(status, body.to_vec())).await;
        let wait = scene.client.pdf_job(id("j"), PdfBudget::calls(3));
        let ready = scene
            .clock
            .run(wait.wait(Duration::from_secs(60)))
            .await
            .unwrap();
        let target = scene.target();
        let download = save_pdf(&ready, &target);
        let error = scene.clock.run(download).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(
            (scene.left_on_disk(), scene.api.count("job/get_pdf")),
            (0, 1)
        );
    }
}

//! Every future can be spawned.

use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use jobs_core::{ErrorKind, LostSubmit};
use mindshow::types::{
    AdvanceTemplateAddRequest, ContentRequest, GptDeck, ListRequest, OutlineRequest, Theme,
};
use mindshow::{ContentStream, OutlineStream, PdfBudget, PdfReady, Ready, SearchCriteria};

use crate::id;

fn spawnable<T>(_: impl Future<Output = T> + Send) {}

#[tokio::test]
async fn every_future_can_be_spawned() {
    let clock = ManualClock::new();
    let client = crate::client("http://127.0.0.1:1", &clock).build().unwrap();
    let (list, deck) = (ListRequest::default(), GptDeck::from_topic("Tea"));
    let (outline, content) = (
        OutlineRequest::about("Tea"),
        ContentRequest::new(String::new()),
    );
    let (document, job) = (Document::from_bytes("a.txt", "x"), id("j"));
    let deck = client.deck(deck);
    spawnable(deck.clone().submit());
    spawnable(deck.run(std::time::Duration::ZERO));
    spawnable(client.outline(&outline));
    spawnable(client.stream_content(&content));
    spawnable(client.upload(&document));
    spawnable(client.account_info());
    spawnable(client.list_jobs(&list));
    spawnable(client.template("t"));
    spawnable(client.add_advance_template(&AdvanceTemplateAddRequest::new(
        String::new(),
        String::new(),
    )));
    spawnable(client.rename_advance_template("a", "b"));
    spawnable(client.delete_job(&job));
    spawnable(client.jump_link(&job, Theme::Light, false));
    spawnable(client.job_pages(&list).next());
    spawnable(client.charges_since(std::time::SystemTime::UNIX_EPOCH));
    let lost = LostSubmit {
        summary: "x".into(),
        sent_at: std::time::SystemTime::UNIX_EPOCH,
        error: jobs_core::Error::new(ErrorKind::Timeout, "mindshow", "x"),
    };
    spawnable(client.find_lost(&lost, &SearchCriteria::default()));
    let (deck, pdf) = (
        client.job(job.clone()),
        client.pdf_job(job, PdfBudget::calls(1)),
    );
    spawnable(deck.wait(std::time::Duration::ZERO));
    spawnable(pdf.wait(std::time::Duration::ZERO));
}

#[allow(dead_code, reason = "compiled, never run")]
fn of_values(
    ready: &Ready,
    pdf: &PdfReady,
    to: &OutputPath,
    outline: &mut OutlineStream,
    content: ContentStream,
) {
    spawnable(ready.fetch(to, Moment::START));
    spawnable(pdf.fetch(to, Moment::START));
    spawnable(ready.save("x"));
    spawnable(pdf.save("x"));
    spawnable(outline.next());
    spawnable(content.finish());
}

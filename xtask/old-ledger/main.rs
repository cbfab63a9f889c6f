//! Writes a ledger as commands of commit 2f5c79d left it, in every state that a later version has to go on with.
//!
//! Compiled against that commit, as an example of its `jobs-ledger`: `cargo xtask old-ledger`. Every text is one that its
//! commands wrote.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use jobs_core::testing::ManualClock;
use jobs_core::vendor::Account;
use jobs_core::JobId;
use jobs_ledger::{
    Claim, Claimed, Due, Intended, Intent, Ledger, Look, Note, Settings, Taking, at,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

type Done = Result<(), Box<dyn Error>>;

/// What each result held.
const RESULT: &[u8] = b"# ok";

struct Old {
    ledger: Ledger,
    clock: ManualClock,
}

#[tokio::main]
async fn main() -> Done {
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or("name the ledger to write")?;
    let clock = ManualClock::new();
    let mut settings = Settings::default();
    settings.schema = words.next();
    let ledger = Ledger::open_with(&url, clock.shared(), &settings).await?;
    let old = Old { ledger, clock };
    old.write().await?;
    old.ledger.close().await;
    Ok(())
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn verified() -> Note {
    let hex: String = digest(RESULT).iter().map(|b| format!("{b:02x}")).collect();
    Note::new(format!("verified, sha256 {hex}"))
}

fn document(name: &str) -> Intent {
    Intent::new("textin", "parse", Account::of("textin", "app-0001"), digest(name.as_bytes()))
        .with_options(json!({ "pages": null }))
        .with_input(name)
        .with_input_path(PathBuf::from(format!("/srv/in/{name}")))
        .with_output(PathBuf::from(format!("/srv/out/{name}.md")))
        .with_format("markdown")
}

fn address(url: &str) -> Intent {
    Intent::new("textin", "parse", Account::of("textin", "app-0001"), digest(url.as_bytes()))
        .with_options(json!({ "pages": "1-5" }))
        .with_input(url)
        .with_format("json")
}

fn topic(text: &str) -> Intent {
    Intent::new("mindshow", "deck", Account::of("mindshow", "key-0001"), digest(text.as_bytes()))
        .with_options(json!({ "source": "topic", "topic": text }))
        .with_input(format!("topic {text:?}"))
}

fn export(deck: &str) -> Intent {
    Intent::new("mindshow", "pdf", Account::of("mindshow", "key-0001"), digest(deck.as_bytes()))
        .with_options(Value::Null)
        .with_input(format!("deck {deck}"))
        .with_output(PathBuf::from(format!("/srv/out/{deck}.pdf")))
}

fn paper(id: &str) -> Intent {
    Intent::new("printer-jobs", "print", Account::of("printer-jobs", "sn-0001"), digest(id.as_bytes()))
        .with_options(json!({ "job_id": id }))
        .with_input(format!("{id}.pdf"))
        .with_output(PathBuf::from(format!("/srv/spool/{id}.pdf")))
}

impl Old {
    async fn write(&self) -> Done {
        let ledger = &self.ledger;
        // Completed.
        let fetching = self.fetching(document("done.pdf"), "1").await?;
        ledger.note(&fetching, verified()).await?;
        let place = PathBuf::from("/srv/out/done.pdf.md");
        ledger.done(&fetching, Some(&place), Some(digest(RESULT)), Note::none()).await?;
        // Killed between the name of the file and the word for it.
        let fetching = self.fetching(document("named.pdf"), "2").await?;
        ledger.note(&fetching, verified()).await?;
        drop(fetching);
        // Killed before anything was verified.
        drop(self.fetching(document("cut.pdf"), "3").await?);
        // Waited for elsewhere.
        let held = self.held(document("held.pdf"), "4").await?;
        ledger.release(held, Due::Now).await?;
        // A place that could not be written.
        let held = self.held(document("parked.pdf"), "5").await?;
        ledger.release(held, Due::Parked).await?;
        // Written down and not sent.
        ledger.release(self.wanted(address("https://files.example/a.pdf?sign=s3cret")).await?, Due::Now).await?;
        ledger.release(self.wanted(document("wanted.pdf")).await?, Due::Now).await?;
        ledger.release(self.wanted(export("20260101")).await?, Due::Now).await?;
        ledger.release(self.wanted(topic("A talk about rain")).await?, Due::Now).await?;
        // Ends.
        let held = self.held(document("failed.pdf"), "6").await?;
        ledger.failed(&held, Note::new("textin job 6 failed at the vendor: page broken")).await?;
        let held = self.held(document("gone.pdf"), "7").await?;
        ledger.gone(&held, Note::new("textin job 7 is gone")).await?;
        let wanted = self.wanted(document("refused.pdf")).await?;
        let sending = ledger.sending(wanted).await?;
        ledger.refused(&sending, Note::new("textin submit: refused (code 40302)")).await?;
        let wanted = self.wanted(document("stopped.pdf")).await?;
        ledger.abandon(&wanted, Note::new("by a person's word")).await?;
        // In doubt, parked for review.
        let sending = self.sending(topic("A talk about snow")).await?;
        let unknown = ledger.unknown(&sending, Note::new("mindshow submit: no answer")).await?;
        ledger.release(unknown, Due::Parked).await?;
        // Killed while it was sent.
        drop(self.sending(document("sending.pdf")).await?);
        // An export of which two calls were made.
        let held = self.held(export("20260102"), "20260102").await?;
        ledger.spend_call(&held, 9).await?;
        ledger.spend_call(&held, 9).await?;
        ledger.release(held, Due::Now).await?;
        // Paper: out and not reported, out and reported, failed and not reported, perhaps out.
        let wanted = self.wanted(paper("p1")).await?;
        ledger.note(&wanted, Note::new("printed")).await?;
        drop(wanted);
        let sending = self.sending(paper("p2")).await?;
        ledger.note(&sending, Note::new("printed")).await?;
        let held = ledger.held(&sending, &JobId::new("p2")?, self.wall(), Note::none()).await?;
        let ready = ledger.ready(&held, &Value::Null, Note::new("reported as printed")).await?;
        ledger.done(&ready, None, None, Note::none()).await?;
        let sending = self.sending(paper("p3")).await?;
        ledger.note(&sending, Note::new("failed (3): out of paper (tray 2): really")).await?;
        drop(sending);
        drop(self.sending(paper("p4")).await?);
        // Beside jobs.
        ledger.remember(Account::of("textin", "app-0001"), "pace", "{}").await?;
        ledger.push_hint("ppj", &JobId::new("early")?).await?;
        // A lease later, as whoever opens it finds it.
        self.clock.advance(Duration::from_secs(60));
        Ok(())
    }

    fn wall(&self) -> std::time::SystemTime {
        self.ledger.clock().wall()
    }

    async fn wanted(&self, intent: Intent) -> Result<Claim<at::Wanted>, Box<dyn Error>> {
        self.clock.advance(Duration::from_millis(1));
        match self.ledger.intend(intent).await? {
            Intended::New(claim, _) => Ok(claim),
            Intended::Attached(job) => Err(format!("{job:?} is there already").into()),
        }
    }

    async fn sending(&self, intent: Intent) -> Result<Claim<at::Sending>, Box<dyn Error>> {
        let wanted = self.wanted(intent).await?;
        Ok(self.ledger.sending(wanted).await?)
    }

    async fn held(&self, intent: Intent, id: &str) -> Result<Claim<at::Held>, Box<dyn Error>> {
        let sending = self.sending(intent).await?;
        let mut held = self
            .ledger
            .held(&sending, &JobId::new(id)?, self.wall(), Note::none())
            .await?;
        self.ledger.looked(&mut held, Look::new("in_progress")).await?;
        Ok(held)
    }

    async fn fetching(&self, intent: Intent, id: &str) -> Result<Claim<at::Fetching>, Box<dyn Error>> {
        let held = self.held(intent, id).await?;
        let ready = self.ledger.ready(&held, &Value::Null, Note::none()).await?;
        self.ledger.release(ready, Due::Now).await?;
        let job = self.ledger.find(id).await?.swap_remove(0);
        match self.ledger.claim(job.id).await? {
            Taking::Claimed(Claimed::Ready(ready, _)) => Ok(self.ledger.fetching(&ready).await?),
            other => Err(format!("{other:?}").into()),
        }
    }
}

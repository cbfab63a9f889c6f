//! The kinds keep every promise about waiting.

use std::num::NonZeroU32;

use jobs_core::testing::{
    Asked, Beat, ManualClock, Odd, Play, Reply, ScriptedServer, Stage, Subject, contract,
};
use jobs_core::{Clock as _, async_trait};
use mindshow::{Deck, Pdf, PdfBudget};

use crate::vendor::{Say, Vendor};
use crate::{failure, id, success};

struct Decks;

#[async_trait]
impl Subject for Decks {
    type Kind = Deck;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Deck> {
        let asked = Asked::default();
        let server = ScriptedServer::start(clock, play.beats, &asked, deck)
            .await
            .unwrap();
        let client = crate::client(&server.url(), clock)
            .with_facts(play.tune)
            .with_rate(NonZeroU32::MAX)
            .with_shared_rate(play.rate)
            .build()
            .unwrap();
        Stage {
            kind: client.kind(),
            id: id("1b3dkf13Ac80"),
            asked,
            vendor: Box::new(server),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["an-api-key".to_owned(), "s3cret-signature".to_owned()]
    }
}

/// The vendor's words for a look at a deck.
fn deck(beat: &Beat) -> Reply {
    let job = |fields: &str| {
        Reply::json(success(&format!(
            r#"{{"job":{{"id":"1b3dkf13Ac80","title":"Tea","created_at":"2026-01-01T08:00:00+08:00","finished_at":"",{fields}}}}}"#
        )))
    };
    match beat {
        Beat::Queued => {
            job(r#""status":"queued","queue_wait_count":3,"progress_percent":100,"ppt_url":"""#)
        }
        Beat::Running => {
            job(r#""status":"running","queue_wait_count":0,"progress_percent":40,"ppt_url":"""#)
        }
        Beat::Unknown(word) => job(&format!(r#""status":"{word}""#)),
        Beat::Succeeded => job(
            r#""status":"succeeded","progress_percent":0,"ppt_url":"https://h/x.pptx?s=s3cret-signature""#,
        ),
        Beat::Failed(reason) => job(&format!(r#""status":"failed","error":"{reason}""#)),
        other => trouble(other),
    }
}

/// The vendor's words for what is no state of a job.
fn trouble(beat: &Beat) -> Reply {
    match beat {
        Beat::Trouble => Reply::text(503, "<html>an-api-key</html>"),
        Beat::Busy(wait) => {
            Reply::text(429, "slow down").with_header(format!("Retry-After: {}", wait.as_secs()))
        }
        Beat::Denied => Reply {
            status: 401,
            ..Reply::json(failure(10_001, "the token an-api-key is invalid"))
        },
        Beat::Odd(Odd::Html) => Reply::text(200, "<html>an-api-key</html>"),
        Beat::Odd(Odd::Cut) => Reply::json(r#"{"code":0,"info":"su"#),
        Beat::Odd(Odd::WrongTypes) => Reply::json(success(
            r#"{"job":{"id":7,"status":[]},"pdf_url":[],"status":7}"#,
        )),
        Beat::Odd(Odd::Nothing) => Reply::json(success("{}")),
        _ => Reply::json(""),
    }
}

struct Pdfs;

#[async_trait]
impl Subject for Pdfs {
    type Kind = Pdf;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Pdf> {
        let asked = Asked::default();
        let (record, now, beats) = (asked.clone(), clock.clone(), play.beats.to_vec());
        let vendor = Vendor::start(move |seen| {
            if seen.path() == "job/get" {
                return Say::json(success(
                    r#"{"job":{"id":"1b3dkf13Ac80","status":"succeeded","ppt_url":"https://h/x"}}"#,
                ));
            }
            match record.next(now.now(), &beats) {
                Beat::Silent => Say::Silence,
                Beat::Busy(wait) => {
                    let headers = format!("Retry-After: {}\r\n", wait.as_secs());
                    Say::Headed(429, headers.leak(), b"slow down".to_vec())
                }
                beat => {
                    let reply = pdf(&beat);
                    Say::Reply(reply.status, reply.body)
                }
            }
        })
        .await;
        let client = crate::client(&vendor.url(), clock)
            .with_pdf_facts(play.tune)
            .with_rate(NonZeroU32::MAX)
            .with_shared_rate(play.rate)
            .build()
            .unwrap();
        Stage {
            kind: client.pdf_kind(PdfBudget::calls(1000)),
            id: id("1b3dkf13Ac80"),
            asked,
            vendor: Box::new(vendor),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["an-api-key".to_owned(), "s3cret-signature".to_owned()]
    }
}

/// The vendor's words for a look at an export.
fn pdf(beat: &Beat) -> Reply {
    let export = |url: &str, status: &str, extra: &str| {
        Reply::json(success(&format!(
            r#"{{"pdf_url":"{url}","status":"{status}","queue_wait_count":0,"progress_percent":0,"created_at":"2026-01-01T08:00:00+08:00","finished_at":""{extra}}}"#
        )))
    };
    match beat {
        Beat::Queued => export("", "queued", ""),
        Beat::Running => export("", "running", ""),
        Beat::Unknown(word) => export("", word, ""),
        Beat::Succeeded => export("https://h/x.pdf?s=s3cret-signature", "succeeded", ""),
        Beat::Failed(reason) => export("", "failed", &format!(r#","error":"{reason}""#)),
        other => trouble(other),
    }
}

#[tokio::test]
async fn deck_keeps_the_contract() {
    contract::all(&Decks).await;
}

#[tokio::test]
async fn pdf_keeps_the_contract() {
    contract::all(&Pdfs).await;
}

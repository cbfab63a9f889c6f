//! The kinds keep every promise about waiting.

use std::num::NonZeroU32;

use jobs_core::clock::Clock as _;
use jobs_core::testing::{
    KindUnderTest, MalformedBody, ManualClock, Reply, RequestLog, Script, ScriptStep,
    ScriptedServer, TestVendor, contract,
};
use jobs_core::vendor::async_trait;
use mindshow::{Deck, Pdf, PdfBudget};

use crate::vendor::{Say, Vendor};
use crate::{failure, id, success};

struct Decks;

#[async_trait]
impl KindUnderTest for Decks {
    type Kind = Deck;

    async fn set_up(&self, clock: &ManualClock, play: Script<'_>) -> TestVendor<Deck> {
        let asked = RequestLog::default();
        let server = ScriptedServer::start(clock, play.steps, &asked, deck)
            .await
            .unwrap();
        let client = crate::client(&server.url(), clock)
            .with_policy(play.configure)
            .with_config(|config| {
                config
                    .with_rate(NonZeroU32::MAX)
                    .with_shared_rate(play.shared_rate)
            })
            .build()
            .unwrap();
        TestVendor {
            kind: client.kind(),
            id: id("1b3dkf13Ac80"),
            requests: asked,
            guard: Box::new(server),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["an-api-key".to_owned(), "s3cret-signature".to_owned()]
    }
}

/// The vendor's words for a poll of a deck.
fn deck(beat: &ScriptStep) -> Reply {
    let job = |fields: &str| {
        Reply::json(success(&format!(
            r#"{{"job":{{"id":"1b3dkf13Ac80","title":"Tea","created_at":"2026-01-01T08:00:00+08:00","finished_at":"",{fields}}}}}"#
        )))
    };
    match beat {
        ScriptStep::Queued => {
            job(r#""status":"queued","queue_wait_count":3,"progress_percent":100,"ppt_url":"""#)
        }
        ScriptStep::Running => {
            job(r#""status":"running","queue_wait_count":0,"progress_percent":40,"ppt_url":"""#)
        }
        ScriptStep::Unknown(word) => job(&format!(r#""status":"{word}""#)),
        ScriptStep::Succeeded => job(
            r#""status":"succeeded","progress_percent":0,"ppt_url":"https://h/x.pptx?s=s3cret-signature""#,
        ),
        ScriptStep::Failed(reason) => job(&format!(r#""status":"failed","error":"{reason}""#)),
        other => trouble(other),
    }
}

/// The vendor's words for what is no state of a job.
fn trouble(beat: &ScriptStep) -> Reply {
    match beat {
        ScriptStep::ServerError => Reply::text(503, "<html>an-api-key</html>"),
        ScriptStep::RateLimited(wait) => {
            Reply::text(429, "slow down").with_header(format!("Retry-After: {}", wait.as_secs()))
        }
        ScriptStep::Unauthenticated => Reply {
            status: 401,
            ..Reply::json(failure(10_001, "the token an-api-key is invalid"))
        },
        ScriptStep::Malformed(MalformedBody::Html) => Reply::text(200, "<html>an-api-key</html>"),
        ScriptStep::Malformed(MalformedBody::Truncated) => Reply::json(r#"{"code":0,"info":"su"#),
        ScriptStep::Malformed(MalformedBody::WrongTypes) => Reply::json(success(
            r#"{"job":{"id":7,"status":[]},"pdf_url":[],"status":7}"#,
        )),
        ScriptStep::Malformed(MalformedBody::JobMissing) => Reply::json(success("{}")),
        _ => Reply::json(""),
    }
}

struct Pdfs;

#[async_trait]
impl KindUnderTest for Pdfs {
    type Kind = Pdf;

    async fn set_up(&self, clock: &ManualClock, play: Script<'_>) -> TestVendor<Pdf> {
        let asked = RequestLog::default();
        let (record, now, beats) = (asked.clone(), clock.clone(), play.steps.to_vec());
        let vendor = Vendor::start(move |seen| {
            if seen.path() == "job/get" {
                return Say::json(success(
                    r#"{"job":{"id":"1b3dkf13Ac80","status":"succeeded","ppt_url":"https://h/x"}}"#,
                ));
            }
            match record.record_poll(now.now(), &beats) {
                ScriptStep::NoResponse => Say::Silence,
                ScriptStep::RateLimited(wait) => {
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
            .with_pdf_policy(play.configure)
            .with_config(|config| {
                config
                    .with_rate(NonZeroU32::MAX)
                    .with_shared_rate(play.shared_rate)
            })
            .build()
            .unwrap();
        TestVendor {
            kind: client.pdf_kind(PdfBudget::calls(1000)),
            id: id("1b3dkf13Ac80"),
            requests: asked,
            guard: Box::new(vendor),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["an-api-key".to_owned(), "s3cret-signature".to_owned()]
    }
}

/// The vendor's words for a poll of an export.
fn pdf(beat: &ScriptStep) -> Reply {
    let export = |url: &str, status: &str, extra: &str| {
        Reply::json(success(&format!(
            r#"{{"pdf_url":"{url}","status":"{status}","queue_wait_count":0,"progress_percent":0,"created_at":"2026-01-01T08:00:00+08:00","finished_at":""{extra}}}"#
        )))
    };
    match beat {
        ScriptStep::Queued => export("", "queued", ""),
        ScriptStep::Running => export("", "running", ""),
        ScriptStep::Unknown(word) => export("", word, ""),
        ScriptStep::Succeeded => export("https://h/x.pdf?s=s3cret-signature", "succeeded", ""),
        ScriptStep::Failed(reason) => export("", "failed", &format!(r#","error":"{reason}""#)),
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

//! The kind keeps every promise about waiting, for either API.

use std::num::NonZeroU32;

use jobs_core::testing::{
    Asked, Beat, ManualClock, Odd, Play, Reply, ScriptedServer, Stage, Subject, contract,
};
use jobs_core::{JobId, async_trait};
use ppj::Conversion;

struct AccessKey;

#[async_trait]
impl Subject for AccessKey {
    type Kind = Conversion;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Conversion> {
        let asked = Asked::default();
        let server = ScriptedServer::start(clock, play.beats, &asked, say)
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
            id: JobId::new("8v9iSKnj").unwrap(),
            asked,
            vendor: Box::new(server),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec![crate::KEY.to_owned()]
    }
}

/// The vendor's words. What it never documents, such as HTTP 429, a gateway in front of it may say.
fn say(beat: &Beat) -> Reply {
    let job = |state: &str, last_error: &str| {
        Reply::json(format!(
            r#"{{"token":"8v9iSKnj","name":"deck","state":"{state}","source_filename":"deck.pptx","source_filesize":1024,
                "total_pages":12,"last_error":{last_error},"created_at":"2026-01-01T00:00:00.000Z","created_at_in_ts":1767225600}}"#
        ))
    };
    match beat {
        Beat::Queued => job("uploading", "null"),
        Beat::Running => job("rendering", "null"),
        Beat::Unknown(word) => job(word, "null"),
        Beat::Succeeded => job("notifying", "null"),
        Beat::Failed(reason) => job("halted", &format!("{reason:?}")),
        Beat::Trouble => Reply::text(503, "<html>maintenance</html>"),
        Beat::Busy(wait) => Reply::text(429, "slow down an-access-key")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        Beat::Denied => Reply {
            status: 401,
            ..Reply::json(r#"{"message":"an-access-key is wrong","type":"UnauthorizedError"}"#)
        },
        Beat::Odd(Odd::Html) => Reply::text(200, "<html>an-access-key</html>"),
        Beat::Odd(Odd::Cut) => Reply::json(r#"{"token":"8v9iSKnj","state":"comp"#),
        Beat::Odd(Odd::WrongTypes) => Reply::json(r#"{"token":8,"state":["completed"]}"#),
        Beat::Odd(Odd::Nothing) => Reply::json(r#"{"state":"completed"}"#),
        _ => Reply::json(""),
    }
}

struct Signed;

#[async_trait]
impl Subject for Signed {
    type Kind = Conversion;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Conversion> {
        let asked = Asked::default();
        let server = ScriptedServer::start(clock, play.beats, &asked, say_signed)
            .await
            .unwrap();
        let client = crate::signed_client(&server.url(), clock)
            .with_facts(play.tune)
            .with_rate(NonZeroU32::MAX)
            .with_shared_rate(play.rate)
            .build()
            .unwrap();
        Stage {
            kind: client.kind(),
            id: JobId::new("8v9iSKnj").unwrap(),
            asked,
            vendor: Box::new(server),
        }
    }

    /// The signed API gives no reason for a failure.
    fn can_say(&self, beat: &Beat) -> bool {
        !matches!(beat, Beat::Failed(_))
    }

    fn secrets(&self) -> Vec<String> {
        vec![crate::APP_ID.to_owned(), crate::APP_SECRET.to_owned()]
    }
}

fn say_signed(beat: &Beat) -> Reply {
    let state = |state: &str| Reply::json(format!(r#"{{"state":"{state}"}}"#));
    match beat {
        Beat::Queued => state("uploading"),
        Beat::Running => state("disting"),
        Beat::Unknown(word) => state(word),
        Beat::Succeeded => state("completed"),
        Beat::Trouble => Reply::text(500, "<html>fault</html>"),
        Beat::Busy(wait) => Reply::text(429, "slow down shEgGCzL2QQi")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        Beat::Denied => Reply {
            status: 403,
            ..Reply::json(r#"{"message":"shEgGCzL2QQi is wrong","type":"AuthenticationError"}"#)
        },
        Beat::Odd(Odd::Html) => Reply::text(200, "<html>kKdBnfSJNnBjex9gczp6P9g2</html>"),
        Beat::Odd(Odd::Cut) => Reply::json(r#"{"state":"comp"#),
        Beat::Odd(Odd::WrongTypes) => Reply::json(r#"{"state":{"completed":true}}"#),
        Beat::Odd(Odd::Nothing) => Reply::json("{}"),
        _ => Reply::json(""),
    }
}

#[tokio::test]
async fn conversion_keeps_the_contract() {
    contract::all(&AccessKey).await;
}

#[tokio::test]
async fn conversion_of_a_signed_account_keeps_the_contract() {
    contract::all(&Signed).await;
}

//! The kind keeps every promise about waiting, for either API.

use std::num::NonZeroU32;

use jobs_core::JobId;
use jobs_core::testing::{
    KindUnderTest, MalformedBody, ManualClock, Reply, RequestLog, Script, ScriptStep,
    ScriptedServer, TestVendor, contract,
};
use jobs_core::vendor::async_trait;
use ppj::Conversion;

struct AccessKey;

#[async_trait]
impl KindUnderTest for AccessKey {
    type Kind = Conversion;

    async fn set_up(&self, clock: &ManualClock, play: Script<'_>) -> TestVendor<Conversion> {
        let asked = RequestLog::default();
        let server = ScriptedServer::start(clock, play.steps, &asked, say)
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
            id: JobId::new("8v9iSKnj").unwrap(),
            requests: asked,
            guard: Box::new(server),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec![crate::KEY.to_owned()]
    }
}

/// The vendor's words. What it never documents, such as HTTP 429, a gateway in front of it may say.
fn say(beat: &ScriptStep) -> Reply {
    let job = |state: &str, last_error: &str| {
        Reply::json(format!(
            r#"{{"token":"8v9iSKnj","name":"deck","state":"{state}","source_filename":"deck.pptx","source_filesize":1024,
                "total_pages":12,"last_error":{last_error},"created_at":"2026-01-01T00:00:00.000Z","created_at_in_ts":1767225600}}"#
        ))
    };
    match beat {
        ScriptStep::Queued => job("uploading", "null"),
        ScriptStep::Running => job("rendering", "null"),
        ScriptStep::Unknown(word) => job(word, "null"),
        ScriptStep::Succeeded => job("notifying", "null"),
        ScriptStep::Failed(reason) => job("halted", &format!("{reason:?}")),
        ScriptStep::ServerError => Reply::text(503, "<html>maintenance</html>"),
        ScriptStep::RateLimited(wait) => Reply::text(429, "slow down an-access-key")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        ScriptStep::Unauthenticated => Reply {
            status: 401,
            ..Reply::json(r#"{"message":"an-access-key is wrong","type":"UnauthorizedError"}"#)
        },
        ScriptStep::Malformed(MalformedBody::Html) => {
            Reply::text(200, "<html>an-access-key</html>")
        }
        ScriptStep::Malformed(MalformedBody::Truncated) => {
            Reply::json(r#"{"token":"8v9iSKnj","state":"comp"#)
        }
        ScriptStep::Malformed(MalformedBody::WrongTypes) => {
            Reply::json(r#"{"token":8,"state":["completed"]}"#)
        }
        ScriptStep::Malformed(MalformedBody::JobMissing) => Reply::json(r#"{"state":"completed"}"#),
        _ => Reply::json(""),
    }
}

struct Signed;

#[async_trait]
impl KindUnderTest for Signed {
    type Kind = Conversion;

    async fn set_up(&self, clock: &ManualClock, play: Script<'_>) -> TestVendor<Conversion> {
        let asked = RequestLog::default();
        let server = ScriptedServer::start(clock, play.steps, &asked, say_signed)
            .await
            .unwrap();
        let client = crate::signed_client(&server.url(), clock)
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
            id: JobId::new("8v9iSKnj").unwrap(),
            requests: asked,
            guard: Box::new(server),
        }
    }

    /// The signed API gives no reason for a failure.
    fn supports(&self, beat: &ScriptStep) -> bool {
        !matches!(beat, ScriptStep::Failed(_))
    }

    fn secrets(&self) -> Vec<String> {
        vec![crate::APP_ID.to_owned(), crate::APP_SECRET.to_owned()]
    }
}

fn say_signed(beat: &ScriptStep) -> Reply {
    let state = |state: &str| Reply::json(format!(r#"{{"state":"{state}"}}"#));
    match beat {
        ScriptStep::Queued => state("uploading"),
        ScriptStep::Running => state("disting"),
        ScriptStep::Unknown(word) => state(word),
        ScriptStep::Succeeded => state("completed"),
        ScriptStep::ServerError => Reply::text(500, "<html>fault</html>"),
        ScriptStep::RateLimited(wait) => Reply::text(429, "slow down shEgGCzL2QQi")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        ScriptStep::Unauthenticated => Reply {
            status: 403,
            ..Reply::json(r#"{"message":"shEgGCzL2QQi is wrong","type":"AuthenticationError"}"#)
        },
        ScriptStep::Malformed(MalformedBody::Html) => {
            Reply::text(200, "<html>kKdBnfSJNnBjex9gczp6P9g2</html>")
        }
        ScriptStep::Malformed(MalformedBody::Truncated) => Reply::json(r#"{"state":"comp"#),
        ScriptStep::Malformed(MalformedBody::WrongTypes) => {
            Reply::json(r#"{"state":{"completed":true}}"#)
        }
        ScriptStep::Malformed(MalformedBody::JobMissing) => Reply::json("{}"),
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

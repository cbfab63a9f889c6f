//! The kind keeps every promise about waiting.

use std::num::NonZeroU32;

use jobs_core::JobId;
use jobs_core::testing::{
    KindUnderTest, MalformedBody, ManualClock, Reply, RequestLog, Script, ScriptStep,
    ScriptedServer, TestVendor, contract,
};
use jobs_core::vendor::async_trait;
use textin::Parse;

struct TextIn;

#[async_trait]
impl KindUnderTest for TextIn {
    type Kind = Parse;

    async fn set_up(&self, clock: &ManualClock, play: Script<'_>) -> TestVendor<Parse> {
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
            id: JobId::new("c020a1f0").unwrap(),
            requests: asked,
            guard: Box::new(server),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["an-app-id".to_owned(), "a-secret-code".to_owned()]
    }
}

/// The vendor's words. What it never documents, such as HTTP 429, a gateway in front of it may say.
fn say(beat: &ScriptStep) -> Reply {
    let status = |status: &str| {
        Reply::json(format!(
            r#"{{"code":200,"message":"success","data":{{"job_id":"c020a1f0","file_id":"00c685ba",{status}}}}}"#
        ))
    };
    match beat {
        ScriptStep::Queued => status(r#""status":"pending""#),
        ScriptStep::Running => status(r#""status":"in_progress""#),
        ScriptStep::Unknown(word) => status(&format!(r#""status":"{word}""#)),
        ScriptStep::Succeeded => status(
            r#""status":"completed","result_url":"https://web-api.textin.com/file/xparse_result/x""#,
        ),
        ScriptStep::Failed(reason) => status(&format!(r#""status":"failed","message":"{reason}""#)),
        ScriptStep::ServerError => {
            Reply::json(r#"{"code":30203,"message":"基础服务故障，请稍后重试"}"#)
        }
        ScriptStep::RateLimited(wait) => Reply::text(429, "slow down an-app-id")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        ScriptStep::Unauthenticated => {
            Reply::json(r#"{"code":40102,"message":"a-secret-code is wrong","x_request_id":"r1"}"#)
        }
        ScriptStep::Malformed(MalformedBody::Html) => {
            Reply::text(200, "<html>a-secret-code</html>")
        }
        ScriptStep::Malformed(MalformedBody::Truncated) => {
            Reply::json(r#"{"code":200,"message":"succ"#)
        }
        ScriptStep::Malformed(MalformedBody::WrongTypes) => {
            Reply::json(r#"{"code":200,"message":"success","data":{"job_id":7,"status":[]}}"#)
        }
        ScriptStep::Malformed(MalformedBody::JobMissing) => {
            Reply::json(r#"{"code":200,"message":"success","data":null}"#)
        }
        _ => Reply::json(""),
    }
}

#[tokio::test]
async fn parse_keeps_the_contract() {
    contract::all(&TextIn).await;
}

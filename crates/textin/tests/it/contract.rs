//! The kind keeps every promise about waiting.

use std::num::NonZeroU32;

use jobs_core::testing::{
    Asked, Beat, ManualClock, Odd, Play, Reply, ScriptedServer, Stage, Subject, contract,
};
use jobs_core::{JobId, async_trait};
use textin::Parse;

struct TextIn;

#[async_trait]
impl Subject for TextIn {
    type Kind = Parse;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Parse> {
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
            id: JobId::new("c020a1f0").unwrap(),
            asked,
            vendor: Box::new(server),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["an-app-id".to_owned(), "a-secret-code".to_owned()]
    }
}

/// The vendor's words. What it never documents, such as HTTP 429, a gateway in front of it may say.
fn say(beat: &Beat) -> Reply {
    let status = |status: &str| {
        Reply::json(format!(
            r#"{{"code":200,"message":"success","data":{{"job_id":"c020a1f0","file_id":"00c685ba",{status}}}}}"#
        ))
    };
    match beat {
        Beat::Queued => status(r#""status":"pending""#),
        Beat::Running => status(r#""status":"in_progress""#),
        Beat::Unknown(word) => status(&format!(r#""status":"{word}""#)),
        Beat::Succeeded => status(
            r#""status":"completed","result_url":"https://web-api.textin.com/file/xparse_result/x""#,
        ),
        Beat::Failed(reason) => status(&format!(r#""status":"failed","message":"{reason}""#)),
        Beat::Trouble => Reply::json(r#"{"code":30203,"message":"基础服务故障，请稍后重试"}"#),
        Beat::Busy(wait) => Reply::text(429, "slow down an-app-id")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        Beat::Denied => {
            Reply::json(r#"{"code":40102,"message":"a-secret-code is wrong","x_request_id":"r1"}"#)
        }
        Beat::Odd(Odd::Html) => Reply::text(200, "<html>a-secret-code</html>"),
        Beat::Odd(Odd::Cut) => Reply::json(r#"{"code":200,"message":"succ"#),
        Beat::Odd(Odd::WrongTypes) => {
            Reply::json(r#"{"code":200,"message":"success","data":{"job_id":7,"status":[]}}"#)
        }
        Beat::Odd(Odd::Nothing) => Reply::json(r#"{"code":200,"message":"success","data":null}"#),
        _ => Reply::json(""),
    }
}

#[tokio::test]
async fn parse_keeps_the_contract() {
    contract::all(&TextIn).await;
}

//! The kind keeps every promise about waiting, by either pair of operations.

use std::num::NonZeroU32;

use jobs_core::JobId;
use jobs_core::testing::{
    KindUnderTest, MalformedBody, ManualClock, Reply, RequestLog, Script, ScriptStep,
    ScriptedServer, TestVendor, contract,
};
use jobs_core::vendor::async_trait;
use tencent_ess::{Conversion, Family, Operator, Product};

use crate::{SECRET_ID, SECRET_KEY, platform, secret};

struct Tencent {
    product: Product,
    family: Family,
}

#[async_trait]
impl KindUnderTest for Tencent {
    type Kind = Conversion;

    async fn set_up(&self, clock: &ManualClock, play: Script<'_>) -> TestVendor<Conversion> {
        let asked = RequestLog::default();
        let server = ScriptedServer::start(clock, play.steps, &asked, say)
            .await
            .unwrap();
        let url = server.url();
        let client = crate::client_of(self.product.clone(), &url, &url, clock)
            .with_family(self.family)
            .with_session_token(secret("one-session-token"))
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
            id: JobId::new("yDRS4UUgygqdcj56UuO4zjExBQcOiB68").unwrap(),
            requests: asked,
            guard: Box::new(server),
        }
    }

    fn rate_action(&self) -> &str {
        match (self.family, &self.product) {
            (Family::Current, _) => "DescribeFileConvertTask",
            (_, Product::Ess { .. }) => "GetTaskResultApi",
            _ => "ChannelGetTaskResultApi",
        }
    }

    fn secrets(&self) -> Vec<String> {
        [SECRET_ID, SECRET_KEY, "one-session-token"]
            .map(str::to_owned)
            .into()
    }
}

/// The vendor's words. What it never documents, such as HTTP 429, a gateway in front of it may say.
fn say(beat: &ScriptStep) -> Reply {
    let status = |status: i64, message: &str, resource_id: &str| {
        Reply::json(format!(
            r#"{{"Response":{{"RequestId":"s1698837600515440954","ResourceId":{resource_id},"TaskId":"20231101191954296703","TaskMessage":"{message}","TaskStatus":{status}}}}}"#
        ))
    };
    let failure = |code: &str, message: &str| {
        Reply::json(format!(
            r#"{{"Response":{{"Error":{{"Code":"{code}","Message":"{message}"}},"RequestId":"r1"}}}}"#
        ))
    };
    match beat {
        ScriptStep::Queued => status(0, "NeedTranform", "null"),
        ScriptStep::Running => status(4, "文档转换中", r#""""#),
        ScriptStep::Unknown(word) => status(6, word, r#""""#),
        ScriptStep::Succeeded => status(8, "任务处理完成", r#""yDSLOUUckpoji469U5GRz2w1NRiV2lPp""#),
        ScriptStep::Failed(reason) => status(-6, reason, "null"),
        ScriptStep::ServerError => failure("InternalError", "内部错误"),
        ScriptStep::RateLimited(wait) => Reply::text(429, "slow down one-secret-key")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        ScriptStep::Unauthenticated => failure(
            "AuthFailure.SecretIdNotFound",
            "AKIDone-secret-id and one-session-token are not found",
        ),
        ScriptStep::Malformed(MalformedBody::Html) => {
            Reply::text(200, "<html>one-secret-key</html>")
        }
        ScriptStep::Malformed(MalformedBody::Truncated) => {
            Reply::json(r#"{"Response":{"TaskStatus":8,"Res"#)
        }
        ScriptStep::Malformed(MalformedBody::WrongTypes) => {
            Reply::json(r#"{"Response":{"TaskStatus":[8],"ResourceId":{},"TaskId":7}}"#)
        }
        ScriptStep::Malformed(MalformedBody::JobMissing) => {
            Reply::json(r#"{"Response":{"RequestId":"r1"}}"#)
        }
        _ => Reply::json(""),
    }
}

#[tokio::test]
async fn conversion_keeps_the_contract() {
    contract::all(&Tencent {
        product: platform(),
        family: Family::Current,
    })
    .await;
}

#[tokio::test]
async fn conversion_by_the_older_operations_keeps_the_contract() {
    contract::all(&Tencent {
        product: platform(),
        family: Family::Legacy,
    })
    .await;
}

#[tokio::test]
async fn conversion_of_the_company_edition_keeps_the_contract() {
    contract::all(&Tencent {
        product: Operator::new("user").into(),
        family: Family::Legacy,
    })
    .await;
}

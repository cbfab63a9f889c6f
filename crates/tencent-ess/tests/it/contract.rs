//! The kind keeps every promise about waiting, by either pair of operations.

use std::num::NonZeroU32;

use jobs_core::testing::{
    Asked, Beat, ManualClock, Odd, Play, Reply, ScriptedServer, Stage, Subject, contract,
};
use jobs_core::{JobId, async_trait};
use tencent_ess::{Conversion, Family, Operator, Product};

use crate::{SECRET_ID, SECRET_KEY, platform, secret};

struct Tencent {
    product: Product,
    family: Family,
}

#[async_trait]
impl Subject for Tencent {
    type Kind = Conversion;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Conversion> {
        let asked = Asked::default();
        let server = ScriptedServer::start(clock, play.beats, &asked, say)
            .await
            .unwrap();
        let url = server.url();
        let client = crate::client_of(self.product.clone(), &url, &url, clock)
            .with_family(self.family)
            .with_session_token(secret("one-session-token"))
            .with_facts(play.tune)
            .with_rate(NonZeroU32::MAX)
            .with_shared_rate(play.rate)
            .build()
            .unwrap();
        Stage {
            kind: client.kind(),
            id: JobId::new("yDRS4UUgygqdcj56UuO4zjExBQcOiB68").unwrap(),
            asked,
            vendor: Box::new(server),
        }
    }

    fn counted_as(&self) -> &str {
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
fn say(beat: &Beat) -> Reply {
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
        Beat::Queued => status(0, "NeedTranform", "null"),
        Beat::Running => status(4, "文档转换中", r#""""#),
        Beat::Unknown(word) => status(6, word, r#""""#),
        Beat::Succeeded => status(8, "任务处理完成", r#""yDSLOUUckpoji469U5GRz2w1NRiV2lPp""#),
        Beat::Failed(reason) => status(-6, reason, "null"),
        Beat::Trouble => failure("InternalError", "内部错误"),
        Beat::Busy(wait) => Reply::text(429, "slow down one-secret-key")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        Beat::Denied => failure(
            "AuthFailure.SecretIdNotFound",
            "AKIDone-secret-id and one-session-token are not found",
        ),
        Beat::Odd(Odd::Html) => Reply::text(200, "<html>one-secret-key</html>"),
        Beat::Odd(Odd::Cut) => Reply::json(r#"{"Response":{"TaskStatus":8,"Res"#),
        Beat::Odd(Odd::WrongTypes) => {
            Reply::json(r#"{"Response":{"TaskStatus":[8],"ResourceId":{},"TaskId":7}}"#)
        }
        Beat::Odd(Odd::Nothing) => Reply::json(r#"{"Response":{"RequestId":"r1"}}"#),
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

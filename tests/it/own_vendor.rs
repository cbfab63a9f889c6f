//! A vendor crate that a stranger wrote keeps the contract, and buys once.

use std::num::NonZeroU32;
use std::time::Duration;

use docjobs_tests::own_vendor::{Capitals, Client};
use jobs_core::http::ClientConfig;
use jobs_core::testing::{
    KindUnderTest, MalformedBody, ManualClock, Reply, RequestLog, Script, ScriptStep,
    ScriptedServer, TestVendor, contract,
};
use jobs_core::vendor::async_trait;
use jobs_core::{JobId, Secret};

fn client(server: &ScriptedServer, clock: &ManualClock, script: Script<'_>) -> Client {
    let config = ClientConfig::new()
        .with_base_url(server.url())
        .with_clock(clock.shared())
        .with_rate(NonZeroU32::MAX)
        .with_shared_rate(script.shared_rate);
    Client::new(Secret::new("a-key").unwrap(), &config, script.configure).unwrap()
}

struct CapitalsUnderTest;

#[async_trait]
impl KindUnderTest for CapitalsUnderTest {
    type Kind = Capitals;

    async fn set_up(&self, clock: &ManualClock, script: Script<'_>) -> TestVendor<Capitals> {
        let requests = RequestLog::default();
        let server = ScriptedServer::start(clock, script.steps, &requests, say)
            .await
            .unwrap();
        TestVendor {
            kind: client(&server, clock, script).0,
            id: JobId::new("j1").unwrap(),
            requests,
            guard: Box::new(server),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec!["a-key".to_owned()]
    }
}

fn say(step: &ScriptStep) -> Reply {
    let job = |rest: &str| Reply::json(format!(r#"{{"id":"j1",{rest}}}"#));
    match step {
        ScriptStep::Queued => job(r#""state":"waiting""#),
        ScriptStep::Running => job(r#""state":"working""#),
        ScriptStep::Unknown(word) => job(&format!(r#""state":"{word}""#)),
        ScriptStep::Succeeded => job(r#""state":"done","result":"A TEXT""#),
        ScriptStep::Failed(reason) => job(&format!(r#""state":"failed","reason":"{reason}""#)),
        ScriptStep::ServerError => Reply::text(503, "later"),
        ScriptStep::RateLimited(wait) => Reply::text(429, "a-key is too fast")
            .with_header(format!("Retry-After: {}", wait.as_secs())),
        ScriptStep::Unauthenticated => Reply::text(401, "a-key is wrong"),
        ScriptStep::Malformed(MalformedBody::Html) => Reply::text(200, "<html>a-key</html>"),
        ScriptStep::Malformed(MalformedBody::Truncated) => Reply::json(r#"{"id":"j1","sta"#),
        ScriptStep::Malformed(MalformedBody::WrongTypes) => Reply::json(r#"{"id":7,"state":[]}"#),
        ScriptStep::Malformed(MalformedBody::JobMissing) => Reply::json("{}"),
        _ => Reply::json(""),
    }
}

#[tokio::test]
async fn a_strangers_kind_keeps_the_contract() {
    contract::all(&CapitalsUnderTest).await;
}

#[tokio::test]
async fn a_strangers_submit_is_one_request_and_its_job_can_be_waited_for() {
    let clock = ManualClock::new();
    let requests = RequestLog::default();
    // The same words answer the submit and the polls, as the service's status call does.
    let steps = [
        ScriptStep::Queued,
        ScriptStep::Running,
        ScriptStep::Succeeded,
    ];
    let server = ScriptedServer::start(&clock, &steps, &requests, say)
        .await
        .unwrap();
    let config = ClientConfig::new()
        .with_base_url(server.url())
        .with_clock(clock.shared());
    let client = Client::new(Secret::new("a-key").unwrap(), &config, |_| {}).unwrap();
    let job = clock.run(client.submit("a text")).await.unwrap();
    assert_eq!((job.id().as_str(), requests.count()), ("j1", 1));
    let text = clock.run(job.wait(Duration::from_secs(60))).await.unwrap();
    assert_eq!((text.as_str(), requests.count()), ("A TEXT", 3));
}

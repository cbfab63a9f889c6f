//! Print jobs as a kind: the contract, and what one request can see.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs_core::testing::{
    KindUnderTest, MalformedBody, ManualClock, RequestLog, Script, ScriptStep, TestVendor, contract,
};
use jobs_core::vendor::{JobKind, RateLimit, async_trait};
use jobs_core::{Error, ErrorKind, JobId, Snapshot, Status};
use printer_jobs::{Device, PrintJob, Printed};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::cloud::{Cloud, Say, drive, online};

struct Printer {
    headerless: bool,
}

const JOB: &str = "printer_job_1700000001_0f";

#[async_trait]
impl KindUnderTest for Printer {
    type Kind = PrintJob;

    async fn set_up(&self, clock: &ManualClock, play: Script<'_>) -> TestVendor<PrintJob> {
        let asked = RequestLog::default();
        let (beats, record, time) = (play.steps.to_vec(), asked.clone(), clock.clone());
        let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
            "printer/get_job_list" => {
                use jobs_core::clock::Clock as _;
                say(&record.record_poll(time.now(), &beats), &seen.req_id)
            }
            _ => Say::Usual,
        })
        .await;
        cloud.state().headerless = self.headerless;
        let endless = RateLimit {
            limit: NonZeroU32::MAX,
            per: Duration::from_secs(1),
        };
        let builder = cloud
            .device(clock)
            .with_list_rate(Some(endless))
            .with_shared_rate(play.shared_rate)
            .with_policy(play.configure);
        let device = online(builder).await;
        TestVendor {
            kind: device.kind(),
            id: JobId::new(JOB).unwrap(),
            requests: asked,
            guard: Box::new((cloud, device)),
        }
    }

    fn supports(&self, beat: &ScriptStep) -> bool {
        // It has no word for "slow down"; and without ids in answers a late one is taken for the next, which costs one
        // more look than this check allows.
        match beat {
            ScriptStep::RateLimited(_) => false,
            ScriptStep::NoResponse => !self.headerless,
            _ => true,
        }
    }

    fn rate_action(&self) -> &str {
        "list"
    }

    fn secrets(&self) -> Vec<String> {
        [
            crate::cloud::SECRET_NO,
            "active-code-1",
            "activation-secret-1",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

fn say(beat: &ScriptStep, req_id: &str) -> Say {
    let item = |status: Value| Say::Body(json!({"printer_job_list": [status]}));
    match beat {
        // The cloud knows only that a job is not printed yet.
        ScriptStep::Queued | ScriptStep::Running => item(json!({"jobid": JOB, "status": 0})),
        ScriptStep::Unknown(word) => {
            item(json!({"jobid": JOB, "status": word.parse::<i64>().unwrap()}))
        }
        ScriptStep::Succeeded => item(json!({"jobid": JOB, "status": 1})),
        ScriptStep::Failed(reason) => {
            item(json!({"jobid": JOB, "status": 2, "errcode": "7", "errmsg": reason}))
        }
        ScriptStep::ServerError => Say::Code(-1, "system error, hint: [1700000000_1_ab]"),
        ScriptStep::Unauthenticated => {
            Say::Code(600_051, "device with activation-secret-1 expired")
        }
        ScriptStep::Malformed(MalformedBody::Html) => Say::Raw(Message::text(
            "<html>activation-secret-1 active-code-1</html>",
        )),
        ScriptStep::Malformed(MalformedBody::Truncated) => Say::Raw(Message::text(format!(
            r#"{{"headers":{{"req_id":"{req_id}"}},"errcode":0,"bo"#
        ))),
        ScriptStep::Malformed(MalformedBody::WrongTypes) => item(json!({"jobid": 7, "status": []})),
        ScriptStep::Malformed(MalformedBody::JobMissing) => {
            Say::Body(json!({"printer_job_list": []}))
        }
        ScriptStep::Malformed(MalformedBody::Empty) => Say::Raw(Message::text("")),
        _ => Say::Nothing,
    }
}

#[tokio::test]
async fn print_jobs_keep_the_contract() {
    contract::all(&Printer { headerless: false }).await;
}

#[tokio::test]
async fn print_jobs_keep_the_contract_without_request_ids() {
    contract::all(&Printer { headerless: true }).await;
}

fn ids(count: usize) -> Vec<JobId> {
    (0..count)
        .map(|n| JobId::new(format!("printer_job_{n}")).unwrap())
        .collect()
}

async fn observe(
    clock: &ManualClock,
    device: &Device,
    ids: &[JobId],
) -> Vec<Result<Snapshot<Printed>, Error>> {
    drive(clock, device, device.kind().poll(ids))
        .await
        .into_vec()
}

#[tokio::test]
async fn a_thousand_jobs_are_observed_with_five_requests() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => {
            let asked = seen.body["jobid_list"].as_array().unwrap();
            assert!(asked.len() <= 200);
            let items: Vec<Value> = asked
                .iter()
                .rev()
                .map(|id| json!({"jobid": id, "status": 1}))
                .collect();
            Say::Body(json!({"printer_job_list": items}))
        }
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let ids = ids(1000);
    let batch = device.kind().policy().max_batch.value.get();
    let mut done = 0;
    for part in ids.chunks(batch) {
        let polls = observe(&clock, &device, part).await;
        for (id, poll) in part.iter().zip(polls) {
            let Status::Succeeded(printed) = poll.unwrap().status else {
                panic!("{id} is not printed");
            };
            assert_eq!(printed.job_id, *id);
            done += 1;
        }
    }
    assert_eq!(done, 1000);
    assert_eq!(cloud.asked("printer/get_job_list").len(), 5);
    use jobs_core::clock::Clock as _;
    assert_eq!(clock.now().since_start().as_secs(), 4, "one list a second");
}

#[tokio::test]
async fn every_status_reads_as_it_should_and_unmentioned_jobs_are_failed_polls() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => Say::Body(json!({"printer_job_list": [
            {"jobid": "printer_job_0", "status": "0"},
            {"jobid": "printer_job_1", "status": 1, "errmsg": "ok"},
            {"jobid": "printer_job_2", "status": 2, "errcode": 3, "errmsg": "缺纸"},
            {"jobid": "printer_job_3", "doc_size": 5},
            {"jobid": "printer_job_4", "status": 9},
            {"jobid": "somebody-elses", "status": 1},
        ]})),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let polls = observe(&clock, &device, &ids(6)).await;
    let status = |n: usize| &polls[n].as_ref().unwrap().status;
    assert_eq!(status(0), &Status::Queued);
    assert!(matches!(status(1), Status::Succeeded(it) if &*it.message == "ok"));
    assert!(
        matches!(status(2), Status::Failed(it) if &*it.reason == "缺纸" && it.code.as_deref() == Some("3"))
    );
    for (n, word) in [(3, "listed without a status"), (4, "9")] {
        let poll = polls[n].as_ref().unwrap();
        assert_eq!((&*poll.vendor_status, poll.is_known), (word, false));
        assert_eq!(poll.status, Status::Running);
    }
    let unmentioned = polls[5].as_ref().unwrap_err();
    assert_eq!(unmentioned.kind(), ErrorKind::UnexpectedResponse);
    assert_eq!(unmentioned.job().unwrap().as_str(), "printer_job_5");
}

#[tokio::test]
async fn a_job_is_gone_after_several_absences_or_one_after_a_deletion() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => Say::Body(json!({"printer_job_list": []})),
        _ => Say::Usual,
    })
    .await;
    let gone_after = NonZeroU32::new(2).unwrap();
    let device = online(cloud.device(&clock).with_gone_after(gone_after)).await;
    let mut events = device.events();
    cloud.push(Message::text(
        r#"{"cmd":"push_del_printer_job","headers":{"req_id":"p1"},"body":{"jobid_list":["printer_job_0"]}}"#,
    ));
    events.next().await.unwrap();
    let polls = observe(&clock, &device, &ids(2)).await;
    assert_eq!(polls[0].as_ref().unwrap().status, Status::Gone);
    assert!(polls[1].is_err());
    let polls = observe(&clock, &device, &ids(2)[1..]).await;
    assert_eq!(polls[0].as_ref().unwrap().status, Status::Gone);
}

#[tokio::test]
async fn looking_at_nothing_asks_nothing() {
    let clock = ManualClock::new();
    let listed = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&listed);
    let cloud = Cloud::start(move |seen| {
        *counter.lock().unwrap() += usize::from(seen.cmd.starts_with("printer/"));
        Say::Usual
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    assert!(observe(&clock, &device, &[]).await.is_empty());
    assert!(device.jobs_by_id(&[]).await.unwrap().is_empty());
    assert_eq!(*listed.lock().unwrap(), 0);
}

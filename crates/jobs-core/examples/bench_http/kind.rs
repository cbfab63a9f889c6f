//! A kind as vendor crates write them: one request through the transport, the answer decoded, each job found in it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::Clock;
use jobs_core::http::{Body, HttpClient, HttpClientBuilder, Origin, Request, Response};
use jobs_core::vendor::{
    Account, JobKind, KindPolicy, PollResult, PollResults, PollSchedule, Sourced, async_trait,
};
use jobs_core::{Error, JobId, Snapshot, Status};
use serde::{Deserialize, Serialize};

const VENDOR: &str = "loopback";

/// Polls one job a request, or many.
pub(crate) struct Loopback {
    transport: HttpClient,
    account: Account,
    policy: KindPolicy,
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loopback")
    }
}

impl Loopback {
    pub(crate) fn new(address: SocketAddr, batch: usize) -> Self {
        let pause = Duration::from_millis(1);
        let source = "made up: always due again";
        let mut policy = KindPolicy::new(
            Sourced::inferred(pause, source),
            Sourced::inferred(Duration::ZERO, source),
            Sourced::inferred(PollSchedule::every(pause), source),
        );
        policy.max_batch.set(batch.try_into().unwrap());
        let origin = Origin::parse(&format!("http://{address}")).unwrap();
        Self {
            transport: HttpClientBuilder::new(VENDOR, origin).build().unwrap(),
            account: Account::of(VENDOR, "anybody"),
            policy,
        }
    }

    async fn one(&self, id: &JobId) -> PollResult<()> {
        let request = Request::get("poll", &["jobs", id.as_str()]).for_job(id);
        let answer = self.transport.send(request).await?;
        let job: Job = decoded(&answer)?;
        Ok(answer.redact_snapshot(snapshot(&job)))
    }

    async fn many(&self, ids: &[JobId]) -> Result<PollResults<()>, Error> {
        let wanted = Wanted {
            ids: ids.iter().map(JobId::as_str).collect(),
        };
        let body = Body::Bytes {
            content_type: "application/json",
            bytes: serde_json::to_vec(&wanted).unwrap().into(),
        };
        let request = Request::post("poll", &["jobs"]).with_body(body);
        let answer = self.transport.send(request).await?;
        let list: List<'_> = decoded(&answer)?;
        let mut polls = PollResults::of(VENDOR, ids);
        // The vendor answers in the order of asking.
        for (place, (id, job)) in ids.iter().zip(&list.jobs).enumerate() {
            if id.as_str() == job.id {
                polls.set(place, Ok(answer.redact_snapshot(snapshot(job))));
            }
        }
        Ok(polls)
    }
}

#[derive(Serialize)]
struct Wanted<'a> {
    ids: Vec<&'a str>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    jobs: Vec<Job<'a>>,
}

/// A job in the vendor's words.
#[derive(Deserialize)]
pub(crate) struct Job<'a> {
    pub(crate) id: &'a str,
    pub(crate) state: &'a str,
}

fn decoded<'a, T: Deserialize<'a>>(answer: &'a Response) -> Result<T, Error> {
    if let Some(error) = answer.http_failure() {
        return Err(error);
    }
    serde_json::from_slice(answer.body()).map_err(|cause| answer.unexpected_with("no job", cause))
}

fn snapshot(job: &Job<'_>) -> Snapshot<()> {
    let status = match job.state {
        "done" => Status::Succeeded(()),
        _ => Status::Running,
    };
    Snapshot::new(status, job.state)
}

#[async_trait]
impl JobKind for Loopback {
    type Output = ();

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn name(&self) -> &'static str {
        "play"
    }

    fn account(&self) -> Account {
        self.account
    }

    fn policy(&self) -> &KindPolicy {
        &self.policy
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.transport.clock()
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<()> {
        if let [id] = ids {
            let mut polls = PollResults::of(VENDOR, ids);
            polls.set(0, self.one(id).await);
            return polls;
        }
        match self.many(ids).await {
            Ok(polls) => polls,
            Err(error) => PollResults::failed(ids, &error),
        }
    }
}

//! A kind as vendor crates write them: one request through the transport, the answer decoded, each job found in it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::http::{Answer, Body, Origin, Request, Transport, TransportBuilder};
use jobs_core::{
    Account, Clock, Error, Fact, Facts, JobId, JobKind, Look, Looks, Pacing, Snapshot, Status,
    async_trait,
};
use serde::{Deserialize, Serialize};

const VENDOR: &str = "loopback";

/// Looks at one job a request, or at many.
pub(crate) struct Loopback {
    transport: Transport,
    account: Account,
    facts: Facts,
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
        let mut facts = Facts::new(
            Fact::inferred(pause, source),
            Fact::inferred(Duration::ZERO, source),
            Fact::inferred(Pacing::every(pause), source),
            &[],
        );
        facts.batch.set(batch.try_into().unwrap());
        let origin = Origin::parse(&format!("http://{address}")).unwrap();
        Self {
            transport: TransportBuilder::new(VENDOR, origin).build().unwrap(),
            account: Account::of(VENDOR, "anybody"),
            facts,
        }
    }

    async fn one(&self, id: &JobId) -> Look<()> {
        let request = Request::get("look", &["jobs", id.as_str()]).for_job(id);
        let answer = self.transport.send(request).await?;
        let job: Job = decoded(&answer)?;
        Ok(answer.clean_snapshot(snapshot(&job)))
    }

    async fn many(&self, ids: &[JobId]) -> Result<Looks<()>, Error> {
        let wanted = Wanted {
            ids: ids.iter().map(JobId::as_str).collect(),
        };
        let body = Body::Bytes {
            content_type: "application/json",
            bytes: serde_json::to_vec(&wanted).unwrap().into(),
        };
        let request = Request::post("look", &["jobs"]).with_body(body);
        let answer = self.transport.send(request).await?;
        let list: List<'_> = decoded(&answer)?;
        let mut looks = Looks::of(VENDOR, ids);
        // The vendor answers in the order of asking.
        for (place, (id, job)) in ids.iter().zip(&list.jobs).enumerate() {
            if id.as_str() == job.id {
                looks.set(place, Ok(answer.clean_snapshot(snapshot(job))));
            }
        }
        Ok(looks)
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

fn decoded<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, Error> {
    if let Some(error) = answer.http_failure() {
        return Err(error);
    }
    serde_json::from_slice(answer.body()).map_err(|cause| answer.garbled_by("no job", cause))
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

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.transport.clock()
    }

    async fn observe(&self, ids: &[JobId]) -> Looks<()> {
        if let [id] = ids {
            let mut looks = Looks::of(VENDOR, ids);
            looks.set(0, self.one(id).await);
            return looks;
        }
        match self.many(ids).await {
            Ok(looks) => looks,
            Err(error) => Looks::failed(ids, &error),
        }
    }
}

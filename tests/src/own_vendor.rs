//! A vendor crate as a stranger writes it, on what `jobs-core` makes public: a service that turns a text into capitals, with
//! one paid call and one status call. The tests put it through the contract that every kind must keep.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::Clock;
use jobs_core::http::{Body, ClientConfig, HttpClient, LenientValue, Request, Response};
use jobs_core::vendor::{
    Account, Failure, JobKind, KindPolicy, PollResult, PollResults, PollSchedule, Sourced,
    async_trait, retry,
};
use jobs_core::{Error, ErrorKind, Job, JobId, Secret, Snapshot, Status, SubmitError};

const VENDOR: &str = "capitals";

/// An account.
#[derive(Debug, Clone)]
pub struct Client(pub Arc<Capitals>);

/// The kind of its jobs.
#[derive(Debug)]
pub struct Capitals {
    http: HttpClient,
    key: Secret,
    policy: KindPolicy,
}

impl Client {
    /// The account of `key`. An unusable base address is an error.
    pub fn new(
        key: Secret,
        config: &ClientConfig,
        change: impl FnOnce(&mut KindPolicy),
    ) -> Result<Self, Error> {
        let mut policy = policy();
        change(&mut policy);
        let origin = config.origin(VENDOR, "CAPITALS_URL", "https://capitals.example")?;
        let account = Account::of(VENDOR, key.expose());
        let rate = config.rate_limiter(account, "requests", NonZeroU32::new(5));
        let http = config.http_client(VENDOR, origin, |http| {
            http.with_rate_limiter(rate).with_secrets([key.clone()])
        });
        let http = http.build()?;
        Ok(Self(Arc::new(Capitals { http, key, policy })))
    }

    /// Buys one job. It is repeated only if nothing can have begun; an error says whether money may have been spent.
    pub async fn submit(&self, text: &str) -> Result<Job<Capitals>, SubmitError> {
        let kind = &self.0;
        let call = async || {
            let (content_type, bytes) = ("text/plain", text.to_owned().into());
            let request = Request::post("submit", &["jobs"]).non_idempotent();
            let body = Body::Bytes {
                content_type,
                bytes,
            };
            let answer = kind.send(request.with_body(body)).await?;
            // Before anything else: an answer that shows an id is of a job that is paid for.
            let json = answer.json();
            match json.get("id").text().map(JobId::new) {
                Some(Ok(id)) => Ok(id),
                _ => Err(refusal(&answer)),
            }
        };
        let id = retry::non_idempotent(kind.clock().as_ref(), text, call).await?;
        Ok(Job::accepted(Arc::clone(kind), id))
    }
}

fn policy() -> KindPolicy {
    let second = || Sourced::documented(Duration::from_secs(1), "capitals.example/docs");
    let schedule = PollSchedule::every(Duration::from_secs(2));
    let schedule = Sourced::inferred(schedule, "jobs take a few seconds");
    KindPolicy::new(second(), second(), schedule)
}

impl Capitals {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let request = request.with_secret_header("x-key", self.key.expose());
        self.http.send(request).await
    }

    async fn poll_one(&self, id: &JobId) -> PollResult<String> {
        let request = Request::get("poll", &["jobs", id.as_str()]).for_job(id);
        let answer = self.send(request).await?;
        let json = answer.json();
        if answer.status() != 200 || !json.is_object() {
            return Err(refusal(&answer));
        }
        let seen = seen(id, json.value()).map_err(|problem| answer.unexpected(problem))?;
        Ok(answer.redact_snapshot(seen))
    }
}

/// The state is read first; whatever is odd beside it hides neither success nor failure.
fn seen(id: &JobId, job: LenientValue<'_>) -> Result<Snapshot<String>, &'static str> {
    if job.get("id").text().as_deref() != Some(id.as_str()) {
        return Err("the answer is not about the job");
    }
    let word = job.get("state").word().ok_or("the job has no state")?;
    let text = |name| job.get(name).text();
    let status = match word.as_str() {
        "waiting" => Status::Queued,
        "working" => Status::Running,
        "done" => Status::Succeeded(text("result").ok_or("the job is done without a result")?),
        "failed" => Status::Failed(Failure::new(text("reason").unwrap_or_default())),
        _ => return Ok(Snapshot::unknown(word)),
    };
    Ok(Snapshot::new(status, word))
}

fn refusal(answer: &Response) -> Error {
    match answer.status() {
        401 => answer.error(ErrorKind::Unauthenticated),
        // Who is in front of the vendor says the same.
        _ => answer.http_failure().unwrap_or_else(|| answer.foreign()),
    }
}

#[async_trait]
impl JobKind for Capitals {
    type Output = String;

    fn vendor(&self) -> &'static str {
        VENDOR
    }
    fn name(&self) -> &'static str {
        "capitals"
    }
    fn account(&self) -> Account {
        Account::of(VENDOR, self.key.expose())
    }
    fn policy(&self) -> &KindPolicy {
        &self.policy
    }
    fn clock(&self) -> &Arc<dyn Clock> {
        self.http.clock()
    }
    async fn poll(&self, ids: &[JobId]) -> PollResults<String> {
        let mut results = PollResults::of(VENDOR, ids);
        for (place, id) in ids.iter().enumerate() {
            results.set(place, self.poll_one(id).await);
        }
        results
    }
}

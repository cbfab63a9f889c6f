//! Carries one job on from wherever it is, writing every step down before it is taken.

use std::time::Duration;

use jobs_core::{
    Cause, Clock, Job, JobId, JobKind, Lost, Moment, Submission, SubmitError, Update, Updates,
};
use jobs_ledger::{
    Claim, Claimed, Due, Ledger, LedgerError, LedgerId, Look, Note, Stage, Taking, at,
};
use serde_json::{Value, json};

use crate::app::App;
use crate::exit::{Exit, Stop};
use crate::line::Line;
use crate::place::{self, Delivered, Place, print_line};

/// One command's hold on the ledger and on a kind of job.
pub(crate) struct Carrier<'a, L: Line> {
    pub(crate) app: &'a App,
    pub(crate) line: &'a L,
    pub(crate) ledger: Ledger,
    deadline: Moment,
}

impl<'a, L: Line> Carrier<'a, L> {
    pub(crate) async fn new(app: &'a App, line: &'a L) -> Result<Self, Stop> {
        let ledger = app.ledger().await?;
        let deadline = line.kind().clock().now() + app.options.deadline;
        Ok(Self {
            app,
            line,
            ledger,
            deadline,
        })
    }

    /// Makes the paid call, with the ledger on the disk before and after.
    pub(crate) async fn submit(
        &self,
        claim: Claim<at::Wanted>,
        order: &L::Order,
        place: &Place,
    ) -> Result<(), Stop> {
        let ledger = &self.ledger;
        let sending = ledger.sending(claim).await?;
        let keeper = ledger.keep(&sending);
        let submission = self.line.submit(&sending, order).await;
        drop(keeper);
        match submission {
            Submission::Accepted(job) => {
                let held = self
                    .insist(async || {
                        ledger
                            .held(&sending, job.id(), self.wall(), Note::none())
                            .await
                    })
                    .await;
                let held = held.map_err(|error| self.unwritten(&error, &job))?;
                self.accepted(held, &job, place).await
            }
            Submission::Refused(error) => {
                let note = || Note::from(&error);
                self.insist(async || ledger.refused(&sending, note()).await)
                    .await?;
                Err(Stop::before_acceptance(&error))
            }
            Submission::Unknown(lost) => {
                let note = || Note::from(&lost.error);
                let unknown = self
                    .insist(async || ledger.unknown(&sending, note()).await)
                    .await;
                let unknown = unknown?;
                self.find(unknown, order, &lost, place).await
            }
        }
    }

    /// Goes on with a job of the ledger, waiting for another process that works on it.
    pub(crate) async fn take_up(
        &self,
        mut row: jobs_ledger::Job,
        order: Option<&L::Order>,
        place: &Place,
    ) -> Result<(), Stop> {
        let clock = self.clock();
        loop {
            if row.stage == Stage::Done {
                return self.once_more(&row, place).await;
            }
            match self.ledger.claim(row.id).await? {
                Taking::Claimed(claimed) => return self.carry_on(claimed, order, place).await,
                Taking::Settled(job) if job.stage == Stage::Done => row = job,
                Taking::Settled(job) => {
                    let reason = job.error.unwrap_or_default();
                    return Err(Stop::new(
                        Exit::Failed,
                        format!("job {} is {}: {reason}", job.id, job.stage),
                    ));
                }
                Taking::Busy { job, .. } if clock.now() >= self.deadline => {
                    let line = format!("job {} is still worked on by another process", job.id);
                    return Err(Stop {
                        ticket: job.ticket(),
                        ..Stop::new(Exit::Deadline, line)
                    });
                }
                Taking::Busy { .. } => {
                    clock
                        .sleep_until(clock.now() + Duration::from_secs(1))
                        .await
                }
                _ => {
                    return Err(Stop::unexpected(format!(
                        "job {} cannot be taken up",
                        row.id
                    )));
                }
            }
        }
    }

    async fn carry_on(
        &self,
        claimed: Claimed,
        order: Option<&L::Order>,
        place: &Place,
    ) -> Result<(), Stop> {
        let again;
        match claimed {
            Claimed::Wanted(claim, row) => {
                let order = match order {
                    Some(order) => order,
                    None => {
                        again = self.line.order_again(&row)?;
                        &again
                    }
                };
                self.submit(claim, order, place).await
            }
            Claimed::Held(claim, row) => self.wait(claim, &self.job(&row)?, place).await,
            Claimed::Ready(claim, row) => self.look_again(claim, &row, place).await,
            Claimed::Fetching(claim, row) => self.look_again(claim, &row, place).await,
            Claimed::Unknown(claim, row) => {
                let lost = Lost {
                    what: row.input.as_str().into(),
                    sent_at: row.sent_at.unwrap_or(row.created_at),
                    error: jobs_core::Error::new(
                        jobs_core::ErrorKind::Unavailable,
                        self.line.kind().vendor(),
                        "submit",
                    )
                    .with_sent(jobs_core::Sent::Maybe)
                    .with_message(row.error.clone().unwrap_or_default()),
                };
                let order = match order {
                    Some(order) => Ok(order),
                    None => match self.line.order_again(&row) {
                        Ok(order) => {
                            again = order;
                            Ok(&again)
                        }
                        Err(stop) => Err(stop),
                    },
                };
                match order {
                    Ok(order) => self.find(claim, order, &lost, place).await,
                    Err(_) => self.give_to_a_person(claim, &lost, &[]).await,
                }
            }
            other => Err(Stop::unexpected(format!(
                "job {} cannot be carried on",
                other.job().id
            ))),
        }
    }

    /// A crash lost what the last look saw. Looking again is free, unless the kind says otherwise.
    async fn look_again<S: jobs_ledger::WithResult>(
        &self,
        claim: Claim<S>,
        row: &jobs_ledger::Job,
        place: &Place,
    ) -> Result<(), Stop> {
        let held = self.ledger.lapsed(&claim, Note::none()).await?;
        self.wait(held, &self.job(row)?, place).await
    }

    /// The result of a job that was done before is wanted once more.
    async fn once_more(&self, row: &jobs_ledger::Job, place: &Place) -> Result<(), Stop> {
        let id = row.remote_id.clone();
        if id.is_some_and(|id| self.line.budget(&id).is_some()) {
            let there = row
                .output
                .as_ref()
                .map_or_else(String::new, |path| format!(" to {}", path.display()));
            let line = format!(
                "job {} was exported before{there}; --again pays for it once more",
                row.id
            );
            return Err(Stop::bad_input(line));
        }
        let held = self.ledger.reopen(row.id).await?;
        self.wait(held, &self.job(row)?, place).await
    }

    async fn accepted(
        &self,
        held: Claim<at::Held>,
        job: &Job<L::Kind>,
        place: &Place,
    ) -> Result<(), Stop> {
        let report = &self.app.report;
        let ticket = job
            .ticket()
            .map_err(|problem| Stop::unexpected(format!("job {}: {problem}", job.id())))?;
        let (vendor, kind) = (job.kind().vendor(), job.kind().name());
        report.event(
            "accepted",
            json!({
                "id": held.job().to_string(), "vendor": vendor, "kind": kind, "job": job.id().as_str(),
                "ticket": ticket.to_string(),
            }),
        );
        if self.app.options.no_wait {
            self.ledger.release(held, Due::Now).await?;
            return if report.is_json() {
                Ok(())
            } else {
                print_line(&ticket.to_string())
            };
        }
        report.say(&format!("{vendor} job {} accepted", job.id()));
        self.wait(held, job, place).await
    }

    /// Searches for the job of a submit whose answer was lost. Exactly one fitting candidate is taken to be it; otherwise a
    /// person decides.
    async fn find(
        &self,
        claim: Claim<at::Unknown>,
        order: &L::Order,
        lost: &Lost,
        place: &Place,
    ) -> Result<(), Stop> {
        /// The vendor may still be busy with the request when its answer is lost.
        const PAUSES: [u64; 3] = [2, 5, 10];
        if !self.line.can_search() {
            return self.give_to_a_person(claim, lost, &[]).await;
        }
        let (kind, clock) = (self.line.kind(), self.clock());
        let _keeper = self.ledger.keep(&claim);
        for pause in PAUSES {
            let at = clock.now() + Duration::from_secs(pause);
            if at > self.deadline {
                break;
            }
            clock.sleep_until(at).await;
            let found = match self.line.search(order, lost).await {
                Ok(found) => self.unaccounted(found).await?,
                Err(error) => {
                    self.app.report.missed(&error);
                    continue;
                }
            };
            match found.as_slice() {
                [id] => {
                    let adopted = self
                        .ledger
                        .adopt(&claim, id, self.wall(), Note::new("the one fitting job"))
                        .await;
                    let held = adopted?;
                    self.app.report.say(&format!(
                        "the answer was lost; {} job {id} is the one",
                        kind.vendor()
                    ));
                    let job = Job::accepted(kind, id.clone());
                    return self.accepted(held, &job, place).await;
                }
                [] => {}
                several => return self.give_to_a_person(claim, lost, several).await,
            }
        }
        self.give_to_a_person(claim, lost, &[]).await
    }

    /// Without the jobs that the ledger knows already: those are other submits.
    async fn unaccounted(&self, found: Vec<JobId>) -> Result<Vec<JobId>, Stop> {
        let kind = self.line.kind();
        let mut unaccounted = Vec::new();
        for id in found {
            let known = self.ledger.find(id.as_str()).await?;
            if known
                .iter()
                .all(|job| (job.vendor.as_str(), job.kind.as_str()) != (kind.vendor(), kind.name()))
            {
                unaccounted.push(id);
            }
        }
        Ok(unaccounted)
    }

    async fn give_to_a_person(
        &self,
        claim: Claim<at::Unknown>,
        lost: &Lost,
        candidates: &[JobId],
    ) -> Result<(), Stop> {
        let id = claim.job();
        self.ledger.release(claim, Due::Parked).await?;
        let mut stop = Stop::not_submitted(&SubmitError::Unknown(lost.clone()));
        if !candidates.is_empty() {
            let ids: Vec<&str> = candidates.iter().map(JobId::as_str).collect();
            stop.line
                .push_str(&format!("; candidates are {}", ids.join(", ")));
        }
        stop.line.push_str(&format!(
            "; look into the vendor's console, then: docjobs resolve {id} --adopt JOB_ID, or --abandon"
        ));
        Err(stop)
    }

    /// Waits look by look, until the output, the deadline or Ctrl-C, and delivers.
    async fn wait(
        &self,
        mut claim: Claim<at::Held>,
        job: &Job<L::Kind>,
        place: &Place,
    ) -> Result<(), Stop> {
        let mut keeper = self.ledger.keep(&claim);
        let left = self.deadline.since(self.clock().now());
        let Some((mut booked, job)) = self.book_first(&claim, job).await? else {
            return self.budget_spent(claim, job).await;
        };
        let mut updates = job.updates(left);
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            if let Some(budget) = self.line.budget(job.id())
                && budget.made >= booked
            {
                match self.book(&claim, budget.calls).await? {
                    Some(call) => booked = call,
                    None => return self.budget_spent(claim, &job).await,
                }
            }
            let update = tokio::select! {
                update = next(&mut updates) => update,
                _ = &mut interrupt => return self.interrupted(claim, &job).await,
                () = keeper.lost() => return Err(taken_over(claim.job())),
            };
            match update {
                Update::Seen(snapshot) => {
                    self.app
                        .report
                        .seen(&**job.kind(), job.id().as_str(), &snapshot);
                    self.written(
                        self.ledger
                            .looked(&mut claim, Look::new(&snapshot.word))
                            .await,
                    )?;
                }
                Update::Missed(error) => self.app.report.missed(&error),
                Update::Done(output) => {
                    drop(keeper);
                    return self.deliver(claim, &job, output, place).await;
                }
                Update::Over(end) => {
                    let note = Note::new(end.to_string());
                    let settled = match end.cause() {
                        Cause::Failed(_) => self.ledger.failed(&claim, note).await,
                        Cause::Expired | Cause::Gone => self.ledger.gone(&claim, note).await,
                        _ => self.ledger.release(claim, Due::Now).await,
                    };
                    self.written(settled)?;
                    return Err(Stop::unfinished(&end));
                }
                _ => {}
            }
        }
    }

    /// Books the first look, if looks cost money, and tells the kind what other processes have spent; `None` when nothing
    /// is left.
    async fn book_first(
        &self,
        claim: &Claim<at::Held>,
        job: &Job<L::Kind>,
    ) -> Result<Option<(u32, Job<L::Kind>)>, Stop> {
        let Some(budget) = self.line.budget(job.id()) else {
            return Ok(Some((0, job.clone())));
        };
        let Some(call) = self.book(claim, budget.calls).await? else {
            return Ok(None);
        };
        self.line.spent_elsewhere(call.saturating_sub(1));
        Ok(Some((
            call,
            Job::attach(self.line.kind(), job.id().clone()),
        )))
    }

    /// Counts a look that costs money before it is made; `None` when the budget is spent.
    async fn book(&self, claim: &Claim<at::Held>, budget: u32) -> Result<Option<u32>, Stop> {
        self.ledger
            .spend_call(claim, budget)
            .await
            .map_err(Stop::from)
    }

    async fn budget_spent(&self, claim: Claim<at::Held>, job: &Job<L::Kind>) -> Result<(), Stop> {
        let calls = self.line.budget(job.id()).map_or(0, |budget| budget.calls);
        let line = format!(
            "{} job {}: all {calls} calls are spent, each of which may have cost credits; --max-calls allows more",
            job.kind().vendor(),
            job.id()
        );
        self.written(self.ledger.release(claim, Due::Parked).await)?;
        Err(Stop {
            ticket: job.ticket().ok(),
            ..Stop::new(Exit::Exhausted, line)
        })
    }

    async fn deliver(
        &self,
        claim: Claim<at::Held>,
        job: &Job<L::Kind>,
        output: <L::Kind as JobKind>::Output,
        place: &Place,
    ) -> Result<(), Stop> {
        let ledger = &self.ledger;
        let ready = ledger.ready(&claim, &Value::Null, Note::none()).await?;
        let fetching = ledger.fetching(&ready).await?;
        let keeper = ledger.keep(&fetching);
        let delivered = self.line.deliver(output, place).await;
        drop(keeper);
        let delivered = match delivered {
            Ok(delivered) => delivered,
            Err(error) => {
                let held = ledger.lapsed(&fetching, Note::from(&error)).await?;
                ledger.release(held, Due::Now).await?;
                return Err(Stop::after_acceptance(&error, job.ticket().ok()));
            }
        };
        let (path, sha256) = match &delivered {
            Delivered::Saved(saved) => (Some(saved.path.as_path()), saved.sha256),
            Delivered::Bytes(_) | Delivered::Text(_) => (None, None),
        };
        ledger.done(&fetching, path, sha256, Note::none()).await?;
        self.hand_over(delivered, fetching.job(), job)
    }

    fn hand_over(
        &self,
        delivered: Delivered,
        id: LedgerId,
        job: &Job<L::Kind>,
    ) -> Result<(), Stop> {
        let report = &self.app.report;
        report.quiet();
        let done = |path: Option<&str>, result: Option<&str>| {
            json!({
                "id": id.to_string(), "vendor": job.kind().vendor(), "kind": job.kind().name(),
                "job": job.id().as_str(), "output": path, "result": result,
            })
        };
        let unprintable =
            |problem| Stop::unexpected(format!("cannot print the result: {problem}; use -o"));
        match delivered {
            Delivered::Saved(saved) => {
                let path = saved.path.display().to_string();
                report.event("done", done(Some(&path), None));
                report.say(&format!(
                    "{} job {} done: {path}",
                    job.kind().vendor(),
                    job.id()
                ));
                Ok(())
            }
            Delivered::Text(text) => {
                report.event("done", done(None, Some(&text)));
                if report.is_json() {
                    Ok(())
                } else {
                    print_line(&text)
                }
            }
            Delivered::Bytes(mut file) if report.is_json() => {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut file, &mut text).map_err(unprintable)?;
                report.event("done", done(None, Some(&text)));
                Ok(())
            }
            Delivered::Bytes(file) => place::print(file).map_err(unprintable),
        }
    }

    async fn interrupted(&self, claim: Claim<at::Held>, job: &Job<L::Kind>) -> Result<(), Stop> {
        let line = format!(
            "interrupted; {} job {} goes on at the vendor: docjobs wait {}, or docjobs resume",
            job.kind().vendor(),
            job.id(),
            claim.job()
        );
        self.written(self.ledger.release(claim, Due::Now).await)?;
        Err(Stop {
            ticket: job.ticket().ok(),
            ..Stop::new(Exit::Interrupted, line)
        })
    }

    /// The handle of a job as the ledger knows it, with the floor of its last look.
    fn job(&self, row: &jobs_ledger::Job) -> Result<Job<L::Kind>, Stop> {
        let ticket = row
            .ticket()
            .ok_or_else(|| Stop::unexpected(format!("job {} has no id at the vendor", row.id)))?;
        let job = Job::resume(self.line.kind(), &ticket)
            .map_err(|problem| Stop::bad_input(format!("job {}: {problem}", row.id)))?;
        Ok(match row.last_look {
            Some(at) => job.looked_at(at),
            None => job,
        })
    }

    /// What the ledger could not take down about a look is no reason to stop, unless somebody else has the job.
    fn written(&self, outcome: Result<(), LedgerError>) -> Result<(), Stop> {
        match outcome {
            Err(error) if error.is_claim_lost() => Err(error.into()),
            Err(error) => {
                self.app.report.say(&format!("docjobs: {error}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Writes what is worth money, however long the ledger is in trouble.
    async fn insist<T, F: Future<Output = Result<T, LedgerError>>>(
        &self,
        write: impl Fn() -> F,
    ) -> Result<T, LedgerError> {
        const TRIES: u32 = 30;
        let mut tries = 0;
        loop {
            match write().await {
                Err(error) if error.is_transient() && tries < TRIES => {
                    self.app
                        .report
                        .say(&format!("docjobs: {error}; trying again"));
                    let clock = self.ledger.clock();
                    clock
                        .sleep_until(clock.now() + Duration::from_secs(1))
                        .await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The vendor has the job and the ledger could not say so: the ticket is all there is, so it is given out.
    fn unwritten(&self, error: &LedgerError, job: &Job<L::Kind>) -> Stop {
        let mut stop = Stop::ledger(error);
        stop.line.push_str(&format!(
            "; {} accepted job {}: keep its ticket",
            job.kind().vendor(),
            job.id()
        ));
        Stop {
            ticket: job.ticket().ok(),
            ..stop
        }
    }

    fn clock(&self) -> std::sync::Arc<dyn Clock> {
        std::sync::Arc::clone(self.line.kind().clock())
    }

    fn wall(&self) -> std::time::SystemTime {
        self.ledger.clock().wall()
    }
}

async fn next<K: JobKind + 'static>(updates: &mut Updates<K>) -> Update<K::Output> {
    match updates.next().await {
        Some(update) => update,
        // An end is always reported, and nobody asks again after it.
        None => std::future::pending().await,
    }
}

fn taken_over(id: LedgerId) -> Stop {
    Stop::new(
        Exit::Deadline,
        format!("job {id} was taken over by another process, which goes on with it"),
    )
}

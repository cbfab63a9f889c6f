//! Carries one job on from wherever it is, writing every step down before it is taken.

use std::time::Duration;

use jobs_core::{Cause, Clock, Job, JobId, JobKind, Lost, Moment, SubmitError, Update, Updates};
use jobs_ledger::{
    Claim, Claimed, Due, Ledger, LedgerError, LedgerId, Look, Note, Stage, Taking, at,
};

use crate::app::App;
use crate::exit::{Exit, Stop};
use crate::line::Line;
use crate::place::{self, Delivered, Place, print_line};
use crate::report::Named;
use crate::steps::{self, Fetched, Searched, Steps, Submitted};

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

    /// Makes the paid call and goes on from there.
    pub(crate) async fn submit(
        &self,
        claim: Claim<at::Wanted>,
        order: &L::Order,
        place: &Place,
    ) -> Result<(), Stop> {
        match self.steps().submit(claim, order).await? {
            Submitted::Held(held, job) => self.accepted(held, &job, place).await,
            Submitted::Refused(sending, error) => {
                self.steps().refused(&sending, &error).await?;
                Err(Stop::before_acceptance(&error))
            }
            Submitted::Lost(unknown, lost) => self.find(unknown, order, &lost, place).await,
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
        let steps = self.steps();
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
            Claimed::Held(claim, row) => self.wait(claim, &steps.job(&row)?, place).await,
            Claimed::Ready(claim, row) => {
                let held = steps.back_to_looking(&claim).await?;
                self.wait(held, &steps.job(&row)?, place).await
            }
            Claimed::Fetching(claim, row) => {
                let held = steps.back_to_looking(&claim).await?;
                self.wait(held, &steps.job(&row)?, place).await
            }
            Claimed::Unknown(claim, row) => {
                let lost = steps.lost(&row);
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
        let held = self.ledger.reopen(row.id, place.path()).await?;
        self.wait(held, &self.steps().job(row)?, place).await
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
        report.accepted(&named(held.job(), job), &ticket);
        if self.app.options.no_wait {
            self.ledger.release(held, Due::Now).await?;
            return if report.is_json() {
                Ok(())
            } else {
                print_line(&ticket.to_string())
            };
        }
        report.say(&format!(
            "{} job {} accepted",
            job.kind().vendor(),
            job.id()
        ));
        self.wait(held, job, place).await
    }

    /// Searches for the job of a submit whose answer was lost; unless exactly one fits, a person decides.
    async fn find(
        &self,
        claim: Claim<at::Unknown>,
        order: &L::Order,
        lost: &Lost,
        place: &Place,
    ) -> Result<(), Stop> {
        let keeper = self.ledger.keep(&claim);
        let searched = self
            .steps()
            .search(claim, order, lost, self.deadline)
            .await?;
        drop(keeper);
        match searched {
            Searched::Adopted(held, id) => {
                let kind = self.line.kind();
                self.app.report.say(&format!(
                    "the answer was lost; {} job {id} is the one",
                    kind.vendor()
                ));
                self.accepted(held, &Job::accepted(kind, id), place).await
            }
            Searched::InDoubt(claim, candidates) => {
                self.give_to_a_person(claim, lost, &candidates).await
            }
        }
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
        stop.line.push_str(&steps::in_doubt(id, candidates));
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
        match self
            .steps()
            .fetch(&claim, output, place, self.deadline)
            .await?
        {
            Fetched::Done(delivered) => self.hand_over(delivered, claim.job(), job),
            Fetched::Failed(held, error) => {
                self.ledger.release(held, Due::Now).await?;
                Err(Stop::after_acceptance(&error, job.ticket().ok()))
            }
        }
    }

    fn hand_over(
        &self,
        delivered: Delivered,
        id: LedgerId,
        job: &Job<L::Kind>,
    ) -> Result<(), Stop> {
        let report = &self.app.report;
        report.quiet();
        let named = named(id, job);
        let unprintable = |problem| Stop::unprintable(&problem, "; use -o");
        match delivered {
            Delivered::Saved(saved, _) => {
                report.done(&named, Some(&saved.path), None);
                Ok(())
            }
            Delivered::Text(text) => {
                report.done(&named, None, Some(&text));
                if report.is_json() {
                    Ok(())
                } else {
                    print_line(&text)
                }
            }
            Delivered::Bytes(mut file) if report.is_json() => {
                report.done_with(&named, &mut file).map_err(unprintable)
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

    fn clock(&self) -> std::sync::Arc<dyn Clock> {
        std::sync::Arc::clone(self.line.kind().clock())
    }

    fn steps(&self) -> Steps<'_, L> {
        Steps {
            report: &self.app.report,
            ledger: &self.ledger,
            line: self.line,
        }
    }
}

async fn next<K: JobKind + 'static>(updates: &mut Updates<K>) -> Update<K::Output> {
    match updates.next().await {
        Some(update) => update,
        // An end is always reported, and nobody asks again after it.
        None => std::future::pending().await,
    }
}

/// A job as messages name it.
pub(crate) fn named<K: JobKind>(id: LedgerId, job: &Job<K>) -> Named<'_> {
    Named {
        id,
        vendor: job.kind().vendor(),
        kind: job.kind().name(),
        job: job.id(),
    }
}

fn taken_over(id: LedgerId) -> Stop {
    Stop::new(
        Exit::Deadline,
        format!("job {id} was taken over by another process, which goes on with it"),
    )
}

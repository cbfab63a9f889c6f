//! Carries one job on from wherever it is, writing every step down before it is taken.

use std::cell::Cell;
use std::io::ErrorKind;
use std::time::Duration;

use jobs_core::{
    CallMonitor, Clock, Error, Job, JobId, JobKind, LostSubmit, Moment, SubmitError, Update,
    Updates, WaitErrorKind,
};
use jobs_ledger::{
    Claim, ClaimKey, ClaimOutcome, Claimed, Due, Ledger, LedgerError, LedgerId, Note, ParkReason,
    PollRecord, Stage, at,
};

use crate::app::App;
use crate::ends::{self, Cut, NextFetch};
use crate::exit::{Exit, Stop};
use crate::line::Line;
use crate::place::{self, Delivered, Place, print_line};
use crate::report::Named;
use crate::signals::Attended;
use crate::steps::{self, Fetched, Searched, Steps, Submitted};

/// One command's hold on the ledger and on a kind of job.
pub(crate) struct Carrier<'a, L: Line> {
    pub(crate) app: &'a App,
    pub(crate) line: &'a L,
    pub(crate) ledger: Ledger,
    deadline: Moment,
    /// Whether the result is wanted in the form that the ledger remembers.
    is_remembered_form: Cell<bool>,
    _attended: Attended,
}

/// A job that is done at the vendor, and what it gave.
type Finished<K> = (Claim<at::Accepted>, Job<K>, <K as JobKind>::Output);

impl<'a, L: Line> Carrier<'a, L> {
    pub(crate) async fn new(app: &'a App, line: &'a L) -> Result<Self, Stop> {
        let deadline = line.kind().clock().now() + app.options.deadline;
        let ledger = app.ledger().await?;
        Ok(Self {
            app,
            line,
            ledger,
            deadline,
            is_remembered_form: Cell::new(true),
            _attended: app.shutdown.attend(),
        })
    }

    /// Makes the paid call and goes on from there. What was `input` is for whoever has to search for a lost one.
    pub(crate) async fn submit(
        &self,
        claim: Claim<at::Intended>,
        order: &L::Order,
        input: &str,
        place: &Place,
    ) -> Result<(), Stop> {
        let steps = self.steps();
        if let Some(signal) = self.app.shutdown.asked() {
            let note = Note::new("interrupted before anything was sent");
            self.ledger.record_rejected(&claim, note).await?;
            return Err(Stop::asked_to_end(signal.exit(), "nothing was sent"));
        }
        let cut = async |monitor: &CallMonitor| self.submit_cut(monitor).await;
        match steps.submit(claim, order, input, cut).await? {
            Submitted::Held(held, job) => self.accepted(held, &job, place).await,
            Submitted::Refused(sending, error) => {
                steps.refused(&sending, &error).await?;
                Err(Stop::before_acceptance(&error))
            }
            Submitted::NotSent(sending, error) => {
                // Who was told that nothing was sent is not to find it bought by a worker later.
                steps.refused(&sending, &error).await?;
                Err(match self.app.shutdown.asked() {
                    Some(signal) => Stop::asked_to_end(signal.exit(), "nothing was sent"),
                    None => Stop::before_acceptance(&error),
                })
            }
            Submitted::Lost(unknown, lost) => self.find(unknown, order, &lost, place).await,
        }
    }

    /// Returns when a submit under way must not go on.
    async fn submit_cut(&self, monitor: &CallMonitor) -> Cut {
        let clock = self.clock();
        let ends = ends::submit_ends(clock.now(), self.deadline, self.line.can_search());
        tokio::select! {
            () = clock.guard_until(ends) => Cut::Deadline,
            signal = self.app.shutdown.requested() => {
                ends::after_signal(&**self.ledger.clock(), monitor).await;
                Cut::Signal(signal)
            }
        }
    }

    /// Goes on with a job of the ledger, waiting for another process that works on it.
    pub(crate) async fn take_up(
        &self,
        mut row: jobs_ledger::JobRecord,
        order: Option<&L::Order>,
        place: &Place,
    ) -> Result<(), Stop> {
        let clock = self.clock();
        self.is_remembered_form.set(self.line.serves(&row));
        loop {
            if row.stage == Stage::Completed {
                return self.once_more(&row, place).await;
            }
            match self.ledger.claim(row.id).await? {
                ClaimOutcome::Claimed(claimed) => {
                    return self.carry_on(claimed, order, place).await;
                }
                ClaimOutcome::Settled(job) if job.stage == Stage::Completed => row = job,
                ClaimOutcome::Settled(job) => {
                    return Err(settled(&job, order.is_some()));
                }
                ClaimOutcome::Busy { job, .. } if clock.now() >= self.deadline => {
                    let line = format!("job {} is still worked on by another process", job.id);
                    return Err(Stop {
                        ticket: job.ticket().map(Box::new),
                        ..Stop::new(Exit::Deadline, line)
                    });
                }
                ClaimOutcome::Busy { .. } => {
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
            Claimed::Intended(claim, row) => {
                let order = match order {
                    Some(order) => order,
                    None => {
                        again = self.line.order_again(&row)?;
                        &again
                    }
                };
                self.submit(claim, order, &row.input, place).await
            }
            Claimed::Accepted(claim, row) if self.is_withheld(&row) => {
                self.withheld(claim.key(), &row).await
            }
            Claimed::Available(claim, row) if self.is_withheld(&row) => {
                self.withheld(claim.key(), &row).await
            }
            Claimed::Downloading(claim, row) if self.is_withheld(&row) => {
                self.withheld(claim.key(), &row).await
            }
            Claimed::Accepted(claim, row) => self.go_on_waiting(claim, &row, place).await,
            Claimed::Available(claim, row) => {
                let held = steps.back_to_looking(&claim).await?;
                self.go_on_waiting(held, &row, place).await
            }
            Claimed::Downloading(claim, row) => {
                let held = steps.back_to_looking(&claim).await?;
                self.go_on_waiting(held, &row, place).await
            }
            Claimed::InDoubt(claim, row) => {
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

    /// Goes on with a job that the vendor has: what was kept of its result is delivered where that is accepted, else it is
    /// waited for.
    async fn go_on_waiting(
        &self,
        claim: Claim<at::Accepted>,
        row: &jobs_ledger::JobRecord,
        place: &Place,
    ) -> Result<(), Stop> {
        let steps = self.steps();
        let job = steps.job(row)?;
        if !self.app.options.accept_unverified || row.allows_fetch() {
            return self.wait(claim, &job, place).await;
        }
        match steps.deliver_kept(claim, row, place).await? {
            Ok(delivered) => self.hand_over(delivered, row.id, &job),
            Err(held) => self.wait(held, &job, place).await,
        }
    }

    /// Whether the result came whole and broken so often that it is not fetched again.
    fn is_withheld(&self, row: &jobs_ledger::JobRecord) -> bool {
        !row.allows_fetch() && !self.app.options.accept_unverified
    }

    /// Leaves a job whose result is not fetched again, and says where its bytes are.
    async fn withheld(&self, key: ClaimKey, row: &jobs_ledger::JobRecord) -> Result<(), Stop> {
        let reason = row.error.clone().unwrap_or_default();
        let note = Note::new(&reason);
        let parked = self.ledger.park(key, ParkReason::UnverifiedResult, note);
        self.written(parked.await)?;
        let kept = row
            .unverified
            .iter()
            .rev()
            .find_map(|one| one.path.as_deref());
        Err(Stop {
            ticket: row.ticket().map(Box::new),
            ..Stop::unverified(row.id, &reason, kept)
        })
    }

    /// The result of a job that was done before is wanted once more.
    async fn once_more(&self, row: &jobs_ledger::JobRecord, place: &Place) -> Result<(), Stop> {
        if let (Some(path), Some(digest), true) = (&row.output, row.sha256, self.line.serves(row)) {
            let job = self.steps().job(row)?;
            match place.copy(path, digest) {
                Ok(Some(delivered)) => return self.hand_over(delivered, row.id, &job),
                Ok(None) => {}
                // Gone, or no longer to be read: it is fetched again.
                Err(problem)
                    if !path.is_file() || problem.kind() == ErrorKind::PermissionDenied => {}
                Err(problem) => {
                    let there = path.display();
                    return Err(Stop::bad_input(format!("cannot copy {there}: {problem}")));
                }
            }
        }
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
        held: Claim<at::Accepted>,
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
        claim: Claim<at::InDoubt>,
        order: &L::Order,
        lost: &LostSubmit,
        place: &Place,
    ) -> Result<(), Stop> {
        let (keeper, key) = (self.ledger.heartbeat(&claim), claim.key());
        let steps = self.steps();
        let searched = tokio::select! {
            biased;
            signal = self.app.shutdown.requested() => {
                let note = Note::from(&lost.error);
                self.written(self.ledger.park(key, ParkReason::InDoubt, note).await)?;
                let mut stop = Stop::asked_to_end(signal.exit(), may_have_been_charged(key.job(), lost));
                stop.line.push_str(&steps::in_doubt(key.job(), &[]));
                return Err(stop);
            }
            searched = steps.search(claim, order, lost, self.deadline) => searched?,
        };
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
        claim: Claim<at::InDoubt>,
        lost: &LostSubmit,
        candidates: &[JobId],
    ) -> Result<(), Stop> {
        let (id, id_key) = (claim.job(), claim.key());
        let note = Note::from(&lost.error);
        self.ledger.park(id_key, ParkReason::InDoubt, note).await?;
        let mut stop = Stop::not_submitted(&SubmitError::OutcomeUnknown(lost.clone()));
        stop.line.push_str(&steps::in_doubt(id, candidates));
        Err(stop)
    }

    /// Waits, fetches and delivers. A result that cannot be had is polled for anew, for another link, as long as there is
    /// time.
    async fn wait(
        &self,
        mut claim: Claim<at::Accepted>,
        job: &Job<L::Kind>,
        place: &Place,
    ) -> Result<(), Stop> {
        let clock = self.clock();
        let mut failures = 0;
        let mut last: Option<Error> = None;
        loop {
            let (held, job, output) = self.output(claim, job).await?;
            let key = held.key();
            let ends = self.deadline.max(clock.now() + LAST_FETCH);
            let steps = self.steps();
            let fetched = tokio::select! {
                fetched = steps.fetch(&held, output, place, ends) => fetched?,
                () = clock.guard_until(ends) => {
                    return Err(self.left(key, &job, Cut::Deadline, last.as_ref()).await);
                }
                signal = self.app.shutdown.requested() => {
                    return Err(self.left(key, &job, Cut::Signal(signal), last.as_ref()).await);
                }
            };
            let (held, error) = match fetched {
                Fetched::Done(delivered) => return self.hand_over(delivered, key.job(), &job),
                Fetched::Unverified(error, kept) => {
                    let note = Note::from(&error);
                    let parked = self.ledger.park(key, ParkReason::UnverifiedResult, note);
                    self.written(parked.await)?;
                    let reason = error.to_string();
                    return Err(Stop {
                        ticket: job.ticket().ok().map(Box::new),
                        ..Stop::unverified(key.job(), &reason, Some(&kept))
                    });
                }
                Fetched::Failed(held, error) => (held, error),
            };
            failures += 1;
            let left = self.deadline.since(clock.now());
            let left_as = match ends::next_fetch(&error, failures, left) {
                NextFetch::After(pause) => Ok(pause),
                NextFetch::LeaveIt => {
                    Err(self.ledger.release_all(&[key], Due::Now).await.map(drop))
                }
                NextFetch::Park => {
                    let note = Note::from(&error);
                    Err(self.ledger.park(key, ParkReason::OutputPath, note).await)
                }
            };
            let pause = match left_as {
                Ok(pause) => pause,
                Err(written) => {
                    self.written(written)?;
                    return Err(Stop::not_delivered(&error, job.ticket().ok()));
                }
            };
            self.app.report.not_fetched(&error, pause);
            last = Some(error);
            let keeper = self.ledger.heartbeat(&held);
            tokio::select! {
                () = clock.sleep_until(clock.now() + pause) => {}
                signal = self.app.shutdown.requested() => {
                    return Err(self.left(key, &job, Cut::Signal(signal), last.as_ref()).await);
                }
            }
            drop(keeper);
            claim = held;
        }
    }

    /// Waits look by look until the output, the deadline or a signal.
    async fn output(
        &self,
        mut claim: Claim<at::Accepted>,
        job: &Job<L::Kind>,
    ) -> Result<Finished<L::Kind>, Stop> {
        let mut keeper = self.ledger.heartbeat(&claim);
        let left = self.deadline.since(self.clock().now());
        let Some((mut booked, job)) = self.book_first(&claim, job).await? else {
            return Err(self.budget_spent(claim, job).await);
        };
        let mut updates = job.updates(left);
        loop {
            if let Some(budget) = self.line.budget(job.id())
                && budget.made >= booked
            {
                match self.book(&claim, budget.calls).await? {
                    Some(call) => booked = call,
                    None => return Err(self.budget_spent(claim, &job).await),
                }
            }
            let update = tokio::select! {
                update = next(&mut updates) => update,
                signal = self.app.shutdown.requested() => {
                    return Err(self.left(claim.key(), &job, Cut::Signal(signal), None).await);
                }
                () = keeper.lost() => return Err(taken_over(claim.job())),
            };
            match update {
                Update::Progress(snapshot) => {
                    self.app
                        .report
                        .seen(&**job.kind(), job.id().as_str(), &snapshot);
                    self.written(
                        self.ledger
                            .record_poll(&mut claim, PollRecord::new(&snapshot.vendor_status))
                            .await,
                    )?;
                }
                Update::PollFailed(error) => {
                    self.app.report.missed(&error);
                    self.not_understood(claim.key(), &error).await?;
                }
                Update::Completed(output) => {
                    drop(keeper);
                    return Ok((claim, job, output));
                }
                Update::Ended(end) => {
                    if let WaitErrorKind::Unreachable(error) | WaitErrorKind::PollRejected(error) =
                        end.kind()
                    {
                        self.not_understood(claim.key(), error).await?;
                    }
                    let note = Note::new(end.to_string());
                    let settled = match end.kind() {
                        WaitErrorKind::Failed(_) => self.ledger.record_failed(&claim, note).await,
                        WaitErrorKind::Expired | WaitErrorKind::Gone => {
                            self.ledger.record_gone(&claim, note).await
                        }
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
        claim: &Claim<at::Accepted>,
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
    async fn book(&self, claim: &Claim<at::Accepted>, budget: u32) -> Result<Option<u32>, Stop> {
        self.ledger
            .spend_call(claim, budget)
            .await
            .map_err(Stop::from)
    }

    async fn budget_spent(&self, claim: Claim<at::Accepted>, job: &Job<L::Kind>) -> Stop {
        let calls = self.line.budget(job.id()).map_or(0, |budget| budget.calls);
        let line = format!(
            "{} job {}: all {calls} calls are spent, each of which may have cost credits; --max-calls allows more",
            job.kind().vendor(),
            job.id()
        );
        if let Err(stop) = self.written(
            self.ledger
                .park(claim.key(), ParkReason::PaidPolls, Note::new(&line))
                .await,
        ) {
            return stop;
        }
        Stop {
            ticket: job.ticket().ok().map(Box::new),
            ..Stop::new(Exit::Exhausted, line)
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
            Delivered::Copied(path) => {
                report.done(&named, Some(&path), None);
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

    /// Gives a job back that goes on at the vendor; `last` is what kept its result away until now.
    async fn left(
        &self,
        key: ClaimKey,
        job: &Job<L::Kind>,
        cut: Cut,
        last: Option<&Error>,
    ) -> Stop {
        if let Err(stop) = self.written(self.ledger.release_all(&[key], Due::Now).await.map(drop)) {
            return stop;
        }
        let goes_on = format!(
            "{} job {} goes on at the vendor: docjobs wait {}, or docjobs resume",
            job.kind().vendor(),
            job.id(),
            key.job()
        );
        let stop = match cut {
            Cut::Deadline => Stop::new(
                Exit::Deadline,
                match last {
                    Some(error) => format!("the deadline passed: {error}; {goes_on}"),
                    None => format!("the deadline passed while the result was fetched; {goes_on}"),
                },
            ),
            Cut::Signal(signal) => Stop::asked_to_end(signal.exit(), goes_on),
        };
        Stop {
            ticket: job.ticket().ok().map(Box::new),
            ..stop
        }
    }

    /// Keeps what was answered to a poll and not understood, for whoever asks the vendor about it.
    async fn not_understood(&self, key: ClaimKey, error: &Error) -> Result<(), Stop> {
        self.written(self.ledger.record_not_understood(key, error).await)
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
            accepts_unverified: self.app.options.accept_unverified,
            is_remembered_form: self.is_remembered_form.get(),
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

/// How long the fetching of a result may take that the last poll, at the deadline, has brought.
const LAST_FETCH: Duration = Duration::from_secs(2);

/// A job that ended without a result, told again in the words of its end. `can_buy` where the command can submit another.
fn settled(job: &jobs_ledger::JobRecord, can_buy: bool) -> Stop {
    let reason = job.error.as_deref().unwrap_or_default();
    let mut line = format!("job {} is {}: {reason}", job.id, job.stage);
    if can_buy {
        line.push_str("; --again submits and pays again");
    }
    Stop::new(Exit::Failed, line)
}

fn may_have_been_charged(id: LedgerId, lost: &LostSubmit) -> String {
    format!(
        "the submit of {} was under way and may have been charged, job {id}",
        lost.summary
    )
}

fn taken_over(id: LedgerId) -> Stop {
    Stop::new(
        Exit::Deadline,
        format!("job {id} was taken over by another process, which goes on with it"),
    )
}

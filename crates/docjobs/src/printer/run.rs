//! `docjobs printer run`: passes over the unprinted jobs, once or as long as the printer is switched on.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use jobs_core::ErrorKind;
use jobs_core::clock::{Moment, bounded};
use jobs_core::vendor::JobKind as _;
use printer_jobs::{DeviceEvent, Event, Events, ListQuery, ListedJob, PrintStatus, StatusFilter};

use super::exec::Exec;
use super::print_runner::{PrintResult, PrintRunner};
use super::shutdown_signal::ShutdownSignal;
use super::{connect, hang_up, no_list, not_bound, spool, without_id};
use crate::app::App;
use crate::args::RunArgs;
use crate::exit::{CommandError, ExitCode};
use crate::signals::Signal;

/// Between two polls without a push: pushes may be lost.
const TIMER: Duration = Duration::from_secs(60);
/// Between two tries of what did not work.
const SOON: Duration = Duration::from_secs(5);
/// Between two polls, in the world's time, of a job that another process has.
const BUSY: Duration = Duration::from_millis(250);

pub(super) async fn run(app: &App, args: RunArgs) -> Result<(), CommandError> {
    let exec = args.exec.as_deref().map(Exec::parse).transpose()?;
    if let Some(line) = exec.as_ref().and_then(Exec::advice) {
        app.report.say(&line);
    }
    let ledger = app.ledger().await?;
    let spool = spool::open(&args.spool, ledger.clock().wall())?;
    let clock = app.clock()?;
    let deadline = clock.now() + app.options.deadline;
    let device = connect(app, &clock).await?;
    let runner = PrintRunner {
        app,
        account: device.kind().account(),
        device,
        ledger,
        clock,
        spool,
        exec,
        remove: args.remove,
        shutdown: ShutdownSignal::listen(&app.shutdown),
    };
    let ended = if args.once {
        once(&runner, deadline).await
    } else {
        forever(&runner).await
    };
    hang_up(&runner.device, &*runner.clock).await;
    runner.ledger.close().await;
    ended
}

/// Ends when no unprinted job is left untried.
async fn once(runner: &PrintRunner<'_>, deadline: Moment) -> Result<(), CommandError> {
    let mut session = PrintSession::default();
    loop {
        let (unprinted, unreadable) = match list(runner, deadline).await {
            // Something was done, so it is not true that the cloud could not be reached.
            Err(mut stop) if stop.exit == ExitCode::Unreachable && !session.tried.is_empty() => {
                session.verdict()?;
                stop.exit = ExitCode::Unfinished;
                return Err(stop);
            }
            listed => listed?,
        };
        session.count_unreadable(runner, unreadable);
        let sweep = session.sweep(runner, &unprinted, Some(deadline)).await?;
        if runner.shutdown.is_asked() {
            return Err(interrupted(runner));
        }
        match sweep.busy {
            _ if sweep.later.is_some() && runner.clock.now() + SOON >= deadline => {
                session.verdict()?;
                return sweep.later.map_or(Ok(()), Err);
            }
            None if sweep.tried > 0 => {}
            None if sweep.later.is_some() => {
                if runner.pause().await {
                    return Err(interrupted(runner));
                }
            }
            None => return session.verdict(),
            Some(_) if runner.clock.now() >= deadline => {
                return Err(CommandError::new(
                    ExitCode::Unfinished,
                    "another process still works on a print job; see docjobs jobs --unfinished",
                ));
            }
            Some(until) => wait_for(runner, until).await,
        }
    }
}

/// Until the process is asked to end, or a person must act.
async fn forever(runner: &PrintRunner<'_>) -> Result<(), CommandError> {
    let clock = &runner.clock;
    // From before the first poll, so that no push falls between.
    let mut events = runner.device.events();
    let mut session = PrintSession::default();
    runner.app.report.say(&format!(
        "printer {} waits for jobs until Ctrl-C",
        runner.device.sn()
    ));
    while !runner.shutdown.is_asked() {
        session.forget_before(clock.now());
        let unprinted = ListQuery::all().with_status(StatusFilter::Unprinted);
        let listed = tokio::select! {
            listed = runner.device.jobs_and_unreadable(unprinted) => {
                listed.map_err(|error| CommandError::rejected(&error))
            }
            () = runner.shutdown.asked() => break,
        };
        let sweep = match listed {
            Ok((jobs, unreadable)) => {
                session.count_unreadable(runner, unreadable);
                session.sweep(runner, &jobs, None).await
            }
            Err(stop) => Err(stop),
        };
        let pause = match sweep {
            Ok(sweep) if sweep.busy.is_some() || sweep.later.is_some() => SOON,
            Ok(_) => TIMER,
            Err(stop) if is_passing(&stop) => {
                runner.app.report.say(&format!("docjobs: {}", stop.line));
                SOON
            }
            Err(stop) => return Err(stop),
        };
        tokio::select! {
            news = worth_a_poll(&mut events) => news_or_end(runner, news).await?,
            () = clock.sleep_until(clock.now() + pause) => {}
            () = runner.shutdown.asked() => {}
        }
    }
    Err(interrupted(runner))
}

/// Whether the next sweep may go better by itself.
fn is_passing(stop: &CommandError) -> bool {
    matches!(
        stop.exit,
        ExitCode::Unreachable | ExitCode::Unfinished | ExitCode::Failed | ExitCode::Unexpected
    )
}

/// The next piece of news after which the list may be another; `None` when the device has ended.
async fn worth_a_poll(events: &mut Events) -> Option<DeviceEvent> {
    loop {
        match events.next().await {
            Some(DeviceEvent::Offline) => {}
            Some(DeviceEvent::Pushed(event)) if !is_about_jobs(&event) => {}
            news => return news,
        }
    }
}

fn is_about_jobs(event: &Event) -> bool {
    matches!(
        event,
        Event::JobsAvailable { .. } | Event::UserScan(_) | Event::Bound
    )
}

async fn news_or_end(
    runner: &PrintRunner<'_>,
    news: Option<DeviceEvent>,
) -> Result<(), CommandError> {
    match news {
        Some(DeviceEvent::NotBound) => {
            let mut stop = not_bound(&runner.device);
            stop.line.push_str(&format!(
                "; its secret is erased, and the files in {} belong to the company that has left",
                runner.spool.display()
            ));
            Err(stop)
        }
        None | Some(DeviceEvent::GaveUp) => match runner.device.online(Duration::ZERO).await {
            Ok(()) => Ok(()),
            Err(error) => Err(CommandError::rejected(&error)),
        },
        Some(_) => Ok(()),
    }
}

/// The unprinted jobs and how many of them cannot be read, as long as it takes to get the list, but not beyond the
/// deadline.
async fn list(
    runner: &PrintRunner<'_>,
    deadline: Moment,
) -> Result<(Vec<ListedJob>, usize), CommandError> {
    let clock = &runner.clock;
    loop {
        let unprinted = ListQuery::all().with_status(StatusFilter::Unprinted);
        let listed = tokio::select! {
            listed = bounded(&**clock, deadline, runner.device.jobs_and_unreadable(unprinted)) => listed,
            () = runner.shutdown.asked() => return Err(interrupted(runner)),
        };
        let error = match listed {
            Some(Ok(jobs)) => return Ok(jobs),
            Some(Err(error)) => error,
            None => return Err(no_list()),
        };
        let over = clock.now() + SOON >= deadline;
        if !error.is_transient() || error.kind() == ErrorKind::TooLarge || over {
            return Err(CommandError::rejected(&error));
        }
        runner.app.report.missed(&error);
        if runner.pause().await {
            return Err(interrupted(runner));
        }
    }
}

fn interrupted(runner: &PrintRunner<'_>) -> CommandError {
    CommandError::asked_to_end(
        runner.shutdown.signal().unwrap_or(Signal::Interrupt).exit(),
        "what is not printed yet waits for the next docjobs printer run",
    )
}

async fn wait_for(runner: &PrintRunner<'_>, until: SystemTime) {
    let clock = runner.ledger.clock();
    let left = until.duration_since(clock.wall()).unwrap_or_default();
    tokio::select! {
        // It may be given back early, and leases are renewed.
        () = clock.sleep_until(clock.now() + left.min(BUSY)) => {}
        () = runner.shutdown.asked() => {}
    }
}

/// What a process has tried, and how it ended.
#[derive(Default)]
struct PrintSession {
    tried: HashMap<String, Moment>,
    failed: u32,
    /// Jobs of an id that cannot be used.
    unusable: u32,
    /// Jobs without an id, in the newest list.
    unreadable: usize,
    in_doubt: u32,
    /// Why the last report that is owed was not taken.
    owed: Option<CommandError>,
}

/// What one sweep did.
#[derive(Default)]
struct Sweep {
    tried: usize,
    /// When the first job of another process may be free.
    busy: Option<SystemTime>,
    /// Why the last job of those that did not work yet did not.
    later: Option<CommandError>,
}

impl PrintSession {
    /// Tries every unprinted job that was not tried yet, and carries on what an earlier process left.
    async fn sweep(
        &mut self,
        runner: &PrintRunner<'_>,
        unprinted: &[ListedJob],
        deadline: Option<Moment>,
    ) -> Result<Sweep, CommandError> {
        let mut sweep = Sweep::default();
        let each = || {
            // A printer that is always on has a deadline for each job.
            deadline.unwrap_or_else(|| runner.clock.now() + runner.app.options.deadline)
        };
        let listed: HashSet<&str> = unprinted.iter().map(|job| job.id.as_str()).collect();
        for (row, id) in runner.unfinished().await? {
            if runner.shutdown.is_asked() {
                return Ok(sweep);
            }
            if listed.contains(id.as_str()) || self.tried.contains_key(id.as_str()) {
                continue;
            }
            let result = runner.take_up(row, &id, None, each()).await?;
            self.count(runner, id.as_str(), result, &mut sweep);
        }
        for job in unprinted {
            if runner.shutdown.is_asked() {
                return Ok(sweep);
            }
            // Only what the cloud calls unprinted, or says nothing of although asked for unprinted ones.
            let is_unprinted = matches!(
                job.status,
                PrintStatus::Unprinted | PrintStatus::Unknown(None)
            );
            if !is_unprinted || self.tried.contains_key(&job.id) {
                continue;
            }
            if deadline.is_some_and(|deadline| runner.clock.now() >= deadline) {
                let line = "the deadline has passed: no further print job is begun";
                runner.app.report.say(line);
                sweep.later.get_or_insert_with(not_begun);
                return Ok(sweep);
            }
            let result = runner.listed(job, each()).await?;
            if self.count(runner, &job.id, result, &mut sweep) {
                self.tried.insert(job.id.clone(), runner.clock.now());
            }
        }
        Ok(sweep)
    }

    fn count_unreadable(&mut self, runner: &PrintRunner<'_>, unreadable: usize) {
        if unreadable > 0 && unreadable != self.unreadable {
            runner.app.report.say(&without_id(unreadable));
        }
        self.unreadable = unreadable;
    }

    /// Whether the job was tried.
    fn count(
        &mut self,
        runner: &PrintRunner<'_>,
        id: &str,
        result: PrintResult,
        sweep: &mut Sweep,
    ) -> bool {
        match result {
            PrintResult::Printed | PrintResult::Gone => {}
            PrintResult::Failed => self.failed += 1,
            PrintResult::Unusable => self.unusable += 1,
            PrintResult::InDoubt => self.in_doubt += 1,
            PrintResult::Busy(until) => {
                sweep.busy = Some(sweep.busy.map_or(until, |first| first.min(until)));
                return false;
            }
            PrintResult::Later(stop) => {
                runner.app.report.say(&format!(
                    "docjobs: {}; going on with other print jobs",
                    stop.line
                ));
                sweep.later = Some(stop);
                return false;
            }
            PrintResult::Owed(stop) => {
                runner.app.report.say(&format!(
                    "docjobs: {}; going on with other print jobs",
                    stop.line
                ));
                self.owed = Some(stop);
                // Also if it is no longer listed.
                self.tried.insert(id.to_owned(), runner.clock.now());
            }
            PrintResult::Left => return false,
        }
        sweep.tried += 1;
        true
    }

    /// What is still listed after a while is tried again: a report may have been lost.
    fn forget_before(&mut self, now: Moment) {
        self.tried.retain(|_, tried| now.since(*tried) < TIMER);
    }

    fn verdict(&mut self) -> Result<(), CommandError> {
        let unreadable = u32::try_from(self.unreadable).unwrap_or(u32::MAX);
        let failed = self
            .failed
            .saturating_add(self.unusable)
            .saturating_add(unreadable);
        let (exit, line) = match (self.in_doubt, failed) {
            (0, 0) => return self.owed.take().map_or(Ok(()), Err),
            (0, failed) => {
                // Of the others nothing is written down.
                let why = match self.failed {
                    0 => "",
                    _ => "; docjobs jobs --vendor printer-jobs shows why",
                };
                (
                    ExitCode::Failed,
                    format!("{} failed{why}", print_jobs(failed)),
                )
            }
            (doubtful, failed) => (
                ExitCode::OutcomeUnknown,
                format!(
                    "{} may have been printed before an interruption, and {failed} failed; look at the paper",
                    print_jobs(doubtful)
                ),
            ),
        };
        Err(CommandError::new(exit, line))
    }
}

fn not_begun() -> CommandError {
    CommandError::new(
        ExitCode::Unfinished,
        "the deadline passed before every print job was begun; the next docjobs printer run goes on with them",
    )
}

fn print_jobs(count: u32) -> String {
    match count {
        1 => "1 print job".to_owned(),
        count => format!("{count} print jobs"),
    }
}

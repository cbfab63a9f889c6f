//! `docjobs printer run`: passes over the unprinted jobs, once or as long as the printer is switched on.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use jobs_core::clock::bounded;
use jobs_core::{ErrorKind, JobKind as _, Moment};
use printer_jobs::wire::{Event, ListQuery, ListedJob, PrintStatus, StatusFilter};
use printer_jobs::{DeviceEvent, Events};

use super::exec::Exec;
use super::halt::Halt;
use super::press::{Fate, Press};
use super::{connect, hang_up, no_list, not_bound, spool};
use crate::app::App;
use crate::args::RunArgs;
use crate::exit::{Exit, Stop};
use crate::signals::Signal;

/// Between two looks without a push: pushes may be lost.
const TIMER: Duration = Duration::from_secs(60);
/// Between two looks at what did not work.
const SOON: Duration = Duration::from_secs(5);
/// Between two looks, in the world's time, at a job that another process has.
const BUSY: Duration = Duration::from_millis(250);

pub(super) async fn run(app: &App, args: RunArgs) -> Result<(), Stop> {
    let exec = args.exec.as_deref().map(Exec::parse).transpose()?;
    if let Some(line) = exec.as_ref().and_then(Exec::advice) {
        app.report.say(&line);
    }
    let ledger = app.ledger().await?;
    let spool = spool::open(&args.spool, ledger.clock().wall())?;
    let clock = app.clock()?;
    let deadline = clock.now() + app.options.deadline;
    let device = connect(app, &clock).await?;
    let press = Press {
        app,
        account: device.kind().account(),
        device,
        ledger,
        clock,
        spool,
        exec,
        remove: args.remove,
        halt: Halt::listen(&app.shutdown),
    };
    let ended = if args.once {
        once(&press, deadline).await
    } else {
        forever(&press).await
    };
    hang_up(&press.device, &*press.clock).await;
    press.ledger.close().await;
    ended
}

/// Ends when no unprinted job is left untried.
async fn once(press: &Press<'_>, deadline: Moment) -> Result<(), Stop> {
    let mut round = Round::default();
    loop {
        let unprinted = match list(press, deadline).await {
            // Something was done, so it is not true that the cloud could not be reached.
            Err(mut stop) if stop.exit == Exit::Unreachable && !round.tried.is_empty() => {
                round.verdict()?;
                stop.exit = Exit::Deadline;
                return Err(stop);
            }
            listed => listed?,
        };
        let pass = round.pass(press, &unprinted, Some(deadline)).await?;
        if press.halt.is_asked() {
            return Err(interrupted(press));
        }
        match pass.busy {
            _ if pass.later.is_some() && press.clock.now() + SOON >= deadline => {
                round.verdict()?;
                return pass.later.map_or(Ok(()), Err);
            }
            None if pass.tried > 0 => {}
            None if pass.later.is_some() => {
                if press.pause().await {
                    return Err(interrupted(press));
                }
            }
            None => return round.verdict(),
            Some(_) if press.clock.now() >= deadline => {
                return Err(Stop::new(
                    Exit::Deadline,
                    "another process still works on a print job; see docjobs jobs --unfinished",
                ));
            }
            Some(until) => wait_for(press, until).await,
        }
    }
}

/// Until the process is asked to end, or a person must act.
async fn forever(press: &Press<'_>) -> Result<(), Stop> {
    let clock = &press.clock;
    // From before the first look, so that no push falls between.
    let mut events = press.device.events();
    let mut round = Round::default();
    press.app.report.say(&format!(
        "printer {} waits for jobs until Ctrl-C",
        press.device.sn()
    ));
    while !press.halt.is_asked() {
        round.forget_before(clock.now());
        let unprinted = ListQuery::all().with_status(StatusFilter::Unprinted);
        let listed = tokio::select! {
            listed = press.device.jobs(unprinted) => listed.map_err(|error| Stop::before_acceptance(&error)),
            () = press.halt.asked() => break,
        };
        let pass = match listed {
            Ok(jobs) => round.pass(press, &jobs, None).await,
            Err(stop) => Err(stop),
        };
        let pause = match pass {
            Ok(pass) if pass.busy.is_some() || pass.later.is_some() => SOON,
            Ok(_) => TIMER,
            Err(stop) if is_passing(&stop) => {
                press.app.report.say(&format!("docjobs: {}", stop.line));
                SOON
            }
            Err(stop) => return Err(stop),
        };
        tokio::select! {
            news = worth_a_look(&mut events) => news_or_end(press, news).await?,
            () = clock.sleep_until(clock.now() + pause) => {}
            () = press.halt.asked() => {}
        }
    }
    Err(interrupted(press))
}

/// Whether the next pass may go better by itself.
fn is_passing(stop: &Stop) -> bool {
    matches!(
        stop.exit,
        Exit::Unreachable | Exit::Deadline | Exit::Failed | Exit::Unexpected
    )
}

/// The next piece of news after which the list may be another; `None` when the device has ended.
async fn worth_a_look(events: &mut Events) -> Option<DeviceEvent> {
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

async fn news_or_end(press: &Press<'_>, news: Option<DeviceEvent>) -> Result<(), Stop> {
    match news {
        Some(DeviceEvent::NotBound) => {
            let mut stop = not_bound(&press.device);
            stop.line.push_str(&format!(
                "; its secret is erased, and the files in {} belong to the company that has left",
                press.spool.display()
            ));
            Err(stop)
        }
        None | Some(DeviceEvent::GaveUp) => match press.device.online(Duration::ZERO).await {
            Ok(()) => Ok(()),
            Err(error) => Err(Stop::before_acceptance(&error)),
        },
        Some(_) => Ok(()),
    }
}

/// The unprinted jobs, as long as it takes to get the list, but not beyond the deadline.
async fn list(press: &Press<'_>, deadline: Moment) -> Result<Vec<ListedJob>, Stop> {
    let clock = &press.clock;
    loop {
        let unprinted = ListQuery::all().with_status(StatusFilter::Unprinted);
        let listed = tokio::select! {
            listed = bounded(&**clock, deadline, press.device.jobs(unprinted)) => listed,
            () = press.halt.asked() => return Err(interrupted(press)),
        };
        let error = match listed {
            Some(Ok(jobs)) => return Ok(jobs),
            Some(Err(error)) => error,
            None => return Err(no_list()),
        };
        let over = clock.now() + SOON >= deadline;
        if !error.is_transient() || error.kind() == ErrorKind::TooLarge || over {
            return Err(Stop::before_acceptance(&error));
        }
        press.app.report.missed(&error);
        if press.pause().await {
            return Err(interrupted(press));
        }
    }
}

fn interrupted(press: &Press<'_>) -> Stop {
    Stop::asked_to_end(
        press.halt.signal().unwrap_or(Signal::Interrupt).exit(),
        "what is not printed yet waits for the next docjobs printer run",
    )
}

async fn wait_for(press: &Press<'_>, until: SystemTime) {
    let clock = press.ledger.clock();
    let left = until.duration_since(clock.wall()).unwrap_or_default();
    tokio::select! {
        // It may be given back early, and leases are renewed.
        () = clock.sleep_until(clock.now() + left.min(BUSY)) => {}
        () = press.halt.asked() => {}
    }
}

/// What a process has tried, and how it ended.
#[derive(Default)]
struct Round {
    tried: HashMap<String, Moment>,
    failed: u32,
    in_doubt: u32,
}

/// What one pass did.
#[derive(Default)]
struct Pass {
    tried: usize,
    /// When the first job of another process may be free.
    busy: Option<SystemTime>,
    /// Why the last job of those that did not work yet did not.
    later: Option<Stop>,
}

impl Round {
    /// Tries every unprinted job that was not tried yet, and carries on what an earlier process left.
    async fn pass(
        &mut self,
        press: &Press<'_>,
        unprinted: &[ListedJob],
        deadline: Option<Moment>,
    ) -> Result<Pass, Stop> {
        let mut pass = Pass::default();
        let each = || {
            // A printer that is always on has a deadline for each job.
            deadline.unwrap_or_else(|| press.clock.now() + press.app.options.deadline)
        };
        let listed: HashSet<&str> = unprinted.iter().map(|job| job.id.as_str()).collect();
        for (row, id) in press.unfinished().await? {
            if press.halt.is_asked() {
                return Ok(pass);
            }
            if listed.contains(id.as_str()) {
                continue;
            }
            let fate = press.take_up(row, &id, None, each()).await?;
            self.count(press, fate, &mut pass);
        }
        for job in unprinted {
            if press.halt.is_asked() {
                return Ok(pass);
            }
            // Only what the cloud calls unprinted, or says nothing of although asked for unprinted ones.
            let is_unprinted = matches!(
                job.status,
                PrintStatus::Unprinted | PrintStatus::Unknown(None)
            );
            if !is_unprinted || self.tried.contains_key(&job.id) {
                continue;
            }
            let fate = press.listed(job, each()).await?;
            if self.count(press, fate, &mut pass) {
                self.tried.insert(job.id.clone(), press.clock.now());
            }
        }
        Ok(pass)
    }

    /// Whether the job was tried.
    fn count(&mut self, press: &Press<'_>, fate: Fate, pass: &mut Pass) -> bool {
        match fate {
            Fate::Printed | Fate::Gone => {}
            Fate::Failed => self.failed += 1,
            Fate::InDoubt => self.in_doubt += 1,
            Fate::Busy(until) => {
                pass.busy = Some(pass.busy.map_or(until, |first| first.min(until)));
                return false;
            }
            Fate::Later(stop) => {
                press.app.report.say(&format!(
                    "docjobs: {}; going on with other print jobs",
                    stop.line
                ));
                pass.later = Some(stop);
                return false;
            }
            Fate::Left => return false,
        }
        pass.tried += 1;
        true
    }

    /// What is still listed after a while is tried again: a report may have been lost.
    fn forget_before(&mut self, now: Moment) {
        self.tried.retain(|_, tried| now.since(*tried) < TIMER);
    }

    fn verdict(&self) -> Result<(), Stop> {
        let (exit, line) = match (self.in_doubt, self.failed) {
            (0, 0) => return Ok(()),
            (0, failed) => (
                Exit::Failed,
                format!(
                    "{} failed; docjobs jobs --vendor printer-jobs shows why",
                    print_jobs(failed)
                ),
            ),
            (doubtful, failed) => (
                Exit::Unknown,
                format!(
                    "{} may have been printed before an interruption, and {failed} failed; look at the paper",
                    print_jobs(doubtful)
                ),
            ),
        };
        Err(Stop::new(exit, line))
    }
}

fn print_jobs(count: u32) -> String {
    match count {
        1 => "1 print job".to_owned(),
        count => format!("{count} print jobs"),
    }
}

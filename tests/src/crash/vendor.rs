//! One vendor's simulator, as a crash run sees it: what it sold, what it serves, how it goes wrong.

use std::collections::BTreeMap;
use std::io;

use vendor_sim::fault::{Fault, FaultPlan, ScriptedFault};
use vendor_sim::mindshow::PdfCharge;
use vendor_sim::wecom::NewJob;
use vendor_sim::{
    MindShow, MindShowHandle, MindShowOptions, Ppj, PpjHandle, PpjOptions, Site, Tencent,
    TencentHandle, TencentOptions, TextIn, TextInHandle, TextInOptions, Times, VirtualClock, WeCom,
    WeComHandle, WeComOptions,
};

use super::compare::Purchase;
use super::input::Input;
use super::plan::{FaultKind, PlannedFault, Step, Work};

/// How long an answer is held back so that its asker can be killed, in virtual seconds.
const HELD_BACK: f64 = 1000.0;

/// A running simulator of the vendor of one work.
#[derive(Debug)]
pub(super) struct Vendor {
    work: Work,
    speed: u32,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    TextIn(TextInHandle),
    Ppj(PpjHandle),
    MindShow(MindShowHandle),
    Tencent(TencentHandle),
    WeCom(WeComHandle),
}

/// A print job as the cloud knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printed {
    /// Its id.
    pub(super) id: String,
    /// 0 not printed, 1 printed, 2 failed.
    pub(super) status: u32,
}

/// How closely requests followed each other, by their times of arrival.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pace {
    /// How many arrived.
    pub(super) requests: usize,
    /// Seconds between the first and the last of them.
    pub(super) seconds: f64,
    /// The part of what the limit allows in that time.
    pub(super) used: f64,
    /// The shortest time in which one more arrived than the limit allows in a window, as a part of the window.
    pub(super) narrowest: f64,
    /// How often that time was shorter than the window by more than the network may squeeze requests together, and how
    /// often the vendor itself refused one for the rate.
    pub(super) too_fast: u64,
    /// When those that were squeezed together came, in seconds after the first.
    pub(super) crowded: Vec<f64>,
}

impl Pace {
    fn of(arrivals: &[f64], window: f64, refused: u64) -> Self {
        const LIMIT: usize = 2;
        const SQUEEZED: f64 = 0.010;
        let spans = || {
            arrivals.windows(LIMIT + 1).filter_map(|few| match few {
                [first, .., last] => Some(last - first),
                _ => None,
            })
        };
        let seconds = match arrivals {
            [first, .., last] => last - first,
            _ => 0.0,
        };
        let begun = arrivals.first().copied().unwrap_or_default();
        let lasts = arrivals.iter().skip(LIMIT);
        let crowded: Vec<f64> = spans()
            .zip(lasts)
            .filter(|(span, _)| *span < window - SQUEEZED)
            .map(|(_, last)| last - begun)
            .collect();
        Self {
            requests: arrivals.len(),
            seconds,
            used: arrivals.len() as f64 * window / (LIMIT as f64 * seconds),
            narrowest: spans().fold(f64::INFINITY, f64::min) / window,
            too_fast: refused + crowded.len() as u64,
            crowded,
        }
    }
}

impl Vendor {
    /// Starts it on loopback.
    ///
    /// # Errors
    /// The system refuses a socket.
    pub(super) async fn start(work: Work) -> io::Result<Self> {
        // The printer's shortest time-outs must still be longer than a busy machine's pauses.
        let speed = if work == Work::Print { 20 } else { 50 };
        let site = Site::with_clock(VirtualClock::real(f64::from(speed)));
        let handle = match work {
            Work::Parse => Handle::TextIn(TextIn::start_at(&site, TextInOptions::default()).await?),
            Work::Convert => {
                let options = PpjOptions {
                    conversion_seconds: 15.0,
                    ..PpjOptions::default()
                };
                Handle::Ppj(Ppj::start_at(&site, options).await?)
            }
            Work::Deck | Work::Pdf => {
                let options = MindShowOptions {
                    pdf_charge: PdfCharge::EveryCall,
                    pdf_needs_finished_job: false,
                    ..MindShowOptions::default()
                };
                Handle::MindShow(MindShow::start_at(&site, options).await?)
            }
            Work::Sign => {
                Handle::Tencent(Tencent::start_at(&site, TencentOptions::default()).await?)
            }
            Work::Print => Handle::WeCom(WeCom::start_at(&site, WeComOptions::default()).await?),
        };
        Ok(Self {
            work,
            speed,
            handle,
        })
    }

    /// TextIn for workers, whose jobs take that many of its seconds.
    ///
    /// # Errors
    /// The system refuses a socket.
    pub(super) async fn for_workers(speed: u32, seconds: f64) -> io::Result<Self> {
        let site = Site::with_clock(VirtualClock::real(f64::from(speed)));
        let options = TextInOptions {
            in_progress_seconds: seconds,
            ..TextInOptions::default()
        };
        Ok(Self {
            work: Work::Parse,
            speed,
            handle: Handle::TextIn(TextIn::start_at(&site, options).await?),
        })
    }

    /// The real seconds of its clock.
    pub(super) fn elapsed(&self) -> f64 {
        let Handle::TextIn(sim) = &self.handle else {
            return 0.0;
        };
        sim.clock().real_elapsed().as_secs_f64()
    }

    /// What the record of requests says of the vendor's limit, in every sliding window.
    ///
    /// A worker that was stopped after it had taken a place sends when it goes on, at `resumed`, and neither it nor anybody
    /// else can know before: what comes in the two windows from then on is left out.
    pub(super) fn pace(&self, resumed: Option<f64>) -> Pace {
        const RATE_REFUSED: i64 = 40306;
        let Handle::TextIn(sim) = &self.handle else {
            return Pace::default();
        };
        let window = 1.0 / f64::from(self.speed);
        let is_late =
            |at: f64| resumed.is_some_and(|from| (from..from + 2.0 * window).contains(&at));
        let requests = sim.requests().into_iter();
        let arrivals: Vec<f64> = requests
            .filter(|request| request.origin == "textin-api" && !is_late(request.arrived_real))
            .map(|request| request.arrived_real)
            .collect();
        // It does not say when, so a late one among them could not be told.
        let refused = match resumed {
            None => sim.counters().refusals.get(&RATE_REFUSED).copied(),
            Some(_) => None,
        };
        Pace::of(&arrivals, window, refused.unwrap_or_default())
    }

    /// The variables that point the command here.
    pub(super) fn env(&self) -> Vec<(String, String)> {
        let mut env = match &self.handle {
            Handle::TextIn(sim) => sim.env(),
            Handle::Ppj(sim) => sim.env(),
            Handle::MindShow(sim) => sim.env(),
            Handle::Tencent(sim) => sim.env(),
            Handle::WeCom(sim) => sim.env(),
        };
        env.push(("DOCJOBS_TIME_SCALE".to_owned(), self.speed.to_string()));
        env
    }

    /// Somebody sends a document to the printer.
    pub(super) fn add_print_job(&self, input: &Input) -> Option<String> {
        match &self.handle {
            Handle::WeCom(sim) => Some(sim.add_job(NewJob::pdf(&input.name, input.bytes.clone()))),
            _ => None,
        }
    }

    /// Forgets faults that have not struck, and scripts these. With `hold` the next paid answer is held back after the
    /// work is done.
    pub(super) fn script(&self, troubles: &[PlannedFault], hold: bool) {
        let faults = self.faults();
        faults.clear();
        if hold {
            faults.add(ScriptedFault {
                operation: self.operation(Step::Submit).to_owned(),
                skip: 0,
                times: Times::Once,
                fault: Fault::Delay { seconds: HELD_BACK },
            });
        }
        for trouble in troubles {
            faults.add(ScriptedFault {
                operation: self.operation(trouble.step).to_owned(),
                skip: trouble.skip,
                times: Times::Once,
                fault: fault(trouble.kind),
            });
        }
    }

    /// How much paid work was begun.
    pub(super) fn begun(&self) -> u64 {
        let len = |count: usize| count as u64;
        match &self.handle {
            Handle::TextIn(sim) => len(sim.jobs().len()),
            Handle::Ppj(sim) => len(sim.jobs().len()),
            Handle::MindShow(sim) if self.work == Work::Pdf => sim.counters().pdf_calls,
            Handle::MindShow(sim) => len(sim.jobs().len()),
            Handle::Tencent(sim) => len(sim.tasks().len()),
            Handle::WeCom(sim) => len(sim.reports().len()),
        }
    }

    /// Every job that was sold, and its charges. A deck that is only exported is not sold here.
    pub(super) fn bought(&self) -> Vec<Purchase> {
        let mut charges: BTreeMap<String, usize> = BTreeMap::new();
        let mut charge = |remote: String| *charges.entry(remote).or_default() += 1;
        let jobs: Vec<(String, String)> = match &self.handle {
            Handle::TextIn(sim) => {
                sim.charges().into_iter().for_each(|one| charge(one.job_id));
                let jobs = sim.jobs().into_iter();
                jobs.map(|job| (job.job_id, job.sha256)).collect()
            }
            Handle::Ppj(sim) => {
                sim.charges().into_iter().for_each(|one| charge(one.token));
                let jobs = sim.jobs().into_iter();
                jobs.map(|job| (job.token, job.sha256)).collect()
            }
            Handle::MindShow(sim) if self.work == Work::Pdf => {
                let jobs = sim.jobs().into_iter().filter(|job| job.pdf_calls > 0);
                let mut bought = Vec::new();
                for job in jobs {
                    // Each call costs in these runs, the making of the deck not counted.
                    (0..job.pdf_calls).for_each(|_| charge(job.id.clone()));
                    bought.push((job.id.clone(), job.id));
                }
                bought
            }
            Handle::MindShow(sim) => {
                for one in sim.charges() {
                    charge(one.job_id.unwrap_or_default());
                }
                let jobs = sim.jobs().into_iter();
                jobs.map(|job| (job.id, job.title)).collect()
            }
            Handle::Tencent(sim) => {
                sim.charges()
                    .into_iter()
                    .for_each(|one| charge(one.task_id));
                let tasks = sim.tasks().into_iter();
                tasks.map(|task| (task.task_id, task.sha256)).collect()
            }
            Handle::WeCom(_) => Vec::new(),
        };
        let sold = jobs.into_iter().map(|(remote, input)| Purchase {
            charges: charges.get(&remote).copied().unwrap_or_default(),
            remote,
            input,
        });
        sold.collect()
    }

    /// How many charges one job may show.
    pub(super) fn allowed(&self, calls: usize) -> usize {
        if self.work == Work::Pdf { calls } else { 1 }
    }

    /// The file that a job brings; none before its end, or if it brings a line of text.
    pub(super) fn result(&self, remote: &str, input: &Input) -> Option<Vec<u8>> {
        match &self.handle {
            // A text file comes back as it was.
            Handle::TextIn(_) => Some(input.bytes.clone()),
            Handle::Ppj(sim) => sim.bundle(remote).map(Vec::from),
            Handle::MindShow(sim) if self.work == Work::Pdf => sim.pdf(remote).map(Vec::from),
            Handle::MindShow(sim) => sim.deck(remote).map(Vec::from),
            Handle::Tencent(_) | Handle::WeCom(_) => None,
        }
    }

    /// The line of text that a job brings.
    pub(super) fn line(&self, remote: &str) -> Option<String> {
        match &self.handle {
            Handle::Tencent(sim) => {
                let mut tasks = sim.tasks().into_iter();
                tasks.find(|task| task.task_id == remote)?.resource_id
            }
            _ => None,
        }
    }

    /// The decks there are, the oldest first.
    pub(super) fn decks(&self) -> Vec<String> {
        match &self.handle {
            Handle::MindShow(sim) => sim.jobs().into_iter().map(|job| job.id).collect(),
            _ => Vec::new(),
        }
    }

    /// The print jobs there are.
    pub(super) fn print_jobs(&self) -> Vec<Printed> {
        match &self.handle {
            Handle::WeCom(sim) => {
                let jobs = sim.jobs().into_iter();
                jobs.map(|job| Printed {
                    id: job.jobid,
                    status: job.status,
                })
                .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Stops it.
    pub(super) async fn stop(self) {
        match self.handle {
            Handle::TextIn(sim) => sim.stop().await,
            Handle::Ppj(sim) => sim.stop().await,
            Handle::MindShow(sim) => sim.stop().await,
            Handle::Tencent(sim) => sim.stop().await,
            Handle::WeCom(sim) => sim.stop().await,
        }
    }

    fn faults(&self) -> &FaultPlan {
        match &self.handle {
            Handle::TextIn(sim) => sim.faults(),
            Handle::Ppj(sim) => sim.faults(),
            Handle::MindShow(sim) => sim.faults(),
            Handle::Tencent(sim) => sim.faults(),
            Handle::WeCom(sim) => sim.faults(),
        }
    }

    fn operation(&self, step: Step) -> &'static str {
        match (self.work, step) {
            (Work::Parse, Step::Submit) => "submit",
            (Work::Parse, Step::Poll) => "poll",
            (Work::Parse, Step::Download) => "result",
            (Work::Convert, Step::Submit) => "create",
            (Work::Convert, Step::Poll) => "show",
            (Work::Convert, Step::Download) => "download",
            (Work::Deck, Step::Submit) => "ppt_create_by_markdown",
            (Work::Deck, Step::Poll) => "job_get",
            (Work::Deck, Step::Download) => "deck_file",
            (Work::Pdf, Step::Submit | Step::Poll) => "get_pdf",
            (Work::Pdf, Step::Download) => "pdf_file",
            (Work::Sign, Step::Submit) => "create",
            (Work::Sign, Step::Poll) => "query",
            (Work::Sign, Step::Download) => "upload",
            (Work::Print, Step::Submit) => "printer/report_job_status",
            (Work::Print, Step::Poll) => "printer/get_job_list",
            (Work::Print, Step::Download) => "printer/download_file",
        }
    }
}

fn fault(ill: FaultKind) -> Fault {
    let status = |status, after_commit| Fault::Status {
        status,
        body: "<html>bad gateway</html>".to_owned(),
        headers: Vec::new(),
        after_commit,
    };
    match ill {
        FaultKind::DroppedBefore => Fault::DropBeforeCommit {
            after_bytes: None,
            reset: true,
        },
        FaultKind::DroppedAfter => Fault::DropAfterCommit { reset: false },
        FaultKind::StatusBefore => status(503, false),
        FaultKind::StatusAfter => status(502, true),
        FaultKind::Cut => Fault::CutBody { at: 5 },
        FaultKind::NoJson => Fault::NonJson { body: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sliding_window_counts() {
        let even = Pace::of(&[0.0, 0.5, 1.0, 1.5, 2.0], 1.0, 0);
        assert_eq!((even.requests, even.too_fast), (5, 0));
        assert_eq!((even.narrowest, even.used, even.seconds), (1.0, 1.25, 2.0));
        // Two in each second of the clock, three within one.
        let crowded = Pace::of(&[0.1, 0.9, 1.1, 1.8], 1.0, 0);
        assert_eq!(crowded.too_fast, 1);
        assert!((crowded.narrowest - 0.9).abs() < 1e-9);
        assert_eq!(Pace::of(&[], 1.0, 3).too_fast, 3);
    }
}

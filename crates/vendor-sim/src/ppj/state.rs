//! The jobs and the quota of the PPJ simulator: a pure state machine that is told the time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::answer::{Reason, Refusal};
use super::options::{CallbackMode, ChargeAt, Outcome, PpjOptions, RetentionFrom};
use crate::clock::seconds;
use crate::deck::Slide;

/// How a conversion's time is shared out among the states.
const SHARES: [(&str, f64); 4] = [
    ("uploading", 0.05),
    ("converting", 0.55),
    ("rendering", 0.30),
    ("disting", 0.10),
];
/// What halts does so while it is converted, not while a result is packed.
const HALT_SHARE: f64 = 0.60;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) options: PpjOptions,
    pub(crate) next_outcomes: VecDeque<Outcome>,
    pub(crate) deliveries: Vec<CallbackDelivery>,
    /// The callback address, if it passed the check.
    pub(crate) callback: Option<String>,
    /// A job whose callback waits to be overtaken.
    pub(crate) held: Option<String>,
    pub(crate) counters: Counters,
    jobs: HashMap<String, Job>,
    order: Vec<String>,
    /// Jobs under way by the instant of their end.
    due: BTreeSet<(Duration, String)>,
    charges: Vec<Charge>,
    /// Sum of the charges.
    taken: i64,
    /// Jobs under way that will be charged at completion.
    reserved: u64,
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Jobs made.
    pub jobs: u64,
    /// Show calls that were answered with a state.
    pub polls: u64,
    /// List calls answered.
    pub lists: u64,
    /// Bundles handed out.
    pub downloads: u64,
    /// Refusals by error type.
    pub refusals: BTreeMap<String, u64>,
}

/// A change of the quota.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Charge {
    /// The job.
    pub token: String,
    /// Projects taken: 1, or -1 for one given back.
    pub units: i64,
    /// When, in virtual Unix seconds.
    pub at_unix: f64,
}

/// One callback request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallbackDelivery {
    /// The job it speaks of; empty for the address check.
    pub token: String,
    /// Where it went, with the query.
    pub url: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The service's own parameters.
    pub parameters: Vec<(String, String)>,
    /// Counted from 1 for each job.
    pub attempt: u32,
    /// HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// Sent by a stranger.
    pub forged: bool,
    /// When it was sent, in virtual Unix seconds.
    pub at_unix: f64,
}

/// A job as tests see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobView {
    /// The vendor's id.
    pub token: String,
    /// Name as sent.
    pub source_filename: String,
    /// Bytes received.
    pub size: u64,
    /// MD5 of the bytes received.
    pub md5: String,
    /// SHA-256 of the bytes received.
    pub sha256: String,
    /// Pages of the bundle.
    pub pages: u64,
    /// State at this moment.
    pub state: String,
    /// Why it halted.
    pub last_error: Option<String>,
    /// Virtual Unix seconds of acceptance.
    pub created_unix: f64,
    /// Virtual Unix seconds of the end, if it will ever end.
    pub ends_unix: Option<f64>,
    /// Show calls answered.
    pub polls: u64,
    /// Bundles handed out.
    pub downloads: u64,
}

/// A received file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) filename: String,
    pub(crate) size: u64,
    pub(crate) md5: String,
    pub(crate) sha256: String,
    /// The texts, if the file is a presentation that can be read.
    pub(crate) slides: Option<Vec<Slide>>,
}

impl Source {
    pub(crate) fn pages(&self) -> u64 {
        self.slides.as_ref().map_or(1, |slides| slides.len() as u64)
    }

    /// The file name without its extension.
    pub(crate) fn name(&self) -> &str {
        self.filename
            .rsplit_once('.')
            .map_or(self.filename.as_str(), |(name, _)| name)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) token: String,
    pub(crate) source: Arc<Source>,
    pub(crate) created: Duration,
    pub(crate) end: Option<Duration>,
    pub(crate) outcome: Outcome,
    pub(crate) callback: Option<String>,
    /// Working states with the instants at which they begin.
    stages: Vec<(String, Duration)>,
    notified: Option<Duration>,
    purge: Option<Duration>,
    /// When its project was taken from the quota.
    charge_at: ChargeAt,
    polls: u64,
    downloads: u64,
}

impl State {
    pub(crate) fn new(options: PpjOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Makes a job. Two equal files make two jobs: there is no idempotency key, and the digest is only checked.
    pub(crate) fn create(
        &mut self,
        token: String,
        source: Source,
        now: Duration,
    ) -> Result<Job, Refusal> {
        self.settle(now);
        if self.permanents_left() == Some(0) {
            return Err(Refusal::bad("no projects left"));
        }
        let outcome = self.outcome(&source);
        let callback = self.callback.clone();
        let at_once = callback.is_some() && self.options.callback == CallbackMode::BeforeAnswer;
        let span = if at_once {
            0.0
        } else {
            self.options.conversion_seconds
        };
        let (stages, working) = stages(now, span, self.options.extra_state.as_deref());
        let end = match outcome {
            Outcome::Completed => Some(working),
            Outcome::Halted { .. } => Some(now + seconds(span * HALT_SHARE)),
            Outcome::Never => None,
        };
        let kept = seconds(self.options.retention_seconds);
        let quiet = callback.is_none();
        let job = Job {
            token: token.clone(),
            source: Arc::new(source),
            created: now,
            end,
            callback,
            stages,
            notified: end
                .filter(|_| quiet)
                .map(|end| end + seconds(self.options.notifying_seconds)),
            purge: end.map(|end| match self.options.retention_from {
                RetentionFrom::Completion => end + kept,
                RetentionFrom::Creation => now + kept,
            }),
            outcome,
            charge_at: self.options.charge_at,
            polls: 0,
            downloads: 0,
        };
        if job.charge_at == ChargeAt::Create {
            self.charge(&token, 1, now);
        }
        if let Some(end) = end {
            self.due.insert((end, token.clone()));
            self.reserved += u64::from(job.charge_at == ChargeAt::Completion);
        }
        self.counters.jobs += 1;
        self.order.push(token.clone());
        self.jobs.insert(token, job.clone());
        self.settle(now);
        Ok(job)
    }

    /// Polls a job.
    pub(crate) fn poll(&mut self, token: &str, now: Duration) -> Result<Job, Refusal> {
        self.settle(now);
        let job = self.jobs.get_mut(token).ok_or_else(unknown)?;
        job.polls += 1;
        self.counters.polls += 1;
        Ok(job.clone())
    }

    /// The job whose bundle is asked for.
    pub(crate) fn download(&mut self, token: &str, now: Duration) -> Result<Job, Refusal> {
        self.settle(now);
        let job = self.jobs.get_mut(token).ok_or_else(unknown)?;
        let state = job.state(now);
        if !job.has_result(now) {
            let message = format!("job is {state}, nothing to download");
            return Err(Refusal::new(Reason::NotReady, message));
        }
        job.downloads += 1;
        self.counters.downloads += 1;
        Ok(job.clone())
    }

    /// Tokens of the jobs that `wanted` picks by creation and state, newest first.
    pub(crate) fn list(
        &mut self,
        now: Duration,
        wanted: impl Fn(Duration, &str) -> bool,
    ) -> Vec<String> {
        self.settle(now);
        self.counters.lists += 1;
        let jobs = self
            .order
            .iter()
            .rev()
            .filter_map(|token| self.jobs.get(token));
        jobs.filter(|job| wanted(job.created, job.state(now)))
            .map(|job| job.token.clone())
            .collect()
    }

    /// The customer's address has accepted a callback (or the service has given up on it).
    pub(crate) fn notified(&mut self, token: &str, now: Duration) {
        if let Some(job) = self.jobs.get_mut(token) {
            job.notified.get_or_insert(now);
        }
    }

    pub(crate) fn job(&self, token: &str) -> Option<&Job> {
        self.jobs.get(token)
    }

    pub(crate) fn jobs(&mut self, now: Duration) -> Vec<JobView> {
        self.settle(now);
        let jobs = self.order.iter().filter_map(|token| self.jobs.get(token));
        jobs.map(|job| job.view(now)).collect()
    }

    pub(crate) fn charges(&mut self, now: Duration) -> Vec<Charge> {
        self.settle(now);
        self.charges.clone()
    }

    /// Projects left; `None` without limit. Those that will be taken at completion count as taken.
    pub(crate) fn permanents_left(&self) -> Option<u64> {
        let permanents = self.options.permanents?;
        let taken = u64::try_from(self.taken).unwrap_or(0);
        Some(permanents.saturating_sub(taken + self.reserved))
    }

    /// Brings everything up to date that ended by `now`, in the order of the ends.
    pub(crate) fn settle(&mut self, now: Duration) {
        while let Some((end, token)) = self.due.pop_first() {
            if end > now {
                self.due.insert((end, token));
                return;
            }
            let Some(job) = self.jobs.get(&token) else {
                continue;
            };
            if job.charge_at == ChargeAt::Completion {
                self.reserved = self.reserved.saturating_sub(1);
            }
            match (&job.outcome, job.charge_at) {
                (Outcome::Completed, ChargeAt::Completion) => self.charge(&token, 1, end),
                (Outcome::Halted { .. }, ChargeAt::Create) if self.options.refund_halted => {
                    self.charge(&token, -1, end);
                }
                _ => {}
            }
        }
    }

    fn charge(&mut self, token: &str, units: i64, at: Duration) {
        self.taken += units;
        self.charges.push(Charge {
            token: token.to_owned(),
            units,
            at_unix: at.as_secs_f64(),
        });
    }

    fn outcome(&mut self, source: &Source) -> Outcome {
        if let Some(outcome) = self.next_outcomes.pop_front() {
            return outcome;
        }
        if let Some(outcome) = self.options.outcomes.get(&source.filename) {
            return outcome.clone();
        }
        let claims = source.filename.to_ascii_lowercase().ends_with(".pptx");
        if self.options.halt_on_bad_pptx && claims && source.slides.is_none() {
            return Outcome::Halted {
                message: "source file cannot be read".to_owned(),
                code: 2,
            };
        }
        Outcome::Completed
    }
}

fn unknown() -> Refusal {
    Refusal::new(Reason::UnknownToken, "job not found")
}

/// The working states with their beginnings, and the instant at which the last one ends.
fn stages(start: Duration, span: f64, extra: Option<&str>) -> (Vec<(String, Duration)>, Duration) {
    let mut list = Vec::new();
    let mut share = 0.0;
    for (word, part) in SHARES {
        // An extra state takes the first half of what packing has.
        let half = part / 2.0;
        match extra {
            Some(extra) if word == "disting" => {
                list.push((extra.to_owned(), start + seconds(span * share)));
                list.push((word.to_owned(), start + seconds(span * (share + half))));
            }
            _ => list.push((word.to_owned(), start + seconds(span * share))),
        }
        share += part;
    }
    (list, start + seconds(span))
}

impl Job {
    pub(crate) fn state(&self, now: Duration) -> &str {
        if self.end.is_none_or(|end| now < end) {
            let begun = self.stages.iter().rev().find(|(_, start)| *start <= now);
            return begun.map_or("uploading", |(word, _)| word);
        }
        match self.outcome {
            Outcome::Halted { .. } => "halted",
            _ if self.purge.is_some_and(|purge| purge <= now) => "deleted",
            _ if self.notified.is_some_and(|notified| notified <= now) => "completed",
            _ => "notifying",
        }
    }

    pub(crate) fn has_result(&self, now: Duration) -> bool {
        let ended = self.end.is_some_and(|end| end <= now);
        ended && matches!(self.state(now), "notifying" | "completed")
    }

    /// Unknown while the file is still being read.
    pub(crate) fn total_pages(&self, now: Duration) -> Option<u64> {
        (self.state(now) != "uploading").then(|| self.source.pages())
    }

    pub(crate) fn last_error(&self, now: Duration) -> Option<&str> {
        match &self.outcome {
            Outcome::Halted { message, .. } if self.state(now) == "halted" => Some(message),
            _ => None,
        }
    }

    fn view(&self, now: Duration) -> JobView {
        JobView {
            token: self.token.clone(),
            source_filename: self.source.filename.clone(),
            size: self.source.size,
            md5: self.source.md5.clone(),
            sha256: self.source.sha256.clone(),
            pages: self.source.pages(),
            state: self.state(now).to_owned(),
            last_error: self.last_error(now).map(str::to_owned),
            created_unix: self.created.as_secs_f64(),
            ends_unix: self.end.map(|end| end.as_secs_f64()),
            polls: self.polls,
            downloads: self.downloads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualClock;

    const DAY: u64 = 86_400;

    struct Bench {
        clock: VirtualClock,
        state: State,
        made: u32,
    }

    impl Bench {
        fn new(options: PpjOptions) -> Self {
            Self {
                clock: VirtualClock::manual(),
                state: State::new(options),
                made: 0,
            }
        }

        fn create(&mut self, filename: &str) -> Result<String, Refusal> {
            self.made += 1;
            let source = Source {
                filename: filename.to_owned(),
                size: 3,
                md5: "m".to_owned(),
                sha256: "s".to_owned(),
                slides: None,
            };
            let token = format!("token{}", self.made);
            self.state
                .create(token, source, self.clock.now())
                .map(|job| job.token)
        }

        fn pass(&self, secs: u64) {
            self.clock.advance(Duration::from_secs(secs));
        }

        fn word(&mut self, token: &str) -> String {
            let now = self.clock.now();
            self.state.poll(token, now).unwrap().state(now).to_owned()
        }

        fn words(&mut self, token: &str, steps: usize, step: u64) -> Vec<String> {
            let mut words: Vec<String> = Vec::new();
            for _ in 0..steps {
                let word = self.word(token);
                if words.last() != Some(&word) {
                    words.push(word);
                }
                self.pass(step);
            }
            words
        }

        fn units(&mut self) -> Vec<i64> {
            let now = self.clock.now();
            self.state
                .charges(now)
                .iter()
                .map(|charge| charge.units)
                .collect()
        }
    }

    fn halted() -> Outcome {
        Outcome::Halted {
            message: "cannot read".to_owned(),
            code: 2,
        }
    }

    #[test]
    fn job_passes_all_working_states_in_order_and_is_purged_after_three_days() {
        let mut bench = Bench::new(PpjOptions::default());
        let token = bench.create("a.pptx").unwrap();
        let working = [
            "uploading",
            "converting",
            "rendering",
            "disting",
            "completed",
        ];
        assert_eq!(bench.words(&token, 45, 2), working[..4]);
        assert_eq!(bench.word(&token), "completed");
        bench.pass(3 * DAY - 1);
        assert_eq!(bench.word(&token), "completed");
        bench.pass(1);
        assert_eq!(bench.word(&token), "deleted");
        let now = bench.clock.now();
        assert_eq!(
            bench.state.download(&token, now).unwrap_err().reason,
            Reason::NotReady
        );
        assert_eq!(bench.state.list(now, |_, _| true), [token]);
    }

    #[test]
    fn unknown_state_comes_before_packing_and_the_whole_takes_no_longer() {
        let mut bench = Bench::new(PpjOptions {
            extra_state: Some("polishing".to_owned()),
            notifying_seconds: 5.0,
            ..PpjOptions::default()
        });
        let token = bench.create("a.pptx").unwrap();
        let expected = [
            "uploading",
            "converting",
            "rendering",
            "polishing",
            "disting",
            "notifying",
            "completed",
        ];
        assert_eq!(bench.words(&token, 100, 1), expected);
    }

    #[test]
    fn retention_may_begin_at_creation() {
        let mut bench = Bench::new(PpjOptions {
            retention_from: RetentionFrom::Creation,
            ..PpjOptions::default()
        });
        let token = bench.create("a.pptx").unwrap();
        bench.pass(3 * DAY - 1);
        assert_eq!(bench.word(&token), "completed");
        bench.pass(1);
        assert_eq!(bench.word(&token), "deleted");
    }

    #[test]
    fn callback_keeps_the_state_at_notifying_and_the_result_downloadable() {
        let mut bench = Bench::new(PpjOptions::default());
        bench.state.callback = Some("http://127.0.0.1:1/".to_owned());
        let token = bench.create("a.pptx").unwrap();
        bench.pass(DAY);
        assert_eq!(bench.word(&token), "notifying");
        let now = bench.clock.now();
        assert!(bench.state.download(&token, now).is_ok());
        bench.state.notified(&token, now);
        assert_eq!(bench.word(&token), "completed");
        // Not even an address that never answers keeps the files.
        let other = bench.create("b.pptx").unwrap();
        bench.pass(4 * DAY);
        assert_eq!(bench.word(&other), "deleted");
    }

    #[test]
    fn halted_job_keeps_its_reason_has_no_result_and_is_not_purged() {
        let mut bench = Bench::new(PpjOptions::default());
        bench.state.next_outcomes.push_back(halted());
        let token = bench.create("a.pptx").unwrap();
        assert_eq!(
            bench.words(&token, 30, 2),
            ["uploading", "converting", "halted"]
        );
        bench.pass(10 * DAY);
        let now = bench.clock.now();
        let job = bench.state.poll(&token, now).unwrap();
        assert_eq!(
            (job.state(now), job.last_error(now)),
            ("halted", Some("cannot read"))
        );
        assert!(bench.state.download(&token, now).is_err());
    }

    #[test]
    fn equal_files_make_two_jobs_and_two_charges_at_create() {
        let mut bench = Bench::new(PpjOptions {
            permanents: Some(2),
            ..PpjOptions::default()
        });
        let (one, two) = (
            bench.create("a.pptx").unwrap(),
            bench.create("a.pptx").unwrap(),
        );
        assert_ne!(one, two);
        assert_eq!(bench.units(), [1, 1]);
        assert_eq!(bench.state.permanents_left(), Some(0));
        assert_eq!(
            bench.create("a.pptx").unwrap_err().reason,
            Reason::BadRequest
        );
        assert_eq!(bench.state.counters.jobs, 2);
    }

    #[test]
    fn halted_job_gives_its_project_back_only_if_the_switch_says_so() {
        for (refund, left) in [(false, 0), (true, 1)] {
            let mut bench = Bench::new(PpjOptions {
                permanents: Some(1),
                refund_halted: refund,
                ..PpjOptions::default()
            });
            bench.state.next_outcomes.push_back(halted());
            bench.create("a.pptx").unwrap();
            bench.pass(200);
            bench.units();
            assert_eq!(bench.state.permanents_left(), Some(left));
            assert_eq!(bench.create("b.pptx").is_ok(), refund);
        }
    }

    #[test]
    fn project_taken_at_completion_is_reserved_meanwhile_and_free_if_halted() {
        let mut bench = Bench::new(PpjOptions {
            permanents: Some(1),
            charge_at: ChargeAt::Completion,
            ..PpjOptions::default()
        });
        bench.state.next_outcomes.push_back(halted());
        bench.create("a.pptx").unwrap();
        assert!(bench.create("b.pptx").is_err());
        bench.pass(200);
        bench.create("b.pptx").unwrap();
        assert_eq!(bench.units(), [0_i64; 0]);
        bench.pass(200);
        assert_eq!(bench.units(), [1]);
    }

    #[test]
    fn page_count_is_unknown_while_the_file_is_being_read() {
        let mut bench = Bench::new(PpjOptions::default());
        let token = bench.create("a.pptx").unwrap();
        let pages = |bench: &mut Bench| {
            let now = bench.clock.now();
            bench.state.poll(&token, now).unwrap().total_pages(now)
        };
        assert_eq!(pages(&mut bench), None);
        bench.pass(10);
        assert_eq!(pages(&mut bench), Some(1));
    }

    #[test]
    fn list_is_picked_by_creation_and_state() {
        let mut bench = Bench::new(PpjOptions::default());
        let start = bench.clock.now();
        let one = bench.create("a.pptx").unwrap();
        bench.pass(100);
        let two = bench.create("b.pptx").unwrap();
        let now = bench.clock.now();
        assert_eq!(
            bench.state.list(now, |_, _| true),
            [two.clone(), one.clone()]
        );
        assert_eq!(bench.state.list(now, |created, _| created > start), [two]);
        assert_eq!(
            bench.state.list(now, |_, state| state == "completed"),
            [one]
        );
    }

    #[test]
    fn bad_presentation_halts_with_code_two_only_if_asked() {
        let mut bench = Bench::new(PpjOptions {
            halt_on_bad_pptx: true,
            ..PpjOptions::default()
        });
        bench.create("a.PPTX").unwrap();
        bench.create("a.txt").unwrap();
        bench.pass(200);
        let now = bench.clock.now();
        let states: Vec<String> = bench
            .state
            .jobs(now)
            .into_iter()
            .map(|job| job.state)
            .collect();
        assert_eq!(states, ["halted", "completed"]);
    }
}

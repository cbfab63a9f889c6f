//! The jobs and the money of the TextIn simulator: a pure state machine that is told the time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::answer::Refusal;
use super::config::Config;
use super::document::Document;
use super::options::{Outcome, TextInOptions};
use super::result;
use crate::clock::seconds;
use crate::sliding_window::SlidingWindow;

/// Free pages are counted by the vendor's calendar day.
const CHINA: u64 = 8 * 3600;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) options: TextInOptions,
    pub(crate) next_outcomes: VecDeque<Outcome>,
    pub(crate) deliveries: Vec<WebhookDelivery>,
    jobs: HashMap<String, Job>,
    order: Vec<String>,
    /// Jobs under way by the instant of their end, so that a poll costs the same with one job and with many.
    due: BTreeSet<(Duration, String)>,
    charges: Vec<Charge>,
    recent: HashMap<String, SlidingWindow>,
    pub(crate) counters: Counters,
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Jobs made, synchronous ones included.
    pub jobs: u64,
    /// Polls that were answered with a state.
    pub polls: u64,
    /// Results handed out, whole or in part.
    pub downloads: u64,
    /// Refusals by code.
    pub refusals: BTreeMap<i64, u64>,
}

/// One charge: once for each job, when it completes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Charge {
    /// The job.
    pub job_id: String,
    /// Whose money.
    pub app_id: String,
    /// The document, the same for the same bytes.
    pub file_id: String,
    /// Pages charged.
    pub pages: u64,
    /// How many of them were free.
    pub free_pages: u64,
    /// When, in virtual Unix seconds.
    pub at_unix: f64,
}

/// What became of one webhook request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookDelivery {
    /// The job it speaks of.
    pub job_id: String,
    /// Where it went.
    pub url: String,
    /// The JSON sent.
    pub body: Value,
    /// HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
}

/// A job as tests see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobView {
    /// The vendor's id.
    pub job_id: String,
    /// Whose job.
    pub app_id: String,
    /// The same for the same bytes.
    pub file_id: String,
    /// Name as sent.
    pub file_name: String,
    /// Bytes received.
    pub size: u64,
    /// SHA-256 of the bytes received.
    pub sha256: String,
    /// Pages to parse.
    pub pages: u64,
    /// State at this moment.
    pub status: String,
    /// Made by the synchronous call.
    pub sync: bool,
    /// Virtual Unix seconds of acceptance.
    pub submitted_unix: f64,
    /// Virtual Unix seconds of the end, if it will ever end.
    pub ends_unix: Option<f64>,
    /// Polls answered.
    pub polls: u64,
    /// Results handed out.
    pub downloads: u64,
    /// The webhook field.
    pub webhook: Option<String>,
    /// The config field as sent, the password struck out.
    pub config: Value,
    /// Config keys that the vendor does not know.
    pub unknown_config: Vec<String>,
}

/// What a submit brought, already checked by itself.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// The document, or why it could not be fetched.
    pub(crate) document: Result<Arc<Document>, String>,
    pub(crate) name: String,
    pub(crate) config: Arc<Config>,
    pub(crate) webhook: Option<String>,
    pub(crate) sync: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) document: Option<Arc<Document>>,
    pub(crate) config: Arc<Config>,
    pub(crate) outcome: Outcome,
    pub(crate) due: Option<Duration>,
    name: String,
    webhook: Option<String>,
    sync: bool,
    pages: u64,
    submitted: Duration,
    running: Duration,
    polls: u64,
    downloads: u64,
}

/// The answer to a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Poll {
    pub(crate) file_id: String,
    pub(crate) status: String,
    pub(crate) failure: Option<String>,
    pub(crate) has_result: bool,
}

impl State {
    pub(crate) fn new(options: TextInOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Who is asking, by the two key headers.
    pub(crate) fn authorize(&self, app: &str, secret: &str, peer: IpAddr) -> Result<(), Refusal> {
        if app.is_empty() || secret.is_empty() {
            return Err(Refusal::code(40101));
        }
        let first = app == self.options.app_id && secret == self.options.secret_code;
        if !first
            && self
                .options
                .other_apps
                .get(app)
                .is_none_or(|known| known != secret)
        {
            return Err(Refusal::code(40102));
        }
        match &self.options.allow_list {
            Some(list) if !list.contains(&peer) => Err(Refusal::code(40103)),
            _ => Ok(()),
        }
    }

    /// Counts a request against the app's rate.
    pub(crate) fn admit(
        &mut self,
        app: &str,
        now: Duration,
        slack: Duration,
    ) -> Result<(), Refusal> {
        let Some(limit) = self.options.qps else {
            return Ok(());
        };
        let window = self.recent.entry(app.to_owned()).or_default();
        let admitted = window.admit(now, slack, limit);
        admitted.map_err(|_| Refusal::code(40306))
    }

    /// Makes a job. Two equal submits make two jobs: there is no idempotency key.
    pub(crate) fn submit(
        &mut self,
        app: &str,
        id: String,
        parcel: Parcel,
        now: Duration,
    ) -> Result<(), Refusal> {
        self.settle(now);
        let pages = match &parcel.document {
            Ok(document) => result::selected_pages(document, &parcel.config)?.len() as u64,
            Err(_) => 0,
        };
        let most = if parcel.sync {
            self.options.max_pages_sync
        } else {
            self.options.max_pages_async
        };
        if pages > most {
            let refusal = Refusal::code(self.options.too_many_pages_code);
            return Err(refusal.with_message(format!("{pages} pages, limit {most}")));
        }
        self.afford(app, pages, now)?;
        let outcome = match &parcel.document {
            Err(message) => Outcome::Failed {
                message: message.clone(),
            },
            Ok(_) => match self.next_outcomes.pop_front() {
                Some(outcome) => outcome,
                None => self
                    .options
                    .outcomes
                    .get(&parcel.name)
                    .cloned()
                    .unwrap_or_default(),
            },
        };
        let running = now + seconds(self.options.pending_seconds);
        let due = (outcome != Outcome::Never)
            .then(|| running + seconds(self.options.in_progress_seconds));
        if let Some(due) = due {
            self.due.insert((due, id.clone()));
        }
        self.order.push(id.clone());
        self.counters.jobs += 1;
        let job = Job {
            id: id.clone(),
            app: app.to_owned(),
            document: parcel.document.ok(),
            config: parcel.config,
            outcome,
            due,
            name: parcel.name,
            webhook: parcel.webhook,
            sync: parcel.sync,
            pages,
            submitted: now,
            running,
            polls: 0,
            downloads: 0,
        };
        self.jobs.insert(id, job);
        Ok(())
    }

    /// Polls a job. A foreign id is as unknown as one that never was.
    pub(crate) fn poll(&mut self, app: &str, id: &str, now: Duration) -> Result<Poll, Refusal> {
        self.settle(now);
        let job = self
            .jobs
            .get_mut(id)
            .filter(|job| job.app == app)
            .ok_or_else(|| Refusal::parameter("Job does not exist"))?;
        job.polls += 1;
        self.counters.polls += 1;
        Ok(job.seen(now))
    }

    /// A finished job with a result.
    pub(crate) fn finished(&mut self, id: &str, now: Duration) -> Option<&Job> {
        self.settle(now);
        self.jobs
            .get(id)
            .filter(|job| job.document.is_some() && job.seen(now).has_result)
    }

    pub(crate) fn downloaded(&mut self, id: &str) {
        self.counters.downloads += 1;
        if let Some(job) = self.jobs.get_mut(id) {
            job.downloads += 1;
        }
    }

    /// Brings everything up to date that ended by `now`, in the order of the ends.
    pub(crate) fn settle(&mut self, now: Duration) {
        while let Some((due, id)) = self.due.pop_first() {
            if due > now {
                self.due.insert((due, id));
                return;
            }
            let Some(job) = self.jobs.get(&id) else {
                continue;
            };
            let pages = job.success_count();
            if pages == 0 {
                continue;
            }
            let charge = Charge {
                free_pages: pages.min(self.free_left(&job.app, due)),
                at_unix: due.as_secs_f64(),
                file_id: job.file_id(),
                app_id: job.app.clone(),
                job_id: id,
                pages,
            };
            self.charges.push(charge);
        }
    }

    pub(crate) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id)
    }

    pub(crate) fn jobs(&mut self, now: Duration) -> Vec<JobView> {
        self.settle(now);
        self.order
            .iter()
            .filter_map(|id| self.jobs.get(id))
            .map(|job| job.view(now))
            .collect()
    }

    pub(crate) fn charges(&mut self, now: Duration) -> Vec<Charge> {
        self.settle(now);
        self.charges.clone()
    }

    pub(crate) fn image(&self, file_id: &str) -> Option<Arc<Document>> {
        let documents = self.jobs.values().filter_map(|job| job.document.as_ref());
        documents
            .into_iter()
            .find(|document| document.file_id() == file_id)
            .cloned()
    }

    /// Whether the account can pay, with the jobs under way counted as if they had ended.
    fn afford(&self, app: &str, pages: u64, now: Duration) -> Result<(), Refusal> {
        if self.options.daily_free_pages.is_none() && self.options.balance_pages.is_none() {
            return Ok(());
        }
        let open = self
            .due
            .iter()
            .filter_map(|(_, id)| self.jobs.get(id))
            .filter(|job| job.app == app);
        let wanted = pages + open.map(Job::success_count).sum::<u64>();
        let free = self.free_left(app, now);
        let Some(balance) = self.options.balance_pages else {
            return if wanted <= free {
                Ok(())
            } else {
                Err(Refusal::code(40307))
            };
        };
        let paid: u64 = self
            .charges_of(app)
            .map(|charge| charge.pages - charge.free_pages)
            .sum();
        if wanted <= free + balance.saturating_sub(paid) {
            Ok(())
        } else {
            Err(Refusal::code(40003))
        }
    }

    fn free_left(&self, app: &str, now: Duration) -> u64 {
        let Some(free) = self.options.daily_free_pages else {
            return 0;
        };
        let day = |unix: Duration| (unix.as_secs() + CHINA) / 86_400;
        let today = day(now);
        let used: u64 = self
            .charges_of(app)
            .filter(|charge| day(seconds(charge.at_unix)) == today)
            .map(|charge| charge.free_pages)
            .sum();
        free.saturating_sub(used)
    }

    fn charges_of<'a>(&'a self, app: &'a str) -> impl Iterator<Item = &'a Charge> {
        self.charges
            .iter()
            .filter(move |charge| charge.app_id == app)
    }
}

impl Job {
    /// Pages parsed, and charged once the job has ended.
    pub(crate) fn success_count(&self) -> u64 {
        match &self.outcome {
            Outcome::Completed => self.pages,
            Outcome::Partial { success_count }
            | Outcome::Word {
                success_count: Some(success_count),
                ..
            } => (*success_count).min(self.pages),
            Outcome::Failed { .. }
            | Outcome::Word {
                success_count: None,
                ..
            }
            | Outcome::Never => 0,
        }
    }

    pub(crate) fn seen(&self, now: Duration) -> Poll {
        let ended = self.due.is_some_and(|due| now >= due);
        let status = if ended {
            match &self.outcome {
                Outcome::Completed | Outcome::Partial { .. } => "completed",
                Outcome::Failed { .. } => "failed",
                Outcome::Word { word, .. } => word,
                Outcome::Never => "in_progress",
            }
        } else if now < self.running {
            "pending"
        } else {
            "in_progress"
        };
        let failure = match &self.outcome {
            Outcome::Failed { message } if ended => Some(message.clone()),
            _ => None,
        };
        let fruitful = matches!(
            self.outcome,
            Outcome::Completed
                | Outcome::Partial { .. }
                | Outcome::Word {
                    success_count: Some(_),
                    ..
                }
        );
        Poll {
            file_id: self.file_id(),
            status: status.to_owned(),
            failure,
            has_result: ended && fruitful,
        }
    }

    fn file_id(&self) -> String {
        self.document
            .as_ref()
            .map(|document| document.file_id())
            .unwrap_or_default()
    }

    fn view(&self, now: Duration) -> JobView {
        JobView {
            job_id: self.id.clone(),
            app_id: self.app.clone(),
            file_id: self.file_id(),
            file_name: self.name.clone(),
            size: self.document.as_ref().map_or(0, |document| document.size),
            sha256: self
                .document
                .as_ref()
                .map(|document| document.sha256.clone())
                .unwrap_or_default(),
            pages: self.pages,
            status: self.seen(now).status,
            sync: self.sync,
            submitted_unix: self.submitted.as_secs_f64(),
            ends_unix: self.due.map(|due| due.as_secs_f64()),
            polls: self.polls,
            downloads: self.downloads,
            webhook: self.webhook.clone(),
            config: self.config.sent.clone(),
            unknown_config: self.config.unknown.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::config;
    use super::super::document::Content;
    use super::*;
    use crate::VirtualClock;

    const APP: &str = "sim-app-id";

    struct Bench {
        clock: VirtualClock,
        state: State,
        made: u32,
    }

    impl Bench {
        fn new(options: TextInOptions) -> Self {
            Self {
                clock: VirtualClock::manual(),
                state: State::new(options),
                made: 0,
            }
        }

        fn submit(&mut self, pages: usize) -> Result<String, Refusal> {
            self.submit_named("a.pdf", pages, false)
        }

        fn submit_named(
            &mut self,
            name: &str,
            pages: usize,
            sync: bool,
        ) -> Result<String, Refusal> {
            self.made += 1;
            let id = format!("job-{}", self.made);
            let document = Document {
                name: name.to_owned(),
                mime: "application/pdf",
                size: 5,
                sha256: "cd".repeat(32),
                content: Content::Pages(vec!["page".to_owned(); pages]),
            };
            let parcel = Parcel {
                document: Ok(Arc::new(document)),
                name: name.to_owned(),
                config: Arc::new(config::parse(None, &self.state.options).unwrap()),
                webhook: None,
                sync,
            };
            self.state
                .submit(APP, id.clone(), parcel, self.clock.now())
                .map(|()| id)
        }

        fn pass(&self, secs: u64) {
            self.clock.advance(Duration::from_secs(secs));
        }

        fn poll(&mut self, id: &str) -> Poll {
            self.state.poll(APP, id, self.clock.now()).unwrap()
        }

        fn charged(&mut self) -> Vec<u64> {
            let now = self.clock.now();
            self.state
                .charges(now)
                .iter()
                .map(|charge| charge.pages)
                .collect()
        }
    }

    #[test]
    fn job_goes_from_pending_over_in_progress_to_completed_and_stays() {
        let mut bench = Bench::new(TextInOptions::default());
        let id = bench.submit(3).unwrap();
        let mut words = Vec::new();
        for _ in 0..12 {
            let poll = bench.poll(&id);
            assert_eq!(poll.has_result, poll.status == "completed");
            words.push(poll.status);
            bench.pass(1);
        }
        // 2 s pending, 6 s in progress by default.
        let expected = [
            ["pending"; 2].as_slice(),
            &["in_progress"; 6],
            &["completed"; 4],
        ]
        .concat();
        assert_eq!(words, expected);
    }

    #[test]
    fn pages_are_charged_once_and_only_at_completion() {
        let mut bench = Bench::new(TextInOptions::default());
        let id = bench.submit(3).unwrap();
        bench.pass(7);
        assert_eq!(bench.charged(), [0_u64; 0]);
        bench.pass(1);
        for _ in 0..5 {
            bench.poll(&id);
        }
        assert_eq!(bench.charged(), [3]);
        let charge = bench.state.charges(bench.clock.now()).remove(0);
        assert!((charge.at_unix - (bench.clock.now_unix())).abs() < 1e-6);
    }

    #[test]
    fn equal_submits_make_two_jobs_of_one_file_and_two_charges() {
        let mut bench = Bench::new(TextInOptions::default());
        let (one, two) = (bench.submit(2).unwrap(), bench.submit(2).unwrap());
        bench.pass(60);
        assert_ne!(one, two);
        assert_eq!(bench.poll(&one).file_id, bench.poll(&two).file_id);
        assert_eq!(bench.charged(), [2, 2]);
    }

    #[test]
    fn failed_job_has_a_message_no_result_and_no_charge() {
        let mut bench = Bench::new(TextInOptions::default());
        bench.state.next_outcomes.push_back(Outcome::Failed {
            message: "cannot read".to_owned(),
        });
        let id = bench.submit(2).unwrap();
        assert_eq!(bench.poll(&id).failure, None);
        bench.pass(8);
        let poll = bench.poll(&id);
        assert_eq!(
            (poll.status.as_str(), poll.failure.as_deref()),
            ("failed", Some("cannot read"))
        );
        assert!(!poll.has_result);
        assert!(bench.charged().is_empty());
        // The override was for one job.
        let next = bench.submit(1).unwrap();
        bench.pass(8);
        assert_eq!(bench.poll(&next).status, "completed");
    }

    #[test]
    fn outcome_by_file_name_covers_odd_words_partial_success_and_never() {
        let word = |word: &str, success_count| Outcome::Word {
            word: word.to_owned(),
            success_count,
        };
        let outcomes = BTreeMap::from([
            ("s.pdf".to_owned(), word("stopped", None)),
            ("p.pdf".to_owned(), word("partial_completed", Some(2))),
            ("c.pdf".to_owned(), Outcome::Partial { success_count: 1 }),
            ("n.pdf".to_owned(), Outcome::Never),
        ]);
        let mut bench = Bench::new(TextInOptions {
            outcomes,
            ..TextInOptions::default()
        });
        let ids: Vec<String> = ["s.pdf", "p.pdf", "c.pdf", "n.pdf"]
            .map(|name| bench.submit_named(name, 5, false).unwrap())
            .into();
        bench.pass(1_000_000);
        let seen: Vec<(String, bool)> = ids
            .iter()
            .map(|id| bench.poll(id))
            .map(|poll| (poll.status, poll.has_result))
            .collect();
        let expected = [
            ("stopped", false),
            ("partial_completed", true),
            ("completed", true),
            ("in_progress", false),
        ];
        assert_eq!(
            seen,
            expected.map(|(word, result)| (word.to_owned(), result))
        );
        let mut charged = bench.charged();
        charged.sort_unstable();
        assert_eq!(charged, [1, 2]);
    }

    #[test]
    fn rate_counts_submits_and_polls_of_an_app_together() {
        let mut bench = Bench::new(TextInOptions::default());
        let mut ask = |app: &str, millis: u64| {
            bench.clock.advance(Duration::from_millis(millis));
            bench
                .state
                .admit(app, bench.clock.now(), Duration::ZERO)
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(ask(APP, 0), Ok(()));
        assert_eq!(ask(APP, 400), Ok(()));
        assert_eq!(ask(APP, 400), Err(40306));
        assert_eq!(ask("other", 0), Ok(()));
        // 1 s after the first: it has left the window; the refused one never was in it.
        assert_eq!(ask(APP, 200), Ok(()));
        assert_eq!(ask(APP, 399), Err(40306));
        assert_eq!(ask(APP, 1), Ok(()));
    }

    #[test]
    fn slack_shortens_the_window_by_half_at_most() {
        let mut bench = Bench::new(TextInOptions {
            qps: Some(1),
            ..TextInOptions::default()
        });
        let start = bench.clock.now();
        let mut ask = |millis: u64, slack: u64| {
            let now = start + Duration::from_millis(millis);
            bench
                .state
                .admit(APP, now, Duration::from_millis(slack))
                .is_ok()
        };
        assert!(ask(0, 0));
        assert!(!ask(980, 10));
        assert!(ask(990, 10));
        assert!(!ask(990 + 499, 9_000));
        assert!(ask(990 + 500, 9_000));
    }

    #[test]
    fn keys_are_checked_in_the_order_of_the_codes() {
        let options = TextInOptions {
            allow_list: Some(vec![Ipv4Addr::new(127, 0, 0, 9).into()]),
            other_apps: BTreeMap::from([("b".to_owned(), "bs".to_owned())]),
            ..TextInOptions::default()
        };
        let state = State::new(options);
        let ask = |app: &str, secret: &str, last: u8| {
            state
                .authorize(app, secret, Ipv4Addr::new(127, 0, 0, last).into())
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(ask("", "x", 9), Err(40101));
        assert_eq!(ask(APP, "", 9), Err(40101));
        assert_eq!(ask(APP, "bs", 9), Err(40102));
        assert_eq!(ask("nobody", "bs", 9), Err(40102));
        assert_eq!(ask(APP, "sim-secret-code", 1), Err(40103));
        assert_eq!(ask(APP, "sim-secret-code", 9), Ok(()));
        assert_eq!(ask("b", "bs", 9), Ok(()));
    }

    #[test]
    fn jobs_belong_to_one_app() {
        let mut bench = Bench::new(TextInOptions::default());
        let id = bench.submit(1).unwrap();
        let now = bench.clock.now();
        let refused =
            |state: &mut State, app: &str, id: &str| state.poll(app, id, now).unwrap_err().code;
        assert_eq!(refused(&mut bench.state, "b", &id), 40004);
        assert_eq!(refused(&mut bench.state, APP, "no-such"), 40004);
        assert_eq!(bench.state.counters.polls, 0);
    }

    #[test]
    fn balance_counts_jobs_under_way_and_refuses_with_40003() {
        let mut bench = Bench::new(TextInOptions {
            balance_pages: Some(5),
            ..TextInOptions::default()
        });
        bench.submit(3).unwrap();
        assert_eq!(bench.submit(3).unwrap_err().code, 40003);
        bench.submit(2).unwrap();
        bench.pass(60);
        assert_eq!(bench.submit(1).unwrap_err().code, 40003);
        assert_eq!(bench.charged(), [3, 2]);
    }

    #[test]
    fn free_pages_come_back_the_next_day_in_china() {
        let mut bench = Bench::new(TextInOptions {
            daily_free_pages: Some(4),
            ..TextInOptions::default()
        });
        bench.submit(4).unwrap();
        bench.pass(60);
        assert_eq!(bench.submit(1).unwrap_err().code, 40307);
        // The hand-moved clock begins at 16:00 in China: eight hours to midnight.
        bench.pass(8 * 3600 - 61);
        assert_eq!(bench.submit(1).unwrap_err().code, 40307);
        bench.pass(1);
        bench.submit(4).unwrap();
    }

    #[test]
    fn balance_pays_what_the_free_pages_do_not_cover() {
        let options = TextInOptions {
            daily_free_pages: Some(2),
            balance_pages: Some(2),
            ..TextInOptions::default()
        };
        let mut bench = Bench::new(options);
        bench.submit(3).unwrap();
        bench.pass(60);
        let charge = bench.state.charges(bench.clock.now()).remove(0);
        assert_eq!((charge.pages, charge.free_pages), (3, 2));
        assert_eq!(bench.submit(2).unwrap_err().code, 40003);
        bench.submit(1).unwrap();
    }

    #[test]
    fn page_limit_differs_for_sync_and_async_and_its_code_is_an_option() {
        let options = TextInOptions {
            max_pages_sync: 1,
            max_pages_async: 2,
            ..TextInOptions::default()
        };
        let mut bench = Bench::new(options);
        assert_eq!(
            bench.submit_named("a.pdf", 2, true).unwrap_err().code,
            40306
        );
        bench.submit(2).unwrap();
        bench.state.options.too_many_pages_code = 40424;
        assert_eq!(bench.submit(3).unwrap_err().code, 40424);
        assert_eq!(bench.state.counters.jobs, 1);
    }
}

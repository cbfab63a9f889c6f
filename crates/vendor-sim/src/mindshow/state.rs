//! The jobs, exports, uploads and credits of the MindShow simulator: a pure state machine that is told the time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::answer::{Reason, Refusal};
use super::content::Deck;
use super::ledger::{Charge, Ledger};
use super::options::{MindShowOptions, Outcome, PdfCharge};
use super::timeline::Timeline;
use crate::clock::seconds;
use crate::deck::Slide;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) options: MindShowOptions,
    pub(crate) next_outcomes: VecDeque<Outcome>,
    pub(crate) next_pdf_outcomes: VecDeque<Outcome>,
    pub(crate) next_finish_reasons: VecDeque<String>,
    pub(crate) advanced: Vec<Advanced>,
    pub(crate) counters: Counters,
    ledger: Ledger,
    jobs: HashMap<String, Job>,
    order: Vec<String>,
    resources: HashMap<String, Arc<Resource>>,
    made: u64,
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Jobs made.
    pub jobs: u64,
    /// `job/get` calls that were answered with a job.
    pub polls: u64,
    /// `get_pdf` calls that were answered with a state.
    pub pdf_calls: u64,
    /// Model calls answered.
    pub model_calls: u64,
    /// Files handed out by the file host.
    pub downloads: u64,
    /// Refusals by code.
    pub refusals: BTreeMap<i64, u64>,
}

/// A job as tests see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobView {
    /// The vendor's id.
    pub id: String,
    /// Operation that made it.
    pub operation: &'static str,
    /// Title.
    pub title: String,
    /// State at this moment.
    pub status: String,
    /// Slides of the deck.
    pub slides: usize,
    /// Virtual Unix seconds of acceptance.
    pub created_unix: f64,
    /// Virtual Unix seconds of the end, if it will ever end.
    pub ends_unix: Option<f64>,
    /// `job/get` calls answered.
    pub polls: u64,
    /// `get_pdf` calls answered.
    pub pdf_calls: u64,
    /// PDF exports begun.
    pub pdf_runs: usize,
    /// The request as it was sent.
    pub request: Value,
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) uploaded: Duration,
    /// Of presentations that can be read.
    pub(crate) slides: Option<Vec<Slide>>,
    /// Of plain texts.
    pub(crate) lines: Vec<String>,
}

impl Resource {
    /// Whether it calls itself a presentation.
    pub(crate) fn is_deck(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        [".pptx", ".ppt"]
            .iter()
            .any(|ending| name.ends_with(ending))
    }
}

/// A single-page template that the customer registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advanced {
    pub(crate) id: String,
    pub(crate) page_id: String,
    pub(crate) title: String,
    pub(crate) created: Duration,
    pub(crate) updated: Duration,
    pub(crate) sequence: u64,
}

/// A job to be made, already checked by itself.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) operation: &'static str,
    pub(crate) title: String,
    pub(crate) deck: Arc<Deck>,
    /// Whether success comes with a `ppt_url`.
    pub(crate) makes_deck: bool,
    pub(crate) makes_template: bool,
    pub(crate) previews: usize,
    pub(crate) credits: i64,
    pub(crate) working_seconds: f64,
    pub(crate) request: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) plan: Plan,
    pub(crate) work: Timeline,
    pub(crate) template_id: Option<String>,
    sequence: u64,
    pdf: Vec<PdfRun>,
    polls: u64,
    pdf_calls: u64,
}

#[derive(Clone, Debug)]
struct PdfRun {
    work: Timeline,
    handed_out: bool,
}

impl State {
    pub(crate) fn new(options: MindShowOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    pub(crate) fn balance(&self) -> i64 {
        self.ledger.balance(self.options.score)
    }

    /// Makes a job. Two equal requests make two jobs and two charges: there is no idempotency key.
    pub(crate) fn create(&mut self, id: String, plan: Plan, now: Duration) -> Result<Job, Refusal> {
        self.settle(now);
        self.afford(plan.credits)?;
        let outcome = match self.next_outcomes.pop_front() {
            Some(outcome) => outcome,
            None => {
                let chosen = self.options.outcomes.get(&plan.title);
                chosen.cloned().unwrap_or_default()
            }
        };
        let options = &self.options;
        let queued = options.queued_seconds;
        let work = Timeline::new(
            now,
            queued,
            plan.working_seconds,
            options.queue_ahead,
            outcome,
        );
        self.charge(
            &title_of(plan.operation),
            Some(&id),
            plan.credits,
            &work,
            now,
        );
        let sequence = self.sequence();
        let job = Job {
            template_id: plan.makes_template.then(|| format!("tpl-{id}")),
            id: id.clone(),
            plan,
            work,
            sequence,
            pdf: Vec::new(),
            polls: 0,
            pdf_calls: 0,
        };
        self.counters.jobs += 1;
        self.order.push(id.clone());
        self.jobs.insert(id, job.clone());
        Ok(job)
    }

    pub(crate) fn poll(&mut self, id: &str, now: Duration) -> Result<Job, Refusal> {
        self.settle(now);
        let job = self.jobs.get_mut(id).ok_or_else(unknown_job)?;
        job.polls += 1;
        self.counters.polls += 1;
        Ok(job.clone())
    }

    pub(crate) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id)
    }

    pub(crate) fn known(&self, id: &str) -> Result<&Job, Refusal> {
        self.jobs.get(id).ok_or_else(unknown_job)
    }

    pub(crate) fn delete(&mut self, id: &str) -> Result<(), Refusal> {
        self.jobs.remove(id).ok_or_else(unknown_job)?;
        self.order.retain(|other| other != id);
        Ok(())
    }

    /// Jobs with their sequence numbers, newest first.
    pub(crate) fn newest_first(&self) -> (Vec<u64>, Vec<&Job>) {
        let jobs: Vec<&Job> = self
            .order
            .iter()
            .rev()
            .filter_map(|id| self.jobs.get(id))
            .collect();
        (jobs.iter().map(|job| job.sequence).collect(), jobs)
    }

    /// Asks for a job's PDF: begins an export, or looks at the one there is. Whether it costs is an open question with
    /// three answers.
    pub(crate) fn pdf(&mut self, id: &str, now: Duration) -> Result<Timeline, Refusal> {
        self.settle(now);
        let job = self.known(id)?;
        if self.options.pdf_needs_finished_job && !job.work.succeeded(now) {
            return Err(Refusal::new(Reason::Unfinished, "job has not succeeded"));
        }
        let first = job.pdf.is_empty();
        let again = job.pdf.last().is_some_and(|run| run.handed_out);
        let rule = self.options.pdf_charge;
        let begins = first || (again && rule == PdfCharge::EachRun);
        let costs = match rule {
            PdfCharge::FirstOnly => first,
            PdfCharge::EachRun => begins,
            PdfCharge::EveryCall => true,
        };
        let credits = if costs { self.options.cost_pdf } else { 0 };
        self.afford(credits)?;
        if begins {
            let outcome = self.next_pdf_outcomes.pop_front().unwrap_or_default();
            let (queued, ahead) = (self.options.queued_seconds, self.options.queue_ahead);
            let run = PdfRun {
                work: Timeline::new(now, queued, self.options.pdf_seconds, ahead, outcome),
                handed_out: false,
            };
            if let Some(job) = self.jobs.get_mut(id) {
                job.pdf.push(run);
            }
        }
        let job = self.jobs.get_mut(id).ok_or_else(unknown_job)?;
        job.pdf_calls += 1;
        let run = job.pdf.last_mut().ok_or_else(unknown_job)?;
        run.handed_out |= run.work.succeeded(now);
        let work = run.work.clone();
        self.counters.pdf_calls += 1;
        self.charge("导出PDF", Some(id), credits, &work, now);
        Ok(work)
    }

    /// A blocking call has waited for the end and hands the PDF out.
    pub(crate) fn pdf_handed_out(&mut self, id: &str) {
        if let Some(run) = self.jobs.get_mut(id).and_then(|job| job.pdf.last_mut()) {
            run.handed_out = true;
        }
    }

    /// Charges a model call; `fruitless` ones give the credit back if the rules say so.
    pub(crate) fn model_call(
        &mut self,
        title: &str,
        fruitless: bool,
        now: Duration,
    ) -> Result<(), Refusal> {
        self.settle(now);
        let credits = self.options.cost_model_call;
        self.afford(credits)?;
        let start = self.options.score;
        self.ledger.take(start, title, None, credits, now);
        if fruitless && self.options.refund_failed {
            self.ledger.refund_at(now, title, None, credits);
        }
        self.counters.model_calls += 1;
        Ok(())
    }

    pub(crate) fn upload(&mut self, id: String, resource: Resource) {
        self.resources.insert(id, Arc::new(resource));
    }

    /// An upload that is still alive.
    pub(crate) fn resource(&self, id: &str, now: Duration) -> Result<Arc<Resource>, Refusal> {
        let life = seconds(self.options.upload_seconds);
        self.resources
            .get(id)
            .filter(|resource| now < resource.uploaded + life)
            .cloned()
            .ok_or_else(|| Refusal::new(Reason::Resource, "resource does not exist or has expired"))
    }

    /// Numbers that order what is made.
    pub(crate) fn sequence(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(crate) fn entries(&mut self, now: Duration) -> &[(Duration, Charge)] {
        self.settle(now);
        &self.ledger.entries
    }

    pub(crate) fn charges(&mut self, now: Duration) -> Vec<Charge> {
        let entries = self.entries(now).iter();
        entries.map(|(_, charge)| charge.clone()).collect()
    }

    pub(crate) fn jobs(&mut self, now: Duration) -> Vec<JobView> {
        self.settle(now);
        let jobs = self.order.iter().filter_map(|id| self.jobs.get(id));
        jobs.map(|job| job.view(now)).collect()
    }

    pub(crate) fn settle(&mut self, now: Duration) {
        self.ledger.settle(self.options.score, now);
    }

    fn charge(
        &mut self,
        title: &str,
        id: Option<&str>,
        credits: i64,
        work: &Timeline,
        now: Duration,
    ) {
        let start = self.options.score;
        self.ledger.take(start, title, id, credits, now);
        let fails = matches!(work.outcome, Outcome::Failed { .. });
        if let Some(end) = work.end()
            && fails
            && credits != 0
            && self.options.refund_failed
        {
            self.ledger.refund_at(end, title, id, credits);
        }
    }

    fn afford(&self, credits: i64) -> Result<(), Refusal> {
        if credits > 0 && self.balance() < credits {
            return Err(Refusal::new(Reason::Score, "score not enough"));
        }
        Ok(())
    }
}

fn unknown_job() -> Refusal {
    Refusal::new(Reason::NotFound, "job not found")
}

/// Entries of the ledger name the kind of work, never the job.
fn title_of(operation: &str) -> String {
    match operation {
        "template_create_by_ppt" => "生成模板".to_owned(),
        _ => "生成PPT".to_owned(),
    }
}

impl Job {
    /// The deck, once it may be had.
    pub(crate) fn ready_deck(&self, now: Duration) -> Option<&Deck> {
        (self.plan.makes_deck && self.work.succeeded(now)).then(|| self.plan.deck.as_ref())
    }

    /// Whether any export has succeeded; a later one that is still running takes nothing away.
    pub(crate) fn has_pdf(&self, now: Duration) -> bool {
        self.pdf.iter().any(|run| run.work.succeeded(now))
    }

    fn view(&self, now: Duration) -> JobView {
        JobView {
            id: self.id.clone(),
            operation: self.plan.operation,
            title: self.plan.title.clone(),
            status: self.work.status(now).to_owned(),
            slides: self.plan.deck.slides.len(),
            created_unix: self.work.created.as_secs_f64(),
            ends_unix: self.work.end().map(|end| end.as_secs_f64()),
            polls: self.polls,
            pdf_calls: self.pdf_calls,
            pdf_runs: self.pdf.len(),
            request: self.plan.request.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::content;
    use super::*;
    use crate::VirtualClock;

    struct Bench {
        clock: VirtualClock,
        state: State,
        made: u32,
    }

    impl Bench {
        fn new(options: MindShowOptions) -> Self {
            Self {
                clock: VirtualClock::manual(),
                state: State::new(options),
                made: 0,
            }
        }

        fn create(&mut self, title: &str) -> Result<String, Refusal> {
            self.made += 1;
            let plan = Plan {
                operation: "ppt_create_by_markdown",
                title: title.to_owned(),
                deck: Arc::new(content::deck_of_markdown("# T\n### P", "")),
                makes_deck: true,
                makes_template: false,
                previews: 0,
                credits: 10,
                working_seconds: 15.0,
                request: Value::Null,
            };
            let id = format!("job{}", self.made);
            self.state
                .create(id, plan, self.clock.now())
                .map(|job| job.id)
        }

        fn pass(&self, secs: u64) {
            self.clock.advance(Duration::from_secs(secs));
        }

        fn pdf(&mut self, id: &str) -> Result<String, Refusal> {
            let now = self.clock.now();
            let work = self.state.pdf(id, now)?;
            Ok(work.status(now).to_owned())
        }

        fn spent(&mut self) -> Vec<i64> {
            let now = self.clock.now();
            self.state
                .charges(now)
                .iter()
                .map(Charge::credits)
                .collect()
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed {
            error: "no".to_owned(),
        }
    }

    #[test]
    fn equal_requests_make_two_jobs_and_two_charges() {
        let mut bench = Bench::new(MindShowOptions::default());
        let (one, two) = (bench.create("T").unwrap(), bench.create("T").unwrap());
        assert_ne!(one, two);
        assert_eq!(bench.spent(), [10, 10]);
        assert_eq!(bench.state.balance(), 100_000 - 20);
        let (sequence, jobs) = bench.state.newest_first();
        assert_eq!(jobs[0].id, two);
        assert!(sequence[0] > sequence[1]);
    }

    #[test]
    fn short_balance_makes_no_job_and_no_entry() {
        let mut bench = Bench::new(MindShowOptions {
            score: 19,
            ..MindShowOptions::default()
        });
        bench.create("T").unwrap();
        assert_eq!(bench.create("T").unwrap_err().reason, Reason::Score);
        assert_eq!(bench.spent(), [10]);
        assert_eq!(bench.state.counters.jobs, 1);
    }

    #[test]
    fn failed_job_gives_credits_back_at_its_end_only_if_the_switch_says_so() {
        for (refund, balance) in [(false, 90), (true, 100)] {
            let mut bench = Bench::new(MindShowOptions {
                score: 100,
                refund_failed: refund,
                ..MindShowOptions::default()
            });
            bench.state.next_outcomes.push_back(failed());
            let id = bench.create("T").unwrap();
            bench.pass(17);
            bench.spent();
            assert_eq!(bench.state.balance(), 90);
            bench.pass(1);
            bench.spent();
            assert_eq!(bench.state.balance(), balance);
            let now = bench.clock.now();
            assert_eq!(
                bench.state.poll(&id, now).unwrap().work.error(now),
                Some("no")
            );
        }
    }

    /// Polls of one export: queued, running, done, done again.
    fn pdf_costs(rule: PdfCharge) -> (Vec<String>, Vec<i64>) {
        let mut bench = Bench::new(MindShowOptions {
            pdf_charge: rule,
            ..MindShowOptions::default()
        });
        let id = bench.create("T").unwrap();
        bench.pass(60);
        let mut words = Vec::new();
        for pause in [5, 15, 0, 0] {
            words.push(bench.pdf(&id).unwrap());
            bench.pass(pause);
        }
        let spent = bench.spent().split_off(1);
        (words, spent)
    }

    #[test]
    fn export_is_charged_by_job_by_run_or_by_call() {
        let words = ["queued", "running", "succeeded", "succeeded"];
        assert_eq!(
            pdf_costs(PdfCharge::FirstOnly),
            (words.map(str::to_owned).to_vec(), vec![10])
        );
        assert_eq!(
            pdf_costs(PdfCharge::EveryCall),
            (words.map(str::to_owned).to_vec(), vec![10; 4])
        );
        // A PDF asked for again after it was handed out is exported again.
        let (words, spent) = pdf_costs(PdfCharge::EachRun);
        assert_eq!((words[3].as_str(), spent), ("queued", vec![10, 10]));
    }

    #[test]
    fn export_of_an_unfinished_job_is_refused_and_free_unless_the_switch_allows_it() {
        let mut bench = Bench::new(MindShowOptions::default());
        let id = bench.create("T").unwrap();
        assert_eq!(bench.pdf(&id).unwrap_err().reason, Reason::Unfinished);
        assert_eq!(bench.spent(), [10]);
        bench.state.options.pdf_needs_finished_job = false;
        assert_eq!(bench.pdf(&id).unwrap(), "queued");
        assert_eq!(bench.spent(), [10, 10]);
    }

    #[test]
    fn export_without_credits_is_refused_and_not_begun() {
        let mut bench = Bench::new(MindShowOptions {
            score: 15,
            ..MindShowOptions::default()
        });
        let id = bench.create("T").unwrap();
        bench.pass(60);
        assert_eq!(bench.pdf(&id).unwrap_err().reason, Reason::Score);
        let now = bench.clock.now();
        assert_eq!(bench.state.jobs(now)[0].pdf_runs, 0);
    }

    #[test]
    fn failed_export_stays_failed_and_costs_no_more() {
        let mut bench = Bench::new(MindShowOptions::default());
        let id = bench.create("T").unwrap();
        bench.pass(60);
        bench.state.next_pdf_outcomes.push_back(failed());
        bench.pdf(&id).unwrap();
        bench.pass(60);
        assert_eq!(
            (bench.pdf(&id).unwrap(), bench.pdf(&id).unwrap()),
            ("failed".to_owned(), "failed".to_owned())
        );
        assert_eq!(bench.spent(), [10, 10]);
    }

    #[test]
    fn uploads_die_after_a_day() {
        let mut bench = Bench::new(MindShowOptions::default());
        let resource = Resource {
            name: "a.PPTX".to_owned(),
            size: 1,
            sha256: String::new(),
            uploaded: bench.clock.now(),
            slides: None,
            lines: Vec::new(),
        };
        assert!(resource.is_deck());
        bench.state.upload("r".to_owned(), resource);
        bench.pass(86_399);
        assert!(bench.state.resource("r", bench.clock.now()).is_ok());
        bench.pass(1);
        assert_eq!(
            bench
                .state
                .resource("r", bench.clock.now())
                .unwrap_err()
                .reason,
            Reason::Resource
        );
    }

    #[test]
    fn deleted_job_is_gone_from_polls_and_lists() {
        let mut bench = Bench::new(MindShowOptions::default());
        let id = bench.create("T").unwrap();
        bench.state.delete(&id).unwrap();
        let now = bench.clock.now();
        assert_eq!(
            bench.state.poll(&id, now).unwrap_err().reason,
            Reason::NotFound
        );
        assert_eq!(
            bench.state.delete(&id).unwrap_err().reason,
            Reason::NotFound
        );
        assert!(bench.state.newest_first().1.is_empty());
    }
}

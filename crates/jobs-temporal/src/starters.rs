//! Which workflows want to hear of a job, and the workflow that has an account's jobs polled.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jobs_core::clock::{Moment, SystemClock};
use jobs_core::vendor::Account;
use jobs_ledger::{Ledger, LedgerId};
use jobs_runner::Runner;
use serde::{Deserialize, Serialize};
use temporalio_client::{Client, NamespacedClient as _};
use temporalio_sdk::activities::ActivityContext;

use crate::by_name::{start_account, tell_settled};
use crate::contract::AccountTarget;

/// How long an account's workflow is taken to run after it was seen.
const FRESH: Duration = Duration::from_secs(60);

/// A workflow that waits for a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waiter {
    namespace: String,
    workflow: String,
}

/// What a worker knows of the workflows of its namespace.
#[derive(Debug)]
pub(crate) struct Starters {
    pub(crate) recheck: Duration,
    pub(crate) has_search_attributes: bool,
    seen: Mutex<HashMap<Account, Moment>>,
}

impl Starters {
    pub(crate) fn new(recheck: Duration, has_search_attributes: bool) -> Self {
        Self {
            recheck,
            has_search_attributes,
            seen: Mutex::default(),
        }
    }

    pub(crate) fn target(&self, vendor: &str, account: Account) -> AccountTarget {
        AccountTarget {
            vendor: vendor.to_owned(),
            account: account.to_string(),
            recheck_seconds: self.recheck.as_secs().max(1),
            has_search_attributes: self.has_search_attributes,
        }
    }

    /// Starts the account's workflow unless it runs; asks the engine once a minute at most.
    pub(crate) async fn ensure_account(&self, client: &Client, vendor: &str, account: Account) {
        let now = SystemClock::shared().now();
        let is_fresh = |seen: &HashMap<Account, Moment>| {
            seen.get(&account).is_some_and(|at| now < *at + FRESH)
        };
        if self.seen.lock().is_ok_and(|seen| is_fresh(&seen)) {
            return;
        }
        let target = self.target(vendor, account);
        match start_account(client, &target).await {
            Ok(()) => {
                if let Ok(mut seen) = self.seen.lock() {
                    seen.insert(account, now);
                }
            }
            Err(problem) => {
                tracing::warn!(vendor, %account, %problem, "the account's workflow was not started; the next submit tries again");
            }
        }
    }

    /// Has this activity's workflow told when the job settles.
    pub(crate) async fn register(
        &self,
        runner: &Runner,
        ctx: &ActivityContext,
        account: Account,
        job: LedgerId,
    ) {
        let Some(workflow) = ctx.info().workflow_id.clone() else {
            return;
        };
        let waiter = Waiter {
            namespace: ctx.info().namespace.clone(),
            workflow,
        };
        let ledger = runner.ledger();
        let mut waiters = waiters(ledger, account, job).await;
        if waiters.contains(&waiter) {
            return;
        }
        waiters.push(waiter);
        let text = serde_json::to_string(&waiters).unwrap_or_default();
        // Without it the workflow asks the ledger when its timer fires.
        if let Err(problem) = ledger.put_value(account, &key(job), &text).await {
            tracing::warn!(job = %job, %problem, "the waiting workflow was not recorded");
        }
    }

    /// Tells the workflows that wait for the job that it has settled or needs attention.
    pub(crate) async fn tell(
        &self,
        client: &Client,
        ledger: &Ledger,
        account: Account,
        job: LedgerId,
    ) {
        for waiter in waiters(ledger, account, job).await {
            let Some(client) = client_of(client, &waiter.namespace) else {
                continue;
            };
            if let Err(problem) = tell_settled(&client, &waiter.workflow).await {
                tracing::debug!(job = %job, workflow = waiter.workflow, %problem, "a workflow was not told");
            }
        }
    }
}

/// The same connection on another namespace of the same server.
fn client_of(client: &Client, namespace: &str) -> Option<Client> {
    if client.namespace() == namespace {
        return Some(client.clone());
    }
    let mut options = client.options().clone();
    options.namespace = namespace.to_owned();
    Client::new(client.connection().clone(), options).ok()
}

async fn waiters(ledger: &Ledger, account: Account, job: LedgerId) -> Vec<Waiter> {
    match ledger.get_value(account, &key(job)).await {
        Ok(text) => text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        Err(problem) => {
            tracing::warn!(job = %job, %problem, "the waiting workflows are not known; they ask the ledger themselves");
            Vec::new()
        }
    }
}

fn key(job: LedgerId) -> String {
    format!("temporal:{job}")
}

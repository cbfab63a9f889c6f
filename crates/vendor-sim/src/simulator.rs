//! A running simulator, whoever its vendor is: its time, its rules, what it saw, and what shall go wrong.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::VirtualClock;
use crate::fault::{Fault, FaultPlan, Times};
use crate::recorder::{RecordedRequest, Recorder};
use crate::server::OriginServer;

/// What all simulators have.
#[doc(hidden)]
#[derive(Debug)]
pub struct Common {
    pub(crate) clock: VirtualClock,
    pub(crate) recorder: Recorder,
    pub(crate) faults: FaultPlan,
}

impl Common {
    pub(crate) fn new(clock: &VirtualClock) -> Self {
        Self {
            clock: clock.clone(),
            recorder: Recorder::new(clock.clone()),
            faults: FaultPlan::default(),
        }
    }
}

/// What a vendor adds.
#[doc(hidden)]
pub trait Simulated: Send + Sync + 'static {
    /// Its rules.
    type Options: Clone + Serialize + DeserializeOwned;
    /// Names that a fault may be scripted for.
    const OPERATIONS: &'static [&'static str];

    fn common(&self) -> &Common;
    /// Jobs, charges and counters, for the control endpoint.
    fn state(&self) -> Value;
    /// Reads or changes the rules in force.
    fn with_options<T>(&self, act: impl FnOnce(&mut Self::Options) -> T) -> T;
    /// Forgets jobs and charges; the rules stay.
    fn clear(&self);
    /// Tells connections that live longer than their request to end.
    fn end(&self) {}
    /// Waits for those, for a short while at most.
    fn ended(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

pub(crate) fn reset<V: Simulated>(vendor: &V) {
    vendor.clear();
    vendor.common().recorder.clear();
    vendor.common().faults.clear();
}

/// A running simulator; dropping it stops it.
pub struct Simulator<V: Simulated> {
    pub(crate) shared: Arc<V>,
    pub(crate) api: OriginServer,
    /// What else it serves, if that is another origin.
    files: Option<OriginServer>,
}

impl<V: Simulated> Simulator<V> {
    pub(crate) fn new(shared: Arc<V>, api: OriginServer, files: Option<OriginServer>) -> Self {
        Self { shared, api, files }
    }

    /// The time of this simulator.
    #[must_use]
    pub fn clock(&self) -> &VirtualClock {
        &self.shared.common().clock
    }

    /// The rules in force.
    #[must_use]
    pub fn options(&self) -> V::Options {
        self.shared.with_options(|options| options.clone())
    }

    /// Changes the rules from the next request on; jobs under way keep their times and ends.
    pub fn change_options(&self, change: impl FnOnce(&mut V::Options)) {
        self.shared.with_options(change);
    }

    /// Every HTTP request that arrived, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.common().recorder.requests()
    }

    /// The next occurrence of an operation goes wrong; the vendor's `OPERATIONS` names them.
    pub fn set_fault(&self, operation: &str, fault: Fault) {
        self.faults().once(operation, fault);
    }

    /// The next occurrences of an operation go wrong.
    pub fn set_fault_times(&self, operation: &str, fault: Fault, times: Times) {
        self.faults().times(operation, fault, times);
    }

    /// All scripts, for what the two short forms cannot say.
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.shared.common().faults
    }

    /// No jobs, charges, requests or faults; options and addresses stay.
    pub fn reset(&self) {
        reset(&*self.shared);
    }

    /// Stops and waits for the connections to end.
    pub async fn stop(mut self) {
        self.shared.end();
        self.shared.ended().await;
        let clock = self.clock().clone();
        self.api.stop(&clock).await;
        if let Some(files) = &mut self.files {
            files.stop(&clock).await;
        }
    }
}

impl<V: Simulated> Drop for Simulator<V> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<V: Simulated> fmt::Debug for Simulator<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("api", &self.api.url())
            .finish_non_exhaustive()
    }
}

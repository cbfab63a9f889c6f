//! A handler in a worker: what knows its steps, and what has its jobs polled.

use std::sync::Arc;

use jobs_core::fleet::Fleet;
use jobs_core::vendor::Account;

use crate::dyn_handler::DynHandler;
use crate::fleet_lane::{FetchTask, FleetLane};

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) handler: DynHandler,
    pub(super) lane: Arc<dyn FleetLane>,
}

impl Entry {
    pub(super) fn new(handler: DynHandler, fleet: &Fleet<FetchTask>) -> Self {
        let lane = handler.lane(fleet);
        Self { handler, lane }
    }

    pub(super) fn account(&self) -> Account {
        self.handler.account()
    }
}

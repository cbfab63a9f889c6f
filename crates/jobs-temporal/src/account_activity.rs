//! The local activity that says whose account pays for a job.

use std::sync::Arc;

use jobs_core::vendor::Account;
use serde::{Deserialize, Serialize};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::contract::AccountTarget;
use crate::failure::unknown_kind;
use crate::starters::Starters;

/// What every worker of the workflow queue knows.
pub(crate) struct LocalActivities {
    /// Vendor, kind and account of each handler.
    pub(crate) kinds: Vec<(&'static str, &'static str, Account)>,
    pub(crate) starters: Arc<Starters>,
}

/// A kind of job at a vendor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KindName {
    pub(crate) vendor: String,
    pub(crate) kind: String,
}

#[activities]
impl LocalActivities {
    /// The account for jobs of this vendor and kind.
    #[activity(name = "account")]
    pub(crate) async fn account(
        self: Arc<Self>,
        _ctx: ActivityContext,
        named: KindName,
    ) -> Result<AccountTarget, ActivityError> {
        let KindName { vendor, kind } = named;
        let known = self
            .kinds
            .iter()
            .find(|(known, of, _)| (*known, *of) == (vendor.as_str(), kind.as_str()));
        match known {
            Some((vendor, _, account)) => Ok(self.starters.target(vendor, *account)),
            None => Err(ActivityError::application(
                unknown_kind(&vendor, &kind).into_application(),
            )),
        }
    }
}

//! What every route of the main listener has at hand.

use std::sync::Arc;

use jobs_core::clock::Clock;
use jobs_ledger::Ledger;
use jobs_runner::Runner;
use metrics_exporter_prometheus::PrometheusHandle;

use super::access::Access;
use super::candidates::Candidates;
use super::event_streams::EventFeed;
use super::file_digests::FileDigests;
use super::hook_routes::HookCounts;
use super::server::Ending;
use super::spool::Spool;

/// Shared by all requests.
pub(super) struct ServeState {
    pub(super) ledger: Ledger,
    /// With the handlers of the vendors that are set up here.
    pub(super) runner: Runner,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) access: Arc<Access>,
    pub(super) spool: Spool,
    pub(super) candidates: Candidates,
    pub(super) digests: FileDigests,
    pub(super) feed: EventFeed,
    pub(super) metrics: Option<PrometheusHandle>,
    pub(super) hook_counts: Arc<HookCounts>,
    pub(super) ending: Ending,
    /// The longest file that is taken.
    pub(super) max_upload: u64,
}

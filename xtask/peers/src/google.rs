//! The poller of the Google Cloud client libraries, in the form whose operation is a type of the service.

use std::sync::Arc;
use std::time::Duration;

use google_cloud_gax::polling_backoff_policy::PollingBackoffPolicy;
use google_cloud_gax::polling_error_policy::AlwaysContinue;
use google_cloud_gax::polling_state::PollingState;
use google_cloud_lro::Poller as _;
use google_cloud_lro::internal::{DiscoveryOperation, new_discovery_poller};

use crate::{Job, PAUSE, Seen};

pub async fn wait(job: Arc<Job>) {
    let operation = async |job: &Arc<Job>, name: Option<String>| {
        let seen = job.poll().await;
        Ok(Operation {
            name: Some(name.unwrap_or_else(|| job.id.to_string())),
            seen,
        })
    };
    let first = Arc::clone(&job);
    let poller = new_discovery_poller(
        Arc::new(AlwaysContinue),
        Arc::new(Even),
        move || async move { operation(&first, None).await },
        move |name| {
            let job = Arc::clone(&job);
            async move { operation(&job, Some(name)).await }
        },
    );
    assert!(
        poller
            .until_done()
            .await
            .is_ok_and(|operation| operation.seen.done)
    );
}

struct Operation {
    name: Option<String>,
    seen: Seen,
}

impl DiscoveryOperation for Operation {
    fn done(&self) -> bool {
        self.seen.done
    }

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }
}

/// The same pause every time.
#[derive(Debug)]
struct Even;

impl PollingBackoffPolicy for Even {
    fn wait_period(&self, _: &PollingState) -> Duration {
        PAUSE
    }
}

//! The waiter under those that the AWS SDK generates, with equal delays.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime::client::waiters::{AcceptorState, WaiterOrchestrator};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{CreateUnhandledError, SdkError};
use aws_smithy_types::error::ErrorMetadata;
use tokio::time::Instant;

use crate::{Job, PAUSE, Seen, clock};

pub async fn wait(job: Arc<Job>) {
    let waiter = WaiterOrchestrator::builder()
        .min_delay(PAUSE)
        .max_delay(PAUSE)
        .max_wait(Duration::from_secs(3600))
        .time_source(SharedTimeSource::new(Paused(clock::now())))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .acceptor(|poll: Result<&Seen, &Never>| match poll {
            Ok(seen) if seen.done => AcceptorState::Success,
            _ => AcceptorState::Retry,
        })
        .operation(|| {
            let poll = job.poll();
            async { Ok::<_, SdkError<Never, HttpResponse>>(poll.await) }
        });
    assert!(waiter.build().orchestrate().await.is_ok());
}

#[derive(Debug)]
struct Paused(Instant);

impl TimeSource for Paused {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0.elapsed()
    }
}

/// No poll fails.
#[derive(Debug)]
struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

impl CreateUnhandledError for Never {
    fn create_unhandled_error(
        _: Box<dyn std::error::Error + Send + Sync>,
        _: Option<ErrorMetadata>,
    ) -> Self {
        Self
    }
}

//! The poller of the Azure SDK. Its looks are answers of HTTP, here empty ones.

use std::sync::Arc;

use azure_core::http::headers::Headers;
use azure_core::http::poller::{
    Poller, PollerContinuation, PollerOptions, PollerResult, PollerResultFuture, PollerState,
    PollerStatus, StatusMonitor,
};
use azure_core::http::{JsonFormat, RawResponse, Response, StatusCode, Url};
use azure_core::time::Duration;

use crate::{Job, PAUSE};

pub async fn wait(job: Arc<Job>) {
    let pause = Duration::try_from(PAUSE).unwrap();
    let options = PollerOptions {
        frequency: pause,
        ..PollerOptions::default()
    };
    let address = Url::parse("https://localhost/operations/1").unwrap();
    let poll = move |state: PollerState, _: PollerOptions<'static>| {
        let job = Arc::clone(&job);
        let continuation = match state {
            PollerState::More(continuation) => continuation,
            PollerState::Initial => PollerContinuation::Links {
                next_link: address.clone(),
                final_link: None,
            },
        };
        let result: PollerResultFuture<Operation, JsonFormat> = Box::pin(async move {
            Ok(if job.poll().await.done {
                PollerResult::Succeeded {
                    response: answer(),
                    target: Box::new(|| Box::pin(async { Ok(answer()) })),
                }
            } else {
                PollerResult::InProgress {
                    response: answer(),
                    retry_after: pause,
                    continuation,
                }
            })
        });
        result
    };
    assert!(Poller::<Operation>::new(poll, Some(options)).await.is_ok());
}

fn answer<T>() -> Response<T, JsonFormat> {
    RawResponse::from_bytes(StatusCode::Ok, Headers::new(), Vec::new()).into()
}

struct Operation;

impl StatusMonitor for Operation {
    type Output = ();
    type Format = JsonFormat;

    fn status(&self) -> PollerStatus {
        PollerStatus::InProgress
    }
}

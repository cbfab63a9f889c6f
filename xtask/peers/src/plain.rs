//! A task for each job that polls, sleeps and polls again.

use std::sync::Arc;

use crate::{Job, PAUSE};

pub async fn wait(job: Arc<Job>) {
    while !job.poll().await.done {
        tokio::time::sleep(PAUSE).await;
    }
}

//! A task for each job that looks, sleeps and looks again.

use std::sync::Arc;

use crate::{Job, PAUSE};

pub async fn wait(job: Arc<Job>) {
    while !job.look().await.done {
        tokio::time::sleep(PAUSE).await;
    }
}

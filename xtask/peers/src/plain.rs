//! A task for each job that looks, sleeps and looks again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{self, Instant};

use crate::{PAUSE, look};

/// Waits for all jobs; the number of looks.
pub async fn run(jobs: impl Iterator<Item = (Duration, Box<str>)>) -> u64 {
    let looks = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = jobs
        .map(|(begin, id)| {
            let looks = Arc::clone(&looks);
            tokio::spawn(async move {
                time::sleep(begin).await;
                loop {
                    let now = u64::try_from(start.elapsed().as_millis()).unwrap();
                    let seen = look(&id, now).await;
                    looks.fetch_add(1, Ordering::Relaxed);
                    if seen.done {
                        return seen.word.len();
                    }
                    time::sleep(PAUSE).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    looks.load(Ordering::Relaxed)
}

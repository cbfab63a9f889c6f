//! Whoever sees what calls leave behind: the log, everything that can be printed, and a stranger on the way.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jobs_core::vendor::JobKind;
use jobs_core::{Job, JobId, SubmitError, WaitError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tracing_subscriber::fmt::MakeWriter;

/// What was logged.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(super) fn text(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Prints whatever comes of calls in every way in which somebody might.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) printed: Vec<(String, String)>,
    pub(super) errors: usize,
}

impl Witness {
    pub(super) fn prints(&mut self, what: &str, value: &impl Debug) {
        let text = format!("{value:?}\n{value:#?}");
        self.printed.push((what.to_owned(), text));
    }

    pub(super) fn sees<T: Debug, E: StdError + Debug + 'static>(
        &mut self,
        what: &str,
        outcome: &Result<T, E>,
    ) {
        self.prints(what, outcome);
        let Err(error) = outcome else { return };
        self.errors += 1;
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            let text = format!("{error}\n{error:?}\n{error:#?}");
            self.printed.push((format!("a cause in {what}"), text));
            cause = error.source();
        }
    }

    /// The job's id, if it was taken.
    pub(super) fn submits<K: JobKind>(
        &mut self,
        what: &str,
        submission: Result<Job<K>, SubmitError>,
    ) -> Option<JobId> {
        self.sees(what, &submission);
        let job = submission.ok()?;
        self.printed
            .push(("a ticket".to_owned(), job.ticket().unwrap().to_string()));
        Some(job.id().clone())
    }

    pub(super) fn waits<T: Debug>(
        &mut self,
        what: &str,
        outcome: Result<T, WaitError>,
    ) -> Option<T> {
        self.sees(what, &outcome);
        if let Err(error) = &outcome {
            let ticket = error.ticket().to_string();
            self.printed.push((format!("the ticket of {what}"), ticket));
        }
        outcome.ok()
    }
}

/// A host that no credential is for. Stops when dropped.
pub(super) struct Stranger {
    pub(super) address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
    listening: AbortHandle,
}

impl Stranger {
    /// Answers every request with `status` and nothing else.
    pub(super) async fn listen(status: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, told) = (listener.local_addr().unwrap(), Arc::default());
        let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&told);
        let listening = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n")
                    && stream.read_buf(&mut head).await.unwrap_or(0) > 0
                {}
                kept.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&head).into_owned());
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self {
            address,
            told,
            listening: listening.abort_handle(),
        }
    }

    /// The head of each request, and what came with it.
    pub(super) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

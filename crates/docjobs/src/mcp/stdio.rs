//! The protocol on stdin and stdout: one message a line, nothing else on stdout. Bounds what a client may leave
//! unanswered, and tells the process when the client is gone.

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use jobs_runner::CancellationToken;
use rmcp::RoleServer;
use rmcp::model::{ClientNotification, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// How many requests may be unanswered before no further one is read.
const UNANSWERED: usize = 512;
/// The longest message: a deck's Markdown fits well.
const LINE: usize = 4 * 1024 * 1024;

/// Messages on a pair of pipes.
pub(crate) struct StdioTransport<R: AsyncRead + Unpin, W: AsyncWrite> {
    lines: AsyncRwTransport<RoleServer, EndSignal<R>, W>,
    unanswered: Arc<Unanswered>,
    has_begun: bool,
    /// Cancelled when the client has closed its end.
    closed: CancellationToken,
    /// Counts changes of the client's roots as they are read, so that every later request sees them.
    root_changes: Arc<AtomicU64>,
}

impl<R, W> StdioTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(crate) fn new(
        read: R,
        write: W,
        closed: CancellationToken,
        root_changes: Arc<AtomicU64>,
    ) -> Self {
        let read = EndSignal {
            from: read,
            ended: closed.clone(),
        };
        Self {
            lines: AsyncRwTransport::new_server(read, write).with_max_line_length(LINE),
            unanswered: Arc::default(),
            has_begun: false,
            closed,
            root_changes,
        }
    }
}

impl<R, W> Transport<RoleServer> for StdioTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let send = self.lines.send(message);
        let (unanswered, closed) = (Arc::clone(&self.unanswered), self.closed.clone());
        async move {
            let sent = send.await;
            if let Some(id) = answered {
                unanswered.remove(&id);
            }
            if sent.is_err() {
                // Nobody reads the answers any more.
                closed.cancel();
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            tokio::select! {
                () = self.unanswered.has_room() => {}
                () = self.closed.cancelled() => return None,
            }
            let message = tokio::select! {
                message = self.lines.receive() => message?,
                () = self.closed.cancelled() => return None,
            };
            match &message {
                JsonRpcMessage::Request(request) => {
                    self.has_begun = true;
                    self.unanswered.add(request.id.clone());
                }
                // What comes before the first request belongs to nothing.
                _ if !self.has_begun => continue,
                JsonRpcMessage::Notification(notification) => match &notification.notification {
                    ClientNotification::CancelledNotification(cancelled) => {
                        // A cancelled request gets no answer.
                        if let Some(id) = &cancelled.params.request_id {
                            self.unanswered.remove(id);
                        }
                    }
                    ClientNotification::RootsListChangedNotification(_) => {
                        self.root_changes.fetch_add(1, Ordering::AcqRel);
                    }
                    _ => {}
                },
                _ => {}
            }
            return Some(message);
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.lines.close().await
    }
}

/// The requests that wait for an answer.
#[derive(Default)]
struct Unanswered {
    ids: Mutex<HashSet<RequestId>>,
    freed: Notify,
}

impl Unanswered {
    fn add(&self, id: RequestId) {
        self.locked().insert(id);
    }

    fn remove(&self, id: &RequestId) {
        self.locked().remove(id);
        self.freed.notify_one();
    }

    async fn has_room(&self) {
        while self.locked().len() >= UNANSWERED {
            self.freed.notified().await;
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashSet<RequestId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads, and says when nothing more will come.
struct EndSignal<R> {
    from: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndSignal<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.from).poll_read(context, into);
        let is_end = match &read {
            Poll::Ready(Ok(())) => into.filled().len() == before && into.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_end {
            self.ended.cancel();
        }
        read
    }
}

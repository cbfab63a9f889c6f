//! A TCP connection that tells when everything written has left, and that can end with a reset.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::lock::lock;

/// What an answer may ask of the connection that carries it.
#[derive(Clone, Debug)]
pub(crate) struct WireControl {
    inner: Arc<ControlInner>,
}

#[derive(Debug)]
struct ControlInner {
    /// Locked for the length of one system call.
    stream: Mutex<TcpStream>,
    flushes: AtomicU64,
    reset: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl WireControl {
    /// From now on the connection ends with a reset instead of an orderly close.
    pub(crate) fn reset_on_close(&self) {
        self.inner.reset.store(true, Ordering::SeqCst);
    }

    /// How often everything that was written so far had been handed to the system.
    pub(crate) fn flushes(&self) -> u64 {
        self.inner.flushes.load(Ordering::SeqCst)
    }

    /// Ready once there was a flush after `seen`.
    pub(crate) fn poll_flushed_since(&self, seen: u64, context: &mut Context<'_>) -> Poll<()> {
        *lock(&self.inner.waiting) = Some(context.waker().clone());
        if self.flushes() > seen {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Writes all of `bytes` past whoever else writes here, which must be silent meanwhile.
    pub(crate) async fn write_past(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| {
                Pin::new(&mut *lock(&self.inner.stream)).poll_write(context, bytes)
            });
            let written = written.await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn flushed(&self) {
        self.inner.flushes.fetch_add(1, Ordering::SeqCst);
        if let Some(waker) = lock(&self.inner.waiting).take() {
            waker.wake();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    control: WireControl,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Self, WireControl) {
        let control = WireControl {
            inner: Arc::new(ControlInner {
                stream: Mutex::new(stream),
                flushes: AtomicU64::new(0),
                reset: AtomicBool::new(false),
                waiting: Mutex::new(None),
            }),
        };
        (
            Self {
                control: control.clone(),
            },
            control,
        )
    }

    /// What may be asked of this connection.
    pub(crate) fn control(&self) -> &WireControl {
        &self.control
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.control.inner.reset.load(Ordering::SeqCst) {
            // A socket that refuses the option closes in the orderly way, which is the next best thing.
            let _ = lock(&self.control.inner.stream).set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.control.inner.stream)).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.control.inner.stream)).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.control.inner.stream)).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.control.inner.stream).is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *lock(&self.control.inner.stream)).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.control.flushed();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.control.inner.stream)).poll_shutdown(context)
    }
}

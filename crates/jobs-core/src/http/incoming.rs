//! An answer while it comes in.

use std::fmt;

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use crate::error::{Error, ErrorKind, Sent};
use crate::http::transport::{Answer, Context, Transport};
use crate::quota::Permit;

/// An answer of any HTTP status whose body is read piece by piece, for services that answer in a stream of events.
pub struct Incoming {
    transport: Transport,
    context: Context,
    response: Response,
    read: u64,
    /// The rate counts the request from its answer on, so the place is held as long as that.
    _permit: Permit,
}

impl Incoming {
    pub(crate) fn new(
        transport: Transport,
        context: Context,
        response: Response,
        permit: Permit,
    ) -> Self {
        Self {
            transport,
            context,
            response,
            read: 0,
            _permit: permit,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The next piece; `None` at the end. May be dropped and called again without losing a byte.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] or [`ErrorKind::Unavailable`] when the answer breaks off, [`ErrorKind::TooLarge`] above the
    /// transport's cap. The vendor may have acted upon the request in each case.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let status = self.status();
        let chunk = self.response.chunk().await;
        let Some(chunk) = chunk.map_err(|cause| self.context.lost_answer(status, cause))? else {
            return Ok(None);
        };
        self.read += chunk.len() as u64;
        let cap = self.transport.inner.body_cap;
        if self.read > cap {
            let error = self
                .context
                .error(ErrorKind::TooLarge)
                .with_sent(Sent::Maybe)
                .with_http_status(status);
            return Err(error.with_message(format!("the answer is larger than {cap} bytes")));
        }
        Ok(Some(chunk))
    }

    /// The rest as one answer.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn into_answer(mut self) -> Result<Answer, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        tracing::debug!(
            vendor = self.context.vendor,
            operation = self.context.operation,
            status = self.status(),
            bytes = body.len(),
            "answered"
        );
        Ok(self.answer(body.freeze()))
    }

    /// A part of the body, such as one event, as an answer of its own: for whoever reads the vendor's envelope in it.
    pub fn answer(&self, body: Bytes) -> Answer {
        Answer::new(
            self.status(),
            self.response.headers().clone(),
            body,
            &self.context,
            &**self.transport.clock(),
        )
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("operation", &self.context.operation)
            .field("status", &self.status())
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

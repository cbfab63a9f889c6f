//! An answer while it comes in.

use std::fmt;

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use crate::error::{Error, ErrorKind, Sent};
use crate::http::answer::Answer;
use crate::http::context::Context;
use crate::quota::Permit;

/// An answer of any HTTP status whose body is read piece by piece, for services that answer in a stream of events.
pub struct Incoming {
    context: Context,
    response: Response,
    /// The rate counts the request from its answer on, so the place is held as long as that.
    permit: Permit,
    /// How many bytes the body may have.
    cap: u64,
    read: u64,
}

impl Incoming {
    pub(crate) fn new(context: Context, response: Response, permit: Permit, cap: u64) -> Self {
        Self {
            context,
            response,
            permit,
            cap,
            read: 0,
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
        if self.read > self.cap {
            let error = self
                .context
                .error(ErrorKind::TooLarge)
                .with_sent(Sent::Maybe)
                .with_http_status(status);
            return Err(error.with_message(format!("the answer is larger than {} bytes", self.cap)));
        }
        Ok(Some(chunk))
    }

    /// The rest as one answer.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn into_answer(mut self) -> Result<Answer, Error> {
        let body = self.rest().await?;
        Ok(self.answered(body))
    }

    pub(crate) async fn rest(&mut self) -> Result<Bytes, Error> {
        let first = self.chunk().await?.unwrap_or_default();
        // Most answers are one piece, which is not copied.
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut body = BytesMut::from(first);
        body.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The answer with this body, which is all of it.
    pub(crate) fn answered(mut self, body: Bytes) -> Answer {
        tracing::debug!(
            vendor = self.context.vendor,
            operation = self.context.operation,
            status = self.status(),
            bytes = body.len(),
            "answered"
        );
        self.permit.passed();
        Answer::new(
            self.status(),
            std::mem::take(self.response.headers_mut()),
            body,
            self.context,
            self.permit.clock(),
            Some(self.permit.said()),
        )
    }

    /// A part of the body, such as one event, as an answer of its own: for whoever reads the vendor's envelope in it.
    pub fn answer(&self, body: Bytes) -> Answer {
        Answer::new(
            self.status(),
            self.response.headers().clone(),
            body,
            self.context.clone(),
            self.permit.clock(),
            Some(self.permit.said()),
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::{Origin, Request, TransportBuilder};

    /// The answer in these pieces, under a cap of 10 bytes.
    async fn answered(pieces: &'static [&'static str], is_whole: bool) -> Incoming {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for piece in pieces {
                let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
            if is_whole {
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        });
        let transport = TransportBuilder::new("v", Origin::parse(&origin).unwrap())
            .with_body_cap(10)
            .build()
            .unwrap();
        transport
            .stream(Request::post("op", &[]).paid())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_pieces_are_the_answer() {
        let mut incoming = answered(&["12345", "67890"], true).await;
        let mut all = Vec::new();
        while let Some(piece) = incoming.chunk().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        assert_eq!(
            (incoming.status(), all.as_slice()),
            (200, &b"1234567890"[..])
        );
        let answer = answered(&["12345", "67890"], true).await.into_answer();
        assert_eq!(answer.await.unwrap().body(), b"1234567890");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_or_grows_too_large_may_have_been_acted_upon() {
        for (pieces, is_whole, kind) in [
            (&["12345"][..], false, ErrorKind::Unavailable),
            (&["12345", "678901"], true, ErrorKind::TooLarge),
        ] {
            let error = answered(pieces, is_whole).await.into_answer().await;
            let error = error.unwrap_err();
            assert_eq!((error.kind(), error.sent()), (kind, Sent::Maybe));
        }
    }
}

//! An answer while it comes in.

use std::{fmt, io};

use bytes::{Bytes, BytesMut};

use crate::error::{Delivery, Error, ErrorKind};
use crate::http::coding::Codings;
use crate::http::context::Context;
use crate::http::response::Response;
use crate::rate_limit::Permit;

/// An answer of any HTTP status whose body is read piece by piece, for services that answer in a stream of events.
pub struct StreamingResponse {
    context: Context,
    response: reqwest::Response,
    /// The rate counts the request from its answer on, so the place is held as long as that.
    permit: Permit,
    /// How many bytes the body may have.
    cap: u64,
    read: u64,
    /// What is still to be undone.
    codings: Option<Box<Codings>>,
    /// Why the body is still in a coding; on the heap, as an answer under way is to be small.
    still_coded: Option<Box<str>>,
}

/// An answer that does not come to its end.
pub(crate) struct BrokenOff {
    /// Why; it keeps the beginning of the body.
    error: Error,
    /// What arrived.
    body: Bytes,
}

impl StreamingResponse {
    pub(crate) fn new(
        context: Context,
        response: reqwest::Response,
        permit: Permit,
        cap: u64,
    ) -> Self {
        Self {
            codings: Codings::declared(response.headers()).map(Box::new),
            context,
            response,
            permit,
            cap,
            read: 0,
            still_coded: None,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The next piece; `None` at the end. May be dropped and called again without losing a byte, unless the server
    /// declared a content coding: the answer is one piece then, which comes at its end.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] or [`ErrorKind::Unavailable`] when the answer breaks off, [`ErrorKind::TooLarge`] above the
    /// transport's cap. The vendor may have acted upon the request in each case.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.codings.is_none() {
            return self.raw_chunk().await;
        }
        let body = Box::pin(self.rest()).await?;
        Ok(Some(body).filter(|body| !body.is_empty()))
    }

    async fn raw_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let status = self.status();
        let chunk = self.response.chunk().await;
        let Some(chunk) = chunk.map_err(|cause| self.context.lost_response(status, cause))? else {
            return Ok(None);
        };
        self.read += chunk.len() as u64;
        if self.read > self.cap {
            return Err(self.too_large());
        }
        Ok(Some(chunk))
    }

    fn too_large(&self) -> Error {
        self.context
            .error(ErrorKind::TooLarge)
            .with_delivery(Delivery::MaybeSent)
            .with_http_status(self.status())
            .with_message(format!("the answer is larger than {} bytes", self.cap))
            // Of a poll: the next one may be as documented.
            .with_transient()
    }

    /// The rest as one answer.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn into_response(mut self) -> Result<Response, Error> {
        let body = self.rest().await?;
        Ok(self.answered(body))
    }

    pub(crate) async fn rest(&mut self) -> Result<Bytes, Error> {
        self.rest_or_part().await.map_err(|part| part.error)
    }

    /// The rest, or what arrived of it.
    pub(crate) async fn rest_or_part(&mut self) -> Result<Bytes, BrokenOff> {
        let mut body = BytesMut::new();
        match self.raw_rest(&mut body).await {
            Ok(whole) => self
                .undone(whole)
                .map_err(|error| self.broken_off(error, body)),
            Err(error) => Err(self.broken_off(error, body)),
        }
    }

    /// The rest; what arrives before an error is left in `body`.
    async fn raw_rest(&mut self, body: &mut BytesMut) -> Result<Bytes, Error> {
        let first = self.raw_chunk().await?.unwrap_or_default();
        // Most answers are one piece, which is not copied.
        let second = self.raw_chunk().await;
        if let Ok(None) = second {
            return Ok(first);
        }
        *body = BytesMut::from(first);
        let mut next = second?;
        while let Some(chunk) = next {
            body.extend_from_slice(&chunk);
            next = self.raw_chunk().await?;
        }
        Ok(std::mem::take(body).freeze())
    }

    fn broken_off(&mut self, error: Error, raw: BytesMut) -> BrokenOff {
        let raw = raw.freeze();
        let undone = self
            .codings
            .take()
            .map(|codings| codings.undone_so_far(&raw, self.cap));
        let body = match undone {
            Some(undone) if !undone.is_empty() => undone.into(),
            _ => raw,
        };
        let excerpt = self.context.redactor.excerpt(&body);
        BrokenOff {
            error: error.with_body_excerpt(excerpt),
            body,
        }
    }

    /// The body without its codings. One that cannot be undone stays, and whoever does not understand the answer says so:
    /// servers declare codings that a body is not in.
    fn undone(&mut self, body: Bytes) -> Result<Bytes, Error> {
        let Some(codings) = self.codings.take() else {
            return Ok(body);
        };
        let why = codings.unknown().map(|name| {
            format!("the server declares the content coding {name:?}, which cannot be undone here")
        });
        self.still_coded = why.map(String::into_boxed_str);
        match codings.undone(&body, self.cap) {
            Ok(undone) => Ok(undone.into()),
            Err(cause) if cause.kind() == io::ErrorKind::FileTooLarge => Err(self.too_large()),
            Err(_) => {
                let why = "the server declares a content coding that the answer is not in";
                self.still_coded = Some(why.into());
                Ok(body)
            }
        }
    }

    /// The answer as far as it arrived.
    pub(crate) fn answered_in_part(self, part: BrokenOff) -> Response {
        self.response(part.body).broken_off_by(part.error)
    }

    /// The answer with this body, which is all of it.
    pub(crate) fn answered(mut self, body: Bytes) -> Response {
        tracing::debug!(
            vendor = self.context.vendor,
            operation = self.context.operation,
            status = self.status(),
            bytes = body.len(),
            "answered"
        );
        self.permit.accepted();
        Response::new(
            self.status(),
            std::mem::take(self.response.headers_mut()),
            body,
            self.context,
            self.permit.clock(),
            Some(self.permit.feedback()),
        )
        .still_coded(self.still_coded)
    }

    /// A part of the body, such as one event, as an answer of its own: for whoever reads the vendor's envelope in it.
    pub fn response(&self, body: Bytes) -> Response {
        Response::new(
            self.status(),
            self.response.headers().clone(),
            body,
            self.context.clone(),
            self.permit.clock(),
            Some(self.permit.feedback()),
        )
    }
}

impl fmt::Debug for StreamingResponse {
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
    use crate::http::{HttpClientBuilder, Origin, Request};

    /// The answer in these pieces, under a cap of 10 bytes.
    async fn answered(pieces: &'static [&'static str], is_whole: bool) -> StreamingResponse {
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
        let transport = HttpClientBuilder::new("v", Origin::parse(&origin).unwrap())
            .with_max_response_size(10)
            .build()
            .unwrap();
        transport
            .stream(Request::post("op", &[]).non_idempotent())
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
        let answer = answered(&["12345", "67890"], true).await.into_response();
        assert_eq!(answer.await.unwrap().body(), b"1234567890");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_or_grows_too_large_may_have_been_acted_upon() {
        for (pieces, is_whole, kind) in [
            (&["12345"][..], false, ErrorKind::Unavailable),
            (&["12345", "678901"], true, ErrorKind::TooLarge),
        ] {
            let error = answered(pieces, is_whole).await.into_response().await;
            let error = error.unwrap_err();
            assert_eq!(
                (error.kind(), error.delivery()),
                (kind, Delivery::MaybeSent)
            );
        }
    }

    /// An answer with this declaration and body, under a cap of 100 bytes.
    async fn coded(declaration: &str, body: &[u8]) -> StreamingResponse {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {declaration}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = [head.as_bytes(), body].concat();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        });
        let transport = HttpClientBuilder::new("v", Origin::parse(&origin).unwrap())
            .with_max_response_size(100)
            .build()
            .unwrap();
        transport.stream(Request::get("op", &[])).await.unwrap()
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::read::GzEncoder::new(body, flate2::Compression::fast());
        let mut coded = Vec::new();
        io::Read::read_to_end(&mut encoder, &mut coded).unwrap();
        coded
    }

    #[tokio::test]
    async fn what_arrived_of_an_answer_that_breaks_off_is_kept() {
        let error = answered(&["12345", "678"], false)
            .await
            .into_response()
            .await;
        assert_eq!(error.unwrap_err().body_excerpt(), Some("12345678"));
        for (pieces, is_whole) in [(&["12345", "678"][..], false), (&["12345678", "901"], true)] {
            let mut incoming = answered(pieces, is_whole).await;
            let part = incoming.rest_or_part().await.err().unwrap();
            let answer = incoming.answered_in_part(part);
            assert_eq!(answer.body(), b"12345678");
            let error = answer.broken_off().unwrap();
            assert_eq!(error.body_excerpt(), Some("12345678"));
            assert_eq!(error.delivery(), Delivery::MaybeSent);
        }
    }

    #[tokio::test]
    async fn what_arrived_of_a_coded_answer_is_undone() {
        let whole = gzip(br#"{"data":{"id":"j7"}}"#);
        let cut = whole.len() - 4;
        let mut incoming = coded("gzip", &whole).await;
        let error = incoming.too_large();
        let part = incoming.broken_off(error, BytesMut::from(&whole[..cut]));
        assert_eq!(&part.body[..], br#"{"data":{"id":"j7"}}"#);
    }

    #[tokio::test]
    async fn a_declared_coding_is_undone_within_the_cap() {
        let answer = coded("gzip", &gzip(b"{}")).await.into_response().await;
        assert_eq!(answer.unwrap().body(), b"{}");
        let mut incoming = coded("gzip", &gzip(b"{}")).await;
        assert_eq!(&incoming.chunk().await.unwrap().unwrap()[..], b"{}");
        assert!(incoming.chunk().await.unwrap().is_none());
        let grown = coded("gzip", &gzip(&[b' '; 101]))
            .await
            .into_response()
            .await;
        let error = grown.unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::TooLarge, Delivery::MaybeSent)
        );
    }

    #[tokio::test]
    async fn a_coding_that_cannot_be_undone_is_named_by_who_does_not_understand_the_answer() {
        for (declaration, body, named) in [
            ("lzma86", &b"\x5d\0\0"[..], "\"lzma86\""),
            ("br", b"{\"code\":1}", "is not in"),
        ] {
            let answer = coded(declaration, body)
                .await
                .into_response()
                .await
                .unwrap();
            assert_eq!(answer.body(), body);
            let line = answer.unexpected("no envelope").to_string();
            assert!(line.contains(named), "{line}");
        }
    }
}

//! A body that is made while it is sent.

use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::task::JoinHandle;

/// Bytes that are read while they are sent, such as a file inside of JSON; their number is known beforehand.
///
/// Reading happens on the runtime's threads for blocking work, and only one piece is held at a time.
pub struct StreamingBody {
    content_type: &'static str,
    len: u64,
    reader: Source,
}

type Source = Box<dyn Read + Send>;

impl StreamingBody {
    /// Exactly `len` bytes of this content type. A reader that gives more or fewer breaks the request off.
    pub fn new(content_type: &'static str, len: u64, reader: impl Read + Send + 'static) -> Self {
        Self {
            content_type,
            len,
            reader: Box::new(reader),
        }
    }

    /// The `Content-Type` header.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    pub(crate) fn into_body(self) -> reqwest::Body {
        reqwest::Body::wrap_stream(Pieces {
            left: self.len,
            state: State::Idle(self.reader),
        })
    }
}

impl fmt::Debug for StreamingBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed")
            .field("content_type", &self.content_type)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Large enough that changing threads costs little, small enough that many uploads fit in memory.
const PIECE: usize = 64 * 1024;

/// The reader's bytes, piece by piece.
struct Pieces {
    left: u64,
    state: State,
}

enum State {
    Idle(Source),
    Reading(JoinHandle<(Source, io::Result<Vec<u8>>)>),
    Ended,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut reading = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Poll::Ready(None),
            State::Idle(reader) => tokio::task::spawn_blocking(move || piece(reader)),
            State::Reading(reading) => reading,
        };
        let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
            self.state = State::Reading(reading);
            return Poll::Pending;
        };
        let (reader, piece) = read.map_err(io::Error::other)?;
        let piece = piece?;
        Poll::Ready(match (piece.len() as u64, self.left) {
            (0, 0) => None,
            (len, left) if len == 0 || len > left => Some(Err(io::Error::other(
                "the body has another length than was announced",
            ))),
            (len, left) => {
                self.left = left - len;
                self.state = State::Idle(reader);
                Some(Ok(Bytes::from(piece)))
            }
        })
    }
}

/// The next piece, full unless the end is near.
fn piece(mut reader: Source) -> (Source, io::Result<Vec<u8>>) {
    let mut piece = Vec::with_capacity(PIECE);
    let read = Read::take(&mut reader, PIECE as u64).read_to_end(&mut piece);
    (reader, read.map(|_| piece))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn pieces(len: u64, bytes: Vec<u8>) -> (Vec<usize>, Result<Vec<u8>, String>) {
        let mut pieces = Pieces {
            left: len,
            state: State::Idle(Box::new(io::Cursor::new(bytes))),
        };
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        loop {
            match poll_fn(|cx| Pin::new(&mut pieces).poll_next(cx)).await {
                None => return (sizes, Ok(all)),
                Some(Err(error)) => return (sizes, Err(error.to_string())),
                Some(Ok(piece)) => {
                    sizes.push(piece.len());
                    all.extend_from_slice(&piece);
                }
            }
        }
    }

    #[tokio::test]
    async fn every_byte_comes_once_in_pieces() {
        let bytes: Vec<u8> = (0..=255).cycle().take(2 * PIECE + 7).collect();
        let (sizes, all) = pieces(bytes.len() as u64, bytes.clone()).await;
        assert_eq!((sizes, all), (vec![PIECE, PIECE, 7], Ok(bytes)));
        assert_eq!(pieces(0, Vec::new()).await, (Vec::new(), Ok(Vec::new())));
    }

    #[tokio::test]
    async fn another_length_than_announced_breaks_the_request_off() {
        for announced in [9, 11] {
            let (_, all) = pieces(announced, vec![0; 10]).await;
            assert!(all.unwrap_err().contains("another length"), "{announced}");
        }
    }
}

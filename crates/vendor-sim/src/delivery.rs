//! How an answer travels: late, slowly, cut short of its declared length, or not at all.
//!
//! A handler returns an ordinary response and attaches a [`ResponseDelivery`]; the server acts on it where the socket is.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::body::{Frame, Incoming, SizeHint};

use crate::clock::VirtualClock;
use crate::recorder::Entry;
use crate::wire::WireControl;

/// What should happen to an answer on its way. Attach it with [`ResponseDelivery::attach`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseDelivery {
    /// Wait this virtual time before the first byte.
    pub delay: Option<Duration>,
    /// Send no answer and end the connection.
    pub drop: Option<Ending>,
    /// Declare the full length, send this many body bytes, then end the connection.
    pub cut_at: Option<u64>,
    /// Send the body in pieces with pauses between them.
    pub slow: Option<Slow>,
    /// Send heads until the other side ends the connection.
    pub endless: Option<Endless>,
}

/// How a connection ends that carries no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Orderly close.
    Close,
    /// TCP reset.
    Reset,
}

/// A head that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless {
    /// Interim answers instead of fields.
    pub interim: bool,
    /// Virtual pause before each of them.
    pub pause: Duration,
}

/// Pace of a slow body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// Bytes a piece.
    pub chunk: usize,
    /// Virtual pause before each piece.
    pub pause: Duration,
}

impl ResponseDelivery {
    /// Puts the instruction on a response.
    #[must_use]
    pub fn attach(self, mut response: Response<Body>) -> Response<Body> {
        response.extensions_mut().insert(self);
        response
    }
}

/// The connection ends without an answer; hyper closes it when its service returns this.
#[derive(Debug)]
pub(crate) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the simulator dropped the connection")
    }
}

impl std::error::Error for Dropped {}

pub(crate) async fn deliver(
    mut response: Response<Body>,
    wire: &WireControl,
    clock: &VirtualClock,
) -> Result<Response<Body>, Dropped> {
    let Some(delivery) = response.extensions_mut().remove::<ResponseDelivery>() else {
        return Ok(response);
    };
    if let Some(delay) = delivery.delay {
        clock.sleep(delay).await;
    }
    match delivery.drop {
        Some(Ending::Reset) => {
            wire.reset_on_close();
            return Err(Dropped);
        }
        Some(Ending::Close) => return Err(Dropped),
        None => {}
    }
    if let Some(endless) = delivery.endless {
        babble(endless, wire, clock).await;
        return Err(Dropped);
    }
    declare_length(&mut response);
    if let Some(slow) = delivery.slow {
        response = response.map(|body| slowed(body, slow, clock.clone()));
    }
    if let Some(at) = delivery.cut_at {
        response = response.map(|body| {
            Body::new(Cut {
                inner: body,
                left: at,
                wire: wire.clone(),
                flushing: None,
            })
        });
    }
    Ok(response)
}

/// A request whose body nobody reads; unread it is kept as long as the answer is.
#[derive(Clone)]
struct Unread {
    _body: Arc<Mutex<Body>>,
}

/// No answer for `silence`, then a reset; the body stays in the socket.
pub(crate) fn deaf(body: Body, silence: Duration) -> Response<Body> {
    let mut response = ResponseDelivery {
        delay: Some(silence),
        drop: Some(Ending::Reset),
        ..ResponseDelivery::default()
    }
    .attach(Response::new(Body::empty()));
    response.extensions_mut().insert(Unread {
        _body: Arc::new(Mutex::new(body)),
    });
    response
}

/// Writes past the HTTP library, which sends one head and ends it, until the other side has gone.
async fn babble(endless: Endless, wire: &WireControl, clock: &VirtualClock) {
    let (opening, next) = match endless.interim {
        true => ("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        false => ("HTTP/1.1 200 OK\r\n", "X-Padding: 0123456789abcdef\r\n"),
    };
    let mut went = wire.write_past(opening.as_bytes()).await;
    while went.is_ok() {
        clock.sleep(endless.pause).await;
        went = wire.write_past(next.as_bytes()).await;
    }
}

/// Writes the length down while the body still knows it; the changed bodies below no longer do.
pub(crate) fn declare_length(response: &mut Response<Body>) {
    if let Some(length) = response.body().size_hint().exact() {
        response
            .headers_mut()
            .entry(CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
}

/// At most the first `limit` bytes of a body.
pub(crate) fn shortened(body: Body, limit: u64) -> Body {
    Body::from_stream(stream::unfold(
        (body.into_data_stream(), limit),
        |(mut data, left)| async move {
            if left == 0 {
                return None;
            }
            match data.next().await? {
                Ok(mut bytes) => {
                    bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left.saturating_sub(bytes.len() as u64);
                    Some((Ok(bytes), (data, left)))
                }
                Err(error) => Some((Err(error), (data, 0))),
            }
        },
    ))
}

fn slowed(body: Body, slow: Slow, clock: VirtualClock) -> Body {
    let chunk = slow.chunk.max(1);
    let start = (body.into_data_stream(), Bytes::new(), clock);
    Body::from_stream(stream::unfold(
        start,
        move |(mut data, mut held, clock)| async move {
            while held.is_empty() {
                match data.next().await? {
                    Ok(bytes) => held = bytes,
                    Err(error) => return Some((Err(error), (data, Bytes::new(), clock))),
                }
            }
            clock.sleep(slow.pause).await;
            let piece = held.split_to(chunk.min(held.len()));
            Some((Ok(piece), (data, held, clock)))
        },
    ))
}

/// Ends in an error after `left` bytes, but only once all of them have left the machine's buffers of ours: a test that
/// asks for a cut at byte N must see N bytes.
struct Cut {
    inner: Body,
    left: u64,
    wire: WireControl,
    flushing: Option<u64>,
}

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            let seen = match self.flushing {
                Some(seen) => seen,
                None => {
                    let seen = self.wire.flushes();
                    self.flushing = Some(seen);
                    seen
                }
            };
            ready!(self.wire.poll_flushed_since(seen, context));
            return Poll::Ready(Some(Err(Box::new(Dropped))));
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => {
                let Ok(mut bytes) = frame.into_data() else {
                    return Poll::Ready(None);
                };
                bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => Poll::Ready(None),
        }
    }
}

/// A request body that is counted into the record as it is read.
pub(crate) struct Counted {
    pub(crate) inner: Incoming,
    pub(crate) entry: Arc<Entry>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(bytes) = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok())
            .and_then(|frame| frame.data_ref())
        {
            self.entry.body_arrived(bytes.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

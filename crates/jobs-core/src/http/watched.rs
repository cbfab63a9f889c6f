//! A request body that tells when it is sent.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::CONTENT_LENGTH;

use crate::call::{Activity, CallMonitor};

/// The body of a request whose [`CallMonitor`] wants to know when it leaves: a connection asks for the body only once
/// it stands, so nothing has left before the first poll.
struct Watched {
    body: reqwest::Body,
    monitor: CallMonitor,
    sent: u64,
    total: Option<u64>,
}

/// The same request; its body tells the monitor of this task's call.
pub(crate) fn watched(
    builder: reqwest::RequestBuilder,
) -> reqwest::Result<reqwest::RequestBuilder> {
    let Some(monitor) = CallMonitor::current() else {
        return Ok(builder);
    };
    let (client, request) = builder.build_split();
    let mut request = request?;
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    match request.body_mut() {
        Some(body) => {
            let inner = std::mem::take(body);
            *body = reqwest::Body::wrap(Watched {
                total: inner.size_hint().exact().or(length),
                body: inner,
                monitor,
                sent: 0,
            });
        }
        // Its head is all there is, and nobody is asked before it leaves.
        None => drop(monitor.leaves()),
    }
    Ok(reqwest::RequestBuilder::from_parts(client, request))
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.monitor.leaves() {
            return Poll::Ready(Some(Err(io::Error::other("the call was given up").into())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let (sent, total) = (self.sent, self.total);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                let sent = self.sent;
                self.monitor.set(if Some(sent) == total {
                    Activity::WaitingForAnswer
                } else {
                    Activity::Sending { sent, total }
                });
            }
            Poll::Ready(None) => self.monitor.set(Activity::WaitingForAnswer),
            Poll::Ready(Some(Err(_))) => {}
            Poll::Pending if sent == 0 => self.monitor.set(Activity::Sending { sent, total }),
            Poll::Pending => {}
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::{Document, Form, HttpClientBuilder, Origin, Request};

    #[tokio::test]
    async fn a_form_that_has_left_waits_for_its_answer() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let client = HttpClientBuilder::new("v", Origin::parse(&origin).unwrap());
        let client = client.build().unwrap();
        let document = Document::from_bytes("a.pdf", "%PDF-1.7 x");
        let form = Form::new().document("file", &document).unwrap();
        let request = Request::post("op", &[]).with_body(crate::http::Body::Form(form));
        let monitor = CallMonitor::new();
        let silent = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"--\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
        };
        tokio::select! {
            biased;
            answer = monitor.watch(client.submit(request)) => panic!("{answer:?}"),
            () = silent => {}
        }
        let activity = monitor.activity();
        assert!(
            matches!(activity, Activity::WaitingForAnswer),
            "{activity:?}"
        );
    }
}

//! One connection of the device: the HTTP upgrade, then commands answered strictly in order while pushes come between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::envelope;
use super::fault_delivery::{self, Answer, Delivery, frame_head};
use super::frame;
use super::state::{Asked, Reply};
use super::{LoginStage, OPERATIONS, Outgoing, ReceivedCommand, Shared};
use crate::clock::seconds;
use crate::fault::{DEAF, Fault};
use crate::lock::lock;
use crate::wire::Wire;

/// Scans of 20 MB must pass, in one frame.
const LARGEST_MESSAGE: usize = 64 << 20;
/// Unanswered commands beyond these wait in the socket.
const LONGEST_QUEUE: usize = 1_024;
const PADDING: usize = 64 << 10;
/// Pings that a deaf peer sends at once, and the virtual pause behind them.
const PINGS: usize = 256;
const PING_PAUSE: Duration = Duration::from_millis(20);
const FAREWELL: Duration = Duration::from_millis(100);

type Socket = WebSocketStream<Wire>;

/// The answer to an upgrade; the connection goes on in a task of its own.
pub(crate) fn upgrade(shared: &Arc<Shared>, mut request: Request<Body>) -> Response<Body> {
    let header = |name| request.headers().get(name);
    let says = |name, word: &str| {
        header(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().contains(word))
    };
    let genuine = says(UPGRADE, "websocket")
        && says(CONNECTION, "upgrade")
        && says(SEC_WEBSOCKET_VERSION, "13");
    let key = header(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let Some(accept) = key.filter(|_| genuine) else {
        let mut response = Response::new(Body::from("this is a WebSocket"));
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return response;
    };
    // Clients send any sub-protocol or none; one that asks expects an answer.
    let protocol = header(SEC_WEBSOCKET_PROTOCOL)
        .and_then(|value| value.to_str().ok()?.split(',').next())
        .and_then(|first| HeaderValue::from_str(first.trim()).ok());
    let upgraded = hyper::upgrade::on(&mut request);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else {
            return;
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<Wire>>() else {
            return;
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let wire = parts.io.into_inner();
        let early = parts.read_buf.to_vec();
        let socket =
            WebSocketStream::from_partially_read(wire, early, Role::Server, Some(config)).await;
        Link::open(shared, socket).run().await;
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

struct Link {
    number: u64,
    shared: Arc<Shared>,
    socket: Socket,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
    inbox: VecDeque<Message>,
    pending: Option<Pending>,
    last_seen: Duration,
}

/// The one answer under way.
struct Pending {
    due: Duration,
    answer: Answer,
    fault: Option<Fault>,
    close: Vec<u64>,
}

/// The connection ends.
#[derive(Clone, Copy)]
enum Over {
    /// With the closing words of the protocol.
    Politely,
    /// At once, as a broken line does.
    Abruptly,
}

impl From<Error> for Over {
    fn from(_: Error) -> Self {
        Self::Abruptly
    }
}

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self::Abruptly
    }
}

impl Link {
    fn open(shared: Arc<Shared>, socket: Socket) -> Self {
        let number = shared.next_link();
        let (sender, outgoing) = mpsc::unbounded_channel();
        lock(&shared.links).insert(number, sender);
        lock(&shared.state).connected(number);
        Self {
            number,
            last_seen: shared.now(),
            shared,
            socket,
            outgoing,
            inbox: VecDeque::new(),
            pending: None,
        }
    }

    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            if self.pending.is_none() {
                self.pending = self.inbox.pop_front().and_then(|next| self.take(&next));
            }
            let clock = self.shared.common.clock.clone();
            let idle = self.shared.rule(|options| options.idle_seconds);
            let idle = self.last_seen + seconds(idle);
            let due = self.pending.as_ref().map(|pending| pending.due);
            let went = tokio::select! {
                biased;
                () = shared.stopped() => Err(Over::Politely),
                Some(outgoing) = self.outgoing.recv() => self.push(outgoing).await,
                () = clock.sleep_until(due.unwrap_or_default()), if due.is_some() => self.answer().await,
                message = self.socket.next(), if self.inbox.len() < LONGEST_QUEUE => self.arrived(message),
                () = clock.sleep_until(idle) => Err(Over::Politely),
            };
            match went {
                Ok(()) => {}
                Err(Over::Abruptly) => return,
                Err(Over::Politely) => {
                    // The peer may be gone already, and then there is nobody to say good-bye to.
                    let farewell = self.socket.close(None);
                    clock.within_real(FAREWELL, farewell).await;
                    return;
                }
            }
        }
    }

    fn arrived(&mut self, message: Option<Result<Message, Error>>) -> Result<(), Over> {
        self.last_seen = self.shared.now();
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                self.inbox.push_back(message);
                Ok(())
            }
            // The library answers pings by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Over::Politely),
        }
    }

    /// Does what a message asks for. The answer waits for its time.
    fn take(&mut self, message: &Message) -> Option<Pending> {
        let (req_id, asked) = match read(message) {
            Ok(read) => read,
            Err((text, req_id)) => {
                let reply = Reply::refused(600_052, text);
                return Some(self.pend("other", &req_id.unwrap_or_default(), reply, None));
            }
        };
        let operation = OPERATIONS
            .iter()
            .find(|name| **name == asked.cmd)
            .unwrap_or(&"other");
        let fault = self.shared.common.faults.take(operation);
        let at = self.shared.moment();
        let reply = match &fault {
            Some(fault) if fault_delivery::prevents(fault) => Reply::refused(-1, "system error"),
            _ => lock(&self.shared.state).answer(self.number, &asked, at),
        };
        self.shared.note_command(ReceivedCommand {
            link: self.number,
            cmd: asked.cmd.clone(),
            req_id: req_id.clone(),
            body: asked.body,
            code: reply.code,
            arrived_unix: at.now.as_secs_f64(),
            arrived_real: self.shared.common.clock.real_elapsed().as_secs_f64(),
        });
        Some(self.pend(&asked.cmd, &req_id, reply, fault))
    }

    fn pend(&self, cmd: &str, req_id: &str, mut reply: Reply, fault: Option<Fault>) -> Pending {
        let options = self.shared.options();
        if let Some(Fault::Code { code, message, .. }) = &fault {
            reply = Reply {
                close: reply.close,
                ..Reply::refused(
                    code.as_i64().unwrap_or(-1),
                    message.as_deref().unwrap_or("system error"),
                )
            };
        }
        let now = self.shared.moment();
        let answer = match &reply.file {
            Some(data) => Answer::File {
                req_id: req_id.to_owned(),
                data: data.clone(),
                data_len_error: options.data_len_error,
            },
            None => Answer::Json(envelope::answer(
                cmd,
                req_id,
                &reply,
                &options,
                now.server_unix,
            )),
        };
        let latency = options.latency_seconds + options.jitter_seconds * fastrand::f64();
        Pending {
            due: now.now + seconds(latency) + fault_delivery::lateness(fault.as_ref()),
            answer,
            fault,
            close: reply.close,
        }
    }

    async fn answer(&mut self) -> Result<(), Over> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        for link in &pending.close {
            self.shared.send(*link, Outgoing::Close);
        }
        if self.shared.rule(|options| options.chatter) {
            let id = envelope::push_id(self.shared.moment().server_unix);
            let push = envelope::push("push_something_new", Some(&json!({"x": 1})), &id);
            self.socket.send(Message::text(push.to_string())).await?;
        }
        match fault_delivery::deliver(pending.answer, pending.fault.as_ref()) {
            Delivery::Text(text) => self.socket.send(Message::text(text)).await?,
            Delivery::Binary(bytes) => self.socket.send(Message::binary(bytes)).await?,
            Delivery::Pieces {
                message,
                chunk,
                pause,
            } => {
                let count = message.payload.len().div_ceil(chunk).max(1);
                for (index, piece) in message.payload.chunks(chunk).enumerate() {
                    self.shared.common.clock.sleep(pause).await;
                    let (first, last) = (index == 0, index + 1 == count);
                    let mut raw = frame_head(message.opcode, piece.len() as u64, first, last);
                    raw.extend(piece);
                    self.raw(&raw).await?;
                }
            }
            Delivery::Cut { message, at } => {
                let payload = &message.payload;
                let mut raw = frame_head(message.opcode, payload.len() as u64, true, true);
                raw.extend(payload.iter().take(at));
                self.raw(&raw).await?;
                return self.end().await;
            }
            Delivery::Garbled(bytes) => {
                let mut raw = frame_head(1, bytes.len() as u64, true, true);
                raw.extend(bytes);
                self.raw(&raw).await?;
            }
            Delivery::Huge(bytes) => {
                let (before, behind) = (&br#"{"padding":""#[..], &br#""}"#[..]);
                let least = (before.len() + behind.len()) as u64;
                let length = bytes.saturating_sub(least);
                self.around(before, length, behind).await?;
            }
            Delivery::Around {
                before,
                length,
                behind,
            } => self.around(&before, length, &behind).await?,
            Delivery::Deaf => return self.deaf().await,
            Delivery::Drop { reset } => {
                if reset {
                    self.socket.get_ref().control().reset_on_close();
                    return Err(Over::Abruptly);
                }
                return self.end().await;
            }
        }
        Ok(())
    }

    /// A text message with so many bytes between its first and its last, never held whole.
    async fn around(&mut self, before: &[u8], mut left: u64, behind: &[u8]) -> Result<(), Over> {
        let length = before.len() as u64 + left + behind.len() as u64;
        self.raw(&frame_head(1, length, true, true)).await?;
        self.raw(before).await?;
        let padding = vec![b'x'; PADDING];
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(PADDING).min(PADDING);
            self.raw(padding.get(..piece).unwrap_or_default()).await?;
            left -= piece as u64;
        }
        self.raw(behind).await
    }

    /// Pings that are answered into a socket which nobody reads.
    async fn deaf(&mut self) -> Result<(), Over> {
        let shared = Arc::clone(&self.shared);
        let ping = [frame_head(9, 125, true, true), vec![b'p'; 125]].concat();
        let pings = ping.repeat(PINGS);
        let until = shared.now() + DEAF;
        while shared.now() < until {
            tokio::select! {
                () = shared.stopped() => return Err(Over::Abruptly),
                sent = self.raw(&pings) => sent?,
            }
            shared.common.clock.sleep(PING_PAUSE).await;
        }
        Err(Over::Abruptly)
    }

    async fn push(&mut self, outgoing: Outgoing) -> Result<(), Over> {
        match outgoing {
            Outgoing::Text(text) => self.socket.send(Message::text(text)).await?,
            Outgoing::Binary(bytes) => self.socket.send(Message::binary(bytes)).await?,
            Outgoing::Raw(bytes) => self.raw(&bytes).await?,
            Outgoing::Close => return Err(Over::Politely),
        }
        Ok(())
    }

    /// Past the library: whole messages are flushed as they are sent, so nothing of them can be overtaken.
    async fn raw(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let wire = self.socket.get_mut();
        wire.write_all(bytes).await?;
        wire.flush().await?;
        Ok(())
    }

    /// Ends the connection without the closing words of the protocol.
    async fn end(&mut self) -> Result<(), Over> {
        self.socket.get_mut().shutdown().await?;
        Err(Over::Abruptly)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.shared.links).remove(&self.number);
        lock(&self.shared.state).disconnected(self.number);
    }
}

type Unreadable = (&'static str, Option<String>);

fn read(message: &Message) -> Result<(String, Asked), Unreadable> {
    if let Message::Text(text) = message {
        let read = envelope::read(text).ok_or(("invalid request", None))?;
        let asked = Asked {
            cmd: read.cmd,
            body: read.body,
            data: Bytes::new(),
        };
        return Ok((read.req_id, asked));
    }
    let uploaded = frame::upload(&message.clone().into_data())?;
    let fits = match uploaded.cmd.as_str() {
        "printer/upload_scan_file" => uploaded.args.is_some(),
        "upload_log" => uploaded.args.is_none(),
        _ => false,
    };
    if !fits {
        return Err(("layout does not fit the cmd", Some(uploaded.req_id)));
    }
    let asked = Asked {
        cmd: uploaded.cmd,
        body: uploaded.args.unwrap_or_else(|| json!({})),
        data: uploaded.data,
    };
    Ok((uploaded.req_id, asked))
}

/// Ends every connection, online or not.
pub(crate) fn disconnect(shared: &Shared) {
    let links = lock(&shared.state).links_from(LoginStage::Connected);
    for link in links {
        shared.send(link, Outgoing::Close);
    }
}

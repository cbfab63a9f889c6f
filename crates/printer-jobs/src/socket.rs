//! The one file that owns a socket: opens it, moves messages, closes it. What they mean is not known here.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jobs_core::clock::{Clock, bounded};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::{Host, Url};

use crate::proxy::{InvalidProxy, Proxy, ProxyChoice, Untunnelled};

/// Where the cloud listens: `wss`, or plain `ws` on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(Url);

/// Why an address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAddress {
    #[error("it is no ws or wss address")]
    Malformed,
    #[error("it holds credentials")]
    Credentials,
    #[error("plain ws is for this machine only")]
    PlainText,
}

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let mut url = Url::parse(text).map_err(|_| InvalidAddress::Malformed)?;
        url.set_fragment(None);
        if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
            return Err(InvalidAddress::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidAddress::Credentials);
        }
        if url.scheme() == "ws" && !is_loopback(&url) {
            return Err(InvalidAddress::PlainText);
        }
        Ok(Self(url))
    }

    /// Host and port, which tell one cloud from another.
    pub(crate) fn authority(&self) -> String {
        format!(
            "{}:{}",
            self.0.host_str().unwrap_or_default(),
            self.0.port_or_known_default().unwrap_or_default()
        )
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "ws"
    }

    /// The proxy on the way there. None leads to this machine, as with the other vendors.
    pub(crate) fn proxy(&self, choice: &ProxyChoice) -> Result<Option<Proxy>, InvalidProxy> {
        if is_loopback(&self.0) {
            return Ok(None);
        }
        let host = self.0.host_str().unwrap_or_default();
        choice.to(host, self.0.port_or_known_default().unwrap_or_default())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}

/// TLS that trusts what the platform trusts.
pub(crate) fn tls() -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What a connection reports. `Closed` is the last.
#[derive(Debug)]
pub(crate) enum Inbound {
    Opened,
    Text(Utf8Bytes),
    Binary(Bytes),
    /// A control frame: a sign of life.
    Control,
    Closed(ConnectionError),
}

/// How a connection ended, or why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the connection was closed")]
    Closed,
    #[error("cannot reach {to}: {cause}")]
    Connect {
        to: String,
        #[source]
        cause: io::Error,
    },
    #[error("cannot reach the proxy {proxy}: {cause}")]
    ProxyUnreachable {
        proxy: String,
        #[source]
        cause: io::Error,
    },
    /// Embedded devices without a bundle of root certificates end here.
    #[error("no TLS connection to {to}: {cause}")]
    Tls {
        to: String,
        #[source]
        cause: io::Error,
    },
    #[error("the proxy {proxy} does not connect to {to}: {cause}")]
    Proxy {
        proxy: String,
        to: String,
        #[source]
        cause: Untunnelled,
    },
    /// Somebody else than the cloud, such as a firewall.
    #[error("{to} answered with {said} instead of a WebSocket")]
    Foreign { to: String, said: String },
    #[error("the connection broke: {0}")]
    Transport(#[source] Box<tungstenite::Error>),
    #[error("a message exceeds the limit")]
    Oversize(#[source] Box<tungstenite::Error>),
}

impl From<tungstenite::Error> for ConnectionError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
                Self::Closed
            }
            tungstenite::Error::Capacity(_) => Self::Oversize(Box::new(error)),
            _ => Self::Transport(Box::new(error)),
        }
    }
}

/// A connection that opens, lives and ends in a task of its own. Dropping it cuts it off.
#[derive(Debug)]
pub(crate) struct Link {
    /// `None` once it is being closed.
    outbox: Option<mpsc::UnboundedSender<Message>>,
    inbox: mpsc::Receiver<Inbound>,
    task: AbortHandle,
}

impl Link {
    pub(crate) fn open(
        endpoint: Endpoint,
        proxy: Option<Proxy>,
        tls: Option<TlsConnector>,
        max_message: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (outbox, outgoing) = mpsc::unbounded_channel();
        // Messages may have 32 MiB, so no more than one is held before the socket is left to wait.
        let (incoming, inbox) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let opening = Opening {
                endpoint,
                proxy,
                tls,
                max_message,
            };
            let broken = live(opening, &*clock, outgoing, &incoming).await;
            // Nobody listens any more when the owner has dropped the link.
            drop(incoming.send(Inbound::Closed(broken)).await);
        });
        Self {
            outbox: Some(outbox),
            inbox,
            task: task.abort_handle(),
        }
    }

    /// What comes next. May be dropped at any await.
    pub(crate) async fn next(&mut self) -> Inbound {
        self.inbox
            .recv()
            .await
            .unwrap_or(Inbound::Closed(ConnectionError::Closed))
    }

    /// Hands a message over; `false` when the connection is closing.
    pub(crate) fn send(&self, message: Message) -> bool {
        self.outbox
            .as_ref()
            .is_some_and(|outbox| outbox.send(message).is_ok())
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.outbox.is_none()
    }

    /// Sends what was handed over, says goodbye and closes, or stops opening.
    pub(crate) fn close(&mut self) {
        self.outbox = None;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Opening {
    endpoint: Endpoint,
    proxy: Option<Proxy>,
    tls: Option<TlsConnector>,
    max_message: usize,
}

async fn live(
    opening: Opening,
    clock: &dyn Clock,
    mut outgoing: mpsc::UnboundedReceiver<Message>,
    incoming: &mpsc::Sender<Inbound>,
) -> ConnectionError {
    const GOODBYE: Duration = Duration::from_secs(2);
    let opened = tokio::select! {
        opened = connect(opening) => opened,
        // Nothing is sent before it is open, so this is the wish to close.
        _ = outgoing.recv() => return ConnectionError::Closed,
    };
    let socket = match opened {
        Ok(socket) => socket,
        Err(broken) => return broken,
    };
    if incoming.send(Inbound::Opened).await.is_err() {
        return ConnectionError::Closed;
    }
    let (mut sink, mut stream) = socket.split();
    let writing = async {
        while let Some(message) = outgoing.recv().await {
            sink.send(message).await?;
        }
        // Nobody may be reading.
        bounded(clock, clock.now() + GOODBYE, sink.close())
            .await
            .unwrap_or(Ok(()))
    };
    let mut reading = Box::pin(async {
        while let Some(message) = stream.next().await {
            let inbound = match message {
                Ok(Message::Text(text)) => Inbound::Text(text),
                Ok(Message::Binary(data)) => Inbound::Binary(data),
                Ok(_) => Inbound::Control,
                Err(error) => return ConnectionError::from(error),
            };
            if incoming.send(inbound).await.is_err() {
                break;
            }
        }
        ConnectionError::Closed
    });
    let written = tokio::select! {
        broken = &mut reading => return broken,
        written = writing => written,
    };
    match written {
        Ok(()) => bounded(clock, clock.now() + GOODBYE, reading)
            .await
            .unwrap_or(ConnectionError::Closed),
        Err(error) => ConnectionError::from(error),
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

async fn connect(opening: Opening) -> Result<WebSocketStream<Box<dyn Duplex>>, ConnectionError> {
    let Opening {
        endpoint,
        proxy,
        tls,
        max_message,
    } = opening;
    let to = endpoint.authority();
    let unreachable = |cause| ConnectionError::Connect {
        to: to.clone(),
        cause,
    };
    let stream: Box<dyn Duplex> = match (&proxy, endpoint.is_plain()) {
        (_, true) => {
            let tcp = dial(&to).await.map_err(unreachable)?;
            // A name may resolve to anything, and what follows is not encrypted.
            let peer = tcp.peer_addr();
            if !peer.is_ok_and(|peer| peer.ip().to_canonical().is_loopback()) {
                let cause = io::Error::other("plain ws would leave this machine");
                return Err(ConnectionError::Connect { to, cause });
            }
            Box::new(tcp)
        }
        (None, false) => {
            let host = endpoint.0.host_str().unwrap_or_default();
            let tcp = dial(&to).await.map_err(unreachable)?;
            Box::new(secured(tls.as_ref(), host, &to, tcp).await?)
        }
        (Some(proxy), false) => {
            let tcp = dial(&proxy.to_string()).await;
            let tcp = tcp.map_err(|cause| ConnectionError::ProxyUnreachable {
                proxy: proxy.to_string(),
                cause,
            })?;
            let hop: Box<dyn Duplex> = if proxy.is_tls() {
                let at = proxy.to_string();
                Box::new(secured(tls.as_ref(), proxy.host(), &at, tcp).await?)
            } else {
                Box::new(tcp)
            };
            let tunnel = proxy.tunnel(hop, &to).await;
            let tunnel = tunnel.map_err(|cause| ConnectionError::Proxy {
                proxy: proxy.to_string(),
                to: to.clone(),
                cause,
            })?;
            let host = endpoint.0.host_str().unwrap_or_default();
            Box::new(secured(tls.as_ref(), host, &to, tunnel).await?)
        }
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
        // A cloud that does not read must not fill the memory with answers to its pings. One message has to fit.
        .max_write_buffer_size(max_message.saturating_add(WRITE_BUFFER));
    let opened = client_async_with_config(endpoint.0.as_str(), stream, Some(config)).await;
    match opened {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(page)) => Err(ConnectionError::Foreign {
            said: said(&page),
            to,
        }),
        Err(error) => Err(error.into()),
    }
}

/// What is written at once; what waits beyond it waits for a cloud that does not read.
const WRITE_BUFFER: usize = 256 * 1024;

async fn dial(to: &str) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(to).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn secured<S: AsyncRead + AsyncWrite + Unpin>(
    tls: Option<&TlsConnector>,
    host: &str,
    to: &str,
    stream: S,
) -> Result<TlsStream<S>, ConnectionError> {
    let secured = async {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = tls.ok_or_else(|| io::Error::other("TLS is not set up"))?;
        tls.connect(name, stream).await
    };
    secured.await.map_err(|cause| ConnectionError::Tls {
        to: to.to_owned(),
        cause,
    })
}

/// The status of a foreign page, and where it leads or how it begins.
fn said(page: &Response<Option<Vec<u8>>>) -> String {
    const MOST: usize = 200;
    let status = page.status();
    let location = page
        .headers()
        .get("location")
        .and_then(|it| it.to_str().ok());
    // A query may hold what is nobody's business.
    let location = location.and_then(|it| it.split(['?', '#']).next());
    let body = page.body().as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let detail = location
        .map(|it| format!(" to {it}"))
        .or_else(|| line.map(|it| format!(": {it}")));
    let said = format!("HTTP {}{}", status.as_u16(), detail.unwrap_or_default());
    said.chars()
        .filter(|it| !it.is_control())
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_this_machine() {
        for fine in [
            "wss://openhw.work.weixin.qq.com/",
            "wss://openhw.work.weixin.qq.com/websocket",
            "ws://127.0.0.1:8080/",
            "ws://[::1]:8080",
            "ws://localhost:1",
        ] {
            assert!(Endpoint::parse(fine).is_ok(), "{fine}");
        }
        for (address, problem) in [
            ("ws://openhw.work.weixin.qq.com/", InvalidAddress::PlainText),
            ("ws://127.0.0.1.example.com/", InvalidAddress::PlainText),
            ("wss://user:pw@example.com/", InvalidAddress::Credentials),
            ("https://example.com/", InvalidAddress::Malformed),
            ("nonsense", InvalidAddress::Malformed),
            ("", InvalidAddress::Malformed),
        ] {
            assert_eq!(Endpoint::parse(address).unwrap_err(), problem, "{address}");
        }
    }

    #[test]
    fn authority_names_the_port() {
        let authority = |text| Endpoint::parse(text).unwrap().authority();
        assert_eq!(authority("wss://example.com/x"), "example.com:443");
        assert_eq!(authority("ws://[::1]:8080"), "[::1]:8080");
    }

    #[tokio::test]
    async fn tls_is_set_up_from_the_platform() {
        assert!(tls().is_ok());
    }
}

//! A vendor on a real socket that sees raw requests and says raw bytes.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Path and query, byte for byte.
    pub(crate) target: String,
    /// The header lines in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The operation, without its version.
    pub(crate) fn path(&self) -> &str {
        self.target.strip_prefix("/v1/").unwrap_or(&self.target)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What to say.
pub(crate) enum Say {
    Reply(u16, Vec<u8>),
    /// With these further header lines.
    Headed(u16, &'static str, Vec<u8>),
    /// Piece by piece, each a chunk of its own.
    Pieces(Vec<Vec<u8>>),
    /// Pieces of an answer that is never ended.
    Cut(Vec<Vec<u8>>),
    /// The connection ends without an answer.
    Hangup,
    /// Nothing, for ever.
    Silence,
}

impl Say {
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::Reply(200, body.into().into_bytes())
    }
}

pub(crate) struct Vendor {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Vendor {
    pub(crate) async fn start(say: impl Fn(&Seen) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let connections = Arc::<AtomicUsize>::default();
        let (record, say) = (Arc::clone(&seen), Arc::new(say));
        let accepted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (record, say) = (Arc::clone(&record), Arc::clone(&say));
                serving.spawn(async move { drop(serve(stream, &record, &*say).await) });
            }
        });
        Self {
            address,
            seen,
            connections,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.path() == path)
            .count()
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    record: &Mutex<Vec<Seen>>,
    say: &(dyn Fn(&Seen) -> Say + Send + Sync),
) -> io::Result<()> {
    let mut bytes = Vec::new();
    while one(&mut stream, &mut bytes, record, say).await? {}
    stream.shutdown().await
}

/// One request and its answer; whether the connection stays open.
async fn one(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
    record: &Mutex<Vec<Seen>>,
    say: &(dyn Fn(&Seen) -> Say + Send + Sync),
) -> io::Result<bool> {
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(false);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(bytes).await? == 0 {
            return Ok(false);
        }
    }
    let (first, lines) = head.split_once("\r\n").unwrap_or((&head, ""));
    let seen = Seen {
        target: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        head: lines.to_lowercase(),
        body: bytes[end + 4..].to_vec(),
    };
    bytes.clear();
    record.lock().unwrap().push(seen.clone());
    match say(&seen) {
        Say::Reply(status, body) => whole(stream, status, "", &body).await?,
        Say::Headed(status, headers, body) => whole(stream, status, headers, &body).await?,
        Say::Pieces(pieces) => {
            chunks(stream, &pieces).await?;
            stream.write_all(b"0\r\n\r\n").await?;
        }
        Say::Cut(pieces) => {
            chunks(stream, &pieces).await?;
            return Ok(false);
        }
        Say::Hangup => return Ok(false),
        Say::Silence => return pending().await,
    }
    Ok(true)
}

async fn whole(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}

async fn chunks(stream: &mut TcpStream, pieces: &[Vec<u8>]) -> io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for piece in pieces {
        stream
            .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
            .await?;
        stream.write_all(piece).await?;
        stream.write_all(b"\r\n").await?;
        stream.flush().await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

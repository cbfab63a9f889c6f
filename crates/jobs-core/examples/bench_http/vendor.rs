//! A vendor on a thread of its own that answers polls as cheaply as it can, on connections that it keeps.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Answers `GET /jobs/ID` and `POST /jobs` with `{"ids":["ID", …]}`. Stops when dropped.
pub(crate) struct Vendor {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Asked>,
    _open: oneshot::Sender<()>,
}

/// What the vendor was asked since it was last told to begin.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) polls: AtomicU64,
    /// After so many polls every job is done.
    enough: AtomicU64,
}

impl Asked {
    /// Jobs run until they have been polled so many times together.
    pub(crate) fn begin(&self, polls: u64) {
        self.requests.store(0, Ordering::Relaxed);
        self.polls.store(0, Ordering::Relaxed);
        self.enough.store(polls, Ordering::Relaxed);
    }

    fn state(&self) -> &'static str {
        let before = self.polls.fetch_add(1, Ordering::Relaxed);
        if before < self.enough.load(Ordering::Relaxed) {
            "running"
        } else {
            "done"
        }
    }
}

impl Vendor {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let asked = Arc::<Asked>::default();
        let (open, closed) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let shared = Arc::clone(&asked);
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = accept(listener, shared) => {}
                    _ = closed => {}
                }
            });
        });
        Ok(Self {
            address,
            asked,
            _open: open,
        })
    }
}

async fn accept(listener: std::net::TcpListener, asked: Arc<Asked>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        asked.connections.fetch_add(1, Ordering::Relaxed);
        // A client that hangs up is done.
        tokio::spawn(answer(stream, Arc::clone(&asked)));
    }
}

async fn answer(mut stream: TcpStream, asked: Arc<Asked>) -> io::Result<()> {
    let (mut read, mut body, mut written) = (Vec::new(), String::new(), Vec::new());
    loop {
        let Some(request) = request(&read) else {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        asked.requests.fetch_add(1, Ordering::Relaxed);
        body.clear();
        match request.one {
            Some(id) => job(&mut body, id, asked.state()),
            None => {
                body.push_str("{\"jobs\":[");
                // Between quotes stand the word "ids", then the ids.
                for id in request.body.split('"').skip(3).step_by(2) {
                    job(&mut body, id, asked.state());
                    body.push(',');
                }
                body.pop();
                body.push_str("]}");
            }
        }
        written.clear();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
        written.extend_from_slice(format!("{head}{}\r\n\r\n", body.len()).as_bytes());
        written.extend_from_slice(body.as_bytes());
        let length = request.length;
        stream.write_all(&written).await?;
        read.drain(..length);
    }
}

fn job(body: &mut String, id: &str, state: &str) {
    for part in ["{\"id\":\"", id, "\",\"state\":\"", state, "\"}"] {
        body.push_str(part);
    }
}

/// A request that is there as a whole.
struct Request<'a> {
    length: usize,
    /// The id in the path.
    one: Option<&'a str>,
    body: &'a str,
}

fn request(read: &[u8]) -> Option<Request<'_>> {
    let text = std::str::from_utf8(read).ok()?;
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?;
    let length = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, length)| length.parse().ok())?;
    Some(Request {
        length: head.len() + 4 + length,
        one: path.strip_prefix("/jobs/"),
        body: rest.get(..length)?,
    })
}

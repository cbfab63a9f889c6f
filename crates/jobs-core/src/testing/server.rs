//! A vendor on a real socket that plays a script in raw bytes.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::Clock;
use crate::testing::{ManualClock, RequestLog, ScriptStep};

/// An HTTP answer in the vendor's own bytes.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Further header lines, without line ends.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Status 200 with this JSON.
    pub fn json(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: vec!["Content-Type: application/json".to_owned()],
            body: body.into().into_bytes(),
        }
    }

    /// This status with this text.
    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: vec!["Content-Type: text/html".to_owned()],
            body: body.into(),
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn with_header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }
}

/// A server that answers each request with the next beat of a script. Stops when dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl ScriptedServer {
    /// Listens on loopback. `say` turns a beat into the vendor's bytes; [`ScriptStep::NoResponse`] keeps the connection open and
    /// says nothing.
    ///
    /// # Errors
    /// Whatever keeps it from listening.
    pub async fn start(
        clock: &ManualClock,
        steps: &[ScriptStep],
        asked: &RequestLog,
        say: impl Fn(&ScriptStep) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (clock, steps, asked, say) = (
            clock.clone(),
            Arc::<[ScriptStep]>::from(steps),
            asked.clone(),
            Arc::new(say),
        );
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (clock, steps, asked, say) =
                    (clock.clone(), steps.clone(), asked.clone(), say.clone());
                connections.spawn(async move {
                    // A client that hangs up early is part of the play.
                    drop(
                        answer(stream, || match asked.record_poll(clock.now(), &steps) {
                            ScriptStep::NoResponse => None,
                            step => Some(say(&step)),
                        })
                        .await,
                    );
                });
            }
        });
        Ok(Self { address, accepting })
    }

    /// The base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One request, one answer, then the connection ends.
async fn answer(mut stream: TcpStream, next: impl FnOnce() -> Option<Reply>) -> io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    tokio::io::copy(&mut reader.take(length), &mut tokio::io::sink()).await?;
    let Some(Reply {
        status,
        headers,
        body,
    }) = next()
    else {
        return pending().await;
    };
    let mut head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for line in headers {
        head.push_str(&line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

//! A host that has nothing to do with any vendor, and keeps what it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// In the head of what a download may ask of it: a GET, with nothing of ours but the name of the program.
pub(super) const DOWNLOADS: &str = "GET /elsewhere HTTP/1.1\r\naccept: */*\r\nuser-agent: docjobs/";

/// A listener on a port of its own. Stops when dropped.
pub(super) struct ForeignHost {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
    listening: AbortHandle,
}

impl ForeignHost {
    pub(super) async fn listen() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, told) = (listener.local_addr().unwrap(), Arc::default());
        let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&told);
        let listening = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n")
                    && stream.read_buf(&mut head).await.unwrap_or(0) > 0
                {}
                kept.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&head).into_owned());
                let answer =
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nmoved";
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self {
            address,
            told,
            listening: listening.abort_handle(),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/elsewhere", self.address)
    }

    /// The head of each request.
    pub(super) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for ForeignHost {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

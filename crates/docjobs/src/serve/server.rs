//! One listening address: accepts connections, bounds how long a client may take, and ends gracefully.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jobs_core::clock::{Clock, bounded};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(15);
/// How long requests that are under way may take at the end.
pub(super) const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// A connection costs a descriptor and a few KiB; beyond this, clients wait in the system's queue.
const CONNECTIONS: usize = 8192;
/// After the system refused a connection for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of the connection of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Knows whether the process is about to end; a clone knows the same.
#[derive(Debug, Clone)]
pub(super) struct Ending(watch::Receiver<bool>);

impl Ending {
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (tell, told) = watch::channel(false);
        (tell, Self(told))
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the process is about to end.
    pub(super) async fn begun(&self) {
        let mut told = self.0.clone();
        drop(told.wait_for(|begun| *begun).await);
    }
}

/// A running listener.
pub(super) struct Server {
    address: SocketAddr,
    /// Ends when the last connection has.
    all_gone: mpsc::Receiver<()>,
    clock: Arc<dyn Clock>,
}

impl Server {
    /// Listens and answers by `router` until the process is about to end.
    pub(super) fn start(
        listener: TcpListener,
        router: Router,
        ending: Ending,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (alive, all_gone) = mpsc::channel(1);
        tokio::spawn(accept(listener, router, ending, alive, Arc::clone(&clock)));
        Ok(Self {
            address,
            all_gone,
            clock,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the answers that are under way have been given, for a while at most.
    pub(super) async fn finish(mut self) {
        let limit = self.clock.now() + LAST_ANSWERS;
        bounded(self.clock.as_ref(), limit, self.all_gone.recv()).await;
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    ending: Ending,
    alive: mpsc::Sender<()>,
    clock: Arc<dyn Clock>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            biased;
            () = ending.begun() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, ending, alive) = (router.clone(), ending.clone(), alive.clone());
                tokio::spawn(async move {
                    converse(stream, peer, router, ending).await;
                    drop((place, alive));
                });
            }
            Err(problem) => {
                tracing::warn!("cannot accept a connection: {problem}");
                clock.sleep_until(clock.now() + PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, ending: Ending) {
    drop(stream.set_nodelay(true));
    let service = TowerToHyperService::new(router);
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        hyper::service::Service::call(&service, request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let is_over = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = ending.begun() => None,
    };
    let ended = match is_over {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(problem) = ended {
        tracing::debug!("a connection of {peer} ended: {problem}");
    }
}

//! One listening origin: accepts on a socket, records, routes, and delivers as asked; stops when its handle is dropped.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::clock::VirtualClock;
use crate::delivery::{self, Counted, Dropped};
use crate::recorder::Recorder;
use crate::wire::Wire;

/// Paths below this are the control endpoint's: not recorded and never spoiled.
const CONTROL: &str = "/_sim/";
/// How long a stop waits for answers under way (real time).
const STOP_PATIENCE: Duration = Duration::from_secs(2);
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Where a simulator lives and by which clock.
#[derive(Clone, Debug)]
pub struct Site {
    /// Address to listen on; each origin takes a free port.
    pub listen: IpAddr,
    /// The time of all its rules.
    pub clock: VirtualClock,
    /// The control endpoint has no password, so an address that others can reach must be asked for.
    pub allow_non_loopback: bool,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            clock: VirtualClock::real(1.0),
            allow_non_loopback: false,
        }
    }
}

impl Site {
    /// Loopback with the given clock.
    #[must_use]
    pub fn with_clock(clock: VirtualClock) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    /// Binds one origin; its router may be made when the address is known.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses it.
    pub async fn bind(&self) -> io::Result<BoundOrigin> {
        if !self.listen.is_loopback() && !self.allow_non_loopback {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{} is not a loopback address, and the simulators have no password",
                    self.listen
                ),
            ));
        }
        let listener = TcpListener::bind(SocketAddr::new(self.listen, 0)).await?;
        Ok(BoundOrigin {
            address: listener.local_addr()?,
            listener,
            clock: self.clock.clone(),
        })
    }
}

/// A socket that listens but does not answer yet.
#[derive(Debug)]
pub struct BoundOrigin {
    address: SocketAddr,
    listener: TcpListener,
    clock: VirtualClock,
}

impl BoundOrigin {
    /// `http://address:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Begins to answer. `name` marks this origin's requests in the record.
    #[must_use]
    pub fn serve(self, name: &'static str, recorder: Recorder, router: Router) -> OriginServer {
        let (stop, stopping) = watch::channel(false);
        let (alive, all_gone) = mpsc::channel(1);
        let address = self.address;
        let origin = Arc::new(Context {
            name,
            recorder,
            router,
            clock: self.clock,
        });
        tokio::spawn(accept(self.listener, origin, stopping, alive));
        OriginServer {
            address,
            stop,
            all_gone,
        }
    }
}

/// A running origin. Dropping it stops it: answers under way are finished, nothing new is accepted.
#[derive(Debug)]
pub struct OriginServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    all_gone: mpsc::Receiver<Infallible>,
}

impl OriginServer {
    /// `http://address:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address in use.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops and waits until the connections have ended, for a short while at most.
    pub async fn stop(&mut self, clock: &VirtualClock) {
        self.stop.send_replace(true);
        // Each task holds a sender and never sends: the channel ends when the last one has gone.
        clock.within_real(STOP_PATIENCE, self.all_gone.recv()).await;
    }
}

impl Drop for OriginServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// The other end of a connection, as a request extension.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

struct Context {
    name: &'static str,
    recorder: Recorder,
    router: Router,
    clock: VirtualClock,
}

async fn accept(
    listener: TcpListener,
    origin: Arc<Context>,
    mut stopping: watch::Receiver<bool>,
    alive: mpsc::Sender<Infallible>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(converse(
                    stream,
                    peer,
                    Arc::clone(&origin),
                    stopping.clone(),
                    alive.clone(),
                ));
            }
            // Out of descriptors: nothing to do but to let others finish.
            Err(_) => drop(
                origin
                    .clock
                    .within_real(ACCEPT_PAUSE, std::future::pending::<()>())
                    .await,
            ),
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the handle is gone, which is a stop as well.
    drop(stopping.wait_for(|stop| *stop).await);
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    origin: Arc<Context>,
    mut stopping: watch::Receiver<bool>,
    _alive: mpsc::Sender<Infallible>,
) {
    // Small answers should leave at once; a socket that refuses is merely slower.
    let _ = stream.set_nodelay(true);
    let (wire, control) = Wire::new(stream);
    let service = service_fn(move |request: Request<Incoming>| {
        let origin = Arc::clone(&origin);
        let control = control.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(Peer(peer));
            if parts.uri.path().starts_with(CONTROL) {
                return Ok(
                    route(&origin.router, Request::from_parts(parts, Body::new(body))).await,
                );
            }
            let entry = origin.recorder.record(origin.name, &parts);
            let body = Body::new(Counted {
                inner: body,
                entry: Arc::clone(&entry),
            });
            let response = route(&origin.router, Request::from_parts(parts, body)).await;
            let response = delivery::deliver(response, &control, &origin.clock).await?;
            entry.answered(response.status().as_u16());
            Ok::<_, Dropped>(response)
        }
    });
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    tokio::pin!(connection);
    // How a connection ends (peer gone, dropped on purpose, body cut) is the peer's finding, not an error of ours.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopped(&mut stopping) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn route(router: &Router, request: Request<Body>) -> Response<Body> {
    match TowerToHyperService::new(router.clone()).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

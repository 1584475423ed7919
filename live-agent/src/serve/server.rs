//! Connections and workers: taken by one, served by many, and ended without a request lost.
//!
//! Each worker is a thread with a runtime of its own, so that a request never moves between threads. A
//! connection goes to the worker that has the fewest.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::{Doors, Peer, Token};
use super::hosts::Hosts;
use super::listen::{self, Bound, ListenError};
use super::{Settings, Sidecar, routes};
use crate::LiveAgent;
use connection::{Shared, Socket};

mod connection;
mod patience;
mod starting;

/// What a connection of HTTP/1.1 keeps at most of what comes, and of what is to go, in bytes.
const BUFFER_MAX: usize = 64 * 1024;
/// After an error of the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A sidecar whose sockets are taken, and that serves nobody yet.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    tcp: Vec<TcpListener>,
    unix: Option<Bound>,
    addresses: Vec<SocketAddr>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because they took too long.
    pub cut: usize,
}

/// A worker's side of a connection that comes.
struct Incoming {
    socket: Socket,
    peer: Peer,
    place: Place,
}

/// Counts a connection, in all and at its worker, until it ends.
struct Place {
    _permit: OwnedSemaphorePermit,
    sidecar: Arc<Sidecar>,
    load: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sidecar.meter.connections.fetch_sub(1, Ordering::Relaxed);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Worker {
    sender: mpsc::UnboundedSender<Incoming>,
    load: Arc<AtomicUsize>,
    done: oneshot::Receiver<usize>,
}

impl Server {
    /// Takes the sockets.
    ///
    /// # Errors
    /// One cannot be had, or may not be as it is asked for.
    pub async fn bind(settings: Settings) -> Result<Self, ListenError> {
        let mut tcp = Vec::new();
        for address in &settings.listen {
            tcp.push(listen::tcp(*address, settings.allow_remote, settings.tokens.is_some()).await?);
        }
        let unix = match &settings.socket {
            Some(place) => Some(listen::unix(place).await?),
            None => None,
        };
        let addresses = tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        Ok(Self { settings, tcp, unix, addresses })
    }

    /// The addresses that are listened on, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Gives what `start` gives. While that runs, `/livez` says yes, and all else that nobody is served yet.
    pub async fn while_starting<T>(&self, start: impl Future<Output = T>) -> T {
        let most = self.settings.head_time;
        let mut doors: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
        for listener in &self.tcp {
            let accept = move || async move { listener.accept().await.map(|(stream, _)| stream) };
            doors.push(Box::pin(starting::door(accept, most)));
        }
        if let Some(bound) = &self.unix {
            let listener = &bound.listener;
            let accept = move || async move { listener.accept().await.map(|(stream, _)| stream) };
            doors.push(Box::pin(starting::door(accept, most)));
        }
        let doors = async {
            futures::future::join_all(doors).await;
            std::future::pending().await
        };
        tokio::select! {
            done = start => done,
            never = doors => never,
        }
    }

    /// Serves `agent` until `stop`, and then ends well: it is not ready from that moment, takes new
    /// connections for a while, ends those that are idle, lets what runs finish within its time, and cuts
    /// off the rest.
    ///
    /// # Errors
    /// The system has no thread for a worker.
    pub async fn run(self, agent: LiveAgent, stop: impl Future<Output = ()>) -> std::io::Result<Drained> {
        let Self { settings, tcp, unix, .. } = self;
        let authorize = Box::new(Doors { tcp: settings.tokens.clone().map(Token::new) });
        let sidecar = Sidecar::new(agent, authorize, settings.bounds);
        let shared = Arc::new(Shared {
            router: routes::router(Arc::clone(&sidecar)),
            sidecar: Arc::clone(&sidecar),
            hosts: Hosts::new(settings.hosts.iter().cloned()),
            head_time: settings.head_time,
        });
        let mut workers = Vec::new();
        for number in 0..settings.workers.max(1) {
            workers.push(Worker::start(number, Arc::clone(&shared), settings.drain_time)?);
        }
        let dispatch = Arc::new(Dispatch {
            workers: workers.iter().map(|w| (w.sender.clone(), Arc::clone(&w.load))).collect(),
            sidecar: Arc::clone(&sidecar),
        });
        let end = CancellationToken::new();
        // Each has places of its own: who fills one shuts nobody out of another.
        let places = || Arc::new(Semaphore::new(settings.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let mut doors = JoinSet::new();
        for listener in tcp {
            let (dispatch, end, places) = (Arc::clone(&dispatch), end.clone(), places());
            doors.spawn(async move { dispatch.tcp(&listener, &places, &end).await });
        }
        if let Some(bound) = unix {
            let (dispatch, end, places) = (Arc::clone(&dispatch), end.clone(), places());
            doors.spawn(async move { dispatch.unix(&bound, &places, &end).await });
        }
        stop.await;
        sidecar.draining.store(true, Ordering::Relaxed);
        tracing::info!(drain.delay_ms = settings.drain_delay.as_millis(), "the sidecar is told to end");
        tokio::time::sleep(settings.drain_delay).await;
        end.cancel();
        while doors.join_next().await.is_some() {}
        drop(dispatch);
        sidecar.closing.cancel();
        let mut cut = 0;
        for Worker { sender, done, .. } in workers {
            drop(sender);
            cut += done.await.unwrap_or_default();
        }
        tracing::info!(connections.cut = cut, "the sidecar ends");
        Ok(Drained { cut })
    }
}

/// Gives connections to workers.
struct Dispatch {
    workers: Vec<(mpsc::UnboundedSender<Incoming>, Arc<AtomicUsize>)>,
    sidecar: Arc<Sidecar>,
}

impl Dispatch {
    async fn tcp(&self, listener: &TcpListener, places: &Arc<Semaphore>, end: &CancellationToken) {
        self.take(places, end, || async {
            let (stream, from) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Socket::Tcp(stream.into_std()?), Peer::Tcp(from)))
        })
        .await;
    }

    async fn unix(&self, bound: &Bound, places: &Arc<Semaphore>, end: &CancellationToken) {
        self.take(places, end, || async {
            let (stream, _) = bound.listener.accept().await?;
            let uid = stream.peer_cred().ok().map(|peer| peer.uid());
            tracing::debug!(peer.uid = uid, "a connection on the socket");
            Ok((Socket::Unix(stream.into_std()?), Peer::Unix { uid }))
        })
        .await;
    }

    /// Takes connections until the end, and then those that the system has taken already.
    async fn take<F>(&self, places: &Arc<Semaphore>, end: &CancellationToken, accept: impl Fn() -> F)
    where
        F: Future<Output = std::io::Result<(Socket, Peer)>>,
    {
        loop {
            let next = async {
                let place = Arc::clone(places).acquire_owned().await;
                (place, accept().await)
            };
            let last = end.is_cancelled();
            let (place, accepted) = tokio::select! {
                biased;
                next = next => next,
                () = std::future::ready(()), if last => return,
                () = end.cancelled(), if !last => continue,
            };
            match (place, accepted) {
                (Ok(permit), Ok((socket, peer))) => self.give(permit, socket, peer),
                (_, Err(error)) => {
                    tracing::debug!(error = %error, "a connection was not taken");
                    tokio::time::sleep(PAUSE).await;
                }
                (Err(_), _) => return,
            }
        }
    }

    fn give(&self, permit: OwnedSemaphorePermit, socket: Socket, peer: Peer) {
        let least = self.workers.iter().min_by_key(|(_, load)| load.load(Ordering::Relaxed));
        let Some((sender, load)) = least else { return };
        load.fetch_add(1, Ordering::Relaxed);
        self.sidecar.meter.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place { _permit: permit, sidecar: Arc::clone(&self.sidecar), load: Arc::clone(load) };
        // A worker that is gone gives the place back with the message.
        let _ = sender.send(Incoming { socket, peer, place });
    }
}

impl Worker {
    fn start(number: usize, shared: Arc<Shared>, most: Duration) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, received) = mpsc::unbounded_channel();
        let (tell, done) = oneshot::channel();
        std::thread::Builder::new().name(format!("live-serve-{number}")).spawn(move || {
            let cut = runtime.block_on(work(received, &shared, most));
            let _ = tell.send(cut);
            runtime.shutdown_background();
        })?;
        Ok(Self { sender, load: Arc::default(), done })
    }
}

/// Serves what comes until nothing more does, and what runs then for at most so long. Gives how many were
/// cut off.
async fn work(
    mut received: mpsc::UnboundedReceiver<Incoming>,
    shared: &Arc<Shared>,
    most: Duration,
) -> usize {
    // Of this thread alone: looked at whenever a connection has something to do.
    let closing = CancellationToken::new();
    let mut all = JoinSet::new();
    loop {
        tokio::select! {
            next = received.recv() => match next {
                Some(Incoming { socket, peer, place }) => {
                    let (shared, closing) = (Arc::clone(shared), closing.clone());
                    all.spawn(async move {
                        connection::serve(socket, peer, shared, closing).await;
                        drop(place);
                    });
                }
                None => break,
            },
            Some(_) = all.join_next(), if !all.is_empty() => {}
        }
    }
    closing.cancel();
    let deadline = Instant::now() + most;
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline, all.join_next()).await {}
    let cut = all.len();
    all.shutdown().await;
    cut
}

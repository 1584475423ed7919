//! A line between an agent and its server that can be made bad in every way, and good again.
//!
//! It takes TCP connections, makes one to the server for each, and carries bytes both ways. What the
//! server sends is taken apart into the frames of its protocol ([`frames`]), so that single messages can be
//! duplicated, swapped, dropped or delayed while everything else stays whole.
//!
//! | fault | what the two ends see |
//! |---|---|
//! | [`Proxy::cut`] | every connection ends, politely (FIN) or not (RST) |
//! | [`Proxy::refuse`] | whoever comes is sent away at once |
//! | [`Flow::Stalled`] | nothing comes through; all of it comes once the line is good again |
//! | [`Flow::Lost`] | half-open: what is sent is lost, and the connection never heals; nobody is told |
//! | [`Proxy::slow`] | so many bytes a second, each so late |
//! | [`Proxy::play`] | one [`Trick`] with the messages of some subjects |

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub mod frames;

use frames::{Frame, Frames};

/// What is read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks between reading and writing: more than that waits in the sender's own buffers.
const UNDER_WAY: usize = 64;
/// A message that waits to be swapped with its neighbour goes without one after this.
const NEIGHBOUR: Duration = Duration::from_millis(300);

/// What becomes of bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    #[default]
    Open,
    /// Held back, and delivered when it opens again.
    Stalled,
    /// Taken and thrown away. A connection that lost something stays lost.
    Lost,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Fin,
    Rst,
}

/// What is done to messages whose subject contains `subject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trick {
    pub subject: String,
    pub kind: Kind,
    /// Each n-th of them; 1 is all.
    pub each: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Duplicate,
    /// It comes after the next one of the subject.
    Swap,
    Drop,
    Delay(Duration),
}

/// The state of the line.
#[derive(Debug, Clone, Default)]
struct Weather {
    /// From the agent to the server.
    up: Flow,
    /// From the server to the agent.
    down: Flow,
    refuses: bool,
    /// Bytes a second in each direction; none is no bound.
    rate: Option<u64>,
    latency: Duration,
    trick: Option<Trick>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    weather: watch::Sender<Weather>,
    cuts: broadcast::Sender<Cut>,
    taken: AtomicU64,
    open: AtomicUsize,
    /// Messages that the trick could have been played with, and those that it was.
    met: AtomicU64,
    played: AtomicU64,
    /// Chunks that were thrown away, from the agent and to it.
    lost_up: AtomicU64,
    lost_down: AtomicU64,
}

/// A line; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _listens: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A good line to the server at this URL (`nats://address:port`).
    pub async fn start(server: &str) -> Result<Self> {
        Self::start_at("127.0.0.1:0".parse()?, server).await
    }

    /// The same, listening at an address of the caller's choice.
    pub async fn start_at(listen: SocketAddr, server: &str) -> Result<Self> {
        let upstream = server.split_once("://").map_or(server, |(_, rest)| rest);
        let listener = TcpListener::bind(listen).await.context("the proxy's port")?;
        let shared = Arc::new(Shared {
            upstream: upstream.parse().with_context(|| format!("the address of {server}"))?,
            weather: watch::Sender::default(),
            cuts: broadcast::Sender::new(4),
            taken: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            met: AtomicU64::new(0),
            played: AtomicU64::new(0),
            lost_up: AtomicU64::new(0),
            lost_down: AtomicU64::new(0),
        });
        let address = listener.local_addr()?;
        let listens = tokio::spawn(listen_on(listener, shared.clone()));
        Ok(Self { address, shared, _listens: AbortOnDropHandle::new(listens) })
    }

    /// Where agents connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// A good line again. What was lost stays lost.
    pub fn pass(&self) {
        self.shared.weather.send_replace(Weather::default());
    }

    /// Ends every connection that there is.
    pub fn cut(&self, how: Cut) {
        // Without connections nobody listens, which is fine.
        let _ = self.shared.cuts.send(how);
    }

    /// Sends everybody away who comes, until [`Proxy::pass`].
    pub fn refuse(&self) {
        self.shared.weather.send_modify(|weather| weather.refuses = true);
    }

    /// Sets what becomes of bytes from the agent (`up`) and to it (`down`).
    pub fn flow(&self, up: Flow, down: Flow) {
        self.shared.weather.send_modify(|weather| (weather.up, weather.down) = (up, down));
    }

    /// So many bytes a second in each direction, and each chunk so late.
    pub fn slow(&self, bytes_per_second: u64, latency: Duration) {
        self.shared.weather.send_modify(|weather| {
            weather.rate = Some(bytes_per_second.max(1));
            weather.latency = latency;
        });
    }

    /// Plays a trick with messages to the agent.
    pub fn play(&self, trick: Trick) {
        self.shared.weather.send_modify(|weather| weather.trick = Some(trick));
    }

    /// How many messages the trick was played with.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.shared.played.load(Ordering::Relaxed)
    }

    /// How often something was lost on its way from the agent, and to it: a connection is half-open once it was.
    #[must_use]
    pub fn lost(&self) -> (u64, u64) {
        (self.shared.lost_up.load(Ordering::SeqCst), self.shared.lost_down.load(Ordering::SeqCst))
    }

    /// How many connections were ever taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// How many connections there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }
}

async fn listen_on(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            came = listener.accept() => {
                let Ok((near, _)) = came else { continue };
                // Before it is counted: who sees it counted may cut it, however late its task begins. And before the
                // weather is looked at: who refuses first and then cuts misses nobody who is just coming.
                let cuts = shared.cuts.subscribe();
                if shared.weather.borrow().refuses {
                    let _ = near.set_zero_linger();
                    continue;
                }
                shared.taken.fetch_add(1, Ordering::Relaxed);
                connections.spawn(carry(near, cuts, shared.clone()));
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Counts a connection for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries one connection until an end closes or it is cut.
async fn carry(mut near: TcpStream, mut cuts: broadcast::Receiver<Cut>, shared: Arc<Shared>) {
    let _counted = Counted::new(&shared.open);
    let Ok(mut far) = TcpStream::connect(shared.upstream).await else {
        let _ = near.set_zero_linger();
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let how = {
        let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
        let (up, up_queue) = mpsc::channel(UNDER_WAY);
        let (down, down_queue) = mpsc::channel(UNDER_WAY);
        // Reading alone ends nothing: what was read is still to be written.
        let read = async {
            tokio::join!(read_bytes(near_in, up, &shared), read_frames(far_in, down, &shared));
            std::future::pending::<Cut>().await
        };
        tokio::select! {
            how = read => how,
            () = write(far_out, up_queue, &shared, |weather| weather.up, &shared.lost_up) => Cut::Fin,
            () = write(near_out, down_queue, &shared, |weather| weather.down, &shared.lost_down) => Cut::Fin,
            how = cuts.recv() => how.unwrap_or(Cut::Fin),
        }
    };
    if how == Cut::Rst {
        let _ = (near.set_zero_linger(), far.set_zero_linger());
    }
}

/// Bytes on their way, not to be delivered before that.
struct Item {
    due: Instant,
    /// Others may overtake it.
    late: bool,
    bytes: Bytes,
}

/// Reads what the agent sends.
async fn read_bytes(mut from: ReadHalf<'_>, to: mpsc::Sender<Item>, shared: &Shared) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let due = Instant::now() + shared.weather.borrow().latency;
        let bytes = Bytes::copy_from_slice(&chunk[..count]);
        if to.send(Item { due, late: false, bytes }).await.is_err() {
            return;
        }
    }
}

/// Reads what the server sends, and plays the trick with it.
async fn read_frames(mut from: ReadHalf<'_>, to: mpsc::Sender<Item>, shared: &Shared) {
    let (mut chunk, mut frames) = (vec![0; CHUNK], Frames::default());
    // A message that waits for its neighbour.
    let mut waiting: Option<(Instant, Bytes)> = None;
    loop {
        let alone = waiting.as_ref().map_or_else(|| Instant::now() + NEIGHBOUR, |(until, _)| *until);
        let count = tokio::select! {
            read = from.read(&mut chunk) => read.unwrap_or_default(),
            () = tokio::time::sleep_until(alone), if waiting.is_some() => {
                let (_, bytes) = waiting.take().unwrap_or((alone, Bytes::new()));
                if to.send(Item { due: alone, late: false, bytes }).await.is_err() {
                    return;
                }
                continue;
            }
        };
        if count == 0 {
            return;
        }
        frames.push(&chunk[..count]);
        for frame in frames.by_ref() {
            for item in shared.deal(frame, &mut waiting) {
                if to.send(item).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Shared {
    /// What becomes of one frame: itself, nothing, more than itself, or another one first.
    fn deal(&self, frame: Frame, waiting: &mut Option<(Instant, Bytes)>) -> Vec<Item> {
        let weather = self.weather.borrow();
        let now = Instant::now() + weather.latency;
        let plain = |bytes| Item { due: now, late: false, bytes };
        let bytes = frame.bytes;
        let trick = weather
            .trick
            .as_ref()
            .filter(|trick| frame.subject.as_deref().is_some_and(|subject| subject.contains(&trick.subject)));
        let Some(trick) = trick else { return vec![plain(bytes)] };
        if let Some((_, before)) = waiting.take() {
            return vec![plain(bytes), plain(before)];
        }
        if !(self.met.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(trick.each.max(1)) {
            return vec![plain(bytes)];
        }
        self.played.fetch_add(1, Ordering::Relaxed);
        match trick.kind {
            Kind::Duplicate => vec![plain(bytes.clone()), plain(bytes)],
            Kind::Drop => Vec::new(),
            Kind::Delay(by) => vec![Item { due: now + by, late: true, bytes }],
            Kind::Swap => {
                *waiting = Some((Instant::now() + NEIGHBOUR, bytes));
                Vec::new()
            }
        }
    }
}

/// Writes what was read, as the weather allows; returns when there will be no more, or the other end has gone.
async fn write(
    mut to: WriteHalf<'_>,
    mut queue: mpsc::Receiver<Item>,
    shared: &Shared,
    flow: fn(&Weather) -> Flow,
    gone: &AtomicU64,
) {
    let mut weather = shared.weather.subscribe();
    let (mut late, mut lost) = (Vec::<Item>::new(), false);
    loop {
        let first = late.iter().enumerate().min_by_key(|(_, item)| item.due).map(|(at, item)| (at, item.due));
        let (at, due) = first.unwrap_or((0, Instant::now() + NEIGHBOUR));
        // What is delayed is overtaken by all that is here, however late this comes to look.
        let item = tokio::select! {
            biased;
            item = queue.recv() => match item {
                Some(item) if item.late => {
                    late.push(item);
                    continue;
                }
                Some(item) => {
                    tokio::time::sleep_until(item.due).await;
                    item
                }
                None => return,
            },
            () = tokio::time::sleep_until(due), if first.is_some() => late.swap_remove(at),
        };
        if weather.wait_for(|now| flow(now) != Flow::Stalled).await.is_err() {
            return;
        }
        let rate = {
            let now = weather.borrow();
            lost |= flow(&now) == Flow::Lost;
            now.rate
        };
        if lost {
            gone.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        if deliver(&mut to, &item.bytes, rate).await.is_err() {
            return;
        }
    }
}

/// Writes in slices of a twentieth of a second each, where there is a bound.
async fn deliver(to: &mut WriteHalf<'_>, bytes: &[u8], rate: Option<u64>) -> std::io::Result<()> {
    let Some(rate) = rate else { return to.write_all(bytes).await };
    let slice = usize::try_from((rate / 20).max(1)).unwrap_or(usize::MAX);
    for slice in bytes.chunks(slice) {
        to.write_all(slice).await?;
        tokio::time::sleep(Duration::from_secs_f64(slice.len() as f64 / rate as f64)).await;
    }
    Ok(())
}

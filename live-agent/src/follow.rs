//! Follows what FORGE publishes: hears announcements, fills gaps, replays what is lost.
//!
//! 1. Subscribe to everything FORGE says to this scope, before anything is asked for.
//! 2. Reconcile by direct get on every connect, on any gap, on a head that is lacking, and about
//!    every 30 seconds. An agent that is current downloads nothing.
//! 3. Where FORGE is not heard, the connection itself is probed, and made anew if nothing comes back.
//! 4. The floor moves on an announcement only when that is the very next of the stream; otherwise it
//!    is taken up and the gap is filled.
//!
//! All messages are taken up here, one after the other; asking the broker runs beside it ([`fetch`]).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message};
use futures::StreamExt as _;
use nats_config::{header, subject};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::agent::{Core, Outcome};
use crate::client::{Link, around};
use crate::clock::{self, Looks, Moment};
use crate::verify;

pub(crate) mod fetch;
pub(crate) mod ledger;
pub(crate) mod past;

use fetch::{Fetched, Wanted};

const RECONCILE: Duration = Duration::from_secs(30);
/// After a reconciliation that failed.
const RECONCILE_AGAIN: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_secs(1);
/// More time than this between two ticks: the machine slept, or the process was stopped. Whatever the
/// connection was then, nobody knows what it is now.
const SLEPT: Duration = Duration::from_secs(10);
/// How often the time of the last contact is written down.
const SAVE: Duration = Duration::from_secs(300);
/// How often a disk that did not take the cache is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(5);
/// How often an agent that shares another one's cache looks whether that one has ended.
const TAKE_OVER: Duration = Duration::from_secs(3);
/// How long FORGE is silent beyond the bound before the subscription is made anew.
const RESUBSCRIBE: Duration = Duration::from_secs(30);
const FETCHED_WAITING: usize = 8;
/// How long an agent that knows nothing waits for FORGE's word. With FORGE away, the broker says so at once.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// A bundle up to this size, in bytes on the wire, is verified and compiled within a millisecond.
const SMALL: usize = 16 * 1024;

/// A message that there never is.
const PROBE_QUESTION: &str = r#"{"last_by_subj":"nothing"}"#;
/// How long the answer to a probe may take: it is one line.
const PROBE: Duration = Duration::from_secs(5);
/// With FORGE away, the connection is probed so often.
const PROBE_AGAIN: Duration = Duration::from_secs(15);

/// What the loop is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Reconcile now and say when it is done; in FROZEN, look for what fits a pin all the same where `once`.
    Sync { done: oneshot::Sender<Result<(), String>>, once: bool },
    /// Reconcile now.
    Reconcile,
}

/// Why the loop ended; it is started again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error("the subscription could not be made")]
    Subscribe(#[source] async_nats::SubscribeError),
    #[error("the subscription ended")]
    Ended,
    #[error("FORGE was not heard for long; the subscription is made anew")]
    Silent,
    #[error("a bundle could not be taken up: the program failed on it")]
    Panicked,
}

struct Follow<'a> {
    core: &'a Arc<Core>,
    client: &'a Client,
    connected: bool,
    /// How many times the connection was made when this was last looked at.
    connects: u64,
    /// The reconciliation that runs, if one does.
    fetching: Option<mpsc::Receiver<Fetched>>,
    task: Option<tokio_util::task::AbortOnDropHandle<()>>,
    /// Another one is needed when this one is done.
    again: bool,
    /// An agent that knows nothing waits until then for FORGE's word before it takes up what the broker
    /// has: it could not tell what is newest.
    word_until: Instant,
    /// Somebody waits who wants to take up what waits, in FROZEN too.
    once: bool,
    /// It was looked at which pinned sets lack something.
    sought: bool,
    /// The broker answered since the last time that it did not.
    answered: bool,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    reconcile_at: Instant,
    save_at: Instant,
    take_over_at: Instant,
    probe_at: Instant,
    stale: bool,
}

/// Follows until something ends it.
pub(crate) async fn run(
    core: &Arc<Core>,
    client: &Client,
    mut link: watch::Receiver<Link>,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<(), FollowError> {
    let scope = core.trust.scope();
    let mut control = client.subscribe(subject::control(scope)).await.map_err(FollowError::Subscribe)?;
    let subscribed_at = Instant::now();
    let now = link.borrow_and_update().clone();
    let mut follow = Follow {
        core,
        client,
        connected: now.connected,
        connects: now.connects,
        fetching: None,
        task: None,
        again: false,
        word_until: subscribed_at + FIRST_WORD,
        once: false,
        sought: false,
        answered: false,
        waiting: Vec::new(),
        reconcile_at: Instant::now(),
        save_at: Instant::now() + SAVE,
        take_over_at: Instant::now() + TAKE_OVER,
        probe_at: Instant::now(),
        stale: false,
    };
    follow.reconcile();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks = Looks::new(Moment::now());
    loop {
        tokio::select! {
            message = control.next() => {
                follow.heard(message.ok_or(FollowError::Ended)?).await?;
            }
            fetched = next(&mut follow.fetching) => follow.fetched(fetched).await?,
            changed = link.changed() => {
                if changed.is_err() {
                    return Err(FollowError::Ended);
                }
                let now = link.borrow_and_update().clone();
                follow.connection(&now);
            }
            () = core.tell_follower.notified() => follow.told(),
            () = tokio::time::sleep_until(follow.word_until), if follow.waits_for_word() => follow.told(),
            command = commands.recv() => match command {
                None => return Ok(()),
                Some(Command::Reconcile) => follow.reconcile(),
                Some(Command::Sync { done, once }) => follow.sync(done, once),
            },
            _ = tick.tick() => {
                core.pulse.beat();
                if let Some(gap) = looks.gap(Moment::now(), SLEPT) {
                    follow.woke(gap).await;
                }
                follow.tick();
                let silent = core.silence().min(subscribed_at.elapsed());
                if follow.connected && silent > RESUBSCRIBE {
                    return Err(FollowError::Silent);
                }
            }
        }
    }
}

/// The next of what is fetched; waits for ever where nothing is.
async fn next(fetching: &mut Option<mpsc::Receiver<Fetched>>) -> Option<Fetched> {
    match fetching {
        Some(fetched) => fetched.recv().await,
        None => std::future::pending().await,
    }
}

impl Follow<'_> {
    fn connection(&mut self, link: &Link) {
        let came = link.connected && (!self.connected || link.connects != self.connects);
        self.connected = link.connected;
        self.connects = link.connects;
        if came {
            // What was being asked went with the old connection.
            self.fetching = None;
            self.task = None;
            self.word_until = Instant::now() + FIRST_WORD;
            self.reconcile();
        }
        if !link.connected {
            self.answer(Err("the broker is not connected".into()));
        }
    }

    fn sync(&mut self, done: oneshot::Sender<Result<(), String>>, once: bool) {
        if !self.connected {
            let _ = done.send(Err("the broker is not connected".into()));
            return;
        }
        // One that runs may have passed what the caller wants to see already.
        self.waiting.push(done);
        self.once |= once;
        if self.fetching.is_some() { self.again = true } else { self.reconcile() }
    }

    fn answer(&mut self, result: Result<(), String>) {
        (self.once, self.sought) = (false, false);
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(result.clone());
        }
    }

    /// FORGE's first word came, or will not come soon; or it announced what is not here.
    fn told(&mut self) {
        self.word_until = Instant::now();
        self.reconcile();
    }

    fn waits_for_word(&self) -> bool {
        self.connected && self.word_until > Instant::now() && self.core.knows_nothing()
    }

    fn reconcile(&mut self) {
        self.reconcile_at = Instant::now() + around(RECONCILE);
        if !self.connected || self.waits_for_word() {
            return;
        }
        if self.fetching.is_some() {
            self.again = true;
            return;
        }
        self.again = false;
        let heads = self.core.take_wanted();
        let past = self.core.sought(self.once);
        let wanted = Wanted { floor: self.core.state().floor, heads, past };
        let (send, receive) = mpsc::channel(FETCHED_WAITING);
        let fetch = fetch::fetch(self.client.clone(), self.core.trust.scope().clone(), wanted, send);
        self.fetching = Some(receive);
        self.task = Some(tokio_util::task::AbortOnDropHandle::new(tokio::spawn(fetch)));
    }

    async fn heard(&mut self, message: Message) -> Result<(), FollowError> {
        let scope = self.core.trust.scope();
        if message.subject.as_str() == subject::heartbeat(scope) {
            self.heartbeat(&message);
            return Ok(());
        }
        // It may be ordered to take nothing up. What is announced meanwhile is fetched after FORGE's word.
        if self.waits_for_word() {
            return Ok(());
        }
        let before = self.core.state().floor;
        let sequence = fetch::sequence(&message);
        let next = sequence == Some(before + 1);
        let read = verify::read(scope, &message);
        let floor = if next && read.is_ok() { sequence } else { None };
        let outcome = take(self.core, read, floor).await?;
        match sequence {
            // What is damaged on its way may be whole in the stream.
            _ if outcome == Outcome::Refused => {
                if next {
                    self.core.set_floor(before);
                }
                self.reconcile();
            }
            Some(_) if next => {}
            Some(sequence) if sequence > before => self.reconcile(),
            _ if matches!(outcome, Outcome::Active | Outcome::Held) => self.restarted(),
            _ => {}
        }
        Ok(())
    }

    /// Something new stands below the floor: the stream was made anew. Everything is asked for again.
    fn restarted(&mut self) {
        tracing::warn!("the stream began anew; replaying the newest of every set");
        self.core.set_floor(0);
        self.reconcile();
    }

    fn heartbeat(&mut self, message: &Message) {
        let text = |name| message.headers.as_ref().and_then(|h| h.get(name)).map(|value| value.as_str());
        self.core.learn(text(header::TRUST));
        let certificate = text(header::KEY).unwrap_or_default();
        let payload = std::str::from_utf8(&message.payload).unwrap_or("");
        match self.core.trust.verify_heartbeat(certificate, payload, clock::now()) {
            Ok((heartbeat, by)) => {
                let waited = self.waits_for_word();
                let lacking = self.core.hear(&heartbeat, &by);
                if waited || lacking {
                    self.told();
                }
            }
            Err(error) => tracing::warn!(error = %error, "a heartbeat is not believed"),
        }
    }

    async fn fetched(&mut self, fetched: Option<Fetched>) -> Result<(), FollowError> {
        match fetched {
            Some(Fetched::Message(message)) => {
                let sequence = fetch::sequence(&message);
                let floor = self.core.state().floor;
                let replaying = floor == 0;
                // A replay skips what is not the newest: its floor is known only at its end.
                let floor = sequence.filter(|s| !replaying && *s > floor);
                take(self.core, verify::read(self.core.trust.scope(), &message), floor).await?;
            }
            Some(Fetched::Head(message)) => {
                let below = fetch::sequence(&message).is_some_and(|s| s <= self.core.state().floor);
                let read = verify::read(self.core.trust.scope(), &message);
                let outcome = take(self.core, read, None).await?;
                if below && matches!(outcome, Outcome::Active | Outcome::Held) {
                    self.core.set_floor(0);
                    self.again = true;
                }
            }
            Some(Fetched::Look(set, answer)) => {
                let _ = answer.send(self.core.sought_of(&set, self.once));
            }
            Some(Fetched::Past(message, taken)) => {
                let read = verify::read(self.core.trust.scope(), &message);
                let (core, once) = (Arc::clone(self.core), self.once);
                let take = tokio::task::spawn_blocking(move || core.take_found(read, once));
                let outcome = take.await.map_err(|_| FollowError::Panicked)?;
                let _ = taken.send(outcome != Outcome::Refused);
            }
            Some(Fetched::Searched(set)) => self.core.searched(&set),
            Some(Fetched::Done { up_to }) => {
                self.answered = true;
                let replayed = self.core.state().floor == 0;
                self.core.agreed(up_to.filter(|_| replayed));
                self.finish();
                // Of each set only the newest was seen, or what waited gave way to it.
                if (replayed || self.once) && !self.sought {
                    self.sought = true;
                    self.core.seek(true);
                }
                let lacks = !self.core.sought(self.once).is_empty();
                if self.again || self.core.wants() || lacks {
                    self.reconcile();
                } else {
                    self.answer(Ok(()));
                }
            }
            Some(Fetched::Failed(why)) => {
                tracing::warn!(error = %why, "could not reconcile; trying again");
                self.finish();
                self.reconcile_at = Instant::now() + around(RECONCILE_AGAIN);
                if fetch::unanswered(&why) {
                    self.half_open().await;
                }
                self.answer(Err(why));
            }
            None => {
                self.finish();
                self.reconcile_at = Instant::now() + around(RECONCILE_AGAIN);
                self.answer(Err("asking the broker failed".into()));
            }
        }
        Ok(())
    }

    /// The machine woke after a sleep: the connection is made anew rather than waiting for a ping that
    /// nobody answers, and whatever was missed is asked for.
    async fn woke(&mut self, gap: Duration) {
        tracing::info!(gap.seconds = gap.as_secs(), "this machine slept, or was stopped; connecting anew");
        if self.connected && self.client.force_reconnect().await.is_err() {
            tracing::debug!("the connection's client has ended; another one takes its place");
        }
        self.reconcile_at = Instant::now();
    }

    /// What is sent gets lost, it seems, though messages may still come: no ping of the client finds that
    /// out. The connection is made anew, once until the broker has answered again: who may not ask, or asks
    /// one that is too busy, does not come back all the time.
    async fn half_open(&mut self) {
        if self.connected && std::mem::take(&mut self.answered) {
            tracing::warn!("the broker does not answer on this connection; making another one");
            let _ = self.client.force_reconnect().await;
        }
    }

    fn finish(&mut self) {
        self.fetching = None;
        self.task = None;
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now >= self.reconcile_at {
            self.reconcile();
        }
        if self.connected && now >= self.probe_at && !self.core.silence().is_zero() {
            self.probe_at = now + around(PROBE_AGAIN);
            tokio::spawn(probe(self.client.clone(), subject::direct_get(self.core.trust.scope())));
        }
        let reason = self.core.stale_reason();
        if reason.is_some() != self.stale {
            self.stale = reason.is_some();
            match reason {
                Some(reason) => tracing::warn!(reason, "STALE; serving what is here"),
                None => tracing::info!("current again"),
            }
            self.core.tell.notify_one();
        }
        if self.core.refresh_age() {
            self.core.tell.notify_one();
        }
        if now >= self.take_over_at {
            self.take_over_at = now + around(TAKE_OVER);
            if self.core.reads_along() {
                self.core.aside(Core::take_over);
            }
        }
        if now >= self.save_at || self.core.word_unsaved() {
            let wait = if self.core.unsaved() { SAVE_AGAIN } else { SAVE };
            if self.core.aside(Core::save) {
                self.save_at = now + around(wait);
            }
        } else if self.core.unsaved() {
            self.save_at = self.save_at.min(now + SAVE_AGAIN);
        }
    }
}

/// Asks the broker for nothing. Where not even that is answered, the connection is made anew: one that is half open
/// looks like any other from here.
async fn probe(client: Client, direct_get: String) {
    let question = async_nats::Request::new().payload(PROBE_QUESTION.into()).timeout(Some(PROBE));
    let answer = client.send_request(direct_get, question).await;
    let Err(error) = answer else { return };
    if error.kind() == async_nats::client::RequestErrorKind::TimedOut {
        tracing::warn!("the broker does not answer; connecting anew");
        let _ = client.force_reconnect().await;
    }
}

/// Takes a message up, where blocking is allowed if it will block. A panic in it ends the loop, not
/// the host.
async fn take(core: &Arc<Core>, read: verify::Read, floor: Option<u64>) -> Result<Outcome, FollowError> {
    let small = read.as_ref().map_or(true, |message| message.wire.len() <= SMALL);
    if small && core.memory_only() {
        return Ok(core.take(read, floor));
    }
    let core = Arc::clone(core);
    tokio::task::spawn_blocking(move || core.take(read, floor)).await.map_err(|_| FollowError::Panicked)
}

/// Runs a task for ever: when it ends by an error or a panic, it is started again after a growing
/// wait. It ends when it says so itself.
pub(crate) async fn supervise<F, E>(name: &'static str, mut start: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>> + Send,
    E: std::fmt::Display,
{
    use futures::FutureExt as _;
    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(30);
    let mut wait = FIRST;
    loop {
        let started = Instant::now();
        match std::panic::AssertUnwindSafe(start()).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::warn!(task = name, error = %error, "starting a task again"),
            Err(_) => tracing::error!(task = name, "a task failed; starting it again"),
        }
        wait = if started.elapsed() > MOST { FIRST } else { (wait * 2).min(MOST) };
        tokio::time::sleep(around(wait)).await;
    }
}

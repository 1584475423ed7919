//! A broker, FORGE's side of it, and agents behind lines of their own, each read from all the time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use live_agent::{Builder, LiveAgent, vars};
use publisher::Outgoing;
use schemas::connect::Connection;
use tests::nats::{Published, TestBroker};
use tests::proxy::Proxy;
use tests::stage::{PATIENCE, active, head};
use tests::until::{millis, secs, until};
use tests::word::Word;

/// How often FORGE says its word.
const PERIOD: Duration = secs(2);
/// How long one read may take on a machine that does much else, and takes the processor away for seconds: what it
/// could wait for, a line that is half-open or a server that lost its store, takes longer.
const READ: Duration = secs(10);
/// Reads between two short rests: other tests need the processor too.
const READS: u32 = 50;
pub(crate) const PROMPT: &str = "hello";

/// What is published: each text says which version it is, and cannot come about by chance.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    nonce: String,
    published: Arc<AtomicU64>,
}

impl Texts {
    pub(crate) fn new(nonce: String, published: u64) -> Self {
        Self { nonce, published: Arc::new(AtomicU64::new(published)) }
    }

    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(crate) fn text(&self, serial: u64) -> String {
        format!("{serial} {} {serial} {}", self.nonce, serial.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn note(&self, serial: u64) {
        self.published.fetch_max(serial, Ordering::SeqCst);
    }

    /// Which version this is, if it is one that was published.
    pub(crate) fn version(&self, text: &str) -> Option<u64> {
        let serial = text.split(' ').next()?.parse().ok()?;
        let real = serial <= self.published.load(Ordering::SeqCst) && self.text(serial) == text;
        real.then_some(serial)
    }
}

/// Reads a prompt all the time, in a thread of its own.
#[derive(Debug)]
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

/// What a reader saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) reads: u64,
    pub(crate) newest: u64,
    pub(crate) longest: Duration,
    pub(crate) problem: Option<String>,
}

impl Reader {
    /// The agent serves when this begins, and has to serve until it ends.
    pub(crate) fn start(agent: LiveAgent, texts: Texts) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let (ends, tells) = (stop.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                for _ in 0..READS {
                    if !read(&agent, &texts, &mut tells.lock().unwrap_or_else(PoisonError::into_inner)) {
                        return;
                    }
                }
                std::thread::park_timeout(millis(1));
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it.
    ///
    /// # Panics
    /// Where serving ever stopped, or gave what it must not.
    pub(crate) fn end(mut self, what: &str) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader's thread");
        }
        let seen = self.seen();
        seen.check(what);
        println!("  {what}: {} reads, the longest {:?}", seen.reads, seen.longest);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    pub(crate) fn check(&self, what: &str) {
        assert_eq!(self.problem, None, "{what}");
        assert!(self.reads > 0, "{what}: nothing was read");
        assert!(self.longest < READ, "{what}: one read took {:?}", self.longest);
    }
}

/// Reads once; gives whether all is well.
fn read(agent: &LiveAgent, texts: &Texts, seen: &mut Seen) -> bool {
    let begin = Instant::now();
    let text = agent.prompt(PROMPT, &vars! {});
    seen.longest = seen.longest.max(begin.elapsed());
    seen.reads += 1;
    match text.as_deref().map(|text| texts.version(text)) {
        Ok(Some(serial)) if serial >= seen.newest => {
            seen.newest = serial;
            true
        }
        Ok(Some(serial)) => {
            seen.problem = Some(format!("{} was served, and then {serial}", seen.newest));
            false
        }
        Ok(None) => {
            seen.problem = Some(format!("what was never published was served: {text:?}"));
            false
        }
        Err(error) => {
            seen.problem = Some(format!("serving stopped: {error}"));
            false
        }
    }
}

/// A broker and FORGE's side of it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) test: TestBroker,
    pub(crate) texts: Texts,
    serial: AtomicU64,
    /// What could not be sent, or may have been without our hearing of it: it goes first, and as it is.
    unsent: Mutex<Option<Outgoing>>,
    word: Word,
}

impl Scene {
    /// One version is published.
    pub(crate) async fn begin() -> Result<Self> {
        let test = TestBroker::start().await?;
        let word = Word::speak(&test, "dev", PERIOD);
        let texts = Texts::new(format!("{:032x}", rand::random::<u128>()), 0);
        let scene = Self { test, texts, word, serial: AtomicU64::new(0), unsent: Mutex::new(None) };
        scene.publish().await?;
        Ok(scene)
    }

    /// The serial that was published last.
    pub(crate) fn head(&self) -> u64 {
        self.serial.load(Ordering::SeqCst)
    }

    /// Publishes the next version, as FORGE does: its serial is of the database, not of the broker.
    pub(crate) async fn publish(&self) -> Result<u64> {
        self.publish_with(0).await
    }

    /// The same, and so many bytes beside it.
    pub(crate) async fn publish_with(&self, padding: usize) -> Result<u64> {
        let serial = self.head() + 1;
        let unsent = self.unsent().take();
        let outgoing = match unsent {
            Some(outgoing) => outgoing,
            None => self.next(serial, padding)?,
        };
        let sent = match self.test.broker.send(&outgoing).await {
            Ok(sent) => sent,
            Err(error) => {
                *self.unsent() = Some(outgoing);
                return Err(error.into());
            }
        };
        self.serial.store(serial, Ordering::SeqCst);
        let (publication, digest) = (outgoing.publication.clone(), outgoing.digest);
        self.word.announce(head(&Published { publication, serial, digest, sent, outgoing }));
        Ok(serial)
    }

    fn unsent(&self) -> MutexGuard<'_, Option<Outgoing>> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, serial: u64, padding: usize) -> Result<Outgoing> {
        self.texts.note(serial);
        let (text, other) = (self.texts.text(serial), noise(padding));
        let prompts = [(PROMPT, text.as_str()), ("other", other.as_str())];
        let bundle = self.test.bundle("chat", &format!("1.{serial}.0"), &prompts);
        self.test.outgoing("dev", bundle, serial)
    }

    /// Puts the newest of the set into a broker that lost it, as `forge republish` does.
    pub(crate) async fn publish_anew(&self) -> Result<u64> {
        self.test.provision().await?;
        self.publish().await
    }

    /// Credential and connection of an agent that connects there.
    pub(crate) fn credential(&self, name: &str, server: &str) -> Result<(String, Connection)> {
        let (minted, mut connection) = self.test.mint(name)?;
        connection.servers = vec![server.to_owned()];
        Ok((minted.creds.to_string(), connection))
    }

    pub(crate) fn builder(&self, name: &str, server: &str) -> Result<Builder> {
        let (credential, connection) = self.credential(name, server)?;
        let cache = self.cache(name);
        Ok(LiveAgent::builder().connection(connection).credentials(credential).cache_dir(cache).name(name))
    }

    pub(crate) fn cache(&self, name: &str) -> PathBuf {
        self.test.directory().join(format!("cache-{name}"))
    }

    /// An agent behind a good line of its own; it serves, and is read from.
    pub(crate) async fn line(&self, name: &str) -> Result<Line> {
        let proxy = Proxy::start(&self.test.server.url()).await?;
        let agent = self.builder(name, &proxy.url())?.start().await?;
        let head = self.head();
        until("it serves", PATIENCE, async || (serial(&agent) >= head).then_some(())).await;
        agent.wait_current(PATIENCE).await.context("before the fault")?;
        let reader = Reader::start(agent.clone(), self.texts.clone());
        Ok(Line { name: name.into(), proxy, agent, reader })
    }
}

/// An agent behind a line of its own.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) proxy: Proxy,
    pub(crate) agent: LiveAgent,
    reader: Reader,
}

impl Line {
    /// Waits until the agent serves this, and holds the time since `from` against the bound.
    pub(crate) async fn current(&self, scene: &Scene, from: Instant, bound: Duration, what: &str) {
        let (head, what) = (scene.head(), format!("{}, {what}", self.name));
        let left = bound.saturating_sub(from.elapsed());
        until(&format!("{what}: serial {head}"), left, async || (serial(&self.agent) >= head).then_some(()))
            .await;
        println!("fault: {what}: current again after {:?} (bound {bound:?})", from.elapsed());
        until("the reader has it", secs(30), async || {
            let seen = self.reader.seen();
            (seen.newest >= head || seen.problem.is_some()).then_some(())
        })
        .await;
    }

    pub(crate) async fn end(self) {
        self.reader.end(&self.name);
        self.agent.stop().await;
    }
}

/// The serial that an agent serves; 0 for none.
pub(crate) fn serial(agent: &LiveAgent) -> u64 {
    active(&agent.status(), "chat").map_or(0, |applied| applied.serial)
}

/// Text that does not compress.
pub(crate) fn noise(length: usize) -> String {
    let letter = |number: u32| char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    (0..length).map(|_| letter(rand::random())).collect()
}

//! Callers that do not read: a connection that takes nothing any more is ended.
//!
//! Whoever writes to a caller that does not read waits for ever, and holds a place and memory meanwhile. Over
//! HTTP/1.1 that shows where nothing can be written any more; over HTTP/2 the caller may go on to talk and let
//! nothing be sent, which shows in the answers alone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream whose other side has to take something within `most`, or it fails.
#[derive(Debug)]
pub(super) struct Patient<I> {
    io: I,
    most: Duration,
    /// Runs while nothing can be written.
    stalls: Option<Pin<Box<Sleep>>>,
}

impl<I> Patient<I> {
    pub(super) fn new(io: I, most: Duration) -> Self {
        Self { io, most, stalls: None }
    }

    fn wait(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalls = None;
            return written;
        }
        let most = self.most;
        let stalls = self.stalls.get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        match stalls.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller does not read")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wait(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.wait(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    // A socket keeps nothing back: there is nothing to wait for in either.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What runs on a connection, and when it moved last.
#[derive(Debug)]
pub(super) struct Flight {
    begun: Instant,
    /// A request has come.
    heard: AtomicBool,
    /// It speaks HTTP/2. Of HTTP/1.1 nothing below is counted: it has a time of its own between requests.
    many: AtomicBool,
    /// Milliseconds from the beginning until a request came or a part of an answer went.
    moved: AtomicU64,
    /// Requests whose answer is not gone.
    running: AtomicUsize,
    /// Answers of which something waits for the caller.
    owed: AtomicUsize,
}

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It never asked anything.
    Silent,
    /// It is HTTP/1.1, and looks after itself.
    Simple,
    /// It is to be looked at again after this.
    Busy(Duration),
    /// Nothing runs, and nothing did for long.
    Idle,
    /// Its caller takes no answer.
    Unread,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            heard: AtomicBool::new(false),
            many: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
        }
    }
}

impl Flight {
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// A request of HTTP/1.1 came.
    pub(super) fn hear(&self) {
        if !self.is_heard() {
            self.heard.store(true, Ordering::Relaxed);
        }
    }

    /// A request of HTTP/2 came.
    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        self.hear();
        self.many.store(true, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Turn { flight: Arc::clone(self), owes: false }
    }

    fn touch(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }

    /// How it stands where nothing may stand still for longer than `most`.
    pub(super) fn standing(&self, most: Duration) -> Standing {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.standing_after(self.begun.elapsed().saturating_sub(moved), most)
    }

    /// The same where nothing moved for so long.
    fn standing_after(&self, still: Duration, most: Duration) -> Standing {
        if !self.is_heard() {
            return Standing::Silent;
        }
        if !self.many.load(Ordering::Relaxed) {
            return Standing::Simple;
        }
        match most.checked_sub(still).filter(|left| !left.is_zero()) {
            Some(left) => Standing::Busy(left),
            None if self.running.load(Ordering::Relaxed) == 0 => Standing::Idle,
            None if self.owed.load(Ordering::Relaxed) > 0 => Standing::Unread,
            None => Standing::Busy(most),
        }
    }
}

/// One request of HTTP/2, until its answer is gone.
#[derive(Debug)]
pub(super) struct Turn {
    flight: Arc<Flight>,
    owes: bool,
}

impl Turn {
    /// Whether something of the answer waits for the caller.
    fn owe(&mut self, owes: bool) {
        if owes || self.owes {
            self.flight.touch();
        }
        match (std::mem::replace(&mut self.owes, owes), owes) {
            (false, true) => self.flight.owed.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.flight.owed.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// The answer, counted until it is gone.
    pub(super) fn with(mut self, body: Body) -> Body {
        self.owe(true);
        Body::new(Sent { body, turn: self })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.owe(false);
        self.flight.running.fetch_sub(1, Ordering::Relaxed);
        self.flight.touch();
    }
}

/// An answer of HTTP/2. It is asked for its next part only once the caller takes one: as long as it is not,
/// what it gave last waits for the caller.
struct Sent {
    body: Body,
    turn: Turn,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.turn.owe(matches!(frame, Poll::Ready(Some(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn writing_to_who_does_not_read_fails_after_its_time_and_not_while_something_is_read() {
        // Far apart: whoever reads may be late by much of the time that there is.
        let (most, pause) = (Duration::from_secs(5), Duration::from_millis(100));
        let (near, mut far) = tokio::io::duplex(64);
        let mut patient = Patient::new(near, most);
        let begun = Instant::now();
        let reads = async {
            for _ in 0..6 {
                tokio::time::sleep(pause).await;
                far.read_exact(&mut [0; 64]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let failed = tokio::select! {
            failed = patient.write_all(&[0; 1024]) => failed.unwrap_err(),
            () = reads => unreachable!(),
        };
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= pause * 6 + most, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_connection_is_idle_unread_or_busy_by_what_its_answers_do() {
        const MOST: Duration = Duration::from_secs(30);
        let flight = Arc::new(Flight::default());
        let after_long = || flight.standing_after(MOST, MOST);
        assert_eq!(after_long(), Standing::Silent);
        flight.hear();
        assert_eq!(after_long(), Standing::Simple);
        let turn = flight.begin();
        assert_eq!(after_long(), Standing::Busy(MOST), "the answer is being made: that is ours");
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Result<Bytes, io::Error>>();
        let parts = futures::stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        let mut body = turn.with(Body::from_stream(parts));
        assert_eq!(after_long(), Standing::Unread, "nobody asked for the first part");
        sender.send(Ok(Bytes::from_static(b"one"))).unwrap();
        body.frame().await.unwrap().unwrap();
        assert_eq!(after_long(), Standing::Unread, "nor for the second");
        let second = Duration::from_secs(1);
        assert_eq!(flight.standing_after(second, MOST), Standing::Busy(MOST - second), "there is time left");
        // It is asked for, and does not come: a stream of events has nothing to tell.
        assert!(body.frame().now_or_never().is_none());
        assert_eq!(after_long(), Standing::Busy(MOST));
        drop(body);
        assert_eq!(flight.standing_after(second, MOST), Standing::Busy(MOST - second), "it may ask again");
        assert_eq!(after_long(), Standing::Idle);
        let again = flight.begin();
        assert_eq!(after_long(), Standing::Busy(MOST));
        drop(again);
        assert_eq!(after_long(), Standing::Idle, "a request that was given up counts no more");
    }
}

//! What happens, as server-sent events.
//!
//! Each has an id, and a reader that comes back with it is told what it missed, as far as that is still
//! known. A reader that is too slow is told that it lagged; nobody waits for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use schemas::Micros;
use schemas::status::Mode;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Sidecar;
use super::problem::{Code, Problem};
use crate::clock;
use crate::live::Handle;

/// Events that are known for readers that come back, and that a slow one may be behind.
const KEPT: usize = 256;
/// How often mode and staleness are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// After how long a reader whose connection broke may come back.
const RETRY: Duration = Duration::from_secs(2);
const STILL_HERE: Duration = Duration::from_secs(15);

/// One event.
#[derive(Debug)]
struct Told {
    number: u64,
    kind: &'static str,
    data: String,
}

#[derive(Debug)]
struct Kept {
    next: u64,
    last: VecDeque<Arc<Told>>,
    task: Option<AbortOnDropHandle<()>>,
}

/// All events of this process, and who reads them.
#[derive(Debug)]
pub(super) struct Feed {
    /// Ids of another process are not ours.
    boot: Micros,
    sender: broadcast::Sender<Arc<Told>>,
    kept: Mutex<Kept>,
    places: Arc<Semaphore>,
    places_max: usize,
}

impl Feed {
    pub(super) fn new(readers: usize) -> Self {
        Self {
            boot: clock::now(),
            sender: broadcast::channel(KEPT).0,
            kept: Mutex::new(Kept { next: 1, last: VecDeque::new(), task: None }),
            places: Arc::new(Semaphore::new(readers)),
            places_max: readers,
        }
    }

    /// How many read now.
    pub(super) fn readers(&self) -> usize {
        self.places_max.saturating_sub(self.places.available_permits())
    }

    fn tell(&self, kind: &'static str, data: &Value) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let told = Arc::new(Told { number: kept.next, kind, data: data.to_string() });
        kept.next += 1;
        if kept.last.len() == KEPT {
            kept.last.pop_front();
        }
        kept.last.push_back(Arc::clone(&told));
        // Nobody may be reading.
        let _ = self.sender.send(told);
    }

    /// Everything from now on, what came after `last`, and whether more than that was missed.
    fn subscribe(self: &Arc<Self>, handle: &Handle, last: Option<&str>) -> Subscribed {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.task.as_ref().is_none_or(|task| task.is_finished()) {
            let (feed, handle) = (Arc::downgrade(self), handle.clone());
            kept.task = Some(AbortOnDropHandle::new(tokio::spawn(watch(feed, handle))));
        }
        let after = last.and_then(|last| last.split_once('-')).and_then(|(boot, number)| {
            let own = boot.parse::<Micros>().ok()? == self.boot;
            number.parse::<u64>().ok().filter(|number| own && *number < kept.next)
        });
        let first = kept.last.front().map_or(kept.next, |told| told.number);
        let missed = last.is_some() && after.is_none_or(|after| after + 1 < first);
        let after = after.unwrap_or(kept.next);
        let backlog = kept.last.iter().filter(|told| told.number > after).cloned().collect();
        Subscribed { receiver: self.sender.subscribe(), backlog, missed, now: kept.next - 1 }
    }

    fn event(&self, told: &Told) -> Event {
        Event::default().id(format!("{}-{}", self.boot, told.number)).event(told.kind).data(&told.data)
    }
}

struct Subscribed {
    receiver: broadcast::Receiver<Arc<Told>>,
    backlog: VecDeque<Arc<Told>>,
    missed: bool,
    now: u64,
}

/// What is looked at, since nobody tells of it.
#[derive(PartialEq)]
struct Seen {
    mode: Mode,
    stale: bool,
    why: Option<String>,
}

impl Seen {
    fn now(handle: &Handle) -> Self {
        let why = handle.core.stale_reason();
        Self { mode: handle.core.state().mode, stale: why.is_some(), why }
    }

    fn mode(&self) -> Value {
        json!({ "mode": self.mode })
    }

    fn stale(&self) -> Value {
        json!({ "stale": self.stale, "reason": self.why })
    }
}

/// Turns what happens into events, for as long as somebody may read them.
async fn watch(feed: Weak<Feed>, handle: Handle) {
    let mut changes = handle.core.changes.subscribe();
    let mut seen = Seen::now(&handle);
    let mut look = tokio::time::interval(LOOK);
    loop {
        let change = tokio::select! {
            change = changes.recv() => Some(change),
            _ = look.tick() => None,
        };
        let Some(feed) = feed.upgrade() else { return };
        // A thaw sets the mode and then takes up what waited: so it is told.
        let now = Seen::now(&handle);
        if now.mode != seen.mode {
            feed.tell("mode", &now.mode());
        }
        match change {
            Some(Ok(change)) => feed.tell("change", &json!(change)),
            Some(Err(RecvError::Lagged(missed))) => feed.tell("lagged", &json!({ "missed": missed })),
            Some(Err(RecvError::Closed)) => return,
            None => {}
        }
        if now.stale != seen.stale {
            feed.tell("stale", &now.stale());
        }
        seen = now;
    }
}

/// One reader.
struct Reader {
    feed: Arc<Feed>,
    ahead: VecDeque<Event>,
    receiver: broadcast::Receiver<Arc<Told>>,
    /// The server ends, or the agent does: a host that mounts the router knows no other way to say so.
    closing: CancellationToken,
    ended: CancellationToken,
    over: bool,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn events(
    State(sidecar): State<Arc<Sidecar>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let feed = &sidecar.feed;
    let place = Arc::clone(&feed.places).try_acquire_owned().map_err(|_| {
        Problem::new(Code::TooManyReaders, format!("there are {} readers already", feed.places_max))
    })?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let handle = sidecar.agent.handle();
    let Subscribed { receiver, backlog, missed, now } = feed.subscribe(handle, last);
    let mut ahead = VecDeque::new();
    if missed {
        ahead.push_back(lagged(None));
    }
    ahead.extend(backlog.iter().map(|told| feed.event(told)));
    if last.is_none() || missed {
        // Where it begins: what holds now.
        let seen = Seen::now(handle);
        for (kind, data) in [("mode", seen.mode()), ("stale", seen.stale())] {
            let id = format!("{}-{now}", feed.boot);
            ahead.push_back(Event::default().id(id).event(kind).data(data.to_string()));
        }
    }
    if let Some(first) = ahead.pop_front() {
        ahead.push_front(first.retry(RETRY));
    } else {
        ahead.push_back(Event::default().retry(RETRY).comment("here"));
    }
    let reader = Reader {
        feed: Arc::clone(feed),
        ahead,
        receiver,
        closing: sidecar.closing.clone(),
        ended: handle.core.ended.clone(),
        over: false,
        _place: place,
    };
    Ok(Sse::new(reader.stream()).keep_alive(KeepAlive::new().interval(STILL_HERE)))
}

fn lagged(missed: Option<u64>) -> Event {
    Event::default().event("lagged").data(json!({ "missed": missed }).to_string())
}

impl Reader {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Some((Ok(event), reader))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.ahead.pop_front() {
            return Some(event);
        }
        if self.over {
            return None;
        }
        tokio::select! {
            told = self.receiver.recv() => match told {
                Ok(told) => Some(self.feed.event(&told)),
                Err(RecvError::Lagged(missed)) => Some(lagged(Some(missed))),
                Err(RecvError::Closed) => None,
            },
            () = self.closing.cancelled() => self.close(),
            () = self.ended.cancelled() => self.close(),
        }
    }

    fn close(&mut self) -> Option<Event> {
        self.over = true;
        Some(Event::default().event("closing").data("{}"))
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_reader_that_is_too_slow_is_told_how_much_it_missed_and_goes_on_with_what_is_known() {
        let feed = Arc::new(Feed::new(1));
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let reader = Reader {
            receiver: feed.sender.subscribe(),
            ahead: VecDeque::new(),
            closing,
            ended: ended.clone(),
            over: false,
            _place: Arc::clone(&feed.places).try_acquire_owned().unwrap(),
            feed: Arc::clone(&feed),
        };
        let mut body = Sse::new(reader.stream()).into_response().into_body();
        let mut next = async || {
            let part = body.frame().await?.unwrap().into_data().unwrap();
            Some(String::from_utf8(part.to_vec()).unwrap())
        };
        // It reads nothing meanwhile.
        let more = 44;
        for number in 1..=KEPT + more {
            feed.tell("change", &json!({ "number": number }));
        }
        let first = next().await.unwrap();
        assert!(first.contains("event: lagged") && first.contains(r#"{"missed":44}"#), "{first}");
        let second = next().await.unwrap();
        assert!(second.contains("event: change") && second.contains(r#"{"number":45}"#), "{second}");
        for number in more + 2..=KEPT + more {
            let event = next().await.unwrap();
            assert!(event.contains(&format!("{{\"number\":{number}}}")), "{number}: {event}");
        }
        ended.cancel();
        assert!(next().await.unwrap().contains("event: closing"), "the agent was stopped");
        assert_eq!(next().await, None);
        assert_eq!(feed.readers(), 0, "its place is free");
    }
}

//! Live pages: one stream of server-sent events each, with fragments of the very templates that
//! made the page.
//!
//! Events of FORGE carry no content. Whoever hears one waits a little, so that many become one, and
//! reads the state anew: at most four fragments a second, however many agents answer.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::address::Query;
use super::engine;
use super::fault::Fault;
use super::fleet::{self, Filter, Fleet};
use super::publication::{self, AnswerView, Stage, Step};
use super::visitor::Visitor;
use crate::error::ApiError;
use crate::events::{self, Kind};
use crate::limit::StreamPlace;
use crate::session;
use crate::state::AppState;

/// At most four fragments a second.
const FOLD: Duration = Duration::from_millis(250);
/// A page that hears nothing for 15 s says that it is no longer live.
const BEAT: Duration = Duration::from_secs(5);
/// A stream ends after so long: the browser asks anew, and whether it may is looked at anew.
const LIFE: Duration = Duration::from_secs(600);
/// Presence changes by mere silence, which is no event: it is looked at so often.
const LOOK: Duration = Duration::from_secs(10);

/// What a page follows: `publication/o/p/7`, `agents/o/p?…`, `project/o/p`, `webhook/o/p/id`,
/// `organisation/o`.
#[derive(Debug, Clone)]
enum Topic {
    Publication { organisation: String, project: String, number: String },
    Agents { organisation: String, project: String, filter: Filter },
    Project { organisation: String, project: String },
    Webhook { organisation: String, project: String, id: String },
    Organisation { organisation: String },
}

impl Topic {
    fn parse(text: &str) -> Option<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let own = |s: &str| s.to_owned();
        Some(match path.split('/').collect::<Vec<_>>().as_slice() {
            ["publication", o, p, n] => {
                Self::Publication { organisation: own(o), project: own(p), number: own(n) }
            }
            ["agents", o, p] => {
                let uri: axum::http::Uri = format!("/?{query}").parse().ok()?;
                let axum::extract::Query(filter) = axum::extract::Query::<Filter>::try_from_uri(&uri).ok()?;
                Self::Agents { organisation: own(o), project: own(p), filter }
            }
            ["project", o, p] => Self::Project { organisation: own(o), project: own(p) },
            ["webhook", o, p, id] => Self::Webhook { organisation: own(o), project: own(p), id: own(id) },
            ["organisation", o] => Self::Organisation { organisation: own(o) },
            _ => return None,
        })
    }
}

/// Which events concern the page.
#[derive(Debug)]
struct Scope {
    organisation_id: String,
    project_id: Option<String>,
}

impl Scope {
    fn concerns(&self, topic: &Topic, event: &events::Event) -> bool {
        if let (Topic::Webhook { id, .. }, Kind::Webhook { id: sent }) = (topic, &event.kind) {
            return event.organisation_id == self.organisation_id && sent == id;
        }
        if event.organisation_id != self.organisation_id
            || self.project_id.as_ref().is_some_and(|p| *p != event.project_id)
        {
            return false;
        }
        match (topic, &event.kind) {
            // What comes after it makes a publication a replaced one: any publication counts.
            (Topic::Publication { .. }, Kind::Publication { .. } | Kind::Agents { .. }) => true,
            (Topic::Publication { .. }, _) => false,
            (Topic::Agents { .. }, kind) => matches!(kind, Kind::Agents { .. } | Kind::Publication { .. }),
            (Topic::Webhook { .. }, _) | (_, Kind::Webhook { .. }) => false,
            (Topic::Project { .. } | Topic::Organisation { .. }, _) => true,
        }
    }
}

/// Which topic is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    topic: String,
}

/// `GET /-/events?topic=…`.
pub(super) async fn get_events(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(Asked { topic }): Query<Asked>,
) -> Result<Response, Fault> {
    let topic = Topic::parse(&topic).ok_or(ApiError::NotFound("topic"))?;
    // Listening begins before the first look, so that nothing falls in between.
    let receiver = state.events.listen();
    let scope = scope(&state, &visitor, &topic).await?;
    let place = state.limits.stream(&visitor.actor.user_id)?;
    let follower = Follower {
        state,
        visitor,
        topic,
        scope,
        receiver,
        sent: None,
        look_at: Instant::now(),
        ends: Instant::now() + LIFE,
        _place: place,
    };
    let mut response = Sse::new(follower.stream()).into_response();
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

async fn scope(state: &AppState, visitor: &Visitor, topic: &Topic) -> Result<Scope, ApiError> {
    let (o, p) = match topic {
        Topic::Organisation { organisation } => {
            let found = visitor.organisation(organisation).await?;
            return Ok(Scope { organisation_id: found.id.clone(), project_id: None });
        }
        Topic::Publication { organisation, project, .. }
        | Topic::Agents { organisation, project, .. }
        | Topic::Project { organisation, project }
        | Topic::Webhook { organisation, project, .. } => (organisation, project),
    };
    let at = visitor.project(state, o, p).await?;
    Ok(Scope { organisation_id: at.organisation.id, project_id: Some(at.project.id) })
}

/// An event that says no more than its name. It has some data all the same: browsers hear of none without.
fn word(name: &'static str) -> Event {
    Event::default().event(name).data("-")
}

/// What a fragment is rendered from.
#[derive(Debug, Default, Serialize)]
struct Live {
    answer: Option<AnswerView>,
    stage: Option<Stage>,
    life: Vec<Step>,
    fleet: Option<Fleet>,
}

struct Follower {
    state: AppState,
    visitor: Visitor,
    topic: Topic,
    scope: Scope,
    receiver: Receiver<events::Event>,
    /// The last fragment: the same is not sent twice.
    sent: Option<String>,
    look_at: Instant,
    ends: Instant,
    _place: StreamPlace,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// The next thing to send; none ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if Instant::now() >= self.ends {
            return None;
        }
        let beat = Instant::now() + BEAT;
        loop {
            tokio::select! {
                heard = self.receiver.recv() => match heard {
                    Ok(event) if !self.scope.concerns(&self.topic, &event) => continue,
                    Ok(_) | Err(RecvError::Lagged(_)) => self.fold().await,
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.look_at.max(Instant::now())) => {}
                () = tokio::time::sleep_until(beat) => return Some(word("beat")),
            }
            self.look_at = Instant::now() + LOOK;
            // Who signed out, or is no member any more, hears nothing from then on.
            match session::again(&self.state, &self.visitor.actor).await {
                Ok(Some(actor)) => self.visitor.actor = actor,
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(error = %error, "live page not renewed");
                    return Some(word("beat"));
                }
            }
            match self.fragment().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) if Instant::now() >= beat => return Some(word("beat")),
                Ok(None) => {}
                // Gone or no longer allowed: the page finds out by loading itself.
                Err(
                    ApiError::NotFound(_)
                    | ApiError::Forbidden(_)
                    | ApiError::Hidden { .. }
                    | ApiError::NotAllowed { .. },
                ) => return None,
                Err(error) => {
                    tracing::warn!(error = %error, "live page not renewed");
                    return Some(word("beat"));
                }
            }
        }
    }

    /// Lets more events come, and takes them as one.
    async fn fold(&mut self) {
        tokio::time::sleep(FOLD).await;
        loop {
            match self.receiver.try_recv() {
                Ok(_) | Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    async fn fragment(&mut self) -> Result<Option<Event>, ApiError> {
        let (state, visitor) = (&self.state, &self.visitor);
        let live = match &self.topic {
            Topic::Publication { organisation, project, number } => {
                let (answer, stage, life) =
                    publication::fragments(state, visitor, organisation, project, number).await?;
                Live { answer: Some(answer), stage: Some(stage), life, fleet: None }
            }
            Topic::Agents { organisation, project, filter } => {
                let at = visitor.project(state, organisation, project).await?;
                let fleet = fleet::fleet(state, &visitor.actor, &at, filter).await?;
                Live { fleet: Some(fleet), ..Live::default() }
            }
            // These pages are renewed as a whole; only that something changed is told.
            Topic::Project { .. } | Topic::Webhook { .. } | Topic::Organisation { .. } => {
                let first = self.sent.replace(String::new()).is_none();
                return Ok((!first).then(|| word("reload")));
            }
        };
        let html = engine::fragment("live.html", &live).map_err(ApiError::internal)?;
        if self.sent.as_ref() == Some(&html) {
            return Ok(None);
        }
        let event = Event::default().event("fragment").data(html.lines().collect::<Vec<_>>().join("\n"));
        self.sent = Some(html);
        Ok(Some(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_says_what_is_followed() {
        assert!(
            matches!(Topic::parse("publication/acme/shop/7"), Some(Topic::Publication { number, .. }) if number == "7")
        );
        match Topic::parse("agents/acme/shop?environment=prod&q=a%20b") {
            Some(Topic::Agents { filter, .. }) => {
                assert_eq!((filter.environment.as_str(), filter.q.as_str()), ("prod", "a b"))
            }
            other => panic!("{other:?}"),
        }
        assert!(Topic::parse("users").is_none());
    }

    #[test]
    fn an_event_of_another_tenant_is_never_heard() {
        let scope = Scope { organisation_id: "o".into(), project_id: Some("p".into()) };
        let topic = Topic::Project { organisation: "acme".into(), project: "shop".into() };
        let event = |o: &str, p: &str| events::Event {
            organisation_id: o.into(),
            project_id: p.into(),
            kind: Kind::Project,
        };
        assert!(scope.concerns(&topic, &event("o", "p")));
        assert!(!scope.concerns(&topic, &event("x", "p")));
        assert!(!scope.concerns(&topic, &event("o", "x")));
        // A webhook for all projects belongs to none.
        let sent =
            |o: &str, id: &str| events::Event { kind: Kind::Webhook { id: id.into() }, ..event(o, "") };
        let topic = Topic::parse("webhook/acme/shop/w").unwrap();
        assert!(scope.concerns(&topic, &sent("o", "w")));
        assert!(!scope.concerns(&topic, &sent("x", "w")));
        assert!(!scope.concerns(&topic, &sent("o", "v")));
        assert!(!scope.concerns(&topic, &event("o", "p")));
    }
}

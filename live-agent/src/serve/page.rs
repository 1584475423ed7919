//! The pages for people: server-rendered, no script, nothing from elsewhere.
//!
//! All links are relative, so that they work wherever a host mounts them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Form, FromRequest as _, NestedPath, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::canonical::Digest;
use schemas::status::SetStatus;
use serde::Deserialize;

use super::access::Peer;
use super::problem::{Code, Problem};
use super::{Sidecar, api, render};
use crate::Mode;
use html::{Frame, Note, Tone};

mod html;
mod overview;
mod prompts;

const ICON: &str = include_str!("page/live.svg");
const STYLE: &str = include_str!("page/live.css");
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

type Shared = State<Arc<Sidecar>>;

/// What a form sends, in its order.
type Fields = Vec<(String, String)>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    id: String,
    did: String,
}

/// Heads that every answer bears: nothing of it is kept, framed or guessed at.
pub(super) fn guard(headers: &mut HeaderMap) {
    let all = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Where a page stands: what its links begin with.
fn frame(sidecar: &Sidecar, request: &Request) -> Frame {
    let mount = request.extensions().get::<NestedPath>().map_or("", NestedPath::as_str);
    let last = mount.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let (root, home) = match (last, request.uri().path()) {
        ("", _) => (String::new(), "./".to_owned()),
        (last, "/" | "") => (format!("{last}/"), last.to_owned()),
        (last, _) => (String::new(), format!("../{last}")),
    };
    Frame {
        root,
        home,
        agent: sidecar.agent.name().to_string(),
        scope: sidecar.agent.status().scope.to_string(),
    }
}

fn shown(status: StatusCode, page: String) -> Response {
    let mut response = (status, page).into_response();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Whom the gate does not let in.
pub(super) fn refused(problem: Problem) -> Response {
    let page = html::bare("Not for everybody", problem.detail());
    let status = problem.status();
    let mut response = problem.into_response();
    *response.body_mut() = Body::from(page);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    if status == StatusCode::UNAUTHORIZED {
        // A browser asks for a password: the token is one.
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        let ask = HeaderValue::from_static("Basic realm=\"live: any name, the token as password\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    guard(response.headers_mut());
    response
}

pub(super) async fn style() -> Response {
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    let keep = HeaderValue::from_static("private, max-age=300");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], STYLE).into_response()
}

pub(super) async fn icon() -> Response {
    let kind = HeaderValue::from_static("image/svg+xml");
    let keep = HeaderValue::from_static("private, max-age=86400");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], ICON).into_response()
}

pub(super) async fn status(State(sidecar): Shared, request: Request) -> Response {
    let asked = Query::<Asked>::try_from_uri(request.uri()).map(|Query(asked)| asked).unwrap_or_default();
    let note = match asked.did.as_str() {
        "accepting" => Some(Note::new(Tone::Ok, "The agent is ACCEPTING: what is published is taken up.")),
        "frozen" => Some(Note::new(Tone::Cold, "The agent is FROZEN: it keeps what it serves now.")),
        "waits" => {
            Some(Note::new(Tone::Info, "The broker was asked: something waits. Nothing was taken up."))
        }
        "nothing" => Some(Note::new(Tone::Ok, "The broker was asked: nothing waits.")),
        "synced" => Some(Note::new(Tone::Ok, "The broker was asked, and nothing is missing.")),
        _ => None,
    };
    let frame = frame(&sidecar, &request);
    shown(StatusCode::OK, overview::page(&sidecar, &frame, note))
}

pub(super) async fn prompts(State(sidecar): Shared, request: Request) -> Response {
    let asked = Query::<Asked>::try_from_uri(request.uri()).map(|Query(asked)| asked).unwrap_or_default();
    let found = sidecar.agent.search(&asked.q);
    shown(StatusCode::OK, prompts::list(&frame(&sidecar, &request), &asked.q, &found))
}

pub(super) async fn prompt(State(sidecar): Shared, request: Request) -> Response {
    let asked = Query::<Asked>::try_from_uri(request.uri()).map(|Query(asked)| asked).unwrap_or_default();
    one(&sidecar, &frame(&sidecar, &request), &asked.id, &Vec::new(), None)
}

/// The page of one prompt, with what was given for it and what came of that.
fn one(
    sidecar: &Sidecar,
    frame: &Frame,
    id: &str,
    given: &Fields,
    tried: Option<Result<prompts::Text, Problem>>,
) -> Response {
    match api::source(&sidecar.agent, id) {
        Ok((of, source)) => {
            let status = match &tried {
                Some(Err(problem)) => problem.status(),
                _ => StatusCode::OK,
            };
            let address = prompts::Address { id, of: of.as_ref() };
            shown(status, prompts::one(frame, &sidecar.form, address, &source, given, tried.as_ref()))
        }
        Err(problem) => {
            let note = Note::new(Tone::Bad, problem.detail());
            shown(problem.status(), prompts::missing(frame, note))
        }
    }
}

/// Reads a form of ours; what was not sent from a page of ours is refused.
async fn fields(sidecar: &Sidecar, request: Request) -> Result<Fields, Problem> {
    let body = render::read_body(request.into_body(), &sidecar.bounds).await?;
    let mut form = Request::new(Body::from(body));
    *form.method_mut() = Method::POST;
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    form.headers_mut().insert(header::CONTENT_TYPE, kind);
    let Form(fields) = Form::<Fields>::from_request(form, &())
        .await
        .map_err(|_| Problem::new(Code::BadJson, "this is no form of this page"))?;
    let sent = fields.iter().find(|(name, _)| name == "form").map_or("", |(_, value)| value.as_str());
    if Digest::of(sent.as_bytes()) == Digest::of(sidecar.form.as_bytes()) {
        return Ok(fields);
    }
    Err(Problem::new(
        Code::CrossSite,
        "this form is of an earlier run, or of another site: open the page again",
    ))
}

fn field<'f>(fields: &'f Fields, name: &str) -> &'f str {
    fields.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
}

fn failed(sidecar: &Sidecar, frame: &Frame, problem: &Problem) -> Response {
    let note = Note::new(Tone::Bad, problem.detail());
    shown(problem.status(), overview::page(sidecar, frame, Some(note)))
}

/// To the overview, which says what was done.
fn done(frame: &Frame, did: &str) -> Response {
    let to = HeaderValue::from_str(&format!("{}?did={did}", frame.home));
    let to = to.unwrap_or_else(|_| HeaderValue::from_static("./"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

pub(super) async fn try_out(State(sidecar): Shared, request: Request) -> Response {
    let frame = frame(&sidecar, &request);
    let fields = match fields(&sidecar, request).await {
        Ok(fields) => fields,
        Err(problem) => return failed(&sidecar, &frame, &problem),
    };
    let id = field(&fields, "id").to_owned();
    let tried = prompts::render(&sidecar.agent, &id, &fields);
    one(&sidecar, &frame, &id, &fields, Some(tried))
}

pub(super) async fn set_mode(State(sidecar): Shared, request: Request) -> Response {
    let frame = frame(&sidecar, &request);
    let peer = request.extensions().get::<Peer>().copied();
    let set = async {
        let fields = fields(&sidecar, request).await?;
        let (mode, did) = match field(&fields, "mode") {
            "FROZEN" => (Mode::Frozen, "frozen"),
            "ACCEPTING" => (Mode::Accepting, "accepting"),
            _ => return Err(Problem::new(Code::BadJson, "choose ACCEPTING or FROZEN")),
        };
        api::tell(peer, "the mode is set by the page");
        sidecar.agent.set_mode(mode).await?;
        Ok(did)
    };
    match set.await {
        Ok(did) => done(&frame, did),
        Err(problem) => failed(&sidecar, &frame, &problem),
    }
}

pub(super) async fn sync(State(sidecar): Shared, request: Request) -> Response {
    let frame = frame(&sidecar, &request);
    let peer = request.extensions().get::<Peer>().copied();
    let synced = async {
        let fields = fields(&sidecar, request).await?;
        if field(&fields, "check") == "1" {
            let report = sidecar.agent.check().await?;
            let waits = |set: &SetStatus| set.pending.as_ref().is_some_and(overview::is_held);
            return Ok(if report.sets.iter().any(waits) { "waits" } else { "nothing" });
        }
        api::tell(peer, "a sync is asked for by the page");
        sidecar.agent.sync().await?;
        Ok::<_, Problem>("synced")
    };
    match synced.await {
        Ok(did) => done(&frame, did),
        Err(problem) => failed(&sidecar, &frame, &problem),
    }
}

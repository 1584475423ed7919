//! Webhooks: made and shown once, changed, tried, and what was sent to them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::new::{Ask, ask};
use super::view::{Callout, Choice, Field, Moment, encoded};
use super::visitor::Visitor;
use crate::author::ProjectAt;
use crate::database::webhook::{Delivery, Webhook};
use crate::error::ApiError;
use crate::state::AppState;
use crate::webhook::{self, Asked, EVENTS, OnlySent};

/// Deliveries of one page.
const LOG: i64 = 50;
const KINDS: [(&str, &str); 2] = [("json", "JSON, signed"), ("slack", "a message for Slack")];

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    problem: Option<Callout>,
    secret: Option<Secret>,
    ask: Question,
    rows: Vec<Row>,
}

/// One webhook.
#[derive(Debug, Serialize)]
struct OnePage {
    base: String,
    id: String,
    problem: Option<Callout>,
    secret: Option<Secret>,
    ask: Question,
    row: Row,
    created: Moment,
    by: String,
    log: Vec<Line>,
    older: Option<String>,
}

/// What is asked of a webhook.
#[derive(Debug, Serialize)]
struct Question {
    name: Field,
    url: Field,
    kinds: Vec<Choice>,
    events: Vec<EventChoice>,
    all_projects: bool,
    enabled: bool,
}

#[derive(Debug, Serialize)]
struct EventChoice {
    name: &'static str,
    text: &'static str,
    chosen: bool,
}

/// What is shown this once. Its `Debug` shows nothing of it.
#[derive(Serialize)]
struct Secret {
    name: String,
    text: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    name: String,
    host: String,
    kind: String,
    events: Vec<String>,
    all_projects: bool,
    enabled: bool,
}

/// One delivery.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    event: String,
    subject: String,
    state: &'static str,
    word: String,
    attempts: i64,
    at: Moment,
    next: Option<Moment>,
    status: Option<i64>,
    millis: Option<i64>,
    says: String,
}

impl Row {
    fn of(row: &Webhook) -> Self {
        Self {
            id: row.id.clone(),
            name: row.name.clone(),
            host: crate::webhook::send::host_of(&row.url),
            kind: row.kind.clone(),
            events: row.events.split_whitespace().map(str::to_owned).collect(),
            all_projects: row.project_id.is_none(),
            enabled: row.enabled,
        }
    }
}

impl Line {
    fn of(row: Delivery) -> Self {
        let state = match row.state.as_str() {
            "delivered" => "active",
            "failed" => "bad",
            _ if row.attempts > 0 => "warn",
            _ => "waiting",
        };
        Self {
            state,
            at: Moment::relative(row.sent_at.unwrap_or(row.created_at)),
            next: (row.state == "waiting" && row.attempts > 0).then(|| Moment::relative(row.not_before)),
            millis: row.duration_us.map(|us| us / 1000),
            says: row.error.or(row.answer).unwrap_or_default(),
            id: row.id,
            event: row.event,
            subject: row.subject,
            word: row.state,
            attempts: row.attempts,
            status: row.status,
        }
    }
}

fn asked(form: &Form) -> Asked {
    Asked {
        name: form.get("name").to_owned(),
        url: form.get("url").to_owned(),
        kind: form.get("kind").to_owned(),
        events: form.all("event").iter().map(|event| (*event).to_owned()).collect(),
        all_projects: form.get("all_projects") == "yes",
        enabled: form.get("enabled") != "no",
    }
}

impl Question {
    fn new(asked: &Asked, url_error: Option<String>) -> Self {
        let chosen = |event: &str| asked.events.is_empty() || asked.events.iter().any(|e| e == event);
        let kind = KINDS.map(|(value, text)| Choice {
            value: value.into(),
            text: text.into(),
            chosen: value == asked.kind,
        });
        Self {
            name: Field::text("name", "Name", asked.name.as_str())
                .hint("For people. The host, where you say none."),
            url: Field::text("url", "Address", asked.url.as_str())
                .required()
                .hint("https://… of the public network.")
                .error(url_error),
            kinds: kind.into(),
            events: EVENTS
                .iter()
                .map(|(name, text)| EventChoice { name, text, chosen: chosen(name) })
                .collect(),
            all_projects: asked.all_projects,
            enabled: asked.enabled,
        }
    }

    fn of(row: &Webhook) -> Self {
        let asked = Asked {
            name: row.name.clone(),
            url: row.url.clone(),
            kind: row.kind.clone(),
            events: row.events.split_whitespace().map(str::to_owned).collect(),
            all_projects: row.project_id.is_none(),
            enabled: row.enabled,
        };
        Self::new(&asked, None)
    }
}

/// What was wrong: the status, beside which field, and why.
struct Wrong {
    status: StatusCode,
    at_url: Option<String>,
    problem: Option<Callout>,
}

impl Wrong {
    fn none() -> Self {
        Self { status: StatusCode::OK, at_url: None, problem: None }
    }

    fn of(error: ApiError, title: &str) -> Result<Self, super::fault::Fault> {
        let at_url = matches!(&error, ApiError::Invalid { field: Some("url"), .. });
        let (status, why) = beside_form(error)?;
        let problem = (!at_url).then(|| Callout::bad(title, why.clone()));
        Ok(Self { status, at_url: at_url.then_some(why), problem })
    }
}

fn base(at: &ProjectAt) -> String {
    format!("/{}/{}", at.organisation.slug, at.project.slug)
}

/// `GET /{organisation}/{project}/-/webhooks`.
pub(super) async fn get_webhooks(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let empty = Asked { kind: "json".into(), ..asked(&Form::default()) };
    show(&state, &visitor, &at, &empty, Wrong::none(), None).await
}

/// `POST /{organisation}/{project}/-/webhooks`: makes one, and shows its secret this once.
pub(super) async fn post_webhooks(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let asked = asked(&form);
    match webhook::create(&state, &visitor.actor, &at, &asked).await {
        Ok((row, secret)) => {
            let secret = Secret { name: row.name, text: secret.to_string() };
            let empty = Asked { kind: "json".into(), ..self::asked(&Form::default()) };
            show(&state, &visitor, &at, &empty, Wrong::none(), Some(secret)).await
        }
        Err(error) => {
            let wrong = Wrong::of(error, "No webhook was created.")?;
            show(&state, &visitor, &at, &asked, wrong, None).await
        }
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    at: &ProjectAt,
    asked: &Asked,
    wrong: Wrong,
    secret: Option<Secret>,
) -> PageResult {
    let rows = webhook::list(state, &visitor.actor, at).await?;
    let page = Page {
        base: base(at),
        problem: wrong.problem,
        secret,
        ask: Question::new(asked, wrong.at_url),
        rows: rows.iter().map(Row::of).collect(),
    };
    let frame = visitor.in_project(at).titled("Webhooks", "webhooks");
    Ok(engine::page(wrong.status, "webhooks.html", &frame, &page))
}

/// Where the log goes on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Before {
    before: Option<String>,
}

/// `GET /{organisation}/{project}/-/webhooks/{webhook}`.
pub(super) async fn get_webhook(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, id)): Path<(String, String, String)>,
    Query(from): Query<Before>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let row = webhook::find(&state, &visitor.actor, &at, &id).await?;
    let ask = Question::of(&row);
    one(&state, &visitor, &at, row, ask, Shown { before: from.before, ..Shown::default() }).await
}

#[derive(Default)]
struct Shown {
    before: Option<String>,
    secret: Option<Secret>,
    status: StatusCode,
    problem: Option<Callout>,
}

async fn one(
    state: &AppState,
    visitor: &Visitor,
    at: &ProjectAt,
    row: Webhook,
    ask: Question,
    shown: Shown,
) -> PageResult {
    let before = OnlySent { below: shown.before.as_deref(), ..OnlySent::default() };
    let mut log = webhook::log(state, &visitor.actor, at, &row.id, before, LOG + 1).await?;
    let more = i64::try_from(log.len()).is_ok_and(|found| found > LOG);
    log.truncate(usize::try_from(LOG).unwrap_or_default());
    let here = format!("{}/-/webhooks", base(at));
    let page = OnePage {
        base: here.clone(),
        id: row.id.clone(),
        problem: shown.problem,
        secret: shown.secret,
        ask,
        created: Moment::relative(row.created_at),
        by: row.created_by.clone(),
        older: log.last().filter(|_| more).map(|last| format!("{here}/{}?before={}", row.id, last.id)),
        row: Row::of(&row),
        log: log.into_iter().map(Line::of).collect(),
    };
    let topic = format!("webhook{}/{}", base(at), row.id);
    let frame = visitor
        .in_project(at)
        .crumb("Webhooks", here)
        .titled(&row.name, "webhooks")
        .following(encoded(&topic));
    Ok(engine::page(shown.status, "webhook.html", &frame, &page))
}

/// `POST /{organisation}/{project}/-/webhooks/{webhook}`: what the button `do` says.
pub(super) async fn post_webhook(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, id)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let back = format!("/{o}/{p}/-/webhooks/{id}");
    match form.get("do") {
        "test" => {
            webhook::test(&state, &visitor.actor, &at, &id).await?;
            Ok(Redirect::to(&format!("{back}#log")).into_response())
        }
        "secret" => {
            let (row, secret) = webhook::rotate(&state, &visitor.actor, &at, &id).await?;
            let secret = Some(Secret { name: row.name.clone(), text: secret.to_string() });
            let ask = Question::of(&row);
            one(&state, &visitor, &at, row, ask, Shown { secret, ..Shown::default() }).await
        }
        _ => {
            let asked = asked(&form);
            let Err(error) = webhook::change(&state, &visitor.actor, &at, &id, &asked).await else {
                return Ok(Redirect::to(&back).into_response());
            };
            let wrong = Wrong::of(error, "Nothing was changed.")?;
            let row = webhook::find(&state, &visitor.actor, &at, &id).await?;
            let ask = Question::new(&asked, wrong.at_url);
            let shown = Shown { status: wrong.status, problem: wrong.problem, ..Shown::default() };
            one(&state, &visitor, &at, row, ask, shown).await
        }
    }
}

/// `GET /{organisation}/{project}/-/webhooks/{webhook}/remove`.
pub(super) async fn get_remove(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, id)): Path<(String, String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let row = webhook::find(&state, &visitor.actor, &at, &id).await?;
    let list = format!("/{o}/{p}/-/webhooks");
    let title = format!("Remove {}", row.name);
    let frame = visitor.in_project(&at).crumb("Webhooks", &list).titled(&title, "webhooks").narrow();
    let events = row.events.replace(' ', ", ");
    Ok(ask(
        &frame,
        Ask {
            title,
            text: "Nothing more is sent to it, and the log of what was sent goes too. To stop it for a while, switch it off instead.".into(),
            action: format!("{list}/{id}/remove"),
            back: format!("{list}/{id}"),
            button: "Remove webhook".into(),
            facts: vec![("Host", crate::webhook::send::host_of(&row.url)), ("Events", events), ("Created by", row.created_by)],
        },
    ))
}

/// `POST /{organisation}/{project}/-/webhooks/{webhook}/remove`.
pub(super) async fn post_remove(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, id)): Path<(String, String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    webhook::remove(&state, &visitor.actor, &at, &id).await?;
    Ok(Redirect::to(&format!("/{o}/{p}/-/webhooks")).into_response())
}

/// `POST /{organisation}/{project}/-/webhooks/{webhook}/deliveries/{delivery}`.
pub(super) async fn post_delivery(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, id, delivery)): Path<(String, String, String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    webhook::redeliver(&state, &visitor.actor, &at, &id, &delivery).await?;
    Ok(Redirect::to(&format!("/{o}/{p}/-/webhooks/{id}#log")).into_response())
}

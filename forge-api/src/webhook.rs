//! Webhooks: what happens is told to other systems.
//!
//! An event is enqueued in the very transaction that does the thing ([`emit`]), and sent from there until it is
//! taken, for a day ([`deliver`]): at least once, signed, and only to addresses of the public network unless the
//! operator says otherwise ([`send`]).

pub(crate) mod deliver;
pub(crate) mod emit;
pub(crate) mod send;
mod slack;

pub use deliver::run;

use data_encoding::BASE64;
use serde_json::json;
use zeroize::Zeroizing;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::clock;
use crate::database::webhook::{self, Delivery, Webhook};
use crate::database::{Conn, Tx};
use crate::error::{ApiError, Result, within};
use crate::state::AppState;

/// What can be told, with a sentence for people.
pub const EVENTS: &[(&str, &str)] = &[
    ("set.locked", "a version was made"),
    ("review.requested", "a draft waits for approval"),
    ("review.approved", "a draft was approved"),
    ("review.returned", "a draft was given back"),
    ("publication.created", "a version was published"),
    ("publication.sent", "the broker has a publication, and agents get it"),
    ("agent.refused", "agents refused a publication, and keep what they had"),
    ("agent.stale", "agents no longer hear from FORGE"),
];
/// What becomes of a delivery.
pub const STATES: &[&str] = &["waiting", "delivered", "failed"];
/// The event of a test.
pub const PING: &str = "ping";

/// How a secret begins; what follows is base64 of the key.
pub const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;
/// Longest name, in characters.
const NAME_MAX: usize = 100;
/// Webhooks of one organisation.
const WEBHOOKS_MAX: usize = 50;

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our own JSON.
    Json,
    /// One message as Slack and what imitates it take it.
    Slack,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
        }
    }

    /// Reads a kind's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Json, Self::Slack].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What people say of a webhook.
#[derive(Debug, Clone)]
pub struct Asked {
    pub name: String,
    pub url: String,
    pub kind: String,
    /// Empty: every event.
    pub events: Vec<String>,
    /// Whether events of every project of the organisation are sent.
    pub all_projects: bool,
    pub enabled: bool,
}

/// The name under which a secret is sealed.
fn sealed_as(id: &str) -> String {
    format!("webhook/{id}")
}

fn new_secret(state: &AppState, id: &str) -> Result<(Zeroizing<String>, Vec<u8>)> {
    let key = Zeroizing::new(rand::random::<[u8; SECRET_BYTES]>());
    let sealed = state.keys.sealer().seal(&sealed_as(id), &*key).map_err(ApiError::internal)?;
    Ok((Zeroizing::new(format!("{SECRET_PREFIX}{}", BASE64.encode(&*key))), sealed))
}

fn invalid(field: &'static str, detail: impl Into<String>) -> ApiError {
    ApiError::invalid("invalid", field, detail)
}

/// Checks what people say, and gives it as it is kept.
fn checked(state: &AppState, asked: &Asked) -> Result<(String, String, &'static str, String)> {
    let private = state.config.webhook_private_addresses;
    let target = send::Target::parse(asked.url.trim(), private).map_err(|why| invalid("url", why))?;
    let kind = Kind::parse(&asked.kind).ok_or_else(|| invalid("kind", "it is json or slack"))?;
    let known = |name: &&String| EVENTS.iter().any(|(event, _)| event == name);
    if let Some(other) = asked.events.iter().find(|name| !known(name)) {
        let all: Vec<&str> = EVENTS.iter().map(|(event, _)| *event).collect();
        return Err(invalid("events", format!("{other:?} is no event; choose of {}", all.join(", "))));
    }
    let chosen = EVENTS.iter().map(|(event, _)| *event);
    let events: Vec<&str> =
        chosen.filter(|event| asked.events.is_empty() || asked.events.iter().any(|e| e == event)).collect();
    let name = within("name", "a name", &asked.name, NAME_MAX)?;
    let name = if name.is_empty() { target.host().to_owned() } else { name };
    Ok((name, asked.url.trim().to_owned(), kind.as_str(), events.join(" ")))
}

fn require(actor: &Actor, at: &ProjectAt, all_projects: bool) -> Result<()> {
    at.require(actor, Action::ManageProjects)?;
    if all_projects { actor.require(&at.organisation.id, Action::ManageProjects) } else { Ok(()) }
}

async fn record(tx: &mut Tx, actor: &Actor, at: &ProjectAt, action: &str, row: &Webhook) -> Result<()> {
    // The address may hold a secret of its own, as Slack's do.
    let detail = json!({
        "webhook": row.id, "host": send::host_of(&row.url), "events": row.events, "enabled": row.enabled,
        "all_projects": row.project_id.is_none(),
    });
    audit::record(tx, actor, &at.organisation.id, action, &format!("{}/-/{}", at.path(), row.name), detail)
        .await
}

/// Makes a webhook. Its secret is shown this once.
///
/// # Errors
/// Not allowed; an address, kind or event that cannot be; too many. Nothing is changed then.
pub async fn create(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    asked: &Asked,
) -> Result<(Webhook, Zeroizing<String>)> {
    require(actor, at, asked.all_projects)?;
    let (name, url, kind, events) = checked(state, asked)?;
    let (id, now) = (clock::new_id(), clock::now());
    let (secret, sealed) = new_secret(state, &id)?;
    let row = Webhook {
        id,
        organisation_id: at.organisation.id.clone(),
        project_id: (!asked.all_projects).then(|| at.project.id.clone()),
        name,
        url,
        kind: kind.into(),
        events,
        secret: sealed,
        enabled: asked.enabled,
        created_by: actor.name.clone(),
        created_at: now,
        updated_at: now,
    };
    let mut tx = state.database.write().await?;
    if webhook::of_organisation(&mut tx, &at.organisation.id).await?.len() >= WEBHOOKS_MAX {
        let detail = format!("an organisation has at most {WEBHOOKS_MAX} webhooks; remove one");
        return Err(ApiError::conflict("too_many", detail));
    }
    webhook::insert(&mut tx, &row).await?;
    record(&mut tx, actor, at, "webhook.created", &row).await?;
    tx.commit().await?;
    Ok((row, secret))
}

/// Whether a webhook is told of a project's events.
fn belongs(row: &Webhook, at: &ProjectAt) -> bool {
    row.organisation_id == at.organisation.id && row.project_id.as_ref().is_none_or(|id| *id == at.project.id)
}

async fn owned(conn: &mut Conn, at: &ProjectAt, id: &str) -> Result<Webhook> {
    let found = webhook::by_id(conn, id).await?;
    found.filter(|row| belongs(row, at)).ok_or(ApiError::NotFound("webhook"))
}

/// The webhooks that are told of a project's events, oldest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<Webhook>> {
    at.require(actor, Action::ManageProjects)?;
    let mut conn = state.database.read().await?;
    let mut found = webhook::of_organisation(&mut conn, &at.organisation.id).await?;
    found.retain(|row| belongs(row, at));
    Ok(found)
}

/// One of them.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`].
pub async fn find(state: &AppState, actor: &Actor, at: &ProjectAt, id: &str) -> Result<Webhook> {
    at.require(actor, Action::ManageProjects)?;
    let mut conn = state.database.read().await?;
    owned(&mut conn, at, id).await
}

/// Changes what a webhook is; its secret stays.
///
/// # Errors
/// As [`create`].
pub async fn change(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    id: &str,
    asked: &Asked,
) -> Result<Webhook> {
    require(actor, at, asked.all_projects)?;
    let (name, url, kind, events) = checked(state, asked)?;
    let mut tx = state.database.write().await?;
    let old = owned(&mut tx, at, id).await?;
    require(actor, at, old.project_id.is_none())?;
    let row = Webhook {
        project_id: (!asked.all_projects).then(|| at.project.id.clone()),
        name,
        url,
        kind: kind.into(),
        events,
        enabled: asked.enabled,
        updated_at: clock::now(),
        ..old
    };
    webhook::update(&mut tx, &row).await?;
    record(&mut tx, actor, at, "webhook.changed", &row).await?;
    tx.commit().await?;
    Ok(row)
}

/// Gives a webhook another secret, which is shown this once; the old one signs nothing more.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`].
pub async fn rotate(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    id: &str,
) -> Result<(Webhook, Zeroizing<String>)> {
    at.require(actor, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    let mut row = owned(&mut tx, at, id).await?;
    require(actor, at, row.project_id.is_none())?;
    let (secret, sealed) = new_secret(state, id)?;
    row.secret = sealed;
    row.updated_at = clock::now();
    webhook::update(&mut tx, &row).await?;
    record(&mut tx, actor, at, "webhook.rotated", &row).await?;
    tx.commit().await?;
    Ok((row, secret))
}

/// Removes a webhook with its log; what waits is not sent any more.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`].
pub async fn remove(state: &AppState, actor: &Actor, at: &ProjectAt, id: &str) -> Result<()> {
    at.require(actor, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    let row = owned(&mut tx, at, id).await?;
    require(actor, at, row.project_id.is_none())?;
    webhook::delete(&mut tx, id).await?;
    record(&mut tx, actor, at, "webhook.removed", &row).await?;
    Ok(tx.commit().await?)
}

/// Sends a webhook something to see whether it gets there.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`].
pub async fn test(state: &AppState, actor: &Actor, at: &ProjectAt, id: &str) -> Result<Delivery> {
    at.require(actor, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    let row = owned(&mut tx, at, id).await?;
    let event = emit::Event {
        name: PING,
        organisation: &at.organisation,
        project: Some(&at.project.slug),
        subject: &at.path(),
        actor: &actor.name,
        data: json!({ "webhook": row.name }),
    };
    let made = emit::waiting(&row.id, PING, event.subject, event.payload());
    again(state, tx, actor, at, &row, made).await
}

/// Sends once more what was sent, or failed, before: as a delivery of its own with the same event's id.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`].
pub async fn redeliver(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    id: &str,
    delivery: &str,
) -> Result<Delivery> {
    at.require(actor, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    let row = owned(&mut tx, at, id).await?;
    let old = webhook::delivery(&mut tx, id, delivery).await?.ok_or(ApiError::NotFound("delivery"))?;
    let made = emit::waiting(id, &old.event, &old.subject, old.payload);
    again(state, tx, actor, at, &row, made).await
}

async fn again(
    state: &AppState,
    mut tx: Tx,
    actor: &Actor,
    at: &ProjectAt,
    row: &Webhook,
    made: Delivery,
) -> Result<Delivery> {
    if webhook::waiting(&mut tx, &row.id).await? >= emit::WAITING_MAX {
        return Err(ApiError::conflict("too_many", "too much waits for this webhook already"));
    }
    webhook::enqueue(&mut tx, std::slice::from_ref(&made)).await?;
    record(&mut tx, actor, at, "webhook.tried", row).await?;
    tx.commit().await?;
    state.webhooks.notify_one();
    Ok(made)
}

/// What of a webhook's log is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnlySent<'a> {
    /// One of [`STATES`]; none: all of them.
    pub state: Option<&'a str>,
    /// An id: only what was written before it.
    pub below: Option<&'a str>,
}

/// What was sent to a webhook, or waits to be, newest first.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`].
pub async fn log(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    id: &str,
    only: OnlySent<'_>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    at.require(actor, Action::ManageProjects)?;
    let mut conn = state.database.read().await?;
    owned(&mut conn, at, id).await?;
    // Ids are of hexadecimal digits: this is above all of them.
    let below = only.below.unwrap_or("g");
    Ok(webhook::log(&mut conn, id, only.state, below, limit.clamp(1, 1000)).await?)
}

/// The key of a webhook's signatures.
pub(crate) fn key(state: &AppState, row: &Webhook) -> Result<Zeroizing<Vec<u8>>> {
    state.keys.sealer().open(&sealed_as(&row.id), &row.secret).map_err(ApiError::internal)
}

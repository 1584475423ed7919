//! Credentials: made and shown once, listed, revoked.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use publisher::credentials::Role;
use serde::Serialize;

use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::new::{Ask, ask};
use super::view::{Callout, Choice, Field, Moment, short};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, ProjectAt};
use crate::clock;
use crate::credential::{self, Created, New};
use crate::database::credential::Credential;
use crate::database::project::Environment;
use crate::error::ApiError;
use crate::state::AppState;

const DAY: i64 = 86_400_000_000;
/// From here on an end comes soon.
const SOON: i64 = 14 * DAY;
const DEFAULT_PERIOD: &str = "90";
/// How long a credential may be valid, in days.
const PERIODS: [(&str, &str); 4] =
    [("90", "90 days"), ("30", "30 days"), ("365", "one year"), ("", "no end")];

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    may_create: bool,
    problem: Option<Callout>,
    secret: Option<Secret>,
    name: Field,
    environments: Vec<EnvironmentChoice>,
    periods: Vec<Choice>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct EnvironmentChoice {
    slug: String,
    chosen: bool,
}

/// What is shown this once. Its `Debug` shows nothing of it.
#[derive(Serialize)]
struct Secret {
    name: String,
    line: String,
    creds: String,
    environment: String,
    expires: String,
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
    environment: String,
    state: &'static str,
    word: &'static str,
    expires: Option<Moment>,
    created: Moment,
    by: String,
    key: String,
    key_short: String,
    may_revoke: bool,
}

/// `GET /{organisation}/{project}/-/credentials`.
pub(super) async fn get_credentials(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    show(&state, &visitor, &at, &Form::default(), StatusCode::OK, Ok(None)).await
}

/// `POST /{organisation}/{project}/-/credentials`: makes one, and shows it this once.
pub(super) async fn post_credentials(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let days: Option<i64> = form.get("days").parse().ok();
    let new = New {
        environment: form.get("environment"),
        name: form.get("name"),
        kind: Role::Agent,
        expires_at: days.map(|d| clock::now() + d.clamp(1, 3650) * DAY),
    };
    match credential::create(&state, &visitor.actor, &at, new).await {
        Ok(made) => show(&state, &visitor, &at, &Form::default(), StatusCode::OK, Ok(Some(made))).await,
        Err(error) => {
            let (status, why) = beside_form(error)?;
            show(&state, &visitor, &at, &form, status, Err(why)).await
        }
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    at: &ProjectAt,
    form: &Form,
    status: StatusCode,
    made: Result<Option<Created>, String>,
) -> PageResult {
    let (created, why) = match made {
        Ok(created) => (created, None),
        Err(why) => (None, Some(why)),
    };
    let may = visitor.actor.may(&at.organisation.id, Action::ManageCredentials);
    let rows = credential::list(state, &visitor.actor, at).await?;
    let environments = author::environments(state, &visitor.actor, at).await?;
    let about_name = form.get("name").trim().is_empty();
    let days = form.all("days").first().copied().unwrap_or(DEFAULT_PERIOD);
    let page = Page {
        base: format!("/{}/{}", at.organisation.slug, at.project.slug),
        may_create: may,
        problem: why
            .clone()
            .filter(|_| !about_name)
            .map(|why| Callout::bad("No credential was created.", why)),
        secret: created.map(Secret::of),
        name: Field::text("name", "Name", form.get("name")).required().error(why.filter(|_| about_name)),
        environments: environments
            .iter()
            .map(|e| EnvironmentChoice { slug: e.slug.clone(), chosen: e.slug == form.get("environment") })
            .collect(),
        periods: PERIODS
            .map(|(value, text)| Choice { value: value.into(), text: text.into(), chosen: value == days })
            .into(),
        rows: rows.iter().map(|(c, e)| Row::of(c, e, may)).collect(),
    };
    let frame = visitor.in_project(at).titled("Credentials", "credentials");
    Ok(engine::page(status, "credentials.html", &frame, &page))
}

impl Secret {
    fn of(made: Created) -> Self {
        Self {
            name: made.credential.name,
            line: made.connect_line.to_string(),
            creds: made.creds.to_string(),
            environment: made.environment.slug,
            expires: made.credential.expires_at.map_or_else(
                || "never expires".to_owned(),
                |at| format!("expires {}", Moment::relative(at).text),
            ),
        }
    }
}

impl Row {
    fn of(row: &Credential, environment: &Environment, may: bool) -> Self {
        let left = row.expires_at.map(|at| at - clock::now());
        let (state, word) = match (row.revoked_at, left) {
            (Some(_), _) => ("revoked", "revoked"),
            (_, Some(..=0)) => ("waiting", "expired"),
            (_, Some(1..SOON)) => ("stale", "expires soon"),
            _ => ("active", "valid"),
        };
        Self {
            id: row.id.clone(),
            name: row.name.clone(),
            environment: environment.slug.clone(),
            state,
            word,
            expires: row.expires_at.map(Moment::relative),
            created: Moment::relative(row.created_at),
            by: row.created_by.clone(),
            key: row.public_key.clone(),
            key_short: short(&row.public_key),
            may_revoke: may && row.revoked_at.is_none(),
        }
    }
}

/// `GET /{organisation}/{project}/-/credentials/{id}/revoke`.
pub(super) async fn get_revoke(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, id)): Path<(String, String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let rows = credential::list(&state, &visitor.actor, &at).await?;
    let (row, environment) = rows.iter().find(|(c, _)| c.id == id).ok_or(ApiError::NotFound("credential"))?;
    let base = format!("/{o}/{p}/-/credentials");
    let title = format!("Revoke {}", row.name);
    let frame = visitor.in_project(&at).crumb("Credentials", &base).titled(&title, "credentials").narrow();
    Ok(ask(
        &frame,
        Ask {
            title,
            text: "Agents that use it are disconnected within seconds and cannot come back. They go on serving what they have.".into(),
            action: format!("{base}/{id}/revoke"),
            back: base,
            button: "Revoke credential".into(),
            facts: vec![
                ("Environment", environment.slug.clone()),
                ("Public key", row.public_key.clone()),
                ("Created by", row.created_by.clone()),
            ],
        },
    ))
}

/// `POST /{organisation}/{project}/-/credentials/{id}/revoke`.
pub(super) async fn post_revoke(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, id)): Path<(String, String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    credential::revoke(&state, &visitor.actor, &at, &id).await?;
    Ok(Redirect::to(&format!("/{o}/{p}/-/credentials")).into_response())
}

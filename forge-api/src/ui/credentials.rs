//! Credentials: made and shown once, listed, revoked.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use publisher::credentials::Role;
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::new::{Ask, ask};
use super::view::{Callout, Choice, Field, Moment, short};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, ProjectAt};
use crate::clock;
use crate::credential::{self, Created, DAY, Ends, New, Standing};
use crate::database::credential::Credential;
use crate::database::project::Environment;
use crate::error::ApiError;
use crate::state::AppState;

const DEFAULT_PERIOD: &str = "90";
const OWN_DATE: &str = "date";
const NEVER: &str = "never";
/// How long a credential may be valid, in days.
const PERIODS: [(&str, &str); 5] = [
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "one year"),
    (OWN_DATE, "until the date beside"),
    (NEVER, "for ever (not advised)"),
];

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    may_create: bool,
    problem: Option<Callout>,
    secret: Option<Secret>,
    name: Field,
    purpose: Field,
    until: Field,
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
    purpose: String,
    used: Option<Moment>,
    used_by: String,
    used_from: String,
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
    let made = match ends(form.get("days"), form.get("until")) {
        Ok(ends) => {
            let new = New {
                environment: form.get("environment"),
                name: form.get("name"),
                purpose: form.get("purpose"),
                kind: Role::Agent,
                ends,
            };
            credential::create(&state, &visitor.actor, &at, new).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(made) => show(&state, &visitor, &at, &Form::default(), StatusCode::OK, Ok(Some(made))).await,
        Err(error) => {
            let (status, why) = beside_form(error)?;
            show(&state, &visitor, &at, &form, status, Err(why)).await
        }
    }
}

/// What the form says on when it ends.
fn ends(days: &str, until: &str) -> crate::error::Result<Ends> {
    match days {
        NEVER => Ok(Ends::Never),
        OWN_DATE => {
            // The whole of that day.
            let end = clock::parse(&format!("{until}T00:00:00Z")).map(|at| at + DAY);
            let end = end.filter(|at| *at > clock::now());
            end.map(Ends::At).ok_or_else(|| {
                ApiError::invalid("invalid", "until", "choose a day that is still to come as its last one")
            })
        }
        days => Ok(days.parse().map_or(Ends::Default, Ends::in_days)),
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
    let may = at.lets(&visitor.actor, Action::ManageCredentials);
    let rows = credential::list(state, &visitor.actor, at).await?;
    let environments = author::environments(state, &visitor.actor, at).await?;
    let about_name = why.is_some() && form.get("name").trim().is_empty();
    let until = Field { kind: "date", ..Field::text("until", "Last day", form.get("until")) };
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
        purpose: Field::text("purpose", "Purpose", form.get("purpose"))
            .hint("For people: what it is used for, and whom to ask."),
        until: until.hint("Counts where it is valid until the date beside."),
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
        let (state, word) = match Standing::of(row) {
            Standing::Revoked => ("revoked", "revoked"),
            Standing::Expired => ("waiting", "expired"),
            Standing::ExpiresSoon => ("stale", "expires soon"),
            Standing::Active => ("active", "active"),
        };
        Self {
            id: row.id.clone(),
            name: row.name.clone(),
            purpose: row.purpose.clone(),
            used: row.last_seen_at.map(Moment::relative),
            used_by: row.last_seen_agent.clone().unwrap_or_default(),
            used_from: row.last_seen_address.clone().unwrap_or_default(),
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
                ("Last used", last_used(row)),
                ("Public key", row.public_key.clone()),
                ("Created by", row.created_by.clone()),
            ],
        },
    ))
}

/// In words, for somebody who is about to revoke it.
fn last_used(row: &Credential) -> String {
    let Some(at) = row.last_seen_at else { return "never".into() };
    let by = row.last_seen_agent.as_deref().filter(|a| !a.is_empty()).unwrap_or("a client without a name");
    let from = row.last_seen_address.as_deref().filter(|a| !a.is_empty()).unwrap_or("an unknown address");
    format!("{} by {by} from {from}", Moment::relative(at).text)
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

//! One's own account: look, keys of the keyboard, password, sessions, API keys.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{Fault, PageResult, beside_form};
use super::form::Form;
use super::sign_in::{waiting, with_cookie};
use super::view::{Callout, Choice, Field, Moment};
use super::visitor::Visitor;
use crate::auth::{Entry, Role, Scope, Scopes};
use crate::clock;
use crate::database::organisation::Organisation;
use crate::database::session::Session;
use crate::database::user::ApiToken;
use crate::error::ApiError;
use crate::server;
use crate::session::{self, ChangePassword, Client, NewToken};
use crate::state::AppState;

/// How long an API key may be valid, in days; without an end only who asks for that.
const PERIODS: [(&str, &str); 4] =
    [("90", "90 days"), ("30", "30 days"), ("365", "one year"), ("never", "no end")];

#[derive(Debug, Serialize)]
struct Page {
    name: String,
    /// The name as it was typed.
    typed_name: String,
    name_error: Option<String>,
    email: String,
    memberships: Vec<Membership>,
    themes: Vec<Theme>,
    keys: bool,
    password: Vec<Field>,
    /// Whether a new password revokes API keys too.
    revokes: bool,
    sessions: Vec<SessionRow>,
    secret: Option<Secret>,
    new_key: Option<NewKey>,
    api_keys: Vec<KeyRow>,
    problem: Option<Callout>,
}

/// A browser that is signed in.
#[derive(Debug, Serialize)]
struct SessionRow {
    id: String,
    browser: String,
    address: String,
    began: Moment,
    seen: Moment,
    this: bool,
}

/// What is shown this once. Its `Debug` shows nothing of it.
#[derive(Serialize)]
struct Secret {
    name: String,
    token: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The form of a new API key.
#[derive(Debug, Serialize)]
struct NewKey {
    name: Field,
    organisations: Vec<Choice>,
    roles: Vec<Choice>,
    projects: Field,
    scopes: Vec<ScopeChoice>,
    periods: Vec<Choice>,
}

#[derive(Debug, Serialize)]
struct ScopeChoice {
    value: &'static str,
    text: &'static str,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct KeyRow {
    id: String,
    name: String,
    organisation: String,
    role: String,
    scopes: String,
    /// The only ones that it reaches.
    projects: Option<String>,
    state: &'static str,
    word: &'static str,
    expires: Option<Moment>,
    used: Option<Moment>,
    may_revoke: bool,
}

#[derive(Debug, Serialize)]
struct Membership {
    slug: String,
    name: String,
    role: String,
    /// Where a member leaves; a guest belongs to projects only.
    leave: Option<String>,
}

impl Membership {
    fn of(organisation: &Organisation, role: String) -> Self {
        Self { slug: organisation.slug.clone(), name: organisation.name.clone(), role, leave: None }
    }
}

#[derive(Debug, Serialize)]
struct Theme {
    value: &'static str,
    text: &'static str,
    checked: bool,
}

/// `GET /-/account`.
pub(super) async fn get_account(visitor: Visitor, State(state): State<AppState>) -> PageResult {
    show(&state, &visitor, StatusCode::OK, &Form::default(), Shown::default()).await
}

/// The forms of the page that can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Name,
    Key,
    Password,
}

impl Sent {
    /// Its fields that say themselves what is wrong with them.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["name"],
            Self::Key => &["projects"],
            Self::Password => &["old", "new"],
        }
    }
}

/// What is shown besides what is always shown.
#[derive(Debug, Default)]
struct Shown {
    problem: Option<Callout>,
    secret: Option<Secret>,
    /// The form that was refused: it is shown as it was typed.
    sent: Option<Sent>,
    /// Which field of it is wrong, and why.
    field: Option<&'static str>,
    why: Option<String>,
}

impl Shown {
    /// A form that was refused: told at its field, or else above.
    fn refused(sent: Sent, title: &str, error: ApiError) -> Result<(StatusCode, Self), Fault> {
        let field = match &error {
            // Others know one password only.
            ApiError::Invalid { field: Some("password"), .. } => Some("new"),
            ApiError::Invalid { field, .. } => *field,
            _ => None,
        };
        let field = field.filter(|field| sent.fields().contains(field));
        let (status, why) = beside_form(error)?;
        let problem = field.is_none().then(|| Callout::bad(title, why.clone()));
        Ok((status, Self { problem, secret: None, sent: Some(sent), field, why: Some(why) }))
    }

    fn at(&self, sent: Sent, field: &str) -> Option<String> {
        self.why.clone().filter(|_| self.sent == Some(sent) && self.field == Some(field))
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    status: StatusCode,
    form: &Form,
    shown: Shown,
) -> PageResult {
    let sessions = session::sessions(state, &visitor.actor).await?;
    let tokens = session::tokens(state, &visitor.actor).await?;
    let theme = visitor.look.theme.unwrap_or("system");
    let none = Form::default();
    let typed = |sent: Sent| if shown.sent == Some(sent) { form } else { &none };
    let is_named = shown.sent == Some(Sent::Name);
    let named = if is_named { form.get("name") } else { visitor.actor.name.as_str() };
    let page = Page {
        typed_name: named.to_owned(),
        name_error: shown.at(Sent::Name, "name"),
        password: password_fields(&shown),
        revokes: shown.sent != Some(Sent::Password) || revokes(form),
        new_key: NewKey::of(visitor, typed(Sent::Key), shown.at(Sent::Key, "projects")),
        name: visitor.actor.name.clone(),
        email: visitor.actor.email.clone(),
        memberships: visitor
            .organisations
            .iter()
            .map(|(o, role)| Membership {
                leave: Some(format!("/{}/-/leave", o.slug)),
                ..Membership::of(o, role.as_str().replace('_', " "))
            })
            .chain(visitor.visited.iter().map(|o| Membership::of(o, "guest".to_owned())))
            .collect(),
        themes: [("system", "As the system"), ("light", "Light"), ("dark", "Dark")]
            .map(|(value, text)| Theme { value, text, checked: value == theme })
            .into(),
        keys: visitor.look.keys,
        sessions: sessions.iter().map(|s| SessionRow::of(s, visitor)).collect(),
        secret: shown.secret,
        api_keys: tokens.iter().map(|t| KeyRow::of(t, visitor)).collect(),
        problem: shown.problem,
    };
    let frame = visitor.anywhere().titled("Account", "account").narrow();
    Ok(engine::page(status, "account.html", &frame, &page))
}

fn password_fields(shown: &Shown) -> Vec<Field> {
    let secret = |id, label, autocomplete, hint: String| Field {
        kind: "password",
        autocomplete,
        hint: Some(hint),
        required: true,
        ..Field::text(id, label, "").error(shown.at(Sent::Password, id))
    };
    vec![
        Field {
            required: false,
            ..secret(
                "old",
                "Current password",
                "current-password",
                "Leave empty if you have none yet; then set it right after signing in by a link.".into(),
            )
        },
        secret(
            "new",
            "New password",
            "new-password",
            format!(
                "At least {} characters; a few words do well. It ends all sessions.",
                session::PASSWORD_MIN
            ),
        ),
    ]
}

impl SessionRow {
    fn of(row: &Session, visitor: &Visitor) -> Self {
        Self {
            id: row.id.clone(),
            browser: browser(&row.user_agent),
            address: row.address.clone(),
            began: Moment::relative(row.created_at),
            seen: Moment::relative(row.last_seen_at),
            this: matches!(&visitor.actor.entry, Entry::Session { id, .. } if *id == row.id),
        }
    }
}

/// `Firefox on Linux`, as far as the browser says.
fn browser(agent: &str) -> String {
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
    };
    // Each of them also names those further down.
    let program = [("Firefox/", "Firefox"), ("Edg/", "Edge"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    let system = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS", "macOS"),
        ("Windows", "Windows"),
        ("Linux", "Linux"),
    ];
    match (named(&program), named(&system)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        _ if agent.is_empty() => "A program".to_owned(),
        _ => agent.chars().take(60).collect(),
    }
}

impl NewKey {
    /// None for who belongs to no organisation: there is nothing to reach with a key.
    fn of(visitor: &Visitor, form: &Form, at_projects: Option<String>) -> Option<Self> {
        // A guest's key reaches the projects that were granted.
        let first = visitor.places().next()?;
        let own = visitor.organisations.iter().map(|(_, role)| *role);
        let granted = visitor.actor.grants.iter().map(|g| g.role);
        let highest = own.chain(granted).max_by_key(|r| r.rank())?;
        let choice = |name: &str, default: &str, value: &str, text: String| {
            let chosen = form.all(name).first().copied().unwrap_or(default) == value;
            Choice { value: value.to_owned(), text, chosen }
        };
        let asked = form.all("scope");
        let scopes = [
            (Scope::Edit, "edit: change drafts, lock versions"),
            (Scope::Review, "review: approve and return drafts"),
            (Scope::Publish, "publish: publish and roll back"),
            (Scope::Manage, "manage: projects, credentials, audit log"),
        ];
        let roles = Role::ALL.into_iter().filter(|r| r.rank() <= highest.rank());
        Some(Self {
            name: Field::text("name", "Name", form.get("name"))
                .required()
                .hint("What it is for, such as ci."),
            organisations: visitor
                .places()
                .map(|o| choice("organisation", &first.slug, &o.slug, o.name.clone()))
                .collect(),
            roles: roles
                .map(|r| choice("role", highest.as_str(), r.as_str(), r.as_str().replace('_', " ")))
                .collect(),
            projects: Field::text("projects", "Only in these projects", form.get("projects"))
                .hint("Their names in addresses, with commas between. Empty: all that you reach.")
                .error(at_projects),
            scopes: scopes
                .map(|(scope, text)| ScopeChoice {
                    value: scope.as_str(),
                    text,
                    chosen: asked.contains(&scope.as_str()),
                })
                .into(),
            periods: PERIODS.map(|(value, text)| choice("days", PERIODS[0].0, value, text.to_owned())).into(),
        })
    }
}

impl KeyRow {
    fn of(row: &ApiToken, visitor: &Visitor) -> Self {
        let over = row.expires_at.is_some_and(|end| end <= clock::now());
        let (state, word) = match (row.revoked_at, over) {
            (Some(_), _) => ("revoked", "revoked"),
            (None, true) => ("waiting", "expired"),
            (None, false) => ("active", "valid"),
        };
        let place = visitor.places().find(|o| o.id == row.organisation_id);
        Self {
            id: row.id.clone(),
            name: row.name.clone(),
            organisation: place.map_or_else(|| "left".to_owned(), |o| o.slug.clone()),
            role: row.role.replace('_', " "),
            scopes: row.scopes.clone(),
            projects: row.projects.as_ref().map(|names| names.replace(' ', ", ")),
            state,
            word,
            expires: row.expires_at.map(Moment::relative),
            used: row.last_used_at.map(Moment::relative),
            may_revoke: row.revoked_at.is_none() && !over,
        }
    }
}

/// `POST /-/account/keys`: makes one, and shows it this once.
pub(super) async fn post_key(visitor: Visitor, State(state): State<AppState>, form: Form) -> PageResult {
    match create_key(&state, &visitor, &form).await {
        Ok((token, row)) => {
            let secret = Some(Secret { name: row.name, token });
            let shown = Shown { secret, ..Shown::default() };
            show(&state, &visitor, StatusCode::OK, &Form::default(), shown).await
        }
        Err(error) => {
            let (status, shown) = Shown::refused(Sent::Key, "No API key was created.", error)?;
            show(&state, &visitor, status, &form, shown).await
        }
    }
}

async fn create_key(
    state: &AppState,
    visitor: &Visitor,
    form: &Form,
) -> Result<(String, ApiToken), ApiError> {
    let organisation = visitor.visit(form.get("organisation"))?;
    let role = Role::parse(form.get("role"));
    let role = role.ok_or_else(|| ApiError::invalid("invalid", "role", "choose a role"))?;
    let scopes: Vec<_> = form.all("scope").into_iter().filter_map(Scope::parse).collect();
    let expires_at = match form.get("days") {
        "never" => None,
        days => Some(session::end_after(days.parse().unwrap_or(session::TOKEN_DAYS))),
    };
    let names = form.get("projects").split([',', ' ']).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let projects = (!names.is_empty()).then_some(names.as_slice());
    let new = NewToken { name: form.get("name"), role, scopes: Scopes::of(&scopes), expires_at, projects };
    session::create_token(state, &visitor.actor, &organisation.id, new).await
}

/// `POST /-/account/keys/{key}/revoke`.
pub(super) async fn post_revoke_key(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(key): Path<String>,
) -> PageResult {
    session::revoke_token(&state, &visitor.actor, &key).await?;
    Ok(Redirect::to("/-/account").into_response())
}

/// `POST /-/account/sessions/{session}/end`.
pub(super) async fn post_end_session(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> PageResult {
    session::end_session(&state, &visitor.actor, &id).await?;
    Ok(Redirect::to("/-/account").into_response())
}

/// `POST /-/account/sessions/end`.
pub(super) async fn post_end_sessions(
    visitor: Visitor,
    State(state): State<AppState>,
    form: Form,
) -> PageResult {
    session::end_sessions(&state, &visitor.actor, revokes(&form)).await?;
    Ok(gone(&state))
}

/// The tick box about API keys; it is ticked unless somebody unticks it.
fn revokes(form: &Form) -> bool {
    form.get("revoke_tokens") == "on"
}

/// Back at the door.
fn gone(state: &AppState) -> Response {
    with_cookie(server::expired_cookie(state), Redirect::to("/-/sign-in").into_response())
}

/// `POST /-/account/name`.
pub(super) async fn post_name(visitor: Visitor, State(state): State<AppState>, form: Form) -> PageResult {
    match session::rename(&state, &visitor.actor, form.get("name")).await {
        Ok(()) => Ok(Redirect::to("/-/account").into_response()),
        Err(error) => {
            let (status, shown) = Shown::refused(Sent::Name, "Name not changed.", error)?;
            show(&state, &visitor, status, &form, shown).await
        }
    }
}

/// `POST /-/account/look`.
pub(super) async fn post_look(_: Visitor, form: Form) -> PageResult {
    let theme = match form.get("theme") {
        "light" => "theme=light; Max-Age=31536000",
        "dark" => "theme=dark; Max-Age=31536000",
        _ => "theme=; Max-Age=0",
    };
    let keys = if form.get("keys") == "on" { "keys=; Max-Age=0" } else { "keys=off; Max-Age=31536000" };
    let mut response = Redirect::to("/-/account").into_response();
    for cookie in [theme, keys] {
        if let Ok(value) = HeaderValue::from_str(&format!("{cookie}; Path=/; SameSite=Lax")) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}

/// `POST /-/account/password`.
pub(super) async fn post_password(
    visitor: Visitor,
    client: Client,
    State(state): State<AppState>,
    form: Form,
) -> PageResult {
    let change = ChangePassword { old: form.get("old"), new: form.get("new"), revoke_tokens: revokes(&form) };
    match session::change_password(&state, &client, &visitor.actor, change).await {
        Ok(()) => Ok(gone(&state)),
        Err(error) => {
            let wait = error.retry_after_s();
            let (status, shown) = Shown::refused(Sent::Password, "Password not changed.", error)?;
            Ok(waiting(wait, show(&state, &visitor, status, &form, shown).await?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_people_name_it() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(browser(firefox), "Firefox on Linux");
        let edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0";
        assert_eq!(browser(edge), "Edge on Windows");
        assert_eq!(browser("curl/8.5.0"), "curl/8.5.0");
        assert_eq!(browser(""), "A program");
    }
}

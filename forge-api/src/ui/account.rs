//! One's own account: look, keys, password; and the help page.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Serialize;

use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::sign_in::with_cookie;
use super::view::{Callout, Field};
use super::visitor::Visitor;
use crate::server;
use crate::session;
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct Page {
    name: String,
    email: String,
    memberships: Vec<Membership>,
    themes: Vec<Theme>,
    keys: bool,
    may_password: bool,
    password: Vec<Field>,
    problem: Option<Callout>,
}

#[derive(Debug, Serialize)]
struct Membership {
    slug: String,
    name: String,
    role: String,
}

#[derive(Debug, Serialize)]
struct Theme {
    value: &'static str,
    text: &'static str,
    checked: bool,
}

/// `GET /-/account`.
pub(super) async fn get_account(visitor: Visitor) -> Response {
    show(&visitor, StatusCode::OK, None)
}

fn show(visitor: &Visitor, status: StatusCode, problem: Option<Callout>) -> Response {
    let theme = visitor.look.theme.unwrap_or("system");
    let secret = |id, label, autocomplete, hint: Option<String>| Field {
        kind: "password",
        autocomplete,
        hint,
        required: true,
        ..Field::text(id, label, "")
    };
    let page = Page {
        name: visitor.actor.name.clone(),
        email: visitor.actor.email.clone(),
        memberships: visitor
            .organisations
            .iter()
            .map(|(o, role)| Membership {
                slug: o.slug.clone(),
                name: o.name.clone(),
                role: role.as_str().replace('_', " "),
            })
            .collect(),
        themes: [("system", "As the system"), ("light", "Light"), ("dark", "Dark")]
            .map(|(value, text)| Theme { value, text, checked: value == theme })
            .into(),
        keys: visitor.look.keys,
        may_password: true,
        password: vec![
            Field {
                required: false,
                hint: Some("Leave empty if you have none yet.".into()),
                ..secret("old", "Current password", "current-password", None)
            },
            secret(
                "new",
                "New password",
                "new-password",
                Some(format!(
                    "At least {} characters; a few words do well. It ends all sessions.",
                    session::PASSWORD_MIN
                )),
            ),
        ],
        problem,
    };
    engine::page(status, "account.html", &visitor.anywhere().titled("Account", "account").narrow(), &page)
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
pub(super) async fn post_password(visitor: Visitor, State(state): State<AppState>, form: Form) -> PageResult {
    match session::change_password(&state, &visitor.actor, Some(form.get("old")), form.get("new")).await {
        Ok(()) => Ok(with_cookie(server::expired_cookie(&state), Redirect::to("/-/sign-in").into_response())),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            Ok(show(&visitor, status, Some(Callout::bad("Password not changed.", why))))
        }
    }
}

#[derive(Debug, Serialize)]
struct Help {
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Key {
    what: &'static str,
    keys: &'static [&'static str],
}

const KEYS: &[(&str, &[&str])] = &[
    ("Find or do anything", &["Ctrl", "K"]),
    ("This list", &["?"]),
    ("Find on this page", &["/"]),
    ("Next, previous row", &["J", "K"]),
    ("Open the row", &["Enter"]),
    ("Save the prompt", &["Ctrl", "S"]),
    ("Refresh the preview, or send the form", &["Ctrl", "Enter"]),
    ("Next problem in the text", &["F8"]),
    ("Compare with the last version", &["C"]),
    ("Publish", &["P"]),
    ("Go to the dashboard", &["G", "D"]),
    ("Go to the project", &["G", "P"]),
    ("Go to agents", &["G", "A"]),
    ("Go to credentials", &["G", "C"]),
    ("Close", &["Esc"]),
];

/// `GET /-/help`.
pub(super) async fn get_help(visitor: Visitor) -> Response {
    let page = Help { keys: KEYS.iter().map(|(what, keys)| Key { what, keys }).collect() };
    engine::page(StatusCode::OK, "help.html", &visitor.anywhere().titled("Help", "help"), &page)
}

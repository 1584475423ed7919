//! The API, version 1: thin handlers over the domain. Its routes stand in
//! [`crate::auth::route::API`]; its description is made from them.
//!
//! What every route keeps to (docs/API.md); the tests name who does not:
//! - a list that GET gives is a [`page::Listed`], cut or queried by the [`page::Page`] that the handler takes; a list
//!   that can never grow says so in [`openapi::BOUNDED`];
//! - query parameters stand in `openapi::queries`: what does not stand there is refused before the handler runs;
//! - bodies come by [`crate::server::ApiJson`], which refuses fields that the body does not have, or by
//!   [`crate::server::PromptJson`] where they hold prompts, and stand in `openapi::bodies`;
//! - every code of a problem stands in [`crate::error::code::CODES`], with one sentence;
//! - ETags, `If-None-Match`, `Idempotency-Key` and problem documents are seen to by `manners`, for all alike.

mod account;
mod agents;
mod aliases;
pub mod body;
mod current_bundle;
mod health;
mod history;
mod idempotency;
mod items;
mod manners;
mod notes;
mod openapi;
mod orders;
mod organisations;
mod page;
mod people;
mod projects;
mod prompts;
mod publications;
mod reviews;
mod runs;
mod search;
mod sets;
mod settings;
mod transfer;
mod usage;
mod variables;
mod versions;
mod webhooks;

pub use current_bundle::BUNDLE_TYPE;
pub(crate) use manners::manners;
pub use openapi::{BOUNDED, document};
pub(crate) use transfer::file;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::{delete, get, patch, post, put};

use crate::auth::Actor;
use crate::author::{self, ProjectAt, SetAt};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What is given as something else than JSON, by the end of its address.
const DOCUMENT_TYPES: &[(&str, &str)] = &[
    ("/audit/export", "application/jsonl"),
    ("/export", "*/*"),
    ("/metrics", "text/plain"),
    ("/runs", "text/event-stream"),
    ("/bundle", BUNDLE_TYPE),
    ("/current_bundle", BUNDLE_TYPE),
];

/// Every route of the API.
pub fn router() -> Router<AppState> {
    let project = Router::new()
        .route("/", get(projects::get_project).patch(settings::patch_project))
        .route("/environments", get(projects::list_environments).post(projects::create_environment))
        .route("/environments/{environment}/breaks", get(usage::list_breaks))
        .route("/environments/{environment}/approvals", get(reviews::get_approvals))
        .route("/environments/{environment}/rule", get(reviews::get_rule).put(reviews::put_rule))
        .route("/sets", get(sets::list_sets).post(sets::create_set))
        .route("/sets/{set}", get(sets::get_set).patch(settings::patch_set))
        .route("/sets/{set}/duplicate", post(items::duplicate_set))
        .route("/sets/{set}/archived", get(items::list_archived))
        .route("/sets/{set}/actions/rename", post(items::rename))
        .route("/sets/{set}/actions/duplicate", post(items::duplicate))
        .route("/sets/{set}/actions/archive", post(items::archive))
        .route("/sets/{set}/actions/restore", post(items::restore))
        .route("/sets/{set}/actions/restore-version", post(versions::restore_version))
        .route("/sets/{set}/notes/{*prompt}", get(notes::get_note).put(notes::put_note))
        .route("/sets/{set}/prompts", get(prompts::list_prompts))
        .route(
            "/sets/{set}/prompts/{*prompt}",
            get(prompts::get_prompt).put(prompts::put_prompt).delete(prompts::delete_prompt),
        )
        .route(
            "/sets/{set}/partials/{*partial}",
            get(prompts::get_partial).put(prompts::put_partial).delete(prompts::delete_partial),
        )
        .route("/sets/{set}/history/{*prompt}", get(history::list_revisions))
        .route(
            "/sets/{set}/revisions/{revision}/{*prompt}",
            get(history::get_revision).post(history::restore_revision),
        )
        .route("/sets/{set}/partial-history/{*partial}", get(history::list_partial_revisions))
        .route(
            "/sets/{set}/partial-revisions/{revision}/{*partial}",
            get(history::get_partial_revision).post(history::restore_partial_revision),
        )
        .route("/sets/{set}/states", get(history::list_states))
        .route("/sets/{set}/compare", get(history::compare_states))
        .route("/sets/{set}/next-version", get(history::get_next_version))
        .route("/sets/{set}/aliases", get(aliases::list_aliases))
        .route(
            "/sets/{set}/aliases/{alias}",
            get(aliases::get_alias).put(aliases::put_alias).delete(aliases::delete_alias),
        )
        .route("/sets/{set}/dependencies", get(aliases::list_dependencies))
        .route(
            "/sets/{set}/dependencies/{dependency}",
            put(aliases::put_dependency).delete(aliases::delete_dependency),
        )
        .route("/sets/{set}/check", post(prompts::check_prompt))
        .route("/sets/{set}/preview", post(prompts::preview_prompt))
        .route("/sets/{set}/render", post(runs::render_prompt))
        .route("/sets/{set}/runs", post(runs::run_prompt))
        .route("/sets/{set}/variable-sets", get(variables::list_variable_sets))
        .route(
            "/sets/{set}/variable-sets/{variable_set}",
            get(variables::get_variable_set)
                .put(variables::put_variable_set)
                .delete(variables::delete_variable_set),
        )
        .route("/sets/{set}/import", post(prompts::import_prompts))
        .route("/sets/{set}/imports", post(transfer::plan_import))
        .route("/sets/{set}/imports/{import}", get(transfer::get_import))
        .route("/sets/{set}/imports/{import}/apply", post(transfer::apply_import))
        .route("/sets/{set}/export", get(transfer::export_set))
        .route("/export", get(transfer::export_project))
        .route("/imports", post(transfer::plan_project_import))
        .route("/imports/{import}", get(transfer::get_project_import))
        .route("/imports/{import}/apply", post(transfer::apply_project_import))
        .route("/sets/{set}/lock", post(versions::lock_set))
        .route("/sets/{set}/reopen", post(versions::reopen_set))
        .route("/sets/{set}/reviews", get(reviews::list_reviews).post(reviews::request_review))
        .route("/sets/{set}/reviews/current/approve", post(reviews::approve_review))
        .route("/sets/{set}/reviews/current/return", post(reviews::return_review))
        .route("/sets/{set}/reviews/{number}", get(reviews::get_review))
        .route("/sets/{set}/reviews/{number}/verdicts", post(reviews::answer_review))
        .route("/sets/{set}/reviews/{number}/comments", post(reviews::comment_review))
        .route("/sets/{set}/reviews/{number}/comments/{comment}", put(reviews::settle_comment))
        .route("/sets/{set}/reviews/{number}/seen", put(reviews::put_seen))
        .route("/sets/{set}/reviews/{number}/checks", get(reviews::get_checks))
        .route("/sets/{set}/contracts", get(usage::list_contracts))
        .route("/sets/{set}/versions", get(versions::list_versions))
        .route("/sets/{set}/versions/{version}", get(versions::get_version))
        .route("/sets/{set}/versions/{version}/bundle", get(versions::get_version_bundle))
        .route("/sets/{set}/versions/{version}/dependencies", get(aliases::list_locked_dependencies))
        .route("/publications", get(publications::list_publications).post(publications::publish))
        .route("/publications/{number}", get(publications::get_publication))
        .route("/publications/{number}/retry", post(publications::retry_publication))
        .route("/usage", get(usage::get_usage))
        .route("/agents", get(agents::list_agents))
        .route("/mode-orders", get(orders::list_fleet_orders).post(orders::order_fleet))
        .route(
            "/environments/{environment}/mode-orders",
            get(orders::list_mode_orders).post(orders::order_mode),
        )
        .route("/environments/{environment}/mode-orders/{number}", delete(orders::withdraw_order))
        .route("/credentials", get(agents::list_credentials).post(agents::create_credential))
        .route("/credentials/{credential}", delete(agents::revoke_credential))
        .route("/webhooks", get(webhooks::list_webhooks).post(webhooks::create_webhook))
        .route(
            "/webhooks/{webhook}",
            get(webhooks::get_webhook).put(webhooks::put_webhook).delete(webhooks::delete_webhook),
        )
        .route("/webhooks/{webhook}/secret", post(webhooks::rotate_secret))
        .route("/webhooks/{webhook}/test", post(webhooks::test_webhook))
        .route("/webhooks/{webhook}/deliveries", get(webhooks::list_deliveries))
        .route("/webhooks/{webhook}/deliveries/{delivery}/redeliver", post(webhooks::redeliver))
        .route("/current_bundle", get(current_bundle::get_current_bundle))
        .route("/max-age", put(projects::put_max_age).delete(projects::delete_max_age))
        .route("/signing-keys", get(projects::list_signing_keys))
        .route("/grants", get(people::list_grants).put(people::put_grant))
        .route("/grants/{person}", delete(people::remove_grant));
    let v1 = Router::new()
        .route("/openapi.json", get(openapi::get_openapi))
        .route(
            "/sessions",
            get(account::list_sessions).post(account::create_session).delete(account::end_sessions),
        )
        .route("/sessions/current", delete(account::delete_session))
        .route("/sessions/{session}", delete(account::end_session))
        .route("/models", get(runs::list_models))
        .route("/sign-in-links", post(account::ask_link))
        .route("/invitations/accept", post(people::accept_invitation))
        .route("/me", get(account::get_me).put(account::put_me))
        .route("/search", get(search::search))
        .route("/recent", get(search::list_recent))
        .route(
            "/favourites",
            get(search::list_favourites).put(search::put_favourite).delete(search::delete_favourite),
        )
        .route("/tokens", get(account::list_tokens).post(account::create_token))
        .route("/tokens/{token}", delete(account::revoke_token))
        .route(
            "/organisations",
            get(organisations::list_organisations).post(organisations::create_organisation),
        )
        .route("/organisations/{organisation}", patch(settings::patch_organisation))
        .route("/organisations/{organisation}/members", get(organisations::list_members))
        .route("/organisations/{organisation}/members", put(organisations::put_member))
        .route("/organisations/{organisation}/members/{user}", delete(organisations::remove_member))
        .route("/organisations/{organisation}/overview", get(projects::get_overview))
        .route(
            "/organisations/{organisation}/invitations",
            get(people::list_invitations).post(people::invite),
        )
        .route("/organisations/{organisation}/invitations/{invitation}", delete(people::withdraw_invitation))
        .route(
            "/organisations/{organisation}/sign-in-links",
            get(people::list_asked_links).post(people::make_link),
        )
        .route("/organisations/{organisation}/reviews", get(reviews::list_queue))
        .route("/resolve", get(aliases::resolve_address))
        .route("/organisations/{organisation}/audit", get(organisations::list_audit))
        .route("/organisations/{organisation}/audit/export", get(organisations::export_audit))
        .route("/organisations/{organisation}/audit/verify", get(organisations::verify_audit))
        .route(
            "/organisations/{organisation}/projects",
            get(projects::list_projects).post(projects::create_project),
        )
        .nest("/projects/{project}", project);
    Router::new()
        .nest("/api/v1", v1)
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
}

async fn project_at(state: &AppState, actor: &Actor, project: &str) -> Result<ProjectAt> {
    author::find_project_by_id(state, actor, project).await
}

async fn set_at(state: &AppState, actor: &Actor, project: &str, set: &str) -> Result<SetAt> {
    let at = project_at(state, actor, project).await?;
    author::find_set(state, actor, &at, set).await
}

/// The revision that a request started from: `If-Match: "3"`; none means that it must be new.
fn if_match(headers: &HeaderMap) -> Result<i64> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(0) };
    value.to_str().ok().and_then(|v| v.trim().trim_matches('"').parse().ok()).ok_or_else(|| {
        ApiError::invalid("bad_revision", "If-Match", "write the revision, such as If-Match: \"3\"")
    })
}

/// Which projects or sets: those in use, or those that are archived.
#[derive(Debug, serde::Deserialize)]
struct Which {
    #[serde(default)]
    archived: bool,
    /// Of sets: editing, review or locked.
    state: Option<String>,
    /// Part of the slug or the name.
    q: Option<String>,
}

/// The tag that a change of settings started from: `If-Match: "…"`; none where the caller does not care.
fn seen(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::IF_MATCH)?.to_str().ok()?.trim();
    (value != "*").then(|| value.trim_start_matches("W/").trim_matches('"'))
}

/// Whether a filter lets something through: without one, everything.
fn is(wanted: &Option<String>, found: &str) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted == found)
}

/// Refuses a word of a filter that nothing can have.
fn one_of(code: &'static str, field: &'static str, wanted: &Option<String>, words: &[&str]) -> Result<()> {
    match wanted.as_deref() {
        Some(word) if !words.contains(&word) => {
            let detail = format!("{word:?} is no {field} here; write {}", words.join(" or "));
            Err(ApiError::invalid(code, field, detail))
        }
        _ => Ok(()),
    }
}

/// Whether a search finds something in one of these texts, whatever the case of its letters.
fn holds(wanted: &Option<String>, texts: &[&str]) -> bool {
    let Some(wanted) = wanted.as_deref().map(str::to_lowercase) else { return true };
    texts.iter().any(|text| text.to_lowercase().contains(&wanted))
}

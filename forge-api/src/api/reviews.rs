//! Reviews, and the rules of environments.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::{
    ApprovalsBody, ApprovalsQuery, Approve, ChecksBody, CommentBody, CommentRequest, PutRule, QueuedBody,
    ReviewBody, ReviewDetail, ReviewRequest, RuleBody, SeenRequest, SettleRequest, VerdictRequest,
};
use super::page::{Listed, Page};
use super::{is, one_of, project_at, set_at};
use crate::auth::Actor;
use crate::author;
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::review::{self, Mine, Place, Request, Which};
use crate::rule::{self, NewRule};
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

type SetPath = Path<(String, String)>;
type ReviewPath = Path<(String, String, String)>;
type EnvironmentPath = Path<(String, String)>;

/// What is no number is the number of no review.
fn numbered(number: &str) -> Result<i64> {
    number.parse().map_err(|_| ApiError::NotFound("review"))
}

/// The reviews of an organisation that can still be answered, or those that cannot any more.
pub(super) async fn list_queue(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<QueuedBody>> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    one_of("bad_state", "state", &only.state, &["open", "closed"])?;
    if only.state.as_deref() == Some("closed") {
        return closed(&state, &actor, &organisation, page).await;
    }
    let found = review::queue(&state, &actor, std::slice::from_ref(&organisation)).await?;
    let found: Vec<QueuedBody> = found.into_iter().map(Into::into).collect();
    Ok(page.cut(found, |one| format!("{}/{}/{}", one.project, one.set, one.review.number)))
}

async fn closed(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    page: Page,
) -> Result<Listed<QueuedBody>> {
    let before: Option<String> = page.after()?;
    let within = std::slice::from_ref(organisation);
    let limit = page.query_limit();
    let (found, _) = review::closed(state, actor, within, Mine::All, before.as_deref(), limit).await?;
    Ok(page.found(found, |one| one.review.id.clone()).into_bodies())
}

/// Which reviews.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Only {
    state: Option<String>,
}

pub(super) async fn list_reviews(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<ReviewBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    one_of("bad_state", "state", &only.state, &["open", "approved", "returned", "locked"])?;
    let mut found = review::list(&state, &actor, &set).await?;
    found.retain(|review| is(&only.state, &review.state));
    Ok(page.cut(found, |review| review.number.to_string()).into_bodies())
}

pub(super) async fn request_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<ReviewRequest>,
) -> Result<(StatusCode, Json<ReviewBody>)> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let asked = Request { title: &body.title, message: &body.message, reviewers: &body.reviewers };
    let made = review::request(&state, &actor, &set, asked).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

pub(super) async fn get_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, number)): ReviewPath,
) -> Result<Json<ReviewDetail>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    Ok(Json(review::find(&state, &actor, &set, numbered(&number)?).await?.into()))
}

pub(super) async fn answer_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, number)): ReviewPath,
    ApiJson(body): ApiJson<VerdictRequest>,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let number = numbered(&number)?;
    match body {
        VerdictRequest::Approve { digest, comment } => {
            review::approve(&state, &actor, &set, Which::Number(number), &digest, &comment).await?;
        }
        VerdictRequest::Changes { comment } => {
            review::ask_for_changes(&state, &actor, &set, number, &comment).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn comment_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, number)): ReviewPath,
    ApiJson(body): ApiJson<CommentRequest>,
) -> Result<(StatusCode, Json<CommentBody>)> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let place = Place { prompt: body.prompt.as_deref(), line: body.line };
    let (number, answers) = (numbered(&number)?, body.answers.as_deref());
    let made = review::comment(&state, &actor, &set, number, place, answers, &body.body).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

pub(super) async fn settle_comment(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, number, comment)): Path<(String, String, String, String)>,
    ApiJson(body): ApiJson<SettleRequest>,
) -> Result<Json<CommentBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let made = review::settle(&state, &actor, &set, numbered(&number)?, &comment, body.settled).await?;
    Ok(Json(made.into()))
}

pub(super) async fn put_seen(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, number)): ReviewPath,
    ApiJson(body): ApiJson<SeenRequest>,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let part = (body.kind.into(), body.id.as_str());
    review::saw(&state, &actor, &set, numbered(&number)?, part, body.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn get_checks(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, number)): ReviewPath,
) -> Result<Json<ChecksBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = review::check::checks(&state, &actor, &set, numbered(&number)?).await?;
    Ok(Json(ChecksBody { checks: found.into_iter().map(Into::into).collect() }))
}

pub(super) async fn approve_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<Approve>,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    review::approve(&state, &actor, &set, Which::Current, &body.digest, &body.comment).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn return_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    review::give_back(&state, &actor, &set, Which::Current, "").await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn get_rule(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, environment)): EnvironmentPath,
) -> Result<Json<RuleBody>> {
    let at = project_at(&state, &actor, &project).await?;
    Ok(Json(rule::find(&state, &actor, &at, &environment).await?.into()))
}

pub(super) async fn put_rule(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, environment)): EnvironmentPath,
    ApiJson(body): ApiJson<PutRule>,
) -> Result<Json<RuleBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let roles = body.roles.as_deref();
    let new = NewRule { approvals: body.approvals, not_author: body.not_author, roles };
    Ok(Json(rule::put(&state, &actor, &at, &environment, new).await?.into()))
}

/// How far a version is with the approvals that an environment asks for.
pub(super) async fn get_approvals(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, environment)): EnvironmentPath,
    ApiQuery(asked): ApiQuery<ApprovalsQuery>,
) -> Result<Json<ApprovalsBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let environment = author::find_environment(&state, &actor, &at, &environment).await?;
    let set = author::find_set(&state, &actor, &at, &asked.set).await?;
    let version = lock::find_version(&state, &actor, &set, &asked.version).await?;
    Ok(Json(rule::standing(&state, &actor, &set, &environment, &version).await?.into()))
}

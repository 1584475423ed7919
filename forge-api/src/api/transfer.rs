//! Imports, planned and applied, and exports.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use exchange::{Format, Written};
use serde::Deserialize;

use super::body::{AppliedBody, ApplyPlan, List, PlanBody, ReportBody};
use super::{project_at, set_at};
use crate::auth::Actor;
use crate::author::export;
use crate::author::plan::{self, Choices, format_named};
use crate::error::{ApiError, Result};
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

/// How many notes an export has: what the format cannot hold.
const NOTES: &str = "x-forge-notes";

/// What is uploaded, and what is to be done with it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Upload {
    /// Empty: found out.
    #[serde(default)]
    format: String,
    /// What the file is called; of some formats it names the prompt.
    #[serde(default)]
    name: String,
    #[serde(default)]
    existing: String,
    #[serde(default)]
    others: String,
}

pub(super) async fn plan_import(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    ApiQuery(asked): ApiQuery<Upload>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<PlanBody>)> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let choices = Choices::parse(&asked.existing, &asked.others)?;
    let format = format_named(&asked.format)?;
    let body = body.map_err(|_| ApiError::TooLarge("the file is too large".into()))?;
    let id = plan::upload(&state, &actor, &set, format, &asked.name, body.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(plan::plan(&state, &actor, &set, &id, choices).await?.into())))
}

pub(super) async fn get_import(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, import)): Path<(String, String, String)>,
    ApiQuery(asked): ApiQuery<Upload>,
) -> Result<Json<PlanBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let choices = Choices::parse(&asked.existing, &asked.others)?;
    Ok(Json(plan::plan(&state, &actor, &set, &import, choices).await?.into()))
}

pub(super) async fn apply_import(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, import)): Path<(String, String, String)>,
    ApiJson(body): ApiJson<ApplyPlan>,
) -> Result<Json<AppliedBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let choices = Choices::parse(&body.existing, &body.others)?;
    Ok(Json(plan::apply(&state, &actor, &set, &import, &body.digest, choices).await?.into()))
}

pub(super) async fn plan_project_import(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(asked): ApiQuery<Upload>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<PlanBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    let choices = Choices::parse(&asked.existing, &asked.others)?;
    archive_only(&asked.format)?;
    let body = body.map_err(|_| ApiError::TooLarge("the file is too large".into()))?;
    let id = plan::upload(&state, &actor, &at, None, &asked.name, body.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(plan::plan(&state, &actor, &at, &id, choices).await?.into())))
}

/// Into a project goes nothing but an archive of ours.
fn archive_only(format: &str) -> Result<()> {
    match format_named(format)? {
        None | Some(Format::Archive) => Ok(()),
        Some(_) => {
            let detail = "into a project goes an archive; files of another format are imported into one set";
            Err(ApiError::invalid("unknown_format", "format", detail))
        }
    }
}

pub(super) async fn get_project_import(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, import)): Path<(String, String)>,
    ApiQuery(asked): ApiQuery<Upload>,
) -> Result<Json<PlanBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let choices = Choices::parse(&asked.existing, &asked.others)?;
    Ok(Json(plan::plan(&state, &actor, &at, &import, choices).await?.into()))
}

pub(super) async fn apply_project_import(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, import)): Path<(String, String)>,
    ApiJson(body): ApiJson<ApplyPlan>,
) -> Result<Json<AppliedBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let choices = Choices::parse(&body.existing, &body.others)?;
    Ok(Json(plan::apply(&state, &actor, &at, &import, &body.digest, choices).await?.into()))
}

/// What is exported.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// Empty: the archive.
    #[serde(default)]
    format: String,
    /// Empty: the draft.
    #[serde(default)]
    version: String,
    /// Only what the format cannot hold.
    #[serde(default)]
    report: bool,
}

pub(super) async fn export_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let format = format_named(&asked.format)?.unwrap_or(Format::Archive);
    let written = export::export(&state, &actor, &set, format, &asked.version).await?;
    if asked.report {
        let notes: Vec<ReportBody> = written.notes.into_iter().map(Into::into).collect();
        return Ok(Json(List::whole(notes)).into_response());
    }
    Ok(file(written))
}

pub(super) async fn export_project(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
) -> Result<Response> {
    let at = project_at(&state, &actor, &project).await?;
    Ok(file(export::export_project(&state, &actor, &at).await?))
}

/// A file as an answer that a browser keeps.
pub(crate) fn file(written: Written) -> Response {
    let name = format!("attachment; filename=\"{}\"", written.name.replace(['"', '\\'], "-"));
    let headers = [
        (header::CONTENT_TYPE, written.media_type.to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (HeaderName::from_static(NOTES), written.notes.len().to_string()),
    ];
    (headers, written.bytes).into_response()
}

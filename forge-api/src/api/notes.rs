//! What people note on a prompt.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use super::body::{NoteBody, NoteText};
use super::{if_match, set_at};
use crate::auth::Actor;
use crate::author;
use crate::database::note::NoteRow;
use crate::error::Result;
use crate::server::ApiJson;
use crate::state::AppState;

type PromptPath = Path<(String, String, String)>;

fn tagged(note: NoteRow) -> Response {
    let tag = format!("\"{}\"", note.revision);
    ([(header::ETAG, tag)], Json(NoteBody::from(note))).into_response()
}

pub(super) async fn get_note(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, prompt)): PromptPath,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    Ok(tagged(author::note(&state, &actor, &set, &prompt).await?))
}

pub(super) async fn put_note(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, prompt)): PromptPath,
    headers: HeaderMap,
    ApiJson(body): ApiJson<NoteText>,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let expected = if_match(&headers)?;
    Ok(tagged(author::put_note(&state, &actor, &set, &prompt, &body.body, expected).await?))
}

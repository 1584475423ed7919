//! A POST with an `Idempotency-Key` is done once: who did not hear the answer asks again with the same key and the
//! same body, and gets the same answer, marked `Idempotent-Replayed: true`, for a day.
//!
//! A key belongs to a user. Only an answer that says that something was done is kept: after a refusal nothing was
//! changed, so asking again is asking anew. Answers are sealed, as a token or a credential may stand in one.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use schemas::Micros;
use sha2::{Digest as _, Sha256};

use crate::auth::Actor;
use crate::clock;
use crate::database::idempotency::{self, Kept};
use crate::error::{ApiError, Result};
use crate::server::body;
use crate::state::AppState;

/// The header that carries a key.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key.
pub(super) const KEY_MAX: usize = 200;
/// How long an answer is kept.
const KEPT: Micros = 24 * 60 * 60 * 1_000_000;
/// A request that has run for so long runs no more: its process ended.
const RUNS: Micros = 10 * 60 * 1_000_000;
/// Largest answer that is kept, in bytes.
const ANSWER_MAX: usize = 256 * 1024;
/// Keys of one user that are kept at the same time.
const KEYS_MAX: i64 = 10_000;

/// Does a request, or gives the answer that it got before.
///
/// # Errors
/// The key is none, was used for something else, is being used, or nobody knows what became of it.
pub(super) async fn once(state: &AppState, request: Request, next: Next) -> Result<Response> {
    let (mut parts, sent) = request.into_parts();
    let Ok(actor) = Actor::from_request_parts(&mut parts, &()).await else {
        let detail = "an idempotency key belongs to who is signed in; leave it out here";
        return Err(ApiError::invalid("bad_idempotency_key", "Idempotency-Key", detail));
    };
    let key = key_of(parts.headers.get(KEY))?;
    let (target, method) = (parts.uri.to_string(), parts.method.to_string());
    let bytes = body::bytes(Request::from_parts(parts.clone(), sent), state).await?;
    let digest = [method.as_bytes(), target.as_bytes(), &bytes]
        .iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update(part.len().to_le_bytes()).chain_update(part));
    let row = Kept {
        user_id: actor.user_id,
        key,
        request: data_encoding::HEXLOWER.encode(&digest.finalize()),
        status: 0,
        content_type: None,
        answer: None,
        created_at: clock::now(),
    };
    if let Some(found) = take(state, &row).await? {
        return replay(state, &row, found);
    }
    // Who hangs up does not stop what was begun: otherwise nobody would know what became of it.
    let (state, request) = (state.clone(), Request::from_parts(parts, Body::from(bytes)));
    let doing = tokio::spawn(async move { keep(&state, row, next.run(request).await).await });
    doing.await.map_err(ApiError::internal)?
}

fn key_of(value: Option<&HeaderValue>) -> Result<String> {
    let text = value.and_then(|v| v.to_str().ok()).unwrap_or_default().trim();
    if text.is_empty() || text.len() > KEY_MAX {
        let detail = format!("an idempotency key has 1 to {KEY_MAX} visible characters, such as a UUID");
        return Err(ApiError::invalid("bad_idempotency_key", "Idempotency-Key", detail));
    }
    Ok(text.to_owned())
}

/// Takes the key, or finds what it was taken for.
async fn take(state: &AppState, row: &Kept) -> Result<Option<Kept>> {
    let mut tx = state.database.write().await?;
    idempotency::prune(&mut tx, row.created_at - KEPT).await?;
    if !idempotency::take(&mut tx, row).await? {
        return Ok(idempotency::find(&mut tx, &row.user_id, &row.key).await?);
    }
    if idempotency::count(&mut tx, &row.user_id).await? > KEYS_MAX {
        let detail = format!("at most {KEYS_MAX} idempotency keys a day; ask without one");
        return Err(ApiError::conflict("too_many", detail));
    }
    tx.commit().await?;
    Ok(None)
}

fn sealed_as(row: &Kept) -> String {
    format!("idempotency/{}/{}", row.user_id, row.key)
}

fn replay(state: &AppState, asked: &Kept, found: Kept) -> Result<Response> {
    if found.request != asked.request {
        let detail = "this idempotency key was used for another request; take a new one";
        return Err(ApiError::invalid("idempotency_key_reused", "Idempotency-Key", detail));
    }
    if found.status == 0 {
        let detail = match asked.created_at - found.created_at > RUNS {
            false => "the request with this idempotency key still runs; ask again in a moment",
            true => "forge ended while this request ran: look whether it was done, then take a new key",
        };
        return Err(ApiError::conflict("idempotency_key_running", detail));
    }
    let Some(answer) = &found.answer else {
        let detail = "this request was done; its answer was too large to keep: read what it made";
        return Err(ApiError::conflict("idempotency_answer_gone", detail));
    };
    let body = state.keys.sealer().open(&sealed_as(&found), answer).map_err(ApiError::internal)?;
    let status = u16::try_from(found.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = Response::new(Body::from(body.to_vec()));
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    if let Some(kind) = found.content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Keeps an answer that says that something was done, and gives it.
async fn keep(state: &AppState, mut row: Kept, answer: Response) -> Result<Response> {
    if !answer.status().is_success() {
        let mut tx = state.database.write().await?;
        idempotency::release(&mut tx, &row.user_id, &row.key).await?;
        tx.commit().await?;
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    // What comes bit by bit is given as a whole to who sent a key.
    let bytes = to_bytes(body, usize::MAX).await.map_err(ApiError::internal)?;
    row.status = i64::from(parts.status.as_u16());
    row.content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    if bytes.len() <= ANSWER_MAX {
        row.answer = Some(state.keys.sealer().seal(&sealed_as(&row), &bytes).map_err(ApiError::internal)?);
    }
    let kept = async {
        let mut tx = state.database.write().await?;
        idempotency::keep(&mut tx, &row).await?;
        tx.commit().await
    };
    // It was done, and that is what the caller hears; who asks again learns that nobody knows.
    if let Err(error) = kept.await {
        tracing::warn!(error = %crate::error::chain(&error), "the answer to an idempotency key was not kept");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

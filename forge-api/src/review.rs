//! Between author and lock: a review binds an approval to the digest of what was read.
//!
//! While a set is in REVIEW its draft cannot change, and who asked for the review cannot approve it.

use serde_json::json;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::prompt::load;
use crate::author::set::begin_edit;
use crate::author::{Draft, SetAt};
use crate::clock;
use crate::database::review::{self, Approval, Review, ReviewComment};
use crate::database::{Conn, Tx, prompt_set};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// A review with everything said in it.
#[derive(Debug, Clone)]
pub struct ReviewView {
    pub review: Review,
    pub approvals: Vec<Approval>,
    pub comments: Vec<ReviewComment>,
}

/// Puts the draft up for review: the set goes from EDITING to REVIEW.
///
/// # Errors
/// Not allowed, not in EDITING, or the draft is empty.
pub async fn request(state: &AppState, actor: &Actor, set: &SetAt, title: &str) -> Result<Review> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let draft = load(&mut tx, set).await?;
    if draft.prompts.is_empty() {
        return Err(ApiError::invalid("empty", "set", "the set has no prompts yet; write one first"));
    }
    let row = Review {
        id: clock::new_id(),
        set_id: set.set.id.clone(),
        number: prompt_set::next_review(&mut tx, &set.set.id).await?,
        digest: draft.digest.to_string(),
        title: title.trim().chars().take(200).collect(),
        state: "open".into(),
        requested_by: actor.name.clone(),
        requested_by_id: actor.user_id.clone(),
        requested_at: clock::now(),
        closed_at: None,
    };
    review::insert(&mut tx, &row).await?;
    prompt_set::set_state(&mut tx, &set.set.id, "review").await?;
    let detail = json!({ "review": row.number, "digest": row.digest });
    audit::record(&mut tx, actor, &set.at.organisation.id, "review.requested", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(row)
}

/// Approves the draft with this digest.
///
/// # Errors
/// Not allowed; nothing under review; another digest; one's own request.
pub async fn approve(state: &AppState, actor: &Actor, set: &SetAt, digest: &str) -> Result<()> {
    set.at.require(actor, Action::Review)?;
    let mut tx = state.database.write().await?;
    let review = open(&mut tx, set).await?;
    if review.requested_by_id == actor.user_id {
        return Err(ApiError::Forbidden(
            "who asked for a review cannot approve it; ask somebody else".into(),
        ));
    }
    // By name: revisions have no other. A namesake finds somebody else to approve.
    if crate::lock::authors(&mut tx, set).await?.contains(&actor.name) {
        return Err(ApiError::Forbidden(
            "you wrote some of this draft, so you cannot approve it; ask somebody else".into(),
        ));
    }
    if review.digest != digest {
        return Err(ApiError::Conflict {
            code: "digest_mismatch",
            detail: "this is not the draft that is under review; read it again".into(),
            more: json!({ "expected_digest": review.digest }),
        });
    }
    verdict(&mut tx, actor, set, &review, "approved").await?;
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

/// Gives the set back to EDITING, whoever may edit or review; approvals of it no longer count.
///
/// # Errors
/// Not allowed, or nothing under review.
pub async fn give_back(state: &AppState, actor: &Actor, set: &SetAt) -> Result<()> {
    set.at.require(actor, Action::Return)?;
    let mut tx = state.database.write().await?;
    let review = open(&mut tx, set).await?;
    verdict(&mut tx, actor, set, &review, "returned").await?;
    prompt_set::set_state(&mut tx, &set.set.id, "editing").await?;
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

async fn open(conn: &mut Conn, set: &SetAt) -> Result<Review> {
    let now = prompt_set::touch(conn, &set.set.id, clock::now(), &set.set.updated_by).await?;
    let review = review::last(conn, &set.set.id).await?;
    match (now, review) {
        (Some(now), Some(review)) if now.state == "review" => Ok(review),
        _ => Err(ApiError::conflict("not_in_review", "nothing of this set is under review")),
    }
}

async fn verdict(conn: &mut Tx, actor: &Actor, set: &SetAt, review: &Review, verdict: &str) -> Result<()> {
    let now = clock::now();
    let row = Approval {
        id: clock::new_id(),
        review_id: review.id.clone(),
        digest: review.digest.clone(),
        verdict: verdict.into(),
        user_id: actor.user_id.clone(),
        created_at: now,
    };
    // The console is nobody's user and leaves only its line in the audit log.
    if !matches!(actor.entry, crate::auth::Entry::Console) {
        review::add_approval(conn, &row).await?;
    }
    review::close(conn, &review.id, verdict, now).await?;
    let detail = json!({ "review": review.number, "digest": review.digest });
    let action = format!("review.{verdict}");
    audit::record(conn, actor, &set.at.organisation.id, &action, &set.path(), detail).await
}

/// Adds a comment, to a prompt and line or to the whole.
///
/// # Errors
/// Not allowed, no such review, or nothing said.
pub async fn comment(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    number: i64,
    place: Option<(&str, i64)>,
    body: &str,
) -> Result<()> {
    set.at.require(actor, Action::Review)?;
    if body.trim().is_empty() {
        return Err(ApiError::invalid("empty", "body", "a comment says something"));
    }
    let mut tx = state.database.write().await?;
    let review = review::find(&mut tx, &set.set.id, number).await?.ok_or(ApiError::NotFound("review"))?;
    let row = ReviewComment {
        id: clock::new_id(),
        review_id: review.id.clone(),
        prompt_id: place.map(|(prompt, _)| prompt.to_owned()),
        line: place.map(|(_, line)| line),
        body: body.chars().take(10_000).collect(),
        author: actor.name.clone(),
        created_at: clock::now(),
    };
    review::add_comment(&mut tx, &row).await?;
    let detail = json!({ "review": review.number });
    audit::record(&mut tx, actor, &set.at.organisation.id, "review.commented", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

/// The reviews of a set, newest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<Review>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(review::of_set(&mut conn, &set.set.id).await?)
}

/// One review.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find(state: &AppState, actor: &Actor, set: &SetAt, number: i64) -> Result<ReviewView> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let review = review::find(&mut conn, &set.set.id, number).await?.ok_or(ApiError::NotFound("review"))?;
    let approvals = review::approvals(&mut conn, &review.id).await?;
    let comments = review::comments(&mut conn, &review.id).await?;
    Ok(ReviewView { review, approvals, comments })
}

/// For a set in REVIEW: the id and name of who approved exactly this draft.
pub(crate) async fn approver(
    conn: &mut Conn,
    set: &SetAt,
    draft: &Draft,
) -> Result<Option<(Review, String)>> {
    let Some(review) = review::last(conn, &set.set.id).await? else { return Ok(None) };
    if review.state != "approved" || review.digest != draft.digest.to_string() {
        return Ok(None);
    }
    let approvals = review::approvals(conn, &review.id).await?;
    let Some(approval) =
        approvals.iter().rev().find(|a| a.verdict == "approved" && a.digest == review.digest)
    else {
        return Ok(None);
    };
    let names = crate::database::user::names(conn, std::slice::from_ref(&approval.user_id)).await?;
    Ok(names.into_iter().next().map(|(_, name)| (review, name)))
}

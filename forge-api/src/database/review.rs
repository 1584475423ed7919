//! Reviews of a set's draft, and the approvals bound to its digest.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::project::Project;
use super::prompt_set::PromptSet;
use super::schema::{
    approvals, projects, prompt_sets, review_comments, review_contents, review_reviewers, reviews,
};
use super::{Conn, Result, on, on_rows};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = reviews, treat_none_as_default_value = false)]
pub struct Review {
    pub id: String,
    pub set_id: String,
    pub number: i64,
    /// Digest of the draft that was put up for review.
    pub digest: String,
    pub title: String,
    /// `open`, `approved`, `returned` or `locked`.
    pub state: String,
    pub requested_by: String,
    pub requested_by_id: String,
    pub requested_at: i64,
    pub closed_at: Option<i64>,
    /// What who asked wants to say.
    pub message: String,
    /// The newest version when it was asked for.
    pub base_version_id: Option<String>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = approvals)]
pub struct Approval {
    pub id: String,
    pub review_id: String,
    pub digest: String,
    /// `approved` or `returned`.
    pub verdict: String,
    pub user_id: String,
    pub created_at: i64,
    /// Whether who says so wrote some of it.
    pub by_author: bool,
    pub comment: String,
}

/// Somebody who is asked to review.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = review_reviewers)]
pub struct Reviewer {
    pub review_id: String,
    pub user_id: String,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = review_comments, treat_none_as_default_value = false)]
pub struct ReviewComment {
    pub id: String,
    pub review_id: String,
    pub prompt_id: Option<String>,
    pub line: Option<i64>,
    pub body: String,
    pub author: String,
    pub created_at: i64,
}

pub async fn insert(conn: &mut Conn, row: &Review) -> Result<()> {
    on!(conn, c => diesel::insert_into(reviews::table).values(row).execute(c).await?);
    Ok(())
}

/// The reviews of a set, newest first.
pub async fn of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<Review>> {
    Ok(on!(conn, c => reviews::table
        .filter(reviews::set_id.eq(set_id))
        .order(reviews::number.desc())
        .select(Review::as_select())
        .load(c).await?))
}

pub async fn find(conn: &mut Conn, set_id: &str, number: i64) -> Result<Option<Review>> {
    Ok(on!(conn, c => reviews::table
        .filter(reviews::set_id.eq(set_id))
        .filter(reviews::number.eq(number))
        .select(Review::as_select())
        .first(c).await.optional()?))
}

/// The newest review of a set.
pub async fn last(conn: &mut Conn, set_id: &str) -> Result<Option<Review>> {
    Ok(on!(conn, c => reviews::table
        .filter(reviews::set_id.eq(set_id))
        .order(reviews::number.desc())
        .select(Review::as_select())
        .first(c).await.optional()?))
}

pub async fn close(conn: &mut Conn, id: &str, state: &str, now: i64) -> Result<()> {
    on!(conn, c => diesel::update(reviews::table.find(id))
        .set((reviews::state.eq(state), reviews::closed_at.eq(now)))
        .execute(c).await?);
    Ok(())
}

pub async fn add_approval(conn: &mut Conn, row: &Approval) -> Result<()> {
    on!(conn, c => diesel::insert_into(approvals::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn approvals(conn: &mut Conn, review_id: &str) -> Result<Vec<Approval>> {
    Ok(on!(conn, c => approvals::table
        .filter(approvals::review_id.eq(review_id))
        .order(approvals::id.asc())
        .select(Approval::as_select())
        .load(c).await?))
}

pub async fn add_comment(conn: &mut Conn, row: &ReviewComment) -> Result<()> {
    on!(conn, c => diesel::insert_into(review_comments::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn comments(conn: &mut Conn, review_id: &str) -> Result<Vec<ReviewComment>> {
    Ok(on!(conn, c => review_comments::table
        .filter(review_comments::review_id.eq(review_id))
        .order(review_comments::id.asc())
        .select(ReviewComment::as_select())
        .load(c).await?))
}

/// Keeps what was put up for review, as it was read.
pub async fn add_content(conn: &mut Conn, review_id: &str, body: &[u8]) -> Result<()> {
    on!(conn, c => diesel::insert_into(review_contents::table)
        .values((review_contents::review_id.eq(review_id), review_contents::body.eq(body)))
        .execute(c).await?);
    Ok(())
}

/// What was put up for review; none for a review of before this was kept.
pub async fn content(conn: &mut Conn, review_id: &str) -> Result<Option<Vec<u8>>> {
    Ok(on!(conn, c => review_contents::table
        .find(review_id)
        .select(review_contents::body)
        .first(c).await.optional()?))
}

pub async fn add_reviewers(conn: &mut Conn, rows: &[Reviewer]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(review_reviewers::table).values(rows));
    Ok(())
}

/// Who is asked, of each of these reviews.
pub async fn reviewers(conn: &mut Conn, review_ids: &[&str]) -> Result<Vec<Reviewer>> {
    Ok(on!(conn, c => review_reviewers::table
        .filter(review_reviewers::review_id.eq_any(review_ids))
        .select(Reviewer::as_select())
        .load(c).await?))
}

/// What was said to each of these reviews, oldest first.
pub async fn approvals_of(conn: &mut Conn, review_ids: &[&str]) -> Result<Vec<Approval>> {
    Ok(on!(conn, c => approvals::table
        .filter(approvals::review_id.eq_any(review_ids))
        .order(approvals::id.asc())
        .select(Approval::as_select())
        .load(c).await?))
}

/// What was said to content with this digest in any review of a set, oldest first.
pub async fn approvals_for(conn: &mut Conn, set_id: &str, digest: &str) -> Result<Vec<Approval>> {
    Ok(on!(conn, c => reviews::table
        .inner_join(approvals::table.on(approvals::review_id.eq(reviews::id)))
        .filter(reviews::set_id.eq(set_id))
        .filter(approvals::digest.eq(digest))
        .order(approvals::id.asc())
        .select(Approval::as_select())
        .load(c).await?))
}

/// The newest review of content with this digest.
pub async fn of_digest(conn: &mut Conn, set_id: &str, digest: &str) -> Result<Option<Review>> {
    Ok(on!(conn, c => reviews::table
        .filter(reviews::set_id.eq(set_id))
        .filter(reviews::digest.eq(digest))
        .order(reviews::number.desc())
        .select(Review::as_select())
        .first(c).await.optional()?))
}

/// The reviews of these organisations that somebody can still answer, oldest first.
pub async fn open_in(
    conn: &mut Conn,
    organisation_ids: &[&str],
) -> Result<Vec<(Review, PromptSet, Project)>> {
    Ok(on!(conn, c => reviews::table
        .inner_join(prompt_sets::table.on(prompt_sets::id.eq(reviews::set_id)))
        .inner_join(projects::table.on(projects::id.eq(prompt_sets::project_id)))
        .filter(projects::organisation_id.eq_any(organisation_ids))
        .filter(reviews::state.eq_any(["open", "approved"]))
        .order(reviews::id.asc())
        .select((Review::as_select(), PromptSet::as_select(), Project::as_select()))
        .load(c).await?))
}

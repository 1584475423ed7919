//! Reviews of a set's draft, and the approvals bound to its digest.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{approvals, review_comments, reviews};
use super::{Conn, Result, on};

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

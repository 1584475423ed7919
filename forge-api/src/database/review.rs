//! Reviews of a set's draft, and the approvals bound to its digest.

use diesel::dsl::{count_star, exists, not};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::project::Project;
use super::prompt_set::PromptSet;
use super::schema::{
    approvals, projects, prompt_sets, review_comments, review_contents, review_reviewers, review_seen,
    reviews,
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
    /// Empty for one of before this was kept.
    pub author_id: String,
    /// The first comment of the talk that it belongs to.
    pub answers: Option<String>,
    pub settled_at: Option<i64>,
    pub settled_by: Option<String>,
}

/// Somebody ticked exactly this content as seen.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = review_seen)]
pub struct Seen {
    pub set_id: String,
    pub user_id: String,
    /// `prompt` or `partial`.
    pub kind: String,
    pub name: String,
    /// Of the prompt or partial alone.
    pub digest: String,
    pub seen_at: i64,
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

/// How many reviews of these organisations somebody was asked to answer and did not yet: by organisation and project.
/// Asked is who is named, and everybody where nobody is named.
pub async fn unanswered(
    conn: &mut Conn,
    organisation_ids: &[&str],
    user_id: &str,
) -> Result<Vec<(String, String, i64)>> {
    Ok(on!(conn, c => reviews::table
        .inner_join(prompt_sets::table.on(prompt_sets::id.eq(reviews::set_id)))
        .inner_join(projects::table.on(projects::id.eq(prompt_sets::project_id)))
        .filter(projects::organisation_id.eq_any(organisation_ids))
        .filter(prompt_sets::state.eq_any(["review", "locked"]))
        .filter(reviews::requested_by_id.ne(user_id))
        .filter(not(exists(approvals::table
            .filter(approvals::review_id.eq(reviews::id))
            .filter(approvals::user_id.eq(user_id)))))
        .filter(
            reviews::state.eq_any(["open", "approved"])
                .and(exists(review_reviewers::table
                    .filter(review_reviewers::review_id.eq(reviews::id))
                    .filter(review_reviewers::user_id.eq(user_id))))
                .or(reviews::state.eq("open")
                    .and(not(exists(review_reviewers::table.filter(review_reviewers::review_id.eq(reviews::id)))))),
        )
        .group_by((projects::organisation_id, projects::id))
        .select((projects::organisation_id, projects::id, count_star()))
        .load(c).await?))
}

/// Settles a comment, or opens it again. Nobody: it is not settled.
pub async fn settle(conn: &mut Conn, id: &str, settled: Option<(i64, &str)>) -> Result<()> {
    let (at, by) = settled.unzip();
    on!(conn, c => diesel::update(review_comments::table.find(id))
        .set((review_comments::settled_at.eq(at), review_comments::settled_by.eq(by)))
        .execute(c).await?);
    Ok(())
}

/// How many comments of each of these reviews are not settled; answers are no comments of their own.
pub async fn unsettled(conn: &mut Conn, review_ids: &[&str]) -> Result<Vec<(String, i64)>> {
    Ok(on!(conn, c => review_comments::table
        .filter(review_comments::review_id.eq_any(review_ids))
        .filter(review_comments::answers.is_null())
        .filter(review_comments::settled_at.is_null())
        .group_by(review_comments::review_id)
        .select((review_comments::review_id, count_star()))
        .load(c).await?))
}

/// Keeps a tick; one that is there already stays as it was.
pub async fn tick(conn: &mut Conn, row: &Seen) -> Result<()> {
    on!(conn, c => diesel::insert_into(review_seen::table)
        .values(row)
        .on_conflict((
            review_seen::set_id, review_seen::user_id, review_seen::kind, review_seen::name, review_seen::digest,
        ))
        .do_nothing()
        .execute(c).await?);
    Ok(())
}

/// Takes a tick away.
pub async fn untick(conn: &mut Conn, row: &Seen) -> Result<()> {
    on!(conn, c => diesel::delete(review_seen::table.find((
            &row.set_id, &row.user_id, &row.kind, &row.name, &row.digest,
        )))
        .execute(c).await?);
    Ok(())
}

/// What somebody ticked in a set, whatever its content was, the last first.
pub async fn ticked(conn: &mut Conn, set_id: &str, user_id: &str, limit: i64) -> Result<Vec<Seen>> {
    Ok(on!(conn, c => review_seen::table
        .filter(review_seen::set_id.eq(set_id))
        .filter(review_seen::user_id.eq(user_id))
        .order(review_seen::seen_at.desc())
        .limit(limit)
        .select(Seen::as_select())
        .load(c).await?))
}

/// The reviews that somebody was asked for or answered, by id, the last first.
pub async fn answered_by(conn: &mut Conn, user_id: &str, before: &str, limit: i64) -> Result<Vec<String>> {
    let asked: Vec<String> = on!(&mut *conn, c => review_reviewers::table
        .filter(review_reviewers::user_id.eq(user_id))
        .filter(review_reviewers::review_id.lt(before))
        .order(review_reviewers::review_id.desc())
        .limit(limit)
        .select(review_reviewers::review_id)
        .load(c).await?);
    let said: Vec<String> = on!(conn, c => approvals::table
        .filter(approvals::user_id.eq(user_id))
        .filter(approvals::review_id.lt(before))
        .order(approvals::review_id.desc())
        .limit(limit)
        .select(approvals::review_id)
        .load(c).await?);
    let mut all = [asked, said].concat();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    all.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(all)
}

/// The id of nobody.
const NOBODY: &str = "-";

/// Of which reviews.
#[derive(Debug, Clone, Copy)]
pub enum Closed<'a> {
    All,
    /// Those with these ids.
    Of(&'a [String]),
    /// Those that this user asked for.
    By(&'a str),
}

/// The reviews of these organisations that nobody can answer any more and whose id is below `before`, newest first.
pub async fn closed_in(
    conn: &mut Conn,
    organisation_ids: &[&str],
    which: Closed<'_>,
    before: &str,
    limit: i64,
) -> Result<Vec<(Review, PromptSet, Project)>> {
    let (all, by) = (matches!(which, Closed::All), if let Closed::By(id) = which { id } else { NOBODY });
    let of: &[String] = if let Closed::Of(ids) = which { ids } else { &[] };
    Ok(on!(conn, c => reviews::table
        .inner_join(prompt_sets::table.on(prompt_sets::id.eq(reviews::set_id)))
        .inner_join(projects::table.on(projects::id.eq(prompt_sets::project_id)))
        .filter(projects::organisation_id.eq_any(organisation_ids))
        .filter(reviews::state.eq_any(["locked", "returned"]).or(prompt_sets::state.eq("editing")))
        .filter(reviews::id.lt(before))
        .filter(all.into_sql::<Bool>().or(reviews::id.eq_any(of)).or(reviews::requested_by_id.eq(by)))
        .order(reviews::id.desc())
        .limit(limit)
        .select((Review::as_select(), PromptSet::as_select(), Project::as_select()))
        .load(c).await?))
}

//! Between author and lock: a review binds an approval to the digest of what was read.
//!
//! While a set is in REVIEW its draft cannot change, and who wrote some of it or asked for the review
//! cannot approve it, unless an environment of the project counts that ([`crate::rule`]). A version that
//! is LOCKED can be reviewed too: what is approved is its content, whenever somebody reads it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@check`] | what can be found out about what is reviewed without reading it |
//! | `queue` | what waits for an answer, and what is closed |
//! | `talk` | comments, settled or not; what each reviewer has seen |

pub mod check;
mod queue;
mod talk;

pub use queue::{Mine, Queued, closed, count_mine, queue};
pub use talk::{Part, Place, comment, may_settle, saw, settle};

use schemas::Micros;
use serde_json::json;

use crate::audit;
use crate::auth::{Action, Actor, Role};
use crate::author::prompt::load;
use crate::author::set::begin_edit;
use crate::author::{Draft, ProjectAt, SetAt};
use crate::clock;
use crate::compare::Content;
use crate::database::review::{self, Approval, Review, ReviewComment, Reviewer};
use crate::database::version::{self, Version};
use crate::database::{Conn, Tx, grant, organisation, prompt_set, user};
use crate::error::{ApiError, Result, within};
use crate::rule;
use crate::state::AppState;

/// Most people who are asked to review.
const REVIEWERS_MAX: usize = 20;
/// Longest title of a review, in characters.
const TITLE_MAX: usize = 200;
/// Longest message and comment, in characters.
const MESSAGE_MAX: usize = 10_000;

/// What is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    pub title: &'a str,
    pub message: &'a str,
    /// Who is asked, each by id or e-mail address; nobody: whoever may review.
    pub reviewers: &'a [String],
}

/// What somebody said to a review.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub user_id: String,
    pub name: String,
    /// Or asks for changes.
    pub approved: bool,
    /// Something else was said later by the same person.
    pub overtaken: bool,
    pub by_author: bool,
    pub comment: String,
    pub at: Micros,
}

/// A review with everything said in it.
#[derive(Debug, Clone)]
pub struct ReviewView {
    pub review: Review,
    /// Who is asked, by id and name.
    pub reviewers: Vec<(String, String)>,
    /// Oldest first.
    pub verdicts: Vec<Verdict>,
    /// Oldest first; answers stand behind what they answer.
    pub comments: Vec<ReviewComment>,
    /// Comments that are not settled.
    pub unsettled: usize,
    /// What changed since `base`, each with whether the reader ticked it as seen.
    pub parts: Vec<Part>,
    /// What was put up for review; none for a review of before this was kept.
    pub content: Option<Content>,
    /// The newest version when it was asked for.
    pub base: Option<Version>,
    /// Neither the draft nor a version has this content any more: what was approved is void.
    pub void: bool,
}

/// Puts the draft up for review: the set goes from EDITING to REVIEW. One that is LOCKED stays so, and
/// its version is reviewed.
///
/// # Errors
/// Not allowed, in REVIEW already, the draft is empty, the title or the message is too long, or somebody is asked who
/// may not review.
pub async fn request(state: &AppState, actor: &Actor, set: &SetAt, asked: Request<'_>) -> Result<Review> {
    set.at.require(actor, Action::Edit)?;
    let title = within("title", "a title", asked.title, TITLE_MAX)?;
    let message = within("message", "a message", asked.message, MESSAGE_MAX)?;
    let mut tx = state.database.write().await?;
    let locked = match begin_edit(&mut tx, actor, set).await {
        Ok(_) => false,
        Err(ApiError::Conflict { code: "locked", .. }) => true,
        Err(ApiError::Conflict { code: "in_review", .. }) => {
            return Err(ApiError::conflict("in_review", "the set is in REVIEW already"));
        }
        Err(error) => return Err(error),
    };
    let draft = load(&mut tx, set).await?;
    crate::lock::has_prompts(&draft)?;
    let people = asked_people(&mut tx, &set.at, asked.reviewers).await?;
    let versions = version::of_set(&mut tx, &set.set.id).await?;
    let base = if locked { previous(&versions) } else { crate::lock::highest(&versions).map(|(v, _)| v) };
    let row = Review {
        id: clock::new_id(),
        set_id: set.set.id.clone(),
        number: prompt_set::next_review(&mut tx, &set.set.id).await?,
        digest: draft.digest.to_string(),
        title,
        state: "open".into(),
        requested_by: actor.name.clone(),
        requested_by_id: actor.user_id.clone(),
        requested_at: clock::now(),
        closed_at: None,
        message,
        base_version_id: base.map(|version| version.id.clone()),
    };
    review::insert(&mut tx, &row).await?;
    let body = draft.bundle(set, semver::Version::new(0, 0, 0))?.into_body()?;
    review::add_content(&mut tx, &row.id, &body).await?;
    let rows: Vec<Reviewer> =
        people.into_iter().map(|user_id| Reviewer { review_id: row.id.clone(), user_id }).collect();
    review::add_reviewers(&mut tx, &rows).await?;
    if !locked {
        prompt_set::set_state(&mut tx, &set.set.id, "review").await?;
    }
    let detail = json!({ "review": row.number, "digest": row.digest });
    audit::record(&mut tx, actor, &set.at.organisation.id, "review.requested", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(row)
}

/// The locked version before the newest.
fn previous(versions: &[Version]) -> Option<&Version> {
    let (newest, _) = crate::lock::highest(versions)?;
    let older: Vec<Version> = versions.iter().filter(|v| v.id != newest.id).cloned().collect();
    let id = crate::lock::highest(&older).map(|(v, _)| v.id.clone())?;
    versions.iter().find(|v| v.id == id)
}

/// Ids of those who are asked.
async fn asked_people(conn: &mut Conn, at: &ProjectAt, asked: &[String]) -> Result<Vec<String>> {
    if asked.len() > REVIEWERS_MAX {
        let detail = format!("at most {REVIEWERS_MAX} people review one draft");
        return Err(ApiError::invalid("too_many", "reviewers", detail));
    }
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let may = may_review(conn, at).await?;
    let mut found: Vec<String> = Vec::new();
    for one in asked.iter().map(|one| one.trim()).filter(|one| !one.is_empty()) {
        let person = may.iter().find(|person| person.id == one || person.email.eq_ignore_ascii_case(one));
        let person = person.ok_or_else(|| {
            let detail = format!("{one} is nobody here who may review; ask a reviewer, an admin or an owner");
            ApiError::invalid("bad_reviewer", "reviewers", detail)
        })?;
        if !found.contains(&person.id) {
            found.push(person.id.clone());
        }
    }
    Ok(found)
}

/// Who may review in a project, members and guests.
pub(crate) async fn may_review(conn: &mut Conn, at: &ProjectAt) -> Result<Vec<user::User>> {
    let mut people = organisation::members(conn, &at.organisation.id).await?;
    people.extend(grant::of_project(conn, &at.project.id).await?);
    let mut found: Vec<user::User> = Vec::new();
    for (person, role) in people {
        let may = !person.disabled && Role::parse(&role).is_some_and(|role| role.may(Action::Review));
        if may && !found.iter().any(|other| other.id == person.id) {
            found.push(person);
        }
    }
    Ok(found)
}

/// Who may be asked to review here, by id and name.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn candidates(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<(String, String)>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(may_review(&mut conn, at).await?.into_iter().map(|one| (one.id, one.name)).collect())
}

/// Which review is meant: one by its number, or the one that the set is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Current,
    Number(i64),
}

/// Approves the content with this digest.
///
/// # Errors
/// Not allowed; nothing under review, or it was returned; another digest; one's own; approved before.
pub async fn approve(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    which: Which,
    digest: &str,
    comment: &str,
) -> Result<()> {
    set.at.require(actor, Action::Review)?;
    let mut tx = state.database.write().await?;
    let review = open(&mut tx, set, which).await?;
    let by_author = own(&mut tx, actor, set, &review).await?;
    if review.digest != digest {
        return Err(ApiError::Conflict {
            code: "digest_mismatch",
            detail: "this is not the draft that is under review; read it again".into(),
            more: json!({ "expected_digest": review.digest }),
        });
    }
    let said = review::approvals_for(&mut tx, &set.set.id, digest).await?;
    if rule::standing_approvals(&said).iter().any(|one| one.user_id == actor.user_id) {
        return Err(ApiError::conflict("already_approved", "you approved exactly this already"));
    }
    verdict(&mut tx, actor, set, &review, ("approved", by_author, comment)).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

/// Whether the actor wrote some of what is reviewed, or asked for it; refuses it where nobody counts that.
async fn own(conn: &mut Conn, actor: &Actor, set: &SetAt, review: &Review) -> Result<bool> {
    let asked = review.requested_by_id == actor.user_id;
    // By name: revisions have no other. A namesake finds somebody else to approve.
    let wrote = content_authors(conn, set, review).await?.contains(&actor.name);
    if (asked || wrote) && !rule::counts_authors(conn, &set.at.project.id).await? {
        let why = match asked {
            true => "who asked for a review cannot approve it; ask somebody else",
            false => "you wrote some of this draft, so you cannot approve it; ask somebody else",
        };
        return Err(ApiError::Forbidden(why.into()));
    }
    Ok(asked || wrote)
}

/// Why the actor cannot approve it, whatever their role: they asked for it, or wrote some of it.
///
/// # Errors
/// Not allowed.
pub async fn refuses_own(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    review: &Review,
) -> Result<Option<String>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    match own(&mut conn, actor, set, review).await {
        Ok(_) => Ok(None),
        Err(ApiError::Forbidden(why)) => Ok(Some(why)),
        Err(error) => Err(error),
    }
}

/// Who wrote what is reviewed: of the draft, or of the version that it became.
async fn content_authors(conn: &mut Conn, set: &SetAt, review: &Review) -> Result<Vec<String>> {
    let mut authors = crate::lock::authors(conn, set).await?;
    let versions = version::of_set(conn, &set.set.id).await?;
    let since = versions.iter().filter(|v| v.kind == "locked" && v.created_at >= review.requested_at);
    if let Some(version) = since.min_by_key(|v| v.created_at).or_else(|| {
        // It was locked before anybody asked.
        versions
            .iter()
            .filter(|v| v.kind == "locked" && set.set.state == "locked")
            .max_by_key(|v| v.created_at)
    }) {
        authors.extend(version.author.split(", ").map(str::to_owned));
    }
    Ok(authors)
}

/// Gives the set back to EDITING, whoever may edit or review, with words or without; approvals of it no
/// longer count. A version that is LOCKED stays so, and the own approval of it no longer counts.
///
/// # Errors
/// Not allowed, or nothing under review.
pub async fn give_back(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    which: Which,
    comment: &str,
) -> Result<()> {
    set.at.require(actor, Action::Return)?;
    let mut tx = state.database.write().await?;
    let review = open(&mut tx, set, which).await?;
    verdict(&mut tx, actor, set, &review, ("returned", false, comment)).await?;
    let now = prompt_set::by_id(&mut tx, &set.set.id).await?;
    if now.is_some_and(|now| now.state == "review") {
        prompt_set::set_state(&mut tx, &set.set.id, "editing").await?;
    }
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

/// Asks for changes in one review, and says which: [`give_back`] with words.
///
/// # Errors
/// Nothing is said; else as [`give_back`].
pub async fn ask_for_changes(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    number: i64,
    comment: &str,
) -> Result<()> {
    set.at.require(actor, Action::Return)?;
    if comment.trim().is_empty() {
        return Err(ApiError::invalid("empty", "comment", "say what has to change before you ask for it"));
    }
    give_back(state, actor, set, Which::Number(number), comment).await
}

async fn open(conn: &mut Conn, set: &SetAt, which: Which) -> Result<Review> {
    let now = prompt_set::touch(conn, &set.set.id, clock::now(), &set.set.updated_by).await?;
    let last = review::last(conn, &set.set.id).await?;
    let current = last.as_ref().map(|r| r.number);
    let (review, number) = match which {
        Which::Current => (last, None),
        Which::Number(number) => {
            let found = review::find(conn, &set.set.id, number).await?;
            (Some(found.ok_or(ApiError::NotFound("review"))?), Some(number))
        }
    };
    let nothing = || ApiError::conflict("not_in_review", "nothing of this set is under review");
    let (Some(now), Some(review)) = (now, review) else { return Err(nothing()) };
    match (now.state.as_str(), number) {
        // The set waits for this one.
        ("review", _) if current == Some(review.number) => Ok(review),
        ("locked", None) if review.state != "returned" => Ok(review),
        (_, None) => Err(nothing()),
        (_, Some(_)) if review.state == "returned" => Err(ApiError::conflict(
            "not_in_review",
            "changes were asked for in this review; ask for a new one when they are made",
        )),
        (_, Some(_)) => Ok(review),
    }
}

async fn verdict(
    conn: &mut Tx,
    actor: &Actor,
    set: &SetAt,
    review: &Review,
    (verdict, by_author, comment): (&str, bool, &str),
) -> Result<()> {
    let now = clock::now();
    let row = Approval {
        id: clock::new_id(),
        review_id: review.id.clone(),
        digest: review.digest.clone(),
        verdict: verdict.into(),
        user_id: actor.user_id.clone(),
        created_at: now,
        by_author,
        comment: within("comment", "a comment", comment, MESSAGE_MAX)?,
    };
    // The console is nobody's user and leaves only its line in the audit log.
    if !matches!(actor.entry, crate::auth::Entry::Console) {
        review::add_approval(conn, &row).await?;
    }
    // What became a version stays that.
    if review.state != "locked" {
        review::close(conn, &review.id, verdict, now).await?;
    }
    let detail = json!({ "review": review.number, "digest": review.digest });
    let action = format!("review.{verdict}");
    audit::record(conn, actor, &set.at.organisation.id, &action, &set.path(), detail).await
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
    let said = review::approvals(&mut conn, &review.id).await?;
    let comments = review::comments(&mut conn, &review.id).await?;
    let asked = review::reviewers(&mut conn, &[&review.id]).await?;
    let ids: Vec<String> = asked
        .iter()
        .map(|one| one.user_id.clone())
        .chain(said.iter().map(|one| one.user_id.clone()))
        .collect();
    let names = user::names(&mut conn, &ids).await?;
    let name = |id: &str| names.iter().find(|(i, _)| i == id).map_or(id, |(_, name)| name).to_owned();
    let content = match review::content(&mut conn, &review.id).await? {
        Some(body) => Some(Content::of_body(&body)?),
        None => None,
    };
    let base = match &review.base_version_id {
        Some(id) => version::by_id(&mut conn, id).await?,
        None => None,
    };
    let draft = load(&mut conn, set).await?;
    let void = review.state != "locked" && draft.digest.to_string() != review.digest;
    let parts = talk::parts(&mut conn, actor, &review, content.as_ref()).await?;
    Ok(ReviewView {
        reviewers: asked.iter().map(|one| (one.user_id.clone(), name(&one.user_id))).collect(),
        verdicts: verdicts(&said, name),
        unsettled: talk::unsettled(&comments),
        comments: talk::in_order(comments),
        parts,
        content,
        base,
        void,
        review,
    })
}

fn verdicts(said: &[Approval], name: impl Fn(&str) -> String) -> Vec<Verdict> {
    said.iter()
        .enumerate()
        .map(|(i, one)| Verdict {
            user_id: one.user_id.clone(),
            name: name(&one.user_id),
            approved: one.verdict == "approved",
            overtaken: said.iter().skip(i + 1).any(|later| later.user_id == one.user_id),
            by_author: one.by_author,
            comment: one.comment.clone(),
            at: one.created_at,
        })
        .collect()
}

/// For a set in REVIEW: the review, and who approved exactly this draft.
pub(crate) async fn approver(
    conn: &mut Conn,
    set: &SetAt,
    draft: &Draft,
) -> Result<Option<(Review, String)>> {
    let Some(review) = review::last(conn, &set.set.id).await? else { return Ok(None) };
    if review.state != "approved" || review.digest != draft.digest.to_string() {
        return Ok(None);
    }
    let said = review::approvals_for(conn, &set.set.id, &review.digest).await?;
    let ids: Vec<String> =
        rule::standing_approvals(&said).into_iter().map(|one| one.user_id.clone()).collect();
    let names: Vec<String> = user::names(conn, &ids).await?.into_iter().map(|(_, name)| name).collect();
    Ok((!names.is_empty()).then(|| (review, names.join(", ").chars().take(200).collect())))
}

//! What is said to a review line by line, settled or not, and what each reviewer ticked as seen.
//!
//! A comment and its answers are one talk: it is settled as a whole. A tick is bound to the content of one prompt or
//! partial: it holds in every review of exactly that, and is void when a word of it changes.

use std::collections::HashMap;

use schemas::canonical::{Digest, to_canonical};
use serde::Serialize;
use serde_json::json;

use super::MESSAGE_MAX;
use crate::audit;
use crate::auth::{Action, Actor, Entry};
use crate::author::{Item, SetAt};
use crate::clock;
use crate::compare::Content;
use crate::compare::changes::{DEPENDENCIES, lines};
use crate::database::review::{self, Review, ReviewComment, Seen};
use crate::database::{Conn, version};
use crate::error::{ApiError, Result, within};
use crate::state::AppState;

/// Most comments of one review.
const COMMENTS_MAX: usize = 1000;
/// Longest name of what a comment is about, in characters.
const NAME_MAX: usize = 300;
/// Most ticks of one person in one set that are looked at.
const TICKS_MAX: i64 = 20_000;

/// A prompt or a partial of what is reviewed that is not as it was in the version before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub item: Item,
    pub name: String,
    /// Of the prompt or partial alone; one that was removed has that of nothing.
    pub digest: String,
    /// `new`, `changed` or `removed`.
    pub change: &'static str,
    /// The reader ticked exactly this as seen.
    pub seen: bool,
}

/// What a comment is about: the whole where neither is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// A prompt or a partial of what is reviewed, or of what it is held against.
    pub prompt: Option<&'a str>,
    /// A line of its text as it is reviewed, from 1, counted through all messages of a chat.
    pub line: Option<i64>,
}

/// Adds a comment, to a prompt and line or to the whole, or an answer to one, which stands where that one does: whoever
/// may edit or review.
///
/// # Errors
/// Not allowed, no such review or comment, nothing said, a place that is not in the review, too long, or too many.
pub async fn comment(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    number: i64,
    place: Place<'_>,
    answers: Option<&str>,
    body: &str,
) -> Result<ReviewComment> {
    set.at.require(actor, Action::Return)?;
    if body.trim().is_empty() {
        return Err(ApiError::invalid("empty", "body", "a comment says something"));
    }
    let body = within("body", "a comment", body, MESSAGE_MAX)?;
    let mut tx = state.database.write().await?;
    let review = review::find(&mut tx, &set.set.id, number).await?.ok_or(ApiError::NotFound("review"))?;
    let all = review::comments(&mut tx, &review.id).await?;
    if all.len() >= COMMENTS_MAX {
        let detail = format!("a review has at most {COMMENTS_MAX} comments; ask for a new one");
        return Err(ApiError::conflict("too_many", detail));
    }
    let first = match answers {
        Some(id) => Some(first_of(&all, id)?),
        None => {
            standing(&mut tx, &review, place).await?;
            None
        }
    };
    let row = ReviewComment {
        id: clock::new_id(),
        review_id: review.id.clone(),
        prompt_id: match first {
            Some(first) => first.prompt_id.clone(),
            None => place.prompt.map(str::to_owned),
        },
        line: match first {
            Some(first) => first.line,
            None => place.line,
        },
        body,
        author: actor.name.clone(),
        created_at: clock::now(),
        author_id: actor.user_id.clone(),
        answers: first.map(|first| first.id.clone()),
        settled_at: None,
        settled_by: None,
    };
    review::add_comment(&mut tx, &row).await?;
    let detail = json!({ "review": review.number });
    audit::record(&mut tx, actor, &set.at.organisation.id, "review.commented", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(row)
}

/// Refuses a place that is not in what is reviewed.
async fn standing(conn: &mut Conn, review: &Review, place: Place<'_>) -> Result<()> {
    let wrong = |field: &'static str, detail: String| -> Result<()> {
        Err(ApiError::invalid("invalid", field, detail))
    };
    let Some(name) = place.prompt else {
        return match place.line {
            None => Ok(()),
            Some(_) => wrong("line", "say the prompt too that the line is of".into()),
        };
    };
    within("prompt", "the name of a prompt", name, NAME_MAX)?;
    // Of a review of before what was read was kept, nobody knows what is in it.
    let Some(body) = review::content(conn, &review.id).await? else { return Ok(()) };
    let (content, before) = (Content::of_body(&body)?, base(conn, review).await?);
    let Some(lines) = lines_of(&content, &before, name) else {
        return wrong("prompt", format!("nothing in this review is called {name:?}: name a prompt of it"));
    };
    match place.line {
        Some(_) if lines == 0 => {
            wrong("line", format!("{name} has no lines in what is reviewed: leave the line out"))
        }
        Some(line) if !usize::try_from(line).is_ok_and(|line| (1..=lines).contains(&line)) => {
            wrong("line", format!("{name} has no line {line}: it is between 1 and {lines}"))
        }
        _ => Ok(()),
    }
}

/// How many lines a prompt or a partial has as it is reviewed; 0 where it was removed, or is no text.
fn lines_of(content: &Content, before: &Content, name: &str) -> Option<usize> {
    let old = before.prompts.iter().find(|prompt| prompt.id.as_str() == name);
    let mine = content.prompts.iter().find(|prompt| prompt.id.as_str() == name).map(|new| lines(old, new));
    let shared = content.partials.iter().find(|partial| partial.name.as_str() == name);
    let shared = shared.map(|partial| partial.source.lines().count().max(1));
    let was = before.partials.iter().any(|partial| partial.name.as_str() == name);
    // What other sets give has a place on the page, and no lines.
    let gone = old.is_some() || was || name == DEPENDENCIES;
    mine.max(shared).or_else(|| gone.then_some(0))
}

/// What a review is held against.
async fn base(conn: &mut Conn, review: &Review) -> Result<Content> {
    let body = match &review.base_version_id {
        Some(id) => version::body(conn, id).await?,
        None => None,
    };
    Ok(body.map(|body| Content::of_body(&body)).transpose()?.unwrap_or_default())
}

/// The comment that a talk began with.
fn first_of<'a>(all: &'a [ReviewComment], id: &str) -> Result<&'a ReviewComment> {
    let find = |id: &str| all.iter().find(|one| one.id == id);
    let found = find(id).ok_or(ApiError::NotFound("comment"))?;
    Ok(found.answers.as_deref().and_then(find).unwrap_or(found))
}

/// Settles a comment with its answers, or opens it again: who wrote it, who asked for the review, or whoever may
/// review.
///
/// # Errors
/// Not allowed, or no such review or comment.
pub async fn settle(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    number: i64,
    comment: &str,
    settled: bool,
) -> Result<ReviewComment> {
    set.at.require(actor, Action::Return)?;
    let mut tx = state.database.write().await?;
    let review = review::find(&mut tx, &set.set.id, number).await?.ok_or(ApiError::NotFound("review"))?;
    let all = review::comments(&mut tx, &review.id).await?;
    let first = first_of(&all, comment)?;
    if !may_settle(actor, set, &review, first) {
        let why =
            "only who wrote a comment, who asked for the review, or a reviewer settles it or opens it again";
        return Err(ApiError::Forbidden(why.into()));
    }
    let now = settled.then(|| (clock::now(), actor.name.as_str()));
    review::settle(&mut tx, &first.id, now).await?;
    let detail = json!({ "review": review.number, "comment": first.id });
    let action = if settled { "review.settled" } else { "review.unsettled" };
    audit::record(&mut tx, actor, &set.at.organisation.id, action, &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(ReviewComment {
        settled_at: now.map(|(at, _)| at),
        settled_by: now.map(|(_, by)| by.to_owned()),
        ..first.clone()
    })
}

/// Whether somebody may settle a comment.
#[must_use]
pub fn may_settle(actor: &Actor, set: &SetAt, review: &Review, comment: &ReviewComment) -> bool {
    set.at.lets(actor, Action::Review)
        || set.at.lets(actor, Action::Return)
            && [&comment.author_id, &review.requested_by_id].contains(&&actor.user_id)
}

/// How many comments are not settled.
#[must_use]
pub(super) fn unsettled(comments: &[ReviewComment]) -> usize {
    comments.iter().filter(|one| one.answers.is_none() && one.settled_at.is_none()).count()
}

/// Comments from the oldest to the newest, each with its answers behind it.
pub(super) fn in_order(comments: Vec<ReviewComment>) -> Vec<ReviewComment> {
    let mut answers: HashMap<String, Vec<ReviewComment>> = HashMap::new();
    let mut firsts = Vec::new();
    for one in comments {
        match &one.answers {
            Some(first) => answers.entry(first.clone()).or_default().push(one),
            None => firsts.push(one),
        }
    }
    let mut all = Vec::new();
    for first in firsts {
        let after = answers.remove(&first.id).unwrap_or_default();
        all.push(first);
        all.extend(after);
    }
    all
}

/// Ticks a prompt or a partial of a review as seen, or takes the tick away.
///
/// # Errors
/// Not allowed; no such review, or nothing of this name that changed in it.
pub async fn saw(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    number: i64,
    (item, name): (Item, &str),
    seen: bool,
) -> Result<()> {
    set.at.require(actor, Action::Return)?;
    if matches!(actor.entry, Entry::Console) {
        return Err(ApiError::Forbidden("the console is nobody who sees anything; sign in".into()));
    }
    let mut tx = state.database.write().await?;
    let review = review::find(&mut tx, &set.set.id, number).await?.ok_or(ApiError::NotFound("review"))?;
    let content = match review::content(&mut tx, &review.id).await? {
        Some(body) => Some(Content::of_body(&body)?),
        None => None,
    };
    let all = parts(&mut tx, actor, &review, content.as_ref()).await?;
    let part = all.into_iter().find(|part| part.item == item && part.name == name);
    let part = part.ok_or(ApiError::NotFound(item.as_str()))?;
    let row = Seen {
        set_id: set.set.id.clone(),
        user_id: actor.user_id.clone(),
        kind: item.as_str().into(),
        name: part.name,
        digest: part.digest,
        seen_at: clock::now(),
    };
    match seen {
        true => review::tick(&mut tx, &row).await?,
        false => review::untick(&mut tx, &row).await?,
    }
    let detail = json!({ "review": review.number, "kind": row.kind, "name": row.name, "digest": row.digest });
    let action = if seen { "review.seen" } else { "review.unseen" };
    audit::record(&mut tx, actor, &set.at.organisation.id, action, &set.path(), detail).await?;
    tx.commit().await?;
    Ok(())
}

/// What of a review is not as it was in its base, partials after prompts, by name.
pub(super) async fn parts(
    conn: &mut Conn,
    actor: &Actor,
    review: &Review,
    content: Option<&Content>,
) -> Result<Vec<Part>> {
    let Some(content) = content else { return Ok(Vec::new()) };
    let before = base(conn, review).await?;
    let ticks = review::ticked(conn, &review.set_id, &actor.user_id, TICKS_MAX).await?;
    let seen = |item: Item, name: &str, digest: &str| {
        ticks.iter().any(|t| t.kind == item.as_str() && t.name == name && t.digest == digest)
    };
    let mut all = differing(
        Item::Prompt,
        content.prompts.iter().map(|p| (p.id.as_str(), p)),
        before.prompts.iter().map(|p| (p.id.as_str(), p)),
    )?;
    all.extend(differing(
        Item::Partial,
        content.partials.iter().map(|p| (p.name.as_str(), &p.source)),
        before.partials.iter().map(|p| (p.name.as_str(), &p.source)),
    )?);
    for part in &mut all {
        part.seen = seen(part.item, &part.name, &part.digest);
    }
    Ok(all)
}

/// What is not the same in two lists, by name.
fn differing<'a, T: PartialEq + Serialize + 'a>(
    item: Item,
    now: impl Iterator<Item = (&'a str, &'a T)>,
    before: impl Iterator<Item = (&'a str, &'a T)>,
) -> Result<Vec<Part>> {
    let mut before: HashMap<&str, &T> = before.collect();
    let mut all = Vec::new();
    for (name, one) in now {
        let change = match before.remove(name) {
            Some(old) if old == one => continue,
            Some(_) => "changed",
            None => "new",
        };
        let digest = Digest::of(&to_canonical(one).map_err(ApiError::internal)?).to_string();
        all.push(Part { item, name: name.to_owned(), digest, change, seen: false });
    }
    let nothing = Digest::of(b"").to_string();
    all.extend(before.into_keys().map(|name| Part {
        item,
        name: name.to_owned(),
        digest: nothing.clone(),
        change: "removed",
        seen: false,
    }));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

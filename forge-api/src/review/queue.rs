//! What waits for an answer, and what is closed.

use std::collections::HashMap;

use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::database::organisation::Organisation;
use crate::database::project::Project;
use crate::database::prompt_set::PromptSet;
use crate::database::review::{self, Approval, Closed, Review, Reviewer};
use crate::database::revision::NEWEST;
use crate::database::{Conn, user};
use crate::error::Result;
use crate::rule;
use crate::state::AppState;

/// Most closed reviews of one list.
const CLOSED_MAX: i64 = 501;
/// Most reviews of one person that are looked through at once.
const ANSWERED_MAX: i64 = 1000;

/// A review, and how it stands.
#[derive(Debug, Clone)]
pub struct Queued {
    pub review: Review,
    pub at: ProjectAt,
    pub set: PromptSet,
    /// Names of those who are asked.
    pub reviewers: Vec<String>,
    /// Names of those whose approval stands.
    pub approved_by: Vec<String>,
    /// Comments that are not settled.
    pub unsettled: usize,
    /// It waits for the actor.
    pub for_me: bool,
    /// The actor asked for it.
    pub by_me: bool,
    /// Nobody can answer it any more.
    pub closed: bool,
}

/// Which of the closed reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mine {
    /// That somebody asked me for, or that I answered.
    Asked,
    /// That I asked for.
    By,
    All,
}

type Row = (Review, PromptSet, Project);

/// The reviews of organisations that can still be answered, the longest waiting first.
///
/// # Errors
/// The database refuses.
pub async fn queue(state: &AppState, actor: &Actor, organisations: &[Organisation]) -> Result<Vec<Queued>> {
    let ids: Vec<&str> = organisations.iter().map(|o| o.id.as_str()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut conn = state.database.read().await?;
    let rows = review::open_in(&mut conn, &ids).await?;
    // Reopened since: nobody waits for an answer any more.
    let rows =
        rows.into_iter().filter(|(_, set, _)| set.state == "review" || set.state == "locked").collect();
    told(&mut conn, actor, organisations, rows, false).await
}

/// How many reviews of each of these organisations wait for the actor: those that are `for_me` in [`queue`].
///
/// # Errors
/// The database refuses.
pub async fn count_mine(
    state: &AppState,
    actor: &Actor,
    organisations: &[&str],
) -> Result<HashMap<String, usize>> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    if organisations.is_empty() {
        return Ok(counts);
    }
    let mut conn = state.database.read().await?;
    for (organisation, project, n) in review::unanswered(&mut conn, organisations, &actor.user_id).await? {
        let may = |action| actor.may_at(&organisation, &project, action);
        if may(Action::View) && may(Action::Review) {
            *counts.entry(organisation).or_default() += usize::try_from(n).unwrap_or_default();
        }
    }
    Ok(counts)
}

/// The reviews of organisations that nobody can answer any more, newest first, from below the id `before`; and the id
/// to go on from, where there may be more.
///
/// # Errors
/// The database refuses.
pub async fn closed(
    state: &AppState,
    actor: &Actor,
    organisations: &[Organisation],
    mine: Mine,
    before: Option<&str>,
    limit: i64,
) -> Result<(Vec<Queued>, Option<String>)> {
    let ids: Vec<&str> = organisations.iter().map(|o| o.id.as_str()).collect();
    if ids.is_empty() {
        return Ok((Vec::new(), None));
    }
    let (before, limit) = (before.unwrap_or(NEWEST), limit.clamp(1, CLOSED_MAX));
    let mut conn = state.database.read().await?;
    let answered = match mine {
        Mine::Asked => review::answered_by(&mut conn, &actor.user_id, before, ANSWERED_MAX).await?,
        Mine::By | Mine::All => Vec::new(),
    };
    let which = match mine {
        Mine::Asked => Closed::Of(&answered),
        Mine::By => Closed::By(&actor.user_id),
        Mine::All => Closed::All,
    };
    let rows = review::closed_in(&mut conn, &ids, which, before, limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|n| n == limit);
    let last = rows.last().filter(|_| full).map(|(review, ..)| review.id.clone());
    Ok((told(&mut conn, actor, organisations, rows, true).await?, last))
}

/// What there is to say about reviews, as far as the actor may see them.
async fn told(
    conn: &mut Conn,
    actor: &Actor,
    organisations: &[Organisation],
    rows: Vec<Row>,
    closed: bool,
) -> Result<Vec<Queued>> {
    let at = |project: Project| {
        let organisation = organisations.iter().find(|o| o.id == project.organisation_id)?.clone();
        Some(ProjectAt { organisation, project })
    };
    let rows: Vec<(Review, PromptSet, ProjectAt)> = rows
        .into_iter()
        .filter_map(|(review, set, project)| Some((review, set, at(project)?)))
        .filter(|(_, _, at)| at.lets(actor, Action::View))
        .collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = rows.iter().map(|(review, ..)| review.id.as_str()).collect();
    let asked = review::reviewers(conn, &ids).await?;
    let said = review::approvals_of(conn, &ids).await?;
    let unsettled: HashMap<String, i64> = review::unsettled(conn, &ids).await?.into_iter().collect();
    let mut people: Vec<String> =
        asked.iter().map(|one| &one.user_id).chain(said.iter().map(|one| &one.user_id)).cloned().collect();
    people.sort_unstable();
    people.dedup();
    let names: HashMap<String, String> = user::names(conn, &people).await?.into_iter().collect();
    let mut asked = by_review(asked, |one: &Reviewer| &one.review_id);
    let mut said = by_review(said, |one: &Approval| &one.review_id);
    let name = |id: &str| names.get(id).cloned();
    let queued = rows.into_iter().map(|(review, set, at)| {
        let asked = asked.remove(&review.id).unwrap_or_default();
        let said = said.remove(&review.id).unwrap_or_default();
        let by_me = review.requested_by_id == actor.user_id;
        let answered = said.iter().any(|one| one.user_id == actor.user_id);
        let named = asked.iter().any(|one| one.user_id == actor.user_id);
        let meant = named || asked.is_empty() && review.state == "open";
        Queued {
            for_me: !closed && meant && !by_me && !answered && at.lets(actor, Action::Review),
            by_me,
            approved_by: rule::standing_approvals(&said)
                .iter()
                .filter_map(|one| name(&one.user_id))
                .collect(),
            reviewers: asked.iter().filter_map(|one| name(&one.user_id)).collect(),
            unsettled: unsettled.get(&review.id).and_then(|n| usize::try_from(*n).ok()).unwrap_or_default(),
            closed,
            at,
            set,
            review,
        }
    });
    Ok(queued.collect())
}

fn by_review<T>(rows: Vec<T>, id: impl Fn(&T) -> &String) -> HashMap<String, Vec<T>> {
    let mut by: HashMap<String, Vec<T>> = HashMap::new();
    for row in rows {
        by.entry(id(&row).clone()).or_default().push(row);
    }
    by
}

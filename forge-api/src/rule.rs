//! Rules of environments: which roles may publish there, and after how many approvals of exactly what
//! is published.
//!
//! An approval is bound to the digest of what was read. It counts for a version whose content has that
//! digest, whenever it was locked, and for nothing else: whoever changes a word makes it void. What was
//! live in an environment before may go back there without new approvals: a rollback waits for nobody.

use schemas::Micros;
use serde_json::json;

use crate::audit;
use crate::auth::{Action, Actor, Role};
use crate::author::prompt::content_digest;
use crate::author::{self, ProjectAt, SetAt};
use crate::clock;
use crate::database::project::Environment;
use crate::database::review::{self, Approval, Review};
use crate::database::rule::{self, EnvironmentRule};
use crate::database::version::{self, Version};
use crate::database::{Conn, project, publication, user};
use crate::error::{ApiError, Result};
use crate::events::Kind;
use crate::state::AppState;

/// Most approvals that a rule asks for.
pub const APPROVALS_MAX: i64 = 5;
/// Names of one problem.
const NAMES_MAX: usize = 20;

/// Who may publish to an environment, and what that needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Approvals that a version needs, 0 to [`APPROVALS_MAX`].
    pub approvals: i64,
    /// Whether the approval of somebody who wrote some of it does not count.
    pub not_author: bool,
    /// Roles that may publish, of those that may at all.
    pub roles: Vec<Role>,
    /// When it was set, and by whom; none where nobody ever did.
    pub updated: Option<(Micros, String)>,
}

impl Default for Rule {
    fn default() -> Self {
        Self { approvals: 0, not_author: true, roles: publishers().collect(), updated: None }
    }
}

/// The roles that may publish where no rule narrows it.
pub fn publishers() -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(|role| role.may(Action::Publish))
}

impl From<EnvironmentRule> for Rule {
    fn from(row: EnvironmentRule) -> Self {
        let named: Vec<Role> = row.roles.split(',').filter_map(Role::parse).collect();
        Self {
            approvals: row.approvals,
            not_author: row.not_author,
            roles: if named.is_empty() { publishers().collect() } else { named },
            updated: Some((row.updated_at, row.updated_by)),
        }
    }
}

/// What a rule is to be.
#[derive(Debug, Clone, Copy)]
pub struct NewRule<'a> {
    pub approvals: i64,
    pub not_author: bool,
    /// Names of roles, one at least; none: all that may publish.
    pub roles: Option<&'a [String]>,
}

/// How far a version is with the approvals that an environment asks for.
#[derive(Debug, Clone)]
pub struct Standing {
    pub rule: Rule,
    /// Who approved exactly this, as far as it counts.
    pub approved_by: Vec<String>,
    /// Who could approve it and did not yet.
    pub may_approve: Vec<String>,
    /// The newest review of exactly this.
    pub review: Option<Review>,
    /// It was live there before: it needs none.
    pub was_live: bool,
}

impl Standing {
    /// Approvals that are still missing.
    #[must_use]
    pub fn missing(&self) -> i64 {
        let have = i64::try_from(self.approved_by.len()).unwrap_or(i64::MAX);
        if self.was_live { 0 } else { (self.rule.approvals - have).max(0) }
    }
}

async fn of(conn: &mut Conn, environment_id: &str) -> Result<Rule> {
    let found = rule::of(conn, &[environment_id]).await?;
    Ok(found.into_iter().next().map(Rule::from).unwrap_or_default())
}

/// The environments of a project in their order, each with its rule.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn rules(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<(Environment, Rule)>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let environments = project::environments(&mut conn, &at.project.id).await?;
    let ids: Vec<&str> = environments.iter().map(|e| e.id.as_str()).collect();
    let mut rows = rule::of(&mut conn, &ids).await?;
    let taken = environments.into_iter().map(|environment| {
        let row = rows.iter().position(|r| r.environment_id == environment.id).map(|i| rows.swap_remove(i));
        (environment, row.map(Rule::from).unwrap_or_default())
    });
    Ok(taken.collect())
}

/// The rule of one environment.
///
/// # Errors
/// Not allowed, or no such environment.
pub async fn find(state: &AppState, actor: &Actor, at: &ProjectAt, environment: &str) -> Result<Rule> {
    let environment = author::find_environment(state, actor, at, environment).await?;
    let mut conn = state.database.read().await?;
    of(&mut conn, &environment.id).await
}

/// Sets the rule of an environment.
///
/// # Errors
/// Not allowed; too many approvals; a role that may not publish, or none at all.
pub async fn put(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    environment: &str,
    new: NewRule<'_>,
) -> Result<Rule> {
    at.require(actor, Action::ManageProjects)?;
    if !(0..=APPROVALS_MAX).contains(&new.approvals) {
        let detail = format!("from 0 to {APPROVALS_MAX} approvals");
        return Err(ApiError::invalid("invalid", "approvals", detail));
    }
    if new.roles.is_some_and(<[String]>::is_empty) {
        let detail = "somebody has to be able to publish: choose at least one role";
        return Err(ApiError::invalid("bad_role", "roles", detail));
    }
    let may: Vec<Role> = publishers().collect();
    // None named is all of them.
    let roles = new.roles.unwrap_or_default();
    for name in roles {
        if !Role::parse(name).is_some_and(|role| may.contains(&role)) {
            let may: Vec<&str> = may.iter().map(|role| role.as_str()).collect();
            let detail = format!("the role {name:?} may not publish; choose of {}", may.join(", "));
            return Err(ApiError::invalid("bad_role", "roles", detail));
        }
    }
    let named = may.iter().filter(|role| roles.iter().any(|name| name == role.as_str()));
    let names: Vec<&str> = named.map(|role| role.as_str()).collect();
    let environment = author::find_environment(state, actor, at, environment).await?;
    let row = EnvironmentRule {
        environment_id: environment.id,
        approvals: new.approvals,
        not_author: new.not_author,
        roles: if names.len() == may.len() { String::new() } else { names.join(",") },
        updated_at: clock::now(),
        updated_by: actor.name.clone(),
    };
    let mut tx = state.database.write().await?;
    rule::put(&mut tx, &row).await?;
    let subject = format!("{}/{}", at.path(), environment.slug);
    let detail = json!({ "approvals": row.approvals, "not_author": row.not_author, "roles": row.roles });
    audit::record(&mut tx, actor, &at.organisation.id, "environment.rule", &subject, detail).await?;
    tx.commit().await?;
    state.events.tell(&at.organisation.id, &at.project.id, Kind::Project);
    Ok(row.into())
}

/// Whether somebody who wrote some of a draft may say that it is good: only where an environment
/// counts that.
pub(crate) async fn counts_authors(conn: &mut Conn, project_id: &str) -> Result<bool> {
    let environments = project::environments(conn, project_id).await?;
    let ids: Vec<&str> = environments.iter().map(|e| e.id.as_str()).collect();
    Ok(rule::of(conn, &ids).await?.iter().any(|row| !row.not_author))
}

/// Of everything that was said to one content, oldest first: the approvals that stand, one of each
/// person. Who asked for changes later takes the own approval back.
pub(crate) fn standing_approvals(said: &[Approval]) -> Vec<&Approval> {
    let mut last: Vec<&Approval> = Vec::new();
    for one in said {
        last.retain(|other| other.user_id != one.user_id);
        last.push(one);
    }
    last.retain(|one| one.verdict == "approved");
    last
}

/// Names of those whose approval an environment counts, of everything that was said to one content.
pub(crate) async fn counted(conn: &mut Conn, set_id: &str, digest: &str, rule: &Rule) -> Result<Vec<String>> {
    let said = review::approvals_for(conn, set_id, digest).await?;
    let ids: Vec<String> = standing_approvals(&said)
        .into_iter()
        .filter(|one| !(rule.not_author && one.by_author))
        .map(|one| one.user_id.clone())
        .collect();
    Ok(user::names(conn, &ids).await?.into_iter().map(|(_, name)| name).collect())
}

async fn standing_in(
    conn: &mut Conn,
    set: &SetAt,
    environment: &Environment,
    version: &Version,
) -> Result<Standing> {
    let rule = of(conn, &environment.id).await?;
    let was_live = publication::was_live(conn, &environment.id, &version.id).await?;
    let mut standing =
        Standing { rule, approved_by: Vec::new(), may_approve: Vec::new(), review: None, was_live };
    if standing.rule.approvals == 0 {
        return Ok(standing);
    }
    let body = version::body(conn, &version.id).await?.ok_or(ApiError::NotFound("version"))?;
    let digest = content_digest(schemas::bundle::Bundle::from_body(&body)?)?.to_string();
    let said = review::approvals_for(conn, &set.set.id, &digest).await?;
    let not_author = standing.rule.not_author;
    let counted: Vec<String> = standing_approvals(&said)
        .into_iter()
        .filter(|one| !(not_author && one.by_author))
        .map(|one| one.user_id.clone())
        .collect();
    let authors: Vec<&str> = version.author.split(", ").collect();
    let reviewers = crate::review::may_review(conn, &set.at).await?;
    standing.may_approve = reviewers
        .into_iter()
        .filter(|one| !(counted.contains(&one.id) || not_author && authors.contains(&one.name.as_str())))
        .map(|one| one.name)
        .take(NAMES_MAX)
        .collect();
    standing.approved_by = user::names(conn, &counted).await?.into_iter().map(|(_, name)| name).collect();
    standing.review = review::of_digest(conn, &set.set.id, &digest).await?;
    Ok(standing)
}

/// How far a version is with the approvals that an environment asks for.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn standing(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    environment: &Environment,
    version: &Version,
) -> Result<Standing> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    standing_in(&mut conn, set, environment, version).await
}

/// Refuses a publication that the environment's rule does not let through; gives who approved it.
pub(crate) async fn allow(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    environment: &Environment,
    version: &Version,
) -> Result<Vec<String>> {
    let standing = standing_in(conn, set, environment, version).await?;
    let roles = &standing.rule.roles;
    if actor.role_at(&set.at.organisation.id, &set.at.project.id).is_some_and(|role| !roles.contains(&role)) {
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        return Err(ApiError::Conflict {
            code: "role_may_not_publish",
            detail: format!(
                "only the role {} publishes to {}; ask one of them",
                names.join(" or "),
                environment.slug
            ),
            more: json!({ "roles": names }),
        });
    }
    if standing.missing() == 0 {
        return Ok(standing.approved_by);
    }
    Err(missing(set, environment, version, &standing))
}

fn missing(set: &SetAt, environment: &Environment, version: &Version, standing: &Standing) -> ApiError {
    let who = match standing.may_approve.as_slice() {
        [] => "nobody else here may approve it: add a reviewer to the organisation".to_owned(),
        names => format!("{} may approve it", names.join(", ")),
    };
    let (needed, have) = (standing.rule.approvals, standing.approved_by.len());
    let base = format!("/{}/{}/{}/-", set.at.organisation.slug, set.at.project.slug, set.set.slug);
    let link = match &standing.review {
        Some(review) => format!("{base}/reviews/{}", review.number),
        None => format!("{base}/lock"),
    };
    ApiError::Conflict {
        code: "approvals_missing",
        detail: format!(
            "{} needs {needed} approvals of exactly this content, and {} has {have}; {who}",
            environment.slug, version.version
        ),
        more: json!({
            "environment": environment.slug, "version": version.version, "needed": needed, "have": have,
            "approved_by": standing.approved_by, "may_approve": standing.may_approve, "review": link,
        }),
    }
}

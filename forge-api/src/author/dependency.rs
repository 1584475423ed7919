//! Sets that a draft takes partials from: each by a range of versions, resolved to the highest locked
//! version that fits, and embedded. What is embedded is part of the draft's content: an approval is
//! bound to it, and a version holds it for ever.

use schemas::Slug;
use schemas::bundle::{Bundle, Dependency};
use schemas::canonical::Digest;
use schemas::prompt::Partial;
use schemas::template;
use semver::VersionReq;
use serde_json::json;

use super::SetAt;
use super::set::begin_edit;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::dependency::{self, LockedDependency, SetRequirement};
use crate::database::prompt_set::{self, PromptSet};
use crate::database::version::{self, Version};
use crate::database::{Conn, DatabaseError};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most sets that one set takes partials from.
pub(super) const REQUIREMENTS_MAX: usize = 20;
/// Longest range, in characters.
const RANGE_MAX: usize = 100;

/// A set that a draft takes partials from.
#[derive(Debug, Clone)]
pub struct Requirement {
    pub set_id: String,
    /// Its slug.
    pub set: String,
    /// The range that is asked for.
    pub requirement: String,
    pub updated_by: String,
    /// None where no locked version fits.
    pub resolved: Option<Resolved>,
}

/// What a requirement comes to now.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub version_id: String,
    pub dependency: Dependency,
    /// Under the names by which they are included.
    pub partials: Vec<Partial>,
}

/// Reads a range.
pub(super) fn range(text: &str) -> Result<VersionReq> {
    let bad = |why: String| {
        let detail = format!("{text:?} is no range of versions ({why}); write for example ^1.2 or =2.0.1");
        ApiError::invalid("bad_range", "requirement", detail)
    };
    if text.chars().count() > RANGE_MAX {
        return Err(bad(format!("more than {RANGE_MAX} characters")));
    }
    text.trim().parse().map_err(|e: semver::Error| bad(e.to_string()))
}

/// The highest locked version that fits.
#[must_use]
pub fn highest_within(versions: &[Version], wanted: &VersionReq) -> Option<(Version, semver::Version)> {
    versions
        .iter()
        .filter(|v| v.kind == "locked")
        .filter_map(|v| Some((v, v.version.parse::<semver::Version>().ok()?)))
        .filter(|(_, number)| wanted.matches(number))
        .max_by(|(_, a), (_, b)| a.cmp(b))
        .map(|(v, number)| (v.clone(), number))
}

/// What the draft of a set takes in now.
pub(crate) async fn resolve(conn: &mut Conn, set_id: &str) -> Result<Vec<Requirement>> {
    let mut found = Vec::new();
    for row in dependency::requirements(conn, set_id).await? {
        let Some(other) = prompt_set::by_id(conn, &row.dependency_id).await? else { continue };
        let wanted = range(&row.requirement)?;
        let versions = version::of_set(conn, &other.id).await?;
        let resolved = match highest_within(&versions, &wanted) {
            Some((version, number)) => Some(embedded(conn, &other, &row, version, number).await?),
            None => None,
        };
        found.push(Requirement {
            set_id: other.id,
            set: other.slug,
            requirement: row.requirement,
            updated_by: row.updated_by,
            resolved,
        });
    }
    found.sort_by(|a, b| a.set.cmp(&b.set));
    Ok(found)
}

async fn embedded(
    conn: &mut Conn,
    other: &PromptSet,
    row: &SetRequirement,
    version: Version,
    number: semver::Version,
) -> Result<Resolved> {
    let body = version::body(conn, &version.id).await?.ok_or(ApiError::NotFound("version"))?;
    let bundle = Bundle::from_body(&body)?;
    let set = Slug::new(&other.slug)?;
    let digest: Digest =
        version.digest.parse().map_err(|_| DatabaseError::Damaged("digest of a version".into()))?;
    Ok(Resolved {
        version_id: version.id,
        partials: template::embed(&set, &bundle.partials),
        dependency: Dependency { set, requirement: row.requirement.clone(), version: number, digest },
    })
}

/// Refuses a draft that requires what is not there.
pub(crate) fn all_resolved(requirements: &[Requirement]) -> Result<()> {
    match requirements.iter().find(|one| one.resolved.is_none()) {
        None => Ok(()),
        Some(one) => Err(ApiError::conflict(
            "dependency_unresolved",
            format!(
                "no locked version of {} fits {}: lock one, or ask for another range",
                one.set, one.requirement
            ),
        )),
    }
}

/// Writes down what a version was resolved to.
pub(crate) async fn record(conn: &mut Conn, version_id: &str, requirements: &[Requirement]) -> Result<()> {
    let rows: Vec<LockedDependency> = requirements
        .iter()
        .filter_map(|one| {
            Some(LockedDependency {
                version_id: version_id.to_owned(),
                set_id: one.set_id.clone(),
                requirement: one.requirement.clone(),
                resolved_version_id: one.resolved.as_ref()?.version_id.clone(),
            })
        })
        .collect();
    Ok(dependency::add_locked(conn, &rows).await?)
}

/// What the draft of a set takes in, each with what it comes to now.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn requirements(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<Requirement>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    resolve(&mut conn, &set.set.id).await
}

/// Takes partials of another set of the project into a draft, or asks for another range.
///
/// # Errors
/// Not allowed; not in EDITING; no such set; a bad range; no version fits; a circle.
pub async fn put_requirement(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    other: &str,
    requirement: &str,
) -> Result<Requirement> {
    set.at.require(actor, Action::Edit)?;
    let wanted = range(requirement)?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let other = prompt_set::by_slug(&mut tx, &set.at.project.id, other).await?.ok_or_else(|| {
        let detail = format!("there is no set {other:?} in this project");
        ApiError::invalid("no_such_set", "set", detail)
    })?;
    acyclic(&mut tx, set, &other).await?;
    let known = dependency::requirements(&mut tx, &set.set.id).await?;
    if known.len() >= REQUIREMENTS_MAX && !known.iter().any(|k| k.dependency_id == other.id) {
        let detail = format!("a set takes partials from at most {REQUIREMENTS_MAX} others");
        return Err(ApiError::conflict("too_many", detail));
    }
    let versions = version::of_set(&mut tx, &other.id).await?;
    if highest_within(&versions, &wanted).is_none() {
        let detail = match crate::lock::highest(&versions) {
            Some((highest, _)) => format!(
                "no locked version of {} fits {requirement}; the highest is {}",
                other.slug, highest.version
            ),
            None => format!("{} has no locked version yet: lock it first", other.slug),
        };
        return Err(ApiError::conflict("dependency_unresolved", detail));
    }
    let row = SetRequirement {
        set_id: set.set.id.clone(),
        dependency_id: other.id.clone(),
        requirement: requirement.trim().to_owned(),
        updated_at: clock::now(),
        updated_by: actor.name.clone(),
    };
    dependency::put_requirement(&mut tx, &row).await?;
    let detail = json!({ "set": other.slug, "requirement": row.requirement });
    audit::record(&mut tx, actor, &set.at.organisation.id, "dependency.put", &set.path(), detail).await?;
    let made = resolve(&mut tx, &set.set.id).await?;
    tx.commit().await?;
    set.changed(state);
    made.into_iter().find(|one| one.set_id == other.id).ok_or(ApiError::NotFound("dependency"))
}

/// Takes nothing from a set any more.
///
/// # Errors
/// Not allowed; not in EDITING; it took nothing from there.
pub async fn delete_requirement(state: &AppState, actor: &Actor, set: &SetAt, other: &str) -> Result<()> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let found = prompt_set::by_slug(&mut tx, &set.at.project.id, other).await?;
    let gone = match &found {
        Some(other) => dependency::delete_requirement(&mut tx, &set.set.id, &other.id).await?,
        None => false,
    };
    if !gone {
        let detail = format!("{} takes no partials from {other}", set.set.slug);
        return Err(ApiError::conflict("not_required", detail));
    }
    let detail = json!({ "set": other });
    audit::record(&mut tx, actor, &set.at.organisation.id, "dependency.deleted", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

/// Refuses a requirement that would lead back to the set itself, and says by which way.
pub(super) async fn acyclic(conn: &mut Conn, set: &SetAt, other: &PromptSet) -> Result<()> {
    let sets = prompt_set::of_project(conn, &set.at.project.id).await?;
    let slug = |id: &str| sets.iter().find(|s| s.id == id).map_or("?", |s| s.slug.as_str()).to_owned();
    let ids: Vec<&str> = sets.iter().map(|s| s.id.as_str()).collect();
    let all = dependency::requirements_of(conn, &ids).await?;
    // Every way from the other set, the shortest first; a set is looked at once.
    let mut ways = std::collections::VecDeque::from([vec![other.id.clone()]]);
    let mut seen = std::collections::HashSet::from([other.id.clone()]);
    while let Some(way) = ways.pop_front() {
        let Some(last) = way.last() else { continue };
        if *last == set.set.id {
            let path = std::iter::once(set.set.slug.clone()).chain(way.iter().map(|id| slug(id)));
            let path = path.collect::<Vec<_>>().join(" → ");
            return Err(ApiError::Conflict {
                code: "dependency_cycle",
                detail: format!("that would be a circle: {path}; move what both need into a set of its own"),
                more: json!({ "path": path }),
            });
        }
        for next in all.iter().filter(|row| row.set_id == *last) {
            if seen.insert(next.dependency_id.clone()) {
                ways.push_back(way.iter().cloned().chain([next.dependency_id.clone()]).collect());
            }
        }
    }
    Ok(())
}

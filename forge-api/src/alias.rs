//! Names for versions: `latest`, which moves by itself, and those that people give; and what an
//! address leads to.

use schemas::bundle::Bundle;
use schemas::names::{Address, Wanted};
use schemas::prompt::Prompt;
use schemas::{Micros, Slug};
use serde_json::json;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::dependency::highest_within;
use crate::author::{self, ProjectAt, SetAt};
use crate::clock;
use crate::database::alias::{self, Alias};
use crate::database::version::{self, Version};
use crate::database::{Conn, prompt_set};
use crate::error::{ApiError, Result};
use crate::lock;
use crate::state::AppState;

/// The highest release of a set, or its highest version where there is no release yet.
pub const LATEST: &str = "latest";

/// Most aliases of one set.
pub(crate) const ALIASES_MAX: usize = 50;

/// A name and the version that it stands for.
#[derive(Debug, Clone)]
pub struct Named {
    pub name: String,
    pub version: Version,
    /// Only who manages the project moves it.
    pub protected: bool,
    pub updated_at: Micros,
    pub updated_by: String,
}

/// What an address leads to.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub set: SetAt,
    pub version: Version,
    pub prompt: Option<Prompt>,
}

fn latest(versions: &[Version]) -> Option<Named> {
    let numbered = || {
        let locked = versions.iter().filter(|v| v.kind == "locked");
        locked.filter_map(|v| Some((v, v.version.parse::<semver::Version>().ok()?)))
    };
    let release = numbered().filter(|(_, n)| n.pre.is_empty()).max_by(|(_, a), (_, b)| a.cmp(b));
    let (version, _) = release.or_else(|| numbered().max_by(|(_, a), (_, b)| a.cmp(b)))?;
    Some(Named {
        name: LATEST.into(),
        version: version.clone(),
        protected: true,
        updated_at: version.created_at,
        updated_by: version.author.clone(),
    })
}

async fn all(conn: &mut Conn, set: &SetAt) -> Result<Vec<Named>> {
    let versions = version::of_set(conn, &set.set.id).await?;
    let mut found: Vec<Named> = latest(&versions).into_iter().collect();
    for row in alias::of_set(conn, &set.set.id).await? {
        let Some(version) = versions.iter().find(|v| v.id == row.version_id) else { continue };
        found.push(Named {
            name: row.name,
            version: version.clone(),
            protected: row.protected,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
        });
    }
    Ok(found)
}

/// The aliases of a set: `latest`, then the others by name.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<Named>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    all(&mut conn, set).await
}

/// One alias.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find(state: &AppState, actor: &Actor, set: &SetAt, name: &str) -> Result<Named> {
    list(state, actor, set).await?.into_iter().find(|one| one.name == name).ok_or(ApiError::NotFound("alias"))
}

/// Reads the name of an alias that people may give.
pub(crate) fn named(name: &str) -> Result<Slug> {
    if name == LATEST {
        let detail = "latest moves by itself to the highest release; give the version another name";
        return Err(ApiError::conflict("alias_reserved", detail));
    }
    match Wanted::new(name) {
        Ok(Wanted::Alias(slug)) => Ok(slug),
        _ => Err(ApiError::invalid(
            "bad_name",
            "alias",
            format!(
                "{name:?} cannot be an alias: write small letters, digits and hyphens, such as stable, and no version"
            ),
        )),
    }
}

/// Refuses who may not move this one, or may not protect it.
fn movable(actor: &Actor, set: &SetAt, name: &str, known: Option<&Alias>, protect: bool) -> Result<()> {
    let guarded = known.is_some_and(|row| row.protected);
    if !(guarded || protect) || set.at.lets(actor, Action::ManageProjects) {
        return Ok(());
    }
    let detail = match guarded {
        true => format!("{name} is protected: only an admin or an owner moves it; ask one of them"),
        false => format!(
            "only an admin or an owner may protect an alias: give {name} without protected, or ask one of them"
        ),
    };
    Err(ApiError::Conflict { code: "alias_protected", detail, more: json!({ "alias": name }) })
}

/// Gives a version a name, or moves the name to it. `protected` none leaves that as it is.
///
/// # Errors
/// Not allowed; a bad name; `latest`; protected; no such locked version; too many.
pub async fn put(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    name: &str,
    to: &str,
    protected: Option<bool>,
) -> Result<Named> {
    set.at.require(actor, Action::Lock)?;
    let name = named(name)?;
    let mut tx = state.database.write().await?;
    // Two that give the last free name wait for each other here.
    prompt_set::hold(&mut tx, &set.set.id).await?;
    let rows = alias::of_set(&mut tx, &set.set.id).await?;
    let known = rows.iter().find(|row| row.name == name.as_str());
    let wanted = protected.unwrap_or_else(|| known.is_some_and(|row| row.protected));
    movable(actor, set, name.as_str(), known, wanted)?;
    if known.is_none() && rows.len() >= ALIASES_MAX {
        return Err(ApiError::conflict("too_many", format!("a set has at most {ALIASES_MAX} aliases")));
    }
    let version = version::find(&mut tx, &set.set.id, to).await?.filter(|v| v.kind == "locked");
    let version = version.ok_or_else(|| {
        let detail = format!("there is no locked version {to:?} of {}", set.set.slug);
        ApiError::invalid("no_such_version", "version", detail)
    })?;
    let row = Alias {
        set_id: set.set.id.clone(),
        name: name.to_string(),
        version_id: version.id.clone(),
        updated_at: clock::now(),
        updated_by: actor.name.clone(),
        protected: wanted,
    };
    alias::put(&mut tx, &row).await?;
    let detail = json!({ "alias": row.name, "version": version.version, "protected": wanted });
    audit::record(&mut tx, actor, &set.at.organisation.id, "alias.moved", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(Named {
        name: row.name,
        version,
        protected: wanted,
        updated_at: row.updated_at,
        updated_by: row.updated_by,
    })
}

/// Takes a name away. Nothing happens where there was none.
///
/// # Errors
/// Not allowed; `latest`; protected.
pub async fn delete(state: &AppState, actor: &Actor, set: &SetAt, name: &str) -> Result<()> {
    set.at.require(actor, Action::Lock)?;
    let name = named(name)?;
    let mut tx = state.database.write().await?;
    prompt_set::hold(&mut tx, &set.set.id).await?;
    let rows = alias::of_set(&mut tx, &set.set.id).await?;
    let known = rows.iter().find(|row| row.name == name.as_str());
    movable(actor, set, name.as_str(), known, false)?;
    if alias::delete(&mut tx, &set.set.id, name.as_str()).await? {
        let detail = json!({ "alias": name });
        audit::record(&mut tx, actor, &set.at.organisation.id, "alias.deleted", &set.path(), detail).await?;
    }
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

/// The version that is meant: exact, the highest within a range, or an alias.
///
/// # Errors
/// [`ApiError::NotFound`], or it is none of these.
pub async fn resolve(state: &AppState, actor: &Actor, set: &SetAt, text: &str) -> Result<Version> {
    set.at.require(actor, Action::View)?;
    let wanted = Wanted::new(text).map_err(|e| ApiError::Invalid {
        code: "bad_version",
        field: Some("version"),
        detail: e.to_string(),
    })?;
    match wanted {
        Wanted::Exact(number) => lock::find_version(state, actor, set, &number.to_string()).await,
        Wanted::Range(range) => {
            let versions = lock::versions(state, actor, set).await?;
            highest_within(&versions, &range).map(|(v, _)| v).ok_or(ApiError::NotFound("version"))
        }
        Wanted::Alias(name) => Ok(find(state, actor, set, name.as_str()).await?.version),
    }
}

/// What `@organisation/set@version/prompt` leads to; no version means `latest`. Where several projects
/// have a set of that name, `project` says which is meant.
///
/// # Errors
/// No address; nothing there; several projects have it.
pub async fn resolve_address(
    state: &AppState,
    actor: &Actor,
    address: &str,
    project: Option<&str>,
) -> Result<Resolved> {
    let address: Address = address
        .parse()
        .map_err(|e: schemas::names::NameError| ApiError::invalid("bad_address", "address", e.to_string()))?;
    let set = find_set(state, actor, &address, project).await?;
    let version = resolve(state, actor, &set, address.version.as_deref().unwrap_or(LATEST)).await?;
    let prompt = match &address.prompt {
        None => None,
        Some(id) => {
            let bundle = Bundle::from_body(&lock::version_body(state, actor, &set, &version).await?)?;
            let found = bundle.prompts.into_iter().find(|p| p.id == *id);
            Some(found.ok_or(ApiError::NotFound("prompt"))?)
        }
    };
    Ok(Resolved { set, version, prompt })
}

async fn find_set(
    state: &AppState,
    actor: &Actor,
    address: &Address,
    project: Option<&str>,
) -> Result<SetAt> {
    if let Some(project) = project {
        let at = author::find_project(state, actor, address.organisation.as_str(), project).await?;
        return author::find_set(state, actor, &at, address.set.as_str()).await;
    }
    let mut conn = state.database.read().await?;
    let found = prompt_set::named(&mut conn, address.organisation.as_str(), address.set.as_str()).await?;
    let mut seen: Vec<SetAt> = found
        .into_iter()
        .map(|(organisation, project, set)| SetAt { at: ProjectAt { organisation, project }, set })
        .filter(|set| set.at.require(actor, Action::View).is_ok())
        .collect();
    match seen.len() {
        0 => Err(ApiError::NotFound("prompt set")),
        1 => seen.pop().ok_or(ApiError::NotFound("prompt set")),
        _ => {
            let projects: Vec<&str> = seen.iter().map(|s| s.at.project.slug.as_str()).collect();
            Err(ApiError::Conflict {
                code: "ambiguous_address",
                detail: format!(
                    "several projects have a set {}: say project={}",
                    address.set,
                    projects.join(" or project=")
                ),
                more: json!({ "projects": projects }),
            })
        }
    }
}

//! A whole draft made again what a version of its set was, all of it or nothing. Nothing is destroyed: what the version
//! does not have goes into the archive, what changed gets one more revision, and what is the same is left alone.

use std::collections::BTreeSet;

use exchange::{Content, Digests};
use schemas::bundle::Bundle;
use schemas::canonical::Digest;
use schemas::{Slug, template};
use serde_json::json;

use super::SetAt;
use super::archive::keep_because;
use super::dependency::{Requirement, acyclic, highest_within, range};
use super::export::own;
use super::item::{Because, Held, Item, held, name_now, put_because, take};
use super::plan::Change;
use super::prompt::{load, small_enough};
use super::set::begin_edit;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::dependency::{self, SetRequirement};
use crate::database::prompt_set::{self, PromptSet};
use crate::database::redirect::{self, Redirect};
use crate::database::{Conn, archive, version};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What becomes of a draft that is made again what a version was.
#[derive(Debug, Clone)]
pub struct Restored {
    pub version: String,
    /// They are in the version only.
    pub added: Vec<Touched>,
    /// They are in both, with another content or under another name.
    pub changed: Vec<Touched>,
    /// They are in the draft only.
    pub archived: Vec<Touched>,
    /// Prompts and partials that stay as they are.
    pub unchanged: usize,
    /// Sets that partials are taken from, where that changes or comes to another version than it did.
    pub dependencies: Vec<Taken>,
    /// Of the draft: as it stands before anything is written, or as it was written.
    pub draft_digest: Digest,
}

/// A prompt or a partial that is written, by its name in the version, or in the draft where the version has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub item: Item,
    pub name: String,
    /// What it is called in the draft, where that is something else: it gets its name back.
    pub from: Option<String>,
}

/// A set that partials are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub set: String,
    pub change: Change,
    /// The range that is asked for; where it is removed, the one that was.
    pub requirement: String,
    /// What that came to in the version.
    pub was: Option<String>,
    /// What it comes to now.
    pub now: Option<String>,
}

impl Restored {
    /// Whether anything is written.
    #[must_use]
    pub fn writes(&self) -> bool {
        let lists = [&self.added, &self.changed, &self.archived];
        lists.iter().any(|list| !list.is_empty()) || self.dependencies.iter().any(|one| one.change.writes())
    }
}

/// What restoring a version would do to the draft as it stands. Nothing is written.
///
/// # Errors
/// Not allowed, or no such version.
pub async fn restoration(state: &AppState, actor: &Actor, set: &SetAt, number: &str) -> Result<Restored> {
    set.at.require(actor, Action::Edit)?;
    let mut conn = state.database.read().await?;
    let was = read(&mut conn, set, number).await?;
    planned(&mut conn, set, &was).await
}

/// Makes the draft again what a version was. Where it is that already, nothing is written.
///
/// `expected_digest` is the digest of the draft that the caller saw, if the caller cares.
///
/// # Errors
/// Not allowed; not in EDITING; no such version; the draft changed meanwhile; what it took partials from takes them
/// from this set by now. Nothing is changed then.
pub async fn restore_version(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    number: &str,
    expected_digest: Option<&str>,
) -> Result<Restored> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let was = read(&mut tx, set, number).await?;
    let mut done = planned(&mut tx, set, &was).await?;
    if expected_digest.is_some_and(|expected| expected != done.draft_digest.to_string()) {
        return Err(ApiError::Conflict {
            code: "draft_changed",
            detail: "the draft changed after you opened it; look again at what restoring would change".into(),
            more: json!({ "draft_digest": done.draft_digest }),
        });
    }
    if !done.writes() {
        return Ok(done);
    }
    write(&mut tx, actor, set, &was, &done).await?;
    small_enough(&mut tx, set).await?;
    done.draft_digest = load(&mut tx, set).await?.digest;
    let detail = json!({
        "version": done.version, "added": done.added.len(), "changed": done.changed.len(),
        "archived": done.archived.len(), "unchanged": done.unchanged, "digest": done.draft_digest,
    });
    audit::record(&mut tx, actor, &set.at.organisation.id, "draft.restored", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(done)
}

/// A version as the draft that it was locked from.
struct Was {
    number: String,
    /// Without what it took from other sets.
    content: Content,
    requires: Vec<Required>,
}

/// A set that a version took partials from.
struct Required {
    set: PromptSet,
    requirement: String,
    /// What that came to.
    number: String,
}

impl Was {
    /// The JSON of a prompt, or the source of a partial.
    fn body(&self, one: &Touched) -> Result<String> {
        let name = one.name.as_str();
        match one.item {
            Item::Prompt => {
                let at = self.content.prompts.binary_search_by(|p| p.id.as_str().cmp(name));
                let found = at.ok().and_then(|at| self.content.prompts.get(at));
                serde_json::to_string(found.ok_or(ApiError::NotFound("prompt"))?).map_err(ApiError::internal)
            }
            Item::Partial => {
                let at = self.content.partials.binary_search_by(|p| p.name.as_str().cmp(name));
                let found = at.ok().and_then(|at| self.content.partials.get(at));
                Ok(found.ok_or(ApiError::NotFound("partial"))?.source.clone())
            }
        }
    }
}

async fn read(conn: &mut Conn, set: &SetAt, number: &str) -> Result<Was> {
    let number = number.trim();
    let row = version::find(conn, &set.set.id, number).await?.ok_or_else(|| {
        let detail = format!("there is no version {number:?} of {}", set.set.slug);
        ApiError::invalid("no_such_version", "version", detail)
    })?;
    let bundle = bundle(conn, &row.id).await?;
    let (mut embedded, mut requires) = (BTreeSet::new(), Vec::new());
    for one in dependency::of_version(conn, &row.id).await? {
        let other = prompt_set::by_id(conn, &one.set_id).await?.ok_or(ApiError::NotFound("prompt set"))?;
        let taken = version::by_id(conn, &one.resolved_version_id).await?;
        let taken = taken.ok_or(ApiError::NotFound("version"))?;
        let theirs = self::bundle(conn, &taken.id).await?.partials;
        embedded.extend(template::embed(&Slug::new(&other.slug)?, &theirs).into_iter().map(|p| p.name));
        requires.push(Required { set: other, requirement: one.requirement, number: taken.version });
    }
    let partials = bundle.partials.into_iter().filter(|p| !embedded.contains(&p.name)).collect();
    let content = Content { prompts: bundle.prompts, partials }.sorted();
    Ok(Was { number: row.version, content, requires })
}

async fn bundle(conn: &mut Conn, version_id: &str) -> Result<Bundle> {
    let body = version::body(conn, version_id).await?.ok_or(ApiError::NotFound("version"))?;
    Ok(Bundle::from_body(&body)?)
}

/// What a part is called among [`Digests`].
fn key(item: Item, name: &str) -> String {
    format!("{}s/{name}", item.as_str())
}

/// The part of a name among [`Digests`].
fn part(key: &str) -> (Item, &str) {
    match key.split_once('/') {
        Some(("partials", name)) => (Item::Partial, name),
        Some((_, name)) => (Item::Prompt, name),
        None => (Item::Prompt, key),
    }
}

/// What differs between the draft and a version, and so what is to be written.
async fn planned(conn: &mut Conn, set: &SetAt, was: &Was) -> Result<Restored> {
    let draft = load(conn, set).await?;
    let draft_digest = draft.digest;
    let dependencies = dependencies(conn, was, &draft.requirements).await?;
    let (before, after) = (own(draft).digests(), was.content.digests());
    let (mut added, mut changed, mut archived) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unchanged, mut moved) = (0, BTreeSet::new());
    for (place, wanted) in &after {
        let (item, name) = part(place);
        let one = |from| Touched { item, name: name.to_owned(), from };
        match before.get(place) {
            Some(found) if found == wanted => unchanged += 1,
            Some(_) => changed.push(one(None)),
            None => {
                let now = renamed(conn, set, (item, name), &after).await?;
                match now.filter(|now| moved.insert(key(item, now))) {
                    Some(now) => changed.push(one(Some(now))),
                    None => added.push(one(None)),
                }
            }
        }
    }
    for gone in before.keys().filter(|one| !after.contains_key(*one) && !moved.contains(*one)) {
        let (item, name) = part(gone);
        archived.push(Touched { item, name: name.to_owned(), from: None });
    }
    for list in [&mut added, &mut changed, &mut archived] {
        list.sort_by_key(|one| one.item == Item::Partial);
    }
    let version = was.number.clone();
    Ok(Restored { version, added, changed, archived, unchanged, dependencies, draft_digest })
}

/// What something of a version is called now, where it was renamed and the version has nothing of that name. What is
/// archived under its own name comes back from there.
async fn renamed(
    conn: &mut Conn,
    set: &SetAt,
    (item, name): (Item, &str),
    after: &Digests,
) -> Result<Option<String>> {
    if archive::last(conn, &set.set.id, item.as_str(), name).await?.is_some() {
        return Ok(None);
    }
    let now = name_now(conn, &set.set.id, item, name).await?;
    Ok(now.filter(|now| !after.contains_key(&key(item, now))))
}

/// What becomes of the sets that partials are taken from.
async fn dependencies(conn: &mut Conn, was: &Was, now: &[Requirement]) -> Result<Vec<Taken>> {
    let mut found = Vec::new();
    for one in &was.requires {
        let change = match now.iter().find(|known| known.set_id == one.set.id) {
            None => Change::New,
            Some(known) if known.requirement == one.requirement => Change::Unchanged,
            Some(_) => Change::Changed,
        };
        let versions = version::of_set(conn, &one.set.id).await?;
        let fits = highest_within(&versions, &range(&one.requirement)?);
        let taken = Taken {
            set: one.set.slug.clone(),
            change,
            requirement: one.requirement.clone(),
            was: Some(one.number.clone()),
            now: fits.map(|(version, _)| version.version),
        };
        if change.writes() || taken.now != taken.was {
            found.push(taken);
        }
    }
    for known in now.iter().filter(|known| was.requires.iter().all(|one| one.set.id != known.set_id)) {
        found.push(Taken {
            set: known.set.clone(),
            change: Change::Removed,
            requirement: known.requirement.clone(),
            was: None,
            now: None,
        });
    }
    Ok(found)
}

/// Writes all of it at one time: it is one state of the set.
async fn write(conn: &mut Conn, actor: &Actor, set: &SetAt, was: &Was, plan: &Restored) -> Result<()> {
    let why = format!("Restored from {}", plan.version);
    let because = Because { by: &actor.name, why: &why, from: None, at: clock::now() };
    for one in &plan.archived {
        let old = held(conn, &set.set.id, one.item, &one.name).await?;
        let old = old.ok_or(ApiError::NotFound(one.item.as_str()))?;
        keep_because(conn, set, one.item, old, because).await?;
    }
    for one in plan.changed.iter().chain(&plan.added) {
        let body = was.body(one)?;
        match &one.from {
            Some(from) => put_back(conn, set, one, from, body, because).await?,
            None => put(conn, set, one, body, because).await?,
        }
    }
    for one in plan.dependencies.iter().filter(|one| one.change == Change::Removed) {
        if let Some(other) = prompt_set::by_slug(conn, &set.at.project.id, &one.set).await? {
            dependency::delete_requirement(conn, &set.set.id, &other.id).await?;
        }
    }
    for one in &was.requires {
        if !plan.dependencies.iter().any(|taken| taken.set == one.set.slug && taken.change.takes()) {
            continue;
        }
        acyclic(conn, set, &one.set).await?;
        let row = SetRequirement {
            set_id: set.set.id.clone(),
            dependency_id: one.set.id.clone(),
            requirement: one.requirement.clone(),
            updated_at: because.at,
            updated_by: actor.name.clone(),
        };
        dependency::put_requirement(conn, &row).await?;
    }
    Ok(())
}

/// Writes a prompt or a partial over what stands in the draft, over what was archived, or as something new.
async fn put(conn: &mut Conn, set: &SetAt, one: &Touched, body: String, because: Because<'_>) -> Result<()> {
    let (set_id, name) = (&set.set.id, one.name.as_str());
    let row = match held(conn, set_id, one.item, name).await? {
        Some(standing) => Held { body, ..standing },
        None => match archive::last(conn, set_id, one.item.as_str(), name).await? {
            Some(old) => {
                archive::delete(conn, &old.id).await?;
                Held {
                    id: old.id,
                    name: old.name,
                    body,
                    revision: old.revision,
                    created_at: old.created_at,
                    updated_by: because.by.to_owned(),
                }
            }
            None => Held {
                id: clock::new_id(),
                name: name.to_owned(),
                body,
                revision: 0,
                created_at: because.at,
                updated_by: because.by.to_owned(),
            },
        },
    };
    put_because(conn, set, one.item, &row, because).await.map(|_| ())
}

/// Gives something the name back that it had, with what it was then. What belongs to it goes along.
async fn put_back(
    conn: &mut Conn,
    set: &SetAt,
    one: &Touched,
    from: &str,
    body: String,
    because: Because<'_>,
) -> Result<()> {
    let (set_id, what) = (&set.set.id, one.item.as_str());
    let old = held(conn, set_id, one.item, from).await?.ok_or(ApiError::NotFound(what))?;
    take(conn, set, one.item, &old, because).await?;
    let row = Held { name: one.name.clone(), body, ..old };
    put_because(conn, set, one.item, &row, Because { from: Some(from), ..because }).await?;
    let redirect = Redirect {
        set_id: set_id.clone(),
        kind: what.into(),
        old_id: from.to_owned(),
        prompt_row: row.id,
        created_at: because.at,
        created_by: because.by.to_owned(),
    };
    redirect::put(conn, &redirect).await?;
    redirect::delete(conn, set_id, what, &one.name).await?;
    if one.item == Item::Prompt {
        redirect::move_variable_sets(conn, set_id, from, &one.name).await?;
    }
    Ok(())
}

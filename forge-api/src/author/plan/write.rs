//! Doing what a plan says, all of it or nothing.

use exchange::archive::Set as Whole;
use serde_json::{Value, json};

use super::choice::{Change, Choices};
use super::source::{Part, Source};
use super::version::{Placed, locked, placed};
use super::{
    Plan, SetAt, SetPlan, Target, Waiting, beside, draft, history, planned, sets_of, version, waiting,
};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::author::model::check_tags;
use crate::author::set::{NewSet, begin_edit, create_in, project_in_use};
use crate::author::settings;
use crate::clock;
use crate::database::import;
use crate::database::{Tx, prompt_set};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    pub written: usize,
    pub removed: usize,
    pub unchanged: usize,
}

/// Does what a plan says, all of it or nothing.
///
/// # Errors
/// Not allowed; a set is not in EDITING; the plan is another by now (`plan_changed`), or has conflicts
/// (`import_conflicts`); a draft that would be too large.
pub async fn apply<'a>(
    state: &AppState,
    actor: &Actor,
    target: impl Into<Target<'a>>,
    id: &str,
    digest: &str,
    choices: Choices,
) -> Result<Applied> {
    let target = target.into();
    target.at().require(actor, Action::Edit)?;
    let upload = waiting(state, target, id).await?;
    let mut conn = state.database.read().await?;
    // Versions never change: what stands here of this plan stands there too, or the plan is another.
    let seen = planned(&mut conn, actor, target, &upload, choices).await?;
    let sets = sets_of(&mut conn, target.at()).await?;
    let versions = match seen.digest.to_string() == digest && seen.count(Change::Conflict) == 0 {
        true => placed(&mut conn, target.at(), &sets, &upload.source, &seen).await?,
        false => Vec::new(),
    };
    drop(conn);
    if takes(&seen, "versions/") + takes(&seen, "aliases/") > 0 {
        target.at().require(actor, Action::Lock)?;
    }
    let mut tx = state.database.write().await?;
    match target {
        Target::Set(set) => drop(begin_edit(&mut tx, actor, set).await?),
        Target::Project(at) => {
            project_in_use(&mut tx, at).await?;
            // Other writers of these sets wait from here on; in the order of their names, as they do in `sets`.
            for set in sets.values() {
                prompt_set::hold(&mut tx, &set.id).await?;
            }
        }
    }
    let plan = planned(&mut tx, actor, target, &upload, choices).await?;
    agreed(&plan, digest, versions.len())?;
    let touched = write(&mut tx, actor, target, &upload, &plan, &versions).await?;
    match target {
        Target::Set(_) => import::delete(&mut tx, id).await?,
        Target::Project(_) => import::delete_of_project(&mut tx, id).await?,
    }
    tx.commit().await?;
    for set in touched {
        set.changed(state);
    }
    Ok(Applied {
        written: plan.count(Change::New) + plan.count(Change::Changed),
        removed: plan.count(Change::Removed),
        unchanged: plan.count(Change::Unchanged),
    })
}

/// How many things of a kind are written as the file says.
fn takes(plan: &Plan, kind: &str) -> usize {
    let all = plan.sets.iter().flat_map(|set| &set.items);
    all.filter(|item| item.change.takes() && item.name.starts_with(kind)).count()
}

/// Refuses a plan that is not the one that was seen, or that cannot be done.
fn agreed(plan: &Plan, digest: &str, versions: usize) -> Result<()> {
    let is_ready = plan.count(Change::Conflict) > 0 || takes(plan, "versions/") == versions;
    if plan.digest.to_string() != digest || !is_ready {
        return Err(ApiError::Conflict {
            code: "plan_changed",
            detail:
                "what is here changed after the plan was made; look at the plan again, nothing was written"
                    .into(),
            more: json!({ "plan_digest": plan.digest }),
        });
    }
    let items = plan.items();
    let conflicts: Vec<_> = items.iter().filter(|(_, i)| i.change == Change::Conflict).collect();
    let Some((name, first)) = conflicts.first() else { return Ok(()) };
    let detail = if first.why.is_empty() {
        "somebody changed here what the file changes too; pull and merge, or replace it".to_owned()
    } else {
        format!("{name}: {}", first.why)
    };
    let names: Vec<&str> = conflicts.iter().map(|(name, _)| name.as_str()).collect();
    Err(ApiError::Conflict { code: "import_conflicts", detail, more: json!({ "conflicts": names }) })
}

/// Writes every set, then the versions in the order in which one takes in another, then what leads to them.
async fn write(
    tx: &mut Tx,
    actor: &Actor,
    target: Target<'_>,
    upload: &Waiting,
    plan: &Plan,
    versions: &[Placed],
) -> Result<Vec<SetAt>> {
    let source = &upload.source;
    let mut sets = Vec::with_capacity(plan.sets.len());
    for (part, of) in source.sets.iter().zip(&plan.sets) {
        let set = match target {
            Target::Set(set) => set.clone(),
            Target::Project(at) => of_project(tx, actor, at, part, of).await?,
        };
        if of.writes() {
            if let Some(whole) = &part.whole {
                history::write(tx, actor, &set, of, whole).await?;
            }
            draft::write(tx, actor, &set, of, part.whole.as_ref()).await?;
        }
        sets.push(set);
    }
    for one in versions {
        let wanted = source.sets.iter().zip(&plan.sets).zip(&sets).find_map(|((part, of), set)| {
            let whole: &Whole = part.whole.as_ref()?;
            let told = locked(whole).find(|told| one.is(&of.set, &told.locked))?;
            Some((whole, told, set))
        });
        let Some((whole, told, set)) = wanted else { continue };
        version::write(tx, actor, set, (source, whole), told, one).await?;
    }
    let mut touched = Vec::with_capacity(sets.len());
    for ((part, of), set) in source.sets.iter().zip(&plan.sets).zip(sets) {
        if let Some(whole) = &part.whole {
            beside::write(tx, actor, &set, of, whole).await?;
        }
        if part.archived && of.is_new {
            archive(tx, &set).await?;
        }
        if of.writes() || !plan.of_project {
            let detail = told(upload, plan, of);
            audit::record(tx, actor, &set.at.organisation.id, "set.imported", &set.path(), detail).await?;
            touched.push(set);
        }
    }
    if let Target::Project(at) = target {
        let detail = json!({
            "file": plan.file, "from": from(source), "sets": plan.sets.len(), "digest": plan.digest,
        });
        audit::record(tx, actor, &at.organisation.id, "project.imported", &at.path(), detail).await?;
    }
    Ok(touched)
}

/// A set of the project that is imported into: made, or opened for writing where something is written.
async fn of_project(
    tx: &mut Tx,
    actor: &Actor,
    at: &ProjectAt,
    part: &Part,
    plan: &SetPlan,
) -> Result<SetAt> {
    if let Some(set) = prompt_set::by_slug(tx, &at.project.id, &plan.set).await? {
        let set = SetAt { at: at.clone(), set };
        if plan.writes() {
            begin_edit(tx, actor, &set).await?;
        }
        return Ok(set);
    }
    let new = NewSet { slug: &part.slug, name: &part.name, description: &part.description };
    let mut made = create_in(tx, actor, at, new).await?;
    check_tags(&part.tags)?;
    made.set.tags = part.tags.iter().map(|tag| tag.trim()).collect::<Vec<_>>().join(",");
    settings::store(tx, &made).await?;
    audit::record(tx, actor, &at.organisation.id, "set.created", &made.path(), json!({})).await?;
    Ok(made)
}

/// A set that came archived is archived here, once it is whole.
async fn archive(tx: &mut Tx, set: &SetAt) -> Result<()> {
    let mut set = set.clone();
    set.set.archived_at = Some(clock::now());
    Ok(settings::store(tx, &set).await?)
}

fn from(source: &Source) -> Value {
    match source.organisation.as_str() {
        "" => Value::Null,
        organisation => json!(format!("{organisation}/{}", source.project)),
    }
}

/// What the audit log keeps of the import of one set.
fn told(upload: &Waiting, plan: &Plan, of: &SetPlan) -> Value {
    let count = |change| of.items.iter().filter(|i| i.change == change).count();
    let versions = of.items.iter().filter(|i| i.change.takes());
    let versions: Vec<&str> = versions.filter_map(|i| i.name.strip_prefix("versions/")).collect();
    json!({
        "file": plan.file, "format": plan.format.as_str(), "written": count(Change::New) + count(Change::Changed),
        "removed": count(Change::Removed), "unchanged": count(Change::Unchanged), "digest": plan.digest,
        "versions": versions, "from": from(&upload.source),
    })
}

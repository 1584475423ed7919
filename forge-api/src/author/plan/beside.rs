//! What stands beside a draft: the sets that it takes partials from, the names of its versions, and the values to try
//! prompts with.

use std::collections::{BTreeMap, BTreeSet};

use exchange::Content;
use exchange::archive::{Alias as Name, Set as Whole, VariableSet};
use schemas::canonical::Digest;
use serde_json::{Value, json};

use super::choice::{Change, Choices, PlanItem};
use super::version::Sets;
use super::{SetAt, SetPlan};
use crate::alias::{ALIASES_MAX, named};
use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::author::dependency::{REQUIREMENTS_MAX, range};
use crate::author::organisation::taken;
use crate::author::variables::{SETS_MAX, body_of};
use crate::clock;
use crate::database::alias::{self, Alias};
use crate::database::dependency::{self, SetRequirement};
use crate::database::variable_set::{self, VariableSetRow};
use crate::database::{Conn, prompt_set, version};
use crate::error::{ApiError, Result};

fn digest(value: &Value) -> Option<Digest> {
    Some(Digest::of(value.to_string().as_bytes()))
}

/// What becomes of one thing, by what stands there and what comes.
fn item(name: String, old: Option<Value>, new: &Value, choices: Choices) -> PlanItem {
    let change = match &old {
        None => Change::New,
        Some(old) if old == new => Change::Unchanged,
        Some(_) => choices.existing.other(),
    };
    PlanItem::new(name, change).with(old.as_ref().and_then(digest), digest(new))
}

fn refused(item: PlanItem, why: impl Into<String>) -> PlanItem {
    PlanItem { change: Change::Conflict, ..item }.because(why)
}

/// The sets that drafts take partials from, by the slug of who takes.
pub(super) type Ways = BTreeMap<String, BTreeMap<String, String>>;

/// What every draft of the project takes now.
pub(super) async fn ways(conn: &mut Conn, sets: &Sets) -> Result<Ways> {
    let slugs: BTreeMap<&str, &str> = sets.values().map(|s| (s.id.as_str(), s.slug.as_str())).collect();
    let ids: Vec<&str> = slugs.keys().copied().collect();
    let mut ways = Ways::new();
    for row in dependency::requirements_of(conn, &ids).await? {
        let (from, to) = (slugs.get(row.set_id.as_str()), slugs.get(row.dependency_id.as_str()));
        if let (Some(from), Some(to)) = (from, to) {
            ways.entry((*from).to_owned()).or_default().insert((*to).to_owned(), row.requirement);
        }
    }
    Ok(ways)
}

/// What becomes of each set that the draft takes partials from.
pub(super) fn dependencies(
    slug: &str,
    whole: &Whole,
    sets: &Sets,
    comes: &BTreeSet<String>,
    ways: &Ways,
    choices: Choices,
) -> Result<Vec<PlanItem>> {
    let known = ways.get(slug);
    let mut all: BTreeSet<&str> = known.into_iter().flatten().map(|(set, _)| set.as_str()).collect();
    let mut items = Vec::new();
    for one in &whole.dependencies {
        range(&one.requirement)?;
        let set = one.set.as_str();
        let old = known.and_then(|known| known.get(set)).map(|requirement| json!(requirement));
        let made = item(format!("dependencies/{set}"), old, &json!(one.requirement), choices);
        all.insert(set);
        items.push(if !sets.contains_key(set) && !comes.contains(set) {
            refused(made, "this project has no such set; import that first, or the project")
        } else if set == slug {
            refused(made, "a set takes no partials from itself")
        } else if all.len() > REQUIREMENTS_MAX {
            refused(made, format!("a set takes partials from at most {REQUIREMENTS_MAX} others"))
        } else {
            made
        });
    }
    Ok(items)
}

/// Refuses what would lead back to the set that it starts from.
pub(super) fn no_circles(plans: &mut [SetPlan], ways: &Ways) {
    let mut to: BTreeMap<String, BTreeSet<String>> =
        ways.iter().map(|(from, to)| (from.clone(), to.keys().cloned().collect())).collect();
    for plan in plans.iter() {
        let new = plan.items.iter().filter(|i| i.change.takes());
        let new = new.filter_map(|i| i.name.strip_prefix("dependencies/")).map(str::to_owned);
        to.entry(plan.set.clone()).or_default().extend(new);
    }
    for plan in plans {
        for item in plan.items.iter_mut().filter(|i| i.change.takes()) {
            let Some(other) = item.name.strip_prefix("dependencies/") else { continue };
            if leads(&to, other, &plan.set) {
                item.why = format!("that would be a circle: {other} leads back to {}", plan.set);
                item.change = Change::Conflict;
            }
        }
        plan.index();
    }
}

/// Whether one set takes, itself or by others, from another.
fn leads(to: &BTreeMap<String, BTreeSet<String>>, from: &str, goal: &str) -> bool {
    let (mut ways, mut seen) = (vec![from], BTreeSet::from([from]));
    while let Some(at) = ways.pop() {
        if at == goal {
            return true;
        }
        let next = to.get(at).into_iter().flatten().map(String::as_str);
        ways.extend(next.filter(|one| seen.insert(*one)));
    }
    false
}

/// What becomes of each alias.
pub(super) async fn aliases(
    conn: &mut Conn,
    actor: &Actor,
    at: &ProjectAt,
    set: Option<&SetAt>,
    whole: &Whole,
    choices: Choices,
) -> Result<Vec<PlanItem>> {
    let (rows, versions) = match set {
        Some(set) => (alias::of_set(conn, &set.set.id).await?, version::of_set(conn, &set.set.id).await?),
        None => (Vec::new(), Vec::new()),
    };
    let manages = at.lets(actor, Action::ManageProjects);
    let mut all: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let mut items = Vec::new();
    for one in &whole.aliases {
        named(one.name.as_str())?;
        let known = rows.iter().find(|row| row.name == one.name.as_str());
        let old = known.map(|row| {
            let number = versions.iter().find(|v| v.id == row.version_id).map(|v| v.version.as_str());
            json!([number, row.protected])
        });
        let made = item(
            format!("aliases/{}", one.name),
            old,
            &json!([one.version.to_string(), one.protected]),
            choices,
        );
        all.insert(one.name.as_str());
        let guarded = one.protected || known.is_some_and(|row| row.protected);
        items.push(if made.change.takes() && guarded && !manages {
            let why = match known.is_some_and(|row| row.protected) {
                true => "it is protected: only an admin or an owner moves it; let one of them import this",
                false => "only an admin or an owner may protect an alias; let one of them import this",
            };
            refused(made, why)
        } else if all.len() > ALIASES_MAX {
            refused(made, format!("a set has at most {ALIASES_MAX} aliases"))
        } else {
            made
        });
    }
    Ok(items)
}

fn values_name(one: &VariableSet) -> String {
    format!("variables/{}/{}", one.prompt, one.name)
}

/// Variable sets by prompt and name.
fn by_name(rows: &[VariableSetRow]) -> BTreeMap<(&str, &str), &VariableSetRow> {
    rows.iter().map(|row| ((row.prompt_id.as_str(), row.name.as_str()), row)).collect()
}

/// What becomes of each variable set. `after` is the draft as it would be.
pub(super) async fn variables(
    conn: &mut Conn,
    set: Option<&SetAt>,
    whole: &Whole,
    after: &Content,
    choices: Choices,
) -> Result<Vec<PlanItem>> {
    let rows = match set {
        Some(set) => variable_set::of_set(conn, &set.set.id).await?,
        None => Vec::new(),
    };
    let prompts: BTreeSet<&str> = after.prompts.iter().map(|p| p.id.as_str()).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *counts.entry(row.prompt_id.as_str()).or_default() += 1;
    }
    let known = by_name(&rows);
    let mut items = Vec::new();
    for one in &whole.variable_sets {
        let prompt = one.prompt.as_str();
        let row = known.get(&(prompt, one.name.as_str()));
        let old = row.map(|row| serde_json::from_str(&row.body).unwrap_or_default());
        let new = body_of(&one.name, &one.values, &one.history)?;
        let made = item(values_name(one), old, &new, choices);
        let count = counts.entry(prompt).or_default();
        *count += usize::from(row.is_none());
        items.push(if !prompts.contains(prompt) {
            PlanItem { change: Change::Kept, ..made }.because("there is no such prompt in the draft")
        } else if *count > SETS_MAX {
            refused(made, format!("a prompt has at most {SETS_MAX} variable sets"))
        } else {
            made
        });
    }
    Ok(items)
}

/// Writes all of it as a plan says, once the versions stand.
pub(super) async fn write(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    plan: &SetPlan,
    whole: &Whole,
) -> Result<()> {
    let now = clock::now();
    for one in whole.dependencies.iter().filter(|d| plan.takes(&format!("dependencies/{}", d.set))) {
        let other = prompt_set::by_slug(conn, &set.at.project.id, one.set.as_str()).await?;
        let row = SetRequirement {
            set_id: set.set.id.clone(),
            dependency_id: other.ok_or(ApiError::NotFound("prompt set"))?.id,
            requirement: one.requirement.trim().to_owned(),
            updated_at: now,
            updated_by: actor.name.clone(),
        };
        dependency::put_requirement(conn, &row).await?;
    }
    for one in whole.aliases.iter().filter(|a| plan.takes(&format!("aliases/{}", a.name))) {
        put_alias(conn, actor, set, one).await?;
    }
    let rows = variable_set::of_set(conn, &set.set.id).await?;
    let known = by_name(&rows);
    for one in whole.variable_sets.iter().filter(|v| plan.takes(&values_name(v))) {
        let old = known.get(&(one.prompt.as_str(), one.name.as_str()));
        let row = VariableSetRow {
            id: old.map_or_else(clock::new_id, |row| row.id.clone()),
            set_id: set.set.id.clone(),
            prompt_id: one.prompt.to_string(),
            name: one.name.clone(),
            body: body_of(&one.name, &one.values, &one.history)?.to_string(),
            updated_at: now,
            updated_by: actor.name.clone(),
            revision: old.map_or(1, |row| row.revision + 1),
        };
        if old.is_none() {
            let taken = |e| taken(e, "variable set of this prompt", "name", &row.name);
            variable_set::insert(conn, &row).await.map_err(taken)?;
        } else if !variable_set::update(conn, &row).await? {
            let detail =
                format!("somebody saved the variable set {} meanwhile; look at the plan again", row.name);
            return Err(ApiError::conflict("plan_changed", detail));
        }
    }
    Ok(())
}

async fn put_alias(conn: &mut Conn, actor: &Actor, set: &SetAt, one: &Name) -> Result<()> {
    let row = version::find(conn, &set.set.id, &one.version.to_string()).await?;
    let row = Alias {
        set_id: set.set.id.clone(),
        name: one.name.to_string(),
        version_id: row.ok_or(ApiError::NotFound("version"))?.id,
        updated_at: clock::now(),
        updated_by: actor.name.clone(),
        protected: one.protected,
    };
    Ok(alias::put(conn, &row).await?)
}

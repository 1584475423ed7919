//! Prompts and partials: what comes of a file for the draft of a set, and writing that.

use std::collections::BTreeMap;

use exchange::archive::Set as Whole;
use exchange::{Content, Digests};
use schemas::bundle::PROMPTS_MAX;
use schemas::prompt::{Partial, Prompt};
use schemas::template::SOURCE_MAX;

use super::choice::{Change, Choices, Existing, Others, PlanItem};
use super::history::{Past, past_of};
use super::{SetAt, SetPlan};
use crate::auth::Actor;
use crate::author::archive;
use crate::author::import::put;
use crate::author::item::{Item, held};
use crate::author::prompt::{partial_revision_of, revision_of, short_enough, small_enough};
use crate::clock;
use crate::database::prompt::{self, PartialRow, PromptRow};
use crate::database::{Conn, revision};
use crate::error::{ApiError, Result};

/// What becomes of each prompt and partial.
pub(super) fn compare(
    before: &Digests,
    file: &Digests,
    base: Option<&Digests>,
    choices: Choices,
) -> Vec<PlanItem> {
    let mut items = Vec::new();
    for (name, after) in file {
        let old = before.get(name);
        let known = base.and_then(|base| base.get(name));
        let change = match old {
            None if choices.existing == Existing::Careful && known == Some(after) => Change::Conflict,
            None => Change::New,
            Some(old) if old == after => Change::Unchanged,
            Some(old) => match choices.existing {
                // Here it is as it was, or there: only one side changed.
                Existing::Careful if known == Some(old) => Change::Changed,
                Existing::Careful if known == Some(after) => Change::Kept,
                existing => existing.other(),
            },
        };
        items.push(PlanItem::new(name, change).with(old.copied(), Some(*after)));
    }
    for (name, old) in before.iter().filter(|(name, _)| !file.contains_key(*name)) {
        let known = base.and_then(|base| base.get(name));
        let change = match (choices.others, choices.existing) {
            (Others::Keep, _) => Change::Kept,
            (Others::Remove, Existing::Careful) => match known {
                Some(known) if known == old => Change::Removed,
                // Somebody made it there: it is not this side's to remove.
                None => Change::Kept,
                Some(_) => Change::Conflict,
            },
            (Others::Remove, _) => Change::Removed,
        };
        items.push(PlanItem::new(name, change).with(Some(*old), None));
    }
    items
}

fn prompt_name(prompt: &Prompt) -> String {
    format!("prompts/{}", prompt.id)
}

fn partial_name(partial: &Partial) -> String {
    format!("partials/{}", partial.name)
}

/// The draft as it would be.
pub(super) fn outcome(before: &Content, file: &Content, items: &[PlanItem]) -> Content {
    let changes: BTreeMap<&str, Change> = items.iter().map(|i| (i.name.as_str(), i.change)).collect();
    let takes = |name: &str| changes.get(name).is_some_and(|change| change.takes());
    let stays = |name: &str| !matches!(changes.get(name), Some(Change::Changed | Change::Removed));
    let prompts = before.prompts.iter().filter(|p| stays(&prompt_name(p)));
    let prompts = prompts.chain(file.prompts.iter().filter(|p| takes(&prompt_name(p))));
    let partials = before.partials.iter().filter(|p| stays(&partial_name(p)));
    let partials = partials.chain(file.partials.iter().filter(|p| takes(&partial_name(p))));
    Content { prompts: prompts.cloned().collect(), partials: partials.cloned().collect() }.sorted()
}

/// Writes prompts and partials as a plan says. What has its history from the same file follows on that.
pub(super) async fn write(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    plan: &SetPlan,
    whole: Option<&Whole>,
) -> Result<()> {
    if plan.after.prompts.len() > PROMPTS_MAX {
        return Err(ApiError::TooLarge(format!("a set has at most {PROMPTS_MAX} prompts; split it")));
    }
    let past = past_of(plan, whole);
    let (mut plain, mut rows, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for prompt in plan.after.prompts.iter().filter(|p| plan.takes(&prompt_name(p))) {
        short_enough(prompt)?;
        let Some(last) = past.prompts.get(prompt.id.as_str()) else {
            plain.push(prompt.clone());
            continue;
        };
        let row = prompt_row(actor, set, prompt, last)?;
        if last.body.as_ref() != Some(prompt) {
            kept.push(revision_of(&row));
        }
        rows.push(row);
    }
    put(conn, actor, set, &plain).await?;
    prompt::put_all(conn, &rows).await?;
    prompt::add_revisions(conn, &kept).await?;
    write_partials(conn, actor, set, plan, &past).await?;
    for item in plan.items.iter().filter(|i| i.change == Change::Removed) {
        remove(conn, actor, set, &item.name).await?;
    }
    small_enough(conn, set).await
}

/// A new prompt as it follows on the last change that its history tells: that change itself, or one more.
fn prompt_row(
    actor: &Actor,
    set: &SetAt,
    prompt: &Prompt,
    last: &exchange::archive::Change,
) -> Result<PromptRow> {
    let same = last.body.as_ref() == Some(prompt);
    let saved = super::history::time(&last.created_at)?;
    let now = clock::now();
    Ok(PromptRow {
        id: clock::new_id(),
        set_id: set.set.id.clone(),
        prompt_id: prompt.id.to_string(),
        body: serde_json::to_string(prompt).map_err(ApiError::internal)?,
        revision: if same { last.revision } else { last.revision + 1 },
        created_at: saved,
        updated_at: if same { saved } else { now },
        updated_by: if same { last.author.clone() } else { actor.name.clone() },
    })
}

async fn write_partials(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    plan: &SetPlan,
    past: &Past<'_>,
) -> Result<()> {
    let there = prompt::partials_of_set(conn, &set.set.id).await?;
    for partial in plan.after.partials.iter().filter(|p| plan.takes(&partial_name(p))) {
        if partial.source.len() > SOURCE_MAX {
            return Err(ApiError::TooLarge(format!("a partial has at most {SOURCE_MAX} bytes; split it")));
        }
        let old = there.iter().find(|row| row.name == partial.name.as_str());
        let last = past.partials.get(partial.name.as_str());
        let mut row = PartialRow {
            id: old.map_or_else(clock::new_id, |row| row.id.clone()),
            set_id: set.set.id.clone(),
            name: partial.name.to_string(),
            source: partial.source.clone(),
            revision: old.map_or(0, |row| row.revision).max(last.map_or(0, |last| last.revision)) + 1,
            updated_at: clock::now(),
            updated_by: actor.name.clone(),
        };
        match last.filter(|last| last.source.as_ref() == Some(&partial.source)) {
            Some(last) => {
                row.revision = last.revision;
                row.updated_at = super::history::time(&last.created_at)?;
                row.updated_by.clone_from(&last.author);
            }
            None => {
                let kept = partial_revision_of(&row, Some(row.source.clone()), "");
                revision::add_partials(conn, &[kept]).await?;
            }
        }
        prompt::put_partial(conn, &row).await?;
    }
    Ok(())
}

/// Into the archive: nothing is destroyed.
async fn remove(conn: &mut Conn, actor: &Actor, set: &SetAt, name: &str) -> Result<()> {
    let (item, name) = match name.split_once('/') {
        Some(("partials", name)) => (Item::Partial, name),
        Some((_, name)) => (Item::Prompt, name),
        None => (Item::Prompt, name),
    };
    if let Some(old) = held(conn, &set.set.id, item, name).await? {
        archive::keep(conn, actor, set, item, old).await?;
    }
    Ok(())
}

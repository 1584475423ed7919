//! A set, or all sets of a project, as a file for elsewhere.

use std::collections::BTreeMap;

use exchange::archive::{Alias, Archive, Change, PartialChange, Requirement, Set, VERSION, VariableSet};
use exchange::files::TOTAL_MAX;
use exchange::{Content, Format, Written};
use schemas::bundle::Bundle;
use schemas::prompt::Prompt;
use schemas::{PromptId, Slug};
use serde_json::{Map, Value};

use super::prompt::{Draft, load};
use super::settings::tags;
use super::{ProjectAt, SetAt};
use crate::aside::{EXCHANGES, aside};
use crate::auth::{Action, Actor};
use crate::clock::rfc3339;
use crate::database::prompt::PromptRevision;
use crate::database::revision::PartialRevision;
use crate::database::{Conn, DatabaseError, alias, import, prompt_set, variable_set, version};
use crate::error::{ApiError, Result};
use crate::state::AppState;

mod locked;

use locked::{Stored, Taken};

/// Most changes of a set's history that an archive holds.
const HISTORY_MAX: i64 = 50_000;
/// Most bytes of a set's history that an archive holds: more could not be read again.
const HISTORY_BYTES: usize = 12 * 1024 * 1024;
/// The version that is none yet.
pub const DRAFT: &str = "draft";

/// A set in a format: its draft, or one of its versions.
///
/// # Errors
/// Not allowed, no such version, or a file that would be too large.
pub async fn export(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    format: Format,
    version: &str,
) -> Result<Written> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let name = format!("{}-{}", set.at.project.slug, set.set.slug);
    if format == Format::Archive {
        let (mut room, mut taken) = (TOTAL_MAX, Taken::new());
        let sets = vec![whole(&mut conn, set, &mut room, &mut taken).await?];
        drop(conn);
        return packed(&set.at, sets, taken, name).await;
    }
    let content = match version {
        "" | DRAFT => {
            let draft = load(&mut conn, set).await?;
            let partials = draft.partials();
            Content { prompts: draft.prompts.into_iter().map(|p| p.prompt).collect(), partials }
        }
        number => {
            let row = version::find(&mut conn, &set.set.id, number).await?;
            let row = row.ok_or(ApiError::NotFound("version"))?;
            let body = version::body(&mut conn, &row.id).await?.ok_or(ApiError::NotFound("version"))?;
            let bundle = Bundle::from_body(&body)?;
            Content { prompts: bundle.prompts, partials: bundle.partials }
        }
    };
    drop(conn);
    let name = if matches!(version, "" | DRAFT) { name } else { format!("{name}-{version}") };
    aside(&EXCHANGES, move || Ok(exchange::write(format, &name, &content.sorted())?)).await
}

/// All sets of a project as one archive.
///
/// # Errors
/// Not allowed, or an archive that would be too large.
pub async fn export_project(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Written> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let (mut sets, mut room, mut taken) = (Vec::new(), TOTAL_MAX, Taken::new());
    for set in prompt_set::of_project(&mut conn, &at.project.id).await? {
        let set = SetAt { at: at.clone(), set };
        sets.push(whole(&mut conn, &set, &mut room, &mut taken).await?);
    }
    drop(conn);
    packed(at, sets, taken, at.project.slug.clone()).await
}

/// A set without its versions, and these as they are stored.
type Whole = (Set, Vec<Stored>);

async fn packed(at: &ProjectAt, sets: Vec<Whole>, taken: Taken, name: String) -> Result<Written> {
    let (organisation, project) = (at.organisation.slug.clone(), at.project.slug.clone());
    aside(&EXCHANGES, move || {
        let sets = locked::told(sets, taken)?;
        let archive = Archive { version: VERSION, organisation, project, sets };
        let name = format!("{name}.forge.zip");
        Ok(Written { name, media_type: "application/zip", bytes: archive.write()?, notes: Vec::new() })
    })
    .await
}

/// Everything of a set, where there is room for it.
async fn whole(conn: &mut Conn, set: &SetAt, room: &mut u64, taken: &mut Taken) -> Result<Whole> {
    let draft = load(conn, set).await?;
    let dependencies = requirements(&draft)?;
    let draft = own(draft).sorted();
    let versions = locked::stored(conn, set, room, taken).await?;
    let mut aliases = Vec::new();
    for row in alias::of_set(conn, &set.set.id).await? {
        let Some(stored) = versions.iter().find(|v| v.row.id == row.version_id) else { continue };
        aliases.push(Alias {
            name: Slug::new(&row.name)?,
            version: stored.number()?,
            protected: row.protected,
        });
    }
    let variable_sets = values(conn, set, &draft).await?;
    let made = Set {
        slug: set.slug()?,
        name: set.set.name.clone(),
        description: set.set.description.clone(),
        tags: tags(&set.set),
        archived: set.set.archived_at.is_some(),
        draft,
        dependencies,
        versions: Vec::new(),
        aliases,
        variable_sets,
        history: history(conn, set).await?,
        partial_history: partial_history(conn, set).await?,
    };
    Ok((made, versions))
}

/// What a draft holds itself, without what it takes from other sets.
pub(super) fn own(draft: Draft) -> Content {
    Content {
        prompts: draft.prompts.into_iter().map(|p| p.prompt).collect(),
        partials: draft.partials.into_iter().map(|p| p.partial).collect(),
    }
}

fn requirements(draft: &Draft) -> Result<Vec<Requirement>> {
    let one = |r: &super::dependency::Requirement| -> Result<Requirement> {
        Ok(Requirement { set: Slug::new(&r.set)?, requirement: r.requirement.clone() })
    };
    draft.requirements.iter().map(one).collect()
}

/// The variable sets of the prompts that are in the draft.
async fn values(conn: &mut Conn, set: &SetAt, draft: &Content) -> Result<Vec<VariableSet>> {
    let prompts: BTreeMap<&str, &PromptId> = draft.prompts.iter().map(|p| (p.id.as_str(), &p.id)).collect();
    let mut found = Vec::new();
    for row in variable_set::of_set(conn, &set.set.id).await? {
        let Some(prompt) = prompts.get(row.prompt_id.as_str()) else { continue };
        let mut body: Map<String, Value> = serde_json::from_str(&row.body)
            .map_err(|e| DatabaseError::Damaged(format!("variable set {}: {e}", row.id)))?;
        let mut part = |name: &str| match body.remove(name) {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        found.push(VariableSet {
            prompt: (*prompt).clone(),
            name: row.name,
            values: part("values"),
            history: part("history"),
        });
    }
    Ok(found)
}

/// The last changes that there is room for: how many of the newest are kept.
fn fits<'t>(texts: impl DoubleEndedIterator<Item = Option<&'t str>>) -> usize {
    let mut bytes = 0;
    texts
        .rev()
        .take_while(|text| {
            bytes += text.map_or(0, str::len) + 200;
            bytes <= HISTORY_BYTES
        })
        .count()
}

async fn history(conn: &mut Conn, set: &SetAt) -> Result<Vec<Change>> {
    let mut rows = import::history(conn, &set.set.id, HISTORY_MAX).await?;
    let kept = fits(rows.iter().map(|row| row.body.as_deref()));
    rows.drain(..rows.len() - kept);
    let one = |row: PromptRevision| -> Result<Change> {
        let body = row.body.as_deref().map(serde_json::from_str::<Prompt>).transpose().map_err(|e| {
            DatabaseError::Damaged(format!("revision {} of {}: {e}", row.revision, row.prompt_id))
        })?;
        Ok(Change {
            prompt: PromptId::new(&row.prompt_id)?,
            revision: row.revision,
            author: row.author,
            created_at: rfc3339(row.created_at),
            message: row.message,
            renamed_from: row.renamed_from.as_deref().map(PromptId::new).transpose()?,
            body,
        })
    };
    rows.into_iter().map(one).collect()
}

async fn partial_history(conn: &mut Conn, set: &SetAt) -> Result<Vec<PartialChange>> {
    let mut rows = import::partial_history(conn, &set.set.id, HISTORY_MAX).await?;
    let kept = fits(rows.iter().map(|row| row.source.as_deref()));
    rows.drain(..rows.len() - kept);
    let one = |row: PartialRevision| -> Result<PartialChange> {
        Ok(PartialChange {
            partial: PromptId::new(&row.name)?,
            revision: row.revision,
            author: row.author,
            created_at: rfc3339(row.created_at),
            message: row.message,
            renamed_from: row.renamed_from.as_deref().map(PromptId::new).transpose()?,
            source: row.source,
        })
    };
    rows.into_iter().map(one).collect()
}

//! A set, or all sets of a project, as a file for elsewhere.

use exchange::archive::{Archive, Change, Locked, Set, Version};
use exchange::files::TOTAL_MAX;
use exchange::{Content, Format, Written};
use schemas::PromptId;
use schemas::bundle::Bundle;
use schemas::prompt::Prompt;

use super::prompt::load;
use super::{ProjectAt, SetAt};
use crate::aside::{LOCKS, aside};
use crate::auth::{Action, Actor};
use crate::clock::rfc3339;
use crate::database::{Conn, DatabaseError, import, prompt_set, version};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most changes of a set's history that an archive holds.
const HISTORY_MAX: i64 = 50_000;
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
        let mut room = TOTAL_MAX;
        let sets = vec![whole(&mut conn, set, &mut room).await?];
        drop(conn);
        return packed(&set.at, sets, name).await;
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
    aside(&LOCKS, move || Ok(exchange::write(format, &name, &content.sorted())?)).await
}

/// All sets of a project as one archive.
///
/// # Errors
/// Not allowed, or an archive that would be too large.
pub async fn export_project(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Written> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let (mut sets, mut room) = (Vec::new(), TOTAL_MAX);
    for set in prompt_set::of_project(&mut conn, &at.project.id).await? {
        let set = SetAt { at: at.clone(), set };
        sets.push(whole(&mut conn, &set, &mut room).await?);
    }
    drop(conn);
    packed(at, sets, at.project.slug.clone()).await
}

async fn packed(at: &ProjectAt, sets: Vec<Set>, name: String) -> Result<Written> {
    let archive =
        Archive { organisation: at.organisation.slug.clone(), project: at.project.slug.clone(), sets };
    aside(&LOCKS, move || {
        let name = format!("{name}.forge.zip");
        Ok(Written { name, media_type: "application/zip", bytes: archive.write()?, notes: Vec::new() })
    })
    .await
}

/// Draft, versions and history of a set, where there is room for them.
async fn whole(conn: &mut Conn, set: &SetAt, room: &mut u64) -> Result<Set> {
    let draft = load(conn, set).await?;
    let partials = draft.partials();
    let draft = Content { prompts: draft.prompts.into_iter().map(|p| p.prompt).collect(), partials };
    let mut versions = Vec::new();
    for row in version::of_set(conn, &set.set.id).await? {
        *room = room.checked_sub(row.size.unsigned_abs()).ok_or_else(|| {
            ApiError::TooLarge("the versions are too large for one archive; export each on its own".into())
        })?;
        let body = version::body(conn, &row.id).await?.ok_or(ApiError::NotFound("version"))?;
        let damaged =
            |e: &dyn std::fmt::Display| DatabaseError::Damaged(format!("version {}: {e}", row.version));
        let bundle = Bundle::from_body(&body)?;
        let locked = Locked {
            version: row.version.parse().map_err(|e| damaged(&e))?,
            digest: row.digest.parse().map_err(|e| damaged(&e))?,
            kind: row.kind.clone(),
            notes: row.notes.clone(),
            author: row.author.clone(),
            approver: row.approver.clone(),
            created_at: rfc3339(row.created_at),
            dependencies: bundle.dependencies,
        };
        versions.push(Version { locked, body });
    }
    let mut history = Vec::new();
    for row in import::history(conn, &set.set.id, HISTORY_MAX).await? {
        let body = match &row.body {
            Some(text) => Some(serde_json::from_str::<Prompt>(text).map_err(|e| {
                DatabaseError::Damaged(format!("revision {} of {}: {e}", row.revision, row.prompt_id))
            })?),
            None => None,
        };
        history.push(Change {
            prompt: PromptId::new(&row.prompt_id)?,
            revision: row.revision,
            author: row.author,
            created_at: rfc3339(row.created_at),
            message: row.message,
            body,
        });
    }
    Ok(Set {
        slug: set.slug()?,
        name: set.set.name.clone(),
        description: set.set.description.clone(),
        draft: draft.sorted(),
        versions,
        history,
    })
}

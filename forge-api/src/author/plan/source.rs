//! A file as the sets that it holds.

use exchange::archive::{Locked, Set as Whole};
use exchange::{Content, Digests, Format, Note};
use schemas::bundle::{self, Bundle};
use schemas::prompt::Partial;
use schemas::template::CompiledSet;

use crate::aside::{EXCHANGES, aside};
use crate::error::{ApiError, Result};

/// What was read from a file.
pub(super) struct Source {
    pub format: Format,
    /// Where an archive comes from; empty of other files.
    pub organisation: String,
    pub project: String,
    pub sets: Vec<Part>,
    pub notes: Vec<Note>,
}

/// What it holds of one set.
pub(super) struct Part {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    pub archived: bool,
    pub draft: Content,
    /// What the set held when the files were taken from it, where they say so.
    pub base: Option<Digests>,
    /// Everything of it, where the file is an archive that holds that.
    pub whole: Option<Whole>,
}

impl Part {
    fn of(set: Whole, is_whole: bool) -> Self {
        Self {
            slug: set.slug.to_string(),
            name: set.name.clone(),
            description: set.description.clone(),
            tags: set.tags.clone(),
            archived: set.archived,
            draft: set.draft.clone().sorted(),
            base: None,
            whole: is_whole.then_some(set),
        }
    }
}

/// Reads what is imported into one set, whose prompts may include the partials of its draft. `is_new`: it was not looked at
/// before.
pub(super) async fn of_set(
    format: Option<Format>,
    name: String,
    bytes: Vec<u8>,
    partials: Vec<Partial>,
    is_new: bool,
) -> Result<Source> {
    aside(&EXCHANGES, move || {
        let found = exchange::read_beside(format, &name, &bytes, &partials)?;
        let Some(mut archive) = found.archive else {
            let part = Part {
                slug: String::new(),
                name: String::new(),
                description: String::new(),
                tags: Vec::new(),
                archived: false,
                draft: found.content,
                base: found.base,
                whole: None,
            };
            let (organisation, project) = (String::new(), String::new());
            return Ok(Source {
                format: found.format,
                organisation,
                project,
                sets: vec![part],
                notes: found.notes,
            });
        };
        let is_whole = archive.is_whole();
        let sets: Vec<Part> = archive.sets.drain(..).map(|set| Part::of(set, is_whole)).collect();
        usable(&sets, is_new)?;
        let (organisation, project) = (archive.organisation, archive.project);
        Ok(Source { format: found.format, organisation, project, sets, notes: found.notes })
    })
    .await
}

/// Reads what is imported into a project: an archive of ours.
pub(super) async fn of_project(name: String, bytes: Vec<u8>, is_new: bool) -> Result<Source> {
    aside(&EXCHANGES, move || {
        let (archive, notes) = exchange::read_archive(&name, &bytes)?;
        let is_whole = archive.is_whole();
        let sets: Vec<Part> = archive.sets.into_iter().map(|set| Part::of(set, is_whole)).collect();
        usable(&sets, is_new)?;
        let (organisation, project) = (archive.organisation, archive.project);
        Ok(Source { format: Format::Archive, organisation, project, sets, notes })
    })
    .await
}

/// Refuses versions that agents could not render, or that could not be sent to them.
fn usable(sets: &[Part], is_new: bool) -> Result<()> {
    let wholes = sets.iter().filter_map(|part| part.whole.as_ref()).filter(|_| is_new);
    for (set, version) in wholes.flat_map(|set| set.versions.iter().map(move |version| (set, version))) {
        if version.locked.kind != Locked::LOCKED {
            continue;
        }
        let content = Bundle::from_body(&version.body)?;
        bundle::encode(&version.body)?;
        if let Err(errors) = CompiledSet::compile(&content) {
            let why = ApiError::Template(errors);
            let detail = format!("version {} of {} cannot be used: {why}", version.locked.version, set.slug);
            return Err(ApiError::invalid("unreadable", "file", detail));
        }
    }
    Ok(())
}

//! What can be found, starred and visited, with its place.

use std::collections::HashMap;

use schemas::Micros;
use schemas::prompt::{Content, Message, Prompt};

use crate::auth::{Action, Actor};
use crate::database::Conn;
use crate::database::organisation::Organisation;
use crate::database::project::{self, Project};
use crate::database::prompt_set::{self, PromptSet};
use crate::database::search::{ARCHIVED_PARTIAL, ARCHIVED_PROMPT, Text, archived, partials, prompts};
use crate::error::Result;

/// What sort of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Project,
    Set,
    Prompt,
    Partial,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Prompt, Self::Partial, Self::Set, Self::Project];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Set => "set",
            Self::Prompt => "prompt",
            Self::Partial => "partial",
        }
    }

    /// Reads its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// A project, set, prompt or partial, with its place.
#[derive(Debug, Clone)]
pub struct Thing {
    pub kind: Kind,
    pub row_id: String,
    pub organisation_id: String,
    /// Slug.
    pub organisation: String,
    pub project_id: String,
    pub project: String,
    pub project_name: String,
    pub set: Option<String>,
    /// `editing`, `review` or `locked`: of the set.
    pub state: Option<String>,
    /// What it is called in its place: a prompt's id, a partial's name, a slug.
    pub id: String,
    /// What people call it; empty where that is the same.
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    /// Whether it stands in the archive of its set: its page is that.
    pub in_archive: bool,
    /// Whether it, or what it stands in, is archived.
    pub archived: bool,
    /// What an agent would be given; empty unless it was asked for.
    pub text: String,
    pub changed_at: Micros,
}

impl Thing {
    /// The address of its page.
    #[must_use]
    pub fn href(&self) -> String {
        let base = format!("/{}/{}", self.organisation, self.project);
        let set = self.set.as_deref().unwrap_or_default();
        match self.kind {
            _ if self.in_archive => format!("{base}/{set}/-/archived"),
            Kind::Project => base,
            Kind::Set => format!("{base}/{set}"),
            Kind::Prompt => format!("{base}/{set}/{}", self.id),
            Kind::Partial => format!("{base}/{set}/-/partials/{}", self.id),
        }
    }
}

type Projects = HashMap<String, (Organisation, Project)>;

/// Things by kind and id of their rows, in this order; without those that are gone, or that the actor may not see.
///
/// # Errors
/// The database refuses.
pub async fn load(
    conn: &mut Conn,
    actor: &Actor,
    rows: &[(&str, &str)],
    with_text: bool,
) -> Result<Vec<Thing>> {
    let of = |kind: Kind| -> Vec<&str> {
        rows.iter().filter(|(k, _)| *k == kind.as_str()).map(|(_, id)| *id).collect()
    };
    let (prompts, partials) = (
        prompts(conn, &of(Kind::Prompt), with_text).await?,
        partials(conn, &of(Kind::Partial), with_text).await?,
    );
    let archive: Vec<&str> =
        rows.iter().filter(|(k, _)| of_archive(k).is_some()).map(|(_, id)| *id).collect();
    let archived: Vec<Text> = archived(conn, &archive).await?.into_iter().map(|(_, text)| text).collect();
    let mut set_ids = of(Kind::Set);
    set_ids.extend(prompts.iter().chain(&partials).chain(&archived).map(|t| t.set_id.as_str()));
    set_ids.sort_unstable();
    set_ids.dedup();
    let sets: HashMap<String, PromptSet> = match set_ids.is_empty() {
        true => HashMap::new(),
        false => prompt_set::by_ids(conn, &set_ids).await?.into_iter().map(|s| (s.id.clone(), s)).collect(),
    };
    let mut project_ids = of(Kind::Project);
    project_ids.extend(sets.values().map(|s| s.project_id.as_str()));
    project_ids.sort_unstable();
    project_ids.dedup();
    let mut projects: Projects = HashMap::new();
    for (organisation, project) in project::by_ids(conn, &project_ids).await? {
        if actor.may_at(&organisation.id, &project.id, Action::View) {
            projects.insert(project.id.clone(), (organisation, project));
        }
    }
    let texts: HashMap<&str, &Text> =
        prompts.iter().chain(&partials).chain(&archived).map(|text| (text.row_id.as_str(), text)).collect();
    Ok(rows.iter().filter_map(|(kind, id)| thing(kind, id, &texts, &sets, &projects)).collect())
}

fn thing(
    kind: &str,
    id: &str,
    texts: &HashMap<&str, &Text>,
    sets: &HashMap<String, PromptSet>,
    projects: &Projects,
) -> Option<Thing> {
    let in_archive = of_archive(kind).is_some();
    let kind = of_archive(kind).or_else(|| Kind::parse(kind))?;
    let text = texts.get(id);
    let set = match kind {
        Kind::Project => None,
        Kind::Set => Some(sets.get(id)?),
        Kind::Prompt | Kind::Partial => Some(sets.get(&text?.set_id)?),
    };
    let (organisation, project) = projects.get(set.map_or(id, |s| s.project_id.as_str()))?;
    let mut out = Thing {
        kind,
        row_id: id.to_owned(),
        organisation_id: organisation.id.clone(),
        organisation: organisation.slug.clone(),
        project_id: project.id.clone(),
        project: project.slug.clone(),
        project_name: project.name.clone(),
        set: set.map(|s| s.slug.clone()),
        state: set.map(|s| s.state.clone()),
        id: String::new(),
        name: String::new(),
        description: String::new(),
        tags: Vec::new(),
        in_archive,
        archived: in_archive || project.archived_at.is_some() || set.is_some_and(|s| s.archived_at.is_some()),
        text: String::new(),
        changed_at: 0,
    };
    match (kind, text, set) {
        (Kind::Project, ..) => {
            named(&mut out, &project.slug, &project.name, &project.description, project.created_at);
        }
        (Kind::Set, _, Some(set)) => {
            named(&mut out, &set.slug, &set.name, &set.description, set.updated_at);
            out.tags = crate::author::settings::tags(set);
        }
        (_, Some(text), _) => {
            out.id.clone_from(&text.id);
            out.changed_at = text.changed_at;
            if kind == Kind::Partial {
                out.text = text.text.clone().unwrap_or_default();
            } else if let Some(prompt) =
                text.text.as_deref().and_then(|body| serde_json::from_str::<Prompt>(body).ok())
            {
                out.text = templates(&prompt);
                (out.description, out.tags) = (prompt.description, prompt.tags);
            }
        }
        _ => return None,
    }
    Some(out)
}

/// The kind of an entry in the archive of its set.
fn of_archive(kind: &str) -> Option<Kind> {
    match kind {
        ARCHIVED_PROMPT => Some(Kind::Prompt),
        ARCHIVED_PARTIAL => Some(Kind::Partial),
        _ => None,
    }
}

fn named(out: &mut Thing, slug: &str, name: &str, description: &str, at: Micros) {
    out.id = slug.to_owned();
    out.name = if name == slug { String::new() } else { name.to_owned() };
    out.description = description.to_owned();
    out.changed_at = at;
}

fn templates(prompt: &Prompt) -> String {
    match &prompt.content {
        Content::Text { template } => template.clone(),
        Content::Chat { messages } => {
            let texts = messages.iter().filter_map(|m| match m {
                Message::Message { template, .. } => Some(template.as_str()),
                Message::Placeholder { .. } => None,
            });
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}

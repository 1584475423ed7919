//! Prompts and partials that are moved: other names, copies, the archive; and notes on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::author::{Item, Moved};
use crate::clock::rfc3339;
use crate::database::archive::ArchivedRow;
use crate::database::note::NoteRow;

/// Which of the two; a prompt where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    #[default]
    Prompt,
    Partial,
}

impl From<ItemKind> for Item {
    fn from(kind: ItemKind) -> Self {
        match kind {
            ItemKind::Prompt => Self::Prompt,
            ItemKind::Partial => Self::Partial,
        }
    }
}

impl From<Item> for ItemKind {
    fn from(item: Item) -> Self {
        match item {
            Item::Prompt => Self::Prompt,
            Item::Partial => Self::Partial,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameRequest {
    #[serde(default)]
    pub kind: ItemKind,
    pub id: String,
    /// The new id.
    pub to: String,
    /// The revision that the caller saw, if the caller cares.
    pub revision: Option<i64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuplicateRequest {
    #[serde(default)]
    pub kind: ItemKind,
    pub id: String,
    /// The id of the copy.
    pub to: String,
    /// Another set of the project; the same where nothing is said.
    pub set: Option<String>,
    /// Whether partials that it takes in, and the other set has not, are copied with it: yes where nothing is said.
    #[serde(default = "yes")]
    pub partials: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRequest {
    #[serde(default)]
    pub kind: ItemKind,
    pub id: String,
    /// The revision that the caller saw, if the caller cares.
    pub revision: Option<i64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    #[serde(default)]
    pub kind: ItemKind,
    /// The id that it had; of several, the one that was archived last.
    pub id: String,
    /// The one that is listed under this id of the archive.
    pub archived: Option<String>,
    /// Another id, where the old one is taken by now.
    pub to: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct MovedBody {
    pub kind: ItemKind,
    pub set: String,
    pub id: String,
    pub revision: i64,
    /// What was changed with it, because it takes in the partial of the old name.
    pub changed: Vec<String>,
    /// Partials that were copied with it into the other set.
    pub brought: Vec<String>,
    /// Partials that it takes in, of which the other set has its own with another text.
    pub differs: Vec<String>,
    /// Partials that it takes in and that are in neither set: it does not render until they are.
    pub missing: Vec<String>,
}

impl From<Moved> for MovedBody {
    fn from(moved: Moved) -> Self {
        Self {
            kind: moved.item.into(),
            set: moved.set,
            id: moved.name,
            revision: moved.revision,
            changed: moved.changed,
            brought: moved.along.brought,
            differs: moved.along.differs,
            missing: moved.along.missing,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ArchivedBody {
    /// Names it when it is restored.
    pub archived: String,
    /// prompt or partial.
    pub kind: String,
    pub id: String,
    pub revision: i64,
    pub archived_at: String,
    pub archived_by: String,
}

impl From<ArchivedRow> for ArchivedBody {
    fn from(row: ArchivedRow) -> Self {
        Self {
            archived: row.id,
            kind: row.kind,
            id: row.name,
            revision: row.revision,
            archived_at: rfc3339(row.archived_at),
            archived_by: row.archived_by,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteText {
    pub body: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct NoteBody {
    pub body: String,
    /// 0 where nobody wrote any yet.
    pub revision: i64,
    pub updated_at: String,
    pub updated_by: String,
}

impl From<NoteRow> for NoteBody {
    fn from(row: NoteRow) -> Self {
        Self {
            body: row.body,
            revision: row.revision,
            updated_at: rfc3339(row.updated_at),
            updated_by: row.updated_by,
        }
    }
}

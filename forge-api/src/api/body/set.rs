//! Prompt sets and their drafts.

use schemars::JsonSchema;
use schemas::prompt::Partial;
use schemas::prompt::Prompt;
use serde::{Deserialize, Serialize};

use crate::author::Draft;
use crate::author::PartialDraft;
use crate::author::PromptDraft;
use crate::author::PromptSummary;
use crate::author::settings;
use crate::clock::rfc3339;
use crate::database::prompt_set::PromptSet;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewSetBody {
    /// Its name in addresses.
    #[serde(default)]
    pub slug: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Instead of all that: an example, `support` or `writing`. All of its sets are added, locked as 1.0.0; the answer is
    /// the first.
    #[serde(default)]
    pub example: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SetBody {
    pub id: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    /// editing, review or locked.
    pub state: String,
    pub revision: i64,
    pub tags: Vec<String>,
    /// Since when it takes no changes any more; absent while it is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<String>,
    /// What If-Match names when its settings are changed.
    pub settings_tag: String,
    pub updated_at: String,
    pub updated_by: String,
}

impl From<PromptSet> for SetBody {
    fn from(s: PromptSet) -> Self {
        Self {
            tags: settings::tags(&s),
            archived_at: s.archived_at.map(rfc3339),
            settings_tag: settings::tag_of_set(&s),
            id: s.id,
            slug: s.slug,
            name: s.name,
            description: s.description,
            state: s.state,
            revision: s.revision,
            updated_at: rfc3339(s.updated_at),
            updated_by: s.updated_by,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct DraftBody {
    #[serde(flatten)]
    pub set: SetBody,
    /// Of the draft's content.
    pub draft_digest: String,
    pub prompts: Vec<PromptBody>,
    pub partials: Vec<PartialBody>,
}

impl DraftBody {
    pub(crate) fn new(set: PromptSet, draft: Draft) -> Self {
        Self {
            set: set.into(),
            draft_digest: draft.digest.to_string(),
            prompts: draft.prompts.into_iter().map(Into::into).collect(),
            partials: draft.partials.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct PromptBody {
    pub revision: i64,
    pub updated_at: String,
    pub updated_by: String,
    pub prompt: Prompt,
}

impl From<PromptDraft> for PromptBody {
    fn from(p: PromptDraft) -> Self {
        Self {
            revision: p.revision,
            updated_at: rfc3339(p.updated_at),
            updated_by: p.updated_by,
            prompt: p.prompt,
        }
    }
}

/// A prompt in a list: what it is, without its text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PromptSummaryBody {
    pub id: String,
    /// text or chat.
    pub kind: String,
    pub description: String,
    pub tags: Vec<String>,
    pub revision: i64,
    /// Of an archived one: when it was archived.
    pub updated_at: String,
    pub updated_by: String,
    /// Names it when it is restored; absent while it stands in the draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<String>,
}

impl From<PromptSummary> for PromptSummaryBody {
    fn from(p: PromptSummary) -> Self {
        Self {
            archived: p.archived.then_some(p.row_id),
            id: p.name,
            kind: p.kind.into(),
            description: p.description,
            tags: p.tags,
            revision: p.revision,
            updated_at: rfc3339(p.updated_at),
            updated_by: p.updated_by,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct PartialBody {
    pub revision: i64,
    pub updated_at: String,
    pub updated_by: String,
    pub partial: Partial,
}

impl From<PartialDraft> for PartialBody {
    fn from(p: PartialDraft) -> Self {
        Self {
            revision: p.revision,
            updated_at: rfc3339(p.updated_at),
            updated_by: p.updated_by,
            partial: p.partial,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct PartialSource {
    pub source: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckBody {
    pub errors: Vec<schemas::template::TemplateError>,
    pub variables: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Import {
    pub prompts: Vec<Prompt>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportBody {
    pub written: usize,
    pub unchanged: usize,
}

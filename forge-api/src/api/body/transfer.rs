//! Imports and exports.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::author::plan::{Applied, Change, Plan, PlanItem};

/// What an import would do. Nothing of it is written yet.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanBody {
    /// Names the upload for an hour, to be applied.
    pub id: String,
    pub file: String,
    /// archive, folder, dotprompt, prompty, langfuse, mlflow, openai, langchain or liquid.
    pub format: String,
    /// Of everything that it would do; who applies it names it.
    pub digest: String,
    /// Of prompts that stand in the set with another text: replace, keep or careful.
    pub existing: String,
    /// Of prompts of the set that are not in the file: keep or remove.
    pub others: String,
    /// How many of each change.
    pub counts: BTreeMap<&'static str, usize>,
    /// The worst first.
    pub items: Vec<PlanItemBody>,
    /// What of the file was not taken over as it stands.
    pub notes: Vec<ReportBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanItemBody {
    /// `prompts/<id>`, `partials/<name>`, `versions/<version>`, `aliases/<name>`, `dependencies/<set>`,
    /// `variables/<prompt>/<name>`, `history/prompts/<id>` or `history/partials/<name>`; of a project with the set
    /// before it, and `<set>/set` is the set itself.
    pub name: String,
    /// conflict, new, changed, removed, kept or unchanged.
    pub change: String,
    /// Why, where the change alone does not tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    pub why: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportBody {
    pub place: String,
    pub what: String,
    pub why: String,
}

impl From<exchange::Note> for ReportBody {
    fn from(note: exchange::Note) -> Self {
        Self { place: note.place, what: note.what, why: note.why }
    }
}

impl From<(String, &PlanItem)> for PlanItemBody {
    fn from((name, item): (String, &PlanItem)) -> Self {
        Self { name, change: item.change.as_str().to_owned(), why: item.why.clone() }
    }
}

impl From<Plan> for PlanBody {
    fn from(plan: Plan) -> Self {
        let (existing, others) = plan.choices.words();
        let items = plan.items().into_iter().map(Into::into).collect();
        Self {
            counts: Change::ALL.map(|c| (c.as_str(), plan.count(c))).into_iter().collect(),
            id: plan.import,
            file: plan.file,
            format: plan.format.as_str().to_owned(),
            digest: plan.digest.to_string(),
            existing: existing.to_owned(),
            others: others.to_owned(),
            items,
            notes: plan.notes.into_iter().map(Into::into).collect(),
        }
    }
}

/// Applies a plan.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ApplyPlan {
    /// The plan's digest, as it was shown.
    pub digest: String,
    #[serde(default)]
    pub existing: String,
    #[serde(default)]
    pub others: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct AppliedBody {
    pub written: usize,
    pub removed: usize,
    pub unchanged: usize,
}

impl From<Applied> for AppliedBody {
    fn from(done: Applied) -> Self {
        Self { written: done.written, removed: done.removed, unchanged: done.unchanged }
    }
}

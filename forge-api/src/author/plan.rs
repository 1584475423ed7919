//! Importing a file in two steps: first what would come of it, then all of it or nothing.
//!
//! An upload is read and kept for an hour. A plan holds it against the draft as it is now, and has a digest
//! of everything that it would do. Who applies it names that digest; where the draft or the choice is
//! another by then, nothing is written.

use std::collections::BTreeMap;

use exchange::{Content, Digests, Format, Found, Note, Refusal};
use schemas::Micros;
use schemas::bundle::PROMPTS_MAX;
use schemas::canonical::{self, Digest};
use schemas::prompt::{Partial, Prompt};
use schemas::template::SOURCE_MAX;
use serde_json::json;

use super::SetAt;
use super::archive;
use super::import::{Imported, put};
use super::item::{Item, held};
use super::prompt::{load, partial_revision_of, short_enough, small_enough};
use super::set::begin_edit;
use crate::aside::{LOCKS, aside};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::Conn;
use crate::database::import::{self, ImportRow};
use crate::database::prompt::{self, PartialRow};
use crate::database::revision;
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// How long an upload is kept.
const KEPT: Micros = 3_600_000_000;
/// Most uploads of one set that wait at once.
const WAITING_MAX: i64 = 10;

/// What happens to a prompt that stands in the set with another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    #[default]
    Replace,
    Keep,
    /// Replaced where nobody changed it since the files were taken from the set; a conflict otherwise.
    Careful,
}

/// What happens to a prompt of the set that is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others {
    #[default]
    Keep,
    Remove,
}

/// What is to be done where file and set differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choices {
    pub existing: Existing,
    pub others: Others,
}

impl Choices {
    /// Reads the words of a request; none is the default.
    ///
    /// # Errors
    /// Another word.
    pub fn parse(existing: &str, others: &str) -> Result<Self> {
        let existing = match existing {
            "" | "replace" => Existing::Replace,
            "keep" => Existing::Keep,
            "careful" => Existing::Careful,
            _ => return Err(ApiError::invalid("invalid", "existing", "write replace, keep or careful")),
        };
        let others = match others {
            "" | "keep" => Others::Keep,
            "remove" => Others::Remove,
            _ => return Err(ApiError::invalid("invalid", "others", "write keep or remove")),
        };
        Ok(Self { existing, others })
    }

    /// The two words.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        let existing = match self.existing {
            Existing::Replace => "replace",
            Existing::Keep => "keep",
            Existing::Careful => "careful",
        };
        (existing, if self.others == Others::Remove { "remove" } else { "keep" })
    }
}

/// What becomes of one prompt or partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Somebody changed it in the set since the files were taken from there; nothing is written.
    Conflict,
    New,
    Changed,
    Removed,
    /// It differs, and stays as it is in the set.
    Kept,
    Unchanged,
}

impl Change {
    pub const ALL: [Self; 6] =
        [Self::Conflict, Self::New, Self::Changed, Self::Removed, Self::Kept, Self::Unchanged];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::New => "new",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Kept => "kept",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A prompt (`prompts/<id>`) or partial (`partials/<name>`), and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanItem {
    pub name: String,
    pub change: Change,
    before: Option<Digest>,
    after: Option<Digest>,
}

/// What an import would do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub import: String,
    /// What the file is called.
    pub file: String,
    pub format: Format,
    pub choices: Choices,
    /// The worst first.
    pub items: Vec<PlanItem>,
    /// What of the file was not taken over as it stands.
    pub notes: Vec<Note>,
    /// The draft as it is, and as it would be.
    pub before: Content,
    pub after: Content,
    /// Of everything that it would do.
    pub digest: Digest,
}

impl Plan {
    fn of(set: &SetAt, row: &ImportRow, found: Found, before: Content, choices: Choices) -> Result<Self> {
        let items = compare(&before.digests(), &found.content.digests(), found.base.as_ref(), choices);
        let after = outcome(&before, &found.content, &items);
        let told: Vec<_> =
            items.iter().map(|i| json!([i.name, i.change.as_str(), i.before, i.after])).collect();
        let (existing, others) = choices.words();
        let whole = json!([set.set.id, existing, others, told]);
        let digest = Digest::of(&canonical::to_canonical(&whole).map_err(ApiError::internal)?);
        Ok(Self {
            import: row.id.clone(),
            file: row.name.clone(),
            format: found.format,
            choices,
            items,
            notes: found.notes,
            before,
            after,
            digest,
        })
    }

    /// How many of a kind there are.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.items.iter().filter(|i| i.change == change).count()
    }

    /// Whether it would write anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.items.iter().any(|i| matches!(i.change, Change::New | Change::Changed | Change::Removed))
    }
}

fn compare(before: &Digests, file: &Digests, base: Option<&Digests>, choices: Choices) -> Vec<PlanItem> {
    let mut items = Vec::new();
    for (name, after) in file {
        let old = before.get(name);
        let known = base.and_then(|base| base.get(name));
        let change = match old {
            None if choices.existing == Existing::Careful && known == Some(after) => Change::Conflict,
            None => Change::New,
            Some(old) if old == after => Change::Unchanged,
            Some(old) => match choices.existing {
                Existing::Replace => Change::Changed,
                Existing::Keep => Change::Kept,
                // Here it is as it was, or there: only one side changed.
                Existing::Careful if known == Some(old) => Change::Changed,
                Existing::Careful if known == Some(after) => Change::Kept,
                Existing::Careful => Change::Conflict,
            },
        };
        items.push(PlanItem { name: name.clone(), change, before: old.copied(), after: Some(*after) });
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
        items.push(PlanItem { name: name.clone(), change, before: Some(*old), after: None });
    }
    items.sort_by(|a, b| a.change.cmp(&b.change).then_with(|| a.name.cmp(&b.name)));
    items
}

/// The draft as it would be.
fn outcome(before: &Content, file: &Content, items: &[PlanItem]) -> Content {
    let changes: BTreeMap<&str, Change> = items.iter().map(|i| (i.name.as_str(), i.change)).collect();
    let takes = |name: &str| matches!(changes.get(name), Some(Change::New | Change::Changed));
    let stays = |name: &str| !matches!(changes.get(name), Some(Change::Changed | Change::Removed));
    let prompt = |p: &Prompt| format!("prompts/{}", p.id);
    let partial = |p: &Partial| format!("partials/{}", p.name);
    let prompts = before.prompts.iter().filter(|p| stays(&prompt(p)));
    let prompts = prompts.chain(file.prompts.iter().filter(|p| takes(&prompt(p))));
    let partials = before.partials.iter().filter(|p| stays(&partial(p)));
    let partials = partials.chain(file.partials.iter().filter(|p| takes(&partial(p))));
    Content { prompts: prompts.cloned().collect(), partials: partials.cloned().collect() }.sorted()
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            "too_large" => Self::TooLarge(refusal.detail),
            code => Self::Invalid { code, field: Some("file"), detail: refusal.detail },
        }
    }
}

/// The format of a request; an empty name is found out from the file.
///
/// # Errors
/// Another name.
pub fn format_named(name: &str) -> Result<Option<Format>> {
    if name.is_empty() {
        return Ok(None);
    }
    Format::parse(name).map(Some).ok_or_else(|| {
        let known = Format::ALL.map(Format::as_str).join(", ");
        ApiError::invalid("unknown_format", "format", format!("{name:?} is no format; choose one of {known}"))
    })
}

async fn understood(format: Option<Format>, name: String, bytes: Vec<u8>) -> Result<Found> {
    aside(&LOCKS, move || Ok(exchange::read(format, &name, &bytes)?)).await
}

async fn content(conn: &mut Conn, set: &SetAt) -> Result<Content> {
    let draft = load(conn, set).await?;
    let partials = draft.partials();
    Ok(Content { prompts: draft.prompts.into_iter().map(|p| p.prompt).collect(), partials }.sorted())
}

/// Keeps an upload that can be read, and gives its id. Nothing of it is written.
///
/// # Errors
/// Not allowed, or why the file is refused.
pub async fn upload(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    format: Option<Format>,
    name: &str,
    bytes: Vec<u8>,
) -> Result<String> {
    set.at.require(actor, Action::Edit)?;
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = if name.is_empty() { "upload".to_owned() } else { name };
    let found = understood(format, name.clone(), bytes.clone()).await?;
    let now = clock::now();
    let row = ImportRow {
        id: clock::new_id(),
        set_id: set.set.id.clone(),
        name,
        format: found.format.as_str().to_owned(),
        body: bytes,
        created_by: actor.name.clone(),
        created_at: now,
    };
    let mut tx = state.database.write().await?;
    import::forget(&mut tx, &set.set.id, now - KEPT, WAITING_MAX - 1).await?;
    import::insert(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(row.id)
}

async fn kept(conn: &mut Conn, set: &SetAt, id: &str) -> Result<ImportRow> {
    let row = import::find(conn, &set.set.id, id).await?.ok_or(ApiError::NotFound("import"))?;
    if row.created_at < clock::now() - KEPT { Err(ApiError::NotFound("import")) } else { Ok(row) }
}

/// What an upload would do to the draft as it is now.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`] where the upload is gone.
pub async fn plan(state: &AppState, actor: &Actor, set: &SetAt, id: &str, choices: Choices) -> Result<Plan> {
    set.at.require(actor, Action::Edit)?;
    let mut conn = state.database.read().await?;
    let row = kept(&mut conn, set, id).await?;
    let before = content(&mut conn, set).await?;
    drop(conn);
    let found = understood(format_named(&row.format)?, row.name.clone(), row.body.clone()).await?;
    Plan::of(set, &row, found, before, choices)
}

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
/// Not allowed; the set is not in EDITING; the plan is another by now (`plan_changed`), or has conflicts
/// (`import_conflicts`); a draft that would be too large.
pub async fn apply(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    id: &str,
    digest: &str,
    choices: Choices,
) -> Result<Applied> {
    set.at.require(actor, Action::Edit)?;
    let mut conn = state.database.read().await?;
    let row = kept(&mut conn, set, id).await?;
    drop(conn);
    let found = understood(format_named(&row.format)?, row.name.clone(), row.body.clone()).await?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let before = content(&mut tx, set).await?;
    let plan = Plan::of(set, &row, found, before, choices)?;
    if plan.digest.to_string() != digest {
        return Err(ApiError::Conflict {
            code: "plan_changed",
            detail: "the draft changed after the plan was made; look at the plan again, nothing was written"
                .into(),
            more: json!({ "plan_digest": plan.digest }),
        });
    }
    if plan.count(Change::Conflict) > 0 {
        let conflicts: Vec<_> =
            plan.items.iter().filter(|i| i.change == Change::Conflict).map(|i| i.name.as_str()).collect();
        return Err(ApiError::Conflict {
            code: "import_conflicts",
            detail: "somebody changed here what the file changes too; pull and merge, or replace it".into(),
            more: json!({ "conflicts": conflicts }),
        });
    }
    let done = write(&mut tx, actor, set, &plan).await?;
    import::delete(&mut tx, id).await?;
    let detail = json!({
        "file": plan.file, "format": plan.format.as_str(), "written": done.written, "removed": done.removed,
        "unchanged": done.unchanged, "digest": plan.digest,
    });
    audit::record(&mut tx, actor, &set.at.organisation.id, "set.imported", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(done)
}

async fn write(conn: &mut Conn, actor: &Actor, set: &SetAt, plan: &Plan) -> Result<Applied> {
    let changes: BTreeMap<&str, Change> = plan.items.iter().map(|i| (i.name.as_str(), i.change)).collect();
    let takes = |name: String| matches!(changes.get(name.as_str()), Some(Change::New | Change::Changed));
    let prompts: Vec<Prompt> =
        plan.after.prompts.iter().filter(|p| takes(format!("prompts/{}", p.id))).cloned().collect();
    if plan.after.prompts.len() > PROMPTS_MAX {
        return Err(ApiError::TooLarge(format!("a set has at most {PROMPTS_MAX} prompts; split it")));
    }
    for prompt in &prompts {
        short_enough(prompt)?;
    }
    let Imported { written, .. } = put(conn, actor, set, &prompts).await?;
    let mut done = Applied { written, removed: 0, unchanged: plan.count(Change::Unchanged) };
    let there = prompt::partials_of_set(conn, &set.set.id).await?;
    for partial in plan.after.partials.iter().filter(|p| takes(format!("partials/{}", p.name))) {
        if partial.source.len() > SOURCE_MAX {
            return Err(ApiError::TooLarge(format!("a partial has at most {SOURCE_MAX} bytes; split it")));
        }
        let old = there.iter().find(|row| row.name == partial.name.as_str());
        let row = PartialRow {
            id: old.map_or_else(clock::new_id, |row| row.id.clone()),
            set_id: set.set.id.clone(),
            name: partial.name.to_string(),
            source: partial.source.clone(),
            revision: old.map_or(1, |row| row.revision + 1),
            updated_at: clock::now(),
            updated_by: actor.name.clone(),
        };
        prompt::put_partial(conn, &row).await?;
        let kept = partial_revision_of(&row, Some(row.source.clone()), "");
        revision::add_partials(conn, &[kept]).await?;
        done.written += 1;
    }
    for item in plan.items.iter().filter(|i| i.change == Change::Removed) {
        remove(conn, actor, set, &item.name).await?;
        done.removed += 1;
    }
    small_enough(conn, set).await?;
    Ok(done)
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

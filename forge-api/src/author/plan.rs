//! Importing a file in two steps: first what would come of it, then all of it or nothing.
//!
//! An upload is read and kept for an hour. A plan holds it against what is there now, and has a digest
//! of everything that it would do. Who applies it names that digest; where what is there or the choice is
//! another by then, nothing is written.
//!
//! | module | what it holds |
//! |---|---|
//! | `source` | the file, as the sets that it holds |
//! | `outline` | a plan, of every set |
//! | [`choice`] | what is to be done where both differ, and what that comes to |
//! | `draft` | prompts and partials |
//! | `history` | their revisions |
//! | `version` | locked versions, which keep their content and get the bytes of their new place |
//! | `beside` | dependencies, aliases, variable sets |
//! | `write` | writing it |

use std::collections::{BTreeMap, BTreeSet};

use exchange::{Content, Format, Refusal};
use schemas::Micros;
use schemas::canonical::{self, Digest};
use serde_json::json;

use super::export::own;
use super::prompt::{load, partials};
use super::{ProjectAt, SetAt};
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::Conn;
use crate::database::import::{self, ImportRow, ProjectImportRow};
use crate::database::prompt_set;
use crate::error::{ApiError, Result};
use crate::state::AppState;

mod beside;
pub mod choice;
mod draft;
mod history;
mod outline;
mod source;
mod version;
mod write;

pub use choice::{Change, Choices, Existing, Others, PlanItem};
pub use outline::{Plan, SetPlan};
use source::{Part, Source};
use version::Sets;
pub use write::{Applied, apply};

/// How long an upload is kept.
const KEPT: Micros = 3_600_000_000;
/// Most uploads of one set, and of one project, that wait at once.
const WAITING_MAX: i64 = 10;

/// What is imported into.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    Set(&'a SetAt),
    /// Every set of the file, by its name: those that are not there are made.
    Project(&'a ProjectAt),
}

impl<'a> From<&'a SetAt> for Target<'a> {
    fn from(set: &'a SetAt) -> Self {
        Self::Set(set)
    }
}

impl<'a> From<&'a ProjectAt> for Target<'a> {
    fn from(at: &'a ProjectAt) -> Self {
        Self::Project(at)
    }
}

impl<'a> Target<'a> {
    fn at(self) -> &'a ProjectAt {
        match self {
            Self::Set(set) => &set.at,
            Self::Project(at) => at,
        }
    }
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

/// Keeps an upload that can be read, and gives its id. Nothing of it is written. The format is asked for by who imports
/// into a set; into a project goes an archive.
///
/// # Errors
/// Not allowed, or why the file is refused.
pub async fn upload<'a>(
    state: &AppState,
    actor: &Actor,
    target: impl Into<Target<'a>>,
    format: Option<Format>,
    name: &str,
    bytes: Vec<u8>,
) -> Result<String> {
    let target = target.into();
    target.at().require(actor, Action::Edit)?;
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = if name.is_empty() { "upload".to_owned() } else { name };
    let source = match target {
        Target::Set(set) => {
            let mut conn = state.database.read().await?;
            let partials = partials(&mut conn, set).await?;
            drop(conn);
            source::of_set(format, name.clone(), bytes.clone(), partials, true).await?
        }
        Target::Project(_) => source::of_project(name.clone(), bytes.clone(), true).await?,
    };
    let (id, now) = (clock::new_id(), clock::now());
    let by = actor.name.clone();
    let mut tx = state.database.write().await?;
    match target {
        Target::Set(set) => {
            import::forget(&mut tx, &set.set.id, now - KEPT, WAITING_MAX - 1).await?;
            let format = source.format.as_str().to_owned();
            let set_id = set.set.id.clone();
            let row = ImportRow {
                id: id.clone(),
                set_id,
                name,
                format,
                body: bytes,
                created_by: by,
                created_at: now,
            };
            import::insert(&mut tx, &row).await?;
        }
        Target::Project(at) => {
            import::forget_of_project(&mut tx, &at.project.id, now - KEPT, WAITING_MAX - 1).await?;
            let project_id = at.project.id.clone();
            let row = ProjectImportRow {
                id: id.clone(),
                project_id,
                name,
                body: bytes,
                created_by: by,
                created_at: now,
            };
            import::insert_of_project(&mut tx, &row).await?;
        }
    }
    tx.commit().await?;
    Ok(id)
}

/// An upload that waits.
struct Waiting {
    id: String,
    name: String,
    source: Source,
}

/// Reads an upload again.
async fn waiting(state: &AppState, target: Target<'_>, id: &str) -> Result<Waiting> {
    let gone = || ApiError::NotFound("import");
    let lasts = |created_at: Micros| if created_at < clock::now() - KEPT { Err(gone()) } else { Ok(()) };
    let mut conn = state.database.read().await?;
    match target {
        Target::Set(set) => {
            let row = import::find(&mut conn, &set.set.id, id).await?.ok_or_else(gone)?;
            lasts(row.created_at)?;
            let partials = partials(&mut conn, set).await?;
            drop(conn);
            let format = format_named(&row.format)?;
            let source = source::of_set(format, row.name.clone(), row.body, partials, false).await?;
            Ok(Waiting { id: row.id, name: row.name, source })
        }
        Target::Project(at) => {
            let row = import::find_of_project(&mut conn, &at.project.id, id).await?.ok_or_else(gone)?;
            drop(conn);
            lasts(row.created_at)?;
            let source = source::of_project(row.name.clone(), row.body, false).await?;
            Ok(Waiting { id: row.id, name: row.name, source })
        }
    }
}

/// What an upload would do to what is there now.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`] where the upload is gone.
pub async fn plan<'a>(
    state: &AppState,
    actor: &Actor,
    target: impl Into<Target<'a>>,
    id: &str,
    choices: Choices,
) -> Result<Plan> {
    let target = target.into();
    target.at().require(actor, Action::Edit)?;
    let upload = waiting(state, target, id).await?;
    let mut conn = state.database.read().await?;
    planned(&mut conn, actor, target, &upload, choices).await
}

async fn planned(
    conn: &mut Conn,
    actor: &Actor,
    target: Target<'_>,
    upload: &Waiting,
    choices: Choices,
) -> Result<Plan> {
    let at = target.at();
    let sets = sets_of(conn, at).await?;
    let of_project = matches!(target, Target::Project(_));
    let comes: BTreeSet<String> = match of_project {
        true => upload.source.sets.iter().map(|part| part.slug.clone()).collect(),
        false => BTreeSet::new(),
    };
    let around = Around { at, comes, ways: beside::ways(conn, &sets).await?, sets, choices };
    let mut plans = Vec::with_capacity(upload.source.sets.len());
    for part in &upload.source.sets {
        plans.push(match target {
            Target::Set(set) => set_plan(conn, actor, &around, part, &set.set.slug, Some(set)).await?,
            Target::Project(at) => {
                let there = around.sets.get(&part.slug);
                let there = there.map(|set| SetAt { at: at.clone(), set: set.clone() });
                let mut plan = set_plan(conn, actor, &around, part, &part.slug, there.as_ref()).await?;
                plan.items.push(of_the_set(there.as_ref(), &plan));
                plan
            }
        });
    }
    beside::no_circles(&mut plans, &around.ways);
    let mut plan = Plan {
        import: upload.id.clone(),
        file: upload.name.clone(),
        format: upload.source.format,
        choices,
        of_project,
        sets: plans,
        notes: upload.source.notes.clone(),
        digest: Digest::of(b""),
    };
    plan.digest = digest_of(at, &plan)?;
    Ok(plan)
}

async fn sets_of(conn: &mut Conn, at: &ProjectAt) -> Result<Sets> {
    let rows = prompt_set::of_project(conn, &at.project.id).await?;
    Ok(rows.into_iter().map(|set| (set.slug.clone(), set)).collect::<BTreeMap<_, _>>())
}

/// What is around the set that a plan is made for.
struct Around<'a> {
    at: &'a ProjectAt,
    sets: Sets,
    /// The sets that the file brings with it.
    comes: BTreeSet<String>,
    ways: beside::Ways,
    choices: Choices,
}

async fn set_plan(
    conn: &mut Conn,
    actor: &Actor,
    around: &Around<'_>,
    part: &Part,
    slug: &str,
    set: Option<&SetAt>,
) -> Result<SetPlan> {
    let choices = around.choices;
    let before = match set {
        Some(set) => content(conn, set, part.whole.is_some()).await?,
        None => Content::default(),
    };
    let mut items = draft::compare(&before.digests(), &part.draft.digests(), part.base.as_ref(), choices);
    let after = draft::outcome(&before, &part.draft, &items);
    if let Some(whole) = &part.whole {
        items.extend(beside::dependencies(slug, whole, &around.sets, &around.comes, &around.ways, choices)?);
        items.extend(version::compare(conn, set, whole, &around.sets, &around.comes).await?);
        items.extend(beside::aliases(conn, actor, around.at, set, whole, choices).await?);
        items.extend(beside::variables(conn, set, whole, &after, choices).await?);
        items.extend(history::compare(conn, set, whole).await?);
    }
    let mut plan =
        SetPlan { set: slug.to_owned(), is_new: set.is_none(), items, before, after, taken: BTreeSet::new() };
    plan.index();
    Ok(plan)
}

/// The draft of a set; `is_own`: without what it takes from other sets.
async fn content(conn: &mut Conn, set: &SetAt, is_own: bool) -> Result<Content> {
    let draft = load(conn, set).await?;
    if is_own {
        return Ok(own(draft).sorted());
    }
    let partials = draft.partials();
    Ok(Content { prompts: draft.prompts.into_iter().map(|p| p.prompt).collect(), partials }.sorted())
}

/// What becomes of a set itself, where a whole project is imported.
fn of_the_set(set: Option<&SetAt>, plan: &SetPlan) -> PlanItem {
    let item = |change| PlanItem::new("set", change);
    let Some(set) = set else { return item(Change::New) };
    let state = set.set.state.as_str();
    if !plan.writes() || (state == "editing" && !set.is_archived()) {
        return item(Change::Unchanged);
    }
    item(Change::Conflict).because(match state {
        _ if set.is_archived() => "it is archived: restore it in its settings first",
        "review" => "it is in REVIEW: return it to EDITING first",
        _ => "it is LOCKED: reopen it first",
    })
}

fn digest_of(at: &ProjectAt, plan: &Plan) -> Result<Digest> {
    let told: Vec<_> = plan
        .items()
        .into_iter()
        .map(|(name, item)| json!([name, item.change.as_str(), item.before, item.after]))
        .collect();
    let (existing, others) = plan.choices.words();
    let sets: Vec<&str> = plan.sets.iter().map(|set| set.set.as_str()).collect();
    let whole = json!([at.project.id, sets, existing, others, told]);
    Ok(Digest::of(&canonical::to_canonical(&whole).map_err(ApiError::internal)?))
}

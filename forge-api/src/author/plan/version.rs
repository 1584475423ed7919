//! Locked versions from elsewhere: which of them can stand here, and writing them, each with its content as it was and
//! with the bytes that this place makes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use exchange::archive::{Locked, Set as Whole, Version as Told, place};
use schemas::bundle::{self, Bundle};
use schemas::canonical::Digest;
use serde_json::json;

use super::choice::{Change, PlanItem};
use super::history::time;
use super::{Plan, SetAt, Source};
use crate::aside::{EXCHANGES, aside};
use crate::audit;
use crate::auth::Actor;
use crate::author::ProjectAt;
use crate::clock;
use crate::database::dependency::{self, LockedDependency};
use crate::database::origin::{self, VersionOrigin};
use crate::database::prompt_set::{self, PromptSet};
use crate::database::version::{self, NewVersion, Version};
use crate::database::{Conn, DatabaseError, Tx};
use crate::error::{ApiError, Result};
use crate::lock::{highest, is_above};

/// The sets of a project, by slug.
pub(super) type Sets = BTreeMap<String, PromptSet>;

fn item_name(locked: &Locked) -> String {
    format!("versions/{}", locked.version)
}

/// The locked versions of a set, the oldest first.
pub(super) fn locked(whole: &Whole) -> impl Iterator<Item = &Told> + Clone {
    whole.versions.iter().rev().filter(|v| v.locked.kind == Locked::LOCKED)
}

async fn content(conn: &mut Conn, id: &str) -> Result<Digest> {
    let body = version::body(conn, id).await?.ok_or(ApiError::NotFound("version"))?;
    aside(&EXCHANGES, move || Ok(place::content(&body)?)).await
}

async fn stored(conn: &mut Conn, set: &PromptSet, number: &semver::Version) -> Result<Option<Version>> {
    let found = version::find(conn, &set.id, &number.to_string()).await?;
    Ok(found.filter(|v| v.kind == Locked::LOCKED))
}

/// What becomes of each locked version. `comes` are the sets that the file brings with it.
pub(super) async fn compare(
    conn: &mut Conn,
    set: Option<&SetAt>,
    whole: &Whole,
    sets: &Sets,
    comes: &BTreeSet<String>,
) -> Result<Vec<PlanItem>> {
    let known = match set {
        Some(set) => version::of_set(conn, &set.set.id).await?,
        None => Vec::new(),
    };
    let last = highest(&known).map(|(_, number)| number);
    let mut items = Vec::new();
    for Told { locked, .. } in locked(whole) {
        let (name, number) = (item_name(locked), locked.version.to_string());
        if let Some(row) = known.iter().find(|row| row.version == number) {
            let here = content(conn, &row.id).await?;
            let same = row.kind == Locked::LOCKED && locked.content == Some(here);
            let change = if same { Change::Unchanged } else { Change::Conflict };
            let why =
                if same { "" } else { "it is here already with another content, and versions never change" };
            items.push(PlanItem::new(name, change).because(why).with(Some(here), locked.content));
            continue;
        }
        let low = last.as_ref().filter(|last| !is_above(&locked.version, last));
        let why = match low {
            Some(last) => Some(format!("it is not above {last}, the last version here; versions only grow")),
            None => missing(conn, locked, sets, comes).await?,
        };
        let change = if why.is_some() { Change::Conflict } else { Change::New };
        items.push(PlanItem::new(name, change).because(why.unwrap_or_default()).with(None, locked.content));
    }
    Ok(items)
}

/// Why what a version took in is not to be had here, if it is not.
async fn missing(
    conn: &mut Conn,
    locked: &Locked,
    sets: &Sets,
    comes: &BTreeSet<String>,
) -> Result<Option<String>> {
    for one in locked.dependencies.iter().filter(|d| !comes.contains(d.set.as_str())) {
        let what = format!("it takes in {} {}", one.set, one.version);
        let Some(other) = sets.get(one.set.as_str()) else {
            return Ok(Some(format!(
                "{what}, and this project has no such set; import that first, or the project"
            )));
        };
        let Some(row) = stored(conn, other, &one.version).await? else {
            return Ok(Some(format!("{what}, which is not locked here; import that first, or the project")));
        };
        if Some(content(conn, &row.id).await?) != one.content {
            return Ok(Some(format!("{what}, which says something else here")));
        }
    }
    Ok(None)
}

/// A version as it will stand here.
pub(super) struct Placed {
    set: String,
    number: String,
    body: Vec<u8>,
    digest: Digest,
    prompts: usize,
}

impl Placed {
    /// Whether it is this version of this set.
    pub(super) fn is(&self, set: &str, locked: &Locked) -> bool {
        self.set == set && self.number == locked.version.to_string()
    }
}

/// The bytes that this place makes of what is new, in the order in which one takes in another.
pub(super) async fn placed(
    conn: &mut Conn,
    at: &ProjectAt,
    sets: &Sets,
    source: &Source,
    plan: &Plan,
) -> Result<Vec<Placed>> {
    let mut known: BTreeMap<(String, String), Digest> = BTreeMap::new();
    let mut waiting: Vec<(String, VecDeque<&Told>)> = Vec::new();
    for (part, of) in source.sets.iter().zip(&plan.sets) {
        let Some(whole) = &part.whole else { continue };
        let new = locked(whole).filter(|v| of.takes(&item_name(&v.locked)));
        for one in new.clone().flat_map(|v| &v.locked.dependencies) {
            here(conn, sets, one.set.as_str(), &one.version, &mut known).await?;
        }
        waiting.push((of.set.clone(), new.collect()));
    }
    let mut made = Vec::new();
    loop {
        let mut goes_on = false;
        for (set, queue) in &mut waiting {
            while let Some(told) = queue.front() {
                let Some(digests) = taken(&told.locked, &known) else { break };
                let one = moved(at, set, told, digests).await?;
                known.insert((one.set.clone(), one.number.clone()), one.digest);
                made.push(one);
                queue.pop_front();
                goes_on = true;
            }
        }
        if !goes_on {
            break;
        }
    }
    match waiting.iter().find(|(_, queue)| !queue.is_empty()) {
        None => Ok(made),
        Some((set, _)) => {
            let detail = format!("versions of {set} take in what is not there, or each other");
            Err(ApiError::invalid("unreadable", "file", detail))
        }
    }
}

/// Looks up the digest that a version has here already.
async fn here(
    conn: &mut Conn,
    sets: &Sets,
    set: &str,
    number: &semver::Version,
    known: &mut BTreeMap<(String, String), Digest>,
) -> Result<()> {
    let Some(other) = sets.get(set) else { return Ok(()) };
    if let Some(row) = stored(conn, other, number).await? {
        let digest = row.digest.parse::<Digest>();
        let digest = digest.map_err(|_| DatabaseError::Damaged("digest of a version".into()))?;
        known.insert((set.to_owned(), number.to_string()), digest);
    }
    Ok(())
}

/// The digests that what a version takes in has here, once all of it stands.
fn taken(locked: &Locked, known: &BTreeMap<(String, String), Digest>) -> Option<BTreeMap<String, Digest>> {
    let of = |one: &exchange::archive::LockedDependency| {
        let digest = known.get(&(one.set.to_string(), one.version.to_string()))?;
        Some((one.set.to_string(), *digest))
    };
    locked.dependencies.iter().map(of).collect()
}

async fn moved(at: &ProjectAt, set: &str, told: &Told, digests: BTreeMap<String, Digest>) -> Result<Placed> {
    let (organisation, project) = (at.organisation.slug.clone(), at.project.slug.clone());
    let (set, number, body) = (set.to_owned(), told.locked.version.to_string(), told.body.clone());
    aside(&EXCHANGES, move || {
        let body = place::moved(&body, &organisation, &project, &set, &digests)?;
        let prompts = Bundle::from_body(&body)?.prompts.len();
        // Refused now rather than when it is published.
        bundle::encode(&body)?;
        Ok(Placed { digest: Digest::of(&body), set, number, body, prompts })
    })
    .await
}

/// Writes a version: who locked it and when is what the file tells, who approved it there is nobody's approval here.
pub(super) async fn write(
    tx: &mut Tx,
    actor: &Actor,
    set: &SetAt,
    (source, whole): (&Source, &Whole),
    told: &Told,
    placed: &Placed,
) -> Result<()> {
    let locked = &told.locked;
    let id = clock::new_id();
    let short = |text: &str, most: usize| -> String { text.chars().take(most).collect() };
    let (author, notes) = (short(&locked.author, 200), short(&locked.notes, 10_000));
    let digest = placed.digest.to_string();
    let row = NewVersion {
        id: &id,
        set_id: &set.set.id,
        version: &placed.number,
        kind: Locked::LOCKED,
        digest: &digest,
        body: &placed.body,
        size: i64::try_from(placed.body.len()).unwrap_or(i64::MAX),
        prompts: i64::try_from(placed.prompts).unwrap_or(i64::MAX),
        notes: &notes,
        author: &author,
        approver: None,
        created_at: time(&locked.created_at)?,
    };
    version::insert(tx, &row).await?;
    let from = VersionOrigin {
        version_id: id.clone(),
        organisation: source.organisation.clone(),
        project: source.project.clone(),
        prompt_set: whole.slug.to_string(),
        digest: locked.digest.to_string(),
        approver: locked.approver.as_deref().map(|name| short(name, 200)),
        imported_by: actor.name.clone(),
        imported_at: clock::now(),
    };
    origin::add_version(tx, &from).await?;
    record_taken(tx, set, &id, locked).await?;
    let detail = json!({
        "version": placed.number, "digest": digest, "content": locked.content, "author": author,
        "from": { "set": format!("{}/{}/{}", from.organisation, from.project, from.prompt_set), "digest": from.digest },
    });
    audit::record(tx, actor, &set.at.organisation.id, "version.imported", &set.path(), detail).await?;
    Ok(())
}

async fn record_taken(conn: &mut Conn, set: &SetAt, id: &str, locked: &Locked) -> Result<()> {
    let mut rows = Vec::new();
    for one in &locked.dependencies {
        let other = prompt_set::by_slug(conn, &set.at.project.id, one.set.as_str()).await?;
        let other = other.ok_or(ApiError::NotFound("prompt set"))?;
        let resolved = stored(conn, &other, &one.version).await?.ok_or(ApiError::NotFound("version"))?;
        rows.push(LockedDependency {
            version_id: id.to_owned(),
            set_id: other.id,
            requirement: one.requirement.clone(),
            resolved_version_id: resolved.id,
        });
    }
    Ok(dependency::add_locked(conn, &rows).await?)
}

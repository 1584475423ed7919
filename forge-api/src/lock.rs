//! The third step of the line: a draft becomes a version, which never changes again.

use schemas::bundle;
use schemas::canonical::Digest;
use schemas::template::CompiledSet;
use serde_json::json;

use crate::aside::{LOCKS, aside};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::prompt::load;
use crate::author::set::refuse_archived;
use crate::author::{Draft, SetAt, dependency, unmerged};
use crate::clock;
use crate::compare;
use crate::database::origin::{self, VersionOrigin};
use crate::database::version::{self, NewVersion, Version};
use crate::database::{Conn, overview, prompt, prompt_set, review};
use crate::error::{ApiError, Result, within};
use crate::review::approver;
use crate::state::AppState;

/// Longest version, in bytes.
const VERSION_MAX: usize = 64;
/// Longest notes of a version, in characters.
const NOTES_MAX: usize = 10_000;
/// Longest list of a version's authors, in characters.
const AUTHORS_MAX: usize = 200;

/// Reads a semantic version that people may use.
///
/// # Errors
/// It is none, or too long.
pub fn parse_version(text: &str) -> Result<semver::Version> {
    let bad = |detail: String| ApiError::invalid("bad_version", "version", detail);
    if text.len() > VERSION_MAX {
        return Err(bad(format!("a version has at most {VERSION_MAX} characters")));
    }
    let text = text.trim();
    text.parse().map_err(|_| bad(format!("{text:?} is no version: write three numbers, such as 1.2.0")))
}

/// The canonical body of a version, built and checked, not yet stored.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) prompts: usize,
}

/// Refuses a draft of which nobody could call anything.
pub(crate) fn has_prompts(draft: &Draft) -> Result<()> {
    let detail = match (draft.prompts.is_empty(), draft.partials.is_empty()) {
        (false, _) => return Ok(()),
        (true, true) => "the set has no prompts yet; write one first",
        (true, false) => {
            "the set has partials and no prompts yet: add one prompt; once a version is locked, other sets can take in its partials too"
        }
    };
    Err(ApiError::invalid("empty", "set", detail))
}

/// Builds the bytes that agents will get, and refuses what they could not use.
pub(crate) async fn build(set: &SetAt, draft: &Draft, version: &semver::Version) -> Result<Body> {
    has_prompts(draft)?;
    dependency::all_resolved(&draft.requirements)?;
    let content = draft.bundle(set, version.clone())?;
    aside(&LOCKS, move || {
        let mut errors = CompiledSet::compile(&content).err().unwrap_or_default();
        errors.extend(unmerged::in_all(&content.prompts, &content.partials));
        if !errors.is_empty() {
            return Err(ApiError::Template(errors));
        }
        let prompts = content.prompts.len();
        let bytes = content.into_body()?;
        // Refused now rather than when it is published.
        bundle::encode(&bytes)?;
        Ok(Body { digest: Digest::of(&bytes), bytes, prompts })
    })
    .await
}

/// Locks the draft as `version`: an immutable snapshot; the set goes LOCKED.
///
/// `expected_digest` is the digest of the draft that the caller saw, if the caller cares.
///
/// # Errors
/// Not allowed; locked already; under review and not approved; the draft changed meanwhile; a
/// version that exists or is not above the last; a dependency that no version fits; templates that do not compile, or that hold
/// marks of a merge; too large. Nothing is changed then.
pub async fn lock(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    version: &str,
    expected_digest: Option<&str>,
    notes: &str,
) -> Result<Version> {
    set.at.require(actor, Action::Lock)?;
    let number = parse_version(version)?;
    let notes = within("notes", "the text of the notes", notes, NOTES_MAX)?;
    let seen = crate::author::draft(state, actor, set).await?;
    let body = build(set, &seen, &number).await?;

    let mut tx = state.database.write().await?;
    let now = prompt_set::touch(&mut tx, &set.set.id, clock::now(), &actor.name)
        .await?
        .ok_or(ApiError::NotFound("prompt set"))?;
    refuse_archived(&mut tx, set).await?;
    if now.state == "locked" {
        return Err(ApiError::conflict(
            "locked",
            "the set is LOCKED already: reopen it to make the next version",
        ));
    }
    let draft = load(&mut tx, set).await?;
    if draft.digest != seen.digest || expected_digest.is_some_and(|e| e != draft.digest.to_string()) {
        return Err(ApiError::Conflict {
            code: "draft_changed",
            detail: "the draft changed after you opened it; look at it again before locking".into(),
            more: json!({ "draft_digest": draft.digest }),
        });
    }
    higher(&mut tx, set, &number).await?;
    let approved = approver(&mut tx, set, &draft).await?;
    if now.state == "review" && approved.is_none() {
        let detail =
            "the set is in REVIEW and nobody approved this draft yet: have it approved, or return it";
        return Err(ApiError::conflict("not_approved", detail));
    }
    let made = store(
        &mut tx,
        actor,
        set,
        &number,
        "locked",
        &body,
        &notes,
        approved.as_ref().map(|(_, n)| n.as_str()),
    )
    .await?;
    dependency::record(&mut tx, &made.id, &draft.requirements).await?;
    prompt_set::set_state(&mut tx, &set.set.id, "locked").await?;
    if let Some((found, _)) = &approved
        && now.state == "review"
    {
        review::close(&mut tx, &found.id, "locked", clock::now()).await?;
    }
    let detail = json!({ "version": made.version, "digest": made.digest });
    audit::record(&mut tx, actor, &set.at.organisation.id, "set.locked", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(made)
}

/// What a draft asks for, where a version says less than that.
#[derive(Debug, Clone)]
pub struct Lower {
    /// The version that callers would expect.
    pub asked_for: semver::Version,
    /// What changed, the most that is in it.
    pub why: String,
}

impl Lower {
    /// That such a version is not locked.
    #[must_use]
    pub fn refuse(&self, version: &str) -> ApiError {
        let Self { asked_for, why } = self;
        ApiError::Conflict {
            code: "version_too_low",
            detail: format!(
                "{version} says less than what changed ({why}): lock {asked_for}, or leave strict out if you mean it"
            ),
            more: json!({ "asked_for": asked_for.to_string(), "why": why }),
        }
    }
}

/// Whether a version that may come next says less than what changed since the highest locked one asks for. A
/// pre-release says nothing yet.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn lower(state: &AppState, actor: &Actor, set: &SetAt, version: &str) -> Result<Option<Lower>> {
    set.at.require(actor, Action::Lock)?;
    let Ok(number) = parse_version(version) else { return Ok(None) };
    let all = versions(state, actor, set).await?;
    let Some((_, last)) = highest(&all) else { return Ok(None) };
    // What is not above the last is refused, and needs no warning; nothing asks for more than the next major.
    if number.cmp_precedence(&last).is_le() || !number.pre.is_empty() || number.major > last.major {
        return Ok(None);
    }
    let asked = compare::proposal(state, actor, set).await?;
    let lower = number.cmp_precedence(&asked.next).is_lt();
    Ok(lower.then(|| Lower { asked_for: asked.next, why: asked.changes.why }))
}

/// Refuses a version that is not above the highest locked one.
async fn higher(conn: &mut Conn, set: &SetAt, number: &semver::Version) -> Result<()> {
    if version::find(conn, &set.set.id, &number.to_string()).await?.is_some() {
        // Told by who stores it.
        return Ok(());
    }
    let versions = version::of_set(conn, &set.set.id).await?;
    let Some((_, last)) = highest(&versions) else { return Ok(()) };
    if is_above(number, &last) {
        return Ok(());
    }
    Err(ApiError::Conflict {
        code: "version_not_higher",
        detail: format!("{number} is not above {last}, the last version; versions only grow"),
        more: json!({ "last": last.to_string() }),
    })
}

/// Whether a version may come after the last one. Build metadata does not count: two that differ only there stand side
/// by side.
pub(crate) fn is_above(number: &semver::Version, last: &semver::Version) -> bool {
    match number.cmp_precedence(last) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => !number.build.is_empty(),
        std::cmp::Ordering::Less => false,
    }
}

/// The highest locked version and its number.
#[must_use]
pub fn highest(versions: &[Version]) -> Option<(&Version, semver::Version)> {
    versions
        .iter()
        .filter(|v| v.kind == "locked")
        .filter_map(|v| Some((v, v.version.parse::<semver::Version>().ok()?)))
        .max_by(|(_, a), (_, b)| a.cmp(b))
}

/// Who wrote what the next version of a set will say that the last one did not.
pub(crate) async fn authors(conn: &mut Conn, set: &SetAt) -> Result<Vec<String>> {
    let last = version::of_set(conn, &set.set.id).await?.into_iter().filter(|v| v.kind == "locked");
    let since = last.map(|v| v.created_at).max().unwrap_or(0);
    Ok(prompt::authors_since(conn, &set.set.id, since).await?)
}

/// Stores a version; one of that name must not exist.
#[allow(clippy::too_many_arguments, reason = "each is a column of its own")]
pub(crate) async fn store(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    number: &semver::Version,
    kind: &str,
    body: &Body,
    notes: &str,
    approver: Option<&str>,
) -> Result<Version> {
    let text = number.to_string();
    if let Some(old) = version::find(conn, &set.set.id, &text).await? {
        return Err(ApiError::Conflict {
            code: "version_exists",
            detail: format!(
                "version {text} of {} exists already and never changes; choose a higher one",
                set.set.slug
            ),
            more: json!({ "version": old.version, "digest": old.digest }),
        });
    }
    let authors = authors(conn, set).await?.join(", ");
    let author: String = if authors.is_empty() { actor.name.clone() } else { authors };
    let author: String = author.chars().take(AUTHORS_MAX).collect();
    let id = clock::new_id();
    let row = NewVersion {
        id: &id,
        set_id: &set.set.id,
        version: &text,
        kind,
        digest: &body.digest.to_string(),
        body: &body.bytes,
        size: i64::try_from(body.bytes.len()).unwrap_or(i64::MAX),
        prompts: i64::try_from(body.prompts).unwrap_or(i64::MAX),
        notes,
        author: &author,
        approver,
        created_at: clock::now(),
    };
    version::insert(conn, &row).await?;
    version::by_id(conn, &id).await?.ok_or(ApiError::NotFound("version"))
}

/// Opens a LOCKED set again: back to EDITING, with the draft as it was locked.
///
/// # Errors
/// Not allowed, or not LOCKED.
pub async fn reopen(state: &AppState, actor: &Actor, set: &SetAt) -> Result<()> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    let now = prompt_set::touch(&mut tx, &set.set.id, clock::now(), &actor.name)
        .await?
        .ok_or(ApiError::NotFound("prompt set"))?;
    refuse_archived(&mut tx, set).await?;
    if now.state != "locked" {
        return Err(ApiError::conflict("not_locked", "the set is not LOCKED; it can be edited as it is"));
    }
    prompt_set::set_state(&mut tx, &set.set.id, "editing").await?;
    audit::record(&mut tx, actor, &set.at.organisation.id, "set.reopened", &set.path(), json!({})).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(())
}

/// The versions of a set, newest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn versions(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<Version>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(version::of_set(&mut conn, &set.set.id).await?)
}

/// The newest LOCKED version of a set, if there is one.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn newest_version(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Option<String>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let Some((id, _)) = overview::newest_locked(&mut conn, &[&set.set.id]).await?.remove(&set.set.id) else {
        return Ok(None);
    };
    Ok(version::by_id(&mut conn, &id).await?.map(|v| v.version))
}

/// One version of a set.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find_version(state: &AppState, actor: &Actor, set: &SetAt, text: &str) -> Result<Version> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    version::find(&mut conn, &set.set.id, text).await?.ok_or(ApiError::NotFound("version"))
}

/// Where a version was locked, if that was elsewhere, and who brought it.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn origin(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    row: &Version,
) -> Result<Option<VersionOrigin>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(origin::of_versions(&mut conn, &[row.id.as_str()]).await?.pop())
}

/// The canonical body of a version: what agents get, byte for byte.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn version_body(state: &AppState, actor: &Actor, set: &SetAt, row: &Version) -> Result<Vec<u8>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    version::body(&mut conn, &row.id).await?.ok_or(ApiError::NotFound("version"))
}

/// What the next version could be called: the patch above the newest, or 1.0.0.
#[must_use]
pub fn suggest(versions: &[Version]) -> semver::Version {
    versions
        .iter()
        .filter(|v| v.kind == "locked")
        .filter_map(|v| v.version.parse::<semver::Version>().ok())
        .max()
        .map_or(semver::Version::new(1, 0, 0), |v| {
            if v.pre.is_empty() {
                semver::Version::new(v.major, v.minor, v.patch + 1)
            } else {
                semver::Version::new(v.major, v.minor, v.patch)
            }
        })
}

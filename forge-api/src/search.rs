//! Finding things: projects, sets, prompts and partials by their names, tags, descriptions and texts.
//!
//! Only what the actor may see is ever found. What was named exactly comes first, then what has the words in its name or
//! tags, then what has them in its text; among equals, what changed last.
//!
//! | module | what it holds |
//! |---|---|
//! | [`words`] | how a text becomes words |
//! | [`mark`] | which parts of a text were looked for |
//! | [`thing`] | what was found, with its place |
//! | [`nearest`] | the word that was perhaps meant |

pub mod mark;
mod nearest;
pub mod thing;
pub mod words;

use std::collections::HashMap;

pub use nearest::nearest;

use mark::Part;
use thing::{Kind, Thing};
use words::Word;

use crate::auth::{Action, Actor};
use crate::author::{self, ProjectAt};
use crate::database::Conn;
use crate::database::organisation::Organisation;
use crate::database::search::{self, ARCHIVED_PARTIAL, ARCHIVED_PROMPT, Entry, Tier, Wanted};
use crate::database::{project, prompt_set};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most entries of one page of results.
pub const LIMIT_MAX: usize = 100;
/// Most entries that one search looks at where a filter leaves many out; what it found until then is a page.
const LOOKED_MAX: usize = 2000;
/// Entries that are looked at in one go where a filter leaves many out.
const BATCH: usize = 500;
const STATES: [&str; 3] = ["editing", "review", "locked"];

/// What is looked for, as it was written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Empty: everything that the filters leave, the newest first.
    pub q: &'a str,
    /// Slug; empty: every organisation in which one may see something.
    pub organisation: &'a str,
    /// Slug, or `organisation:project`.
    pub project: &'a str,
    pub set: &'a str,
    pub tag: &'a str,
    /// Of the set: `editing`, `review` or `locked`.
    pub state: &'a str,
    pub kind: &'a str,
    /// What is archived, instead of what is in use.
    pub archived: bool,
    /// Where a list goes on.
    pub cursor: &'a str,
    pub limit: usize,
}

/// Something that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    pub thing: Thing,
    /// Its id, or its slug.
    pub title: Vec<Part>,
    /// What stands around the words in its description or text.
    pub excerpt: Vec<Part>,
}

/// A page of results.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// Where it goes on.
    pub next: Option<String>,
}

/// Whether there is something to look for: a word, or nothing at all (then everything fits).
#[must_use]
pub fn has_words(q: &str) -> bool {
    q.trim().is_empty() || !words::asked(q).is_empty()
}

/// Finds what fits and may be seen.
///
/// # Errors
/// A filter that names nothing, a bad cursor, or the database refuses.
pub async fn search(state: &AppState, actor: &Actor, asked: &Asked<'_>) -> Result<Found> {
    let Some(wanted) = wanted(state, actor, asked).await? else { return Ok(Found::default()) };
    let narrow = Narrow {
        state: of_state(asked.state)?,
        archived: asked.archived,
        kind: Kind::parse(asked.kind).filter(|_| asked.archived),
    };
    let limit = asked.limit.clamp(1, LIMIT_MAX);
    let (first, below) = read_cursor(asked.cursor)?;
    let mut conn = state.database.read().await?;
    let (entries, next) = collect(&mut conn, &wanted, narrow, (first, below), limit).await?;
    let rows: Vec<(&str, &str)> = entries.iter().map(|e| (e.kind.as_str(), e.row_id.as_str())).collect();
    let things = thing::load(&mut conn, actor, &rows, true).await?;
    let hits = things.into_iter().map(|thing| hit(thing, &wanted.words)).collect();
    Ok(Found { hits, next })
}

/// What of these kinds in an organisation has every word in its name or tags, or else in its text too where `in_texts`;
/// at most `limit` of each kind, best first.
///
/// # Errors
/// The database refuses.
pub async fn named(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    q: &str,
    (kinds, in_texts): (&[Kind], bool),
    limit: usize,
) -> Result<Vec<Thing>> {
    let mut wanted = Wanted {
        kinds: kinds.iter().map(|kind| kind.as_str()).collect(),
        words: words::asked(q),
        whole: words::whole(q),
        ..Wanted::default()
    };
    if wanted.words.is_empty() {
        return Ok(Vec::new());
    }
    within(actor, organisation, &mut wanted);
    let mut conn = state.database.read().await?;
    let (mut out, mut known): (Vec<Entry>, Known) = (Vec::new(), Known::default());
    let has = |out: &[Entry], kind: &str| out.iter().filter(|e| e.kind == kind).count();
    let tiers: &[Tier] = if in_texts { &Tier::ALL } else { &[Tier::Whole, Tier::Names] };
    for tier in tiers.iter().filter(|tier| **tier != Tier::Whole || wanted.whole.is_some()) {
        let (mut below, mut looked) = (i64::MAX, 0);
        while looked < LOOKED_MAX {
            // What there is enough of is not asked for again: the newest of one kind may hide those of another.
            wanted.kinds.retain(|kind| has(&out, kind) < limit);
            if wanted.kinds.is_empty() {
                break;
            }
            let batch = limit * wanted.kinds.len();
            let found = search::candidates(&mut conn, &wanted, *tier, below, batch as i64).await?;
            let end = found.len() < batch;
            looked += found.len();
            know(&mut conn, &found, &mut known).await?;
            for entry in found {
                below = entry.number;
                if !known.is_archived(&entry) && has(&out, &entry.kind) < limit {
                    out.push(entry);
                }
            }
            if end {
                break;
            }
        }
    }
    let rows: Vec<(&str, &str)> = out.iter().map(|e| (e.kind.as_str(), e.row_id.as_str())).collect();
    thing::load(&mut conn, actor, &rows, false).await
}

/// What is not in the index: it changes for many entries at once.
#[derive(Debug, Clone, Copy)]
struct Narrow {
    state: Option<&'static str>,
    archived: bool,
    /// Only where the index is not asked for it.
    kind: Option<Kind>,
}

/// What is known of sets and projects meanwhile.
#[derive(Debug, Default)]
struct Known {
    /// State of each set, and whether it is archived.
    sets: HashMap<String, (String, bool)>,
    /// Whether each project is archived.
    projects: HashMap<String, bool>,
}

impl Known {
    fn set(&self, entry: &Entry) -> Option<&(String, bool)> {
        entry.set_id.as_ref().and_then(|id| self.sets.get(id))
    }

    /// Whether an entry, or what it stands in, is archived.
    fn is_archived(&self, entry: &Entry) -> bool {
        [ARCHIVED_PROMPT, ARCHIVED_PARTIAL].contains(&entry.kind.as_str())
            || self.set(entry).is_some_and(|(_, archived)| *archived)
            || self.projects.get(&entry.project_id).copied().unwrap_or_default()
    }
}

impl Narrow {
    /// Whether most entries fit.
    fn is_wide(self) -> bool {
        self.state.is_none() && !self.archived
    }

    fn fits(self, entry: &Entry, known: &Known) -> bool {
        let set = known.set(entry);
        let of_kind =
            self.kind.is_none_or(|kind| entry.kind.trim_start_matches("archived_") == kind.as_str());
        known.is_archived(entry) == self.archived
            && of_kind
            && self.state.is_none_or(|s| set.is_some_and(|(now, _)| now == s))
    }
}

/// Entries of every tier, best first, and where they go on.
async fn collect(
    conn: &mut Conn,
    wanted: &Wanted,
    narrow: Narrow,
    (first, mut below): (Tier, i64),
    limit: usize,
) -> Result<(Vec<Entry>, Option<String>)> {
    let mut out: Vec<Entry> = Vec::new();
    let mut last = (first, below);
    let (mut looked, mut known) = (0, Known::default());
    for tier in Tier::ALL.into_iter().filter(|t| *t >= first) {
        let nothing = match tier {
            Tier::Whole => wanted.whole.is_none(),
            Tier::Names => wanted.words.is_empty(),
            Tier::Words => false,
        };
        let mut batch = if narrow.is_wide() { limit + 1 } else { BATCH };
        if nothing {
            below = i64::MAX;
            continue;
        }
        loop {
            let found = search::candidates(conn, wanted, tier, below, batch as i64).await?;
            let (count, end) = (found.len(), found.len() < batch);
            know(conn, &found, &mut known).await?;
            for entry in found {
                below = entry.number;
                if !narrow.fits(&entry, &known) {
                    continue;
                }
                if out.len() == limit {
                    return Ok((out, Some(cursor(last))));
                }
                last = (tier, entry.number);
                out.push(entry);
            }
            looked += count;
            if end {
                break;
            }
            if looked >= LOOKED_MAX {
                return Ok((out, Some(cursor((tier, below)))));
            }
            batch = BATCH;
        }
        below = i64::MAX;
    }
    Ok((out, None))
}

/// Learns of the sets and projects that these entries belong to.
async fn know(conn: &mut Conn, entries: &[Entry], known: &mut Known) -> Result<()> {
    let sets = distinct(entries.iter().filter_map(|e| e.set_id.as_deref()), |id| known.sets.contains_key(id));
    if !sets.is_empty() {
        let found = prompt_set::by_ids(conn, &sets).await?;
        known.sets.extend(found.into_iter().map(|s| (s.id, (s.state, s.archived_at.is_some()))));
    }
    let projects =
        distinct(entries.iter().map(|e| e.project_id.as_str()), |id| known.projects.contains_key(id));
    let found = project::by_ids(conn, &projects).await?;
    known.projects.extend(found.into_iter().map(|(_, p)| (p.id, p.archived_at.is_some())));
    Ok(())
}

fn distinct<'a>(ids: impl Iterator<Item = &'a str>, known: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut ids: Vec<&str> = ids.filter(|id| !known(id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What the index is asked; none where nothing can fit.
async fn wanted(state: &AppState, actor: &Actor, asked: &Asked<'_>) -> Result<Option<Wanted>> {
    let kind =
        match asked.kind {
            "" => None,
            kind => Some(Kind::parse(kind).ok_or_else(|| {
                ApiError::invalid("bad_kind", "kind", "write project, set, prompt or partial")
            })?),
        };
    let mut wanted = Wanted {
        kinds: kind.filter(|_| !asked.archived).map(Kind::as_str).into_iter().collect(),
        words: words::asked(asked.q),
        whole: words::whole(asked.q),
        ..Wanted::default()
    };
    scope(state, actor, asked.organisation, &mut wanted).await?;
    if let Some(at) = project_at(state, actor, asked).await? {
        if !asked.set.is_empty() {
            wanted.set = Some(author::find_set(state, actor, &at, asked.set).await?.set.id);
        }
        wanted.project = Some(at.project.id);
    }
    if !asked.tag.trim().is_empty() {
        wanted.tag = words::tag(asked.tag);
        if wanted.tag.is_none() {
            return Ok(None);
        }
    }
    Ok(has_words(asked.q).then_some(wanted))
}

/// Whose things are looked through: whole organisations, and single projects that were granted.
async fn scope(state: &AppState, actor: &Actor, organisation: &str, wanted: &mut Wanted) -> Result<()> {
    let places = match organisation {
        "" => {
            let mut all: Vec<_> =
                author::organisations(state, actor).await?.into_iter().map(|(o, _)| o).collect();
            all.extend(author::visited(state, actor).await?);
            all
        }
        slug => vec![author::visit_organisation(state, actor, slug).await?],
    };
    places.iter().for_each(|place| within(actor, place, wanted));
    Ok(())
}

/// Adds what the actor may see of an organisation: all of it, or single projects.
fn within(actor: &Actor, place: &Organisation, wanted: &mut Wanted) {
    if actor.may(&place.id, Action::View) {
        wanted.organisations.push(place.id.clone());
    } else {
        let granted = actor.grants.iter().filter(|g| g.organisation_id == place.id);
        let seen = granted.filter(|g| actor.may_at(&place.id, &g.project_id, Action::View));
        wanted.granted.extend(seen.map(|g| g.project_id.clone()));
    }
}

async fn project_at(state: &AppState, actor: &Actor, asked: &Asked<'_>) -> Result<Option<ProjectAt>> {
    match (asked.project, asked.organisation) {
        ("", _) if !asked.set.is_empty() => {
            Err(ApiError::invalid("project_missing", "set", "name the project of the set too"))
        }
        ("", _) => Ok(None),
        (project, _) if project.contains(':') => {
            author::find_project_by_id(state, actor, project).await.map(Some)
        }
        (_, "") => Err(ApiError::invalid(
            "organisation_missing",
            "project",
            "name the organisation too, or write organisation:project",
        )),
        (project, organisation) => author::find_project(state, actor, organisation, project).await.map(Some),
    }
}

fn of_state(text: &str) -> Result<Option<&'static str>> {
    if text.is_empty() {
        return Ok(None);
    }
    let found = STATES.into_iter().find(|s| s.eq_ignore_ascii_case(text));
    found.map(Some).ok_or_else(|| ApiError::invalid("bad_state", "state", "write editing, review or locked"))
}

fn cursor((tier, number): (Tier, i64)) -> String {
    let letter = match tier {
        Tier::Whole => 'a',
        Tier::Names => 'b',
        Tier::Words => 'c',
    };
    format!("{letter}{number}")
}

fn read_cursor(text: &str) -> Result<(Tier, i64)> {
    if text.is_empty() {
        return Ok((Tier::Whole, i64::MAX));
    }
    let tier = match text.chars().next() {
        Some('a') => Some(Tier::Whole),
        Some('b') => Some(Tier::Names),
        Some('c') => Some(Tier::Words),
        _ => None,
    };
    let number = text.get(1..).and_then(|n| n.parse::<i64>().ok());
    tier.zip(number).ok_or_else(|| {
        ApiError::invalid(
            "bad_cursor",
            "cursor",
            "give what stood in `next`, or nothing to begin at the first",
        )
    })
}

fn hit(thing: Thing, words: &[Word]) -> Hit {
    let title = mark::mark(&thing.id, words);
    let told = [thing.description.as_str(), thing.text.as_str(), thing.name.as_str()];
    let excerpt = told
        .iter()
        .find_map(|text| mark::excerpt(text, words))
        .or_else(|| told.iter().find(|text| !text.trim().is_empty()).map(|text| mark::beginning(text)));
    Hit { title, excerpt: excerpt.unwrap_or_default(), thing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        for at in [(Tier::Whole, 1), (Tier::Names, i64::MAX), (Tier::Words, 7_353_214_661_632_000_001)] {
            assert_eq!(read_cursor(&cursor(at)).unwrap(), at);
        }
        for bad in ["x", "a", "d12", "a1.5", "é3", "b99999999999999999999"] {
            assert_eq!(read_cursor(bad).unwrap_err().code(), "bad_cursor", "{bad}");
        }
    }
}

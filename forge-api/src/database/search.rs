//! What can be found, and by which words.
//!
//! Triggers note each row of a project, set, prompt or partial that changes; before its transaction commits, the words of
//! these rows are made here and put into the index. So nobody who writes such a row has to think of it, and no word is
//! ever found, or missed, that does not belong to what was committed.
//!
//! Two ways of the same: FTS5 on SQLite, `tsvector` with GIN in blocks on PostgreSQL. Both get the words of
//! [`crate::search::words`] and keep two sorts: of names (ids, names, tags), and of everything.

mod ask;
mod postgres;
mod sqlite;
mod text;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schemas::prompt::{Content, Message, Prompt};

pub use ask::{Entry, Tier, Wanted, candidates};
pub use text::{Text, archived, partials, prompts};

use super::schema::{self, projects, prompt_sets, search_stale};
use super::{Conn, Result, on};
use crate::search::words::Words;

/// The kinds of entries in the archive of their set.
pub const ARCHIVED_PROMPT: &str = "archived_prompt";
pub const ARCHIVED_PARTIAL: &str = "archived_partial";

/// Rows taken up at once.
const BATCH: i64 = 400;

/// What of one row is to be found.
#[derive(Debug, Clone)]
struct Document {
    number: i64,
    kind: &'static str,
    row_id: String,
    organisation_id: String,
    project_id: String,
    set_id: Option<String>,
    names: String,
    words: String,
}

/// A number that grows with the time of the change, so that what was changed last is found first.
fn number(changed_at: i64) -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    (changed_at << 12).saturating_add(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Takes up the words of what changed in this transaction.
pub(super) async fn refresh(conn: &mut Conn) -> Result<()> {
    loop {
        let stale: Vec<(String, String)> = on!(&mut *conn, c => search_stale::table
            .select((search_stale::kind, search_stale::row_id))
            .limit(BATCH)
            .load(c).await?);
        if stale.is_empty() {
            return Ok(());
        }
        let mut ids: HashMap<&str, Vec<&str>> = HashMap::new();
        for (kind, id) in &stale {
            ids.entry(kind).or_default().push(id);
        }
        let mut documents: Vec<Document> = Vec::new();
        for (kind, ids) in &ids {
            match *kind {
                "project" => documents.extend(of_projects(conn, ids).await?),
                "set" => documents.extend(of_sets(conn, ids).await?),
                "prompt" => documents.extend(of_prompts(conn, ids).await?),
                _ => documents.extend(of_partials(conn, ids).await?),
            }
            // What is in its place no more may have gone to the archive.
            let gone: Vec<&str> =
                ids.iter().copied().filter(|id| documents.iter().all(|d| d.row_id != *id)).collect();
            documents.extend(of_archived(conn, &gone).await?);
        }
        drop(ids);
        let mut all: Vec<String> = stale.into_iter().map(|(_, id)| id).collect();
        all.sort_unstable();
        all.dedup();
        replace(conn, &all, documents).await?;
        on!(&mut *conn, c => diesel::delete(search_stale::table.filter(search_stale::row_id.eq_any(&all)))
            .execute(c).await?);
    }
}

async fn of_projects(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Document>> {
    let rows: Vec<(String, String, String, String, String, i64)> = on!(conn, c => projects::table
        .filter(projects::id.eq_any(ids))
        .select((
            projects::id,
            projects::organisation_id,
            projects::slug,
            projects::name,
            projects::description,
            projects::created_at,
        ))
        .load(c).await?);
    Ok(rows
        .into_iter()
        .map(|(id, organisation_id, slug, name, description, at)| Document {
            number: number(at),
            kind: "project",
            row_id: id.clone(),
            organisation_id,
            project_id: id,
            set_id: None,
            ..told(&[&slug, &name], &[], &[&description])
        })
        .collect())
}

async fn of_sets(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Document>> {
    let rows: Vec<(String, String, String, String, String, String, i64)> = on!(&mut *conn, c => prompt_sets::table
        .filter(prompt_sets::id.eq_any(ids))
        .select((
            prompt_sets::id,
            prompt_sets::project_id,
            prompt_sets::slug,
            prompt_sets::name,
            prompt_sets::description,
            prompt_sets::tags,
            prompt_sets::updated_at,
        ))
        .load(c).await?);
    let organisations = organisations(conn, rows.iter().map(|r| r.1.as_str())).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(id, project_id, slug, name, description, tags, at)| {
            let tags: Vec<&str> = tags.split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
            Some(Document {
                number: number(at),
                kind: "set",
                row_id: id.clone(),
                organisation_id: organisations.get(&project_id)?.clone(),
                project_id,
                set_id: Some(id),
                ..told(&[&slug, &name], &tags, &[&description])
            })
        })
        .collect())
}

async fn of_prompts(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Document>> {
    let rows: Vec<(String, String, String, String, i64)> = on!(&mut *conn, c => {
        use schema::prompts::{body, id, prompt_id, set_id, table, updated_at};
        table.filter(id.eq_any(ids)).select((id, set_id, prompt_id, body, updated_at)).load(c).await?
    });
    let places = places(conn, rows.iter().map(|r| r.1.as_str())).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(id, set_id, prompt_id, body, at)| {
            let (project_id, organisation_id) = places.get(&set_id)?.clone();
            // A body that cannot be read is found by its id.
            let prompt = serde_json::from_str::<Prompt>(&body).ok();
            Some(Document {
                number: number(at),
                kind: "prompt",
                row_id: id,
                organisation_id,
                project_id,
                set_id: Some(set_id),
                ..of_prompt(&prompt_id, prompt.as_ref())
            })
        })
        .collect())
}

fn of_prompt(id: &str, prompt: Option<&Prompt>) -> Document {
    let Some(prompt) = prompt else { return told(&[id], &[], &[]) };
    let tags: Vec<&str> = prompt.tags.iter().map(String::as_str).collect();
    let mut texts = vec![prompt.description.as_str()];
    for parameter in &prompt.parameters {
        texts.extend([parameter.name.as_str(), parameter.description.as_str()]);
    }
    match &prompt.content {
        Content::Text { template } => texts.push(template),
        Content::Chat { messages } => texts.extend(messages.iter().map(|m| match m {
            Message::Message { template, .. } => template.as_str(),
            Message::Placeholder { name } => name.as_str(),
        })),
    }
    told(&[id], &tags, &texts)
}

async fn of_partials(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Document>> {
    let rows: Vec<(String, String, String, String, i64)> = on!(&mut *conn, c => {
        use schema::partials::{id, name, set_id, source, table, updated_at};
        table.filter(id.eq_any(ids)).select((id, set_id, name, source, updated_at)).load(c).await?
    });
    let places = places(conn, rows.iter().map(|r| r.1.as_str())).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(id, set_id, name, source, at)| {
            let (project_id, organisation_id) = places.get(&set_id)?.clone();
            Some(Document {
                number: number(at),
                kind: "partial",
                row_id: id,
                organisation_id,
                project_id,
                set_id: Some(set_id),
                ..told(&[&name], &[], &[&source])
            })
        })
        .collect())
}

async fn of_archived(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Document>> {
    let rows = archived(conn, ids).await?;
    let places = places(conn, rows.iter().map(|(_, text)| text.set_id.as_str())).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(kind, text)| {
            let (project_id, organisation_id) = places.get(&text.set_id)?.clone();
            let body = text.text.unwrap_or_default();
            let (kind, words) = match kind.as_str() {
                "prompt" => (ARCHIVED_PROMPT, of_prompt(&text.id, serde_json::from_str(&body).ok().as_ref())),
                _ => (ARCHIVED_PARTIAL, told(&[&text.id], &[], &[&body])),
            };
            Some(Document {
                number: number(text.changed_at),
                kind,
                row_id: text.row_id,
                organisation_id,
                project_id,
                set_id: Some(text.set_id),
                ..words
            })
        })
        .collect())
}

/// The words; whose they are is filled in by who asks.
fn told(names: &[&str], tags: &[&str], texts: &[&str]) -> Document {
    let (mut short, mut long) = (Words::default(), Words::default());
    names.iter().for_each(|name| short.add_name(name));
    tags.iter().for_each(|tag| short.add_tag(tag));
    long.add_all(&short);
    texts.iter().for_each(|text| long.add(text));
    Document {
        number: 0,
        kind: "",
        row_id: String::new(),
        organisation_id: String::new(),
        project_id: String::new(),
        set_id: None,
        names: short.joined(),
        words: long.joined(),
    }
}

/// The organisation of each project.
async fn organisations<'a>(
    conn: &mut Conn,
    ids: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, String>> {
    let ids: std::collections::BTreeSet<&str> = ids.collect();
    let rows: Vec<(String, String)> = on!(conn, c => projects::table
        .filter(projects::id.eq_any(&ids))
        .select((projects::id, projects::organisation_id))
        .load(c).await?);
    Ok(rows.into_iter().collect())
}

/// The project and the organisation of each set.
async fn places<'a>(
    conn: &mut Conn,
    ids: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, (String, String)>> {
    let ids: std::collections::BTreeSet<&str> = ids.collect();
    let rows: Vec<(String, String)> = on!(&mut *conn, c => prompt_sets::table
        .filter(prompt_sets::id.eq_any(&ids))
        .select((prompt_sets::id, prompt_sets::project_id))
        .load(c).await?);
    let organisations = organisations(conn, rows.iter().map(|r| r.1.as_str())).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(set, project)| {
            let organisation = organisations.get(&project)?.clone();
            Some((set, (project, organisation)))
        })
        .collect())
}

/// A word of the index for whose, where or of which kind something is. Only letters and digits: the index of SQLite
/// divides words at everything else.
fn facet(sort: char, of: &str) -> String {
    std::iter::once(sort).chain(of.chars().filter(char::is_ascii_alphanumeric)).collect()
}

/// What is asked for beside words: whose, where and of which kind, each as a word.
fn facets(document: &Document) -> String {
    let mut out = vec![
        facet('o', &document.organisation_id),
        facet('p', &document.project_id),
        facet('k', document.kind),
    ];
    out.extend(document.set_id.as_deref().map(|id| facet('s', id)));
    out.join(" ")
}

async fn replace(conn: &mut Conn, gone: &[String], documents: Vec<Document>) -> Result<()> {
    match conn {
        Conn::Postgres(object) => postgres::replace(object, gone, &documents).await,
        Conn::Sqlite(object) => {
            let gone = gone.to_vec();
            Ok(object.spawn_blocking(move |c| sqlite::replace(c, &gone, documents)).await?)
        }
    }
}

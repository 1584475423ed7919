//! Find or do: prompts, sets, projects, and what one may do from where one is.

mod action;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use self::action::Here;
use super::address::Query;
use super::engine;
use super::fault::PageResult;
use super::search::{icon, place};
use super::visitor::Visitor;
use crate::database::organisation::Organisation;
use crate::error::Result;
use crate::search;
use crate::search::mark::{self, Part};
use crate::search::thing::{Kind, Thing};
use crate::search::words::{self, Word};
use crate::state::AppState;
use crate::visit;

/// Most hits of one kind.
const HITS: usize = 8;

#[derive(Debug, Serialize)]
struct Page {
    q: String,
    organisation: String,
    at: String,
    groups: Vec<Group>,
    /// The search over texts too.
    search: String,
}

#[derive(Debug, Serialize)]
struct Group {
    title: &'static str,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
pub(super) struct Item {
    icon: &'static str,
    parts: Vec<Shown>,
    #[serde(rename = "where")]
    place: String,
    href: String,
}

#[derive(Debug, Serialize)]
struct Shown {
    text: String,
    hit: bool,
}

impl Item {
    fn new(icon: &'static str, text: &str, place: String, href: String, words: &[Word]) -> Self {
        let parts =
            mark::mark(text, words).into_iter().map(|Part { text, hit }| Shown { text, hit }).collect();
        Self { icon, parts, place, href }
    }

    fn of(thing: &Thing, words: &[Word]) -> Self {
        let text =
            if thing.kind == Kind::Project && !thing.name.is_empty() { &thing.name } else { &thing.id };
        Self::new(icon(thing.kind), text, place(thing), thing.href(), words)
    }
}

/// What is looked for, and from where.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    q: String,
    organisation: String,
    /// The path of the page one is on.
    at: String,
}

/// `GET /-/palette?organisation=…&at=…&q=…`.
pub(super) async fn get_palette(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(asked): Query<Typed>,
) -> PageResult {
    let of_path = asked.at.split('/').nth(1).unwrap_or_default();
    let organisation = visitor
        .visit(&asked.organisation)
        .or_else(|_| visitor.visit(of_path))
        .ok()
        .or_else(|| visitor.places().next())
        .cloned();
    let mut page = Page {
        groups: Vec::new(),
        search: String::new(),
        organisation: organisation.as_ref().map(|o| o.slug.clone()).unwrap_or_default(),
        q: asked.q,
        at: asked.at,
    };
    if let Some(organisation) = &organisation {
        let here = Here::read(&state, &visitor, organisation, &page.at).await?;
        page.groups = match page.q.trim() {
            "" => at_rest(&state, &visitor, organisation, &here).await?,
            q => looked_for(&state, &visitor, organisation, &here, q).await?,
        };
        if !page.q.trim().is_empty() {
            page.search =
                format!("/{}/-/search?q={}", organisation.slug, super::view::encoded(page.q.trim()));
        }
    }
    page.groups.retain(|g| !g.items.is_empty());
    Ok(engine::page(StatusCode::OK, "palette.html", &visitor.anywhere().titled("Find or do", ""), &page))
}

/// What one sees before one types: what one opened last, and what one may do here.
async fn at_rest(
    state: &AppState,
    visitor: &Visitor,
    organisation: &Organisation,
    here: &Here,
) -> Result<Vec<Group>> {
    let recent = visit::recent(state, &visitor.actor, organisation, HITS).await?;
    let mut actions = here.actions(state, visitor, organisation).await?;
    actions.truncate(3 * HITS);
    Ok(vec![
        Group { title: "Recent", items: recent.iter().map(|t| Item::of(t, &[])).collect() },
        Group { title: "Do", items: actions.into_iter().map(|a| a.item(&[])).collect() },
    ])
}

/// What fits what was typed.
async fn looked_for(
    state: &AppState,
    visitor: &Visitor,
    organisation: &Organisation,
    here: &Here,
    q: &str,
) -> Result<Vec<Group>> {
    let typed = words::asked(q);
    let find = async |q: &str, kinds: (&[Kind], bool)| {
        search::named(state, &visitor.actor, organisation, q, kinds, HITS).await
    };
    let texts = find(q, (&[Kind::Prompt], true)).await?;
    // The text is what most prompts are found by; places go by their names alone.
    let mut others = find(q, (&[Kind::Partial, Kind::Set, Kind::Project], false)).await?;
    let mut of = |kind: Kind| -> Vec<Thing> { others.extract_if(.., |thing| thing.kind == kind).collect() };
    let items = |things: &[Thing]| things.iter().map(|t| Item::of(t, &typed)).collect::<Vec<_>>();
    let mut prompts = items(&texts);
    prompts.extend(items(&of(Kind::Partial)));
    prompts.truncate(HITS);
    let (sets, projects) = (of(Kind::Set), of(Kind::Project));

    // What one may do here, and what one may do with what the rest of the words names.
    let mut actions = here.actions(state, visitor, organisation).await?;
    if let Some((_, rest)) = q.split_once(char::is_whitespace) {
        for thing in find(rest, (&[Kind::Set, Kind::Project], false)).await? {
            actions.extend(match thing.kind {
                Kind::Set => action::of_set(visitor, &thing),
                _ => action::of_project(visitor, &thing),
            });
        }
    }
    let mut done: Vec<Item> = Vec::new();
    for found in actions.iter().filter(|a| fits(&a.text, &typed)) {
        if done.len() < HITS && done.iter().all(|i| i.href != found.href) {
            done.push(found.item(&typed));
        }
    }
    Ok(vec![
        Group { title: "Prompts", items: prompts },
        Group { title: "Prompt sets", items: items(&sets) },
        Group { title: "Projects", items: items(&projects) },
        Group { title: "Do", items: done },
    ])
}

/// Whether every word stands in the text, or begins one that does.
fn fits(text: &str, typed: &[Word]) -> bool {
    let has: Vec<Word> = words::asked(text);
    !typed.is_empty()
        && typed
            .iter()
            .all(|t| has.iter().any(|w| w.text == t.text || (t.prefix && w.text.starts_with(&t.text))))
}

//! Search: what has the words in its name, tags, description or text.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::engine;
use super::fault::PageResult;
use super::form::Form;
use super::frame::Star;
use super::view::{Callout, Choice, Moment, encoded};
use super::visitor::Visitor;
use crate::author::SetAt;
use crate::error::ApiError;
use crate::search::mark::Part;
use crate::search::thing::{Kind, Thing};
use crate::search::{self, Asked, Found, Hit};
use crate::state::AppState;
use crate::visit;

/// Results of one page.
const LIST: usize = 20;

#[derive(Debug, Serialize)]
struct Page {
    action: String,
    q: String,
    project: String,
    set: String,
    tag: String,
    states: Vec<Choice>,
    archived: bool,
    kinds: Vec<Chip>,
    /// Filters that are on beside the kind.
    narrowed: bool,
    /// The same without them.
    cleared: String,
    problem: Option<Callout>,
    rows: Vec<Row>,
    next: Option<String>,
    /// What was perhaps meant, and its address.
    near: Option<Near>,
    /// Nothing was asked for: the list is of what changed last.
    newest: bool,
}

#[derive(Debug, Serialize)]
struct Chip {
    value: &'static str,
    text: &'static str,
    href: String,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct Near {
    text: String,
    href: String,
}

#[derive(Debug, Serialize)]
struct Row {
    icon: &'static str,
    kind: &'static str,
    href: String,
    title: Vec<PartView>,
    name: String,
    place: String,
    state: Option<String>,
    excerpt: Vec<PartView>,
    tags: Vec<Tag>,
    archived: bool,
    at: Moment,
}

#[derive(Debug, Serialize)]
struct Tag {
    text: String,
    href: String,
}

#[derive(Debug, Serialize)]
struct PartView {
    text: String,
    hit: bool,
}

/// What is looked for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    q: String,
    project: String,
    set: String,
    tag: String,
    state: String,
    kind: String,
    /// `only`: what is archived.
    archived: String,
    cursor: String,
}

/// The icon of a kind.
pub(super) fn icon(kind: Kind) -> &'static str {
    match kind {
        Kind::Project => "folder",
        Kind::Set => "set",
        Kind::Prompt => "prompt",
        Kind::Partial => "copy",
    }
}

/// Where something is, for people.
pub(super) fn place(thing: &Thing) -> String {
    match (thing.kind, &thing.set) {
        (Kind::Project, _) | (_, None) => String::new(),
        (Kind::Set, _) => thing.project_name.clone(),
        (_, Some(set)) => format!("{} / {set}", thing.project_name),
    }
}

/// `GET /{organisation}/-/search?q=…`.
pub(super) async fn get_search(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    Query(filters): Query<Filters>,
) -> PageResult {
    let organisation = visitor.visit(&o)?.clone();
    let asked = filters.asked(&o);
    let (status, found, problem) = match search::search(&state, &visitor.actor, &asked).await {
        Ok(found) => (StatusCode::OK, found, None),
        Err(error @ (ApiError::Invalid { .. } | ApiError::NotFound(_) | ApiError::Hidden { .. })) => {
            let problem = Callout::bad("Nothing was searched.", super::editor::sentence(&error.to_string()));
            (StatusCode::UNPROCESSABLE_ENTITY, Found::default(), Some(problem))
        }
        Err(error) => return Err(error.into()),
    };
    let near = match found.hits.is_empty() && problem.is_none() && filters.cursor.is_empty() {
        true => search::nearest(&state, &visitor.actor, &asked).await?,
        false => None,
    };
    let action = format!("/{o}/-/search");
    let page = Page {
        near: near.map(|text| Near { href: filters.with(&action, |f| f.q.clone_from(&text)), text }),
        next: found.next.map(|next| filters.with(&action, |f| f.cursor = next)),
        rows: found.hits.into_iter().map(|hit| Row::of(hit, &action)).collect(),
        newest: filters.q.trim().is_empty(),
        narrowed: [&filters.project, &filters.set, &filters.tag, &filters.state, &filters.archived]
            .iter()
            .any(|f| !f.is_empty()),
        archived: filters.archived == "only",
        cleared: filters.with(&action, |f| {
            *f = Filters { q: f.q.clone(), kind: f.kind.clone(), ..Filters::default() };
        }),
        states: states(&filters.state),
        kinds: filters.kinds(&action),
        q: filters.q,
        project: filters.project,
        set: filters.set,
        tag: filters.tag,
        problem,
        action,
    };
    let frame = visitor.in_organisation(&organisation).titled("Search", "search");
    Ok(engine::page(status, "search.html", &frame, &page))
}

impl Filters {
    fn asked<'a>(&'a self, organisation: &'a str) -> Asked<'a> {
        Asked {
            q: &self.q,
            organisation,
            project: self.project.trim(),
            set: self.set.trim(),
            tag: &self.tag,
            state: &self.state,
            kind: &self.kind,
            archived: self.archived == "only",
            cursor: &self.cursor,
            limit: LIST,
        }
    }

    /// The address of this search with something else in it; it begins at the first result unless that is set.
    fn with(&self, action: &str, change: impl FnOnce(&mut Self)) -> String {
        let mut other = Self { cursor: String::new(), ..self.clone() };
        change(&mut other);
        let fields = [
            ("q", &other.q),
            ("kind", &other.kind),
            ("project", &other.project),
            ("set", &other.set),
            ("tag", &other.tag),
            ("state", &other.state),
            ("archived", &other.archived),
            ("cursor", &other.cursor),
        ];
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("{action}?{}", query.join("&"))
    }

    fn kinds(&self, action: &str) -> Vec<Chip> {
        [
            ("", "All"),
            ("prompt", "Prompts"),
            ("partial", "Partials"),
            ("set", "Prompt sets"),
            ("project", "Projects"),
        ]
        .map(|(kind, text)| Chip {
            value: kind,
            text,
            href: self.with(action, |f| f.kind = kind.into()),
            chosen: self.kind == kind,
        })
        .into()
    }
}

fn states(chosen: &str) -> Vec<Choice> {
    [("", "Any state"), ("editing", "EDITING"), ("review", "REVIEW"), ("locked", "LOCKED")]
        .map(|(value, text)| Choice { value: value.into(), text: text.into(), chosen: value == chosen })
        .into()
}

impl Row {
    fn of(hit: Hit, action: &str) -> Self {
        let thing = hit.thing;
        Self {
            icon: icon(thing.kind),
            kind: match thing.kind {
                Kind::Project => "project",
                Kind::Set => "prompt set",
                Kind::Prompt => "prompt",
                Kind::Partial => "partial",
            },
            href: thing.href(),
            title: views(hit.title),
            place: place(&thing),
            state: thing.state.map(|s| s.to_uppercase()),
            excerpt: views(hit.excerpt),
            tags: thing
                .tags
                .into_iter()
                .map(|text| Tag { href: format!("{action}?tag={}", encoded(&text)), text })
                .collect(),
            archived: thing.archived,
            at: Moment::relative(thing.changed_at),
            name: thing.name,
        }
    }
}

fn views(parts: Vec<Part>) -> Vec<PartView> {
    parts.into_iter().map(|Part { text, hit }| PartView { text, hit }).collect()
}

/// Notes that a prompt or a partial was opened, and gives its star; none while it was never saved.
pub(super) async fn opened(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    kind: Kind,
    name: &str,
) -> Result<Option<Star>, ApiError> {
    match visit::row_in(state, &visitor.actor, kind, set, name).await {
        Ok(row) => Ok(visitor.opened(state, &set.at.organisation, (kind, &row, name))),
        Err(ApiError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `POST /-/favourites`: stars something, or takes the star away; then its page is shown again.
pub(super) async fn post_favourites(
    visitor: Visitor,
    State(state): State<AppState>,
    form: Form,
) -> PageResult {
    use axum::response::{IntoResponse as _, Redirect};
    let kind = Kind::parse(form.get("kind")).ok_or(ApiError::NotFound("thing"))?;
    let starred = form.get("do") == "star";
    let thing = visit::star(&state, &visitor.actor, kind, form.get("row"), starred).await?;
    // Back to the list that it was starred in, where it was one of its organisation.
    let home = format!("/{}", thing.organisation);
    let back = form.get("back");
    let inside = back == home || back.starts_with(&format!("{home}/"));
    let own = thing.href();
    Ok(Redirect::to(if inside { back } else { &own }).into_response())
}

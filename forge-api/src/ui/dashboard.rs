//! The first page: what needs somebody, and what is live where.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Zoned;
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::editor::sentence;
use super::engine;
use super::fault::PageResult;
use super::frame::Shortcut;
use super::start::{self, Start};
use super::view::{Bar, Moment, Tally, count, encoded, initials};
use super::visitor::{Visitor, shortcut};
use crate::auth::Action;
use crate::author::ProjectAt;
use crate::database::publication::PublicationFull;
use crate::overview::{self, Board, Failing, Fault, Live, PAGE, ProjectOverview, SetOverview, Wait, Waiting};
use crate::state::AppState;
use crate::visit;

/// Things that the visitor opened last.
const RECENT: usize = 8;

#[derive(Debug, Serialize)]
struct Page {
    greeting: String,
    summary: String,
    may_create: bool,
    /// The first steps, while they are being taken.
    start: Option<Start>,
    waits: Vec<Line>,
    waits_more: Option<String>,
    attention: Vec<Line>,
    attention_more: Option<String>,
    projects: Vec<Where>,
    pages: Option<Pages>,
    latest: Vec<Latest>,
    /// What the visitor opened last.
    recent: Vec<Shortcut>,
    /// What they starred here.
    favourites: Vec<Shortcut>,
}

/// Something that waits or is wrong, with the way to it.
#[derive(Debug, Serialize)]
struct Line {
    title: String,
    href: String,
    state: &'static str,
    word: &'static str,
    text: String,
    at: Option<Moment>,
    action: String,
}

/// The way to the other projects.
#[derive(Debug, Serialize)]
struct Pages {
    text: String,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct Latest {
    title: String,
    href: String,
    note: String,
    environment: String,
    by: String,
    initials: String,
    at: Moment,
}

/// Which page of the projects.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// Counts from 1.
    #[serde(default)]
    page: String,
}

/// What of one project is live where.
#[derive(Debug, Serialize)]
struct Where {
    slug: String,
    name: String,
    href: String,
    agents: String,
    environments: Vec<String>,
    sets: Vec<Set>,
}

#[derive(Debug, Serialize)]
struct Set {
    name: String,
    slug: String,
    href: String,
    size: String,
    state: String,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    environment: String,
    live: Option<LiveCell>,
}

#[derive(Debug, Serialize)]
struct LiveCell {
    version: String,
    number: i64,
    href: String,
    bar: Option<Bar>,
    line: String,
    at: Moment,
}

/// `GET /`: the first organisation.
pub(super) async fn get_root(visitor: Visitor) -> Response {
    match visitor.places().next() {
        Some(organisation) => Redirect::to(&format!("/{}", organisation.slug)).into_response(),
        None => Redirect::to("/-/account").into_response(),
    }
}

/// `GET /{organisation}`.
pub(super) async fn get_dashboard(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let organisation = visitor.visit(&o)?.clone();
    let nth = asked.page.parse::<usize>().unwrap_or(1).clamp(1, 1_000_000) - 1;
    let (board, recent) = tokio::try_join!(
        overview::board(&state, &visitor.actor, &organisation, nth),
        visit::recent(&state, &visitor.actor, &organisation, RECENT),
    )?;
    let start = start::on_dashboard(&state, &visitor, &organisation, board.needs.projects).await?;
    let page = Page {
        greeting: greeting(&visitor.actor.name),
        summary: summary(&board),
        may_create: visitor.actor.may(&organisation.id, Action::ManageProjects),
        start,
        waits: board.needs.waiting.iter().map(Line::waiting).collect(),
        waits_more: more(board.needs.waiting_count, board.needs.waiting.len()),
        attention: board.needs.failing.iter().map(Line::failing).collect(),
        attention_more: more(board.needs.failing_count, board.needs.failing.len()),
        projects: board.projects.iter().map(Where::of).collect(),
        pages: Pages::of(&o, nth, board.needs.projects),
        recent: recent.into_iter().map(shortcut).collect(),
        favourites: visitor
            .favourites
            .iter()
            .filter(|f| f.organisation == organisation.slug)
            .cloned()
            .collect(),
        latest: board.latest.iter().map(|(at, full)| Latest::of(at, full)).collect(),
    };
    let mut frame = visitor.in_organisation(&organisation).titled("Dashboard", "dashboard");
    if frame.is_member {
        frame = frame.following(encoded(&format!("organisation/{o}")));
    }
    Ok(engine::page(StatusCode::OK, "dashboard.html", &frame, &page))
}

fn more(all: usize, shown: usize) -> Option<String> {
    (all > shown).then(|| format!("and {} more", all - shown))
}

fn summary(board: &Board) -> String {
    let waits = count(board.needs.waiting_count as u64, "thing waits", "things wait");
    let needs = count(board.needs.failing_count as u64, "thing needs", "things need");
    match (board.needs.projects, board.needs.waiting_count, board.needs.failing_count) {
        (0, ..) => "Start with a project.".to_owned(),
        (_, 0, 0) => "Nothing waits for you. Everything is as published.".to_owned(),
        (_, 0, _) => format!("{needs} attention. Everything else is as published."),
        (_, _, 0) => format!("{waits} for you. Everything is as published."),
        _ => format!("{waits} for you, {needs} attention."),
    }
}

impl Pages {
    fn of(organisation: &str, nth: usize, projects: usize) -> Option<Self> {
        let pages = projects.div_ceil(PAGE);
        let at = |nth: usize| format!("/{organisation}?page={}", nth + 1);
        (pages > 1).then(|| Self {
            text: format!("Page {} of {pages} · {}", nth + 1, count(projects as u64, "project", "projects")),
            before: (nth > 0).then(|| at(nth.min(pages) - 1)),
            after: (nth + 1 < pages).then(|| at(nth + 1)),
        })
    }
}

fn base_of(at: &ProjectAt) -> String {
    format!("/{}/{}", at.organisation.slug, at.project.slug)
}

impl Line {
    fn waiting(waiting: &Waiting) -> Self {
        let (base, set) = (base_of(&waiting.at), &waiting.set.slug);
        let place = format!("in {}", waiting.at.project.name);
        let review = |number: i64| format!("{base}/{set}/-/reviews/{number}");
        let (href, state, word, text, action) = match &waiting.wait {
            Wait::Review { number, by, title } => {
                let about = if title.is_empty() { String::new() } else { format!(": {title}") };
                (
                    review(*number),
                    "review",
                    "REVIEW",
                    format!("{by} asks for your approval {place}{about}"),
                    "Review".to_owned(),
                )
            }
            Wait::Approved { .. } => (
                format!("{base}/{set}/-/lock"),
                "approved",
                "approved",
                format!("It was approved, and can be locked {place}"),
                "Lock".to_owned(),
            ),
            Wait::Returned { number } => (
                review(*number),
                "warn",
                "returned",
                format!("Your draft was given back {place}"),
                "Open".to_owned(),
            ),
            Wait::Asked { number } => (
                review(*number),
                "review",
                "REVIEW",
                format!("Your draft waits for a reviewer {place}"),
                "Open".to_owned(),
            ),
            Wait::Publish { version, environment, replaces } => {
                let text = match replaces {
                    Some(old) => format!("{environment} still has {old} {place}"),
                    None => format!("It is live nowhere yet {place}"),
                };
                let href =
                    format!("{base}/{set}/-/publish?version={}&environment={environment}", encoded(version));
                (href, "locked", "LOCKED", text, format!("Publish to {environment}"))
            }
        };
        let title = match &waiting.wait {
            Wait::Publish { version, .. } => format!("{set} {version}"),
            _ => set.clone(),
        };
        Self { title, href, state, word, text, at: Some(Moment::relative(waiting.since)), action }
    }

    fn failing(failing: &Failing) -> Self {
        let base = base_of(&failing.at);
        let (project, environment) = (&failing.at.project.name, &failing.environment);
        let what = failing.place.as_ref().map(|p| format!("{} {}", p.set, p.version)).unwrap_or_default();
        let number = failing.place.as_ref().map_or(0, |p| p.number);
        let publication = || format!("{base}/-/publications/{number}");
        let agents = |word: &str| format!("{base}/-/agents?environment={environment}&state={word}");
        let line = |title: String, href, state, word, text: String, action: &str| Self {
            title,
            href,
            state,
            word,
            text: format!("{text} · {project}"),
            at: None,
            action: action.to_owned(),
        };
        match &failing.fault {
            Fault::NotSent { error } => {
                let why = sentence(error.as_deref().unwrap_or("the broker refused it"));
                line(
                    format!("{what} was not sent to {environment}"),
                    publication(),
                    "bad",
                    "not sent",
                    why,
                    "See why",
                )
            }
            Fault::Refused { agents: n } => line(
                format!("{} refused {what} in {environment}", count(*n as u64, "agent", "agents")),
                publication(),
                "refused",
                "refused",
                "They go on serving what they had".into(),
                "See why",
            ),
            Fault::HeldUp => line(
                format!("{what} to {environment} waits for the broker"),
                publication(),
                "warn",
                "waiting",
                "It goes out by itself when the broker is back".into(),
                "Open",
            ),
            Fault::Stale { agents: n } => line(
                format!("{} stale in {environment}", count(*n as u64, "agent is", "agents are")),
                agents("stale"),
                "stale",
                "stale",
                "They go on serving, and have not heard from FORGE for a while".into(),
                "Open agents",
            ),
            Fault::Unreachable { agents: n } => line(
                format!("{} unreachable in {environment}", count(*n as u64, "agent is", "agents are")),
                agents("unreachable"),
                "unreachable",
                "unreachable",
                "They replay what they missed when they are back".into(),
                "Open agents",
            ),
            Fault::Expiring { credential, at } => line(
                format!("Credential {credential} expires {}", Moment::relative(*at).text),
                format!("{base}/-/credentials"),
                "warn",
                "expires soon",
                format!("Agents of {environment} use it; another one can take its place without a restart"),
                "Rotate",
            ),
        }
    }
}

impl Latest {
    fn of(at: &ProjectAt, full: &PublicationFull) -> Self {
        let publication = &full.publication;
        Self {
            title: format!("{} {}", full.set.slug, full.version.version),
            href: format!("{}/-/publications/{}", base_of(at), publication.number),
            note: match publication.rollback {
                true => format!("#{} · rolled back", publication.number),
                false => format!("#{} · {}", publication.number, at.project.name),
            },
            environment: full.environment.slug.clone(),
            by: publication.published_by.clone(),
            initials: initials(&publication.published_by),
            at: Moment::relative(publication.created_at),
        }
    }
}

fn greeting(name: &str) -> String {
    let hello = match Zoned::now().hour() {
        5..12 => "Good morning",
        12..18 => "Good afternoon",
        _ => "Good evening",
    };
    match name.split_whitespace().next() {
        Some(first) if !first.contains('@') => format!("{hello}, {first}"),
        _ => hello.to_owned(),
    }
}

impl Where {
    fn of(project: &ProjectOverview) -> Self {
        let href = format!("/{}/{}", project.at.organisation.slug, project.at.project.slug);
        Self {
            slug: project.at.project.slug.clone(),
            name: project.at.project.name.clone(),
            agents: count(project.agents as u64, "agent", "agents"),
            environments: project.environments.iter().map(|e| e.slug.clone()).collect(),
            sets: project.sets.iter().map(|s| Set::of(project, s, &href)).collect(),
            href,
        }
    }
}

impl Set {
    fn of(project: &ProjectOverview, set: &SetOverview, base: &str) -> Self {
        Self {
            name: set.set.name.clone(),
            slug: set.set.slug.clone(),
            href: format!("{base}/{}", set.set.slug),
            size: count(set.prompts.unsigned_abs(), "prompt", "prompts"),
            state: set.set.state.to_uppercase(),
            cells: project
                .environments
                .iter()
                .map(|e| Cell {
                    environment: e.slug.clone(),
                    live: set
                        .live
                        .iter()
                        .find(|l| l.full.environment.id == e.id)
                        .map(|l| LiveCell::of(l, base)),
                })
                .collect(),
        }
    }
}

impl LiveCell {
    fn of(live: &Live, base: &str) -> Self {
        let publication = &live.full.publication;
        Self {
            version: live.full.version.version.clone(),
            number: publication.number,
            href: format!("{base}/-/publications/{}", publication.number),
            bar: convergence(live),
            line: if live.agents == 0 {
                "no agents".to_owned()
            } else {
                format!("{} of {} active", live.active, live.agents)
            },
            at: Moment::relative(publication.created_at),
        }
    }
}

/// Active and refused against the rest.
pub(super) fn convergence(live: &Live) -> Option<Bar> {
    let (active, all) = (live.active as u64, live.agents as u64);
    let refused = (live.refused as u64).min(all.saturating_sub(active));
    let rest = all.saturating_sub(active + refused);
    (all > 0).then(|| {
        Bar::of(&[
            Tally { state: "active", word: "active", count: active },
            Tally { state: "refused", word: "refused", count: refused },
            Tally { state: "delivered", word: "not yet", count: rest },
        ])
    })
}

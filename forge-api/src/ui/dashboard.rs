//! The first page: what needs somebody, and what is live where.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Zoned;
use serde::Serialize;

use super::engine;
use super::fault::PageResult;
use super::fleet::Health;
use super::publication::held_up;
use super::view::{Bar, Moment, Tally, count, encoded};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::fleet::{self, AgentView};
use crate::overview::{self, Live, ProjectOverview, SetOverview};
use crate::state::AppState;

/// Most lines of what needs somebody.
const ATTENTION_MAX: usize = 12;

#[derive(Debug, Serialize)]
struct Page {
    greeting: String,
    summary: String,
    may_create: bool,
    attention: Vec<Attention>,
    projects: Vec<Where>,
}

#[derive(Debug, Serialize)]
struct Attention {
    title: String,
    href: String,
    state: &'static str,
    word: &'static str,
    text: String,
    action: &'static str,
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
) -> PageResult {
    let organisation = visitor.visit(&o)?.clone();
    let projects = overview::dashboard(&state, &visitor.actor, &organisation).await?;
    let mut attention = Vec::new();
    for project in &projects {
        let agents = fleet::agents(&state, &visitor.actor, &project.at, None).await?;
        note(project, &agents, &mut attention);
    }
    let summary = match (projects.len(), attention.len()) {
        (0, _) => "Start with a project.".to_owned(),
        (_, 0) => "Everything is as published.".to_owned(),
        (_, n) => format!(
            "{} attention. Everything else is as published.",
            count(n as u64, "thing needs", "things need")
        ),
    };
    attention.truncate(ATTENTION_MAX);
    let page = Page {
        greeting: greeting(&visitor.actor.name),
        summary,
        may_create: visitor.actor.may(&organisation.id, Action::ManageProjects),
        attention,
        projects: projects.iter().map(Where::of).collect(),
    };
    let mut frame = visitor.in_organisation(&organisation).titled("Dashboard", "dashboard");
    if frame.is_member {
        frame = frame.following(encoded(&format!("organisation/{o}")));
    }
    Ok(engine::page(StatusCode::OK, "dashboard.html", &frame, &page))
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

/// Refusals, silence and publications that wait, worst first.
fn note(project: &ProjectOverview, agents: &[AgentView], attention: &mut Vec<Attention>) {
    let base = format!("/{}/{}", project.at.organisation.slug, project.at.project.slug);
    for live in project.sets.iter().flat_map(|s| &s.live) {
        let publication = &live.full.publication;
        let href = format!("{base}/-/publications/{}", publication.number);
        let what =
            format!("{} {} to {}", live.full.set.slug, live.full.version.version, live.full.environment.slug);
        match publication.state.as_str() {
            "failed" => attention.push(Attention {
                title: format!("{what} was not sent"),
                href,
                state: "bad",
                word: "not sent",
                text: publication.error.clone().unwrap_or_else(|| "the broker refused it".into()),
                action: "See why",
            }),
            "waiting" if held_up(publication) => attention.push(Attention {
                title: format!("{what} waits for the broker"),
                href,
                state: "warn",
                word: "waiting",
                text: "It goes out by itself when the broker is back.".into(),
                action: "Open",
            }),
            _ => {}
        }
    }
    for (health, word, action, text) in [
        (Health::Refused, "refused", "See why", "They go on serving what they had."),
        (
            Health::Stale,
            "stale",
            "Open agents",
            "They go on serving, and have not heard from FORGE for a while.",
        ),
        (
            Health::Unreachable,
            "unreachable",
            "Open agents",
            "They replay what they missed when they are back.",
        ),
    ] {
        let n = agents.iter().filter(|a| Health::of(a) == health).count();
        if n > 0 {
            attention.push(Attention {
                title: format!(
                    "{} {word} in {}",
                    count(n as u64, "agent", "agents"),
                    project.at.project.name
                ),
                href: format!("{base}/-/agents?state={word}"),
                state: health.as_str(),
                word,
                text: text.into(),
                action,
            });
        }
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

/// Active against the rest.
pub(super) fn convergence(live: &Live) -> Option<Bar> {
    let (active, all) = (live.active as u64, live.agents as u64);
    let rest = all.saturating_sub(active);
    (all > 0).then(|| {
        Bar::of(&[
            Tally { state: "active", word: "active", count: active },
            Tally { state: "delivered", word: "not yet", count: rest },
        ])
    })
}

//! A project: its sets, its environments, its agents.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::address::{Path, Query};
use super::editor::Copied;
use super::engine;
use super::fault::PageResult;
use super::fleet::Health;
use super::publication::held_up;
use super::view::{Bar, Choice, Moment, Tally, count, encoded};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::example::examples;
use crate::author::settings;
use crate::database::project::Environment;
use crate::fleet::{self, AgentView};
use crate::overview::{self, Live, SetOverview};
use crate::search::thing::Kind;
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    name: String,
    description: String,
    may_create: bool,
    archived: bool,
    environments: Vec<EnvironmentView>,
    sets: Vec<Row>,
    agents: usize,
    /// What an empty project can begin with.
    examples: Vec<Choice>,
}

#[derive(Debug, Serialize)]
struct EnvironmentView {
    slug: String,
    rule: &'static str,
    agents: usize,
    bar: Option<Bar>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    /// Whether the visitor starred it.
    starred: bool,
    name: String,
    slug: String,
    href: String,
    size: String,
    tags: Vec<String>,
    archived: bool,
    state: String,
    latest: Option<String>,
    cells: Vec<Cell>,
    edited: Moment,
}

#[derive(Debug, Serialize)]
struct Cell {
    environment: String,
    live: Option<LiveDot>,
}

#[derive(Debug, Serialize)]
struct LiveDot {
    href: String,
    state: &'static str,
    version: String,
    note: Option<String>,
}

/// `GET /{organisation}/{project}`.
pub(super) async fn get_project(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    Query(copied): Query<Copied>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let overview = overview::project(&state, &visitor.actor, &at).await?;
    let agents = fleet::agents(&state, &visitor.actor, &at, None).await?;
    let base = format!("/{o}/{p}");
    let description = if at.project.description.is_empty() {
        format!(
            "Prompts here reach {} in {}.",
            count(agents.len() as u64, "agent", "agents"),
            count(overview.environments.len() as u64, "environment", "environments")
        )
    } else {
        at.project.description.clone()
    };
    let may_begin = at.lets(&visitor.actor, Action::Edit) && at.lets(&visitor.actor, Action::Lock);
    let examples = if overview.sets.is_empty() && may_begin { examples()? } else { Vec::new() };
    let page = Page {
        examples: examples
            .into_iter()
            .map(|e| Choice { value: e.name, text: e.title, chosen: false })
            .collect(),
        name: at.project.name.clone(),
        description,
        may_create: at.lets(&visitor.actor, Action::Edit) && at.project.archived_at.is_none(),
        archived: at.project.archived_at.is_some(),
        environments: overview.environments.iter().map(|e| EnvironmentView::of(e, &agents)).collect(),
        sets: overview.sets.iter().map(|s| Row::of(s, &overview.environments, &base, &visitor)).collect(),
        agents: agents.len(),
        base,
    };
    let mut frame = visitor.in_project(&at);
    frame.crumbs.pop();
    let this = (Kind::Project, at.project.id.as_str(), at.project.name.as_str());
    frame.star = visitor.opened(&state, &at.organisation, this);
    frame.flash = copied.callout();
    let frame = frame.titled(&at.project.name, "sets").following(encoded(&format!("project/{o}/{p}")));
    Ok(engine::page(StatusCode::OK, "project.html", &frame, &page))
}

impl EnvironmentView {
    fn of(environment: &Environment, agents: &[AgentView]) -> Self {
        let here: Vec<&AgentView> = agents.iter().filter(|a| a.environment.id == environment.id).collect();
        let tally = |health: Health| Tally {
            state: health.as_str(),
            word: health.as_str(),
            count: here.iter().filter(|a| Health::of(a) == health).count() as u64,
        };
        let tallies =
            [Health::Active, Health::Frozen, Health::Stale, Health::Refused, Health::Unreachable].map(tally);
        Self {
            slug: environment.slug.clone(),
            rule: if environment.takes_drafts {
                "Drafts and LOCKED versions"
            } else {
                "LOCKED versions only"
            },
            agents: here.len(),
            bar: (!here.is_empty()).then(|| Bar::of(&tallies)),
        }
    }
}

impl Row {
    fn of(set: &SetOverview, environments: &[Environment], base: &str, visitor: &Visitor) -> Self {
        Self {
            id: set.set.id.clone(),
            starred: visitor.favourites.iter().any(|f| f.row == set.set.id),
            name: set.set.name.clone(),
            slug: set.set.slug.clone(),
            href: format!("{base}/{}", set.set.slug),
            size: count(set.prompts.unsigned_abs(), "prompt", "prompts"),
            tags: settings::tags(&set.set),
            archived: set.set.archived_at.is_some(),
            state: set.set.state.to_uppercase(),
            latest: set.latest.as_ref().map(|v| v.version.clone()),
            cells: environments
                .iter()
                .map(|e| Cell {
                    environment: e.slug.clone(),
                    live: set
                        .live
                        .iter()
                        .find(|l| l.full.environment.id == e.id)
                        .map(|l| LiveDot::of(l, base)),
                })
                .collect(),
            edited: Moment::relative(set.set.updated_at),
        }
    }
}

impl LiveDot {
    fn of(live: &Live, base: &str) -> Self {
        let publication = &live.full.publication;
        let (state, note) = match publication.state.as_str() {
            "failed" => ("bad", Some("not sent".to_owned())),
            "waiting" if held_up(publication) => ("waiting", Some("waits for the broker".to_owned())),
            _ if live.agents == 0 => ("delivered", Some("no agents".to_owned())),
            _ if live.active == live.agents => ("active", None),
            _ => ("info", Some(format!("{} of {}", live.active, live.agents))),
        };
        Self {
            href: format!("{base}/-/publications/{}", publication.number),
            state,
            version: live.full.version.version.clone(),
            note,
        }
    }
}

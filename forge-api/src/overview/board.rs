//! A whole organisation: what waits for whoever looks, what needs somebody, and its projects, the worst first.

use std::collections::{HashMap, HashSet};

use schemas::Micros;

use super::{ProjectOverview, glance, since};
use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::author::organisation::visit;
use crate::clock;
use crate::credential::SOON;
use crate::database::organisation::Organisation;
use crate::database::overview::{self as rows, AgentTally, HeadAt, Newest};
use crate::database::project;
use crate::database::prompt_set::{self, PromptSet};
use crate::database::publication::{self, PublicationFull};
use crate::database::review::{self, Review};
use crate::database::{Conn, agent};
use crate::error::Result;
use crate::fleet;
use crate::state::AppState;

/// Projects of one page.
pub const PAGE: usize = 10;
/// Lines of what waits and of what needs somebody.
pub const LINES: usize = 12;
/// The rank of what could be published, among what waits.
const PUBLISH: u8 = 3;
/// Publications that are told as the latest.
const LATEST: i64 = 6;
/// Longer than this, in microseconds, a publication is only sent when the broker is away.
const SENDING: Micros = 3_000_000;

/// Why something waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Somebody else asks for a review.
    Review { number: i64, by: String, title: String },
    /// It was approved: it can be locked.
    Approved { number: i64 },
    /// One's own draft was given back.
    Returned { number: i64 },
    /// One asked for a review, and nobody answered yet.
    Asked { number: i64 },
    /// It is locked, and an environment has none of it, or an older version.
    Publish { version: String, environment: String, replaces: Option<String> },
}

impl Wait {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Review { .. } => "review",
            Self::Approved { .. } => "approved",
            Self::Returned { .. } => "returned",
            Self::Asked { .. } => "asked",
            Self::Publish { .. } => "publish",
        }
    }

    /// What others wait for comes first.
    fn rank(&self) -> u8 {
        match self {
            Self::Review { .. } => 0,
            Self::Returned { .. } => 1,
            Self::Approved { .. } => 2,
            Self::Publish { .. } => PUBLISH,
            Self::Asked { .. } => 4,
        }
    }
}

/// A set that waits for whoever looks.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub at: ProjectAt,
    pub set: PromptSet,
    pub wait: Wait,
    pub since: Micros,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The broker refused it.
    NotSent { error: Option<String> },
    /// Agents of the environment that were heard lately refused it.
    Refused { agents: usize },
    /// It waits for the broker.
    HeldUp,
    /// Agents have not heard from FORGE for long.
    Stale { agents: usize },
    /// Agents were heard within a day, and are not now.
    Unreachable { agents: usize },
    /// A credential that is used ends soon.
    Expiring { credential: String, at: Micros },
}

impl Fault {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Refused { .. } => "refused",
            Self::HeldUp => "waits_for_broker",
            Self::Stale { .. } => "stale",
            Self::Unreachable { .. } => "unreachable",
            Self::Expiring { .. } => "expires_soon",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::NotSent { .. } => 0,
            Self::Refused { .. } => 1,
            Self::HeldUp => 2,
            Self::Stale { .. } => 3,
            Self::Unreachable { .. } => 4,
            Self::Expiring { .. } => 5,
        }
    }
}

/// Which publication something is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub set: String,
    pub version: String,
    pub number: i64,
}

/// Something that needs somebody.
#[derive(Debug, Clone)]
pub struct Failing {
    pub at: ProjectAt,
    pub environment: String,
    /// None where it is about agents or a credential.
    pub place: Option<Place>,
    pub fault: Fault,
}

/// An organisation at a glance.
#[derive(Debug, Clone)]
pub struct Board {
    /// One page of them, those first that need somebody.
    pub projects: Vec<ProjectOverview>,
    pub needs: Needs,
    pub latest: Vec<(ProjectAt, PublicationFull)>,
}

/// What waits for whoever looks, and what needs somebody, without the projects.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Projects in all.
    pub projects: usize,
    /// At most [`LINES`], what others wait for first.
    pub waiting: Vec<Waiting>,
    pub waiting_count: usize,
    /// At most [`LINES`], the worst first.
    pub failing: Vec<Failing>,
    pub failing_count: usize,
}

/// What all lines are made of: the projects that the actor may see, by their ids, and what is live in them.
struct Ground<'a> {
    actor: &'a Actor,
    organisation: &'a Organisation,
    projects: &'a [(String, String)],
    seen: HashSet<&'a str>,
    heads: Vec<HeadAt>,
}

/// A set that waits, before its project is read.
struct Open {
    set: PromptSet,
    wait: Wait,
    since: Micros,
}

/// Something that needs somebody, before its project is read. A version stands by its id.
struct Broken {
    project_id: String,
    environment: String,
    place: Option<Place>,
    fault: Fault,
}

/// A locked version that is not everywhere yet, by ids: most of them are counted only.
struct Unpublished<'a> {
    newest: Newest,
    /// None where it is live nowhere: it goes to the first environment.
    behind: Option<&'a HeadAt>,
}

/// The lines of an organisation before their projects are read: most projects are counted only.
struct Lines {
    waiting: Vec<Open>,
    waiting_count: usize,
    failing: Vec<Broken>,
    failing_count: usize,
    /// Ids of all projects that need somebody.
    troubled: HashSet<String>,
}

/// An organisation as `actor` has to see it; `page` counts from 0.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn board(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    page: usize,
) -> Result<Board> {
    let mut conn = state.database.read().await?;
    let projects = visible(&mut conn, actor, organisation).await?;
    let lines = lines(state, &mut conn, actor, organisation, &projects).await?;
    let latest = latest(&mut conn, actor, organisation, &projects).await?;
    let mut order: Vec<&str> = projects.iter().map(|(id, _)| id.as_str()).collect();
    // They come by their slugs, and stay so among equals.
    order.sort_by_key(|id| !lines.troubled.contains(*id));
    let here: Vec<&str> = order.into_iter().skip(page.saturating_mul(PAGE)).take(PAGE).collect();
    let mut others = here.clone();
    others.extend(latest.iter().map(|full| full.publication.project_id.as_str()));
    let places = places(&mut conn, &lines, &others).await?;
    let shown = here.iter().filter_map(|id| places.get(*id).cloned()).collect();
    let mut shown = glance(state, &mut conn, shown).await?;
    for project in &mut shown {
        project.sets.sort_by_key(|set| !set.is_troubled());
    }
    let at = |full: &PublicationFull| places.get(&full.publication.project_id).cloned();
    let latest = latest.into_iter().filter_map(|full| Some((at(&full)?, full))).collect();
    Ok(Board { projects: shown, needs: lines.placed(projects.len(), &places), latest })
}

/// What waits for `actor` in an organisation, and what needs somebody.
///
/// # Errors
/// As [`board`].
pub async fn needs(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<Needs> {
    let mut conn = state.database.read().await?;
    let projects = visible(&mut conn, actor, organisation).await?;
    let lines = lines(state, &mut conn, actor, organisation, &projects).await?;
    let places = places(&mut conn, &lines, &[]).await?;
    Ok(lines.placed(projects.len(), &places))
}

/// The projects in use that the actor may see: id and slug, by slug.
async fn visible(
    conn: &mut Conn,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<Vec<(String, String)>> {
    visit(actor, &organisation.id)?;
    let mut found = rows::projects_in(conn, &organisation.id).await?;
    found.retain(|(id, _)| actor.may_at(&organisation.id, id, Action::View));
    Ok(found)
}

async fn lines(
    state: &AppState,
    conn: &mut Conn,
    actor: &Actor,
    organisation: &Organisation,
    projects: &[(String, String)],
) -> Result<Lines> {
    let heads = rows::heads_in(conn, &organisation.id).await?;
    let seen = projects.iter().map(|(id, _)| id.as_str()).collect();
    let ground = Ground { actor, organisation, projects, seen, heads };
    let (waiting, waiting_count) = waiting(conn, &ground).await?;
    let mut failing = failing(state, conn, &ground).await?;
    let troubled = failing.iter().map(|one| one.project_id.clone()).collect();
    let failing_count = failing.len();
    failing.truncate(LINES);
    let mut lines = Lines { waiting, waiting_count, failing, failing_count, troubled };
    name(conn, &mut lines).await?;
    Ok(lines)
}

/// The projects of what is shown, by their ids.
async fn places(conn: &mut Conn, lines: &Lines, others: &[&str]) -> Result<HashMap<String, ProjectAt>> {
    let mut ids: Vec<&str> = (lines.waiting.iter().map(|one| one.set.project_id.as_str()))
        .chain(lines.failing.iter().map(|one| one.project_id.as_str()))
        .chain(others.iter().copied())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let found = project::by_ids(conn, &ids).await?;
    let placed = found
        .into_iter()
        .map(|(organisation, project)| (project.id.clone(), ProjectAt { organisation, project }));
    Ok(placed.collect())
}

impl Lines {
    fn placed(self, projects: usize, places: &HashMap<String, ProjectAt>) -> Needs {
        let at = |id: &str| places.get(id).cloned();
        let waiting = self.waiting.into_iter().filter_map(|Open { set, wait, since }| {
            Some(Waiting { at: at(&set.project_id)?, set, wait, since })
        });
        let failing =
            self.failing.into_iter().filter_map(|Broken { project_id, environment, place, fault }| {
                Some(Failing { at: at(&project_id)?, environment, place, fault })
            });
        Needs {
            projects,
            waiting: waiting.collect(),
            waiting_count: self.waiting_count,
            failing: failing.collect(),
            failing_count: self.failing_count,
        }
    }
}

impl Ground<'_> {
    fn sees(&self, project_id: &str) -> bool {
        self.seen.contains(project_id)
    }

    /// Whether the actor may do this in a project that they see.
    fn lets(&self, project_id: &str, action: Action) -> bool {
        self.sees(project_id) && self.actor.may_at(&self.organisation.id, project_id, action)
    }

    /// What is live in the projects that are seen.
    fn heads(&self) -> impl Iterator<Item = &HeadAt> {
        self.heads.iter().filter(|one| self.sees(&one.head.project_id))
    }
}

/// Puts names in the place of ids of versions: those of the few lines that are shown.
async fn name(conn: &mut Conn, lines: &mut Lines) -> Result<()> {
    let mut places: Vec<&mut String> =
        lines.failing.iter_mut().filter_map(|line| line.place.as_mut()).map(|p| &mut p.version).collect();
    for line in &mut lines.waiting {
        if let Wait::Publish { version, replaces, .. } = &mut line.wait {
            places.push(version);
            places.extend(replaces.as_mut());
        }
    }
    let ids: Vec<&str> = places.iter().map(|id| id.as_str()).collect();
    let names = rows::version_names(conn, &ids).await?;
    for place in places {
        if let Some(name) = names.get(place.as_str()) {
            place.clone_from(name);
        }
    }
    Ok(())
}

/// The first lines, and how many there are; versions stand by their ids.
async fn waiting(conn: &mut Conn, ground: &Ground<'_>) -> Result<(Vec<Open>, usize)> {
    let mut reviewed = in_review(conn, ground).await?;
    reviewed.sort_by_key(|w| (w.wait.rank(), w.since));
    let mut locked = to_publish(conn, ground).await?;
    locked.sort_by_key(|one| one.newest.created_at);
    let count = reviewed.len() + locked.len();
    let later = reviewed.split_off(reviewed.partition_point(|w| w.wait.rank() < PUBLISH));
    reviewed.truncate(LINES);
    locked.truncate(LINES - reviewed.len());
    reviewed.extend(publish_lines(conn, locked).await?);
    reviewed.extend(later);
    reviewed.truncate(LINES);
    Ok((reviewed, count))
}

/// What is under review, and what was given back to whom it belongs.
async fn in_review(conn: &mut Conn, ground: &Ground<'_>) -> Result<Vec<Open>> {
    let states = ["open", "approved", "returned"];
    let found = rows::reviews_in(conn, &ground.organisation.id, &states).await?;
    let actor = ground.actor;
    let others = asked_of_others(conn, actor, &found).await?;
    let mut out = Vec::new();
    for (review, set) in found.into_iter().filter(|(_, set)| ground.sees(&set.project_id)) {
        let (number, mine) = (review.number, review.requested_by_id == actor.user_id);
        let may = |action| ground.lets(&set.project_id, action);
        let wait = match (set.state.as_str(), review.state.as_str()) {
            // A version that is locked may be reviewed too.
            ("review" | "locked", "open") if mine => Wait::Asked { number },
            ("review" | "locked", "open") if may(Action::Review) => {
                if others.contains(&review.id) {
                    continue;
                }
                Wait::Review { number, by: review.requested_by, title: review.title }
            }
            ("review", "approved") if may(Action::Lock) => Wait::Approved { number },
            ("editing", "returned") if mine => Wait::Returned { number },
            _ => continue,
        };
        out.push(Open { set, wait, since: review.closed_at.unwrap_or(review.requested_at) });
    }
    Ok(out)
}

/// The open reviews of which others are asked by name, and the actor is not.
async fn asked_of_others(
    conn: &mut Conn,
    actor: &Actor,
    found: &[(Review, PromptSet)],
) -> Result<HashSet<String>> {
    let open: Vec<&str> =
        found.iter().filter(|(r, _)| r.state == "open").map(|(r, _)| r.id.as_str()).collect();
    let asked = review::reviewers(conn, &open).await?;
    let mine: HashSet<&str> =
        asked.iter().filter(|r| r.user_id == actor.user_id).map(|r| r.review_id.as_str()).collect();
    let others = asked.iter().map(|r| r.review_id.as_str()).filter(|id| !mine.contains(id));
    Ok(others.map(str::to_owned).collect())
}

/// What was locked and is live nowhere, or is older in an environment where nobody rolled it back.
async fn to_publish<'a>(conn: &mut Conn, ground: &'a Ground<'_>) -> Result<Vec<Unpublished<'a>>> {
    let mut live: HashMap<&str, Vec<&HeadAt>> = HashMap::new();
    for one in ground.heads() {
        live.entry(&one.head.set_id).or_default().push(one);
    }
    let mut out = Vec::new();
    for newest in rows::newest_locked_in(conn, &ground.organisation.id).await? {
        if !ground.lets(&newest.project_id, Action::Publish) {
            continue;
        }
        let Some(heads) = live.get(newest.set_id.as_str()) else {
            out.push(Unpublished { newest, behind: None });
            continue;
        };
        let behind = heads.iter().find(|h| h.head.version_id < newest.version_id && !h.head.rollback);
        if let Some(behind) = behind {
            out.push(Unpublished { newest, behind: Some(*behind) });
        }
    }
    Ok(out)
}

/// The lines of what could be published: with the set, and the environment that it would go to.
async fn publish_lines(conn: &mut Conn, locked: Vec<Unpublished<'_>>) -> Result<Vec<Open>> {
    if locked.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = locked.iter().map(|one| one.newest.set_id.as_str()).collect();
    let sets = prompt_set::by_ids(conn, &ids).await?;
    let nowhere = locked.iter().filter(|one| one.behind.is_none());
    let projects: Vec<&str> = nowhere.map(|one| one.newest.project_id.as_str()).collect();
    let environments = rows::environments_of(conn, &projects).await?;
    let told = locked.into_iter().filter_map(|Unpublished { newest, behind }| {
        let first = || environments.iter().find(|e| e.project_id == newest.project_id).map(|e| &e.slug);
        let environment = behind.map(|one| &one.environment).or_else(first)?.clone();
        Some(Open {
            set: sets.iter().find(|set| set.id == newest.set_id)?.clone(),
            since: newest.created_at,
            wait: Wait::Publish {
                version: newest.version_id,
                environment,
                replaces: behind.map(|one| one.head.version_id.clone()),
            },
        })
    });
    Ok(told.collect())
}

/// What needs somebody, the worst first.
async fn failing(state: &AppState, conn: &mut Conn, ground: &Ground<'_>) -> Result<Vec<Broken>> {
    let mut out = unsent(ground);
    out.extend(refused(state, conn, ground).await?);
    for one in rows::agents_in(conn, &ground.organisation.id, since(state)).await? {
        if ground.sees(&one.project_id) {
            out.extend(silent(&one.tally).map(|fault| Broken {
                project_id: one.project_id.clone(),
                environment: one.environment.clone(),
                place: None,
                fault,
            }));
        }
    }
    out.extend(expiring(conn, ground).await?);
    // Among equals by the names of projects.
    let nth: HashMap<&str, usize> =
        ground.projects.iter().enumerate().map(|(nth, (id, _))| (id.as_str(), nth)).collect();
    out.sort_by_key(|f| (f.fault.rank(), nth.get(f.project_id.as_str()).copied()));
    Ok(out)
}

fn silent(tally: &AgentTally) -> impl Iterator<Item = Fault> {
    let n = |n: i64| usize::try_from(n).ok().filter(|n| *n > 0);
    let stale = n(tally.stale).map(|agents| Fault::Stale { agents });
    stale.into_iter().chain(n(tally.lost).map(|agents| Fault::Unreachable { agents }))
}

fn of_head(one: &HeadAt, fault: Fault) -> Broken {
    Broken {
        project_id: one.head.project_id.clone(),
        environment: one.environment.clone(),
        place: Some(Place {
            set: one.set.clone(),
            version: one.head.version_id.clone(),
            number: one.head.number,
        }),
        fault,
    }
}

/// Publications that did not go out.
fn unsent(ground: &Ground<'_>) -> Vec<Broken> {
    let late = clock::now() - SENDING;
    let told = ground.heads().filter_map(|one| match one.head.state.as_str() {
        "failed" => Some(of_head(one, Fault::NotSent { error: one.head.error.clone() })),
        "waiting" if one.head.created_at < late => Some(of_head(one, Fault::HeldUp)),
        _ => None,
    });
    told.collect()
}

/// Publications that agents refused which were heard lately.
async fn refused(state: &AppState, conn: &mut Conn, ground: &Ground<'_>) -> Result<Vec<Broken>> {
    let ids: Vec<&str> = ground.heads().filter(|one| one.refused).map(|one| one.head.id.as_str()).collect();
    let mut by_publication: HashMap<String, Vec<String>> = HashMap::new();
    for (publication, agent) in rows::refusals_of(conn, &ids).await? {
        by_publication.entry(publication).or_default().push(agent);
    }
    let since = clock::now() - fleet::silence(&state.config);
    let mut out = Vec::new();
    for one in ground.heads() {
        let Some(names) = by_publication.get(&one.head.id) else { continue };
        let agents = agent::heard_of(conn, &one.head.environment_id, since, names).await?.len();
        if agents > 0 {
            out.push(of_head(one, Fault::Refused { agents }));
        }
    }
    Ok(out)
}

/// Credentials in use that end soon, for who can make others.
async fn expiring(conn: &mut Conn, ground: &Ground<'_>) -> Result<Vec<Broken>> {
    let now = clock::now();
    let found = rows::ending_in(conn, &ground.organisation.id, now, now + SOON).await?;
    let mine = found.into_iter().filter(|row| ground.lets(&row.project_id, Action::ManageCredentials));
    let told = mine.filter_map(|row| {
        let fault = Fault::Expiring { credential: row.name, at: row.expires_at? };
        Some(Broken { project_id: row.project_id, environment: row.environment, place: None, fault })
    });
    Ok(told.collect())
}

async fn latest(
    conn: &mut Conn,
    actor: &Actor,
    organisation: &Organisation,
    projects: &[(String, String)],
) -> Result<Vec<PublicationFull>> {
    if actor.may(&organisation.id, Action::View) {
        return Ok(publication::newest_in(conn, &organisation.id, LATEST).await?);
    }
    // A guest sees a few projects.
    let ids: Vec<&str> = projects.iter().map(|(id, _)| id.as_str()).collect();
    Ok(publication::newest(conn, &ids, LATEST).await?)
}

//! A whole organisation: what waits for whoever looks, what needs somebody, and its projects, the worst first.

use std::collections::{HashMap, HashSet};

use schemas::Micros;

use super::{ProjectOverview, glance, since};
use crate::auth::{Action, Actor};
use crate::author::{self, ProjectAt};
use crate::clock;
use crate::credential::SOON;
use crate::database::organisation::Organisation;
use crate::database::overview::{self as rows, AgentTally, Head};
use crate::database::project::Environment;
use crate::database::prompt_set::PromptSet;
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
            Self::Publish { .. } => 3,
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
    /// Projects in all.
    pub count: usize,
    /// At most [`LINES`].
    pub waiting: Vec<Waiting>,
    pub waiting_count: usize,
    /// At most [`LINES`], the worst first.
    pub failing: Vec<Failing>,
    pub failing_count: usize,
    pub latest: Vec<(ProjectAt, PublicationFull)>,
}

/// Everything light of an organisation that the lines are made of.
struct Ground {
    projects: Vec<ProjectAt>,
    environments: Vec<Environment>,
    sets: HashMap<String, PromptSet>,
    heads: Vec<Head>,
    /// Where a project stands, by its id, and where an environment.
    nth_project: HashMap<String, usize>,
    nth_environment: HashMap<String, usize>,
    /// Which of the environments a project has.
    of_project: HashMap<String, Vec<usize>>,
    /// Which of the heads is that of a set in an environment.
    of_set: HashMap<(String, String), usize>,
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
    let projects = visible(state, actor, organisation).await?;
    let mut conn = state.database.read().await?;
    let ground = Ground::read(&mut conn, projects).await?;
    let mut waiting = waiting(&mut conn, actor, &ground).await?;
    let mut failing = failing(state, &mut conn, actor, &ground).await?;
    let troubled: HashSet<&str> = failing.iter().map(|f| f.at.project.id.as_str()).collect();
    let mut order: Vec<&ProjectAt> = ground.projects.iter().collect();
    let place = |at: &ProjectAt| !troubled.contains(at.project.id.as_str());
    order.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.project.slug.cmp(&b.project.slug)));
    let here = order.into_iter().skip(page.saturating_mul(PAGE)).take(PAGE).cloned().collect();
    let mut projects = glance(state, &mut conn, here).await?;
    for project in &mut projects {
        project.sets.sort_by_key(|set| !set.is_troubled());
    }
    let latest = latest(&mut conn, &ground.projects).await?;
    let (waiting_count, failing_count) = (waiting.len(), failing.len());
    waiting.truncate(LINES);
    failing.truncate(LINES);
    name(&mut conn, &mut waiting, &mut failing).await?;
    let count = ground.projects.len();
    Ok(Board { projects, count, waiting, waiting_count, failing, failing_count, latest })
}

/// How many sets of an organisation wait for `actor`.
///
/// # Errors
/// As [`board`].
pub async fn count_waiting(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<usize> {
    let projects = visible(state, actor, organisation).await?;
    let mut conn = state.database.read().await?;
    let ground = Ground::read(&mut conn, projects).await?;
    Ok(waiting(&mut conn, actor, &ground).await?.len())
}

async fn visible(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<Vec<ProjectAt>> {
    let found = author::projects(state, actor, organisation).await?;
    let placed = found.into_iter().map(|project| ProjectAt { organisation: organisation.clone(), project });
    Ok(placed.filter(|at| at.lets(actor, Action::View)).collect())
}

impl Ground {
    async fn read(conn: &mut Conn, projects: Vec<ProjectAt>) -> Result<Self> {
        let ids: Vec<&str> = projects.iter().map(|at| at.project.id.as_str()).collect();
        let environments = rows::environments_of(conn, &ids).await?;
        let sets = rows::sets_of(conn, &ids).await?;
        let heads = rows::heads_of(conn, &ids).await?;
        let mut of_project: HashMap<String, Vec<usize>> = HashMap::new();
        for (nth, environment) in environments.iter().enumerate() {
            of_project.entry(environment.project_id.clone()).or_default().push(nth);
        }
        let key = |(nth, head): (usize, &Head)| ((head.set_id.clone(), head.environment_id.clone()), nth);
        let of_set = heads.iter().enumerate().map(key).collect();
        let sets = sets.into_iter().map(|set| (set.id.clone(), set)).collect();
        let nth_project = projects.iter().enumerate().map(|(nth, at)| (at.project.id.clone(), nth)).collect();
        let nth_environment = environments.iter().enumerate().map(|(nth, e)| (e.id.clone(), nth)).collect();
        Ok(Self { projects, environments, sets, heads, nth_project, nth_environment, of_project, of_set })
    }

    /// The sets that are not archived: what is archived waits for nobody.
    fn in_use(&self) -> impl Iterator<Item = &PromptSet> {
        self.sets.values().filter(|set| set.archived_at.is_none())
    }

    fn project(&self, id: &str) -> Option<&ProjectAt> {
        self.projects.get(*self.nth_project.get(id)?)
    }

    fn environment(&self, id: &str) -> Option<&Environment> {
        self.environments.get(*self.nth_environment.get(id)?)
    }

    /// The environments of a project, each with what is live there of a set.
    fn places<'a>(&'a self, set: &'a PromptSet) -> impl Iterator<Item = (&'a Environment, Option<&'a Head>)> {
        let here = self.of_project.get(&set.project_id).into_iter().flatten();
        here.filter_map(|nth| self.environments.get(*nth)).map(|environment| {
            let nth = self.of_set.get(&(set.id.clone(), environment.id.clone()));
            (environment, nth.and_then(|nth| self.heads.get(*nth)))
        })
    }
}

/// Puts names in the place of ids of versions: those of the few lines that are shown.
async fn name(conn: &mut Conn, waiting: &mut [Waiting], failing: &mut [Failing]) -> Result<()> {
    let mut places: Vec<&mut String> =
        failing.iter_mut().filter_map(|line| line.place.as_mut()).map(|place| &mut place.version).collect();
    for line in waiting {
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

/// Versions stand by their ids.
async fn waiting(conn: &mut Conn, actor: &Actor, ground: &Ground) -> Result<Vec<Waiting>> {
    let mut out = in_review(conn, actor, ground).await?;
    out.extend(to_publish(conn, actor, ground).await?);
    out.sort_by_key(|w| (w.wait.rank(), w.since));
    Ok(out)
}

/// What is under review, and what was given back to whom it belongs.
async fn in_review(conn: &mut Conn, actor: &Actor, ground: &Ground) -> Result<Vec<Waiting>> {
    let reviewed: Vec<&str> = ground.in_use().filter(|s| s.reviews > 0).map(|s| s.id.as_str()).collect();
    let found = rows::reviews_of(conn, &reviewed, &["open", "approved", "returned"]).await?;
    let others = asked_of_others(conn, actor, &found).await?;
    let mut out = Vec::new();
    for review in found {
        let Some(set) = ground.sets.get(&review.set_id) else { continue };
        let Some(at) = ground.project(&set.project_id) else { continue };
        let (number, mine) = (review.number, review.requested_by_id == actor.user_id);
        let last = set.reviews == number;
        let wait = match (set.state.as_str(), review.state.as_str()) {
            _ if !last => continue,
            // A version that is locked may be reviewed too.
            ("review" | "locked", "open") if mine => Wait::Asked { number },
            ("review" | "locked", "open") if at.lets(actor, Action::Review) => {
                if others.contains(&review.id) {
                    continue;
                }
                Wait::Review { number, by: review.requested_by, title: review.title }
            }
            ("review", "approved") if at.lets(actor, Action::Lock) => Wait::Approved { number },
            ("editing", "returned") if mine => Wait::Returned { number },
            _ => continue,
        };
        let since = review.closed_at.unwrap_or(review.requested_at);
        out.push(Waiting { at: at.clone(), set: set.clone(), wait, since });
    }
    Ok(out)
}

/// The open reviews of which others are asked by name, and the actor is not.
async fn asked_of_others(conn: &mut Conn, actor: &Actor, found: &[Review]) -> Result<HashSet<String>> {
    let open: Vec<&str> = found.iter().filter(|r| r.state == "open").map(|r| r.id.as_str()).collect();
    let asked = review::reviewers(conn, &open).await?;
    let mine: HashSet<&str> =
        asked.iter().filter(|r| r.user_id == actor.user_id).map(|r| r.review_id.as_str()).collect();
    let others = asked.iter().map(|r| r.review_id.as_str()).filter(|id| !mine.contains(id));
    Ok(others.map(str::to_owned).collect())
}

/// What was locked and is live nowhere, or is older in an environment where nobody rolled it back.
async fn to_publish(conn: &mut Conn, actor: &Actor, ground: &Ground) -> Result<Vec<Waiting>> {
    let may =
        |set: &&PromptSet| ground.project(&set.project_id).is_some_and(|at| at.lets(actor, Action::Publish));
    let ids: Vec<&str> = ground.in_use().filter(may).map(|s| s.id.as_str()).collect();
    let newest = rows::newest_locked(conn, &ids).await?;
    let mut out = Vec::new();
    for (set, (newest, since)) in newest.iter().filter_map(|(id, v)| Some((ground.sets.get(id)?, v))) {
        let Some(at) = ground.project(&set.project_id) else { continue };
        let first = ground.places(set).next().map(|(e, _)| (e, None));
        let is_live = ground.places(set).any(|(_, head)| head.is_some());
        let behind = ground.places(set).find_map(|(environment, head)| {
            let head = head.filter(|h| h.version_id.as_str() < newest.as_str() && !h.rollback)?;
            Some((environment, Some(head)))
        });
        if let Some((environment, head)) = if is_live { behind } else { first } {
            out.push(Waiting {
                at: at.clone(),
                set: set.clone(),
                wait: Wait::Publish {
                    version: newest.clone(),
                    environment: environment.slug.clone(),
                    replaces: head.map(|h| h.version_id.clone()),
                },
                since: *since,
            });
        }
    }
    Ok(out)
}

async fn failing(state: &AppState, conn: &mut Conn, actor: &Actor, ground: &Ground) -> Result<Vec<Failing>> {
    let mut out = unsent(ground);
    out.extend(refused(state, conn, ground).await?);
    let ids: Vec<&str> = ground.environments.iter().map(|e| e.id.as_str()).collect();
    let tallies = rows::agents_of(conn, &ids, since(state)).await?;
    for environment in &ground.environments {
        let (Some(tally), Some(at)) = (tallies.get(&environment.id), ground.project(&environment.project_id))
        else {
            continue;
        };
        out.extend(silent(tally).map(|fault| Failing {
            at: at.clone(),
            environment: environment.slug.clone(),
            place: None,
            fault,
        }));
    }
    out.extend(expiring(conn, actor, ground).await?);
    out.sort_by_key(|f| f.fault.rank());
    Ok(out)
}

fn silent(tally: &AgentTally) -> impl Iterator<Item = Fault> {
    let n = |n: i64| usize::try_from(n).ok().filter(|n| *n > 0);
    let stale = n(tally.stale).map(|agents| Fault::Stale { agents });
    stale.into_iter().chain(n(tally.lost).map(|agents| Fault::Unreachable { agents }))
}

/// Publications that did not go out.
fn unsent(ground: &Ground) -> Vec<Failing> {
    let late = clock::now() - SENDING;
    let found: Vec<(&Head, Fault)> = ground
        .heads
        .iter()
        .filter_map(|head| match head.state.as_str() {
            "failed" => Some((head, Fault::NotSent { error: head.error.clone() })),
            "waiting" if head.created_at < late => Some((head, Fault::HeldUp)),
            _ => None,
        })
        .collect();
    placed(ground, found)
}

/// Publications that agents refused which were heard lately.
async fn refused(state: &AppState, conn: &mut Conn, ground: &Ground) -> Result<Vec<Failing>> {
    let ids: Vec<&str> = ground.heads.iter().map(|h| h.id.as_str()).collect();
    let mut by_publication: HashMap<String, Vec<String>> = HashMap::new();
    for (publication, agent) in rows::refusals_of(conn, &ids).await? {
        by_publication.entry(publication).or_default().push(agent);
    }
    let since = clock::now() - fleet::silence(&state.config);
    let mut found = Vec::new();
    for head in &ground.heads {
        let Some(names) = by_publication.get(&head.id) else { continue };
        let agents = agent::heard_of(conn, &head.environment_id, since, names).await?.len();
        if agents > 0 {
            found.push((head, Fault::Refused { agents }));
        }
    }
    Ok(placed(ground, found))
}

/// Adds the words that people know a publication by; its version stands by its id.
fn placed(ground: &Ground, found: Vec<(&Head, Fault)>) -> Vec<Failing> {
    let told = found.into_iter().filter_map(|(head, fault)| {
        Some(Failing {
            at: ground.project(&head.project_id)?.clone(),
            environment: ground.environment(&head.environment_id)?.slug.clone(),
            place: Some(Place {
                set: ground.sets.get(&head.set_id)?.slug.clone(),
                version: head.version_id.clone(),
                number: head.number,
            }),
            fault,
        })
    });
    told.collect()
}

/// Credentials in use that end soon, for who can make others.
async fn expiring(conn: &mut Conn, actor: &Actor, ground: &Ground) -> Result<Vec<Failing>> {
    let may = ground.projects.iter().filter(|at| at.lets(actor, Action::ManageCredentials));
    let ids: Vec<&str> = may.map(|at| at.project.id.as_str()).collect();
    let now = clock::now();
    let limit = i64::try_from(LINES).unwrap_or(i64::MAX);
    let told = rows::ending(conn, &ids, now, now + SOON, limit).await?.into_iter().filter_map(|row| {
        Some(Failing {
            at: ground.project(&row.project_id)?.clone(),
            environment: ground.environment(&row.environment_id)?.slug.clone(),
            place: None,
            fault: Fault::Expiring { credential: row.name, at: row.expires_at? },
        })
    });
    Ok(told.collect())
}

async fn latest(conn: &mut Conn, projects: &[ProjectAt]) -> Result<Vec<(ProjectAt, PublicationFull)>> {
    let ids: Vec<&str> = projects.iter().map(|at| at.project.id.as_str()).collect();
    let found = publication::newest(conn, &ids, LATEST).await?;
    let at = |full: &PublicationFull| projects.iter().find(|at| at.project.id == full.publication.project_id);
    Ok(found.into_iter().filter_map(|full| Some((at(&full)?.clone(), full))).collect())
}

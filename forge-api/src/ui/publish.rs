//! Publishing: what is replaced where, word by word, and who will hear of it.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::changes::Changes;
use super::diff::Diff;
use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Action as Way, Bar, Callout, Moment, Tally, bytes, count, grouped, short};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, SetAt};
use crate::compare::Content;
use crate::contract::{self, Breaks, Broken};
use crate::database::project::Environment;
use crate::database::publication::PublicationFull;
use crate::database::version::Version;
use crate::fleet::{self, AgentView};
use crate::lock;
use crate::publish::{self, Foreseen, Request, Will};
use crate::rule::{self, Standing};
use crate::state::AppState;

/// Most versions to choose from.
const VERSIONS_MAX: usize = 100;
/// Agents of one contract that are shown.
const AGENTS_SHOWN: usize = 5;
/// Agents that will not simply apply it, of those that are listed.
const FORESEEN: usize = 50;

#[derive(Debug, Default, Serialize)]
struct Page {
    base: String,
    project: String,
    set: String,
    problem: Option<Callout>,
    versions: Vec<VersionChoice>,
    environments: Vec<EnvironmentChoice>,
    version: String,
    environment: String,
    live: Option<Live>,
    serial: i64,
    expected_serial: i64,
    plus: usize,
    minus: usize,
    made: String,
    digest: String,
    digest_short: String,
    changes: String,
    diffs: Vec<Diff>,
    more: Option<String>,
    will_title: String,
    /// Agents that will not simply apply it.
    not_at_once: Vec<ForeseenView>,
    not_at_once_more: Option<String>,
    will: Bar,
    legend: Vec<Tally>,
    undo: String,
    button: String,
    /// Exactly this is live already.
    same: bool,
    broken: Vec<BrokenView>,
    broken_title: String,
    /// Services that would refuse it and are not shown.
    broken_more: Option<String>,
    /// Of those, the ones that were ticked before.
    accepted: Vec<String>,
    /// Agents that nobody can say it of.
    not_kept: Option<String>,
    /// Approvals that the environment asks for and that are missing.
    unapproved: Option<Callout>,
}

/// A service that would refuse the version.
#[derive(Debug, Serialize)]
struct BrokenView {
    name: String,
    agents: String,
    accepted: bool,
    contracts: Vec<ContractView>,
    more: Option<String>,
}

#[derive(Debug, Serialize)]
struct ContractView {
    built_for: String,
    agents: String,
    breaks: Vec<BreakView>,
    more: Option<String>,
}

#[derive(Debug, Serialize)]
struct BreakView {
    prompt: String,
    what: String,
}

impl BrokenView {
    fn of(broken: &Broken, accepted: &[String]) -> Self {
        let contracts = broken.contracts.iter().map(|one| ContractView {
            built_for: one.built_for.clone(),
            agents: named(&one.agents, &one.away),
            breaks: one
                .breaks
                .iter()
                .map(|one| BreakView { prompt: one.prompt.clone(), what: one.what.clone() })
                .collect(),
            more: more(one.more),
        });
        let mut agents = count(broken.connected as u64, "connected agent", "connected agents");
        if broken.away > 0 {
            agents.push_str(&format!(", {} away", broken.away));
        }
        Self {
            agents,
            accepted: accepted.contains(&broken.name),
            contracts: contracts.collect(),
            more: more(broken.more),
            name: broken.name.clone(),
        }
    }
}

fn more(n: usize) -> Option<String> {
    (n > 0).then(|| format!("and {n} more"))
}

/// Agents by name, as many as are shown, those that are connected first.
fn named(connected: &[String], away: &[String]) -> String {
    let names = connected.iter().cloned().chain(away.iter().map(|name| format!("{name} (away)")));
    let mut text = names.take(AGENTS_SHOWN).collect::<Vec<_>>().join(", ");
    let all = connected.len() + away.len();
    if all > AGENTS_SHOWN {
        text.push_str(&format!(" and {} more", all - AGENTS_SHOWN));
    }
    text
}

/// An agent that will not simply apply it, and why.
#[derive(Debug, Serialize)]
struct ForeseenView {
    agent: String,
    service: String,
    state: &'static str,
    word: &'static str,
    why: String,
}

impl ForeseenView {
    fn of(one: &Foreseen) -> Self {
        let heard = || Moment::relative(one.heard_at).text;
        let (state, _) = words(&one.will);
        let (word, why) = match &one.will {
            Will::Refuse => {
                ("refuses", "its program was built for something else; it keeps what it has".into())
            }
            Will::CutOff { revoked: true } => (
                "cut off",
                "its credential was revoked; it hears of nothing until it is given another".into(),
            ),
            Will::CutOff { revoked: false } => (
                "cut off",
                "its credential has expired; it hears of nothing until it is given another".into(),
            ),
            Will::Away => ("unreachable", format!("last heard {}; applies it when it is back", heard())),
            Will::Pinned { to } => {
                ("pinned", format!("its owner pinned the set to {to}; it keeps what it has"))
            }
            Will::Frozen => ("frozen", "checks it, and holds it back until it accepts again".into()),
            Will::Late => ("stale", "has not heard from FORGE for a while; it may take it late".into()),
            Will::Apply => ("applies", String::new()),
        };
        Self { agent: one.agent.clone(), service: one.service.clone(), state, word, why }
    }
}

/// The look of what an agent will do, and its words in the legend.
fn words(will: &Will) -> (&'static str, &'static str) {
    match will {
        Will::Refuse => ("refused", "built for something else: refuse it"),
        Will::CutOff { .. } => ("revoked", "cut off: cannot hear of it"),
        Will::Away => ("unreachable", "unreachable: apply it when back"),
        Will::Pinned { .. } => ("frozen", "pinned: keep what they have"),
        Will::Frozen => ("frozen", "frozen: hold it back"),
        Will::Late => ("stale", "stale: may take it late"),
        Will::Apply => ("active", "will check and apply it"),
    }
}

#[derive(Debug, Serialize)]
struct VersionChoice {
    version: String,
    note: Option<String>,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct EnvironmentChoice {
    slug: String,
    agents: String,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct Live {
    version: String,
    number: i64,
    at: Moment,
    agents: String,
}

/// What was chosen.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    version: String,
    #[serde(default)]
    environment: String,
    /// Services that may break, as they were ticked.
    #[serde(skip)]
    accepted: Vec<String>,
}

/// `GET /{organisation}/{project}/{set}/-/publish?version=…&environment=…`.
pub(super) async fn get_publish(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    Query(chosen): Query<Chosen>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, &chosen, StatusCode::OK, None).await
}

/// `POST /{organisation}/{project}/{set}/-/publish`.
pub(super) async fn post_publish(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let chosen = Chosen {
        version: form.get("version").into(),
        environment: form.get("environment").into(),
        accepted: form.all("accept_broken").into_iter().map(str::to_owned).collect(),
    };
    let request = Request {
        environment: &chosen.environment,
        version: &chosen.version,
        expected_serial: form.get("expected_serial").parse().ok(),
        comment: form.get("comment"),
        accept_broken: &chosen.accepted,
    };
    match publish::publish(&state, &visitor.actor, &set, request).await {
        Ok(full) => {
            Ok(Redirect::to(&format!("/{o}/{p}/-/publications/{}", full.publication.number)).into_response())
        }
        Err(error) => {
            let code = error.code();
            let (status, why) = beside_form(error)?;
            let mut problem = Callout::bad("Not published.", format!("{why} Nothing was changed."));
            match code {
                "serial_mismatch" => {
                    problem.title = "Not published: something else was published meanwhile.".into();
                    problem.text = "What is live now stands below. Look at it again, then publish.".into();
                }
                "breaks_contract" => {
                    problem.title = "Not published: it breaks what services were built for.".into();
                    problem.text =
                        "They are listed below. Tick each of them to publish it all the same. Nothing was changed."
                            .into();
                }
                "approvals_missing" => {
                    problem.title = "Not published: approvals are missing.".into();
                    problem.text = "What is missing stands below. Nothing was changed.".into();
                }
                "not_locked" => problem
                    .actions
                    .push(Way { text: "Lock it".into(), href: format!("{}/-/lock", base(&set)) }),
                _ => {}
            }
            show(&state, &visitor, &set, &chosen, status, Some(problem)).await
        }
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    chosen: &Chosen,
    status: StatusCode,
    problem: Option<Callout>,
) -> PageResult {
    let actor = &visitor.actor;
    set.at.require(actor, Action::Publish)?;
    let versions = lock::versions(state, actor, set).await?;
    let environments = author::environments(state, actor, &set.at).await?;
    let agents = fleet::agents(state, actor, &set.at, None).await?;
    let mut page = Page {
        base: base(set),
        project: format!("/{}/{}", set.at.organisation.slug, set.at.project.slug),
        set: set.set.name.clone(),
        problem,
        ..Page::default()
    };
    let version = versions
        .iter()
        .find(|v| v.version == chosen.version)
        .or_else(|| lock::highest(&versions).map(|(v, _)| v))
        .or(versions.first());
    // Where nothing was chosen: the first environment that serves another version of this set.
    let mut environment = environments.iter().find(|e| e.slug == chosen.environment);
    if let (None, Some(version)) = (environment, version) {
        for one in &environments {
            let live = publish::live(state, actor, set, one).await?;
            if live.is_some_and(|l| l.version.id != version.id) {
                environment = Some(one);
                break;
            }
        }
    }
    if let (Some(environment), Some(version)) = (environment.or(environments.first()), version) {
        let live = publish::live(state, actor, set, environment).await?;
        let after = Content::of_version(state, actor, set, version).await?;
        let before = match &live {
            Some(live) => Content::of_version(state, actor, set, &live.version).await?,
            None => Content::default(),
        };
        page.choose(&versions, &environments, &agents, version, environment);
        page.swap(version, environment, live.as_ref(), Changes::between(before.side(), after.side()));
        let breaks = contract::breaks(state, actor, set, environment, &version.version).await?;
        let foreseen = publish::foresee(state, actor, set, environment, &version.version, &breaks).await?;
        page.foresee(environment, &foreseen);
        page.warn(&breaks, &version.version, &chosen.accepted);
        let standing = rule::standing(state, actor, set, environment, version).await?;
        page.unapproved = unapproved(&base(set), environment, &standing);
    }
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.name, base(set))
        .titled(format!("Publish {}", set.set.name), "sets");
    Ok(engine::page(status, "publish.html", &frame, &page))
}

/// What is missing before the environment takes it, and the way to it.
fn unapproved(base: &str, environment: &Environment, standing: &Standing) -> Option<Callout> {
    let missing = u64::try_from(standing.missing()).ok().filter(|n| *n > 0)?;
    let who = match standing.may_approve.as_slice() {
        [] => "Nobody else here may approve it: add a reviewer to the organisation.".to_owned(),
        names => format!("{} may approve it.", names.join(", ")),
    };
    let needed = count(missing, "approval is", "approvals are");
    let mut callout = Callout::bad(
        format!("{needed} missing."),
        format!("{} takes only what was approved, word for word. {who}", environment.slug),
    );
    callout.state = "review";
    callout.icon = "review";
    callout.actions.push(match &standing.review {
        Some(review) => {
            Way { text: "Open the review".into(), href: format!("{base}/-/reviews/{}", review.number) }
        }
        None => Way { text: "Ask for a review".into(), href: format!("{base}/-/lock#ask") },
    });
    Some(callout)
}

impl Page {
    fn choose(
        &mut self,
        versions: &[Version],
        environments: &[Environment],
        agents: &[AgentView],
        version: &Version,
        environment: &Environment,
    ) {
        self.versions = versions
            .iter()
            .take(VERSIONS_MAX)
            .map(|v| VersionChoice {
                version: v.version.clone(),
                note: (v.kind != "locked").then(|| "draft".to_owned()),
                chosen: v.id == version.id,
            })
            .collect();
        self.environments = environments
            .iter()
            .map(|e| {
                let n = agents.iter().filter(|a| a.environment.id == e.id).count();
                EnvironmentChoice {
                    slug: e.slug.clone(),
                    agents: count(n as u64, "agent", "agents"),
                    chosen: e.id == environment.id,
                }
            })
            .collect();
    }

    fn swap(
        &mut self,
        version: &Version,
        environment: &Environment,
        live: Option<&PublicationFull>,
        changes: Changes,
    ) {
        self.version = version.version.clone();
        self.environment = environment.slug.clone();
        self.expected_serial = live.map_or(0, |l| l.publication.serial);
        self.serial = self.expected_serial + 1;
        self.plus = changes.plus;
        self.minus = changes.minus;
        self.made = match &version.approver {
            Some(approver) => format!("Approved by {approver}"),
            None => format!("Written by {}", version.author),
        };
        self.digest = version.digest.clone();
        self.digest_short = short(&version.digest);
        self.same = live.is_some_and(|l| l.version.id == version.id);
        let older = live.is_some_and(|l| l.version.created_at > version.created_at);
        self.button = match (self.same, older) {
            (true, _) => format!("{} is live in {}", version.version, environment.slug),
            (_, true) => format!("Roll back to {} in {}", version.version, environment.slug),
            _ => format!("Publish {} to {}", version.version, environment.slug),
        };
        self.undo = match live {
            Some(live) => format!("Undo: publish {} again.", live.version.version),
            None => "Every agent answers.".to_owned(),
        };
        let size = bytes(version.size.unsigned_abs());
        self.changes = match live {
            Some(_) if self.same => "Nothing: this very version is live.".to_owned(),
            Some(_) => format!("{} {size} in all.", changes.sentence()),
            None => format!("{} {size} in all. Nothing was live before.", changes.sentence()),
        };
        self.live = live.map(|l| Live {
            version: l.version.version.clone(),
            number: l.publication.number,
            at: Moment::relative(l.publication.created_at),
            agents: String::new(),
        });
        if live.is_some() {
            (self.diffs, self.more) = changes.shown();
        }
    }

    /// What the agents are going to do with it, as far as can be said before.
    fn foresee(&mut self, environment: &Environment, foreseen: &[Foreseen]) {
        let mut legend: Vec<Tally> = Vec::new();
        // What goes well first, as in every bar.
        for one in foreseen.iter().rev() {
            let (state, word) = words(&one.will);
            match legend.iter_mut().find(|t| t.word == word) {
                Some(tally) => tally.count += 1,
                None => legend.push(Tally { state, word, count: 1 }),
            }
        }
        self.will = Bar::of(&legend);
        self.legend = legend;
        let n = count(foreseen.len() as u64, "agent", "agents");
        self.will_title = match foreseen.len() {
            0 => format!("Agents of {}", environment.slug),
            _ => format!("What {n} of {} will do", environment.slug),
        };
        let not: Vec<&Foreseen> = foreseen.iter().filter(|one| one.will != Will::Apply).collect();
        self.not_at_once = not.iter().take(FORESEEN).map(|one| ForeseenView::of(one)).collect();
        self.not_at_once_more = more(not.len().saturating_sub(FORESEEN));
        if let Some(live) = &mut self.live {
            live.agents = n;
        }
    }

    /// Whom it would break, and of whom that is not known.
    fn warn(&mut self, breaks: &Breaks, version: &str, accepted: &[String]) {
        let (shown, hidden) = contract::told(&breaks.broken, accepted);
        self.broken = shown.iter().map(|one| BrokenView::of(one, accepted)).collect();
        self.broken_title = match breaks.broken.len() {
            1 => format!("1 service would refuse {version}"),
            n => format!("{n} services would refuse {version}"),
        };
        self.broken_more = (hidden > 0).then(|| {
            format!(
                "{} more would refuse it. Tick these first; then the next ones are shown.",
                grouped(hidden as u64)
            )
        });
        let names: HashSet<&str> = shown.iter().map(|one| one.name.as_str()).collect();
        let unseen = breaks.broken.iter().filter(|one| !names.contains(one.name.as_str()));
        self.accepted =
            unseen.filter(|one| accepted.contains(&one.name)).map(|one| one.name.clone()).collect();
        self.not_kept = (breaks.not_kept > 0).then(|| not_kept(breaks.not_kept, &self.environment));
    }
}

/// That what some agents were built for is not kept.
pub(super) fn not_kept(n: usize, environment: &str) -> String {
    let agents = match n {
        1 => "The contracts of 1 agent".to_owned(),
        n => format!("The contracts of {} agents", grouped(n as u64)),
    };
    format!(
        "{agents} of {environment} are not kept, as there is no room for more: FORGE cannot say what breaks them. Each refuses it by itself."
    )
}

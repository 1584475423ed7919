//! The agents of a project: who is there, what each serves, and why not more; and what is ordered.
//!
//! | module | what it holds |
//! |---|---|
//! | [`row`] | one agent |
//! | [`groups`] | fleet, environments and services, with the order that stands for each |
//! | [`ask`] | the page that asks before an order is given |
//! | [`withdraw`] | the page that asks before an order is withdrawn |

mod ask;
mod groups;
mod row;
mod withdraw;

pub(super) use ask::{get_order, post_order};
pub(super) use withdraw::{get_withdraw, post_withdraw};

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use schemas::status::PendingState;
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::engine;
use super::fault::PageResult;
use super::view::{count, encoded};
use super::visitor::Visitor;
use crate::auth::{Action, Actor};
use crate::author::{self, ProjectAt};
use crate::database::order::Order;
use crate::database::project::Environment;
use crate::error::Result;
use crate::fleet::{self, AgentView, Presence};
use crate::order::{self, ByTarget, OrderView};
use crate::state::AppState;
use groups::Group;
use row::Row;

/// Rows of one page.
const PAGE: usize = 50;

/// What of the agents is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Filter {
    #[serde(default)]
    pub environment: String,
    #[serde(default)]
    pub q: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub from: usize,
}

impl Filter {
    /// The query string of this filter with another state or first row.
    fn query(&self, state: &str, from: usize) -> String {
        let mut pairs = Vec::new();
        for (name, value) in [("environment", self.environment.as_str()), ("q", &self.q), ("state", state)] {
            if !value.is_empty() {
                pairs.push(format!("{name}={}", encoded(value)));
            }
        }
        if from > 0 {
            pairs.push(format!("from={from}"));
        }
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// How an agent is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Refused,
    Stale,
    Unreachable,
    Frozen,
    Active,
}

impl Health {
    const ALL: [Self; 5] = [Self::Active, Self::Frozen, Self::Stale, Self::Refused, Self::Unreachable];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
            Self::Frozen => "frozen",
            Self::Active => "active",
        }
    }

    pub(crate) fn of(view: &AgentView) -> Self {
        let refused = view.status.as_ref().is_some_and(|s| {
            s.sets.iter().any(|set| set.pending.as_ref().is_some_and(|p| p.state == PendingState::Refused))
        });
        if view.presence == Presence::Unreachable {
            Self::Unreachable
        } else if refused {
            Self::Refused
        } else if view.agent.stale {
            Self::Stale
        } else if view.agent.mode == "FROZEN" {
            Self::Frozen
        } else {
            Self::Active
        }
    }
}

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    summary: String,
    q: String,
    environment: String,
    chips: Vec<Chip>,
    fleet: Fleet,
}

#[derive(Debug, Serialize)]
struct Chip {
    text: String,
    href: String,
    count: usize,
    current: bool,
}

/// The part of the page that changes by itself.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Fleet {
    pub stats: Vec<Stat>,
    pub groups: Vec<Group>,
    /// What of the groups is not shown, and where it is.
    pub groups_note: String,
    pub rows: Vec<Row>,
    pub range: String,
    pub previous: Option<String>,
    pub next: Option<String>,
    pub filtered: bool,
    pub total: String,
    pub clear: String,
    pub credentials: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stat {
    pub state: &'static str,
    pub word: &'static str,
    pub count: usize,
    pub href: String,
    pub chosen: bool,
}

/// What the page is made from.
struct Seen<'a> {
    base: &'a str,
    environments: &'a [Environment],
    /// The one that is looked at; none: all of them.
    chosen: Option<&'a Environment>,
    agents: &'a [AgentView],
    /// Those that stand, newest first.
    orders: &'a [OrderView],
    /// The same, by the environment's id.
    standing: &'a HashMap<&'a str, ByTarget<'a>>,
    may_order: bool,
}

impl<'a> Seen<'a> {
    /// The order that an agent goes by.
    fn governing(&self, view: &AgentView) -> Option<&'a Order> {
        self.standing.get(view.environment.id.as_str())?.governing(&view.agent.name, &view.agent.service)
    }
}

/// The orders of each environment.
fn by_environment(orders: &[OrderView]) -> HashMap<&str, ByTarget<'_>> {
    let mut of_each: HashMap<&str, Vec<&Order>> = HashMap::new();
    for view in orders {
        of_each.entry(&view.environment.id).or_default().push(&view.order);
    }
    of_each.into_iter().map(|(environment, orders)| (environment, ByTarget::of(orders))).collect()
}

/// The agents that fit a filter.
pub(crate) async fn fleet(state: &AppState, actor: &Actor, at: &ProjectAt, filter: &Filter) -> Result<Fleet> {
    let environments = author::environments(state, actor, at).await?;
    let chosen = environments.iter().find(|e| e.slug == filter.environment);
    let orders = order::list(state, actor, at, chosen).await?;
    let seen = Seen {
        base: &format!("/{}", at.path()),
        environments: &environments,
        chosen,
        agents: &fleet::agents(state, actor, at, chosen).await?,
        orders: &orders,
        standing: &by_environment(&orders),
        may_order: at.lets(actor, Action::Order),
    };
    Ok(Fleet::of(&seen, filter))
}

/// The address of the page that asks before an order is given.
fn order_address(base: &str, environment: &str, which: Option<(&str, &str)>, mode: &str) -> String {
    let mut pairs = Vec::new();
    if !environment.is_empty() {
        pairs.push(format!("environment={}", encoded(environment)));
    }
    if let Some((kind, name)) = which {
        pairs.push(format!("{kind}={}", encoded(name)));
    }
    format!("{base}/-/agents/order?{}&mode={mode}", pairs.join("&")).replace("?&", "?")
}

impl Fleet {
    fn of(seen: &Seen<'_>, filter: &Filter) -> Self {
        let agents = seen.agents;
        let address = format!("{}/-/agents", seen.base);
        let healths: Vec<(Health, &AgentView)> = agents.iter().map(|a| (Health::of(a), a)).collect();
        let stats = Health::ALL
            .map(|health| {
                let chosen = filter.state == health.as_str();
                Stat {
                    state: health.as_str(),
                    word: health.as_str(),
                    count: healths.iter().filter(|(h, _)| *h == health).count(),
                    href: format!("{address}{}", filter.query(if chosen { "" } else { health.as_str() }, 0)),
                    chosen,
                }
            })
            .into();
        let words: Vec<String> = filter.q.split_whitespace().map(str::to_lowercase).collect();
        let mut found = healths;
        // A row is made for those that are shown; for others only where its words are looked for.
        found.retain(|(health, view)| {
            (filter.state.is_empty() || filter.state == health.as_str())
                && (words.is_empty() || Row::of(seen, view).matches(&words))
        });
        found.sort_by(|(a, x), (b, y)| {
            a.cmp(b)
                .then_with(|| x.environment.slug.cmp(&y.environment.slug))
                .then_with(|| x.agent.name.cmp(&y.agent.name))
        });
        let total = found.len();
        let from = filter.from.min(total.saturating_sub(1) / PAGE * PAGE);
        let shown = found.into_iter().skip(from).take(PAGE);
        let rows: Vec<Row> = shown.map(|(_, view)| Row::of(seen, view)).collect();
        let until = from + rows.len();
        let (groups, groups_note) = groups::of(seen, &words);
        Self {
            stats,
            groups,
            groups_note,
            range: format!("{} to {until} of {total}", if total == 0 { 0 } else { from + 1 }),
            previous: (from > 0)
                .then(|| format!("{address}{}", filter.query(&filter.state, from.saturating_sub(PAGE)))),
            next: (until < total).then(|| format!("{address}{}", filter.query(&filter.state, until))),
            filtered: !filter.q.is_empty() || !filter.state.is_empty(),
            total: count(agents.len() as u64, "agent", "agents"),
            clear: format!(
                "{address}{}",
                Filter { environment: filter.environment.clone(), ..Filter::default() }.query("", 0)
            ),
            credentials: format!("{}/-/credentials", seen.base),
            rows,
        }
    }
}

/// `GET /{organisation}/{project}/-/agents?environment=…&q=…&state=…`.
pub(super) async fn get_agents(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let base = format!("/{o}/{p}");
    let environments = author::environments(&state, &visitor.actor, &at).await?;
    let all = fleet::agents(&state, &visitor.actor, &at, None).await?;
    let chip = |text: &str, slug: &str, count: usize| Chip {
        text: text.to_owned(),
        href: format!(
            "{base}/-/agents{}",
            Filter { environment: slug.to_owned(), from: 0, ..filter.clone() }.query(&filter.state, 0)
        ),
        count,
        current: filter.environment == slug,
    };
    let mut chips = vec![chip("All", "", all.len())];
    for environment in &environments {
        let n = all.iter().filter(|a| a.environment.id == environment.id).count();
        chips.push(chip(&environment.slug, &environment.slug, n));
    }
    let instances = count(all.len() as u64, "agent serves", "agents serve");
    let page = Page {
        summary: format!("{instances} prompts of {}.", at.project.name),
        q: filter.q.clone(),
        environment: filter.environment.clone(),
        chips,
        fleet: fleet(&state, &visitor.actor, &at, &filter).await?,
        base,
    };
    let topic = format!("agents/{o}/{p}{}", filter.query(&filter.state, filter.from));
    let frame = visitor.in_project(&at).titled("Agents", "agents").following(encoded(&topic));
    Ok(engine::page(StatusCode::OK, "agents.html", &frame, &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(fleet: &Fleet) -> String {
        engine::fragment("live.html", &serde_json::json!({ "answer": null, "stage": null, "fleet": fleet }))
            .unwrap()
    }

    fn of_nobody(filter: &Filter) -> Fleet {
        let seen = Seen {
            base: "/acme/shop",
            environments: &[],
            chosen: None,
            agents: &[],
            orders: &[],
            standing: &HashMap::new(),
            may_order: true,
        };
        Fleet::of(&seen, filter)
    }

    #[test]
    fn the_address_of_an_order_names_whom_it_is_for() {
        assert_eq!(order_address("/a/b", "", None, "FROZEN"), "/a/b/-/agents/order?mode=FROZEN");
        assert_eq!(
            order_address("/a/b", "prod", Some(("service", "a b&c")), "ACCEPTING"),
            "/a/b/-/agents/order?environment=prod&service=a%20b%26c&mode=ACCEPTING"
        );
    }

    #[test]
    fn no_agents_and_none_that_match_are_told_apart() {
        let none = rendered(&of_nobody(&Filter::default()));
        assert!(
            none.contains("No agent is connected yet") && none.contains("/acme/shop/-/credentials"),
            "{none}"
        );
        let filter = Filter { q: "kiosk".into(), environment: "prod".into(), ..Filter::default() };
        let filtered = rendered(&of_nobody(&filter));
        assert!(filtered.contains("Nothing matches"), "{filtered}");
        assert!(filtered.contains("/acme/shop/-/agents?environment=prod\""), "{filtered}");
    }

    #[test]
    fn a_filter_survives_in_the_address() {
        let filter = Filter { q: "a b".into(), environment: "prod".into(), ..Filter::default() };
        assert_eq!(filter.query("stale", 50), "?environment=prod&q=a%20b&state=stale&from=50");
        assert_eq!(Filter::default().query("", 0), "");
    }
}

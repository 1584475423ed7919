//! The whole fleet, its environments and their services: how many are frozen, which order stands, what they said.

use std::collections::BTreeMap;

use serde::Serialize;

use super::row::Act;
use super::{Seen, order_address, withdraw};
use crate::database::project::Environment;
use crate::fleet::AgentView;
use crate::order::OrderView;
use crate::ui::view::{Moment, count, grouped};

/// Services of one environment that are shown.
const SERVICES: usize = 20;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Group {
    pub id: String,
    /// What kind of group it is, in words.
    pub kind: &'static str,
    pub name: String,
    pub agents: String,
    /// How many of them are FROZEN; none: nothing is said.
    pub frozen: Option<String>,
    pub order: Option<Standing>,
    pub acts: Vec<Act>,
}

/// The order that stands for it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Standing {
    pub mode: String,
    pub state: &'static str,
    pub by: String,
    pub at: Moment,
    pub reason: String,
    pub answers: String,
    /// Somebody forbids it, or changed it since.
    pub warns: bool,
    /// Where it is withdrawn.
    pub withdraw: Option<String>,
}

impl Standing {
    fn of(seen: &Seen<'_>, view: &OrderView) -> Self {
        let answers = view.answers;
        let mut parts = match answers.agents {
            0 => vec!["no agent goes by it at the moment".to_owned()],
            all => vec![format!("{} of {} done", grouped(answers.done as u64), grouped(all as u64))],
        };
        for (n, word) in [
            (answers.waiting, "not yet"),
            (answers.forbidden, "forbidden by the owner"),
            (answers.changed, "changed at the agent since"),
        ] {
            if n > 0 {
                parts.push(format!("{} {word}", grouped(n as u64)));
            }
        }
        Self {
            state: if view.order.mode == "FROZEN" { "frozen" } else { "active" },
            mode: view.order.mode.clone(),
            by: view.order.given_by.clone(),
            at: Moment::relative(view.order.given_at),
            reason: view.order.reason.clone(),
            answers: parts.join(" · "),
            warns: answers.forbidden + answers.changed > 0,
            withdraw: seen
                .may_order
                .then(|| withdraw::address(seen.base, &view.environment.slug, view.order.number)),
        }
    }
}

/// The groups of what is looked at, and what of them is not shown.
pub(super) fn of(seen: &Seen<'_>, words: &[String]) -> (Vec<Group>, String) {
    let mut out = Vec::new();
    let Some(environment) = seen.chosen else {
        if seen.environments.len() > 1 {
            out.push(group(seen, None, None, &seen.agents.iter().collect::<Vec<_>>()));
        }
        for environment in seen.environments {
            let here: Vec<_> = seen.agents.iter().filter(|a| a.environment.id == environment.id).collect();
            out.push(group(seen, Some(environment), None, &here));
        }
        return (out, "Choose an environment to see its services.".to_owned());
    };
    out.push(group(seen, Some(environment), None, &seen.agents.iter().collect::<Vec<_>>()));
    let mut services: BTreeMap<&str, Vec<&AgentView>> = BTreeMap::new();
    for agent in seen.agents.iter().filter(|a| !a.agent.service.is_empty()) {
        services.entry(&agent.agent.service).or_default().push(agent);
    }
    services.retain(|name, _| {
        let name = name.to_lowercase();
        words.is_empty() || words.iter().any(|word| name.contains(word))
    });
    let more = services.len().saturating_sub(SERVICES);
    for (service, agents) in services.into_iter().take(SERVICES) {
        out.push(group(seen, Some(environment), Some(service), &agents));
    }
    let note = match more {
        0 => String::new(),
        _ => format!("{} not shown: find them by name.", count(more as u64, "service is", "services are")),
    };
    (out, note)
}

fn group(
    seen: &Seen<'_>,
    environment: Option<&Environment>,
    service: Option<&str>,
    agents: &[&AgentView],
) -> Group {
    let frozen = agents.iter().filter(|a| a.agent.mode == "FROZEN").count() as u64;
    let slug = environment.map_or("", |e| e.slug.as_str());
    let (kind, name, place) = match (environment, service) {
        (None, _) => ("all environments", "Whole fleet".to_owned(), "the whole fleet".to_owned()),
        (Some(_), None) => ("environment", slug.to_owned(), format!("environment {slug}")),
        (Some(_), Some(service)) => ("service", service.to_owned(), format!("service {service} of {slug}")),
    };
    let mine = |view: &&OrderView| match service {
        Some(service) => view.order.target_kind == "service" && view.order.target_name == service,
        None => view.order.target_kind == "environment",
    };
    let order = environment.and_then(|e| {
        seen.orders
            .iter()
            .filter(|view| view.environment.id == e.id)
            .find(mine)
            .map(|view| Standing::of(seen, view))
    });
    let act = |text: &'static str, mode: &str| Act {
        text,
        freezes: mode == "FROZEN",
        href: order_address(seen.base, slug, service.map(|s| ("service", s)), mode),
        label: format!("{text}: {place}"),
    };
    Group {
        id: format!("{slug}-{}", service.unwrap_or_default()),
        kind,
        name,
        agents: count(agents.len() as u64, "agent", "agents"),
        frozen: (frozen > 0).then(|| grouped(frozen)),
        order,
        acts: match seen.may_order {
            true => vec![act("Freeze", "FROZEN"), act("Accept", "ACCEPTING")],
            false => Vec::new(),
        },
    }
}

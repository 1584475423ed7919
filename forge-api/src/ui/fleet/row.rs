//! One agent of the list.

use schemas::envelope::AgeAction;
use schemas::status::{AgentStatus, Pending, PendingState, SetStatus};
use serde::Serialize;

use super::{Health, Seen, order_address, withdraw};
use crate::database::agent::Agent;
use crate::database::order::Order;
use crate::fleet::{AgentView, Presence};
use crate::order::Answer;
use crate::ui::view::{Moment, count, nanoseconds};

/// Sets that are told one by one.
const SETS: usize = 3;
/// Overrides that are named.
const OVERRIDES: usize = 3;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub id: String,
    pub service: String,
    pub environment: String,
    pub state: &'static str,
    pub word: String,
    pub lines: Vec<Line>,
    pub serves: Vec<Serves>,
    pub frozen: bool,
    /// Who set the mode.
    pub mode_by: String,
    /// The order that it goes by, where it did not simply do it.
    pub order: Option<Line>,
    pub host: String,
    pub p99: String,
    pub library: String,
    pub heard: Option<Moment>,
    pub act: Option<Act>,
    /// Where the order to this one agent is withdrawn.
    pub withdraw: Option<String>,
}

/// Something that has to be said of an agent.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Empty where it is no warning.
    pub state: &'static str,
    pub text: String,
}

/// One set on it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Serves {
    pub text: String,
    pub pin: Option<String>,
}

/// A button that leads to an order.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Act {
    pub text: &'static str,
    pub freezes: bool,
    pub href: String,
    /// What it does, in full.
    pub label: String,
}

impl Row {
    pub(super) fn of(seen: &Seen<'_>, view: &AgentView) -> Self {
        let agent = &view.agent;
        let health = Health::of(view);
        let sets = view.status.as_ref().map(|s| s.sets.as_slice()).unwrap_or_default();
        let frozen = agent.mode == "FROZEN";
        let order = seen.governing(view);
        let own = order.filter(|order| order.target_kind == "agent");
        Self {
            id: agent.name.clone(),
            service: agent.service.clone(),
            environment: view.environment.slug.clone(),
            state: health.as_str(),
            word: health.as_str().to_owned(),
            lines: lines(view, health, sets),
            serves: sets.iter().filter_map(serves).collect(),
            frozen,
            mode_by: mode_by(agent, order),
            order: order.and_then(|order| said(order, view)),
            host: agent.host.clone(),
            p99: view.status.as_ref().map(|s| nanoseconds(s.counters.render_p99_ns)).unwrap_or_default(),
            library: agent.agent_version.clone(),
            heard: (agent.last_seen_at > 0).then(|| Moment::relative(agent.last_seen_at)),
            act: seen.may_order.then(|| {
                let (text, mode) = if frozen { ("Accept", "ACCEPTING") } else { ("Freeze", "FROZEN") };
                Act {
                    text,
                    freezes: !frozen,
                    href: order_address(
                        seen.base,
                        &view.environment.slug,
                        Some(("agent", &agent.name)),
                        mode,
                    ),
                    label: format!("{text}: agent {} of {}", agent.name, view.environment.slug),
                }
            }),
            withdraw: own
                .filter(|_| seen.may_order)
                .map(|order| withdraw::address(seen.base, &view.environment.slug, order.number)),
        }
    }

    pub(super) fn matches(&self, words: &[String]) -> bool {
        let mut text =
            format!("{} {} {} {} {}", self.id, self.service, self.host, self.library, self.mode_by);
        let more = self.lines.iter().chain(&self.order).map(|l| &l.text);
        for part in more.chain(self.serves.iter().map(|s| &s.text)) {
            text.push(' ');
            text.push_str(part);
        }
        let text = text.to_lowercase();
        words.iter().all(|w| text.contains(w))
    }
}

fn serves(set: &SetStatus) -> Option<Serves> {
    let text = match (&set.active, &set.pin) {
        (Some(active), _) => format!("{} {}", set.set, active.version),
        (None, Some(_)) => format!("{}: nothing yet", set.set),
        (None, None) => return None,
    };
    Some(Serves { text, pin: set.pin.as_ref().map(|pin| format!("pinned {pin}")) })
}

/// What has to be said of an agent, the worst first.
fn lines(view: &AgentView, health: Health, sets: &[SetStatus]) -> Vec<Line> {
    let mut out = Vec::new();
    if let Some(status) = &view.status {
        if let Some(text) = overridden(status) {
            out.push(Line { state: "warn", text });
        }
        if health == Health::Stale {
            let too_old = status.too_old && refuses(status);
            let serves =
                if too_old { "the project's rule lets it serve no more" } else { "it goes on serving" };
            let why = status.stale_reason.as_deref().unwrap_or("has not heard from FORGE");
            out.push(Line { state: "", text: format!("{why}; {serves}") });
        }
    }
    if health == Health::Unreachable {
        out.push(Line { state: "", text: "replays what it missed when it is back".to_owned() });
    }
    let waiting: Vec<Line> =
        sets.iter().filter_map(|set| Line::pending(set, set.pending.as_ref()?)).collect();
    let more = waiting.len().saturating_sub(SETS);
    let at = if health == Health::Refused { 0 } else { out.len() };
    out.splice(at..at, waiting.into_iter().take(SETS));
    if more > 0 {
        out.push(Line {
            state: "",
            text: format!("and so in {}", count(more as u64, "other set", "other sets")),
        });
    }
    out
}

impl Line {
    fn pending(set: &SetStatus, pending: &Pending) -> Option<Self> {
        let what = match (&pending.version, pending.serial) {
            (Some(version), Some(serial)) => format!("{} {version} (serial {serial})", set.set),
            (Some(version), None) => format!("{} {version}", set.set),
            (None, Some(serial)) => format!("serial {serial} of {}", set.set),
            (None, None) => format!("a newer version of {}", set.set),
        };
        Some(match pending.state {
            PendingState::Refused => {
                let why = pending.reason.as_ref().map_or("it gave no reason", |r| r.message.as_str());
                Self { state: "refused", text: format!("refused {what}: {why}") }
            }
            PendingState::Verified => Self { state: "frozen", text: format!("would have applied {what}") },
            PendingState::Pinned => {
                Self { state: "frozen", text: format!("pinned; would have applied {what}") }
            }
            _ => return None,
        })
    }
}

fn overridden(status: &AgentStatus) -> Option<String> {
    let some: Vec<&str> = status.overrides.iter().take(OVERRIDES).map(String::as_str).collect();
    let more = match status.overrides.len().saturating_sub(OVERRIDES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let n = count(status.overrides.len() as u64, "prompt", "prompts");
    (!some.is_empty()).then(|| format!("serves {n} from a folder of its machine: {}{more}", some.join(", ")))
}

/// Whether the project's rule stops content that is too old.
fn refuses(status: &AgentStatus) -> bool {
    status.max_age.is_some_and(|rule| rule.action == AgeAction::Refuse)
}

fn mode_by(agent: &Agent, order: Option<&Order>) -> String {
    match agent.mode_by.as_str() {
        "configuration" => "by its configuration".into(),
        "local" => "set at the agent".into(),
        "forge" => match order.filter(|order| Answer::by(order, agent) == Answer::Done) {
            Some(order) => format!("ordered by {}{}", order.given_by, because(order)),
            None => "ordered by FORGE".into(),
        },
        _ => String::new(),
    }
}

pub(super) fn because(order: &Order) -> String {
    if order.reason.is_empty() { String::new() } else { format!(": {}", order.reason) }
}

/// What became of an order, where it was not simply done.
fn said(order: &Order, view: &AgentView) -> Option<Line> {
    let told = format!("told to be {} by {}", order.mode, order.given_by);
    let (state, text) = match Answer::by(order, &view.agent) {
        Answer::Done | Answer::Newer => return None,
        Answer::Waiting if view.presence == Presence::Unreachable => {
            ("", format!("{told}; hears it when it is back"))
        }
        Answer::Waiting => ("info", format!("{told}; has not answered yet")),
        Answer::Forbidden => ("warn", format!("{told}; its owner does not let FORGE set its mode")),
        Answer::Changed => ("warn", format!("{told}, and did; somebody at the agent changed it since")),
    };
    Some(Line { state, text })
}

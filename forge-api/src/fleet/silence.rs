//! Who became stale, or hears FORGE again, as far as webhooks were not told of it yet.

use std::collections::{HashMap, HashSet};

use schemas::Micros;

use super::read::plain;
use crate::config::Config;
use crate::database::agent::Agent;
use crate::webhook::emit::{News, Refused, Stale};

/// What is known of one agent.
#[derive(Debug, Default)]
struct Known {
    /// Whether it is stale, as it was written; none where that was not looked at yet.
    stale: Option<bool>,
    /// When it said so first, without a word of the contrary since.
    since: Option<Micros>,
}

/// What is known here of every agent, by environment and name.
#[derive(Debug)]
pub(super) struct Silence {
    /// So long an agent has to say that it is stale: one that just came back, to a FORGE that just started, has not heard
    /// it yet.
    patience: Micros,
    agents: HashMap<(String, String), Known>,
}

impl Silence {
    pub(super) fn new(config: &Config) -> Self {
        let period = Micros::try_from(config.heartbeat.as_micros()).unwrap_or(Micros::MAX);
        Self { patience: period.saturating_mul(2), agents: HashMap::new() }
    }

    /// What these agents say that was not written yet, with what they refused.
    pub(super) fn news(&mut self, rows: &[Agent], refused: Vec<Refused>) -> News {
        let mut news = News { refused, ..News::default() };
        for row in rows {
            let key = (row.environment_id.clone(), row.name.clone());
            let known = self.agents.entry(key.clone()).or_default();
            if !row.stale {
                known.since = None;
                if known.stale != Some(false) {
                    news.current.push(key);
                }
                continue;
            }
            let since = *known.since.get_or_insert(row.last_seen_at);
            if known.stale != Some(true) && row.last_seen_at.saturating_sub(since) >= self.patience {
                let (environment_id, agent) = key;
                news.stale.push(Stale { environment_id, agent, reason: reason(row) });
            }
        }
        news
    }

    /// The news were written, but for who was held back: that is looked at again.
    pub(super) fn settle(&mut self, news: &News, held_back: &HashSet<(String, String)>) {
        let stale = news.stale.iter().map(|one| (one.environment_id.clone(), one.agent.clone()));
        for key in stale.filter(|key| !held_back.contains(key)) {
            self.agents.entry(key).or_default().stale = Some(true);
        }
        for key in &news.current {
            self.agents.entry(key.clone()).or_default().stale = Some(false);
        }
    }

    /// What was written is not known any more.
    pub(super) fn forget(&mut self) {
        for known in self.agents.values_mut() {
            known.stale = None;
        }
    }
}

/// Why an agent says that it is stale.
fn reason(row: &Agent) -> Option<String> {
    let status: serde_json::Value = serde_json::from_str(&row.status).ok()?;
    status["stale_reason"].as_str().map(|why| plain(why, 1000))
}

#[cfg(test)]
mod tests {
    use super::super::read::{Heard, row_of};
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn said(stale: bool, at: Micros) -> Vec<Agent> {
        let status = serde_json::from_value(serde_json::json!({
            "schema_version": 1, "agent": "till-1", "identity": "U",
            "scope": { "organisation": "acme", "project": "support", "environment": "prod" },
            "host": "h", "service": "till", "agent_version": "1", "mode": "ACCEPTING", "at": 1, "started_at": 1,
            "floor": 1, "stale": stale, "stale_reason": "FORGE is not heard", "cache": "disk",
            "counters": { "renders": 0, "render_errors": 0 }, "sets": [],
        }))
        .unwrap();
        vec![row_of("e", &Heard { status: Box::new(status), at })]
    }

    #[test]
    fn an_agent_is_stale_once_it_says_so_for_a_while_and_is_told_of_until_that_is_written() {
        let mut silence = Silence { patience: 10 * SECOND, agents: HashMap::new() };
        let mut says = |stale: bool, at: Micros, settles: bool, held_back: bool| {
            let news = silence.news(&said(stale, at), Vec::new());
            let key = ("e".to_owned(), "till-1".to_owned());
            if settles {
                silence.settle(&news, &held_back.then_some(key).into_iter().collect());
            }
            let reasons = news.stale.into_iter().map(|one| one.reason.unwrap()).collect::<Vec<_>>();
            (reasons.len(), news.current.len())
        };
        assert_eq!(says(true, 0, true, false), (0, 0), "a moment is none");
        assert_eq!(says(false, SECOND, true, false), (0, 1));
        assert_eq!(says(false, 2 * SECOND, true, false), (0, 0), "that is known");
        assert_eq!(says(true, 3 * SECOND, true, false), (0, 0));
        assert_eq!(says(true, 12 * SECOND, true, false), (0, 0), "it began anew");
        assert_eq!(says(true, 13 * SECOND, false, false), (1, 0));
        assert_eq!(says(true, 14 * SECOND, true, true), (1, 0), "it was not written");
        assert_eq!(says(true, 15 * SECOND, true, false), (1, 0), "it was held back");
        assert_eq!(says(true, 16 * SECOND, true, false), (0, 0));
        assert_eq!(says(false, 17 * SECOND, true, false), (0, 1));
    }
}

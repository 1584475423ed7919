//! The lives of agents: from a start to the next, so many of each as are known at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use schemas::Micros;

use super::LifeKey;
use crate::database::Tx;
use crate::database::usage::{self, Life};
use crate::error::Result;
use crate::usage::HOUR;

/// Lives of one agent that are known at once: more than one where its name is used twice, or it starts again.
pub(super) const LIVES: usize = 4;
/// A life that was over is not counted again within this.
const OVER: Micros = HOUR;

/// The lives of the agents of one batch.
pub(super) struct Lives(HashMap<(String, String), Vec<Life>>);

impl Lives {
    pub(super) async fn load(tx: &mut Tx, keys: impl Iterator<Item = &LifeKey>) -> Result<Self> {
        let mut agents: BTreeMap<&str, HashSet<String>> = BTreeMap::new();
        for (environment, agent, _) in keys {
            agents.entry(environment).or_default().insert(agent.clone());
        }
        let mut known: HashMap<(String, String), Vec<Life>> = HashMap::new();
        for (environment, agents) in agents {
            let agents: Vec<String> = agents.into_iter().collect();
            for life in usage::lives(tx, environment, &agents).await? {
                known.entry((environment.to_owned(), life.agent.clone())).or_default().push(life);
            }
        }
        Ok(Self(known))
    }

    /// The life of this key, heard at `now`, and those that ended to make room for it: a new one takes the place of
    /// the one that was silent the longest. None for one that is over: it was counted, and is known no more.
    pub(super) async fn admit(
        &mut self,
        tx: &mut Tx,
        key: &LifeKey,
        now: Micros,
    ) -> Result<Option<(Life, Vec<LifeKey>)>> {
        let (environment_id, agent, started_at) = key;
        let lives = self.0.entry((environment_id.clone(), agent.clone())).or_default();
        if let Some(life) = lives.iter_mut().find(|life| life.started_at == *started_at) {
            life.heard_at = now;
            return Ok(Some((life.clone(), Vec::new())));
        }
        let mut ended = Vec::new();
        if lives.len() >= LIVES {
            let lately = lives.iter().any(|life| now - life.heard_at < OVER);
            if lately && lives.iter().all(|life| *started_at < life.started_at) {
                return Ok(None);
            }
            lives.sort_by_key(|life| std::cmp::Reverse(life.heard_at));
            for gone in lives.drain(LIVES - 1..) {
                usage::end_life(tx, environment_id, agent, gone.started_at).await?;
                ended.push((environment_id.clone(), agent.clone(), gone.started_at));
            }
        }
        let life = Life {
            environment_id: environment_id.clone(),
            agent: agent.clone(),
            started_at: *started_at,
            heard_at: now,
            prompts: 0,
        };
        lives.push(life.clone());
        Ok(Some((life, ended)))
    }
}

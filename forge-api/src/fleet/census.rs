//! How much of a fleet is taken up. Whoever has a credential may name agents without end and let each speak without
//! end; one environment must not cost the others their place.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use schemas::{Micros, Scope};

use crate::config::Config;
use crate::database::Conn;
use crate::database::agent::{self, Room};
use crate::error::Result;

/// An agent that was not heard for so long gives its place to a new one, where places are short.
pub(super) const AWAY: Micros = 24 * 3600 * 1_000_000;
/// Seconds in which every listed agent may speak once.
const ROUND: u32 = 5;

pub(super) struct Census {
    max: u32,
    /// Names, by environment, that are listed as far as is known here.
    listed: HashMap<String, HashSet<String>>,
    words: DefaultKeyedRateLimiter<Scope>,
}

impl Census {
    pub(super) fn new(config: &Config) -> Self {
        let max = config.max_agents;
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        // A whole fleet may answer at once, twice.
        let quota =
            Quota::per_second(at_least_one(max / ROUND)).allow_burst(at_least_one(max.saturating_mul(2)));
        Self { max, listed: HashMap::new(), words: RateLimiter::keyed(quota) }
    }

    /// Whether one more status of this environment is taken up now.
    pub(super) fn hears(&self, scope: &Scope) -> bool {
        self.words.check_key(scope).is_ok()
    }

    /// Whether an agent is listed; a new one is, while there is room, or somebody is away for long.
    pub(super) async fn admits(
        &mut self,
        conn: &mut Conn,
        environment_id: &str,
        name: &str,
        now: Micros,
    ) -> Result<bool> {
        if !self.listed.contains_key(environment_id) {
            let names = agent::names(conn, environment_id).await?.into_iter().collect();
            self.listed.insert(environment_id.to_owned(), names);
        }
        let listed = self.listed.entry(environment_id.to_owned()).or_default();
        if listed.contains(name) {
            return Ok(true);
        }
        if listed.len() >= usize::try_from(self.max).unwrap_or(usize::MAX) {
            match agent::make_room(conn, environment_id, name, self.max, now - AWAY).await? {
                Room::There => {}
                Room::Of(gone) => {
                    listed.remove(&gone);
                }
                Room::None => return Ok(false),
            }
        }
        listed.insert(name.to_owned());
        Ok(true)
    }

    /// What is listed is asked anew.
    pub(super) fn forget(&mut self) {
        self.listed.clear();
    }
}

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

/// An agent that was not heard for so long gives its place to a new one, where places are short, and nobody asks
/// any more what it was built for.
pub(crate) const AWAY: Micros = 24 * 3600 * 1_000_000;
/// Seconds in which every listed agent may speak once.
const ROUND: u32 = 5;
/// Seconds in which every agent may enrol once; a fifth of them at once.
const ENROL_ROUND: u32 = 50;
/// However few agents are listed, so much may be said at once.
const BURST_LEAST: u32 = 128;
/// Bytes of a status that count as one more: one that tells the use of [`schemas::status::USAGE_MAX`] prompts counts
/// as one.
const WEIGHED: usize = 96 * 1024;
/// Shown signatures that are verified in a second.
const PROOFS: u32 = 8;

pub(super) struct Census {
    max: u32,
    /// Names, by environment, that are listed as far as is known here.
    listed: HashMap<String, HashSet<String>>,
    /// Environments of which more is listed here than the database has.
    unsure: HashSet<String>,
    words: DefaultKeyedRateLimiter<Scope>,
    enrolments: DefaultKeyedRateLimiter<Scope>,
    proofs: DefaultKeyedRateLimiter<Scope>,
}

impl Census {
    pub(super) fn new(config: &Config) -> Self {
        let max = config.max_agents;
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        // A whole fleet may answer at once, twice.
        let burst = max.saturating_mul(2).max(BURST_LEAST);
        let words = Quota::per_second(at_least_one(max / ROUND)).allow_burst(at_least_one(burst));
        let each = max / ENROL_ROUND;
        let enrolments = Quota::per_second(at_least_one(each.max(16)))
            .allow_burst(at_least_one((each * 10).max(BURST_LEAST)));
        let proofs = Quota::per_second(at_least_one(PROOFS)).allow_burst(at_least_one(PROOFS * 8));
        Self {
            max,
            listed: HashMap::new(),
            unsure: HashSet::new(),
            words: RateLimiter::keyed(words),
            enrolments: RateLimiter::keyed(enrolments),
            proofs: RateLimiter::keyed(proofs),
        }
    }

    /// Whether one more status of this environment, of so many bytes, is taken up now: a large one counts as several.
    pub(super) fn hears(&self, scope: &Scope, bytes: usize) -> bool {
        let weight = u32::try_from(bytes / WEIGHED).unwrap_or(u32::MAX).saturating_add(1);
        let weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN);
        matches!(self.words.check_key_n(scope, weight), Ok(Ok(())))
    }

    /// Whether one more enrolment of this environment is taken up now.
    pub(super) fn enrols(&self, scope: &Scope) -> bool {
        self.enrolments.check_key(scope).is_ok()
    }

    /// Whether one more signature that an agent of this environment shows is verified now.
    pub(super) fn verifies(&self, scope: &Scope) -> bool {
        self.proofs.check_key(scope).is_ok()
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
        if listed.len() >= usize::try_from(self.max).unwrap_or(usize::MAX)
            && agent::find(conn, environment_id, name).await?.is_none()
        {
            match agent::make_room(conn, environment_id, name, self.max, now - AWAY).await? {
                // Those that make it full are not written yet, or are gone: known after this batch.
                Room::There => {
                    self.unsure.insert(environment_id.to_owned());
                    return Ok(false);
                }
                Room::Of(gone) => {
                    listed.remove(&gone);
                }
                Room::None => return Ok(false),
            }
        }
        listed.insert(name.to_owned());
        Ok(true)
    }

    /// A batch was written.
    pub(super) fn settle(&mut self) {
        for environment in self.unsure.drain() {
            self.listed.remove(&environment);
        }
    }

    /// What is listed is asked anew.
    pub(super) fn forget(&mut self) {
        self.listed.clear();
        self.unsure.clear();
    }
}

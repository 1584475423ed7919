//! Whether an agent is well: three questions that are not the same.
//!
//! | question | it asks | what to do where not |
//! |---|---|---|
//! | live | do the agent's own tasks run? | start the process anew |
//! | ready | are calls answered? | send no callers here yet |
//! | fresh | did FORGE confirm lately that nothing is missing? | see to the connection; callers are served |
//!
//! An agent that lost its broker is live and ready and not fresh: to start it anew would help nobody.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::envelope::{AgeAction, MaxAge};
use schemas::status::{Mode, RefusalCode};

use crate::agent::Core;

/// The follower's loop turns each second, and stands still while a large bundle is taken up or a task that
/// failed waits to be started again. Longer than this, it is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What is well, and what is not and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// The agent's own tasks run.
    pub live: bool,
    /// Calls are answered: something is served, or FORGE said that there is nothing to serve.
    pub ready: bool,
    /// FORGE confirmed that nothing is missing, lately enough: not stale, and no rule for old content is
    /// broken.
    pub fresh: bool,
    /// A sentence for people for each of them that is not.
    pub reasons: Vec<String>,
}

/// When the loop that follows turned last.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<Instant>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pulse {
    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Not by the clock that counts sleep: who slept is not stuck.
    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// All that the answer depends on.
#[derive(Debug, Clone, Default)]
struct Seen {
    stopped: bool,
    /// Since the follower's loop turned.
    pulse: Duration,
    /// It follows FORGE; one that serves a folder and nothing else does not.
    follows: bool,
    mode: Mode,
    /// Sets of which something is served.
    served: usize,
    /// Sets that FORGE announced and of which nothing is served.
    lacking: Vec<String>,
    /// What was refused because the host's code was built for something else, and what is served breaks it.
    broken: Vec<String>,
    /// FORGE said since the start that nothing is missing.
    confirmed: bool,
    stale: Option<String>,
    age: Option<Duration>,
    /// The rule for old content that is broken.
    too_old: Option<MaxAge>,
}

fn judge(seen: &Seen) -> Health {
    let mut reasons = Vec::new();
    let mut check = |why: Option<String>| {
        let well = why.is_none();
        reasons.extend(why);
        well
    };
    Health { live: check(dead(seen)), ready: check(unready(seen)), fresh: check(old(seen)), reasons }
}

fn dead(seen: &Seen) -> Option<String> {
    if seen.stopped {
        return Some("the agent is stopped".into());
    }
    (seen.follows && seen.pulse > STUCK)
        .then(|| format!("the agent's own loop stands still for {} s", seen.pulse.as_secs()))
}

fn unready(seen: &Seen) -> Option<String> {
    if let Some(rule) = seen.too_old.filter(|rule| rule.action == AgeAction::Refuse) {
        return Some(format!("calls are refused: what is here was not confirmed for {} s", rule.seconds));
    }
    if let Some(set) = seen.broken.first() {
        return Some(format!("what is served of {set} breaks what this program was built for"));
    }
    if seen.served > 0 || !seen.follows {
        return None;
    }
    Some(match seen.lacking.first() {
        Some(set) if seen.mode == Mode::Frozen => {
            format!(
                "nothing is served: the agent is FROZEN, and {set} waits; \"live sync\" takes it up once, ACCEPTING from \
                 now on, and a baked bundle is served at the start"
            )
        }
        Some(set) => format!("nothing is served yet: {set} is announced and is not here"),
        None if seen.confirmed => return None,
        None => "nothing is served yet, and FORGE has not said that there is nothing".into(),
    })
}

fn old(seen: &Seen) -> Option<String> {
    if !seen.follows {
        return None;
    }
    if let Some(why) = &seen.stale {
        return Some(why.clone());
    }
    if let Some(rule) = seen.too_old {
        return Some(format!("what is here was not confirmed for {} s, which is the bound", rule.seconds));
    }
    (seen.age.is_none()).then(|| "FORGE has not yet confirmed what is here".into())
}

impl Core {
    /// Whether the agent is well, as of now.
    pub(crate) fn health(&self) -> Health {
        let (stale, age, too_old) = (self.stale_reason(), self.age(), self.too_old());
        let state = self.state();
        let name = |set: &schemas::Slug| format!("@{set}");
        let lacking = state.sets.iter().filter(|(_, one)| one.active.is_none() && one.is_known());
        let breaks = |one: &crate::agent::SetState| {
            let refused =
                one.refused.as_ref().and_then(|refused| Some((refused.serial?, refused.reason.as_ref()?)));
            let active = one.active.as_ref().map(|held| held.applied.serial);
            refused.is_some_and(|(serial, why)| why.code == RefusalCode::Contract && active == Some(serial))
        };
        let broken = state.sets.iter().filter(|(_, one)| breaks(one));
        judge(&Seen {
            stopped: self.is_closed(),
            pulse: self.pulse.age(),
            follows: self.config.follows(),
            mode: state.mode,
            served: self.cache.load().sets().len(),
            lacking: lacking.map(|(set, _)| name(set)).collect(),
            broken: broken.map(|(set, _)| name(set)).collect(),
            confirmed: state.word.is_confirmed(),
            stale,
            age,
            too_old,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent in the best of health.
    fn well() -> Seen {
        Seen {
            follows: true,
            served: 2,
            confirmed: true,
            age: Some(Duration::from_secs(3)),
            pulse: Duration::from_secs(1),
            ..Seen::default()
        }
    }

    fn rule(action: AgeAction) -> Option<MaxAge> {
        Some(MaxAge { seconds: 60, action })
    }

    /// Live, ready, fresh, and what is said.
    fn of(change: impl FnOnce(&mut Seen)) -> (bool, bool, bool, String) {
        let mut seen = well();
        change(&mut seen);
        let health = judge(&seen);
        let not = [health.live, health.ready, health.fresh].iter().filter(|well| !**well).count();
        assert_eq!(health.reasons.len(), not, "one reason for each: {health:?}");
        (health.live, health.ready, health.fresh, health.reasons.join("; "))
    }

    #[test]
    fn who_is_well_has_nothing_to_say() {
        assert_eq!(of(|_| {}), (true, true, true, String::new()));
    }

    #[test]
    fn a_stuck_or_stopped_agent_is_not_live_and_answers_all_the_same() {
        let (live, ready, fresh, why) = of(|seen| seen.pulse = STUCK + Duration::from_secs(1));
        assert_eq!((live, ready, fresh), (false, true, true));
        assert!(why.contains("stands still for 61 s"), "{why}");
        assert!(of(|seen| seen.pulse = STUCK).0);
        let (live, ready, _, why) = of(|seen| seen.stopped = true);
        assert_eq!((live, ready), (false, true));
        assert!(why.contains("stopped"));
    }

    #[test]
    fn an_agent_that_lost_forge_is_live_and_ready_and_not_fresh() {
        let (live, ready, fresh, why) = of(|seen| seen.stale = Some("FORGE is not heard, for 21 s".into()));
        assert_eq!((live, ready, fresh, why.as_str()), (true, true, false, "FORGE is not heard, for 21 s"));
        let (live, ready, fresh, why) = of(|seen| (seen.age, seen.confirmed) = (None, false));
        assert_eq!((live, ready, fresh), (true, true, false));
        assert!(why.contains("not yet confirmed"));
    }

    #[test]
    fn old_content_is_not_fresh_and_with_refuse_not_ready_either() {
        let (live, ready, fresh, why) = of(|seen| seen.too_old = rule(AgeAction::Warn));
        assert_eq!((live, ready, fresh), (true, true, false));
        assert!(why.contains("60 s"));
        let (live, ready, fresh, why) = of(|seen| seen.too_old = rule(AgeAction::Refuse));
        assert_eq!((live, ready, fresh), (true, false, false));
        assert!(why.contains("calls are refused"));
    }

    #[test]
    fn nothing_to_serve_is_ready_only_where_forge_said_so() {
        let (_, ready, fresh, _) = of(|seen| seen.served = 0);
        assert!(ready && fresh, "FORGE said that there is nothing");
        let nothing = |seen: &mut Seen| {
            (seen.served, seen.confirmed, seen.age) = (0, false, None);
        };
        let (live, ready, fresh, why) = of(nothing);
        assert_eq!((live, ready, fresh), (true, false, false));
        assert!(why.contains("has not said that there is nothing"), "{why}");
        let (_, ready, _, why) = of(|seen| {
            seen.served = 0;
            seen.lacking = vec!["@chat".into()];
        });
        assert!(!ready && why.contains("@chat is announced"), "{why}");
        let (_, ready, _, why) = of(|seen| {
            (seen.served, seen.mode) = (0, Mode::Frozen);
            seen.lacking = vec!["@chat".into()];
        });
        assert!(!ready && why.contains("FROZEN, and @chat waits"), "{why}");
        assert!(why.contains("live sync") && why.contains("baked bundle"), "the ways out: {why}");
        // One set of several is served: calls are answered.
        assert!(of(|seen| seen.lacking = vec!["@mail".into()]).1);
    }

    #[test]
    fn what_breaks_the_host_s_code_is_served_and_not_ready() {
        let (live, ready, fresh, why) = of(|seen| seen.broken = vec!["@chat".into()]);
        assert_eq!((live, ready, fresh), (true, false, true));
        assert!(why.contains("@chat breaks"), "{why}");
    }

    #[test]
    fn a_folder_alone_is_well_without_forge() {
        let (live, ready, fresh, _) = of(|seen| {
            let pulse = STUCK * 2;
            *seen = Seen { stale: Some("no FORGE".into()), pulse, ..Seen::default() };
        });
        assert_eq!((live, ready, fresh), (true, true, true));
    }
}

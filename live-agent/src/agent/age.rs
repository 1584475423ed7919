//! How old what is served may get: the project's rule, and the agent's own.
//!
//! Each rule says what is done from an age on. At any age the strictest action holds of those rules
//! that the age is beyond, `refuse` before `warn` before `serve`; of two that say the same, the one with
//! fewer seconds. So `warn` after an hour and `refuse` after a day make: serve, warn after an hour,
//! refuse after a day, whichever of the two is whose. The age counts from FORGE's signed word that
//! confirmed all that is here; where there never was one, from the agent's start.

use std::time::Duration;

use schemas::envelope::{AgeAction, MaxAge};

/// The rules that hold for one agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// As FORGE says it.
    pub(crate) project: Option<MaxAge>,
    /// As the agent's owner says it.
    pub(crate) own: Option<MaxAge>,
}

fn strictness(action: AgeAction) -> u8 {
    match action {
        AgeAction::Serve => 0,
        AgeAction::Warn | AgeAction::Unknown => 1,
        AgeAction::Refuse => 2,
    }
}

impl Rules {
    fn all(self) -> impl Iterator<Item = MaxAge> {
        [self.project, self.own].into_iter().flatten()
    }

    /// The rule that something of this age is beyond; one that says `serve` is none.
    pub(crate) fn beyond(self, age: Duration) -> Option<MaxAge> {
        self.all()
            .filter(|rule| rule.action != AgeAction::Serve && age > Duration::from_secs(rule.seconds))
            .max_by_key(|rule| (strictness(rule.action), std::cmp::Reverse(rule.seconds)))
    }

    /// The rule to tell of: the one that holds, or else the next that would.
    pub(crate) fn told(self, age: Duration) -> Option<MaxAge> {
        let next = || {
            self.all().min_by_key(|rule| {
                let strictness = strictness(rule.action);
                (strictness == 0, rule.seconds, std::cmp::Reverse(strictness))
            })
        };
        self.beyond(age).or_else(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: AgeAction, seconds: u64) -> Option<MaxAge> {
        Some(MaxAge { seconds, action })
    }

    fn at(rules: Rules, seconds: u64) -> &'static str {
        rules.beyond(Duration::from_secs(seconds)).map_or("serve", |rule| rule.action.as_str())
    }

    #[test]
    fn at_every_age_the_stricter_one_holds_whoever_says_it() {
        let (warn, refuse) = (rule(AgeAction::Warn, 10), rule(AgeAction::Refuse, 100));
        for rules in [Rules { project: warn, own: refuse }, Rules { project: refuse, own: warn }] {
            assert_eq!([10, 11, 100, 101].map(|age| at(rules, age)), ["serve", "warn", "warn", "refuse"]);
            assert_eq!(rules.told(Duration::ZERO), warn, "the next to hold");
            assert_eq!(rules.told(Duration::from_secs(50)), warn);
            assert_eq!(rules.told(Duration::from_secs(101)), refuse);
        }
        let (early, late) = (rule(AgeAction::Refuse, 10), rule(AgeAction::Warn, 100));
        for rules in [Rules { project: early, own: late }, Rules { project: late, own: early }] {
            assert_eq!([10, 11, 101].map(|age| at(rules, age)), ["serve", "refuse", "refuse"]);
        }
        let (five, nine) = (rule(AgeAction::Warn, 5), rule(AgeAction::Warn, 9));
        let rules = Rules { project: nine, own: five };
        assert_eq!((at(rules, 6), rules.told(Duration::from_secs(20))), ("warn", five));
    }

    #[test]
    fn one_rule_alone_holds_and_serve_never_does() {
        let serve = rule(AgeAction::Serve, 1);
        assert_eq!(at(Rules::default(), u64::MAX), "serve");
        assert_eq!(Rules::default().told(Duration::MAX), None);
        let own = Rules { project: None, own: rule(AgeAction::Refuse, 5) };
        assert_eq!([5, 6].map(|age| at(own, age)), ["serve", "refuse"]);
        let unknown = Rules { project: rule(AgeAction::Unknown, 5), own: None };
        assert_eq!(at(unknown, 6), "warn");
        let both = Rules { project: serve, own: rule(AgeAction::Warn, 50) };
        assert_eq!((at(both, 20), both.told(Duration::ZERO)), ("serve", both.own));
        let only = Rules { project: serve, own: None };
        assert_eq!((at(only, 20), only.told(Duration::ZERO)), ("serve", serve));
    }
}

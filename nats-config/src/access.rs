//! Who may do what with which subject: one table. What is not in it is refused.
//!
//! The permissions of credentials and of FORGE's own users are made from it ([`crate::account`]), and a test
//! walks all of it on a real server: every user, on its own environment, on another environment of its project, on
//! another project and on another organisation.

use schemas::Scope;

use crate::subject;

/// Who is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// An agent, with a credential of one environment.
    Agent,
    /// A person of the project who looks, with a credential of one environment.
    Inspect,
    /// FORGE, in the account that owns every stream.
    Forge,
    /// FORGE, in the system account.
    System,
    /// A user that an account signed itself, beside its scoped keys; nobody makes such.
    Stray,
}

impl Who {
    pub const ALL: [Self; 5] = [Self::Agent, Self::Inspect, Self::Forge, Self::System, Self::Stray];
}

/// What is done with a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    Publish,
    Subscribe,
}

impl Act {
    pub const ALL: [Self; 2] = [Self::Publish, Self::Subscribe];
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub who: Who,
    pub act: Act,
    /// With `{S}` for the stream of the user's environment, `{P}` for its prefix
    /// `forge.<organisation>.<project>.<environment>`, and `{I}` for the user's own inbox.
    pub pattern: &'static str,
    /// What it is for.
    pub why: &'static str,
}

const fn rule(who: Who, act: Act, pattern: &'static str, why: &'static str) -> Rule {
    Rule { who, act, pattern, why }
}

use Act::{Publish, Subscribe};
use Who::{Agent, Forge, Inspect, System};

/// The table. An operator's own context on the FORGE account may do everything there, and stands in no line;
/// whoever has no credential is not let in at all.
pub const TABLE: &[Rule] = &[
    rule(Agent, Publish, "FJS.API.CONSUMER.INFO.{S}.*", "to look at its durable"),
    rule(Agent, Publish, "FJS.API.CONSUMER.MSG.NEXT.{S}.*", "to pull from its durable"),
    rule(Agent, Publish, "FJS.API.DIRECT.GET.{S}", "to replay and to reconcile"),
    rule(Agent, Publish, "FJS.API.DIRECT.GET.{S}.{P}.bundle.*", "to get the newest of one set"),
    rule(Agent, Publish, "$JS.ACK.{S}.*.>", "to acknowledge"),
    rule(Agent, Publish, "{P}.status.*", "to say how it is"),
    rule(Agent, Publish, "{P}.enroll.*", "to enrol"),
    rule(Agent, Subscribe, "{I}.>", "to get answers"),
    rule(Agent, Subscribe, "{P}.ctl.>", "to hear bundles and heartbeats"),
    rule(Inspect, Publish, "FJS.API.STREAM.INFO.{S}", "to look at the stream"),
    rule(Inspect, Publish, "FJS.API.CONSUMER.LIST.{S}", "to list the durables"),
    rule(Inspect, Publish, "FJS.API.CONSUMER.NAMES.{S}", "to list the durables"),
    rule(Inspect, Publish, "FJS.API.CONSUMER.INFO.{S}.*", "to look at a durable"),
    rule(Inspect, Publish, "FJS.API.DIRECT.GET.{S}", "to look at messages"),
    rule(Inspect, Publish, "FJS.API.DIRECT.GET.{S}.{P}.bundle.*", "to look at the newest of one set"),
    rule(Inspect, Subscribe, "{I}.>", "to get answers"),
    rule(Inspect, Subscribe, "{P}.ctl.>", "to hear bundles and heartbeats"),
    rule(Forge, Publish, "$JS.API.>", "to keep streams and durables"),
    rule(Forge, Publish, subject::ALL_BUNDLES, "to publish"),
    rule(Forge, Publish, subject::ALL_HEARTBEATS, "to announce the heads"),
    rule(Forge, Subscribe, "{I}.>", "to get answers"),
    rule(Forge, Subscribe, subject::ALL_STATUS, "to hear how agents are"),
    rule(Forge, Subscribe, subject::ALL_ENROL, "to let agents enrol"),
    rule(System, Publish, "$SYS.REQ.CLAIMS.UPDATE", "to bring accounts to the servers"),
    rule(System, Publish, "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", "to see what the servers have"),
    rule(System, Publish, "$SYS.REQ.ACCOUNT.*.CONNZ", "to find the connections of a credential"),
    rule(System, Publish, "$SYS.REQ.SERVER.*.KICK", "to end the connections of a revoked credential"),
    rule(System, Subscribe, "{I}.>", "to get answers"),
    rule(System, Subscribe, "$SYS.ACCOUNT.*.CONNECT", "to hear who comes"),
    rule(System, Subscribe, "$SYS.ACCOUNT.*.DISCONNECT", "to hear who goes"),
    rule(System, Subscribe, "$SYS.REQ.CLAIMS.UPDATE", "to overhear who pushes an account"),
    rule(System, Subscribe, "$SYS.REQ.CLAIMS.DELETE", "to overhear who deletes an account"),
    rule(System, Subscribe, "$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", "to overhear who pushes an account"),
    rule(System, Subscribe, "$SYS.ACCOUNT.*.CLAIMS.UPDATE", "to overhear who pushes an account as of old"),
];

/// The subjects that somebody may publish, or subscribe to, with the names of an environment and of the user
/// filled in: `stream` and `prefix` of its environment, and its public key.
pub(crate) fn filled(who: Who, act: Act, stream: &str, prefix: &str, user: &str) -> Vec<String> {
    let fill = |pattern: &str| {
        pattern.replace("{S}", stream).replace("{P}", prefix).replace("{I}", &subject::inbox(user))
    };
    TABLE.iter().filter(|r| r.who == who && r.act == act).map(|r| fill(r.pattern)).collect()
}

/// The subjects that somebody of a scope may publish, or subscribe to. `user` is their public key.
#[must_use]
pub fn allowed(who: Who, act: Act, scope: &Scope, user: &str) -> Vec<String> {
    filled(who, act, &subject::stream(scope), &subject::prefix(scope), user)
}

/// Whether the table lets somebody of a scope do this. `user` is their public key.
///
/// The server takes what is asked for by the letter: a `>` is a word like others, which a `*` of the table lets pass,
/// in a subscription too.
#[must_use]
pub fn may(who: Who, act: Act, scope: &Scope, user: &str, subject: &str) -> bool {
    let subject = subject.replace('>', "x");
    allowed(who, act, scope, user).iter().any(|pattern| covers(pattern, &subject))
}

/// Whether every subject of `inner` is one of `outer`; both may hold wildcards.
#[must_use]
pub fn covers(outer: &str, inner: &str) -> bool {
    let (mut outer, mut inner) = (outer.split('.'), inner.split('.'));
    loop {
        match (outer.next(), inner.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_an_agent_or_an_inspector_reaches_beyond_its_environment() {
        let own = ["{S}", "{P}.", "{I}."];
        for rule in TABLE.iter().filter(|r| matches!(r.who, Agent | Inspect)) {
            assert!(own.iter().any(|part| rule.pattern.contains(part)), "{}", rule.pattern);
            // The server would let `>` in for it, and with that what lies below.
            assert!(rule.act == Publish || !rule.pattern.ends_with('*'), "{}", rule.pattern);
            let reads = [".INFO.", ".LIST.", ".NAMES.", ".GET."].iter().any(|v| rule.pattern.contains(v));
            assert!(rule.who == Agent || rule.act == Subscribe || reads, "{}", rule.pattern);
        }
    }

    #[test]
    fn no_line_stands_twice_and_each_says_why() {
        let mut seen = std::collections::HashSet::new();
        for rule in TABLE {
            assert!(seen.insert((rule.who, rule.act, rule.pattern)), "{}", rule.pattern);
            assert!(rule.why.starts_with("to "), "{}", rule.pattern);
        }
        assert!(TABLE.iter().all(|r| r.who != Who::Stray));
    }

    #[test]
    fn one_subject_covers_another_only_if_it_covers_all_of_it() {
        for (outer, inner) in
            [("a.>", "a.b"), ("a.>", "a.>"), ("a.*", "a.*"), ("a.*.>", "a.b.c.d"), ("a", "a")]
        {
            assert!(covers(outer, inner), "{outer} {inner}");
        }
        for (outer, inner) in
            [("a.>", "a"), ("a.*", "a.>"), ("a.*", "a"), ("a.b", "a.*"), ("a.>", ">"), ("a", "a.b")]
        {
            assert!(!covers(outer, inner), "{outer} {inner}");
        }
    }
}

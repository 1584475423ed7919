//! Every subject. Nobody else spells one.
//!
//! `P` is `forge.<organisation>.<project>.<environment>`.

use schemas::{Scope, Slug};

/// The prefix under which agents reach the JetStream API of the FORGE account.
pub const JETSTREAM_PREFIX: &str = "FJS.API";

/// `P`.
#[must_use]
pub fn prefix(scope: &Scope) -> String {
    prefix_of(&scope.organisation, &scope.project, scope.environment.as_str())
}

/// `P` with an environment that the server fills in.
pub(crate) fn prefix_of(organisation: &Slug, project: &Slug, environment: &str) -> String {
    format!("forge.{organisation}.{project}.{environment}")
}

/// Where a set's bundles are published: `P.bundle.<set>`.
#[must_use]
pub fn bundle(scope: &Scope, set: &Slug) -> String {
    format!("{}.bundle.{set}", prefix(scope))
}

/// All bundles of a scope: `P.bundle.*`.
#[must_use]
pub fn bundles(scope: &Scope) -> String {
    format!("{}.bundle.*", prefix(scope))
}

/// All bundles of a scope, as a direct get asks for them: `P.bundle.>`.
#[must_use]
pub fn bundles_below(scope: &Scope) -> String {
    format!("{}.bundle.>", prefix(scope))
}

/// Where the server republishes stored bundles: `P.ctl.bundle.{{wildcard(1)}}`.
#[must_use]
pub fn republish_destination(scope: &Scope) -> String {
    format!("{}.ctl.bundle.{{{{wildcard(1)}}}}", prefix(scope))
}

/// Republished bundles, as an agent subscribes: `P.ctl.bundle.>`.
#[must_use]
pub fn announcements(scope: &Scope) -> String {
    format!("{}.ctl.bundle.>", prefix(scope))
}

/// A republished bundle of one set: `P.ctl.bundle.<set>`.
#[must_use]
pub fn announced_bundle(scope: &Scope, set: &Slug) -> String {
    format!("{}.ctl.bundle.{set}", prefix(scope))
}

/// FORGE's signed heartbeat: `P.ctl.heartbeat`.
#[must_use]
pub fn heartbeat(scope: &Scope) -> String {
    format!("{}.ctl.heartbeat", prefix(scope))
}

/// Everything that FORGE says to a scope's agents: `P.ctl.>`.
#[must_use]
pub fn control(scope: &Scope) -> String {
    format!("{}.ctl.>", prefix(scope))
}

/// An agent's status: `P.status.<agent>`.
#[must_use]
pub fn status(scope: &Scope, agent: &Slug) -> String {
    format!("{}.status.{agent}", prefix(scope))
}

/// An agent's enrolment: `P.enroll.<agent>`.
#[must_use]
pub fn enrol(scope: &Scope, agent: &Slug) -> String {
    format!("{}.enroll.{agent}", prefix(scope))
}

/// The status of every agent of a scope: `P.status.*`.
#[must_use]
pub fn any_status(scope: &Scope) -> String {
    format!("{}.status.*", prefix(scope))
}

/// The enrolment of every agent of a scope: `P.enroll.*`.
#[must_use]
pub fn any_enrol(scope: &Scope) -> String {
    format!("{}.enroll.*", prefix(scope))
}

/// Every bundle of every scope, as FORGE may publish.
pub const ALL_BUNDLES: &str = "forge.*.*.*.bundle.*";
/// Every heartbeat, as FORGE may publish.
pub const ALL_HEARTBEATS: &str = "forge.*.*.*.ctl.heartbeat";
/// Everything that FORGE says to agents, as it is exported.
pub const ALL_CONTROL: &str = "forge.*.*.*.ctl.>";
/// Every agent's status, as FORGE subscribes.
pub const ALL_STATUS: &str = "forge.*.*.*.status.*";
/// Every enrolment, as FORGE subscribes.
pub const ALL_ENROL: &str = "forge.*.*.*.enroll.*";

/// The stream of a scope: `FORGE_<organisation>_<project>_<environment>`.
///
/// Slugs hold no underscore, so two scopes never share a name.
#[must_use]
pub fn stream(scope: &Scope) -> String {
    stream_of(&scope.organisation, &scope.project, scope.environment.as_str())
}

/// The stream of an environment that the server fills in.
pub(crate) fn stream_of(organisation: &Slug, project: &Slug, environment: &str) -> String {
    format!("FORGE_{organisation}_{project}_{environment}")
}

/// The stream with the last status of every agent, for the `nats` CLI.
pub const STATUS_STREAM: &str = "FORGE_STATUS";

/// The account of a project's agents: `AGENTS_<organisation>_<project>`.
#[must_use]
pub fn agents_account(organisation: &Slug, project: &Slug) -> String {
    format!("AGENTS_{organisation}_{project}")
}

/// The inbox prefix of a credential, which only it may subscribe to: `_INBOX_<public key>`.
#[must_use]
pub fn inbox(user_public_key: &str) -> String {
    format!("_INBOX_{user_public_key}")
}

/// `FJS.API.DIRECT.GET.<stream>`.
#[must_use]
pub fn direct_get(scope: &Scope) -> String {
    format!("{JETSTREAM_PREFIX}.DIRECT.GET.{}", stream(scope))
}

/// Scope and last token of a subject `P.<kind>.<agent>`, where it is one.
#[must_use]
pub fn parse_agent_subject(subject: &str, kind: &str) -> Option<(Scope, Slug)> {
    let mut parts = subject.split('.');
    if parts.next()? != "forge" {
        return None;
    }
    let scope = Scope::new(parts.next()?, parts.next()?, parts.next()?).ok()?;
    if parts.next()? != kind {
        return None;
    }
    let agent = Slug::new(parts.next()?).ok()?;
    parts.next().is_none().then_some((scope, agent))
}

/// The newest bundle of one set by direct get: `FJS.API.DIRECT.GET.<stream>.P.bundle.<set>`.
#[must_use]
pub fn direct_get_last(scope: &Scope, set: &Slug) -> String {
    format!("{}.{}", direct_get(scope), bundle(scope, set))
}

/// Where an agent asks its durable consumer for messages: `FJS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>`.
#[must_use]
pub fn consumer_next(scope: &Scope, consumer: &str) -> String {
    format!("{JETSTREAM_PREFIX}.CONSUMER.MSG.NEXT.{}.{consumer}", stream(scope))
}

/// The set that a bundle's subject names, stored (`P.bundle.<set>`) or republished
/// (`P.ctl.bundle.<set>`).
#[must_use]
pub fn set_of_bundle(scope: &Scope, subject: &str) -> Option<Slug> {
    let rest = subject.strip_prefix(&prefix(scope))?.strip_prefix('.')?;
    let rest = rest.strip_prefix("ctl.").unwrap_or(rest);
    Slug::new(rest.strip_prefix("bundle.")?).ok()
}

/// Scope and agent of a status' subject.
#[must_use]
pub fn parse_status(subject: &str) -> Option<(Scope, Slug)> {
    parse_agent_subject(subject, "status")
}

/// Scope and agent of an enrolment's subject.
#[must_use]
pub fn parse_enrol(subject: &str) -> Option<(Scope, Slug)> {
    parse_agent_subject(subject, "enroll")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_subject_reads_back_and_others_do_not() {
        let scope = Scope::new("acme", "support", "dev").unwrap();
        let agent = Slug::new("agent-1").unwrap();
        assert_eq!(parse_status(&status(&scope, &agent)), Some((scope.clone(), agent.clone())));
        assert_eq!(parse_enrol(&enrol(&scope, &agent)), Some((scope.clone(), agent.clone())));
        assert_eq!(parse_status(&enrol(&scope, &agent)), None);
        for bad in [
            "",
            "forge",
            "forge.acme.support.dev.status",
            "forge.acme.support.dev.status.a.b",
            "forge.acme.support.dev.status.*",
            "other.acme.support.dev.status.a",
            "forge.acme..dev.status.a",
        ] {
            assert_eq!(parse_status(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_names_are_those_of_the_design() {
        let scope = Scope::new("acme", "support", "dev").unwrap();
        assert_eq!(stream(&scope), "FORGE_acme_support_dev");
        assert_eq!(bundle(&scope, &Slug::new("chat").unwrap()), "forge.acme.support.dev.bundle.chat");
        assert_eq!(republish_destination(&scope), "forge.acme.support.dev.ctl.bundle.{{wildcard(1)}}");
        assert_eq!(heartbeat(&scope), "forge.acme.support.dev.ctl.heartbeat");
        assert_eq!(direct_get(&scope), "FJS.API.DIRECT.GET.FORGE_acme_support_dev");
    }
}

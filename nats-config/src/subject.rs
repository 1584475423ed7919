//! Every subject. Nobody else spells one.
//!
//! `P` is `forge.<organisation>.<project>.<environment>`.

use schemas::{Scope, Slug};

/// The prefix under which agents reach the JetStream API of the FORGE account.
pub const JETSTREAM_PREFIX: &str = "FJS.API";

/// `P`.
#[must_use]
pub fn prefix(scope: &Scope) -> String {
    format!("forge.{}.{}.{}", scope.organisation, scope.project, scope.environment)
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

/// Every agent's status, as FORGE subscribes.
pub const ALL_STATUS: &str = "forge.*.*.*.status.*";
/// Every enrolment, as FORGE subscribes.
pub const ALL_ENROL: &str = "forge.*.*.*.enroll.*";

/// The stream of a scope: `FORGE_<organisation>_<project>_<environment>`.
///
/// Slugs hold no underscore, so two scopes never share a name.
#[must_use]
pub fn stream(scope: &Scope) -> String {
    format!("FORGE_{}_{}_{}", scope.organisation, scope.project, scope.environment)
}

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

//! Accounts: what FORGE exports, what a project's agents import, and who may do what.
//!
//! A reply subject is not checked against permissions, so a credential that may call the JetStream
//! API could make the server write into any stream of its own account. Streams therefore live in
//! the FORGE account alone, and each project's agents in an account of their own that imports
//! nothing but services of its own streams.
//!
//! The types here serialise into the `nats` part of JWTs.

use schemas::{Scope, Slug};
use serde::Serialize;

use crate::access::{self, Act, Who};
use crate::stream::STATUS_MAX;
use crate::subject::{self, JETSTREAM_PREFIX};
use crate::system;

/// Name of the system account.
pub const SYSTEM: &str = "SYS";
/// Name of the account that owns every stream.
pub const FORGE: &str = "FORGE";
/// Tag of a credential that names its environment: `env:<slug>`.
pub const ENVIRONMENT_TAG: &str = "env";
/// Largest message that a credential may send, headers included, in bytes: a status.
pub const PAYLOAD_MAX: i32 = STATUS_MAX + 64 * 1024;
/// Subscriptions of one connection of a credential. An agent has a handful; a leaf node has those of every agent behind
/// it, and so has room for some hundred.
pub const SUBSCRIPTIONS_MAX: i32 = 1024;
/// Connections of one project's credentials, all together: twice as many agents as an environment lists by default.
pub const CONNECTIONS_MAX: i32 = 20_000;
/// Role of a scoped signing key for agents.
pub const ROLE_AGENT: &str = "agent";
/// Role of a scoped signing key for people of the project who look.
pub const ROLE_INSPECT: &str = "inspect";

/// Whether something is asked or listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Service,
    Stream,
}

/// How many answers a service gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Response {
    Singleton,
    Stream,
}

/// Something that FORGE offers to the agents' accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Export {
    pub name: &'static str,
    pub subject: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_type: Option<Response>,
}

/// Something that an agents' account takes from FORGE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    pub name: String,
    pub subject: String,
    /// Public key of the exporting account.
    pub account: String,
    /// Under which subject it is reached, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_subject: Option<String>,
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// Subjects that are allowed or denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Permission {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// How a user may answer requests that it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResponsePermission {
    /// Answers per request.
    pub max: i64,
    /// In nanoseconds.
    pub ttl: i64,
}

/// What a user may publish, subscribe to and answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Permissions {
    #[serde(rename = "pub")]
    pub publish: Permission,
    #[serde(rename = "sub")]
    pub subscribe: Permission,
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponsePermission>,
}

impl Permissions {
    fn allow(publish: Vec<String>, subscribe: Vec<String>) -> Self {
        Self {
            publish: Permission { allow: publish, deny: Vec::new() },
            subscribe: Permission { allow: subscribe, deny: Vec::new() },
            responses: None,
        }
    }

    /// Nothing at all: the default of an agents' account, for users that no scope covers.
    #[must_use]
    pub fn none() -> Self {
        let nothing = || Permission { allow: Vec::new(), deny: vec![">".into()] };
        Self { publish: nothing(), subscribe: nothing(), responses: None }
    }
}

/// Everything that the FORGE account exports. Static: a new project changes nothing here.
#[must_use]
pub fn exports() -> Vec<Export> {
    let service = |name, subject: &str, response| Export {
        name,
        subject: subject.to_owned(),
        kind: Kind::Service,
        response_type: Some(response),
    };
    let api = |rest: &str| format!("{}.{rest}", system::JETSTREAM_PREFIX);
    vec![
        service("consumer-info", &api("CONSUMER.INFO.*.*"), Response::Singleton),
        service("consumer-next", &api("CONSUMER.MSG.NEXT.*.*"), Response::Stream),
        service("consumer-list", &api("CONSUMER.LIST.*"), Response::Singleton),
        service("consumer-names", &api("CONSUMER.NAMES.*"), Response::Singleton),
        service("stream-info", &api("STREAM.INFO.*"), Response::Singleton),
        service("direct-get", &api("DIRECT.GET.*"), Response::Stream),
        service("direct-get-last", &api("DIRECT.GET.*.>"), Response::Singleton),
        service("ack", &format!("{}.*.*.>", system::ACK_PREFIX), Response::Singleton),
        service("status", subject::ALL_STATUS, Response::Singleton),
        service("enrol", subject::ALL_ENROL, Response::Singleton),
        Export {
            name: "control",
            subject: subject::ALL_CONTROL.to_owned(),
            kind: Kind::Stream,
            response_type: None,
        },
    ]
}

/// What a project's account imports from `forge`, the public key of the FORGE account: services of
/// the streams of exactly these environments.
#[must_use]
pub fn imports(organisation: &Slug, project: &Slug, environments: &[Slug], forge: &str) -> Vec<Import> {
    environments
        .iter()
        .flat_map(|environment| {
            let scope = Scope {
                organisation: organisation.clone(),
                project: project.clone(),
                environment: environment.clone(),
            };
            environment_imports(&scope, forge)
        })
        .collect()
}

fn environment_imports(scope: &Scope, forge: &str) -> Vec<Import> {
    let stream = subject::stream(scope);
    let import = |name: &str, subject: String, local_subject, kind| Import {
        name: format!("{name}-{}", scope.environment),
        subject,
        account: forge.to_owned(),
        local_subject,
        kind,
    };
    let api = |name: &str, rest: String| {
        let local = format!("{JETSTREAM_PREFIX}.{rest}");
        import(name, format!("{}.{rest}", system::JETSTREAM_PREFIX), Some(local), Kind::Service)
    };
    vec![
        api("consumer-info", format!("CONSUMER.INFO.{stream}.*")),
        api("consumer-next", format!("CONSUMER.MSG.NEXT.{stream}.*")),
        api("consumer-list", format!("CONSUMER.LIST.{stream}")),
        api("consumer-names", format!("CONSUMER.NAMES.{stream}")),
        api("stream-info", format!("STREAM.INFO.{stream}")),
        api("direct-get", format!("DIRECT.GET.{stream}")),
        api("direct-get-last", format!("DIRECT.GET.{stream}.{}", subject::bundles(scope))),
        import("ack", format!("{}.{stream}.*.>", system::ACK_PREFIX), None, Kind::Service),
        import("status", subject::any_status(scope), None, Kind::Service),
        import("enrol", subject::any_enrol(scope), None, Kind::Service),
        import("control", subject::control(scope), None, Kind::Stream),
    ]
}

/// `{{tag(env)}}` and `{{subject()}}`: the server fills in the credential's own environment and
/// public key when it connects.
const TEMPLATE_ENVIRONMENT: &str = "{{tag(env)}}";
const TEMPLATE_USER: &str = "{{subject()}}";

/// What every agent of a project may do: the template of the scoped signing key.
#[must_use]
pub fn agent_template(organisation: &Slug, project: &Slug) -> Permissions {
    template(Who::Agent, organisation, project)
}

/// What a project's own people may do with the `nats` CLI: look, and nothing else.
#[must_use]
pub fn inspect_template(organisation: &Slug, project: &Slug) -> Permissions {
    template(Who::Inspect, organisation, project)
}

fn template(who: Who, organisation: &Slug, project: &Slug) -> Permissions {
    let stream = subject::stream_of(organisation, project, TEMPLATE_ENVIRONMENT);
    let prefix = subject::prefix_of(organisation, project, TEMPLATE_ENVIRONMENT);
    let allowed = |act| access::filled(who, act, &stream, &prefix, TEMPLATE_USER);
    Permissions::allow(allowed(Act::Publish), allowed(Act::Subscribe))
}

/// What a user may do that belongs to no environment.
fn own_user(who: Who, user: &str) -> Permissions {
    let allowed = |act| access::filled(who, act, "", "", user);
    Permissions::allow(allowed(Act::Publish), allowed(Act::Subscribe))
}

/// What FORGE's own user may do in the FORGE account.
#[must_use]
pub fn forge_permissions(user: &str) -> Permissions {
    let mut permissions = own_user(Who::Forge, user);
    // Enrolments are requests; each gets one answer.
    permissions.responses = Some(ResponsePermission { max: 1, ttl: 60_000_000_000 });
    permissions
}

/// What FORGE's own user may do in the system account.
#[must_use]
pub fn system_permissions(user: &str) -> Permissions {
    own_user(Who::System, user)
}

/// What an operator's own context may do in the FORGE account: everything.
#[must_use]
pub fn operator_permissions() -> Permissions {
    Permissions::allow(vec![">".into()], vec![">".into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::covers;

    fn slug(text: &str) -> Slug {
        Slug::new(text).unwrap()
    }

    #[test]
    fn every_import_is_exported_and_names_its_own_project() {
        let environments = [slug("dev"), slug("prod")];
        let imports = imports(&slug("acme"), &slug("support"), &environments, "AFORGE");
        assert_eq!(imports.len(), 2 * exports().len());
        for import in imports {
            let exported =
                exports().iter().any(|e| e.kind == import.kind && covers(&e.subject, &import.subject));
            assert!(exported, "{}", import.subject);
            let own = import.subject.contains("forge.acme.support.")
                || import.subject.contains(".FORGE_acme_support_");
            assert!(own, "{}", import.subject);
            assert_eq!(import.account, "AFORGE");
        }
    }

    #[test]
    fn an_agent_may_do_exactly_what_the_design_lists() {
        let template = agent_template(&slug("acme"), &slug("support"));
        let (s, p) = ("FORGE_acme_support_{{tag(env)}}", "forge.acme.support.{{tag(env)}}");
        assert_eq!(
            template.publish.allow,
            [
                format!("FJS.API.CONSUMER.INFO.{s}.*"),
                format!("FJS.API.CONSUMER.MSG.NEXT.{s}.*"),
                format!("FJS.API.DIRECT.GET.{s}"),
                format!("FJS.API.DIRECT.GET.{s}.{p}.bundle.*"),
                format!("$JS.ACK.{s}.*.>"),
                format!("{p}.status.*"),
                format!("{p}.enroll.*"),
            ]
        );
        assert_eq!(template.subscribe.allow, ["_INBOX_{{subject()}}.>".to_owned(), format!("{p}.ctl.>")]);
        assert_eq!(template.responses, None);
    }

    #[test]
    fn whoever_looks_may_write_nothing() {
        let template = inspect_template(&slug("acme"), &slug("support"));
        for subject in &template.publish.allow {
            let reads = [".INFO.", ".LIST.", ".NAMES.", ".GET."].iter().any(|verb| subject.contains(verb));
            assert!(reads, "{subject}");
        }
    }
}

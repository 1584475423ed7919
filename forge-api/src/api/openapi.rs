//! The description of the API, made from the table of routes and the types of its bodies, so that
//! neither can be forgotten.

mod operation;

use std::sync::LazyLock;

use axum::Json;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use self::operation::operation;
use super::body;
use crate::auth::route::{API, Route};
use crate::error::code::CODES;

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);

/// Names of the query's parameters, by method and path as the router has it.
static PARAMETERS: LazyLock<Vec<(&Route, Vec<String>)>> = LazyLock::new(|| {
    let named = API.iter().map(|route| {
        let found = &document()["paths"][route.path.replace("{*", "{")][route.method.to_lowercase()];
        let all = found["parameters"].as_array().into_iter().flatten();
        let names = all.filter(|p| p["in"] == "query").filter_map(|p| p["name"].as_str().map(str::to_owned));
        (route, names.collect())
    });
    named.collect()
});

/// Lists that are given whole, and why they never grow long. Every other list has pages.
pub const BOUNDED: &[(&str, &str)] = &[
    (
        "/api/v1/projects/{project}/sets/{set}/contracts",
        "one for each environment, service and version that agents of now were built for",
    ),
    ("/api/v1/models", "those that the operator configured"),
    ("/api/v1/recent", "the last few that one opened"),
    ("/api/v1/projects/{project}/sets/{set}/aliases", "a set has few names for its versions"),
    ("/api/v1/projects/{project}/sets/{set}/dependencies", "a set takes in few others"),
    (
        "/api/v1/projects/{project}/sets/{set}/versions/{version}/dependencies",
        "as many as the version was locked with",
    ),
];

pub(super) async fn get_openapi() -> Json<&'static Value> {
    Json(document())
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Value> {
    Some(generator.subschema_for::<T>().to_value())
}

/// What a route takes and gives.
fn bodies(route: &Route, g: &mut SchemaGenerator) -> (Option<Value>, Option<Value>) {
    use body::*;
    let path = route.path.strip_prefix("/api/v1").unwrap_or(route.path);
    let path = path
        .strip_prefix("/projects/{project}")
        .map_or(path, |rest| if rest.is_empty() { "/" } else { rest });
    match (route.method, path) {
        ("POST", "/sessions") => (schema::<SignIn>(g), schema::<SignedIn>(g)),
        ("GET", "/sessions") => (None, schema::<List<SessionBody>>(g)),
        ("GET", "/me") => (None, schema::<Me>(g)),
        ("PUT", "/me") => (schema::<PutMe>(g), None),
        ("POST", "/sign-in-links") => (schema::<AskLink>(g), None),
        ("POST", "/invitations/accept") => (schema::<AcceptInvitation>(g), schema::<SignedIn>(g)),
        ("GET", "/organisations/{organisation}/invitations") => (None, schema::<List<InvitationBody>>(g)),
        ("POST", "/organisations/{organisation}/invitations") => {
            (schema::<NewInvitationBody>(g), schema::<InvitationBody>(g))
        }
        ("GET", "/organisations/{organisation}/sign-in-links") => (None, schema::<List<AskedLink>>(g)),
        ("POST", "/organisations/{organisation}/sign-in-links") => {
            (schema::<AskLink>(g), schema::<MadeLink>(g))
        }
        ("GET", "/grants") => (None, schema::<List<MemberBody>>(g)),
        ("PUT", "/grants") => (schema::<PutMember>(g), None),
        ("GET", "/search") => (None, schema::<FoundBody>(g)),
        ("GET", "/recent" | "/favourites") => (None, schema::<List<ThingBody>>(g)),
        ("PUT" | "DELETE", "/favourites") => (schema::<StarBody>(g), schema::<ThingBody>(g)),
        ("GET", "/tokens") => (None, schema::<List<TokenBody>>(g)),
        ("POST", "/tokens") => (schema::<NewToken>(g), schema::<TokenBody>(g)),
        ("GET", "/organisations") => (None, schema::<List<OrganisationBody>>(g)),
        ("POST", "/organisations") => (schema::<Named>(g), schema::<OrganisationBody>(g)),
        ("GET", "/organisations/{organisation}/members") => (None, schema::<List<MemberBody>>(g)),
        ("PUT", "/organisations/{organisation}/members") => (schema::<PutMember>(g), None),
        ("GET", "/organisations/{organisation}/audit") => (None, schema::<List<AuditBody>>(g)),
        ("GET", "/organisations/{organisation}/audit/verify") => (None, schema::<ChainBody>(g)),
        ("GET", "/organisations/{organisation}/projects") => (None, schema::<List<ProjectBody>>(g)),
        ("POST", "/organisations/{organisation}/projects") => {
            (schema::<NewProjectBody>(g), schema::<ProjectBody>(g))
        }
        ("GET", "/organisations/{organisation}/overview") => (None, schema::<BoardBody>(g)),
        ("GET", "/") => (None, schema::<OverviewBody>(g)),
        ("GET", "/environments") => (None, schema::<List<EnvironmentBody>>(g)),
        ("POST", "/environments") => (schema::<NewEnvironmentBody>(g), schema::<EnvironmentBody>(g)),
        ("GET", "/environments/{environment}/breaks") => (None, schema::<BreaksBody>(g)),
        ("GET", "/sets/{set}/contracts") => (None, schema::<List<crate::contract::Known>>(g)),
        ("GET", "/usage") => (None, schema::<UsageBody>(g)),
        ("GET", "/sets") => (None, schema::<List<SetBody>>(g)),
        ("POST", "/sets") => (schema::<NewSetBody>(g), schema::<SetBody>(g)),
        ("GET", "/sets/{set}") => (None, schema::<DraftBody>(g)),
        ("PATCH", "/organisations/{organisation}") => {
            (schema::<OrganisationChange>(g), schema::<OrganisationBody>(g))
        }
        ("PATCH", "/") => (schema::<ProjectChange>(g), schema::<ProjectBody>(g)),
        ("PATCH", "/sets/{set}") => (schema::<SetChange>(g), schema::<SetBody>(g)),
        ("POST", "/sets/{set}/duplicate") => (schema::<Named>(g), schema::<SetBody>(g)),
        ("GET", "/sets/{set}/archived") => (None, schema::<List<ArchivedBody>>(g)),
        ("POST", "/sets/{set}/actions/rename") => (schema::<RenameRequest>(g), schema::<MovedBody>(g)),
        ("POST", "/sets/{set}/actions/duplicate") => (schema::<DuplicateRequest>(g), schema::<MovedBody>(g)),
        ("POST", "/sets/{set}/actions/archive") => (schema::<ArchiveRequest>(g), schema::<ArchivedBody>(g)),
        ("POST", "/sets/{set}/actions/restore") => (schema::<RestoreRequest>(g), schema::<MovedBody>(g)),
        ("POST", "/sets/{set}/actions/restore-version") => {
            (schema::<RestoreVersionRequest>(g), schema::<RestoredBody>(g))
        }
        ("GET", "/sets/{set}/notes/{*prompt}") => (None, schema::<NoteBody>(g)),
        ("PUT", "/sets/{set}/notes/{*prompt}") => (schema::<NoteText>(g), schema::<NoteBody>(g)),
        ("GET", "/sets/{set}/prompts") => (None, schema::<List<PromptSummaryBody>>(g)),
        ("GET", "/sets/{set}/prompts/{*prompt}") => (None, schema::<PromptBody>(g)),
        ("PUT", "/sets/{set}/prompts/{*prompt}") => {
            (schema::<schemas::prompt::Prompt>(g), schema::<PromptBody>(g))
        }
        ("GET", "/sets/{set}/partials/{*partial}") => (None, schema::<PartialBody>(g)),
        ("PUT", "/sets/{set}/partials/{*partial}") => (schema::<PartialSource>(g), schema::<PartialBody>(g)),
        ("GET", "/sets/{set}/history/{*prompt}" | "/sets/{set}/partial-history/{*partial}") => {
            (None, schema::<List<RevisionBody>>(g))
        }
        (
            _,
            "/sets/{set}/revisions/{revision}/{*prompt}"
            | "/sets/{set}/partial-revisions/{revision}/{*partial}",
        ) => (None, schema::<RevisionBody>(g)),
        ("GET", "/sets/{set}/states") => (None, schema::<List<StateBody>>(g)),
        ("GET", "/sets/{set}/compare") => (None, schema::<ChangesBody>(g)),
        ("GET", "/sets/{set}/next-version") => (None, schema::<ProposalBody>(g)),
        ("GET", "/sets/{set}/aliases") => (None, schema::<List<AliasBody>>(g)),
        ("GET", "/sets/{set}/aliases/{alias}") => (None, schema::<AliasBody>(g)),
        ("PUT", "/sets/{set}/aliases/{alias}") => (schema::<PutAlias>(g), schema::<AliasBody>(g)),
        ("GET", "/sets/{set}/dependencies") => (None, schema::<List<RequirementBody>>(g)),
        ("PUT", "/sets/{set}/dependencies/{dependency}") => {
            (schema::<PutRequirement>(g), schema::<RequirementBody>(g))
        }
        ("GET", "/sets/{set}/versions/{version}/dependencies") => {
            (None, schema::<List<LockedDependencyBody>>(g))
        }
        ("GET", "/resolve") => (None, schema::<ResolvedBody>(g)),
        ("GET", "/organisations/{organisation}/reviews") => (None, schema::<List<QueuedBody>>(g)),
        ("GET", "/sets/{set}/reviews/{number}") => (None, schema::<ReviewDetail>(g)),
        ("POST", "/sets/{set}/reviews/{number}/verdicts") => (schema::<VerdictRequest>(g), None),
        ("POST", "/sets/{set}/reviews/{number}/comments") => {
            (schema::<CommentRequest>(g), schema::<CommentBody>(g))
        }
        ("PUT", "/sets/{set}/reviews/{number}/comments/{comment}") => {
            (schema::<SettleRequest>(g), schema::<CommentBody>(g))
        }
        ("PUT", "/sets/{set}/reviews/{number}/seen") => (schema::<SeenRequest>(g), None),
        ("GET", "/sets/{set}/reviews/{number}/checks") => (None, schema::<ChecksBody>(g)),
        ("GET", "/environments/{environment}/approvals") => (None, schema::<ApprovalsBody>(g)),
        ("GET", "/environments/{environment}/rule") => (None, schema::<RuleBody>(g)),
        ("PUT", "/environments/{environment}/rule") => (schema::<PutRule>(g), schema::<RuleBody>(g)),
        ("POST", "/sets/{set}/check") => (schema::<Preview>(g), schema::<CheckBody>(g)),
        ("POST", "/sets/{set}/preview") => (schema::<Preview>(g), schema::<PreviewBody>(g)),
        ("POST", "/sets/{set}/render") => (schema::<RenderRequest>(g), schema::<RenderedBody>(g)),
        ("POST", "/sets/{set}/runs") => (schema::<RunRequest>(g), None),
        ("GET", "/sets/{set}/variable-sets") => (None, schema::<List<VariableSetBody>>(g)),
        ("GET", "/sets/{set}/variable-sets/{variable_set}") => (None, schema::<VariableSetBody>(g)),
        ("PUT", "/sets/{set}/variable-sets/{variable_set}") => {
            (schema::<PutVariableSet>(g), schema::<VariableSetBody>(g))
        }
        ("GET", "/models") => (None, schema::<List<ModelBody>>(g)),
        ("POST", "/sets/{set}/imports" | "/imports")
        | ("GET", "/sets/{set}/imports/{import}" | "/imports/{import}") => (None, schema::<PlanBody>(g)),
        ("POST", "/sets/{set}/imports/{import}/apply" | "/imports/{import}/apply") => {
            (schema::<ApplyPlan>(g), schema::<AppliedBody>(g))
        }
        ("POST", "/sets/{set}/import") => (schema::<Import>(g), schema::<ImportBody>(g)),
        ("POST", "/sets/{set}/lock") => (schema::<LockRequest>(g), schema::<VersionBody>(g)),
        ("GET", "/sets/{set}/reviews") => (None, schema::<List<ReviewBody>>(g)),
        ("POST", "/sets/{set}/reviews") => (schema::<ReviewRequest>(g), schema::<ReviewBody>(g)),
        ("POST", "/sets/{set}/reviews/current/approve") => (schema::<Approve>(g), None),
        ("GET", "/sets/{set}/versions") => (None, schema::<List<VersionBody>>(g)),
        ("GET", "/sets/{set}/versions/{version}") => (None, schema::<VersionBody>(g)),
        ("GET", "/sets/{set}/versions/{version}/bundle" | "/current_bundle") => {
            (None, schema::<schemas::bundle::Bundle>(g))
        }
        ("GET", "/publications") => (None, schema::<List<PublicationBody>>(g)),
        ("POST", "/publications") => (schema::<PublishRequest>(g), schema::<PublicationBody>(g)),
        ("POST", "/publications/{number}/retry") => (None, schema::<PublicationBody>(g)),
        ("GET", "/publications/{number}") => (None, schema::<PublicationDetail>(g)),
        ("GET", "/agents") => (None, schema::<List<AgentBody>>(g)),
        ("GET", "/mode-orders" | "/environments/{environment}/mode-orders") => {
            (None, schema::<List<OrderBody>>(g))
        }
        ("POST", "/mode-orders") => (schema::<NewFleetOrder>(g), schema::<List<OrderBody>>(g)),
        ("POST", "/environments/{environment}/mode-orders") => {
            (schema::<NewOrder>(g), schema::<OrderBody>(g))
        }
        ("GET", "/credentials") => (None, schema::<List<CredentialBody>>(g)),
        ("POST", "/credentials") => (schema::<NewCredential>(g), schema::<CreatedCredential>(g)),
        ("GET", "/webhooks") => (None, schema::<List<WebhookBody>>(g)),
        ("POST", "/webhooks") => (schema::<NewWebhook>(g), schema::<WebhookBody>(g)),
        ("GET", "/webhooks/{webhook}") => (None, schema::<WebhookBody>(g)),
        ("PUT", "/webhooks/{webhook}") => (schema::<NewWebhook>(g), schema::<WebhookBody>(g)),
        ("POST", "/webhooks/{webhook}/secret") => (None, schema::<WebhookBody>(g)),
        ("GET", "/webhooks/{webhook}/deliveries") => (None, schema::<List<DeliveryBody>>(g)),
        ("POST", "/webhooks/{webhook}/test" | "/webhooks/{webhook}/deliveries/{delivery}/redeliver") => {
            (None, schema::<DeliveryBody>(g))
        }
        ("PUT", "/max-age") => (schema::<schemas::envelope::MaxAge>(g), None),
        ("GET", "/signing-keys") => (None, schema::<List<SigningKeyBody>>(g)),
        ("DELETE", "/credentials/{credential}") => (None, schema::<Revoked>(g)),
        _ => (None, None),
    }
}

fn build() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|s| s.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in API {
        let bodies = bodies(route, &mut generator);
        let operation = operation(route, bodies, queries(route.path, route.method));
        let path = route.path.replace("{*", "{");
        if let Value::Object(methods) = paths.entry(path).or_insert_with(|| json!({})) {
            methods.insert(route.method.to_lowercase(), operation);
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".into(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "FORGE",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Prompts as content: written, reviewed, locked, published to agents, and taken back. \
                What holds for every route stands in docs/API.md.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": operation::tags(),
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "a personal API token" },
                "session": { "type": "apiKey", "in": "cookie", "name": crate::server::cookie::SESSION },
            },
        },
    })
}

/// What every refusal is.
fn problem() -> Value {
    let codes: Vec<&str> = CODES.iter().map(|code| code.name).collect();
    json!({
        "type": "object",
        "description": "what did not happen, and why (RFC 9457); nothing was changed",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string" }, "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": codes, "description": "stable; choose by it" },
            "detail": { "type": "string", "description": "for people: what is wrong, and the way out" },
            "field": { "type": "string", "description": "the part of the request that is wrong" },
        },
    })
}

/// The query's parameters that a route takes, as the router has its path.
pub(super) fn parameters(method: &str, path: &str) -> &'static [String] {
    let known = PARAMETERS.iter().find(|(route, _)| route.method == method && route.path == path);
    known.map_or(&[], |(_, names)| names)
}

/// Name, and whether it has to be there. What every list with pages takes is added for all of them.
fn queries(path: &str, method: &str) -> &'static [(&'static str, bool)] {
    match (method, path.rsplit('/').next()) {
        (_, Some("variable-sets" | "{variable_set}")) => &[("prompt", true)],
        ("GET", Some("current_bundle")) => &[("environment", true), ("set", true)],
        ("GET", Some("breaks" | "approvals")) => &[("set", true), ("version", true)],
        ("GET", Some("resolve")) => &[("address", true), ("project", false)],
        ("GET", Some("compare")) => &[("old", false), ("new", false)],
        ("PUT", Some("{*prompt}" | "{*partial}")) => &[("message", false)],
        ("GET", Some("usage")) => &[
            ("set", true),
            ("environment", false),
            ("version", false),
            ("from", false),
            ("to", false),
            ("by", false),
        ],
        ("GET", Some("search")) => &[
            ("q", false),
            ("organisation", false),
            ("project", false),
            ("set", false),
            ("tag", false),
            ("state", false),
            ("kind", false),
            ("archived", false),
            ("cursor", false),
            ("limit", false),
        ],
        ("GET", Some("recent")) => &[("organisation", true)],
        ("GET", Some("favourites")) => &[("organisation", false)],
        ("POST", Some("imports")) => {
            &[("format", false), ("name", false), ("existing", false), ("others", false)]
        }
        ("GET", Some("{import}")) => &[("existing", false), ("others", false)],
        ("GET", Some("export")) if path.contains("{set}") => {
            &[("format", false), ("version", false), ("report", false)]
        }
        ("GET", Some("publications")) => &[("environment", false), ("set", false), ("state", false)],
        ("GET", Some("agents")) => &[("environment", false), ("service", false), ("presence", false)],
        ("GET", Some("credentials")) => &[("environment", false), ("state", false)],
        ("GET", Some("projects")) => &[("q", false), ("archived", false)],
        ("GET", Some("sets")) => &[("state", false), ("q", false), ("archived", false)],
        ("GET", Some("prompts")) => &[("q", false), ("tag", false), ("state", false)],
        ("GET", Some("reviews")) => &[("state", false)],
        ("GET", Some("versions")) => &[("kind", false)],
        ("GET", Some("audit")) => {
            &[("actor", false), ("action", false), ("project", false), ("since", false), ("until", false)]
        }
        ("GET", Some("deliveries")) => &[("state", false)],
        // True unless it says false.
        ("DELETE", Some("sessions")) => &[("revoke_tokens", false)],
        _ => &[],
    }
}

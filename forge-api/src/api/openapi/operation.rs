//! One route as the description has it.

use serde_json::{Map, Value, json};

use super::BOUNDED;
use crate::api::idempotency::KEY_MAX;
use crate::api::page::{LIMIT, LIMIT_MAX};
use crate::api::{BUNDLE_TYPE, DOCUMENT_TYPES};
use crate::audit::ACTIONS;
use crate::auth::route::{Access, Route};

/// What a route is about: how its address goes on after organisation or project, the name, and a sentence.
const TAGS: &[(&str, &str, &str)] = &[
    ("sessions", "Account", "signing in, oneself, one's tokens"),
    ("me", "Account", ""),
    ("tokens", "Account", ""),
    ("account", "Account", ""),
    ("members", "Organisations", "tenants, their people, their audit log"),
    ("audit", "Organisations", ""),
    ("invitations", "Organisations", ""),
    ("organisations", "Organisations", ""),
    ("projects", "Projects", "projects, environments and the keys that sign for them"),
    ("environments", "Projects", ""),
    ("max-age", "Projects", ""),
    ("signing-keys", "Projects", ""),
    ("sets", "Sets and prompts", "what people write: drafts, partials, previews"),
    ("notes", "Sets and prompts", ""),
    ("archived", "Sets and prompts", ""),
    ("actions", "Sets and prompts", ""),
    ("overview", "Organisations", ""),
    ("variable-sets", "Trying it", "stored prompts rendered, and run with a model"),
    ("render", "Trying it", ""),
    ("runs", "Trying it", ""),
    ("models", "Trying it", ""),
    ("reviews", "Review, lock, version", "from a draft to an immutable version"),
    ("lock", "Review, lock, version", ""),
    ("reopen", "Review, lock, version", ""),
    ("versions", "Review, lock, version", ""),
    ("contracts", "Review, lock, version", ""),
    ("publications", "Publish", "versions sent to environments, and what agents answered"),
    ("current_bundle", "Publish", ""),
    ("breaks", "Publish", ""),
    ("agents", "Agents", "who follows, what it serves, its mode and its credentials"),
    ("mode-orders", "Agents", ""),
    ("credentials", "Agents", ""),
    ("usage", "Agents", ""),
    ("webhooks", "Webhooks", "events sent to other systems, signed, with a log"),
];
const REST: (&str, &str) = ("More", "all else");
const OPERATION: (&str, &str) = ("Operation", "for whoever watches the process, and this description");

/// Every tag with its sentence, in their order.
pub(super) fn tags() -> Value {
    let mut out: Vec<Value> = Vec::new();
    for (name, text) in TAGS.iter().map(|(_, name, text)| (*name, *text)).chain([REST, OPERATION]) {
        if !out.iter().any(|tag| tag["name"] == name) {
            out.push(json!({ "name": name, "description": text }));
        }
    }
    Value::Array(out)
}

fn tag(path: &str) -> &'static str {
    let Some(path) = path.strip_prefix("/api/v1/").filter(|p| *p != "openapi.json") else {
        return OPERATION.0;
    };
    let words: Vec<&str> = path.split('/').filter(|part| !part.starts_with('{')).collect();
    // The last word that is known says the most.
    let known = words.iter().rev().find_map(|word| TAGS.iter().find(|(w, ..)| w == word));
    known.map_or(REST.0, |(_, name, _)| name)
}

fn is_list(gives: Option<&Value>) -> bool {
    gives.and_then(|schema| schema["$ref"].as_str()).is_some_and(|name| name.contains("/List_of_"))
}

/// A name for generated clients, made of method and path: `list_project_sets`, `get_project_set`.
fn id(route: &Route, is_list: bool) -> String {
    let path = route.path.strip_prefix("/api/v1").unwrap_or(route.path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut words = Vec::new();
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| !part.starts_with('{')) {
        let one = parts.get(at + 1).is_some_and(|next| next.starts_with('{'));
        let word = part.replace(['-', '.'], "_");
        words.push(if one { word.trim_end_matches('s').to_owned() } else { word });
    }
    let on_one = parts.last().is_some_and(|part| part.starts_with('{'));
    let verb = match route.method {
        "GET" if is_list => "list",
        "GET" => "get",
        "PUT" => "put",
        "PATCH" => "change",
        "DELETE" => "delete",
        _ if on_one || words.last().is_some_and(|word| word.ends_with('s') && word.len() > 2) => "create",
        // What is done stands last in the address.
        _ => &words.pop().unwrap_or_default(),
    };
    let mut name = [&[verb.to_owned()][..], &words].concat().join("_");
    if verb == "create" && name.ends_with('s') {
        name.pop();
    }
    name
}

/// Statuses that say that it was done.
fn done(route: &Route, has_body: bool) -> &'static [&'static str] {
    let last = route.path.rsplit('/').next().unwrap_or_default();
    match (route.method, last) {
        ("POST", "sign-in-links") if route.access == Access::Public => &["202"],
        ("POST", "accept") => &["201", "204"],
        ("GET", "ready") => &["200", "503"],
        ("GET", _) => &["200"],
        (
            "POST",
            "check" | "preview" | "import" | "render" | "runs" | "rename" | "archive" | "restore"
            | "restore-version" | "apply",
        ) => &["200"],
        ("PUT", "{*prompt}" | "{*partial}" | "{variable_set}") => &["200", "201"],
        ("POST", _) if has_body => &["201"],
        _ if has_body => &["200"],
        _ => &["204"],
    }
}

fn refusals(route: &Route, takes: bool) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![
        ("422", "something of the request cannot be taken; `code` and `detail` say what"),
        ("429", "too many requests; `Retry-After` says when to come back"),
        ("503", "something that FORGE needs is away at the moment, or there is too much to do"),
        ("500", "a fault of FORGE; nothing was changed"),
    ];
    if route.access != Access::Public || route.method == "POST" {
        all.push(("401", "not signed in, or the token is not good any more"));
        all.push(("403", "the role, or the token, does not allow this"));
    }
    if route.path.contains('{') || route.method == "POST" || route.access != Access::Public {
        all.push(("404", "there is no such thing, or it is not yours to see"));
    }
    if route.method != "GET" || route.access != Access::Public {
        all.push(("409", "the state of things forbids it; `detail` says the way out"));
    }
    if takes || ["POST", "PUT", "PATCH"].contains(&route.method) {
        all.push(("413", "larger than is taken"));
        all.push(("415", "the body is no JSON by its content type"));
    }
    all
}

/// The route, with what it takes and gives.
pub(super) fn operation(
    route: &Route,
    (takes, gives): (Option<Value>, Option<Value>),
    queries: &[(&str, bool)],
) -> Value {
    let is_list = is_list(gives.as_ref()) && route.method == "GET";
    let bounded = BOUNDED.iter().find(|(path, _)| *path == route.path);
    let paged = is_list && bounded.is_none();
    let mut operation = json!({
        "operationId": id(route, is_list),
        "summary": route.summary,
        "tags": [tag(route.path)],
        "parameters": parameters(route, queries, paged),
        "responses": responses(route, takes.is_some(), gives, paged),
    });
    if let Some((_, why)) = bounded {
        operation["x-bounded"] = json!(why);
    }
    if let Some(schema) = takes {
        let mut content = json!({ "schema": schema });
        if let Some(example) = example(route) {
            content["example"] = example;
        }
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": content } });
    }
    if route.path.ends_with("/imports") {
        let file = json!({ "schema": { "type": "string", "format": "binary" } });
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/octet-stream": file } });
    }
    match route.access {
        Access::Public => operation["security"] = json!([]),
        Access::SignedIn => {}
        Access::Visit => operation["x-needs"] = json!("a role here or in one of its projects"),
        Access::May(action) => operation["x-needs"] = json!(action.to_string()),
        Access::InPerson(action) => {
            operation["x-needs"] = json!(action.to_string());
            operation["security"] = json!([{ "session": [] }]);
        }
    }
    operation
}

fn parameters(route: &Route, queries: &[(&str, bool)], paged: bool) -> Vec<Value> {
    let path =
        route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(|name| {
            let name = name.trim_start_matches('*');
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        });
    let pages = [("cursor", false), ("limit", false)];
    let queries = queries.iter().chain(pages.iter().filter(|_| paged)).map(|(name, required)| {
        let (schema, text) = query(name);
        json!({ "name": name, "in": "query", "required": required, "schema": schema, "description": text })
    });
    let header = |name: &str, text: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "schema": schema, "description": text });
    let mut all: Vec<Value> = path.chain(queries).collect();
    if route.method == "POST" && route.access != Access::Public {
        let text = "does the same request once a day at most, and answers the second one as the first";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": KEY_MAX, "pattern": "^[!-~]+$" });
        all.push(header("Idempotency-Key", text, schema));
    }
    if route.method == "GET" {
        let text = "an ETag: answered with 304 where nothing changed";
        all.push(header("If-None-Match", text, json!({ "type": "string", "pattern": "^[ -~]*$" })));
    }
    let revised = route.path.contains("{*") || route.path.ends_with("{variable_set}");
    if ["PUT", "DELETE"].contains(&route.method) && revised {
        let text = "the revision that one started from, such as \"3\"; without it, it must be new";
        all.push(header("If-Match", text, json!({ "type": "string", "pattern": "^\"[0-9]{1,9}\"$" })));
    }
    if route.method == "PATCH" {
        let text = "the settings_tag that one started from; without it, whatever stands there is changed";
        all.push(header("If-Match", text, json!({ "type": "string", "pattern": "^\"[!-~]{1,100}\"$" })));
    }
    all
}

/// What a parameter of a query is.
fn query(name: &str) -> (Value, String) {
    let text = json!({ "type": "string" });
    match name {
        "cursor" => (text, "`next` of the page before, as it is".into()),
        "limit" => (
            json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT }),
            "items of a page".into(),
        ),
        "archived" => {
            (json!({ "type": "boolean", "default": false }), "what is archived, not what is in use".into())
        }
        "revoke_tokens" => (json!({ "type": "boolean", "default": true }), "whether tokens end too".into()),
        "by" => (json!({ "type": "string", "enum": ["version", "prompt", "hour"] }), "what to sum by".into()),
        "from" | "to" => (json!({ "type": "string", "format": "date-time" }), "a time, RFC 3339".into()),
        "since" => (json!({ "type": "string", "format": "date-time" }), "from this time on, RFC 3339".into()),
        "until" => (json!({ "type": "string", "format": "date-time" }), "before this time, RFC 3339".into()),
        "actor" => (text, "only of who has this name or id".into()),
        "action" => (json!({ "type": "string", "enum": ACTIONS }), "only where this was done".into()),
        "q" => (text, "a part of a name, whatever the case of its letters".into()),
        "environment" | "set" | "service" | "version" | "prefix" => (text, format!("only of this {name}")),
        name => (text, format!("only of this {}", name.replace('_', " "))),
    }
}

fn responses(route: &Route, takes: bool, gives: Option<Value>, paged: bool) -> Value {
    let mut all = Map::new();
    let tag = json!({ "description": "for If-None-Match", "schema": { "type": "string" } });
    for status in done(route, gives.is_some()) {
        let mut good = json!({ "description": if *status == "201" { "made" } else { "done" } });
        let kind = DOCUMENT_TYPES.iter().find(|(path, _)| route.path.ends_with(path)).map(|(_, kind)| *kind);
        if let Some(schema) = &gives {
            let kind = kind.unwrap_or("application/json");
            // The bytes are a bundle's; a program that reads them wants its schema, and no test of them as JSON.
            let content = if kind == BUNDLE_TYPE {
                json!({ "schema": true, "x-schema": schema })
            } else {
                json!({ "schema": schema })
            };
            good["content"] = json!({ kind: content });
        } else if route.method == "GET" || kind.is_some() {
            good["content"] = json!({ kind.unwrap_or("application/json"): {} });
        }
        if route.method == "GET" && route.path.starts_with("/api/") {
            good["headers"] = json!({ "ETag": tag });
            if paged {
                let link =
                    json!({ "description": "the next page, rel=\"next\"", "schema": { "type": "string" } });
                good["headers"]["Link"] = link;
            }
        }
        all.insert((*status).to_owned(), good);
    }
    if !route.path.starts_with("/api/") {
        return Value::Object(all);
    }
    if route.method == "GET" {
        all.insert("304".into(), json!({ "description": "as the caller has it already" }));
    }
    for (status, text) in refusals(route, takes) {
        all.entry(status).or_insert_with(|| {
            json!({ "description": text, "content": { "application/problem+json": {
                "schema": { "$ref": "#/components/schemas/Problem" },
            } } })
        });
    }
    Value::Object(all)
}

/// A body that could be sent as it is.
fn example(route: &Route) -> Option<Value> {
    let prompt = json!({
        "id": "welcome.message",
        "content": { "type": "text", "template": "Hello {{ name }}" },
        "parameters": [{ "name": "name", "type": "string", "required": true }],
    });
    Some(match (route.method, route.path.rsplit('/').next()?) {
        ("POST", "organisations" | "projects" | "sets") => json!({ "slug": "support", "name": "Support" }),
        ("POST", "environments") => json!({ "slug": "canary", "name": "Canary" }),
        ("POST", "tokens") => {
            json!({ "organisation": "acme", "role": "context_engineer", "scopes": ["edit"] })
        }
        ("PUT", "{*prompt}") => prompt,
        ("PUT", "{*partial}") => json!({ "source": "Kind regards" }),
        ("POST", "check") => json!({ "prompt": prompt }),
        ("POST", "preview") => json!({ "prompt": prompt, "values": { "name": "Ada" } }),
        ("POST", "lock") => json!({ "version": "1.3.0", "notes": "a kinder greeting" }),
        ("POST", "publications") => {
            json!({ "set": "chat", "environment": "prod", "version": "1.3.0", "expected_serial": 6 })
        }
        ("POST", "credentials") => json!({ "environment": "prod", "name": "checkout" }),
        ("POST", "mode-orders") => json!({ "mode": "FROZEN", "reason": "an incident" }),
        ("POST", "webhooks") => {
            json!({ "url": "https://example.org/hook", "events": ["publication.created"] })
        }
        _ => return None,
    })
}

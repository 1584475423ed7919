//! The one table of what there is. The router is made from it, and so is the document of
//! `GET /openapi.json`.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post, put};
use schemars::{Schema, SchemaGenerator};

use super::problem::{Code, Problem};
use super::{Sidecar, api, events, gate, health, openapi, page, render};
use crate::{LocalStatus, SyncReport};

/// One route.
pub(super) struct Route {
    pub(super) method: &'static str,
    /// With `{id}` for what stands at its end, slashes and all.
    pub(super) path: &'static str,
    /// Its name in the document.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    /// Asked by supervisors and balancers: needs no token, and says nothing that is secret.
    pub(super) open: bool,
    /// For people with a browser; it is not in the document.
    pub(super) people: bool,
    /// It changes what is served, or how.
    pub(super) changes: bool,
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) body: Option<Shape>,
    pub(super) answer: Answer,
    /// Beside those of every route.
    pub(super) errors: &'static [Code],
    make: fn() -> MethodRouter<Arc<Sidecar>>,
}

type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What comes back where all is well.
pub(super) enum Answer {
    Json(Shape),
    /// JSON, or text where the caller accepts only that.
    JsonOrText(Shape),
    /// The same form with 200 and with 503.
    Health(Shape),
    Text(&'static str),
}

fn shape<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const NOTHING: Route = Route {
    method: "GET",
    path: "",
    name: "",
    summary: "",
    open: false,
    people: false,
    changes: false,
    query: &[],
    body: None,
    answer: Answer::Text("text/html; charset=utf-8"),
    errors: &[],
    make: MethodRouter::new,
};

const PROMPT: &[Code] = &[
    Code::UnknownPrompt,
    Code::AmbiguousPrompt,
    Code::BadAddress,
    Code::OtherVersion,
    Code::OtherOrganisation,
    Code::NothingServed,
    Code::TooOld,
];

/// Every route there is. The first is the one that is called all the time.
pub(super) static ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/v1/render",
        name: "render",
        summary: "Renders a prompt: its text, or the messages of a chat. With `accept: text/plain` the text \
                  alone, and `live-set`, `live-version`, `live-serial`, `live-digest` in the head",
        body: Some(shape::<render::WantedShape>),
        answer: Answer::JsonOrText(shape::<render::Rendered<'_>>),
        errors: &[
            Code::BadJson,
            Code::BodyTooLarge,
            Code::BodyTooSlow,
            Code::UnknownPrompt,
            Code::AmbiguousPrompt,
            Code::BadAddress,
            Code::OtherVersion,
            Code::OtherOrganisation,
            Code::NothingServed,
            Code::TooOld,
            Code::BadValues,
            Code::TemplateFailed,
            Code::RenderLimit,
            Code::UnknownPlaceholder,
        ],
        make: || post(api::render),
        ..NOTHING
    },
    Route {
        path: "/v1/prompts",
        name: "list",
        summary: "Everything that is served",
        answer: Answer::Json(shape::<api::Prompts>),
        make: || get(api::list),
        ..NOTHING
    },
    Route {
        path: "/v1/prompts/{id}",
        name: "template",
        summary: "A prompt as its author wrote it, by its id or as `@set/id`",
        answer: Answer::Json(shape::<api::Template>),
        errors: PROMPT,
        make: || get(api::template),
        ..NOTHING
    },
    Route {
        path: "/v1/search",
        name: "search",
        summary: "The prompts that have every word of `q` in address, description, tags, parameters or text; the nearest first",
        query: &[("q", "words")],
        answer: Answer::Json(shape::<api::Prompts>),
        errors: &[Code::BadQuery],
        make: || get(api::search),
        ..NOTHING
    },
    Route {
        path: "/v1/status",
        name: "status",
        summary: "The agent's status, as FORGE hears it and a little more",
        answer: Answer::Json(shape::<LocalStatus>),
        make: || get(api::status),
        ..NOTHING
    },
    Route {
        path: "/v1/mode",
        name: "mode",
        summary: "ACCEPTING or FROZEN, and who said so",
        answer: Answer::Json(shape::<api::Moded>),
        make: || get(api::mode),
        ..NOTHING
    },
    Route {
        method: "PUT",
        path: "/v1/mode",
        name: "set_mode",
        summary: "Sets the mode; it outlives the process",
        changes: true,
        body: Some(shape::<api::SetMode>),
        answer: Answer::Json(shape::<api::Moded>),
        errors: &[Code::BadJson, Code::BodyTooLarge, Code::BodyTooSlow, Code::NotStored],
        make: || put(api::set_mode),
        ..NOTHING
    },
    Route {
        method: "POST",
        path: "/v1/sync",
        name: "sync",
        summary: "Reconciles with the broker now; a FROZEN agent takes up once what waits, but with `check`",
        changes: true,
        body: Some(shape::<api::Sync>),
        answer: Answer::Json(shape::<SyncReport>),
        errors: &[Code::BadJson, Code::BodyTooLarge, Code::BodyTooSlow, Code::Unreachable],
        make: || post(api::sync),
        ..NOTHING
    },
    Route {
        method: "POST",
        path: "/v1/calls",
        name: "report",
        summary: "Tells of one call of a model with what a prompt gave: tokens, time and cost, for FORGE",
        changes: true,
        body: Some(shape::<api::Called>),
        answer: Answer::Json(shape::<api::Counted>),
        errors: &[
            Code::BadJson,
            Code::BodyTooLarge,
            Code::BodyTooSlow,
            Code::UnknownPrompt,
            Code::AmbiguousPrompt,
            Code::BadAddress,
            Code::OtherVersion,
            Code::OtherOrganisation,
            Code::NothingServed,
            Code::TooOld,
        ],
        make: || post(api::report),
        ..NOTHING
    },
    Route {
        path: "/v1/events",
        name: "events",
        summary: "What happens, as server-sent events: `change`, `mode`, `stale`; `lagged` where some were \
                  missed, `closing` at the end. Goes on after `last-event-id`",
        answer: Answer::Text("text/event-stream"),
        errors: &[Code::TooManyReaders],
        make: || get(events::events),
        ..NOTHING
    },
    Route {
        path: "/livez",
        name: "live",
        summary: "Whether it runs: else restart it",
        open: true,
        answer: Answer::Health(shape::<health::Said>),
        make: || get(health::livez),
        ..NOTHING
    },
    Route {
        path: "/readyz",
        name: "ready",
        summary: "Whether it gives prompts: else send nobody here",
        open: true,
        answer: Answer::Health(shape::<health::Said>),
        make: || get(health::readyz),
        ..NOTHING
    },
    Route {
        path: "/freshz",
        name: "fresh",
        summary: "Whether it gives what FORGE published last: else tell somebody",
        open: true,
        answer: Answer::Health(shape::<health::Said>),
        make: || get(health::freshz),
        ..NOTHING
    },
    Route {
        path: "/metrics",
        name: "metrics",
        summary: "Counts for a monitor, in the Prometheus text form",
        answer: Answer::Text("text/plain; version=0.0.4; charset=utf-8"),
        make: || get(api::metrics),
        ..NOTHING
    },
    Route {
        path: "/openapi.json",
        name: "document",
        summary: "This document",
        answer: Answer::Text("application/json"),
        make: || get(openapi::document),
        ..NOTHING
    },
    Route { path: "/", people: true, make: || get(page::status), ..NOTHING },
    Route { path: "/prompts", people: true, make: || get(page::prompts), ..NOTHING },
    Route { path: "/prompt", people: true, make: || get(page::prompt), ..NOTHING },
    Route { method: "POST", path: "/prompt", people: true, make: || post(page::try_out), ..NOTHING },
    Route {
        method: "POST",
        path: "/mode",
        people: true,
        changes: true,
        make: || post(page::set_mode),
        ..NOTHING
    },
    Route {
        method: "POST",
        path: "/sync",
        people: true,
        changes: true,
        make: || post(page::sync),
        ..NOTHING
    },
    Route { path: "/live.svg", people: true, make: || get(page::icon), ..NOTHING },
    Route { path: "/live.css", people: true, make: || get(page::style), ..NOTHING },
];

/// Where the route of a request stands in the table; beyond its end where there is none.
pub(super) fn place(method: &Method, path: &str) -> usize {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let fits = |route: &Route| {
        route.method == method
            && match route.path.strip_suffix("{id}") {
                Some(before) => path.strip_prefix(before).is_some_and(|rest| !rest.is_empty()),
                None => route.path == path,
            }
    };
    ROUTES.iter().position(fits).unwrap_or(ROUTES.len())
}

/// The router of all of them.
pub(super) fn router(sidecar: Arc<Sidecar>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        // In axum's words, slashes belong to it.
        router = router.route(&route.path.replace("{id}", "{*id}"), (route.make)());
    }
    router
        .fallback(|| async { Problem::new(Code::NotFound, "there is nothing here; see /openapi.json") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "not by this method; see /openapi.json")
        })
        .layer(from_fn_with_state(Arc::clone(&sidecar), gate::gate))
        .with_state(sidecar)
}

/// What every route may answer that is not open.
pub(super) const COMMON: &[Code] = &[Code::TokenRequired, Code::Denied, Code::Internal];

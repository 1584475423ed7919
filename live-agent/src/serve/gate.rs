//! What stands before every route: who asks, from where, and how long it takes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::access::Asks;
use super::hosts;
use super::problem::{Code, Problem};
use super::routes::{self, ROUTES};
use super::{Sidecar, page};

impl Sidecar {
    /// Whether a request may go on.
    pub(super) fn admit(
        &self,
        route: usize,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), Problem> {
        let known = ROUTES.get(route);
        if known.is_some_and(|route| route.open) {
            return Ok(());
        }
        let authority = uri.authority().map(axum::http::uri::Authority::as_str);
        if hosts::is_cross_site(method, headers, authority) {
            return Err(Problem::new(
                Code::CrossSite,
                "a page of another site sent this; open the sidecar's own page",
            ));
        }
        let changes = known.is_some_and(|route| route.changes);
        let asks = Asks { method, path: uri.path(), headers, extensions, changes };
        Ok(self.authorize.authorize(&asks)?)
    }
}

/// Stands before the router.
pub(super) async fn gate(State(sidecar): State<Arc<Sidecar>>, request: Request, next: Next) -> Response {
    let route = routes::place(request.method(), request.uri().path());
    let timed = sidecar.meter.begin(route);
    let admitted =
        sidecar.admit(route, request.method(), request.uri(), request.headers(), request.extensions());
    let people = ROUTES.get(route).is_some_and(|route| route.people);
    let response = match admitted {
        Ok(()) => {
            let mut response = next.run(request).await;
            page::guard(response.headers_mut());
            response
        }
        Err(problem) if people => page::refused(problem),
        Err(problem) => problem.into_response(),
    };
    timed.end(response.status());
    response
}

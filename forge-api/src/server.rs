//! The web server: API and pages behind one guard.
//!
//! Every request passes the guard: it finds out who asks, refuses what is not in the
//! table of routes ([`crate::auth::route`]), counts, and checks that a browser's form came from us.

pub mod body;
mod client;
pub(crate) mod connection;
pub mod cookie;
mod guard;

pub use body::{ApiJson, ApiQuery, PromptJson};
pub use client::ClientIp;
pub use cookie::{expired_cookie, session_cookies};

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

use self::connection::{Accept, Connections, Plain};
use crate::error::ApiError;
use crate::state::AppState;
use crate::tls::{Served, TlsListener};
use crate::{api, ui};

/// Largest request body, in bytes.
const BODY_MAX: usize = 32 * 1024 * 1024;
/// Requests that run when the process is asked to stop may take so long.
const DRAIN: Duration = Duration::from_secs(5);
/// A connection over which no head of a request comes for so long, the first one or the next, is closed.
const HEAD: Duration = Duration::from_secs(10);
/// What a page may load; a page that needs more sends its own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Browsers come back by TLS only, for a year.
const HSTS: &str = "max-age=31536000";

/// Everything that FORGE serves.
pub fn router(state: AppState) -> Router {
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let hsts = state.is_https().then(|| HeaderValue::from_static(HSTS));
    let plain = NotForContentType::const_new(api::BUNDLE_TYPE);
    Router::new()
        .merge(api::router().layer(from_fn_with_state(state.clone(), api::manners)))
        .merge(ui::router())
        .fallback(nothing_here)
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(plain)))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "same-origin"))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
        .layer(fixed(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(fixed(HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"))
        .layer(fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .layer(SetResponseHeaderLayer::if_not_present(header::STRICT_TRANSPORT_SECURITY, hsts))
        .layer(fixed(
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=()",
        ))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .with_state(state)
}

/// What the log says of a request: its route, since an address may hold a link's token.
fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    tracing::debug_span!("request", http.method = %request.method(), http.route = route)
}

async fn nothing_here(request: Request) -> Response {
    let error = ApiError::NotFound("page");
    if ui::wants_page(&request) { ui::error_page(&error) } else { error.into_response() }
}

/// Serves until `stop`, then lets running requests end, within bounds.
///
/// # Errors
/// As the network has it.
pub async fn serve(listener: TcpListener, state: AppState, stop: CancellationToken) -> std::io::Result<()> {
    let connections = Connections::new(&state.config);
    serve_on(Plain { listener, connections }, state, stop).await;
    Ok(())
}

/// As [`serve`], over TLS; the certificate is kept current meanwhile.
///
/// # Errors
/// As the network has it.
pub async fn serve_over_tls(
    listener: TcpListener,
    served: Served,
    state: AppState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TlsListener::new(listener, &served, Connections::new(&state.config))?;
    tokio::select! {
        () = serve_on(listener, state, stop) => Ok(()),
        () = served.keep_current() => Ok(()),
    }
}

async fn serve_on(mut listener: impl Accept, state: AppState, stop: CancellationToken) {
    let app = router(state);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let open = GracefulShutdown::new();
    while let Some((io, from, place)) = stop.run_until_cancelled(listener.accept()).await {
        let app = app.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(from));
            app.clone().oneshot(request.map(Body::new))
        });
        let connection = open.watch(http.serve_connection(TokioIo::new(io), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, client.address = %from, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    // Streams of events never end by themselves.
    let _ = tokio::time::timeout(DRAIN, open.shutdown()).await;
}

//! The web server: API and pages behind one guard.
//!
//! Every request passes the guard: it finds out who asks, refuses what is not in the
//! table of routes ([`crate::auth::route`]), counts, and checks that a browser's form came from us.

pub mod body;
mod client;
pub mod cookie;
mod guard;

pub use body::{ApiJson, ApiQuery};
pub use client::ClientIp;
pub use cookie::{expired_cookie, session_cookies};

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::serve::{IncomingStream, Listener, ListenerExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

use crate::error::ApiError;
use crate::state::AppState;
use crate::tls::{Served, TlsListener};
use crate::{api, ui};

/// Largest request body, in bytes.
const BODY_MAX: usize = 32 * 1024 * 1024;
/// Requests that run when the process is asked to stop may take so long.
const DRAIN: Duration = Duration::from_secs(5);
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
        .merge(api::router())
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
    serve_on(listener, state, stop).await
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
    // The tap does nothing: it is what lets a handler ask for the address of its caller.
    let listener = TlsListener::new(listener, &served)?.tap_io(|_| {});
    tokio::select! {
        done = serve_on(listener, state, stop) => done,
        () = served.keep_current() => Ok(()),
    }
}

async fn serve_on<L>(listener: L, state: AppState, stop: CancellationToken) -> std::io::Result<()>
where
    L: Listener<Addr = SocketAddr>,
    SocketAddr: for<'a> Connected<IncomingStream<'a, L>>,
{
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        done = serving.into_future() => done,
        // Streams of events never end by themselves.
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

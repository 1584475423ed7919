//! One connection: HTTP/1.1 or HTTP/2, whichever the caller begins with.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, HeaderValue, Method, Request, Response, Version, header};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::BUFFER_MAX;
use super::patience::{Flight, Patient, Standing};
use crate::serve::access::Peer;
use crate::serve::hosts::Hosts;
use crate::serve::problem::{Code, Problem};
use crate::serve::{Sidecar, render};

/// The place of `POST /v1/render` in the table of routes.
const RENDER: usize = 0;
const RENDER_PATH: &str = "/v1/render";
/// How long a connection that was just made may take to say something, once the end has begun.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// A caller that answers no ping for so long is gone.
const PING: Duration = Duration::from_secs(30);
const STREAMS: u32 = 256;
const HEAD_MAX: u32 = 32 * 1024;
const HEADERS_MAX: usize = 64;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sidecar: Arc<Sidecar>,
    pub(super) router: Router,
    pub(super) hosts: Hosts,
    pub(super) head_time: Duration,
}

/// A connection that no runtime has yet.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// What the requests of a connection share.
struct Talk {
    shared: Arc<Shared>,
    peer: Peer,
    /// As a request carries it.
    extensions: Extensions,
    flight: Arc<Flight>,
}

/// Serves a connection until it ends.
pub(super) async fn serve(socket: Socket, peer: Peer, shared: Arc<Shared>, closing: CancellationToken) {
    let mut extensions = Extensions::new();
    extensions.insert(peer);
    let talk = Arc::new(Talk { shared, peer, extensions, flight: Arc::default() });
    match socket {
        Socket::Tcp(stream) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => converse(stream, talk, closing).await,
            Err(error) => tracing::debug!(error = %error, "a connection was lost"),
        },
        Socket::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => converse(stream, talk, closing).await,
            Err(error) => tracing::debug!(error = %error, "a connection was lost"),
        },
    }
}

async fn converse<I>(io: I, talk: Arc<Talk>, closing: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head_time = talk.shared.head_time;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_MAX)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let io = TokioIo::new(Patient::new(io, head_time));
    let mut connection = pin!(builder.serve_connection(io, Answers(Arc::clone(&talk))));
    // Until the first request neither protocol has a time of its own for all of what comes before, and
    // HTTP/2 has none for what comes after it.
    let mut look = pin!(tokio::time::sleep(head_time));
    let (mut looks, mut closes, mut told) = (true, false, false);
    loop {
        tokio::select! {
            biased;
            done = connection.as_mut() => {
                if let Err(error) = done {
                    tracing::debug!(error = %error, peer = %talk.peer, "a connection ended badly");
                }
                return;
            }
            () = look.as_mut(), if looks => {
                let again = match talk.flight.standing(head_time) {
                    Standing::Silent | Standing::Unread => return,
                    // It was told to end, and what was left to send had its time.
                    Standing::Idle if told => return,
                    Standing::Idle => {
                        told = true;
                        connection.as_mut().graceful_shutdown();
                        head_time
                    }
                    Standing::Busy(left) => left,
                    Standing::Simple => {
                        looks = false;
                        head_time
                    }
                };
                look.as_mut().reset(tokio::time::Instant::now() + again);
                if closes && !told {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = closing.cancelled(), if !closes => {
                closes = true;
                if talk.flight.is_heard() {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                } else {
                    // It was taken a moment ago, and its request is on the way.
                    look.as_mut().reset(tokio::time::Instant::now() + FIRST_WORD);
                }
            }
        }
    }
}

/// Answers the requests of a connection.
struct Answers(Arc<Talk>);

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let talk = Arc::clone(&self.0);
        Box::pin(async move {
            if request.version() >= Version::HTTP_2 {
                let turn = talk.flight.begin();
                return Ok(talk.answer(request).await.map(|body| turn.with(body)));
            }
            talk.flight.hear();
            let mut response = talk.answer(request).await;
            if talk.shared.sidecar.is_draining() {
                // The caller opens its next connection elsewhere, and none is cut.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}

impl Talk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if let Err(problem) = self.check_host(&request) {
            return problem.into_response();
        }
        if request.method() == Method::POST && request.uri().path() == RENDER_PATH {
            return self.render(request).await;
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        match self.shared.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Over TCP a browser could be behind it; a Unix socket has no name to be called by.
    fn check_host(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        if matches!(self.peer, Peer::Unix { .. }) {
            return Ok(());
        }
        let named = match request.uri().authority() {
            Some(authority) => Some(authority.as_str()),
            None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
        };
        match named {
            Some(named) if self.shared.hosts.allow(named) => Ok(()),
            _ => Err(Problem::new(
                Code::WrongHost,
                "call it by localhost, or allow the name with --allow-host",
            )),
        }
    }

    /// As the router does it, without the router.
    async fn render(&self, request: Request<Incoming>) -> Response<Body> {
        let sidecar = &self.shared.sidecar;
        let timed = sidecar.meter.begin(RENDER);
        let response = match self.rendered(request).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        timed.end(response.status());
        response
    }

    async fn rendered(&self, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        let sidecar = &self.shared.sidecar;
        let (parts, body) = request.into_parts();
        sidecar.admit(RENDER, &parts.method, &parts.uri, &parts.headers, &self.extensions)?;
        let body = render::read_body(body, &sidecar.bounds).await?;
        render::render(&sidecar.agent.handle().core, &parts.headers, &body)
    }
}

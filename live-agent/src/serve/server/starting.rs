//! While the agent starts, and may wait for FORGE: supervisors hear that it lives and is not ready. Nobody is
//! given a prompt.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, Version, header};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use super::PAUSE;
use crate::serve::health;
use crate::serve::problem::{Code, Problem};

/// Connections at once, by each door: few ask before there is an answer.
const PLACES: usize = 64;
const STARTING: &str = "the agent is starting";

/// Answers whoever comes by one door.
pub(super) async fn door<F, I>(accept: impl Fn() -> F, most: Duration)
where
    F: Future<Output = std::io::Result<I>>,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let places = Arc::new(Semaphore::new(PLACES));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match accept().await {
            Ok(stream) => {
                // Each ends soon, also where the start has ended meanwhile.
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(most, serve(stream, most)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(error = %error, "a connection was not taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve<I>(stream: I, most: Duration)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(most).max_buf_size(super::BUFFER_MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(8);
    let answers = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request))));
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), answers).await {
        tracing::debug!(error = %error, "a connection ended badly");
    }
}

fn answer(request: &Request<Incoming>) -> Response<Body> {
    let mut response = match request.uri().path() {
        "/livez" => health::said(true, Vec::new()).into_response(),
        "/readyz" | "/freshz" => health::said(false, vec![STARTING.into()]).into_response(),
        _ => Problem::new(Code::NothingServed, STARTING).into_response(),
    };
    if request.version() < Version::HTTP_2 {
        // The next one may be answered by the agent.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

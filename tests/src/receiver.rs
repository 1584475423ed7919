//! Somebody else's server, which webhooks are sent to: it keeps what it hears, and fails as often as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::until::{secs, until};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub headers: HeaderMap,
    pub body: String,
}

impl Heard {
    /// A header; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body; null where it is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Checks the signature as Standard Webhooks have it, written down independently of FORGE's own code.
    #[must_use]
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = secret.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
        let given =
            self.header("webhook-signature").strip_prefix("v1,").and_then(|tag| STANDARD.decode(tag).ok());
        let (Some(key), Some(given)) = (key, given) else { return false };
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", self.body.as_bytes()].concat();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed, &given).is_ok()
    }
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    fails: AtomicUsize,
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serves: AbortOnDropHandle<()>,
}

impl Receiver {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let router = Router::new().route("/hook", post(hear)).with_state(Arc::clone(&shared));
        let serves = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, shared, _serves: AbortOnDropHandle::new(serves) })
    }

    /// Where it is sent to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers the next so many with status 500.
    pub fn fail(&self, times: usize) {
        self.shared.fails.store(times, Ordering::SeqCst);
    }

    /// Everything that it heard, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first of an event that fits, waited for.
    ///
    /// # Panics
    /// It does not come.
    pub async fn hears(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Heard {
        until(&format!("the receiver hears of {event}"), secs(60), async || {
            self.heard().into_iter().find(|heard| heard.header("forge-event") == event && fits(&heard.json()))
        })
        .await
    }
}

async fn hear(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let body = String::from_utf8_lossy(&body).into_owned();
    shared.heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { headers, body });
    let left = shared.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    match left {
        Ok(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not now"),
        Err(_) => (StatusCode::OK, "taken"),
    }
}

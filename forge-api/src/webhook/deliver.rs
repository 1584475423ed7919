//! Sends what waits, until it is taken: at least once, each after growing pauses, for a day.
//!
//! Several processes may do this at once: a delivery belongs for a while to who claimed it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use futures::StreamExt as _;
use hmac::{Hmac, Mac as _};
use nats_config::tls;
use schemas::Micros;
use schemas::connect::Tls;
use serde_json::Value;
use sha2::Sha256;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use super::send::{DEADLINE, Target};
use super::{Kind, key, slack};
use crate::clock;
use crate::database::webhook::{self, Attempt, Delivery, Webhook};
use crate::error::{ApiError, Result, chain};
use crate::events;
use crate::state::AppState;

/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Deliveries that are sent at the same time.
const AT_ONCE: usize = 16;
const BATCH: i64 = 64;
/// Who claims a delivery has it for so long.
#[allow(clippy::cast_possible_truncation, reason = "a few seconds")]
const LEASE: Micros = 2 * DEADLINE.as_micros() as Micros;
/// What was not taken for so long has failed.
const GIVE_UP: Micros = 24 * HOUR;
const HOUR: Micros = 3600 * 1_000_000;
/// Longest pause between two attempts.
const PAUSE_MAX: Micros = 4 * HOUR;
/// So long stays in the log what was delivered or failed.
const LOGGED: Micros = 30 * 24 * HOUR;

/// Sends until `stop`.
pub async fn run(state: AppState, stop: CancellationToken) {
    let tls = match tls::client_config(&Tls::default(), Arc::new(|_| {})) {
        Ok(tls) => Arc::new(tls),
        Err(error) => {
            tracing::error!(error = %chain(&error), "webhooks cannot be sent: no authority of this system is known");
            stop.cancelled().await;
            return;
        }
    };
    let mut pruned = Instant::now();
    while !stop.is_cancelled() {
        match round(&state, &tls).await {
            // There may be more.
            Ok(sent) if sent > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %chain(&error), "webhooks were not sent"),
        }
        if pruned.elapsed() > Duration::from_secs(3600) {
            pruned = Instant::now();
            if let Err(error) = prune(&state).await {
                tracing::warn!(error = %chain(&error), "the log of webhooks was not pruned");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = state.webhooks.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn prune(state: &AppState) -> Result<()> {
    let mut tx = state.database.write().await?;
    webhook::prune(&mut tx, clock::now() - LOGGED).await?;
    Ok(tx.commit().await?)
}

/// Sends what is due; gives how many were tried.
async fn round(state: &AppState, tls: &Arc<ClientConfig>) -> Result<usize> {
    let due = {
        let mut conn = state.database.read().await?;
        webhook::due(&mut conn, clock::now(), BATCH).await?
    };
    let tried =
        futures::stream::iter(due).map(|delivery| attempt(state, tls, delivery)).buffer_unordered(AT_ONCE);
    let tried: Vec<Result<bool>> = tried.collect().await;
    let mut sent = 0;
    for one in tried {
        sent += usize::from(one?);
    }
    Ok(sent)
}

/// Tries one delivery; false where another process has it.
async fn attempt(state: &AppState, tls: &Arc<ClientConfig>, delivery: Delivery) -> Result<bool> {
    let now = clock::now();
    let mut tx = state.database.write().await?;
    if !webhook::claim(&mut tx, &delivery.id, now, now + LEASE).await? {
        return Ok(false);
    }
    tx.commit().await?;
    let to = {
        let mut conn = state.database.read().await?;
        webhook::by_id(&mut conn, &delivery.webhook_id).await?.ok_or(ApiError::NotFound("webhook"))?
    };
    let begun = Instant::now();
    let sent =
        if to.enabled { send(state, tls, &to, &delivery).await } else { Err("the webhook is off".into()) };
    let taken = matches!(&sent, Ok((200..=299, _)));
    let next = clock::now() + pause(state.config.webhook_retry, delivery.attempts);
    let over = !to.enabled || next > delivery.created_at + GIVE_UP;
    let (status, answer, error) = match sent {
        Ok((status, text)) => (Some(i64::from(status)), Some(text), None),
        Err(why) => (None, None, Some(why)),
    };
    let made = Attempt {
        state: if taken {
            "delivered"
        } else if over {
            "failed"
        } else {
            "waiting"
        },
        not_before: next,
        sent_at: now,
        status,
        duration_us: i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX),
        answer,
        error,
    };
    tracing::info!(
        webhook.id = %to.id, webhook.event = %delivery.event, webhook.state = made.state,
        webhook.status = made.status, "a webhook was tried"
    );
    let mut tx = state.database.write().await?;
    webhook::attempted(&mut tx, &delivery.id, &made).await?;
    tx.commit().await?;
    let project_id = to.project_id.as_deref().unwrap_or_default();
    state.events.tell(&to.organisation_id, project_id, events::Kind::Webhook { id: to.id.clone() });
    Ok(true)
}

/// The pause after so many attempts: four times as long each, up to some hours.
fn pause(first: Duration, attempts: i64) -> Micros {
    let first = Micros::try_from(first.as_micros()).unwrap_or(PAUSE_MAX);
    let factor = 4_i64.saturating_pow(u32::try_from(attempts.clamp(0, 20)).unwrap_or(20));
    first.saturating_mul(factor).min(PAUSE_MAX)
}

async fn send(
    state: &AppState,
    tls: &Arc<ClientConfig>,
    to: &Webhook,
    delivery: &Delivery,
) -> Result<(u16, String), String> {
    let mut payload: Value = serde_json::from_str(&delivery.payload).map_err(|e| e.to_string())?;
    let path = payload["url"].as_str().unwrap_or_default().to_owned();
    payload["url"] = format!("{}{path}", state.public_url).into();
    let id = payload["id"].as_str().unwrap_or(&delivery.id).to_owned();
    let body = if Kind::parse(&to.kind) == Some(Kind::Slack) { slack::message(&payload) } else { payload }
        .to_string();
    let key = key(state, to).map_err(|e| e.to_string())?;
    let timestamp = (clock::now() / 1_000_000).to_string();
    let signature = sign(&key, &id, &timestamp, &body).ok_or("it cannot be signed")?;
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("user-agent", concat!("anvil-forge/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("webhook-id", id),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", signature),
        ("forge-event", delivery.event.clone()),
        ("forge-delivery", delivery.id.clone()),
    ];
    let target = Target::parse(&to.url, state.config.webhook_private_addresses)?;
    let answer = target.post(Arc::clone(tls), &headers, body).await?;
    Ok((answer.status, answer.text))
}

/// The signature of Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over id, time and body.
fn sign(key: &[u8], id: &str, timestamp: &str, body: &str) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    let tag = mac.chain_update(format!("{id}.{timestamp}.{body}")).finalize().into_bytes();
    Some(format!("v1,{}", BASE64.encode(&tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let key = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let made = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body).unwrap();
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn pauses_grow_to_some_hours_and_fill_a_day() {
        let first = Duration::from_secs(5);
        assert_eq!(pause(first, 0), 5_000_000);
        assert!(pause(first, 3) > pause(first, 2) && pause(first, 60) == PAUSE_MAX);
        let sum: Micros = (0..12).map(|n| pause(first, n)).sum();
        assert!(sum > 23 * HOUR, "{sum}");
    }
}

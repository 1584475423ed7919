//! How FORGE connects: its own reconnect delay, a retry of the first connect, a bound on requests.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// A request without an answer is given up after this time. A denied request looks the same.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(3);
/// Messages of one subscription that may wait: a burst of every agent's status.
const SUBSCRIPTION_CAPACITY: usize = 256 * 1024;

/// A token and the seed that proves it.
pub(crate) struct Identity {
    pub(crate) public: String,
    pub(crate) credentials: Zeroizing<String>,
}

/// Starts a connection that is made, and kept, in the background. Every event goes to `events`.
pub(crate) async fn connect(
    name: &str,
    servers: &[String],
    identity: &Identity,
    events: mpsc::UnboundedSender<Event>,
) -> Result<Client, std::io::Error> {
    let options = ConnectOptions::with_credentials(&identity.credentials)?
        .name(name)
        .custom_inbox_prefix(nats_config::subject::inbox(&identity.public))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .event_callback(move |event| {
            let _ = events.send(event);
            async {}
        });
    options.connect(servers).await.map_err(std::io::Error::other)
}

/// Full jitter: anywhere between nothing and a bound that doubles with each attempt.
fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(10)).unwrap_or(10);
    let bound = RECONNECT_FIRST.saturating_mul(1 << doublings).min(RECONNECT_MAX);
    bound.mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reconnect_delay_is_bounded_and_spread() {
        let delays: Vec<_> = (0..200).map(|attempt| reconnect_delay(attempt % 40)).collect();
        assert!(delays.iter().all(|d| *d <= RECONNECT_MAX));
        let distinct: std::collections::HashSet<_> = delays.iter().collect();
        assert!(distinct.len() > 150);
    }
}

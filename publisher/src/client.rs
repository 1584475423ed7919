//! How FORGE connects: its own reconnect delay, a retry of the first connect, a bound on requests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectOptions, Event};
use nats_config::tls;
use schemas::connect::Tls;
use tokio::sync::{mpsc, watch};

use crate::keys::Key;
use crate::provision::BrokerError;

/// A request without an answer is given up after this time. A denied request looks the same.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_FIRST: Duration = Duration::from_millis(25);
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// How long a connection is held back for its account to be there. The server waits for 2 s.
const ACCOUNT_WAIT: Duration = Duration::from_secs(1);
/// Messages of one subscription that may wait: a burst of statuses. What comes above is lost, and said again with the
/// next status; each may have a megabyte, so that more would be more than the memory there is.
const SUBSCRIPTION_CAPACITY: usize = 8 * 1024;

/// Which brokers FORGE believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// What a certificate is held against.
    pub tls: Tls,
    /// Whether an address beyond this machine may go without TLS.
    pub allow_plain: bool,
    /// The certificate (PEM file) of a server that is FORGE's own: then this one and no other.
    pub own: Option<PathBuf>,
}

/// A token and the key that proves it.
pub(crate) struct Identity {
    pub(crate) user: Key,
    pub(crate) token: String,
}

/// Starts a connection that is made, and kept, in the background. Every event goes to `events`.
///
/// It signs in when `account_is_there` says so, or a little later: a server that is asked for an
/// account which it does not have looks for it elsewhere first, for 2 s.
pub(crate) async fn connect(
    name: &str,
    servers: &[String],
    trust: &Trust,
    identity: Identity,
    events: mpsc::UnboundedSender<Event>,
    account_is_there: Option<watch::Receiver<bool>>,
) -> Result<Client, BrokerError> {
    let inbox = nats_config::subject::inbox(identity.user.public());
    let identity = Arc::new(identity);
    let sign_in = move |nonce: Vec<u8>| {
        let (identity, account_is_there) = (identity.clone(), account_is_there.clone());
        async move {
            if let Some(mut there) = account_is_there {
                let _ = tokio::time::timeout(ACCOUNT_WAIT, there.wait_for(|there| *there)).await;
            }
            let mut auth = Auth::new();
            auth.signature = Some(identity.user.sign(&nonce).map_err(AuthError::new)?);
            auth.jwt = Some(identity.token.clone());
            Ok(auth)
        }
    };
    // Said once, and again when it changes: the connection is tried for ever.
    let said = Mutex::new(None);
    let refused: tls::Refused = Arc::new(move |why| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&why) {
            tracing::error!(reason = %why, "no connection to the broker");
            *said = Some(why);
        }
    });
    let options = ConnectOptions::with_auth_callback(sign_in);
    let (mut options, addresses) = tls::secure(options, servers, &trust.tls, trust.allow_plain, refused)?;
    if let Some(certificate) = &trust.own {
        options = options.tls_client_config(tls::exactly(certificate.clone())?);
    }
    let options = options
        .name(name)
        .custom_inbox_prefix(inbox)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .event_callback(move |event| {
            let _ = events.send(event);
            async {}
        });
    options.connect(addresses).await.map_err(|e| BrokerError::Address(std::io::Error::other(e)))
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

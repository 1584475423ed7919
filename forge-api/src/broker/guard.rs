//! Keeps the broker at the database's word on every account.
//!
//! Whoever has an older JWT of a project's account, validly signed, and a system user could push it
//! again, and let a revoked credential in. FORGE hears every push and every deletion, looks at what
//! the broker has, and puts its own word back.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use publisher::Broker;
use publisher::accounts::AccountUpdate;
use tokio::time::Instant;

use super::push_account;
use crate::error::chain;
use crate::state::AppState;

/// An account is looked at at once, and again after these: a server of a cluster may store what it
/// was told a little later.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(1_000)];
/// A look that failed is taken again after this.
const AGAIN: Duration = Duration::from_millis(250);
/// Listening is begun again after this.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Listens for as long as it is polled.
pub(super) async fn accounts(state: &AppState, broker: &Broker) {
    loop {
        match broker.account_updates().await {
            Ok(updates) => keep(state, broker, updates).await,
            Err(error) => tracing::warn!(error = %chain(&error), "accounts cannot be watched"),
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn keep(
    state: &AppState,
    broker: &Broker,
    mut updates: futures::stream::BoxStream<'static, AccountUpdate>,
) {
    // Which accounts are to be looked at, when, and how many looks were taken.
    let mut due: HashMap<String, (Instant, usize)> = HashMap::new();
    loop {
        let next = due.values().map(|(at, _)| *at).min();
        let wait = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            update = updates.next() => {
                let found = match update {
                    None => return,
                    Some(AccountUpdate::One(account)) => vec![account],
                    Some(AccountUpdate::Any) => {
                        let own = broker.keys().forge_account.public().to_owned();
                        state.broker.accounts().into_iter().chain([own]).collect()
                    }
                };
                for account in found {
                    due.insert(account, (Instant::now(), 0));
                }
            }
            () = wait => {
                let now = Instant::now();
                let ready: Vec<String> =
                    due.iter().filter(|(_, (at, _))| *at <= now).map(|(account, _)| account.clone()).collect();
                for account in ready {
                    let looks = due.remove(&account).map_or(0, |(_, looks)| looks);
                    if !look(state, broker, &account).await {
                        due.insert(account, (Instant::now() + AGAIN, looks));
                    } else if let Some(pause) = LOOKS.get(looks + 1) {
                        due.insert(account, (Instant::now() + *pause, looks + 1));
                    }
                }
            }
        }
    }
}

/// Looks at an account once; gives whether that could be done. Without a connection nothing is to be
/// done: after the next one everything is looked at.
async fn look(state: &AppState, broker: &Broker, account: &str) -> bool {
    if !broker.is_connected() {
        return true;
    }
    let looked = if account == broker.keys().forge_account.public() {
        broker.ensure_own_account().await.map_err(super::refused)
    } else if let Some(at) = state.broker.owner(account) {
        push_account(state, broker, &at, None).await.map(|(_, changed)| changed)
    } else {
        return true;
    };
    match looked {
        Ok(true) => {
            tracing::warn!(
                account.key = account,
                "somebody else changed an account in the broker; it is put back"
            );
            true
        }
        Ok(false) => true,
        Err(error) => {
            tracing::warn!(account.key = account, error = %chain(&error), "an account could not be looked at");
            false
        }
    }
}

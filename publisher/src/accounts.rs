//! Who else pushes accounts to the broker, overheard.
//!
//! The broker takes the last writer's word on an account, as long as the operator signed it: an
//! older JWT, from before a credential was revoked, would let that credential in again. FORGE hears
//! every push and every deletion, and can put its own word back.

use std::sync::PoisonError;

use futures::stream::{self, BoxStream, StreamExt as _};
use nats_config::system;

use crate::jwt;
use crate::provision::{Broker, BrokerError};

/// Something happened to accounts in the broker that this process did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountUpdate {
    /// To the account of this public key.
    One(String),
    /// Perhaps to any: some were deleted, or nobody listened for a while.
    Any,
}

impl Broker {
    /// Every such update from now on, over all reconnects. What it says is believed of nobody: look
    /// at the account with [`Broker::ensure_project`].
    ///
    /// # Errors
    /// [`BrokerError::Unreachable`] where the connection was closed for good.
    pub async fn account_updates(&self) -> Result<BoxStream<'static, AccountUpdate>, BrokerError> {
        let system = &self.inner.system;
        let listen = async |subject: &'static str| {
            let failed = |e| BrokerError::unreachable("listening to accounts", e);
            system.subscribe(subject).await.map_err(failed)
        };
        let mut pushes = Vec::with_capacity(3);
        for subject in [system::CLAIMS_UPDATE, system::ALL_ACCOUNT_UPDATES, system::ALL_ACCOUNT_UPDATES_OLD] {
            pushes.push(listen(subject).await?);
        }
        let pushed = self.inner.pushed.clone();
        let pushes = stream::select_all(pushes).filter_map(move |message| {
            let token = std::str::from_utf8(&message.payload).unwrap_or_default();
            let account = jwt::subject_unverified(token);
            let ours = account.as_ref().is_some_and(|account| {
                pushed.lock().unwrap_or_else(PoisonError::into_inner).get(account).is_some_and(|t| t == token)
            });
            async move { account.filter(|_| !ours).map(AccountUpdate::One) }
        });
        let deletions = listen(system::CLAIMS_DELETE).await?.map(|_| AccountUpdate::Any);
        let again = stream::unfold(self.inner.system_connected.clone(), |mut connected| async move {
            connected.changed().await.ok().map(|()| (AccountUpdate::Any, connected))
        });
        Ok(stream::select_all([pushes.boxed(), deletions.boxed(), again.boxed()]).boxed())
    }
}

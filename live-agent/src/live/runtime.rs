//! Where the calls of a host run: in the runtime that it calls from, or where it calls from a thread without one, in
//! that of the agent. An agent of a folder that was made without a runtime needs none.

use std::future::Future;

use tokio::runtime::Handle as Runtime;
use tokio_util::task::AbortOnDropHandle;

use super::{AgentError, Handle};

impl Handle {
    /// Runs what needs a runtime.
    pub(super) async fn within<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, AgentError>> + Send + 'static,
    ) -> Result<T, AgentError> {
        match &self.runtime {
            Some(runtime) if Runtime::try_current().is_err() => {
                let done = AbortOnDropHandle::new(runtime.spawn(work)).await;
                done.unwrap_or(Err(AgentError::Stopped))
            }
            _ => work.await,
        }
    }
}

/// Runs what waits for a disk where that holds up nobody; where there is no runtime, right here.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AgentError> {
    match Runtime::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.map_err(|_| AgentError::Stopped),
        Err(_) => Ok(work()),
    }
}

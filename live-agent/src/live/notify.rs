//! Telling a host that has no `await` what changed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::broadcast::error::RecvError;

use super::{AgentError, LiveAgent};
use crate::agent::Change;

impl LiveAgent {
    /// Calls `tell` with every change of what is served from now on, one after the other, on a thread of its
    /// own: it may block, and it may call the agent. This ends with the agent, so give it no clone of one to
    /// keep: that clone would keep the agent alive until [`LiveAgent::stop`].
    ///
    /// A callback that panics is not called again; one that is 64 changes behind misses some. What is served
    /// is right all the same.
    ///
    /// # Errors
    /// The agent is stopped, or the system gives no thread.
    pub fn on_change(&self, mut tell: impl FnMut(&Change) + Send + 'static) -> Result<(), AgentError> {
        let core = &self.handle.core;
        let (mut changes, ended) = (self.subscribe(), core.ended.clone());
        if ended.is_cancelled() {
            return Err(AgentError::Stopped);
        }
        // Without drivers: it only knows how to wait.
        let waiter = tokio::runtime::Builder::new_current_thread().build().map_err(AgentError::Thread)?;
        let listen = move || {
            loop {
                let next = waiter.block_on(async {
                    tokio::select! {
                        biased;
                        () = ended.cancelled() => Err(RecvError::Closed),
                        change = changes.recv() => change,
                    }
                });
                match next {
                    Ok(change) => {
                        if catch_unwind(AssertUnwindSafe(|| tell(&change))).is_err() {
                            tracing::error!("a callback for changes panicked, and is called no more");
                            return;
                        }
                    }
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(changes.missed = missed, "a slow callback misses changes");
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("live-change".into()).spawn(listen);
        thread.map(drop).map_err(AgentError::Thread)
    }
}

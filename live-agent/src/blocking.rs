//! The agent for programs without `async`.
//!
//! ```no_run
//! use live_agent::{blocking, vars};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = live_agent::LiveAgent::builder().service("checkout").or_from_env()?;
//! let agent = blocking::LiveAgent::start(builder)?;
//! let text = agent.prompt("welcome.message", vars! { name: "Ada" })?;
//! # Ok(()) }
//! ```
//!
//! It has a runtime of its own with one thread, so that it can be used anywhere: from a thread of
//! another runtime too, which then waits as with any call that blocks.

use std::borrow::{Borrow, Cow};
use std::future::Future;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemas::status::{AgentStatus, Mode};
use schemas::template::{RenderedMessage, Values};
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

use crate::agent::Change;
use crate::config::Builder;
use crate::global::AlreadyGlobal;
use crate::live::{AgentError, LocalStatus, SyncReport};
use crate::render::{Listed, PromptError, Template};

/// How long the end waits for what is to be saved.
const END: Duration = Duration::from_secs(3);

/// What keeps the program's agent running ([`LiveAgent::make_global`]).
static KEPT: OnceLock<LiveAgent> = OnceLock::new();

/// Why a blocking agent did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error(transparent)]
    Start(#[from] crate::StartError),
    #[error("a runtime for the agent cannot be made")]
    Runtime(#[source] std::io::Error),
    #[error("the agent's runtime ended while it started")]
    Ended,
}

/// An agent inside its host, as [`crate::LiveAgent`], whose calls return when they are done. Cheap to
/// clone; the agent ends when the last clone is dropped, or by [`LiveAgent::stop`].
#[derive(Debug, Clone)]
pub struct LiveAgent {
    agent: crate::LiveAgent,
    running: Arc<Running>,
}

/// The runtime, and the end of the agent with it.
#[derive(Debug)]
struct Running {
    agent: crate::LiveAgent,
    /// Taken at the end.
    runtime: Option<Runtime>,
}

impl LiveAgent {
    /// Starts an agent; returns when what is on disk is served.
    ///
    /// # Errors
    /// As [`Builder::start`], or the system gives no runtime.
    pub fn start(builder: Builder) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("live-agent")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let started = wait(&runtime, builder.start(), None);
        match started {
            Some(Ok(agent)) => {
                let running = Running { agent: agent.clone(), runtime: Some(runtime) };
                Ok(Self { agent, running: Arc::new(running) })
            }
            failed => {
                runtime.shutdown_background();
                Err(failed.map_or(StartError::Ended, |result| match result {
                    Err(error) => error.into(),
                    Ok(_) => StartError::Ended,
                }))
            }
        }
    }

    /// The handle for all that does not wait, and for those who have an `await` after all.
    #[must_use]
    pub fn handle(&self) -> &crate::LiveAgent {
        &self.agent
    }

    /// As [`crate::LiveAgent::prompt`].
    ///
    /// # Errors
    /// As there.
    pub fn prompt(&self, id: &str, values: impl Borrow<Values>) -> Result<String, PromptError> {
        self.agent.prompt(id, values)
    }

    /// As [`crate::LiveAgent::prompt_to`].
    ///
    /// # Errors
    /// As there.
    pub fn prompt_to(
        &self,
        id: &str,
        values: impl Borrow<Values>,
        out: &mut String,
    ) -> Result<(), PromptError> {
        self.agent.prompt_to(id, values, out)
    }

    /// As [`crate::LiveAgent::prompt_or`].
    ///
    /// # Errors
    /// As there.
    pub fn prompt_or<'d>(
        &self,
        id: &str,
        values: impl Borrow<Values>,
        default: &'d str,
    ) -> Result<Cow<'d, str>, PromptError> {
        self.agent.prompt_or(id, values, default)
    }

    /// As [`crate::LiveAgent::messages`].
    ///
    /// # Errors
    /// As there.
    pub fn messages(
        &self,
        id: &str,
        values: impl Borrow<Values>,
        history: &[(&str, &[RenderedMessage])],
    ) -> Result<Vec<RenderedMessage>, PromptError> {
        self.agent.messages(id, values, history)
    }

    /// As [`crate::LiveAgent::template`].
    ///
    /// # Errors
    /// As there.
    pub fn template(&self, id: &str) -> Result<Template, PromptError> {
        self.agent.template(id)
    }

    /// As [`crate::LiveAgent::list`].
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        self.agent.list()
    }

    /// As [`crate::LiveAgent::search`].
    #[must_use]
    pub fn search(&self, question: &str) -> Vec<Listed> {
        self.agent.search(question)
    }

    /// As [`crate::LiveAgent::status`].
    #[must_use]
    pub fn status(&self) -> AgentStatus {
        self.agent.status()
    }

    /// As [`crate::LiveAgent::local_status`].
    #[must_use]
    pub fn local_status(&self) -> LocalStatus {
        self.agent.local_status()
    }

    /// As [`crate::LiveAgent::mode`].
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.agent.mode()
    }

    /// As [`crate::LiveAgent::subscribe`]; `blocking_recv` waits for the next.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.agent.subscribe()
    }

    /// As [`crate::LiveAgent::on_change`].
    ///
    /// # Errors
    /// As there.
    pub fn on_change(&self, tell: impl FnMut(&Change) + Send + 'static) -> Result<(), AgentError> {
        self.agent.on_change(tell)
    }

    /// As [`crate::LiveAgent::set_mode`].
    ///
    /// # Errors
    /// As there.
    pub fn set_mode(&self, mode: Mode) -> Result<(), AgentError> {
        let agent = self.agent.clone();
        self.wait(async move { agent.set_mode(mode).await })
    }

    /// As [`crate::LiveAgent::sync`].
    ///
    /// # Errors
    /// As there.
    pub fn sync(&self) -> Result<SyncReport, AgentError> {
        let agent = self.agent.clone();
        self.wait(async move { agent.sync().await })
    }

    /// As [`crate::LiveAgent::wait_current`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_current(&self, most: Duration) -> Result<SyncReport, AgentError> {
        let agent = self.agent.clone();
        self.wait(async move { agent.wait_current(most).await })
    }

    /// As [`crate::LiveAgent::set_credentials`].
    ///
    /// # Errors
    /// As there.
    pub fn set_credentials(&self, text: impl Into<String>) -> Result<(), AgentError> {
        let (agent, text) = (self.agent.clone(), text.into());
        self.wait(async move { agent.set_credentials(text).await })
    }

    /// As [`crate::LiveAgent::make_global`].
    ///
    /// # Errors
    /// There is one already.
    pub fn make_global(self) -> Result<(), AlreadyGlobal> {
        self.agent.clone().make_global()?;
        // It is the first, since the agent was.
        let _ = KEPT.set(self);
        Ok(())
    }

    /// As [`crate::LiveAgent::stop`].
    pub fn stop(&self) {
        let agent = self.agent.clone();
        let _ = self.wait(async move {
            agent.stop().await;
            Ok(())
        });
    }

    fn wait<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T, AgentError>> + Send + 'static,
    ) -> Result<T, AgentError> {
        let runtime = self.running.runtime.as_ref().ok_or(AgentError::Stopped)?;
        wait(runtime, what, None).unwrap_or(Err(AgentError::Stopped))
    }
}

/// Runs `what` in `runtime` and waits for it; none where it did not end, or not within `most`. Not
/// `block_on`, which panics in a thread of another runtime.
fn wait<T: Send + 'static>(
    runtime: &Runtime,
    what: impl Future<Output = T> + Send + 'static,
    most: Option<Duration>,
) -> Option<T> {
    let (send, receive) = sync_channel(1);
    runtime.spawn(async move { send.send(what.await) });
    match most {
        None => receive.recv().ok(),
        Some(most) => receive.recv_timeout(most).ok(),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let agent = self.agent.clone();
        wait(&runtime, async move { agent.stop().await }, Some(END));
        // The only end of a runtime that may happen anywhere.
        runtime.shutdown_background();
    }
}

//! The agent for programs without `async`.
//!
//! ```
//! use live_agent::{blocking, vars};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::fs::write(folder.path().join("welcome.message.md"), "Hello {{ name }}")?;
//! // In a service: blocking::LiveAgent::start(live_agent::LiveAgent::builder().service("checkout").or_from_env()?)?
//! let agent = blocking::LiveAgent::from_folder(folder.path())?;
//! assert_eq!(agent.prompt("welcome.message", vars! { name: "Ada" })?, "Hello Ada");
//! # Ok(()) }
//! ```
//!
//! It has a runtime of its own with one thread, so that it can be used anywhere: from a thread of
//! another runtime too, which then waits as with any call that blocks.

use std::borrow::{Borrow, Cow};
use std::future::Future;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemas::Slug;
use schemas::prompt::Prompt;
use schemas::status::{AgentStatus, Mode};
use schemas::template::{CompiledPrompt, RenderedMessage, Values};
use semver::VersionReq;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

use crate::agent::Change;
use crate::config::{Builder, Pins};
use crate::health::Health;
use crate::history::HistoryEntry;
use crate::live::{self, AgentError, LocalStatus, SyncReport, Waiting};
use crate::render::{Listed, PromptError, Template};
use crate::report::tally::Call;

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

/// The program has its agent already. The one that came second is handed back, and goes on.
#[derive(Debug, thiserror::Error)]
#[error("the program has an agent already: start one only, or keep the handle of the other")]
pub struct AlreadyGlobal(pub LiveAgent);

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
        let runtime = runtime()?;
        let started = wait(&runtime, builder.start(), None);
        match started {
            Some(Ok(agent)) => Ok(Self::of(agent, runtime)),
            failed => {
                runtime.shutdown_background();
                Err(failed.map_or(StartError::Ended, |result| match result {
                    Err(error) => error.into(),
                    Ok(_) => StartError::Ended,
                }))
            }
        }
    }

    /// As [`crate::LiveAgent::from_folder`]; the folder is watched.
    ///
    /// # Errors
    /// The folder cannot be read, or the system gives no runtime.
    pub fn from_folder(path: impl AsRef<Path>) -> Result<Self, StartError> {
        let runtime = runtime()?;
        let made = {
            let _within = runtime.enter();
            crate::LiveAgent::from_folder(path)
        };
        match made {
            Ok(agent) => Ok(Self::of(agent, runtime)),
            Err(error) => {
                runtime.shutdown_background();
                Err(crate::StartError::Config(error).into())
            }
        }
    }

    fn of(agent: crate::LiveAgent, runtime: Runtime) -> Self {
        let running = Running { agent: agent.clone(), runtime: Some(runtime) };
        Self { agent, running: Arc::new(running) }
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

    /// As [`crate::LiveAgent::with`].
    ///
    /// # Errors
    /// As there.
    pub fn with<R>(&self, id: &str, read: impl FnOnce(&CompiledPrompt) -> R) -> Result<R, PromptError> {
        self.agent.with(id, read)
    }

    /// As [`crate::LiveAgent::report`].
    ///
    /// # Errors
    /// As there.
    pub fn report(&self, id: &str, call: &Call) -> Result<(), PromptError> {
        self.agent.report(id, call)
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

    /// As [`crate::LiveAgent::name`].
    #[must_use]
    pub fn name(&self) -> &Slug {
        self.agent.name()
    }

    /// As [`crate::LiveAgent::health`].
    #[must_use]
    pub fn health(&self) -> Health {
        self.agent.health()
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

    /// As [`crate::LiveAgent::check`].
    ///
    /// # Errors
    /// As there.
    pub fn check(&self) -> Result<SyncReport, AgentError> {
        let agent = self.agent.clone();
        self.wait(async move { agent.check().await })
    }

    /// As [`crate::LiveAgent::pin`].
    ///
    /// # Errors
    /// As there.
    pub fn pin(&self, set: Slug, versions: VersionReq) -> Result<(), AgentError> {
        let agent = self.agent.clone();
        self.wait(async move { agent.pin(set, versions).await })
    }

    /// As [`crate::LiveAgent::unpin`].
    ///
    /// # Errors
    /// As there.
    pub fn unpin(&self, set: &Slug) -> Result<(), AgentError> {
        let (agent, set) = (self.agent.clone(), set.clone());
        self.wait(async move { agent.unpin(&set).await })
    }

    /// As [`crate::LiveAgent::pins`].
    #[must_use]
    pub fn pins(&self) -> Pins {
        self.agent.pins()
    }

    /// As [`crate::LiveAgent::waiting`].
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        self.agent.waiting()
    }

    /// As [`crate::LiveAgent::waiting_prompts`].
    #[must_use]
    pub fn waiting_prompts(&self, set: &Slug) -> Option<Vec<Prompt>> {
        self.agent.waiting_prompts(set)
    }

    /// As [`crate::LiveAgent::prompts_of`].
    #[must_use]
    pub fn prompts_of(&self, waiting: &Waiting) -> Option<Vec<Prompt>> {
        self.agent.prompts_of(waiting)
    }

    /// As [`crate::LiveAgent::history`].
    ///
    /// # Errors
    /// As there.
    pub fn history(&self, set: Option<&Slug>) -> Result<Vec<HistoryEntry>, AgentError> {
        let (agent, set) = (self.agent.clone(), set.cloned());
        self.wait(async move { agent.history(set.as_ref()).await })
    }

    /// As [`crate::LiveAgent::bake`].
    ///
    /// # Errors
    /// As there.
    pub fn bake(cache_dir: &Path, file: &Path) -> Result<usize, AgentError> {
        live::bake::bake(cache_dir, file)
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
    /// There is one already; this one is handed back.
    pub fn make_global(self) -> Result<(), AlreadyGlobal> {
        if self.agent.clone().make_global().is_err() {
            return Err(AlreadyGlobal(self));
        }
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

fn runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("live-agent")
        .enable_all()
        .build()
        .map_err(StartError::Runtime)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The public functions of every `impl LiveAgent` of a source.
    fn functions(source: &str) -> impl Iterator<Item = &str> {
        let mut within = false;
        source.lines().filter_map(move |line| {
            within = within && line != "}" || line == "impl LiveAgent {";
            let named = line.strip_prefix("    pub ").filter(|_| within)?;
            let named = named.strip_prefix("async ").unwrap_or(named).strip_prefix("fn ")?;
            named.split(['(', '<']).next()
        })
    }

    #[test]
    fn all_that_an_agent_can_do_it_can_do_without_await() {
        let agent = [
            include_str!("live.rs"),
            include_str!("live/bake.rs"),
            include_str!("live/held.rs"),
            include_str!("live/notify.rs"),
            include_str!("global.rs"),
            include_str!("start.rs"),
        ];
        let agent: BTreeSet<&str> = agent.into_iter().flat_map(functions).collect();
        let here: BTreeSet<&str> = functions(include_str!("blocking.rs")).collect();
        let lacking: Vec<_> = agent.difference(&here).copied().collect();
        assert_eq!(lacking, ["builder"], "the builder is the same");
        assert!(here.contains("history") && here.contains("from_folder"), "{here:?}");
    }
}

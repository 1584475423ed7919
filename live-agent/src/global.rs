//! One agent for the whole program, for those who do not want to pass a handle around.
//!
//! ```
//! use live_agent::{LiveAgent, PromptError, vars};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::fs::write(folder.path().join("welcome.message.md"), "Hello {{ name }}")?;
//! assert!(matches!(live_agent::prompt("welcome.message", vars! {}), Err(PromptError::NotStarted)));
//! // In a service: LiveAgent::builder().service("checkout").or_from_env()?.start_global().await?
//! LiveAgent::from_folder(folder.path())?.make_global()?;
//! // From here on, anywhere:
//! assert_eq!(live_agent::prompt("welcome.message", vars! { name: "Ada" })?, "Hello Ada");
//! # Ok(()) }
//! ```
//!
//! Before a start every function here answers [`PromptError::NotStarted`]; nothing waits or panics.

use std::borrow::{Borrow, Cow};
use std::sync::OnceLock;

use schemas::status::AgentStatus;
use schemas::template::{RenderedMessage, Values};
use tokio::sync::broadcast;

use crate::agent::Change;
use crate::config::Builder;
use crate::live::LiveAgent;
use crate::render::{Listed, PromptError, Template};

static AGENT: OnceLock<LiveAgent> = OnceLock::new();

/// The program has its agent already. The one that came second is handed back.
#[derive(Debug, thiserror::Error)]
#[error("the program has an agent already: start one only, or keep the handle of the other")]
pub struct AlreadyGlobal(pub LiveAgent);

/// Why the program did not get its agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GlobalError {
    #[error(transparent)]
    Start(#[from] crate::StartError),
    #[error("the program has an agent already: start one only, or keep the handle of the other")]
    Already,
}

impl Builder {
    /// Starts the agent and makes it the one of the whole program.
    ///
    /// # Errors
    /// As [`Builder::start`], or there is one already; that one goes on.
    pub async fn start_global(self) -> Result<&'static LiveAgent, GlobalError> {
        if AGENT.get().is_some() {
            return Err(GlobalError::Already);
        }
        let agent = self.start().await?;
        agent.make_global().map_err(|_| GlobalError::Already)?;
        AGENT.get().ok_or(GlobalError::Already)
    }
}

impl LiveAgent {
    /// Makes this the agent of the whole program. It then lives until the program ends or
    /// [`LiveAgent::stop`]; a stopped one still serves what it has.
    ///
    /// # Errors
    /// There is one already; this one is handed back.
    pub fn make_global(self) -> Result<(), AlreadyGlobal> {
        AGENT.set(self).map_err(AlreadyGlobal)
    }
}

/// The agent of the program, where one was started.
#[must_use]
pub fn agent() -> Option<&'static LiveAgent> {
    AGENT.get()
}

fn started() -> Result<&'static LiveAgent, PromptError> {
    AGENT.get().ok_or(PromptError::NotStarted)
}

/// As [`LiveAgent::prompt`], of the program's agent.
///
/// # Errors
/// As there, and [`PromptError::NotStarted`].
pub fn prompt(id: &str, values: impl Borrow<Values>) -> Result<String, PromptError> {
    started()?.prompt(id, values)
}

/// As [`LiveAgent::prompt_to`], of the program's agent.
///
/// # Errors
/// As there, and [`PromptError::NotStarted`].
pub fn prompt_to(id: &str, values: impl Borrow<Values>, out: &mut String) -> Result<(), PromptError> {
    started()?.prompt_to(id, values, out)
}

/// As [`LiveAgent::prompt_or`], of the program's agent. Before a start it gives `default` too.
///
/// # Errors
/// As there.
pub fn prompt_or<'d>(
    id: &str,
    values: impl Borrow<Values>,
    default: &'d str,
) -> Result<Cow<'d, str>, PromptError> {
    match AGENT.get() {
        Some(agent) => agent.prompt_or(id, values, default),
        None => Ok(Cow::Borrowed(default)),
    }
}

/// As [`LiveAgent::messages`], of the program's agent.
///
/// # Errors
/// As there, and [`PromptError::NotStarted`].
pub fn messages(
    id: &str,
    values: impl Borrow<Values>,
    history: &[(&str, &[RenderedMessage])],
) -> Result<Vec<RenderedMessage>, PromptError> {
    started()?.messages(id, values, history)
}

/// As [`LiveAgent::template`], of the program's agent.
///
/// # Errors
/// As there, and [`PromptError::NotStarted`].
pub fn template(id: &str) -> Result<Template, PromptError> {
    started()?.template(id)
}

/// As [`LiveAgent::list`], of the program's agent.
///
/// # Errors
/// [`PromptError::NotStarted`].
pub fn list() -> Result<Vec<Listed>, PromptError> {
    Ok(started()?.list())
}

/// As [`LiveAgent::search`], of the program's agent.
///
/// # Errors
/// [`PromptError::NotStarted`].
pub fn search(question: &str) -> Result<Vec<Listed>, PromptError> {
    Ok(started()?.search(question))
}

/// As [`LiveAgent::status`], of the program's agent.
///
/// # Errors
/// [`PromptError::NotStarted`].
pub fn status() -> Result<AgentStatus, PromptError> {
    Ok(started()?.status())
}

/// As [`LiveAgent::subscribe`], of the program's agent.
///
/// # Errors
/// [`PromptError::NotStarted`].
pub fn subscribe() -> Result<broadcast::Receiver<Change>, PromptError> {
    Ok(started()?.subscribe())
}

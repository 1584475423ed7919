//! How an agent starts, and what it waits for before it says that it has.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::agent::{Access, Core};
use crate::config::{Builder, Config, ConfigError, StartPolicy};
use crate::live::LiveAgent;

/// How often is looked whether what is waited for has come.
const LOOK: Duration = Duration::from_millis(50);

/// Why an agent did not start. Nothing of it is left: no task, no lock, no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("an agent starts within a tokio runtime; without one, start a blocking::LiveAgent")]
    NoRuntime,
    /// The start policy asks for more than was to be had.
    #[error("not fresh after {} s: {why}", waited.as_secs())]
    NotFresh {
        /// What is missing, for people.
        why: String,
        /// How long was waited for it.
        waited: Duration,
    },
}

impl Builder {
    /// Starts the agent. What is on disk is served when this returns; the broker is met in the background,
    /// so that this does not fail because something is down, unless [`Builder::start_policy`] asks for more.
    ///
    /// # Errors
    /// A configuration that cannot be used, or the start policy is not met; or it is called outside of a tokio
    /// runtime.
    pub async fn start(self) -> Result<LiveAgent, StartError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(StartError::NoRuntime);
        }
        let config = self.build()?;
        let (policy, access) = match config.looks {
            true => (StartPolicy::ServeWhatIsThere, Access::Look),
            false => (config.start_policy, Access::Agent),
        };
        let core =
            tokio::task::spawn_blocking(move || Core::open(config, access)).await.map_err(|_| {
                ConfigError::Invalid { key: "cache_dir", why: "reading the cache failed".into() }
            })??;
        let agent = LiveAgent::run(Arc::new(core)).await?;
        match agent.meets(policy).await {
            Ok(()) => Ok(agent),
            Err(error) => {
                tracing::error!(error = %error, "the start policy is not met; the agent ends");
                agent.stop().await;
                Err(error)
            }
        }
    }
}

impl LiveAgent {
    /// Serves the prompts of a folder and follows nobody: for the tests of a service, and for trying things
    /// out. The folder is laid out as [`Builder::overrides`] says; its prompts stand in the set `local`, those
    /// below a folder `@set` in that set. It is watched where this is called within a tokio runtime, and
    /// read once otherwise. The status has the scope `local/local/dev`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn from_folder(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let folder: PathBuf = path.as_ref().into();
        let core = Core::open(Config::of_folder(folder)?, Access::Agent)?;
        Ok(Self::run_alone(Arc::new(core)))
    }

    /// Waits for what the policy asks for.
    async fn meets(&self, policy: StartPolicy) -> Result<(), StartError> {
        let most = match policy {
            StartPolicy::ServeWhatIsThere => return Ok(()),
            StartPolicy::WaitFresh(most) | StartPolicy::RequireAge { wait: most, .. } => most,
        };
        let started = Instant::now();
        loop {
            let Some(why) = self.lacks(policy) else { return Ok(()) };
            let waited = started.elapsed();
            if waited >= most {
                return Err(StartError::NotFresh { why, waited });
            }
            tokio::time::sleep(LOOK.min(most - waited)).await;
        }
    }

    /// What is missing for the policy, if anything is.
    fn lacks(&self, policy: StartPolicy) -> Option<String> {
        let core = self.core();
        let most = match policy {
            StartPolicy::ServeWhatIsThere => return None,
            StartPolicy::WaitFresh(_) if core.state().word.is_confirmed() => None,
            StartPolicy::WaitFresh(_) => Some("FORGE has not confirmed that nothing is missing".to_owned()),
            StartPolicy::RequireAge { age: most, .. } => match core.age() {
                Some(age) if age <= most => None,
                Some(age) => {
                    let (age, most) = (age.as_secs(), most.as_secs());
                    Some(format!("what is here was confirmed {age} s ago, and {most} s are allowed"))
                }
                None => Some("FORGE never confirmed what is here".to_owned()),
            },
        };
        let missing = core.missing().or(most)?;
        let refused = self.local_status().refused;
        Some(match (refused, self.is_connected()) {
            (Some(why), _) => format!("{missing}; {why}"),
            (None, false) => format!("{missing}; the broker is not connected"),
            (None, true) => missing,
        })
    }
}

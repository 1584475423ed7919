//! A `live run` process: an agent as a user starts one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::api::Credential;
use crate::tools;
use crate::until::until;

/// The values that every printed prompt is rendered with.
pub const NAME: &str = "Ada";

/// An agent with a cache of its own, which prints one prompt at each change.
#[derive(Debug)]
pub struct Live {
    directory: PathBuf,
    name: String,
    prompt: String,
    printed: Arc<Mutex<Vec<Value>>>,
    child: Option<Child>,
    reads: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts an agent with this credential; it prints `prompt`, rendered with `name` = [`NAME`].
    pub fn start(below: &Path, credential: &Credential, name: &str, prompt: &str) -> Result<Self> {
        let directory = below.join(format!("live-{name}"));
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("agent.creds"), &credential.creds)?;
        std::fs::write(directory.join("agent.connect.json"), credential.connection.to_string())?;
        let printed = Arc::default();
        let (name, prompt) = (name.into(), prompt.into());
        let mut live = Self { directory, name, prompt, printed, child: None, reads: None };
        live.start_again()?;
        Ok(live)
    }

    /// `live` with these arguments, with this agent's connection and cache.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tools::binary("live"));
        command
            .args(arguments)
            .env("LIVE_CONNECTION", self.directory.join("agent.connect.json"))
            .env("LIVE_CREDENTIALS", self.directory.join("agent.creds"))
            .env("LIVE_CACHE_DIR", self.directory.join("cache"))
            .env("LIVE_NAME", &self.name)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts the agent on the cache that it left.
    pub fn start_again(&mut self) -> Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.directory.join("log"))?;
        let value = format!("name={NAME}");
        let mut child = self
            .command(&["--json", "run", "--print", &self.prompt, "--var", &value])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("live run")?;
        let mut lines = BufReader::new(child.stdout.take().context("what live prints")?).lines();
        let printed = self.printed.clone();
        let reads = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(event) = serde_json::from_str(&line) {
                    printed.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        });
        (self.child, self.reads) = (Some(child), Some(reads));
        Ok(())
    }

    /// Kills it as a power cut would.
    pub async fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
        // What it said before it died comes before what its next life says.
        if let Some(reads) = self.reads.take() {
            let _ = reads.await;
        }
    }

    /// Everything that it printed, in order, over all its lives.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The texts of the prompt that it printed, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.events().iter().filter_map(|event| event["text"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until the text that it printed last is this one.
    ///
    /// # Panics
    /// When the deadline has passed.
    pub async fn prints(&self, text: &str, deadline: Duration) {
        let what = format!("agent {} prints {text:?}", self.name);
        until(&what, deadline, async || {
            (self.texts().last().map(String::as_str) == Some(text)).then_some(())
        })
        .await;
    }
}

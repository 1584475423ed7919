//! `live connect`: a connect string becomes a profile, once it was seen to work.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use live_agent::AgentError;
use nix::sys::termios::{self, LocalFlags, SetArg};
use schemas::connect::ConnectString;
use serde_json::json;

use crate::options::Settings;
use crate::{Failure, show};

/// How long the broker may take to let the agent in and hand over the first bundles.
const FIRST_SYNC: Duration = Duration::from_secs(30);

pub(crate) async fn connect(settings: &Settings) -> Result<(), Failure> {
    let line = tokio::task::spawn_blocking(read_line).await.context("reading the connect string")??;
    let found = ConnectString::from_line(&line).map_err(|e| Failure::Configuration(e.to_string()))?;
    let scope = found.connection.scope.clone();
    progress(settings, format_args!("connecting to {} at {}", scope, found.connection.servers.join(", ")));
    let agent = settings
        .unconnected()?
        .connection(found.connection.clone())
        .credentials(found.creds.clone())
        .start()
        .await?;
    let synced = agent.wait_current(FIRST_SYNC).await;
    let (name, prompts) = (agent.name().clone(), agent.list().len());
    agent.stop().await;
    let report = synced.map_err(|error| match error {
        AgentError::Unreachable(why) => Failure::Unavailable(format!("{why}; nothing was kept")),
        other => Failure::Other(other.into()),
    })?;
    progress(settings, format_args!("connected; {} sets with {prompts} prompts are here", report.sets.len()));
    let connection = settings.config_dir.join(format!("{}.connect.json", settings.profile));
    let credentials = settings.config_dir.join(format!("{}.creds", settings.profile));
    std::fs::create_dir_all(&settings.config_dir)
        .with_context(|| format!("making {}", settings.config_dir.display()))?;
    let mut text = serde_json::to_vec_pretty(&found.connection).context("writing the connection")?;
    text.push(b'\n');
    keep(&credentials, found.creds.as_bytes())?;
    keep(&connection, &text)?;
    if settings.json {
        show::json(&json!({
            "agent": name, "scope": scope, "sets": report.sets.len(), "prompts": prompts,
            "connection": connection, "credentials": credentials,
        }))
    } else {
        println!("{}\n{}", credentials.display(), connection.display());
        Ok(())
    }
}

fn progress(settings: &Settings, what: std::fmt::Arguments<'_>) {
    if !settings.json {
        eprintln!("{what}");
    }
}

/// From the terminal without showing it, or from standard input.
fn read_line() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    if terminal {
        eprint!("connect string (it is not shown): ");
        std::io::stderr().flush()?;
    }
    let hidden = if terminal { Some(Hidden::start()?) } else { None };
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    if hidden.is_some() {
        eprintln!();
    }
    Ok(line)
}

/// Keeps the terminal from showing what is typed.
struct Hidden(termios::Termios);

impl Hidden {
    fn start() -> anyhow::Result<Self> {
        let before = termios::tcgetattr(std::io::stdin()).context("reading the terminal's settings")?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &silent).context("hiding what is typed")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn keep(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

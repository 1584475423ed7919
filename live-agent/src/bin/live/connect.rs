//! `live connect`: a connect string becomes a profile, once it was seen to work.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use live_agent::{AgentError, LiveAgent, SyncReport, config};
use nix::sys::termios::{self, LocalFlags, SetArg};
use schemas::connect::{ConnectString, Connection};
use serde_json::json;

use crate::exit::Failure;
use crate::options::{Settings, write_whole};
use crate::show;

/// What is said to somebody who gives the connect string on the command line. None of it is repeated.
pub(crate) const NEVER_AN_ARGUMENT: &str = "\
connect takes no argument: a connect string on the command line is a secret that your shell keeps in its
history and that everybody on this machine can see in the list of processes. Run \"live connect\" and paste
it when it asks, or give it on standard input (live connect < file). Was that a real one? Then revoke it in
FORGE, and make another.";
/// How long the broker may take to let the agent in and hand over the first bundles.
const FIRST_SYNC: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(150);
const OWNER_ONLY: u32 = 0o600;

pub(crate) async fn connect(settings: &Settings, force: bool) -> Result<(), Failure> {
    let line = tokio::task::spawn_blocking(read_line).await.context("reading the connect string")??;
    let found = ConnectString::from_line(&line).map_err(|e| Failure::Configuration(e.to_string()))?;
    // All that can be seen to be wrong is said before anybody is asked.
    let builder =
        settings.unconnected()?.connection(found.connection.clone()).credentials(found.creds.clone());
    builder.check()?;
    let scope = found.connection.scope.clone();
    let (connection, credentials) = (settings.kept("connect.json"), settings.kept("creds"));
    if let Ok(before) = config::read_connection(&connection)
        && !force
    {
        may_replace(&settings.profile, &before, &found.connection)?;
    }
    progress(settings, format_args!("connecting to {} at {}", scope, found.connection.servers.join(", ")));
    let agent = builder.start().await?;
    let synced = first_sync(&agent, settings).await;
    let (name, prompts) = (agent.name().clone(), agent.list().len());
    agent.stop().await;
    let report = synced.map_err(|error| match error {
        AgentError::Unreachable(why) => Failure::Unavailable(format!("{why}; nothing was kept")),
        other => Failure::Other(other.into()),
    })?;
    let here = [show::counted(report.sets.len(), "set"), show::counted(prompts, "prompt")].join(" with ");
    progress(settings, format_args!("connected; here now: {here}"));
    std::fs::create_dir_all(&settings.config_dir)
        .with_context(|| format!("making {}", settings.config_dir.display()))?;
    let mut text = serde_json::to_vec_pretty(&found.connection).context("writing the connection")?;
    text.push(b'\n');
    write_whole(&credentials, found.creds.as_bytes(), OWNER_ONLY)?;
    write_whole(&connection, &text, OWNER_ONLY)?;
    if settings.json {
        return show::json(&json!({
            "agent": name, "scope": scope, "sets": report.sets.len(), "prompts": prompts,
            "connection": connection, "credentials": credentials,
        }));
    }
    show::text(&format!("{}\n{}\n", credentials.display(), connection.display()))?;
    let profile = match settings.profile.as_str() {
        "default" => String::new(),
        other => format!(" --profile {other}"),
    };
    progress(
        settings,
        format_args!(
            "next: \"live{profile} list\" shows what there is, \"live{profile} prompt ID\" renders it,"
        ),
    );
    progress(settings, format_args!("      \"live{profile} doctor\" looks whether all is well"));
    Ok(())
}

/// A profile goes on to what it goes to: another scope, or roots of which it knows none, are replaced only
/// where somebody says so.
fn may_replace(profile: &str, before: &Connection, now: &Connection) -> Result<(), Failure> {
    if before.scope != now.scope {
        return Err(Failure::NotPermitted(format!(
            "profile {profile} connects to {}, this string to {}: give another --profile, or --force to replace it",
            before.scope, now.scope
        )));
    }
    if now.roots.iter().any(|root| before.roots.contains(root)) {
        return Ok(());
    }
    Err(Failure::NotPermitted(format!(
        "profile {profile} trusts root {}, this string brings {} and none of those: whoever wrote it could have \
         any prompt believed here. Ask who runs FORGE; if its roots were changed, --force replaces them",
        before.roots.join(", "),
        now.roots.join(", ")
    )))
}

/// Waits until all is here; on a terminal it shows how much is.
async fn first_sync(agent: &LiveAgent, settings: &Settings) -> Result<SyncReport, AgentError> {
    let shows = !settings.json && std::io::stderr().is_terminal();
    let mut synced = std::pin::pin!(agent.wait_current(FIRST_SYNC));
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut synced => {
                if shows {
                    eprint!("\r\x1b[K");
                }
                return done;
            }
            _ = tick.tick(), if shows => {
                let sets = show::counted(agent.status().sets.len(), "set");
                eprint!("\r\x1b[K  {sets}, {}", show::counted(agent.list().len(), "prompt"));
            }
        }
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
    let hidden = if terminal { Some(Hidden::start()?) } else { None };
    if terminal {
        eprint!("connect string (it is not shown): ");
        std::io::stderr().flush()?;
    }
    if hidden.is_none() {
        let mut line = String::new();
        stdin.lock().read_line(&mut line)?;
        return Ok(line);
    }
    let typed = typed_line(stdin.lock().bytes());
    eprintln!();
    typed
}

/// A line as it is typed or pasted, of any length: a terminal that gathers lines itself cuts them off.
fn typed_line(bytes: impl Iterator<Item = std::io::Result<u8>>) -> anyhow::Result<String> {
    const END_OF_INPUT: u8 = 4;
    const BACKSPACES: [u8; 2] = [8, 127];
    let mut line = Vec::new();
    for byte in bytes {
        match byte? {
            b'\n' | b'\r' | END_OF_INPUT => break,
            byte if BACKSPACES.contains(&byte) => {
                line.pop();
            }
            byte => line.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Keeps the terminal from showing what is typed.
struct Hidden(termios::Termios);

impl Hidden {
    fn start() -> anyhow::Result<Self> {
        let before = termios::tcgetattr(std::io::stdin()).context("reading the terminal's settings")?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON);
        termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &silent).context("hiding what is typed")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

//! `live serve`: an agent for services that are not written in Rust.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgMatches, Command};
use live_agent::LiveAgent;
use live_agent::config::options::{Given, OPTIONS, Place, Setting};
use live_agent::serve::listen::ListenError;
use live_agent::serve::server::Server;
use live_agent::serve::settings::Settings as Served;
use live_agent::serve::token::{TokenError, Tokens};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::ends::Ends;
use crate::options::{self, Settings};
use crate::{Failure, show};

/// What the flags say that only this command has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Serve(pub(crate) Given);

fn own() -> impl Iterator<Item = &'static Setting> {
    OPTIONS.iter().filter(|setting| setting.place == Place::Serve)
}

impl clap::Args for Serve {
    fn augment_args(command: Command) -> Command {
        own().fold(command, |command, setting| command.arg(options::argument(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Serve {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(options::said(matches, own())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Serves until it is told to end.
pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let mut ends = Ends::listen()?;
    let mut hangup = signal(SignalKind::hangup()).context("listening for signals")?;
    let token_path = token_path(settings);
    let mut served = Served::of(&settings.given)?;
    if !served.listen.is_empty() && !settings.on("no_token") {
        served.tokens = Some(tokens(&token_path)?);
    }
    let tokens = served.tokens.clone();
    raise_files(&served);
    let server = Server::bind(served).await.map_err(refused)?;
    let starts = server.while_starting(settings.builder()?.start());
    let Some(started) = ends.unless(starts).await else { return Ok(()) };
    let agent = started?;
    tell(settings, &server, tokens.is_some().then_some(token_path))?;
    let (reloaded, own) = (settings.clone(), agent.clone());
    let reloads = async move {
        while hangup.recv().await.is_some() {
            reload(&reloaded, tokens.as_ref(), &own).await;
        }
        std::future::pending::<()>().await;
    };
    let running = server.run(agent.clone(), async move { ends.told().await });
    let drained = tokio::select! {
        drained = running => drained.context("starting the workers")?,
        () = reloads => return Ok(()),
    };
    agent.stop().await;
    if drained.cut > 0 {
        eprintln!("live: {} connections were cut off: they took too long", drained.cut);
    }
    Ok(())
}

fn token_path(settings: &Settings) -> PathBuf {
    let beside = || settings.config_dir.join(format!("{}.sidecar.token", settings.profile));
    settings.text("token_file").map_or_else(beside, PathBuf::from)
}

fn tokens(path: &std::path::Path) -> Result<Tokens, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let (tokens, made) = Tokens::from_file(path).map_err(|error: TokenError| configuration(error))?;
    if made {
        eprintln!("live: a token was made in {}", path.display());
    }
    Ok(tokens)
}

/// Connections are open files, and so are the cache and the connection to the broker: asks the system for as
/// many as it gives.
fn raise_files(served: &Served) {
    /// For all that is no connection of a caller.
    const BESIDE: usize = 128;
    let doors = served.listen.len() + usize::from(served.socket.is_some());
    let wanted = served.connections.saturating_mul(doors).saturating_add(BESIDE);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if now >= wanted {
        return;
    }
    let raised = wanted.min(most);
    let raised = setrlimit(Resource::RLIMIT_NOFILE, raised, most).map_or(now, |()| raised);
    if raised < wanted {
        tracing::warn!(
            files.most = raised,
            files.wanted = wanted,
            "this process may not open as many files as it takes connections: raise its limit (ulimit -n), or \
             lower --connections"
        );
    }
}

/// Says where it listens, once it does.
fn tell(settings: &Settings, server: &Server, token: Option<PathBuf>) -> Result<(), Failure> {
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let socket = settings.text("socket");
    if settings.json {
        return show::json(&json!({
            "event": "serving", "listen": addresses, "socket": socket, "token_file": token,
        }));
    }
    for address in &addresses {
        show::text(&format!("serving on http://{address}\n"))?;
    }
    if let Some(path) = socket {
        show::text(&format!("serving on {path}\n"))?;
    }
    if let Some(path) = token {
        show::text(&format!("the token is in {}\n", path.display()))?;
    }
    Ok(())
}

fn configuration(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Configuration(format!("{:#}", anyhow::Error::new(error)))
}

fn refused(error: ListenError) -> Failure {
    match error {
        ListenError::Tcp { .. } | ListenError::InUse(_) => Failure::Other(error.into()),
        other => configuration(other),
    }
}

/// Reads tokens and credential again. What cannot be used is said, and what was used stays.
async fn reload(settings: &Settings, tokens: Option<&Tokens>, agent: &LiveAgent) {
    if let Some(Err(error)) = tokens.map(Tokens::reload) {
        tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the tokens of before stay");
    }
    match tokio::fs::read_to_string(&settings.credentials).await {
        Ok(text) => {
            if let Err(error) = agent.set_credentials(text).await {
                tracing::error!(error = %error, "the credential of before stays");
            }
        }
        Err(error) => tracing::error!(error = %error, "the credential of before stays"),
    }
    tracing::info!("tokens and credential were read again");
}

//! `live serve`: an agent for services that are not written in Rust.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use clap::builder::FalseyValueParser;
use live_agent::LiveAgent;
use live_agent::serve::listen::{ListenError, SocketPlace};
use live_agent::serve::server::Settings as Served;
use live_agent::serve::token::{TokenError, Tokens};
use live_agent::serve::{Bounds, Server};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Settings;
use crate::{Failure, show};

/// Where it listens if nothing else is said.
const LISTEN: &str = "127.0.0.1:7460";

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TCP address; may be given again [default: 127.0.0.1:7460, where no --socket is given]
    #[arg(long, env = "LIVE_LISTEN", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// A Unix socket; who may open the file may ask
    #[arg(long, env = "LIVE_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Its permissions
    #[arg(long, env = "LIVE_SOCKET_MODE", default_value = "0600", value_parser = mode)]
    socket_mode: u32,
    /// The group it belongs to
    #[arg(long, env = "LIVE_SOCKET_GROUP")]
    socket_group: Option<String>,
    /// The file of the token that TCP wants; made with one if it is not there. Two lines are two tokens
    /// [default: sidecar.token beside the profile]
    #[arg(long, env = "LIVE_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Wants no token: everybody on this machine may ask
    #[arg(long, env = "LIVE_NO_TOKEN", conflicts_with = "token_file", value_parser = FalseyValueParser::new())]
    no_token: bool,
    /// Lets --listen be an address that other machines reach
    #[arg(long, env = "LIVE_ALLOW_REMOTE", value_parser = FalseyValueParser::new())]
    allow_remote: bool,
    /// A name that it may be called by, besides localhost; may be given again
    #[arg(long, env = "LIVE_ALLOW_HOST", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Threads that serve [default: one for each core]
    #[arg(long, env = "LIVE_WORKERS")]
    workers: Option<usize>,
    /// Connections at once; more wait
    #[arg(long, env = "LIVE_CONNECTIONS", default_value_t = 1024)]
    connections: usize,
    /// Readers of events at once
    #[arg(long, env = "LIVE_EVENT_READERS", default_value_t = 64)]
    event_readers: usize,
    /// Largest body of a request, in bytes
    #[arg(long, env = "LIVE_BODY_MAX", default_value_t = 1024 * 1024)]
    body_max: usize,
    /// How long the body of a request may take, in milliseconds
    #[arg(long, env = "LIVE_BODY_TIME_MS", default_value_t = 10_000)]
    body_time_ms: u64,
    /// How long the head of a request may take, and a connection be silent, in milliseconds
    #[arg(long, env = "LIVE_HEAD_TIME_MS", default_value_t = 30_000)]
    head_time_ms: u64,
    /// How long new connections are still taken once it is told to end, in milliseconds
    #[arg(long, env = "LIVE_DRAIN_DELAY_MS", default_value_t = 1_000)]
    drain_delay_ms: u64,
    /// How long running requests may still take then, in milliseconds
    #[arg(long, env = "LIVE_DRAIN_TIME_MS", default_value_t = 20_000)]
    drain_time_ms: u64,
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok();
    mode.filter(|mode| *mode <= 0o777).ok_or_else(|| "write permissions such as 0600 or 0660".into())
}

impl Serve {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for signals")?;
        let mut hangup = signal(SignalKind::hangup()).context("listening for signals")?;
        let served = self.settings(settings)?;
        let tokens = served.tokens.clone();
        let server = Server::bind(served).await.map_err(refused)?;
        let agent = settings.builder()?.start().await?;
        self.tell(settings, &server)?;
        let (ends, reloaded, own) = (
            async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            },
            settings.clone(),
            agent.clone(),
        );
        let reloads = async move {
            while hangup.recv().await.is_some() {
                reload(&reloaded, tokens.as_ref(), &own).await;
            }
            std::future::pending::<()>().await;
        };
        let running = server.run(agent.clone(), ends);
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

    fn settings(&self, settings: &Settings) -> Result<Served, Failure> {
        let mut listen = self.listen.clone();
        if listen.is_empty() && self.socket.is_none() {
            listen.push(LISTEN.parse().context("the default address")?);
        }
        let tokens = if listen.is_empty() || self.no_token { None } else { Some(self.tokens(settings)?) };
        let mut served = Served {
            listen,
            socket: self.socket.clone().map(|path| SocketPlace {
                path,
                mode: self.socket_mode,
                group: self.socket_group.clone(),
            }),
            tokens,
            allow_remote: self.allow_remote,
            hosts: self.allow_host.clone(),
            bounds: Bounds {
                body: self.body_max,
                body_time: Duration::from_millis(self.body_time_ms),
                readers: self.event_readers,
            },
            head_time: Duration::from_millis(self.head_time_ms),
            connections: self.connections,
            drain_delay: Duration::from_millis(self.drain_delay_ms),
            drain_time: Duration::from_millis(self.drain_time_ms),
            ..Served::default()
        };
        if let Some(workers) = self.workers {
            served.workers = workers;
        }
        Ok(served)
    }

    fn token_path(&self, settings: &Settings) -> PathBuf {
        let beside = || settings.config_dir.join(format!("{}.sidecar.token", settings.profile));
        self.token_file.clone().unwrap_or_else(beside)
    }

    fn tokens(&self, settings: &Settings) -> Result<Tokens, Failure> {
        let path = self.token_path(settings);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let (tokens, made) = Tokens::from_file(&path).map_err(|error: TokenError| configuration(error))?;
        if made {
            eprintln!("live: a token was made in {}", path.display());
        }
        Ok(tokens)
    }

    /// Says where it listens, once it does.
    fn tell(&self, settings: &Settings, server: &Server) -> Result<(), Failure> {
        let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
        let token = (!addresses.is_empty() && !self.no_token).then(|| self.token_path(settings));
        if settings.json {
            return show::json(&json!({
                "event": "serving", "listen": addresses, "socket": self.socket, "token_file": token,
            }));
        }
        for address in &addresses {
            show::text(&format!("serving on http://{address}\n"))?;
        }
        if let Some(path) = &self.socket {
            show::text(&format!("serving on {}\n", path.display()))?;
        }
        if let Some(path) = token {
            show::text(&format!("the token is in {}\n", path.display()))?;
        }
        Ok(())
    }
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

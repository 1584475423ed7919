//! `forge serve`: everything that one process does, started together and ended together.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::state::AppState;
use crate::{broker, fleet, heartbeat, mail, relay, server, session, tls, usage, webhook};

/// How long the tasks may take to end.
const END: Duration = Duration::from_secs(10);
/// A task that broke is started again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// A FORGE that runs.
#[derive(Debug)]
pub struct Running {
    pub state: AppState,
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Starts everything. The broker may be away: FORGE serves, and what is published waits.
///
/// # Errors
/// The address cannot be had, or data directory, database or master key cannot be used.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {} (option listen)", config.listen))?;
    let address = listener.local_addr().context("asking for the address served on")?;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("{}://{address}", config.scheme()));
    let state = AppState::open(config, public_url).await.context("opening the database and the keys")?;
    let served = tls::for_pages(&state).context("reading the certificate to serve (option tls)")?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let keep =
        |tasks: &mut JoinSet<()>, name: &'static str, task: fn(AppState, CancellationToken) -> Task| {
            tasks.spawn(keep(name, state.clone(), stop.clone(), task));
        };
    keep(&mut tasks, "broker", |state, stop| Box::pin(broker::run(state, stop)));
    keep(&mut tasks, "relay", |state, stop| Box::pin(relay::run(state, stop)));
    keep(&mut tasks, "mail", |state, stop| Box::pin(mail::run(state, stop)));
    keep(&mut tasks, "fleet", |state, stop| Box::pin(fleet::run(state, stop)));
    keep(&mut tasks, "heartbeat", |state, stop| Box::pin(heartbeat::run(state, stop)));
    keep(&mut tasks, "usage", |state, stop| Box::pin(usage::run(state, stop)));
    keep(&mut tasks, "webhooks", |state, stop| Box::pin(webhook::run(state, stop)));
    let (serving, end) = (state.clone(), stop.clone());
    tasks.spawn(async move {
        let done = match served {
            None => server::serve(listener, serving, end.clone()).await,
            Some(served) => server::serve_over_tls(listener, served, serving, end.clone()).await,
        };
        if let Err(error) = done {
            tracing::error!(error = %error, "the web server ended");
            end.cancel();
        }
    });
    Ok(Running { state, address, stop, tasks })
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a task until `stop`, and again if it breaks.
async fn keep(
    name: &'static str,
    state: AppState,
    stop: CancellationToken,
    task: fn(AppState, CancellationToken) -> Task,
) {
    while !stop.is_cancelled() {
        match tokio::spawn(task(state.clone(), stop.clone())).await {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(task.name = name, error = %error, "a task broke; starting it again")
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return;
        }
    }
}

impl Running {
    /// Completes when the process is asked to end, or the web server ended.
    pub async fn until_asked_to_end(&self, signals: &mut Signals) {
        tokio::select! {
            () = signals.recv() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Ends everything, the embedded broker too.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let ended =
            tokio::time::timeout(END, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        self.state.refusals.close(&self.state).await;
    }
}

/// What asks a process to end. Heard from when it is made, not only from when it is awaited: who ends a FORGE that
/// still starts, ends it in order.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    of: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    /// # Errors
    /// The system does not let a process hear them.
    pub fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self { of: [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?] })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.of;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Serves until asked to end.
///
/// # Errors
/// As [`start`].
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("hearing the signals that end a process")?;
    let running = start(config).await?;
    println!("forge serves on {}://{}", running.state.config.scheme(), running.address);
    if let Some(authority) = running.state.tls.authority() {
        println!(
            "certificates are signed by FORGE's own authority: {} (SHA-256 {})",
            running.state.config.data_dir.join(tls::AUTHORITY_FILE).display(),
            authority.fingerprint()
        );
    }
    tracing::info!(
        forge.address = %running.address, forge.url = %running.state.public_url,
        database.kind = running.state.database.kind(), "forge serves"
    );
    if let Some(link) = session::set_up::link(&running.state).await? {
        // To the console and not into the log, which others read too.
        eprintln!(
            "There is no user yet. Make the first one within an hour:\n  {}{link}",
            running.state.public_url
        );
    }
    running.until_asked_to_end(&mut signals).await;
    tracing::info!("forge ends");
    running.stop().await;
    Ok(())
}

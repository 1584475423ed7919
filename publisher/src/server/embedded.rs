//! A nats-server as a private child of this process.
//!
//! It listens on the loopback interface unless told otherwise, keeps its port over restarts so that agents find it again,
//! is started again when it dies, and ends with its parent however that ends: a guard process
//! holds the other end of a pipe, and ends the server when the pipe closes.

mod process;

use std::fs::{File, TryLockError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nats_config::conf::{self, Exposure, Operator};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ServerError;
use process::{Process, end_orphan};

const CONFIGURATION: &str = "nats-server.conf";
const PORT: &str = "port";
const LOCK: &str = "lock";
/// How long a directory may still be held by who has just given it up.
const GIVEN_BACK: Duration = Duration::from_secs(1);
const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// Below what systems give to outgoing connections. Among those, a client that keeps trying while the
/// server is away can be given the server's own port, connects to itself, and the server never gets it back.
const PORTS: Range<u16> = 15_000..32_000;
const PORT_TRIES: usize = 50;
/// A server that ran this long did not die of its start.
const STEADY: Duration = Duration::from_millis(500);

/// What [`EmbeddedServer::start`] needs.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub binary: PathBuf,
    /// Holds configuration, port, log, streams and accounts.
    pub directory: PathBuf,
    pub operator: Operator,
    /// Who can reach it, and how.
    pub exposure: Exposure,
}

/// A running nats-server. Dropping it ends the server; [`EmbeddedServer::stop`] also waits for it.
#[derive(Debug)]
pub struct EmbeddedServer {
    port: u16,
    exposure: Exposure,
    directory: PathBuf,
    pid: watch::Receiver<Option<u32>>,
    stop: CancellationToken,
    supervisor: Option<JoinHandle<()>>,
}

impl EmbeddedServer {
    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// [`ServerError`]: the directory cannot be used or is in use, or the server does not start.
    pub async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        let directory = prepare(&config.directory)?;
        let lock = take(&directory).await?;
        let conf = directory.join(CONFIGURATION);
        end_orphan(&directory, &conf).await;
        let exposure = config.exposure;
        let port = match exposure.port {
            Some(port) => port,
            None => choose_port(&directory)?,
        };
        let embedded = conf::Embedded {
            name: "anvil-private",
            port,
            exposure: &exposure,
            directory: &directory,
            operator: &config.operator,
        };
        write(&conf, &embedded.to_string())?;
        let address = near(&exposure, port);
        let launch = Launch { binary: config.binary, directory: directory.clone(), conf, address };
        let process = launch.start().await?;
        tracing::info!(server.pid = process.pid(), server.port = port, "nats-server runs");
        let (pids, pid) = watch::channel(Some(process.pid()));
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(supervise(launch, process, pids, stop.clone(), lock));
        Ok(Self { port, exposure, directory, pid, stop, supervisor: Some(supervisor) })
    }

    /// Where clients of this machine connect. It stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.exposure.tls.is_some() { "tls" } else { "nats" };
        format!("{scheme}://{}", near(&self.exposure, self.port))
    }

    /// Makes the server read its certificate again.
    pub fn reload(&self) {
        if let Some(pid) = self.pid() {
            process::reload(pid);
        }
    }

    /// Process id of the server, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// The directory with the server's configuration, store and log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends the server and waits until it has gone.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.await;
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How the server is started, each time in the same way.
#[derive(Debug)]
struct Launch {
    binary: PathBuf,
    directory: PathBuf,
    conf: PathBuf,
    address: SocketAddr,
}

impl Launch {
    async fn start(&self) -> Result<Process, ServerError> {
        Process::start(&self.binary, &self.directory, &self.conf, self.address).await
    }
}

/// Starts the server again whenever it dies, until told to stop. Holds the lock all the while.
async fn supervise(
    launch: Launch,
    first: Process,
    pids: watch::Sender<Option<u32>>,
    stop: CancellationToken,
    _lock: File,
) {
    let mut running = Some(first);
    let mut pause = BACK_OFF_FIRST;
    loop {
        if let Some(mut process) = running.take() {
            let since = Instant::now();
            let ended = tokio::select! {
                ended = process.ended() => ended,
                () = stop.cancelled() => {
                    process.end().await;
                    pids.send_replace(None);
                    return;
                }
            };
            pids.send_replace(None);
            tracing::warn!(server.ended = %ended, "nats-server died; it is started again");
            if since.elapsed() >= STEADY {
                pause = BACK_OFF_FIRST;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = (pause * 2).min(BACK_OFF_MAX);
        tokio::select! {
            started = launch.start() => match started {
                Ok(process) => {
                    pids.send_replace(Some(process.pid()));
                    running = Some(process);
                }
                Err(error) => tracing::error!(error = %error, "nats-server cannot be started; trying again"),
            },
            () = stop.cancelled() => return,
        }
    }
}

/// Where a client of this machine reaches the server.
fn near(exposure: &Exposure, port: u16) -> SocketAddr {
    let host = exposure.host();
    let host = match host {
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        _ => host,
    };
    SocketAddr::new(host, port)
}

fn prepare(directory: &Path) -> Result<PathBuf, ServerError> {
    let failed = |source| ServerError::Directory { path: directory.to_path_buf(), source };
    std::fs::create_dir_all(directory).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(directory, private).map_err(failed)?;
    }
    directory.canonicalize().map_err(failed)
}

/// Takes the directory for this process. The system gives it back, however the process ends, though not at
/// once: a program that the last holder was just starting has the lock until it runs.
async fn take(directory: &Path) -> Result<File, ServerError> {
    let failed = |source| ServerError::Directory { path: directory.to_path_buf(), source };
    let lock = File::create(directory.join(LOCK)).map_err(failed)?;
    let end = Instant::now() + GIVEN_BACK;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if Instant::now() > end => {
                return Err(ServerError::InUse { path: directory.to_path_buf() });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The port of the last time while it is free, else one by lot; remembered.
fn choose_port(directory: &Path) -> Result<u16, ServerError> {
    let failed = |source| ServerError::Directory { path: directory.to_path_buf(), source };
    let file = directory.join(PORT);
    let last = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let any = || {
        let tries = (0..PORT_TRIES).map(|_| free(rand::random_range(PORTS)));
        tries.flatten().next().map_or_else(|| free(0), Ok)
    };
    let listener = match last.map(free) {
        Some(Ok(listener)) => listener,
        Some(Err(_)) => {
            tracing::warn!(server.port = last, "the port of the private nats-server is taken; using another");
            any().map_err(failed)?
        }
        None => any().map_err(failed)?,
    };
    let port = listener.local_addr().map_err(failed)?.port();
    write(&file, &format!("{port}\n"))?;
    Ok(port)
}

fn write(path: &Path, text: &str) -> Result<(), ServerError> {
    std::fs::write(path, text).map_err(|source| ServerError::Directory { path: path.to_path_buf(), source })
}

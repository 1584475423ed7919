//! One run of the server, its guard, and what an earlier run may have left behind.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nats_config::conf;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::ServerError;

const PID: &str = "nats-server.pid";
const STARTUP_LOG: &str = "startup.log";
const START_TIME: Duration = Duration::from_secs(30);
const END_TIME: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);

/// Waits for the pipe to close, then ends process `$1` if it still is the server of `$2`.
const GUARD: &str = r#"
cat >/dev/null
of() { if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -ww -o command= -p "$1"; fi; }
case "$(of "$1" 2>/dev/null)" in *"$2"*) kill -TERM "$1" 2>/dev/null ;; esac
"#;

/// A server that takes connections.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: u32,
    pid_file: PathBuf,
    /// Ends the server when this process has gone, by whatever death.
    _guard: Child,
}

impl Process {
    /// Starts the server and waits until it takes connections.
    pub(super) async fn start(
        binary: &Path,
        directory: &Path,
        conf: &Path,
        address: SocketAddr,
    ) -> Result<Self, ServerError> {
        let run = |source| ServerError::Run { path: binary.to_path_buf(), source };
        let startup_log = directory.join(STARTUP_LOG);
        let output = File::create(&startup_log).map_err(run)?;
        let mut child = Command::new(binary)
            .arg("-c")
            .arg(conf)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(run)?)
            .stderr(output)
            // A Ctrl-C in the terminal is for the parent, which ends the server in its turn.
            .process_group(0)
            .kill_on_drop(true)
            .env_clear()
            .envs(environment())
            .spawn()
            .map_err(run)?;
        let failed = |reason: String| ServerError::Start { reason, log: directory.join(conf::LOG_FILE) };
        let pid = child.id().ok_or_else(|| failed("it ended at once".into()))?;
        let guard = guard(pid, conf).map_err(|e| failed(format!("its guard cannot be started: {e}")))?;
        let pid_file = directory.join(PID);
        std::fs::write(&pid_file, format!("{pid}\n")).map_err(run)?;
        let deadline = Instant::now() + START_TIME;
        while !greets(address).await {
            if let Some(status) = child.try_wait().map_err(run)? {
                let said = std::fs::read_to_string(&startup_log).unwrap_or_default();
                let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
                return Err(failed(format!("{status}: {last}")));
            }
            if Instant::now() >= deadline {
                return Err(failed(format!("no greeting within {} s", START_TIME.as_secs())));
            }
            tokio::time::sleep(STEP).await;
        }
        Ok(Self { child, pid, pid_file, _guard: guard })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the server has died by itself.
    pub(super) async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|e| e.to_string(), |status: ExitStatus| status.to_string())
    }

    /// Asks the server to end, and makes it where it does not.
    pub(super) async fn end(mut self) {
        signal(self.pid, Signal::SIGTERM);
        if tokio::time::timeout(END_TIME, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

fn guard(pid: u32, conf: &Path) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", GUARD, "anvil-guard"])
        .arg(pid.to_string())
        .arg(conf)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .env_clear()
        .envs(environment())
        .spawn()
}

/// What a child is told of our environment, where master key and passwords may stand: where programs are, and no more.
fn environment() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

/// Makes a server read its configuration and its certificate again.
pub(super) fn reload(pid: u32) {
    signal(pid, Signal::SIGHUP);
}

/// Whether a NATS server answers there.
async fn greets(address: SocketAddr) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut start = [0; 5];
        stream.read_exact(&mut start).await?;
        Ok::<_, std::io::Error>(&start == b"INFO ")
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), greeting).await, Ok(Ok(true)))
}

/// Ends a server that an earlier run left behind: the process of the id file, if it really runs
/// with this configuration.
pub(super) async fn end_orphan(directory: &Path, conf: &Path) {
    let file = directory.join(PID);
    let pid = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(pid) = pid
        && runs_with(pid, conf).await
    {
        tracing::warn!(server.pid = pid, "ending a nats-server that an earlier run left behind");
        let deadline = Instant::now() + END_TIME;
        signal(pid, Signal::SIGTERM);
        while runs_with(pid, conf).await {
            if Instant::now() >= deadline {
                signal(pid, Signal::SIGKILL);
            }
            tokio::time::sleep(STEP).await;
        }
    }
    let _ = std::fs::remove_file(file);
}

async fn runs_with(pid: u32, conf: &Path) -> bool {
    let command = match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => bytes,
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => {
            let ps =
                Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().await;
            ps.map(|output| output.stdout).unwrap_or_default()
        }
    };
    String::from_utf8_lossy(&command).contains(&*conf.to_string_lossy())
}

fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // It may have gone already.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

//! A private PostgreSQL cluster: own directory, own port, gone with its owner.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

use crate::tools;

/// The superuser of the cluster.
const SUPERUSER: &str = "anvil";

/// How long a start may take.
const START: Duration = Duration::from_secs(120);

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    dir: TempDir,
    port: u16,
    child: Child,
    keeper: Child,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes and starts a cluster.
    ///
    /// # Panics
    /// Where PostgreSQL is not installed or does not start; `scripts/ensure-tools` installs it.
    #[must_use]
    pub fn start() -> Self {
        let bin = bin_dir();
        let dir =
            tempfile::Builder::new().prefix("anvil-postgres-").tempdir().expect("a temporary directory");
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("a directory for the cluster");
        if let Some(owner) = unprivileged() {
            for path in [dir.path(), data.as_path()] {
                std::os::unix::fs::chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))
                    .expect("the cluster's directory handed to its user");
            }
        }
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).expect("permissions");
        let made = run_as(&bin.join("initdb"))
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", SUPERUSER, "-D"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = crate::forge::free_port().expect("a free port");
        let child = serve(&bin, dir.path(), port);
        let keeper = keep(dir.path());
        let mut cluster = Self { bin, dir, port, child, keeper, databases: AtomicU32::new(0) };
        cluster.ready(Instant::now() + START).unwrap_or_else(|ended| panic!("{ended}"));
        cluster
    }

    /// The address of a new, empty database.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("anvil_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// How many databases were made in it.
    #[must_use]
    pub fn databases(&self) -> u32 {
        self.databases.load(Ordering::Relaxed)
    }

    /// The address of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.dir.path()
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements with `psql` and gives what they print, one row a line, columns by `|`.
    ///
    /// # Panics
    /// Where one fails.
    #[must_use = "use `let _ =` for a statement that prints nothing"]
    pub fn query(&self, database: &str, sql: &str) -> String {
        self.sql(database, sql)
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        let done = Command::new(self.bin.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", SUPERUSER, "-d", database])
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .expect("psql runs");
        assert!(done.status.success(), "psql: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Kills the cluster as a power cut would; its data stay.
    pub fn kill(&mut self) {
        // The postmaster's children end by themselves when it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the cluster again on its port.
    ///
    /// # Panics
    /// Where it does not come back.
    pub fn restart(&mut self) {
        self.kill();
        let end = Instant::now() + START;
        loop {
            let _ = std::fs::remove_file(self.dir.path().join("data/postmaster.pid"));
            self.child = serve(&self.bin, self.dir.path(), self.port);
            match self.ready(end) {
                Ok(()) => return,
                // A child of the one that was killed has not noticed yet, and a new one never runs beside it.
                Err(ended) if ended.contains("still in use") && Instant::now() < end => {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Err(ended) => panic!("{ended}"),
            }
        }
    }

    /// Waits until it serves; where it ends instead, gives what it said.
    fn ready(&mut self, end: Instant) -> Result<(), String> {
        loop {
            let ready = Command::new(self.bin.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .expect("pg_isready runs");
            if ready.success() {
                return Ok(());
            }
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("PostgreSQL ended ({status}): {}", log()));
            }
            assert!(Instant::now() < end, "PostgreSQL did not start within {START:?}: {}", log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        // Immediate shutdown: the postmaster takes its children along. The number of one that was killed may be
        // somebody else's by now.
        if let (Ok(None), Ok(pid)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        }
        let _ = self.child.wait();
    }
}

fn serve(bin: &Path, dir: &Path, port: u16) -> Child {
    let log = std::fs::File::create(dir.join("log")).expect("a log file");
    run_as(&bin.join("postgres"))
        .arg("-D")
        .arg(dir.join("data"))
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        // Tests kill processes, not machines: what the kernel has is safe.
        .args(["-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle of the log"))
        .stderr(log)
        .spawn()
        .expect("postgres starts")
}

/// Waits for the end of this process, however it ends, and takes the cluster and its files along: what a
/// static variable holds is never dropped.
fn keep(dir: &Path) -> Child {
    let after =
        r#"trap '' INT HUP; read -r _; kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")"; rm -rf "$1""#;
    Command::new("sh")
        .args(["-c", after, "keeper"])
        .arg(dir)
        // Ends with this process, since nobody else has the other end.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs")
}

/// PostgreSQL refuses to run as root: then it runs as its own user.
fn unprivileged() -> Option<User> {
    geteuid().is_root().then(|| {
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .expect("a user that PostgreSQL can run as")
    })
}

fn run_as(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = unprivileged() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir("/");
    }
    command
}

/// The newest of the installed versions.
fn bin_dir() -> PathBuf {
    let mut versions: Vec<PathBuf> =
        ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt"]
            .iter()
            .filter_map(|root| std::fs::read_dir(root).ok())
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path().join("bin"))
            .filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
            .collect();
    versions.sort();
    versions
        .pop()
        .or_else(|| tools::find("postgres", &[]).and_then(|p| p.parent().map(Path::to_path_buf)))
        .expect("PostgreSQL is not installed: run scripts/ensure-tools")
}

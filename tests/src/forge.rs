//! Real `forge` processes, with their database and broker, and what talks to them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api`] | a client of the API, signed in as somebody |
//! | [`live`] | a `live run` process |
//! | [`raw`] | an agent that says what a test has it say |
//! | [`stream`] | what is in a stream, as an agent reads it |
//! | [`broker`] | an external nats-server on the files that `forge nats-config` wrote |
//!
//! [`Forge::start`] is a `forge serve` with the broker embedded, [`Forge::with_broker`] one with an external
//! broker that a test can stop, kill and wipe. Everything dies with the [`Forge`].

pub mod api;
pub mod broker;
pub mod live;
pub mod raw;
pub mod stream;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::postgres::Postgres;
use crate::tools;
use crate::until::within;
use api::Api;
use broker::ExternalBroker;

/// How long a process may take to be ready.
const READY: Duration = Duration::from_secs(120);
/// Ports that the system gives to nobody by itself, and among which FORGE draws no lots for its private server.
const PORTS: std::ops::Range<u16> = 11_000..15_000;
/// Who owns the organisation of every test.
pub const OWNER: &str = "owner@acme.test";
/// The owner's password.
pub const PASSWORD: &str = "correct horse battery staple";
/// The organisation of every test.
pub const ORGANISATION: &str = "acme";

/// Which database FORGE runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// Options and data of `forge` processes: everything but the processes.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    postgres: Option<(Postgres, String)>,
    broker: Option<ExternalBroker>,
    broker_port: u16,
    environment: Vec<(String, String)>,
}

/// A running `forge serve`.
#[derive(Debug)]
pub struct Process {
    child: Option<Child>,
    port: u16,
    number: usize,
}

/// FORGE: a place, and its first process.
#[derive(Debug)]
pub struct Forge {
    pub place: Place,
    pub process: Process,
    owner: Option<Api>,
}

impl Place {
    /// A place with nothing in it yet: no broker, and a database without tables.
    pub fn new(database: Database) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("anvil-forge-").tempdir()?;
        let postgres = (database == Database::Postgres).then(|| {
            let cluster = Postgres::start();
            let url = cluster.database();
            (cluster, url)
        });
        let mut environment: Vec<(String, String)> = [
            ("FORGE_TOOLS_DIR", tools::tools_dir().display().to_string()),
            ("FORGE_DATA_DIR", directory.path().join("data").display().to_string()),
            ("FORGE_HEARTBEAT_MS", "1000".into()),
            ("FORGE_STATUS_MS", "1000".into()),
            ("FORGE_REQUESTS_PER_SECOND", "10000".into()),
            ("FORGE_SIGN_IN_PER_MINUTE", "1000".into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Some((_, url)) = &postgres {
            environment.push(("FORGE_DATABASE_URL".into(), url.clone()));
        }
        Ok(Self { directory, postgres, broker: None, broker_port: 0, environment })
    }

    /// Tells FORGE of an external broker; [`Place::start_broker`] starts it.
    pub fn use_external_broker(&mut self) -> Result<()> {
        self.broker_port = free_port()?;
        self.environment.push(("FORGE_NATS_URL".into(), format!("nats://127.0.0.1:{}", self.broker_port)));
        Ok(())
    }

    /// The embedded broker draws lots for its port: of two that start at the same time, both may draw the same.
    fn give_the_broker_a_port(&mut self) -> Result<()> {
        let says = |variable: &str| self.environment.iter().any(|(key, _)| key == variable);
        if !says("FORGE_NATS_URL") && !says("FORGE_NATS_LISTEN") {
            let port = free_port()?;
            self.set("FORGE_NATS_LISTEN", &format!("127.0.0.1:{port}"));
        }
        Ok(())
    }

    /// Starts the external broker on the files that `forge nats-config` writes.
    pub async fn start_broker(&mut self) -> Result<()> {
        let files = self.directory().join("nats-config");
        self.run(&["nats-config", &files.display().to_string()]).await?;
        let directory = self.directory().join("nats");
        self.broker = Some(ExternalBroker::start(&files, &directory, self.broker_port).await?);
        Ok(())
    }

    /// Makes the first user, by the command that an operator uses.
    pub async fn add_owner(&self) -> Result<()> {
        let password = self.directory().join("password");
        std::fs::write(&password, PASSWORD)?;
        let password = password.display().to_string();
        let arguments = ["user", "add", OWNER, "--name", "Owner", "--organisation", ORGANISATION];
        self.run(&[&arguments[..], &["--role", "owner", "--password-file", &password]].concat()).await?;
        Ok(())
    }

    /// A directory of this test, gone with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory of the processes.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// The external broker.
    ///
    /// # Panics
    /// Where the broker is embedded.
    pub fn broker(&mut self) -> &mut ExternalBroker {
        self.broker.as_mut().expect("this FORGE was started with an external broker")
    }

    /// The PostgreSQL cluster.
    ///
    /// # Panics
    /// Where the database is SQLite.
    pub fn postgres(&mut self) -> &mut Postgres {
        &mut self.postgres.as_mut().expect("this FORGE runs on PostgreSQL").0
    }

    /// Keeps a copy of the database; no FORGE may run.
    pub fn back_up(&self) -> Result<()> {
        self.keep("backup")
    }

    /// Puts the copy of [`Place::back_up`] back into its place; no FORGE may run.
    pub fn restore(&self) -> Result<()> {
        self.put_back("backup")
    }

    /// Keeps a copy of the database under this name; no FORGE may run.
    pub fn keep(&self, copy: &str) -> Result<()> {
        self.copy_database(copy, true)
    }

    /// Puts the copy of this name into the database's place; no FORGE may run.
    pub fn put_back(&self, copy: &str) -> Result<()> {
        self.copy_database(copy, false)
    }

    fn copy_database(&self, copy: &str, out: bool) -> Result<()> {
        if let Some((cluster, url)) = &self.postgres {
            let name = url.rsplit('/').next().context("a name in the address")?;
            let (from, to) = if out { (name, copy) } else { (copy, name) };
            // What served a FORGE that was killed may not have noticed yet, and a database in use is not copied.
            let left = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('{from}', '{to}')"
            );
            let _ = cluster.query("postgres", &left);
            let _ = cluster.query("postgres", &format!("DROP DATABASE IF EXISTS {to}"));
            let _ = cluster.query("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from}"));
            return Ok(());
        }
        let (data, copy) = (self.data(), self.directory().join(copy));
        std::fs::create_dir_all(&copy)?;
        let (from, to) = if out { (&data, &copy) } else { (&copy, &data) };
        for file in ["forge.db", "forge.db-wal", "forge.db-shm"] {
            let _ = std::fs::remove_file(to.join(file));
            if from.join(file).exists() {
                std::fs::copy(from.join(file), to.join(file)).context(file)?;
            }
        }
        Ok(())
    }

    /// Every row of every table in PostgreSQL, as text.
    ///
    /// # Panics
    /// Where the database is SQLite.
    #[must_use]
    pub fn rows(&self) -> String {
        let (cluster, url) = self.postgres.as_ref().expect("this FORGE runs on PostgreSQL");
        let database = url.rsplit('/').next().unwrap_or_default();
        let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
        let rows = |table: &str| cluster.query(database, &format!("SELECT t::text FROM \"{table}\" t"));
        cluster.query(database, tables).lines().map(rows).collect::<Vec<_>>().join("\n")
    }

    /// Runs a statement on the database in PostgreSQL.
    ///
    /// # Panics
    /// Where the database is SQLite, or refuses.
    pub fn sql(&self, statement: &str) -> String {
        let (cluster, url) = self.postgres.as_ref().expect("this FORGE runs on PostgreSQL");
        cluster.query(url.rsplit('/').next().unwrap_or_default(), statement)
    }

    /// Sets an option of the processes that are started from now on.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment.push((variable.to_owned(), value.to_owned()));
    }

    /// `forge` with these arguments, in this place.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tools::binary("forge"));
        command.args(arguments).current_dir(self.directory()).env_clear();
        for key in ["PATH", "HOME", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(key) {
                command.env(key, value);
            }
        }
        command.envs(self.environment.iter().map(|(k, v)| (k, v))).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs `forge` with these arguments to its end and gives what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let done = tokio::time::timeout(READY, self.command(arguments).output())
            .await
            .with_context(|| format!("forge {arguments:?} takes too long"))??;
        ensure!(
            done.status.success(),
            "forge {arguments:?} ended with {}: {}{}",
            done.status,
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(String::from_utf8(done.stdout)?)
    }

    /// Starts a `forge serve` of this place on a port of its own. Does not wait until it is ready.
    pub fn spawn(&self, number: usize) -> Result<Process> {
        let mut process = Process { child: None, port: free_port()?, number };
        process.start(self)?;
        Ok(process)
    }
}

impl Process {
    fn start(&mut self, place: &Place) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log(place))?;
        let child = place
            .command(&["serve"])
            .env("FORGE_LISTEN", format!("127.0.0.1:{}", self.port))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("forge serve")?;
        self.child = Some(child);
        Ok(())
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.directory().join(format!("forge-{}.log", self.number))
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Waits until it serves.
    pub async fn ready(&mut self, place: &Place) -> Result<()> {
        let url = format!("{}/health/ready", self.url());
        let client = reqwest::Client::new();
        let mut ended = None;
        let found = within(READY, async || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                ended = Some(status);
                return Some(false);
            }
            client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()).then_some(true)
        })
        .await;
        if found == Some(true) {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.log(place)).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(30).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
        bail!("forge serve is not ready ({ended:?}); its log ends with\n{tail}")
    }

    /// Waits until it has met its broker: the embedded one starts beside it.
    pub async fn has_its_broker(&self) -> Result<()> {
        let url = format!("{}/health/ready", self.url());
        let broker = async || -> Option<String> {
            let ready: serde_json::Value = reqwest::get(&url).await.ok()?.json().await.ok()?;
            ready["broker"].as_str().map(str::to_owned)
        };
        within(READY, async || (broker().await? == "ok").then_some(())).await.context("FORGE meets no broker")
    }

    /// Kills it as a power cut would.
    pub async fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Ends it as an operator does, and waits until it is gone.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = child.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        }
        let ended = tokio::time::timeout(READY, child.wait()).await.context("forge does not end")??;
        ensure!(ended.success(), "forge ended with {ended}");
        Ok(())
    }
}

impl Forge {
    /// FORGE with its embedded broker, ready, with the organisation `acme` and its owner.
    pub async fn start(database: Database) -> Result<Self> {
        Self::begin(Place::new(database)?).await
    }

    /// FORGE with an external broker.
    pub async fn with_broker(database: Database) -> Result<Self> {
        let mut place = Place::new(database)?;
        place.use_external_broker()?;
        place.start_broker().await?;
        Self::begin(place).await
    }

    /// FORGE in a place that was made ready for it.
    pub async fn begin(mut place: Place) -> Result<Self> {
        place.give_the_broker_a_port()?;
        place.add_owner().await?;
        let mut process = place.spawn(0)?;
        process.ready(&place).await?;
        process.has_its_broker().await?;
        Ok(Self { place, process, owner: None })
    }

    /// Starts the process again, on its address, and waits until it is ready.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process.start(&self.place)?;
        self.process.ready(&self.place).await
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.process.url()
    }

    /// The API, as the owner of the organisation. Survives restarts of the process.
    pub async fn owner(&mut self) -> Result<Api> {
        if let Some(owner) = &self.owner {
            return Ok(owner.clone());
        }
        let owner = Api::sign_in(&self.url(), OWNER, PASSWORD).await?;
        self.owner = Some(owner.clone());
        Ok(owner)
    }

    /// Agents in this place.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.place.directory()
    }
}

/// A port that nobody listens on, and that this process gave to nobody before. It is below those that the
/// system gives to outgoing connections and to who asks for any: a server that comes to it later finds
/// nobody there.
pub fn free_port() -> Result<u16> {
    static NEXT: LazyLock<AtomicUsize> =
        LazyLock::new(|| AtomicUsize::new(rand::random_range(0..PORTS.len())));
    (0..PORTS.len())
        .filter_map(|_| PORTS.clone().nth(NEXT.fetch_add(1, Ordering::Relaxed) % PORTS.len()))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no port is free on this machine")
}

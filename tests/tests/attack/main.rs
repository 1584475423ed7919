//! Attacks, each named, each tried on the real thing: a real broker, a real agent, and where FORGE has
//! a part in it a real FORGE on both databases.
//!
//! | module | what the attacker has |
//! |---|---|
//! | [`age`] | time: it keeps FORGE's word away |
//! | [`bundle`] | the broker: it sends what it likes |
//! | [`flip`] | a wire or a disk: one bit, anywhere |
//! | [`keys`] | a stolen publishing key, or a root |
//! | [`crowd`] | a credential: it speaks as agents that there are not, and says what it likes |
//! | [`stolen`] | a copy of the database with its master key |
//! | [`replay`] | the broker, and patience: it repeats, withholds, delays, reorders |
//! | [`impostor`] | a place in the broker where it answers as FORGE |
//! | [`restore`] | a backup of the database, restored |

mod age;
mod bundle;
mod crowd;
mod flip;
mod flood;
mod floor;
mod impostor;
mod keys;
mod replay;
mod restore;
mod stolen;

use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

/// Set for a test that runs in a process of its own.
const ALONE: &str = "ANVIL_TEST_ALONE";

/// Whether this process runs nothing but this test. Where it does not, one that does is started and must succeed: what
/// a process holds of memory says nothing of one test while it runs others beside it.
pub(crate) async fn alone(test: &str) -> Result<bool> {
    if std::env::var_os(ALONE).is_some() {
        return Ok(true);
    }
    let done = Command::new(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(done.status.success() && said.contains("1 passed"), "{test}: {said}");
    Ok(false)
}

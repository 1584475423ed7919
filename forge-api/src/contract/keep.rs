//! What agents announced, kept: each contract once in an environment, and so much of them and no more.

use schemas::canonical::{self, Digest};
use schemas::contract::{CONTRACT_MAX, Contract};

use crate::clock;
use crate::database::contract::{self, AgentContract, StoredContract};
use crate::database::{Tx, project};
use crate::error::Result;
use crate::fleet::AWAY;

/// Contracts of one agent.
const AGENT_MAX: usize = 64;
/// Characters of a version.
const VERSION_MAX: usize = 64;
/// Bytes of all contracts of an environment.
pub const ENVIRONMENT_BYTES: i64 = 64 * 1024 * 1024;
/// Different contracts of an environment.
const ENVIRONMENT_MAX: usize = 4096;

/// A contract as it is stored.
#[derive(Debug)]
pub struct Read {
    digest: String,
    set_slug: String,
    version: String,
    body: String,
}

/// Reads what an agent announces.
///
/// # Errors
/// It is more than is kept; what to do about it, for people.
pub fn read(announced: &[Contract]) -> Result<Vec<Read>, String> {
    if announced.len() > AGENT_MAX {
        return Err(format!(
            "it announces {} contracts, and forge keeps {AGENT_MAX} of an agent: build it for fewer sets",
            announced.len()
        ));
    }
    let mut out: Vec<Read> = Vec::with_capacity(announced.len());
    for one in announced {
        let version = one.version.to_string();
        let body = canonical::to_canonical(one)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .filter(|body| body.len() <= CONTRACT_MAX && version.len() <= VERSION_MAX)
            .ok_or_else(|| {
                format!(
                    "its contract of {} is larger than {CONTRACT_MAX} bytes: make it of fewer prompts",
                    one.set
                )
            })?;
        let digest = Digest::of(body.as_bytes()).to_string();
        if out.iter().all(|known| known.digest != digest) {
            out.push(Read { digest, set_slug: one.set.to_string(), version, body });
        }
    }
    out.sort_by(|a, b| a.digest.cmp(&b.digest));
    Ok(out)
}

/// Keeps what an agent announces now, in place of what it announced before. Gives whether there was room: where there is
/// none, what it announced before is kept, and it is noted that what it announces now is not.
///
/// # Errors
/// The database refuses.
pub async fn keep(
    tx: &mut Tx,
    project_id: &str,
    environment_id: &str,
    agent: &str,
    read: &[Read],
) -> Result<bool> {
    let before = contract::of_agent(tx, environment_id, agent).await?;
    let kept = before.iter().eq(read.iter().map(|one| &one.digest))
        || replace(tx, project_id, environment_id, agent, read).await?;
    contract::set_kept(tx, environment_id, agent, kept).await?;
    Ok(kept)
}

async fn replace(
    tx: &mut Tx,
    project_id: &str,
    environment_id: &str,
    agent: &str,
    read: &[Read],
) -> Result<bool> {
    // Nobody sweeps away what another one counts on.
    project::lock(tx, project_id).await?;
    if !read.is_empty() && !make_room(tx, environment_id, agent, read).await? {
        return Ok(false);
    }
    // What this agent alone announced before gives its room.
    let mut gone = contract::only_of(tx, environment_id, agent).await?;
    gone.retain(|digest| read.iter().all(|one| one.digest != *digest));
    contract::forget(tx, environment_id, agent).await?;
    contract::delete(tx, environment_id, &gone).await?;
    if read.is_empty() {
        return Ok(true);
    }
    let now = clock::now();
    let bodies: Vec<_> = read
        .iter()
        .map(|one| StoredContract {
            environment_id: environment_id.to_owned(),
            digest: one.digest.clone(),
            set_slug: one.set_slug.clone(),
            version: one.version.clone(),
            body: one.body.clone(),
            size: i64::try_from(one.body.len()).unwrap_or(i64::MAX),
        })
        .collect();
    let rows: Vec<_> = read
        .iter()
        .map(|one| AgentContract {
            environment_id: environment_id.to_owned(),
            agent: agent.to_owned(),
            digest: one.digest.clone(),
            set_slug: one.set_slug.clone(),
            announced_at: now,
        })
        .collect();
    contract::put(tx, &bodies).await?;
    contract::announce(tx, &rows).await?;
    Ok(true)
}

/// Whether there is room for what an agent announces. Where there is not, what nobody announces any more makes it, then
/// what agents announced that were away for long, whom no version is held against.
async fn make_room(tx: &mut Tx, environment_id: &str, agent: &str, read: &[Read]) -> Result<bool> {
    if fits(tx, environment_id, agent, read).await? {
        return Ok(true);
    }
    if contract::sweep(tx, environment_id).await? > 0 && fits(tx, environment_id, agent, read).await? {
        return Ok(true);
    }
    let away = contract::forget_away(tx, environment_id, clock::now() - AWAY, agent).await?;
    if away == 0 {
        return Ok(false);
    }
    tracing::info!(
        environment.id = environment_id,
        contracts = away,
        "contracts of agents that are away made room for others"
    );
    contract::sweep(tx, environment_id).await?;
    fits(tx, environment_id, agent, read).await
}

/// Whether there is room once what this agent alone announced before is gone.
async fn fits(tx: &mut Tx, environment_id: &str, agent: &str, read: &[Read]) -> Result<bool> {
    let gone = contract::only_of(tx, environment_id, agent).await?;
    let mut there = contract::sizes(tx, environment_id).await?;
    there.retain(|(digest, _)| !gone.contains(digest) || read.iter().any(|one| one.digest == *digest));
    let new: Vec<&Read> =
        read.iter().filter(|one| there.iter().all(|(digest, _)| *digest != one.digest)).collect();
    let bytes = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let size: i64 = there.iter().map(|(_, size)| size).sum();
    let more: i64 = new.iter().map(|one| bytes(one.body.len())).sum();
    Ok(new.is_empty()
        || (size.saturating_add(more) <= ENVIRONMENT_BYTES && there.len() + new.len() <= ENVIRONMENT_MAX))
}

#[cfg(test)]
mod tests {
    use schemas::Slug;
    use serde_json::json;

    use super::*;

    fn contract(prompt: &str) -> Contract {
        serde_json::from_value(json!({ "set": "chat", "version": "1.0.0", "prompts": [{ "id": prompt }] }))
            .unwrap()
    }

    #[test]
    fn what_is_announced_twice_is_kept_once_and_too_much_is_refused() {
        let two = read(&[contract("b"), contract("a"), contract("b")]).unwrap();
        assert_eq!(two.len(), 2);
        assert!(two[0].digest < two[1].digest);
        assert!(read(&[contract(&"x".repeat(CONTRACT_MAX))]).unwrap_err().contains("fewer prompts"));
        let many: Vec<_> = (0..=AGENT_MAX)
            .map(|n| {
                let mut one = contract("a");
                one.set = Slug::new(&format!("set-{n}")).unwrap();
                one
            })
            .collect();
        assert!(read(&many).unwrap_err().contains("fewer sets"));
        assert_eq!(read(&many[1..]).unwrap().len(), AGENT_MAX);
    }
}

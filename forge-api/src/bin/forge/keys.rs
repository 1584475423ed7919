//! Keys and signatures, from the console.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use forge_api::auth::Actor;
use forge_api::author::{self, ProjectAt};
use forge_api::config::Config;
use forge_api::database::signing::SigningKey;
use forge_api::keys::change;
use forge_api::seal::write_private;
use forge_api::state::AppState;
use forge_api::{clock, publish};
use schemas::Scope;
use schemas::bundle::Encoding;
use schemas::signed::SignedBundle;

use crate::arguments::{Keys, Verify};

async fn project(state: &AppState, path: &str) -> anyhow::Result<ProjectAt> {
    let Some((organisation, project)) = path.split_once('/') else { bail!("write organisation/project") };
    Ok(author::find_project(state, &Actor::console(), organisation, project).await?)
}

pub(crate) async fn keys(state: &AppState, command: Keys) -> anyhow::Result<()> {
    let console = Actor::console();
    match command {
        Keys::List { project: None } => show(&change::list(state, &console, None).await?),
        Keys::List { project: Some(path) } => {
            show(&change::list(state, &console, Some(&project(state, &path).await?)).await?);
        }
        Keys::Rotate { project: path, .. } => {
            let done = match path {
                Some(path) => {
                    change::rotate_publishing(state, &console, &project(state, &path).await?).await?
                }
                None => change::rotate_root(state, &console).await?,
            };
            println!("{} signs no more; {} does", done.old, done.new);
        }
        Keys::Revoke { key, reason, project: path } => {
            let of = match path {
                Some(path) => Some(project(state, &path).await?),
                None => None,
            };
            let done = change::revoke(state, &console, &key, of.as_ref(), &reason).await?;
            println!("{key} is revoked; {} signs", done.new);
            for again in &done.signed_again {
                println!(
                    "signed again: {}@{} in {}, serial {}",
                    again.set.slug, again.version.version, again.environment.slug, again.publication.serial
                );
            }
        }
    }
    Ok(())
}

fn show(keys: &[SigningKey]) {
    for key in keys {
        let ended = key.revoked_at.or(key.retired_at).map(clock::rfc3339).unwrap_or_default();
        let reason = key.reason.as_deref().unwrap_or_default();
        let made = clock::rfc3339(key.created_at);
        println!("{}  {:8}  made {made}  {ended}  {reason}", key.public_key, key.state);
    }
}

/// Writes what is live of a set in an environment, with its signatures.
pub(crate) async fn bundle(
    state: &AppState,
    path: &str,
    environment: &str,
    out: &Path,
) -> anyhow::Result<()> {
    let console = Actor::console();
    let Some((path, set)) = path.rsplit_once('/') else { bail!("write organisation/project/set") };
    let at = project(state, path).await?;
    let set = author::find_set(state, &console, &at, set).await?;
    let environment = author::find_environment(state, &console, &at, environment).await?;
    let (full, body) = publish::current_bundle(state, &console, &set, &environment).await?;
    let p = &full.publication;
    let file =
        SignedBundle::new(&p.certificate, &p.attestation, p.trust.as_deref(), &body, Encoding::Identity)?;
    let text = serde_json::to_string_pretty(&file)? + "\n";
    write_private(out, text.as_bytes()).with_context(|| format!("writing {}", out.display()))?;
    println!("{}", out.display());
    Ok(())
}

/// Checks a file. With roots given it needs nothing but the file.
pub(crate) async fn verify(config: Config, asked: &Verify) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(&asked.file).with_context(|| format!("reading {}", asked.file.display()))?;
    let file = SignedBundle::from_json(&text)?;
    let roots = if asked.root.is_empty() {
        let state = crate::open(config).await?;
        let keys = change::list(&state, &Actor::console(), None).await?;
        keys.into_iter().filter(|key| key.state != "revoked").map(|key| key.public_key).collect()
    } else {
        asked.root.clone()
    };
    let scope = match &asked.scope {
        None => file.claimed_scope()?,
        Some(text) => {
            let parts: Vec<&str> = text.split('/').collect();
            ensure!(parts.len() == 3, "write organisation/project/environment");
            Scope::new(parts[0], parts[1], parts[2])?
        }
    };
    let checked = file.verify(roots, scope, clock::now())?;
    println!("issued           {}", clock::rfc3339(checked.verified.attestation.issued));
    println!("{checked}");
    Ok(())
}

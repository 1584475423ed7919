//! Folders of prompts, in and out.

use std::path::Path;

use anyhow::{Context as _, bail};
use forge_api::auth::Actor;
use forge_api::author::{self, NewSet, ProjectAt, import as importing};
use forge_api::error::ApiError;
use forge_api::state::AppState;
use forge_api::{lock, publish};

use crate::arguments::Import;

async fn project<'a>(state: &AppState, path: &'a str) -> anyhow::Result<(ProjectAt, &'a str)> {
    let parts: Vec<&str> = path.split('/').collect();
    let [organisation, project, set] = parts.as_slice() else { bail!("write organisation/project/set") };
    Ok((author::find_project(state, &Actor::console(), organisation, project).await?, set))
}

pub(crate) async fn import(state: &AppState, import: &Import) -> anyhow::Result<()> {
    let console = Actor::console();
    let prompts = importing::read_folder(&import.folder)?;
    let (at, slug) = project(state, &import.path).await?;
    let set = match author::find_set(state, &console, &at, slug).await {
        Err(ApiError::NotFound(_)) => {
            author::create_set(state, &console, &at, NewSet { slug, name: "", description: "" }).await?
        }
        other => other?,
    };
    let done = importing::import(state, &console, &set, &prompts).await?;
    println!("{} prompts written, {} unchanged", done.written, done.unchanged);
    let Some(version) = &import.lock else { return Ok(()) };
    let locked = lock::lock(state, &console, &set, version, None, "").await?;
    println!("locked as {} ({})", locked.version, locked.digest);
    let Some(environment) = &import.publish else { return Ok(()) };
    let request = publish::Request {
        environment,
        version,
        expected_serial: None,
        comment: "",
        accept_broken: &import.accept_broken,
    };
    let made = publish::publish(state, &console, &set, request).await?;
    println!("publication {} to {environment}, serial {}", made.publication.number, made.publication.serial);
    Ok(())
}

pub(crate) async fn export(state: &AppState, path: &str, directory: &Path) -> anyhow::Result<()> {
    let console = Actor::console();
    let (at, slug) = project(state, path).await?;
    let set = author::find_set(state, &console, &at, slug).await?;
    let draft = author::draft(state, &console, &set).await?;
    for found in &draft.prompts {
        let file = directory.join(format!("{}.prompt.json", found.prompt.id));
        let folder = file.parent().unwrap_or(directory);
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut text = serde_json::to_vec_pretty(&found.prompt)?;
        text.push(b'\n');
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    println!("{} prompts written to {}", draft.prompts.len(), directory.display());
    Ok(())
}

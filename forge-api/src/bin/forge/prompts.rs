//! Folders of prompts, and files, in and out.

use std::path::Path;

use anyhow::{Context as _, bail};
use exchange::Format;
use forge_api::auth::Actor;
use forge_api::author::export as exporting;
use forge_api::author::plan::{self, Change, Choices, Target};
use forge_api::author::{self, NewSet, ProjectAt, SetAt, import as importing};
use forge_api::error::ApiError;
use forge_api::state::AppState;
use forge_api::{lock, publish};

use crate::arguments::Import;

/// What a path names: a project, or a set of it by its name.
async fn place<'a>(state: &AppState, path: &'a str) -> anyhow::Result<(ProjectAt, Option<&'a str>)> {
    let parts: Vec<&str> = path.split('/').collect();
    let (organisation, project, set) = match parts.as_slice() {
        [organisation, project] => (organisation, project, None),
        [organisation, project, set] => (organisation, project, Some(*set)),
        _ => bail!("write organisation/project/set, or organisation/project for all sets of an archive"),
    };
    Ok((author::find_project(state, &Actor::console(), organisation, project).await?, set))
}

/// A set, made where it is new.
async fn set_of(state: &AppState, at: &ProjectAt, slug: &str) -> anyhow::Result<SetAt> {
    let console = Actor::console();
    match author::find_set(state, &console, at, slug).await {
        Err(ApiError::NotFound(_)) => {
            Ok(author::create_set(state, &console, at, NewSet { slug, name: "", description: "" }).await?)
        }
        other => Ok(other?),
    }
}

pub(crate) async fn import(state: &AppState, import: &Import) -> anyhow::Result<()> {
    let (at, slug) = place(state, &import.path).await?;
    let Some(slug) = slug else {
        anyhow::ensure!(import.lock.is_none(), "--lock is for one set; write organisation/project/set");
        return import_file(state, import, (&at).into()).await;
    };
    let set = set_of(state, &at, slug).await?;
    if import.folder.is_file() {
        import_file(state, import, (&set).into()).await?;
    } else {
        let prompts = importing::read_folder(&import.folder)?;
        let done = importing::import(state, &Actor::console(), &set, &prompts).await?;
        println!("{} prompts written, {} unchanged", done.written, done.unchanged);
    }
    publish_as_asked(state, import, &set).await
}

/// Imports a file as the pages do: by its plan, all of it or nothing.
async fn import_file(state: &AppState, import: &Import, target: Target<'_>) -> anyhow::Result<()> {
    let console = Actor::console();
    let file = &import.folder;
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let choices = Choices::parse(&import.existing, "")?;
    let id = plan::upload(state, &console, target, None, &name, bytes).await?;
    let plan = plan::plan(state, &console, target, &id, choices).await?;
    for (name, item) in plan.items().iter().filter(|(_, i)| i.change.writes() || i.change == Change::Conflict)
    {
        let why = if item.why.is_empty() { String::new() } else { format!(": {}", item.why) };
        println!("{:9} {name}{why}", item.change.as_str());
    }
    let conflicts = plan.count(Change::Conflict);
    anyhow::ensure!(conflicts == 0, "{conflicts} in conflict with what is there; nothing was written");
    let done = plan::apply(state, &console, target, &id, &plan.digest.to_string(), choices).await?;
    println!("{} written, {} unchanged", done.written, done.unchanged);
    Ok(())
}

async fn publish_as_asked(state: &AppState, import: &Import, set: &SetAt) -> anyhow::Result<()> {
    let console = Actor::console();
    let Some(version) = &import.lock else { return Ok(()) };
    let locked = lock::lock(state, &console, set, version, None, "").await?;
    println!("locked as {} ({})", locked.version, locked.digest);
    let Some(environment) = &import.publish else { return Ok(()) };
    let request = publish::Request {
        environment,
        version,
        expected_serial: None,
        comment: "",
        accept_broken: &import.accept_broken,
    };
    let made = publish::publish(state, &console, set, request).await?;
    println!("publication {} to {environment}, serial {}", made.publication.number, made.publication.serial);
    Ok(())
}

pub(crate) async fn export(state: &AppState, path: &str, directory: &Path) -> anyhow::Result<()> {
    let console = Actor::console();
    let (at, slug) = place(state, path).await?;
    let is_archive = directory.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    let Some(slug) = slug else {
        anyhow::ensure!(is_archive, "a whole project goes into an archive; name a file that ends with .zip");
        return archive(directory, &exporting::export_project(state, &console, &at).await?.bytes);
    };
    let set = author::find_set(state, &console, &at, slug).await?;
    if is_archive {
        let written = exporting::export(state, &console, &set, Format::Archive, "").await?;
        return archive(directory, &written.bytes);
    }
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

fn archive(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, bytes).with_context(|| format!("writing {}", file.display()))?;
    println!("{} bytes written to {}", bytes.len(), file.display());
    Ok(())
}

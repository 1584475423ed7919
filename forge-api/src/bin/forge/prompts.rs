//! Folders of prompts, and files, in and out.

use std::path::Path;

use anyhow::{Context as _, bail};
use exchange::{Format, Note, files, folder};
use forge_api::auth::Actor;
use forge_api::author::export as exporting;
use forge_api::author::plan::{self, Change, Choices, Target};
use forge_api::author::{self, NewSet, ProjectAt, SetAt, import as importing};
use forge_api::error::ApiError;
use forge_api::state::AppState;
use forge_api::{lock, publish};

use crate::arguments::{Export, Import};

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
    import_file(state, import, (&set).into()).await?;
    publish_as_asked(state, import, &set).await
}

/// What is imported, as one upload: a folder is packed.
fn upload_of(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let name = path.file_name().map_or("folder".into(), |name| name.to_string_lossy());
    if !path.is_dir() {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        return Ok((name.into_owned(), bytes));
    }
    Ok((format!("{name}.zip"), files::pack(&importing::files_of(path)?)?))
}

/// Imports a folder or a file as the pages do: by its plan, all of it or nothing.
async fn import_file(state: &AppState, import: &Import, target: Target<'_>) -> anyhow::Result<()> {
    let console = Actor::console();
    let (name, bytes) = upload_of(&import.folder)?;
    let choices = Choices::parse(&import.existing, "")?;
    let format = plan::format_named(import.format.as_deref().unwrap_or_default())?;
    let id = plan::upload(state, &console, target, format, &name, bytes).await?;
    let plan = plan::plan(state, &console, target, &id, choices).await?;
    tell(&plan.notes);
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

pub(crate) async fn export(state: &AppState, asked: &Export) -> anyhow::Result<()> {
    let console = Actor::console();
    let (at, slug) = place(state, &asked.path).await?;
    let is_zip = asked.to.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    let named = plan::format_named(asked.format.as_deref().unwrap_or_default())?;
    let format = named.unwrap_or(if is_zip { Format::Archive } else { Format::Folder });
    anyhow::ensure!(
        format != Format::Archive || is_zip,
        "an archive is one file; name a file that ends with .zip"
    );
    let Some(slug) = slug else {
        anyhow::ensure!(
            format == Format::Archive,
            "a whole project goes into an archive; name a file that ends with .zip"
        );
        return file(&asked.to, &exporting::export_project(state, &console, &at).await?.bytes);
    };
    let set = author::find_set(state, &console, &at, slug).await?;
    let written = exporting::export(state, &console, &set, format, "").await?;
    tell(&written.notes);
    if is_zip || !files::is_zip(&written.bytes) {
        return file(&asked.to, &written.bytes);
    }
    let mut files = files::unpack(&written.name, &written.bytes)?;
    if format == Format::Folder {
        // As a pull leaves it.
        let content = folder::read(&files, &mut Vec::new())?;
        files.insert(folder::LOCK.into(), folder::lock(&content)?.into_bytes());
        files.remove(folder::MANIFEST);
        if !asked.to.join(folder::MANIFEST).is_file() {
            let (organisation, project) = (&at.organisation.slug, &at.project.slug);
            let manifest = format!("project = \"{organisation}/{project}\"\nset = \"{slug}\"\n");
            files.insert(folder::MANIFEST.into(), manifest.into_bytes());
        }
    }
    for (path, bytes) in &files {
        let path = asked.to.join(path);
        let parent = path.parent().unwrap_or(&asked.to);
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    println!("{} written to {}", crate::counted(files.len(), "file", "files"), asked.to.display());
    Ok(())
}

/// What was not taken over as it stands, beside what is printed of the changes.
fn tell(notes: &[Note]) {
    for note in notes {
        eprintln!("note: {}: {}: {}", note.place, note.what, note.why);
    }
}

fn file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
    println!("{} written to {}", crate::counted(bytes.len(), "byte", "bytes"), path.display());
    Ok(())
}

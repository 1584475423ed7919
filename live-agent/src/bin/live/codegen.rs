//! `live codegen`: typed access to a version, written from what is on disk or from a signed file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use live_agent::codegen::{self, Language, UnknownLanguage};
use live_agent::{config, offline};
use schemas::canonical::Digest;
use schemas::prompt::Prompt;
use schemas::{Slug, Version};
use serde_json::json;

use crate::exit::Failure;
use crate::options::Settings;
use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Codegen {
    /// What to write: rust, json-schema, typescript or python
    #[arg(long, value_parser = language)]
    language: Language,
    /// The prompt set; may be left out where there is only one
    #[arg(long)]
    set: Option<Slug>,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// A file of "forge bundle" or "live bundle" to take the version from, checked against the roots of the
    /// connect file [default: what is served here]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Writes nothing; fails where the file is not what would be written
    #[arg(long, requires = "out")]
    check: bool,
}

fn language(word: &str) -> Result<Language, UnknownLanguage> {
    word.parse()
}

/// A verified version.
struct Locked {
    set: Slug,
    version: Version,
    digest: Digest,
    prompts: Vec<Prompt>,
}

impl Codegen {
    pub(crate) fn run(self, settings: &Settings) -> Result<(), Failure> {
        let found = match &self.from {
            Some(file) => from_file(settings, file)?,
            None => from_disk(settings)?,
        };
        let locked = choose(found, self.set.as_ref())?;
        let text =
            codegen::write(self.language, &locked.set, &locked.version, &locked.digest, &locked.prompts);
        let standard_output = self.out == Path::new("-");
        if self.check {
            if standard_output {
                return Err(Failure::Usage("--check needs --out with the file to look at".into()));
            }
            check(&self.out, &text, &locked)?;
            return match settings.json {
                true => locked.tell(&self.out),
                false => Ok(()),
            };
        }
        if standard_output {
            return show::text(&text);
        }
        replace(&self.out, &text).with_context(|| format!("writing {}", self.out.display()))?;
        if settings.json {
            return locked.tell(&self.out);
        }
        let Locked { set, version, prompts, .. } = locked;
        let prompts = show::counted(prompts.len(), "prompt");
        show::text(&format!("{} has {prompts} of {set}@{version}\n", self.out.display()))
    }
}

impl Locked {
    /// What the file holds, as JSON.
    fn tell(&self, file: &Path) -> Result<(), Failure> {
        let Self { set, version, digest, prompts } = self;
        show::json(&json!({
            "file": file, "set": set, "version": version, "digest": digest, "prompts": prompts.len(),
        }))
    }
}

fn from_file(settings: &Settings, file: &Path) -> Result<Vec<Locked>, Failure> {
    let connection = config::read_connection(&settings.connection)?;
    let all = offline::verify_file(file, &connection.roots, &connection.scope)
        .with_context(|| format!("{} is not believed", file.display()))?;
    let locked = |one: schemas::signed::Checked| Locked {
        set: one.bundle.set,
        version: one.bundle.version,
        digest: one.verified.digest,
        prompts: one.bundle.prompts,
    };
    Ok(all.into_iter().map(locked).collect())
}

/// The disk cache can be read beside a running agent. What a folder of overrides puts before it is left out: the
/// code names the version and digest that FORGE published.
fn from_disk(settings: &Settings) -> Result<Vec<Locked>, Failure> {
    let mut published = settings.clone();
    if published.given.remove("overrides").is_some() && !settings.json {
        eprintln!("live: the local overrides are left out: this is what FORGE published");
    }
    let offline = published.builder()?.read_offline()?;
    let active = |set: &schemas::status::SetStatus| {
        let applied = set.active.clone()?;
        let prompts = offline.prompts(&set.set)?;
        Some(Locked { set: set.set.clone(), version: applied.version, digest: applied.digest, prompts })
    };
    Ok(offline.status().status.sets.iter().filter_map(active).collect())
}

fn choose(mut found: Vec<Locked>, set: Option<&Slug>) -> Result<Locked, Failure> {
    let here: Vec<String> = found.iter().map(|one| one.set.to_string()).collect();
    let here = if here.is_empty() { "nothing".into() } else { here.join(", ") };
    match set {
        Some(set) => found.retain(|one| one.set == *set),
        None if found.len() > 1 => {
            return Err(Failure::Usage(format!("there are several sets ({here}): name one with --set")));
        }
        None => {}
    }
    found.pop().ok_or_else(|| {
        let wanted = set.map_or("no set".into(), |set| format!("no set {set}"));
        Failure::Unavailable(format!(
            "{wanted} is here, but {here}: run an agent until it serves it, or give a file with --from"
        ))
    })
}

fn check(file: &Path, text: &str, locked: &Locked) -> Result<(), Failure> {
    let there = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    if there == text {
        return Ok(());
    }
    let (set, version) = (&locked.set, &locked.version);
    Err(Failure::Other(anyhow!("{} is not what {set}@{version} gives: write it again", file.display())))
}

/// Puts the whole file there or leaves the one that is there.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

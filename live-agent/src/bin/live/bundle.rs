//! `live bundle` and `live verify`: signed bundles as files, with no agent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use live_agent::pull::PullError;
use live_agent::{LiveAgent, config, offline};
use schemas::Slug;
use schemas::signed::Checked;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::options::Settings;
use crate::show;

#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    /// Gets the newest of every set straight from the broker, verifies it, and writes it to a file for an
    /// image; needs no agent and no cache
    Pull {
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Only this set; may be given again
        #[arg(long)]
        set: Vec<Slug>,
    },
    /// Shows what is in a file, once all of it is verified
    Show {
        /// The file
        file: PathBuf,
        /// A root to trust [default: those of the connect file]
        #[arg(long)]
        root: Vec<String>,
    },
    /// Writes what the disk cache serves to a file for an image
    Bake {
        /// The file to write
        file: PathBuf,
    },
}

impl Bundle {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        match self {
            Self::Pull { out, set } => pull(settings, &out, &set).await,
            Self::Show { file, root } => show_file(settings, &file, root),
            Self::Bake { file } => bake(settings, &file).await,
        }
    }
}

async fn pull(settings: &Settings, file: &Path, sets: &[Slug]) -> Result<(), Failure> {
    let pulled = settings.builder()?.pull(file, sets).await.map_err(|error| match error {
        PullError::Config(error) => error.into(),
        PullError::Unreachable(why) => Failure::Unavailable(why),
        other => Failure::Other(other.into()),
    })?;
    if settings.json {
        return show::json(&json!({ "file": file, "sets": pulled }));
    }
    let lines = pulled.iter().map(|one| {
        let (set, version, serial, digest) = (&one.set, &one.version, one.serial, one.digest.short());
        format!("@{set} {version} serial {serial} {digest}, {} prompts\n", one.prompts)
    });
    show::text(&lines.collect::<String>())
}

/// Writes what the disk cache serves.
pub(crate) async fn bake(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let sets = LiveAgent::bake(&settings.cache()?, file).await.map_err(|e| Failure::Other(e.into()))?;
    if settings.json {
        return show::json(&json!({ "file": file, "sets": sets }));
    }
    show::text(&format!("{} holds {sets} sets\n", file.display()))
}

fn checked(settings: &Settings, file: &Path, roots: Vec<String>) -> Result<Vec<Checked>, Failure> {
    let connection = config::read_connection(&settings.connection)?;
    let roots = if roots.is_empty() { connection.roots } else { roots };
    let all = offline::verify_file(file, &roots, &connection.scope)
        .with_context(|| format!("{} is not believed", file.display()))?;
    Ok(all)
}

/// Checks a file; needs no broker, no cache and no credential.
pub(crate) fn verify(settings: &Settings, file: &Path, roots: Vec<String>) -> Result<(), Failure> {
    let all = checked(settings, file, roots)?;
    if settings.json {
        let all: Vec<Value> = all
            .iter()
            .map(|one| {
                let verified = &one.verified;
                json!({
                    "attestation": verified.attestation, "digest": verified.digest, "key": verified.key,
                    "root": verified.root, "trust": one.trust,
                })
            })
            .collect();
        return show::json(&all);
    }
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    show::text(&format!("{}\n", texts.join("\n\n")))
}

fn show_file(settings: &Settings, file: &Path, roots: Vec<String>) -> Result<(), Failure> {
    let all = checked(settings, file, roots)?;
    let ids = |one: &Checked| one.bundle.prompts.iter().map(|p| p.id.to_string()).collect::<Vec<_>>();
    if settings.json {
        let all: Vec<Value> = all
            .iter()
            .map(|one| {
                let (a, digest) = (&one.verified.attestation, &one.verified.digest);
                json!({
                    "set": a.set, "version": a.version, "serial": a.serial, "digest": digest,
                    "publication": a.publication, "issued": a.issued, "publisher": a.publisher,
                    "prompts": ids(one),
                })
            })
            .collect();
        return show::json(&all);
    }
    let mut out = String::new();
    for one in &all {
        let a = &one.verified.attestation;
        let (when, digest) = (show::ago(a.issued), one.verified.digest.short());
        out.push_str(&format!(
            "@{} {} serial {} {digest}, published {when} by {}\n",
            a.set, a.version, a.serial, a.publisher
        ));
        for id in ids(one) {
            out.push_str(&format!("  {id}\n"));
        }
    }
    show::text(&out)
}

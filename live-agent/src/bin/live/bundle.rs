//! `live bundle` and `live verify`: signed bundles as files, with no agent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use live_agent::pull::PullError;
use live_agent::{LiveAgent, config, offline};
use schemas::connect::Connection;
use schemas::signed::Checked;
use schemas::{Scope, Slug};
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
        #[command(flatten)]
        trust: Trusted,
    },
    /// Writes what the disk cache serves to a file for an image
    Bake {
        /// The file to write
        file: PathBuf,
    },
}

/// What a file has to prove. With both given nothing else is needed; what is not is that of the connect file.
#[derive(Debug, Args)]
pub(crate) struct Trusted {
    /// A root to trust; may be given again [default: those of the connect file]
    #[arg(long)]
    root: Vec<String>,
    /// The organisation/project/environment that it has to be of [default: that of the connect file]
    #[arg(long, value_parser = scope)]
    scope: Option<Scope>,
}

fn scope(text: &str) -> Result<Scope, String> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [organisation, project, environment] => {
            Scope::new(organisation, project, environment).map_err(|error| error.to_string())
        }
        _ => Err("write organisation/project/environment, such as acme/support/prod".into()),
    }
}

impl Trusted {
    fn complete(self, settings: &Settings) -> Result<(Vec<String>, Scope), Failure> {
        let Self { root, scope } = self;
        match (root.is_empty(), scope) {
            (false, Some(scope)) => Ok((root, scope)),
            (no_root, scope) => {
                let connection = connection(settings)?;
                let scope = scope.unwrap_or(connection.scope);
                Ok((if no_root { connection.roots } else { root }, scope))
            }
        }
    }
}

fn connection(settings: &Settings) -> Result<Connection, Failure> {
    if settings.connection.exists() {
        return Ok(config::read_connection(&settings.connection)?);
    }
    let path = settings.connection.display();
    Err(Failure::Configuration(format!("connection: there is no {path}; give both --root and --scope")))
}

impl Bundle {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        match self {
            Self::Pull { out, set } => pull(settings, &out, &set).await,
            Self::Show { file, trust } => show_file(settings, &file, trust),
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
        format!("@{set} {version} serial {serial} {digest}, {}\n", show::counted(one.prompts, "prompt"))
    });
    show::text(&lines.collect::<String>())
}

/// Writes what the disk cache serves.
pub(crate) async fn bake(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let sets = LiveAgent::bake(&settings.cache()?, file).await.map_err(|e| Failure::Other(e.into()))?;
    if settings.json {
        return show::json(&json!({ "file": file, "sets": sets }));
    }
    show::text(&format!("{} holds {}\n", file.display(), show::counted(sets, "set")))
}

fn checked(settings: &Settings, file: &Path, trust: Trusted) -> Result<Vec<Checked>, Failure> {
    let (roots, scope) = trust.complete(settings)?;
    let all = offline::verify_file(file, &roots, &scope)
        .with_context(|| format!("{} is not believed", file.display()))?;
    Ok(all)
}

/// Checks a file; needs no broker, no cache and no credential.
pub(crate) fn verify(settings: &Settings, file: &Path, trust: Trusted) -> Result<(), Failure> {
    let all = checked(settings, file, trust)?;
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

fn show_file(settings: &Settings, file: &Path, trust: Trusted) -> Result<(), Failure> {
    let all = checked(settings, file, trust)?;
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

//! The audit log, from the console.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, bail};
use forge_api::audit::{self, Chain, INSTALLATION};
use forge_api::auth::Actor;
use forge_api::author;
use forge_api::state::AppState;
use futures::{Stream, TryStreamExt as _};

use crate::arguments::Audit;

pub(crate) async fn run(state: &AppState, command: Audit) -> anyhow::Result<()> {
    match command {
        Audit::Verify { organisation, unsealed } => verify(state, organisation.as_deref(), unsealed).await,
        Audit::Export { organisation, out } => export(state, organisation.as_deref(), out.as_deref()).await,
    }
}

async fn verify(state: &AppState, only: Option<&str>, accepted: i64) -> anyhow::Result<()> {
    let console = Actor::console();
    let mut broken = Vec::new();
    if only.is_none() {
        let found = audit::verify_installation(state, &console).await?;
        broken.extend(judge(INSTALLATION, &found, accepted));
    }
    let organisations = match only {
        Some(slug) => vec![author::find_organisation(state, &console, slug).await?],
        None => author::organisations(state, &console).await?.into_iter().map(|(o, _)| o).collect(),
    };
    for organisation in organisations {
        let found = audit::verify(state, &console, &organisation).await?;
        broken.extend(judge(&organisation.slug, &found, accepted));
    }
    if broken.is_empty() { Ok(()) } else { bail!("{}", broken.join("; ")) }
}

/// Prints what was found; gives what is wrong with it.
fn judge(name: &str, found: &Chain, accepted: i64) -> Option<String> {
    let wrong = match found {
        Chain::BrokenAt { sequence } => {
            format!("the audit log of {name} is broken at entry {sequence}: changed, put in or missing")
        }
        Chain::Whole { unsealed: 1, .. } if accepted < 1 => format!(
            "the first entry of the audit log of {name} is unsealed; if it is from before entries were sealed, say \
             --unsealed 1"
        ),
        Chain::Whole { unsealed, .. } if *unsealed > accepted => format!(
            "the first {unsealed} entries of the audit log of {name} are unsealed; if they are from before entries \
             were sealed, say --unsealed {unsealed}"
        ),
        Chain::Whole { entries, .. } => {
            println!("{name}: whole, {}", crate::counted(*entries, "entry", "entries"));
            return None;
        }
    };
    println!("{name}: {wrong}");
    Some(wrong)
}

async fn export(state: &AppState, organisation: Option<&str>, out: Option<&Path>) -> anyhow::Result<()> {
    let console = Actor::console();
    match organisation {
        Some(slug) => {
            let organisation = author::find_organisation(state, &console, slug).await?;
            write(audit::export(state, &console, &organisation)?, out).await
        }
        None => write(audit::export_installation(state, &console)?, out).await,
    }
}

async fn write(
    lines: impl Stream<Item = Result<bytes::Bytes, forge_api::error::ApiError>>,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    // A command of the console: nothing else waits for it.
    let mut to: Box<dyn Write> = match out {
        Some(path) => Box::new(File::create(path).with_context(|| format!("writing {}", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut lines = std::pin::pin!(lines);
    while let Some(some) = lines.try_next().await? {
        to.write_all(&some)?;
    }
    Ok(to.flush()?)
}

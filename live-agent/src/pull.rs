//! Bundles straight from the broker into a file for an image: no agent, no cache, everything verified.

use std::collections::BTreeMap;
use std::path::Path;

use schemas::canonical::Digest;
use schemas::envelope::Trust;
use schemas::{Slug, Version};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::agent;
use crate::client::{self, NotMade, Session};
use crate::clock;
use crate::config::{Builder, Config, ConfigError};
use crate::follow::fetch::{self, Fetched, Wanted};
use crate::store::baked;
use crate::store::record::Kept;
use crate::verify::{self, Message, Taken};

/// Messages that wait to be verified.
const WAITING: usize = 16;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Unreachable(String),
    #[error("what the broker has of {set} is not believed: {why}")]
    NotBelieved { set: String, why: String },
    #[error("{set} is pinned to {pin}, the broker's newest is {found}: nothing would serve it")]
    Pinned { set: Slug, pin: semver::VersionReq, found: Version },
    #[error("nothing of {0} is published to this environment")]
    NoSuchSet(Slug),
    #[error("nothing is published to this environment yet")]
    Nothing,
    #[error("bundles are pulled within a tokio runtime")]
    NoRuntime,
    #[error("the bundles cannot be written")]
    Write(#[source] std::io::Error),
}

/// What was written of one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pulled {
    pub set: Slug,
    pub version: Version,
    pub serial: u64,
    pub digest: Digest,
    pub publication: String,
    pub prompts: usize,
}

impl Builder {
    /// Gets the newest of every set, or of `sets`, from the broker and writes them to a file that
    /// [`Builder::baked_bundle`] reads. One that does not hold, and nothing is written.
    ///
    /// # Errors
    /// [`PullError`].
    pub async fn pull(self, file: &Path, sets: &[Slug]) -> Result<Vec<Pulled>, PullError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(PullError::NoRuntime);
        }
        let config = self.build()?;
        let session = client::try_once(&config.entry(), "pull").await.map_err(|error| match error {
            NotMade::Refused(why) | NotMade::Unreachable(why) => PullError::Unreachable(why),
            NotMade::Unusable(why) => PullError::Config(ConfigError::Invalid { key: "connection", why }),
        })?;
        let found = newest(&session, &config, sets).await;
        session.retire().await;
        let (kept, pulled) = believed(&config, sets, found?)?;
        let file = file.to_owned();
        let written = tokio::task::spawn_blocking(move || baked::write(&file, &kept)).await;
        written.map_err(|error| PullError::Write(error.into()))?.map_err(PullError::Write)?;
        Ok(pulled)
    }
}

/// The last message of each set that is wanted.
async fn newest(
    session: &Session,
    config: &Config,
    sets: &[Slug],
) -> Result<BTreeMap<Slug, Message>, PullError> {
    let scope = config.connection.scope.clone();
    let (out, mut fetched) = mpsc::channel(WAITING);
    let wanted = Wanted { floor: 0, heads: Vec::new(), past: Vec::new() };
    let fetching = tokio::spawn(fetch::fetch(session.client.clone(), scope.clone(), wanted, out));
    let mut found: BTreeMap<Slug, Message> = BTreeMap::new();
    while let Some(one) = fetched.recv().await {
        match one {
            Fetched::Message(message) | Fetched::Head(message) => match verify::read(&scope, &message) {
                Ok(message) if sets.is_empty() || sets.contains(&message.set) => {
                    found.insert(message.set.clone(), message);
                }
                Ok(_) => {}
                Err(wrong) => {
                    let unwanted = |set: &Slug| !sets.is_empty() && !sets.contains(set);
                    if !wrong.set.as_ref().is_some_and(unwanted) {
                        let set = wrong.set.map_or("a set without a name".into(), |set| set.to_string());
                        return Err(PullError::NotBelieved { set, why: wrong.refusal.message });
                    }
                }
            },
            // Nothing before the newest was asked for.
            Fetched::Look(..) | Fetched::Past(..) | Fetched::Searched(..) => {}
            Fetched::Done { .. } => break,
            Fetched::Failed(why) => return Err(PullError::Unreachable(why)),
        }
    }
    fetching.abort();
    Ok(found)
}

/// Verifies everything that was found.
fn believed(
    config: &Config,
    sets: &[Slug],
    found: BTreeMap<Slug, Message>,
) -> Result<(Vec<Kept>, Vec<Pulled>), PullError> {
    if let Some(lacking) = sets.iter().find(|set| !found.contains_key(*set)) {
        return Err(PullError::NoSuchSet(lacking.clone()));
    }
    if found.is_empty() {
        return Err(PullError::Nothing);
    }
    let trust = Trust::new(config.connection.roots.clone(), config.connection.scope.clone());
    let not_believed = |set: &Slug, why: String| PullError::NotBelieved { set: set.to_string(), why };
    // What any of them says of keys counts for all.
    for message in found.values() {
        if let Some(chain) = message.trust.as_deref() {
            trust.advance(chain).map_err(|error| not_believed(&message.set, error.to_string()))?;
        }
    }
    let now = clock::now();
    let (mut kept, mut pulled) = (Vec::new(), Vec::new());
    for (set, message) in found {
        if let Some(pin) = config.pins.get(&set)
            && !agent::fits(pin, &message.version)
        {
            return Err(PullError::Pinned { set, pin: pin.clone(), found: message.version });
        }
        let checked = verify::check(&trust, &message, Taken::Wire, now)
            .map_err(|refusal| not_believed(&set, refusal.message))?;
        pulled.push(Pulled {
            set,
            version: checked.attestation.version.clone(),
            serial: checked.attestation.serial,
            digest: checked.digest,
            publication: checked.attestation.publication.clone(),
            prompts: checked.compiled.len(),
        });
        kept.push(Kept { message, activated_at: now });
    }
    Ok((kept, pulled))
}

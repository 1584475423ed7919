//! An agent's cache without the agent: what `live` shows and renders when none is running.

use std::borrow::Borrow;
use std::path::Path;

use schemas::bundle::Encoding;
use schemas::prompt::Prompt;
use schemas::signed::{Checked, SignedBundle, SignedError};
use schemas::status::Mode;
use schemas::template::Values;
use schemas::{Scope, Slug};

use crate::agent::{Access, Core};
use crate::config::{Builder, ConfigError};
use crate::live::{AgentError, LocalStatus};
use crate::render::{Listed, PromptError, Template};
use crate::store::baked::{self, BakedError};
use crate::store::record::Kept;
use crate::{RenderedMessage, clock, report};

/// Why a file of bundles is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    #[error("the file is neither one of \"forge bundle\" nor one of \"live bundle\", or is damaged")]
    Format,
    #[error(transparent)]
    Signed(#[from] SignedError),
}

/// Checks every bundle of a file that `forge bundle` or `live bundle` wrote, with nothing but the file
/// and the roots to trust.
///
/// # Errors
/// The first link of a chain that does not hold.
pub fn verify_file(path: &Path, roots: &[String], scope: &Scope) -> Result<Vec<Checked>, VerifyError> {
    let signed = match baked::read(path) {
        Ok(all) => all.iter().map(signed_of).collect::<Result<Vec<_>, _>>()?,
        Err(BakedError::Io(error)) => return Err(VerifyError::Read(error)),
        Err(BakedError::Damaged) => {
            let text = std::fs::read(path).map_err(VerifyError::Read)?;
            let text = String::from_utf8(text).map_err(|_| VerifyError::Format)?;
            vec![SignedBundle::from_json(&text)?]
        }
    };
    let check = |one: &SignedBundle| Ok(one.verify(roots.to_vec(), scope.clone(), clock::now())?);
    signed.iter().map(check).collect()
}

fn signed_of(kept: &Kept) -> Result<SignedBundle, VerifyError> {
    let message = &kept.message;
    let encoding = Encoding::from_header(message.encoding.as_deref()).map_err(|_| VerifyError::Format)?;
    let (certificate, attestation) = (&message.certificate, &message.attestation);
    let trust = message.trust.as_deref();
    Ok(SignedBundle::new(certificate, attestation, trust, &message.wire, encoding)?)
}

/// What is on disk, verified, with nobody following.
#[derive(Debug)]
pub struct Offline(Core);

impl Builder {
    /// Reads the disk cache and starts nothing. Nothing is written.
    ///
    /// # Errors
    /// Only a configuration that cannot be used.
    pub fn read_offline(self) -> Result<Offline, ConfigError> {
        Core::open(self.build()?, Access::Look).map(Offline)
    }

    /// Sets the mode that the next agent with this cache comes up in.
    ///
    /// # Errors
    /// A configuration that cannot be used; within, a disk that does not take it.
    pub fn store_mode(self, mode: Mode) -> Result<Result<(), AgentError>, ConfigError> {
        let core = Core::open(self.build()?, Access::Agent)?;
        let stored = core.set_mode(mode).map_err(AgentError::NotStored);
        core.close();
        Ok(stored)
    }
}

impl Offline {
    /// The status as of the last time an agent ran here.
    #[must_use]
    pub fn status(&self) -> LocalStatus {
        let contact = self.0.state().contact;
        let mut status = report::status(&self.0);
        status.stale = true;
        status.stale_reason = Some("no agent runs here".into());
        status.cache = "disk".into();
        let (problems, refusals) = (self.0.cache.problems(), self.0.meter.refusals());
        LocalStatus { status, connected: false, refused: None, contact, connects: 0, refusals, problems }
    }

    /// As [`crate::LiveAgent::list`].
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        self.0.list()
    }

    /// As [`crate::LiveAgent::search`].
    #[must_use]
    pub fn search(&self, question: &str) -> Vec<Listed> {
        self.0.search(question)
    }

    /// All prompts of a set as their authors wrote them, sorted by id; none where it is not served.
    #[must_use]
    pub fn prompts(&self, set: &Slug) -> Option<Vec<Prompt>> {
        let table = self.0.cache.load();
        let prompts = table.set(set.as_str())?.prompts();
        let mut prompts: Vec<Prompt> = prompts.map(|prompt| prompt.prompt().clone()).collect();
        prompts.sort_by(|a, b| a.id.cmp(&b.id));
        Some(prompts)
    }

    /// As [`crate::LiveAgent::template`].
    ///
    /// # Errors
    /// No such prompt, or an id in several sets.
    pub fn template(&self, id: &str) -> Result<Template, PromptError> {
        self.0.template(id)
    }

    /// As [`crate::LiveAgent::prompt`].
    ///
    /// # Errors
    /// As there.
    pub fn prompt(&self, id: &str, values: impl Borrow<Values>) -> Result<String, PromptError> {
        self.0.render(id, values.borrow())
    }

    /// As [`crate::LiveAgent::messages`], with no history.
    ///
    /// # Errors
    /// As there.
    pub fn messages(
        &self,
        id: &str,
        values: impl Borrow<Values>,
    ) -> Result<Vec<RenderedMessage>, PromptError> {
        self.0.render_messages(id, values.borrow(), &[])
    }
}

//! What a host does about what is held back: pins, what waits, what the stream still has.

use std::sync::Arc;

use schemas::Slug;
use schemas::bundle::{self, Bundle, Encoding};
use schemas::prompt::Prompt;
use schemas::status::{Applied, Mode, PendingState};
use semver::VersionReq;

use super::{AgentError, Handle, LiveAgent, aside};
use crate::config::Pins;
use crate::history::{self, HistoryEntry};
use crate::{Builder, ConfigError, report};

/// A version that is verified and not taken up.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Waiting {
    pub set: Slug,
    /// What is served, if anything is.
    pub applied: Option<Applied>,
    /// What would be served instead; `activated_at` is when it came.
    pub waits: Applied,
    /// Why it waits: [`PendingState::Verified`] for FROZEN, [`PendingState::Pinned`] for a pin.
    pub why: PendingState,
}

impl LiveAgent {
    /// Takes up only those versions of a set that fit; it outlives the process and counts before a pin of the
    /// configuration. `*` takes all.
    ///
    /// What fits and is here or in the stream is served when this returns, even where it is older than what was
    /// served: of what fits, the one that was published last. Where there is none, or in FROZEN, nothing changes yet:
    /// [`LiveAgent::status`] shows it.
    ///
    /// # Errors
    /// The disk did not take it: the pin holds until the process ends.
    pub async fn pin(&self, set: Slug, versions: VersionReq) -> Result<(), AgentError> {
        let handle = self.handle.clone();
        self.handle.within(async move { handle.pin(set, Some(versions)).await }).await
    }

    /// Ends what [`LiveAgent::pin`] began: the newest is taken up, or what a pin of the configuration asks for.
    ///
    /// # Errors
    /// Only the configuration pins the set; or as [`LiveAgent::pin`].
    pub async fn unpin(&self, set: &Slug) -> Result<(), AgentError> {
        let (handle, set) = (self.handle.clone(), set.clone());
        self.handle.within(async move { handle.pin(set, None).await }).await
    }

    /// The pins that hold, of configuration and run time.
    #[must_use]
    pub fn pins(&self) -> Pins {
        self.handle.core.pins()
    }

    /// What is verified and waits, in FROZEN or behind a pin. Of a pinned set in FROZEN it may be two versions: what
    /// the thaw takes up, and then the newest, which does not fit the pin.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        self.handle.waiting()
    }

    /// The prompts of what waits of a set, to compare them with what is served. Where two versions wait, those of
    /// what the thaw takes up.
    #[must_use]
    pub fn waiting_prompts(&self, set: &Slug) -> Option<Vec<Prompt>> {
        let first = self.waiting().into_iter().find(|one| one.set == *set)?;
        self.prompts_of(&first)
    }

    /// The prompts of one of [`LiveAgent::waiting`]; none, where it waits no longer.
    #[must_use]
    pub fn prompts_of(&self, waiting: &Waiting) -> Option<Vec<Prompt>> {
        self.handle.prompts_of(waiting)
    }

    /// What the stream still has of a set, or of all, each verified; the oldest of a set first, at most 50 of each.
    /// Nothing of it is taken up.
    ///
    /// # Errors
    /// The broker is not connected or does not answer.
    pub async fn history(&self, set: Option<&Slug>) -> Result<Vec<HistoryEntry>, AgentError> {
        let (handle, set) = (self.handle.clone(), set.cloned());
        self.handle.within(async move { handle.history(set.as_ref()).await }).await
    }
}

impl Builder {
    /// Pins a set, or ends that, for the next agent with this cache.
    ///
    /// # Errors
    /// A configuration that cannot be used; within, as [`LiveAgent::pin`] and [`LiveAgent::unpin`].
    pub fn store_pin(
        self,
        set: &Slug,
        versions: Option<VersionReq>,
    ) -> Result<Result<(), AgentError>, ConfigError> {
        let core = crate::agent::Core::open(self.build()?, crate::agent::Access::Agent)?;
        let stored = core
            .may_pin(set, versions.as_ref())
            .and_then(|()| core.set_pin(set, versions).map_err(AgentError::NotStored));
        core.close();
        Ok(stored)
    }
}

impl crate::agent::Core {
    /// Whether there is something to unpin.
    fn may_pin(&self, set: &Slug, versions: Option<&VersionReq>) -> Result<(), AgentError> {
        let configured = self.config.pins.get(set).filter(|_| versions.is_none());
        match configured {
            Some(versions) if !self.state().pins.contains_key(set) => {
                Err(AgentError::Configured { set: set.clone(), versions: versions.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Handle {
    pub(crate) async fn pin(&self, set: Slug, versions: Option<VersionReq>) -> Result<(), AgentError> {
        self.core.may_pin(&set, versions.as_ref())?;
        let core = Arc::clone(&self.core);
        let stored = aside(move || core.set_pin(&set, versions)).await;
        if self.core.state().mode == Mode::Accepting {
            // With the broker away the pin holds all the same; what is missing is fetched when it is back.
            let _ = self.sync(false).await;
        }
        stored?.map_err(AgentError::NotStored)
    }

    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let state = self.core.state();
        let pins = &self.core.config.pins;
        let waiting = state.sets.iter().flat_map(|(set, one)| {
            let all = state.fitting(pins, set, one).into_iter().chain(&one.held);
            all.map(|(held, _)| Waiting {
                set: set.clone(),
                applied: one.active.as_ref().map(|active| active.applied.clone()),
                waits: held.applied.clone(),
                why: report::why(state.pin(pins, set), held),
            })
        });
        waiting.collect()
    }

    pub(crate) fn prompts_of(&self, waiting: &Waiting) -> Option<Vec<Prompt>> {
        let message = {
            let state = self.core.state();
            let one = state.sets.get(&waiting.set)?;
            let mut all = [&one.held, &one.fitting].into_iter().flatten();
            all.find(|(held, _)| held.applied == waiting.waits)?.1.message.clone()
        };
        // It was verified when it was kept, and is in memory since.
        let encoding = Encoding::from_header(message.encoding.as_deref()).ok()?;
        let body = bundle::decode(&message.wire, encoding).ok()?;
        Bundle::from_body(&body).ok().map(|bundle| bundle.prompts)
    }

    pub(crate) async fn history(&self, set: Option<&Slug>) -> Result<Vec<HistoryEntry>, AgentError> {
        let Some(switch) = &self.switch else { return Err(AgentError::Unreachable(self.why_not())) };
        let session = switch.session();
        if !session.link.borrow().connected {
            return Err(AgentError::Unreachable(self.why_not()));
        }
        history::read(&self.core, session.client, set).await.map_err(AgentError::Unreachable)
    }
}

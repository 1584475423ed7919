//! How a message stands to what the agent has, and what it says of one that it refuses.

use schemas::Slug;
use schemas::status::{Pending, PendingState, Refusal, RefusalCode};

use super::{About, Core, Held, STRANGE_MAX, SetState};
use crate::clock;
use crate::verify::{self, Message, Standing};

impl Core {
    /// The newest of a set that is verified and whose keys still count.
    pub(super) fn believed<'s>(&self, one: &'s SetState) -> Option<&'s Held> {
        let held = one.held.as_ref().map(|(held, _)| held);
        [held, one.active.as_ref()].into_iter().flatten().find(|held| !self.is_void(held))
    }

    /// Whether a key that signed for it was revoked since.
    pub(crate) fn is_void(&self, held: &Held) -> bool {
        self.trust.is_revoked(&held.key) || self.trust.is_revoked(&held.root)
    }

    pub(super) fn standing(&self, message: &Message) -> Standing {
        let state = self.state();
        let Some(one) = state.sets.get(&message.set) else { return Standing::Newer };
        let seen = self.believed(one).map(|h| (h.applied.serial, h.applied.digest));
        // Where nothing holds, what was announced or taken up by keys that count is the floor.
        if let (None, Some(floor)) = (seen, one.heads.serial().max(one.taken.serial()))
            && message.serial < floor
        {
            return Standing::BelowFloor(floor);
        }
        // A pin may have brought an older one back: what was taken up since is the floor all the same.
        if let (Some((had, _)), Some(floor)) = (seen, one.taken.serial())
            && (had + 1..floor).contains(&message.serial)
        {
            return Standing::BelowFloor(floor);
        }
        verify::standing(seen, message.serial, message.digest)
    }

    /// Whether the message stands in the stream before what the agent has.
    pub(super) fn passed(&self, message: &Message) -> bool {
        let state = self.state();
        let newest = state.sets.get(&message.set).and_then(SetState::newest);
        newest.is_some_and(|newest| message.sequence <= newest.sequence)
    }

    pub(super) fn stale_serial(&self, message: &Message) -> Refusal {
        let state = self.state();
        let newest = state.sets.get(&message.set).and_then(SetState::newest);
        let had = newest.map_or(0, |h| h.applied.serial);
        if had == message.serial {
            let what = format!("serial {had} was seen before with other content");
            return verify::refusal(RefusalCode::SerialConflict, what);
        }
        let what = format!("serial {} is older than serial {had}, which this agent has", message.serial);
        verify::refusal(RefusalCode::OldSerial, what)
    }

    /// What the agent has was confirmed: a refusal of something no newer is over.
    pub(super) fn settle(&self, set: &Slug, serial: u64) {
        let mut state = self.state();
        let Some(one) = state.sets.get_mut(set) else { return };
        let over = one.refused.as_ref().is_some_and(|r| r.serial.is_none_or(|s| s <= serial));
        if over {
            one.refused = None;
            self.tell.notify_one();
        }
    }

    pub(super) fn note_refusal(&self, about: About, reason: Refusal) {
        tracing::warn!(
            prompt_set = about.set.as_ref().map(Slug::as_str), bundle.serial = about.serial,
            publication.id = about.publication, refusal.code = ?reason.code,
            refusal.reason = %reason.message, "a bundle is refused; serving what was served"
        );
        let Some(set) = about.set else { return };
        let mut state = self.state();
        // Nobody signed for the name: of sets that there are not, so many are told of and no more.
        let strange = |one: &SetState| one.newest().is_none() && one.heads.is_empty() && one.taken.is_empty();
        if !state.sets.contains_key(&set)
            && state.sets.values().filter(|one| strange(one)).count() >= STRANGE_MAX
        {
            return;
        }
        let one = state.sets.entry(set).or_default();
        one.refused = Some(Pending {
            publication: about.publication,
            serial: about.serial,
            version: None,
            digest: None,
            state: PendingState::Refused,
            reason: Some(reason),
            at: clock::now(),
        });
    }
}

//! ACCEPTING or FROZEN: decided here, stored here. The broker's pause is only a shadow of it.
//!
//! A FROZEN agent verifies and keeps what comes, and serves what it served. It stays so over every
//! restart, until somebody sets it to ACCEPTING; then it takes up what it kept.
//!
//! FORGE may order a mode, unless the agent's owner forbids it. Of the orders that are meant for the agent the one
//! with the highest number counts, and is dealt with once; what is set here afterwards holds until a newer order
//! comes. An order by a key that is revoked since stays obeyed, but its number counts no longer: FORGE is heard again.

use schemas::envelope::{Certified, ModeOrder};
use schemas::status::{Mode, ModeSource, OrderAnswer, OrderResult};

use crate::agent::{Core, Held, Outcome, fits};
use crate::store::record::{Kept, Orders};
use crate::store::{Store, StoreError, Write};

/// An order that was heard and not dealt with yet.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    order: ModeOrder,
    /// Who signed it.
    key: String,
    root: String,
}

/// What this agent knows of orders.
#[derive(Debug, Default)]
pub(crate) struct Obedience {
    pub(crate) known: Orders,
    heard: Option<Heard>,
}

impl Orders {
    /// Remembers what another agent dealt with, whose cache this one writes now.
    pub(crate) fn join(&mut self, other: &Self) {
        self.dealt.join(&other.dealt);
        let number = |answer: &Option<OrderAnswer>| answer.map(|answer| answer.number);
        if number(&other.answer) > number(&self.answer) {
            self.answer = other.answer;
        }
    }
}

impl Obedience {
    pub(crate) fn new(known: Orders) -> Self {
        Self { known, heard: None }
    }

    /// Looks for a newer order among those that are meant for an agent. Gives whether there is one.
    pub(crate) fn hear<'o>(&mut self, meant: impl Iterator<Item = &'o ModeOrder>, by: &Certified) -> bool {
        let Some(order) = meant.max_by_key(|order| order.number) else { return false };
        let heard = self.heard.as_ref().map(|heard| heard.order.number);
        if heard.max(self.known.dealt.serial()).is_some_and(|known| known >= order.number) {
            return false;
        }
        let (key, root) = (by.certificate.key.clone(), by.root.clone());
        self.heard = Some(Heard { order: order.clone(), key, root });
        true
    }

    /// Forgets what keys said for which `gone` holds.
    pub(crate) fn forget(&mut self, gone: impl Fn(&str) -> bool) {
        self.heard.take_if(|heard| gone(&heard.key) || gone(&heard.root));
        if self.known.dealt.forget(gone) {
            let dealt = self.known.dealt.serial();
            self.known.answer.take_if(|answer| Some(answer.number) > dealt);
        }
    }
}

impl Core {
    /// Sets the mode by somebody at the agent, on disk first. Thawing takes up what was kept back. Blocks.
    ///
    /// # Errors
    /// The disk did not take it: the mode holds until the process ends.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result<(), StoreError> {
        let mut store = self.store();
        tracing::info!(agent.mode = mode.as_str(), mode.by = "local", "the mode is set");
        self.change_mode(&mut store, mode, |known| known.by = ModeSource::Local)
    }

    /// Deals with the order that was heard last, if one was. Gives the mode that it set. Blocks.
    pub(crate) fn obey(&self) -> Option<Mode> {
        self.obey_turn(&mut self.store())
    }

    /// Deals with what was ordered before something is taken up: it may be that nothing is to be. Blocks.
    pub(crate) fn obey_first(&self, store: &mut Store) {
        if self.obey_turn(store) == Some(Mode::Accepting) {
            self.tell_follower.notify_one();
        }
    }

    fn obey_turn(&self, store: &mut Store) -> Option<Mode> {
        let Heard { order, key, root } = self.state().orders.heard.take()?;
        let allowed = self.config.remote_mode;
        let dealt = self.state().orders.known.dealt.serial();
        if dealt.is_some_and(|dealt| dealt >= order.number) {
            return None;
        }
        let (number, by, reason) = (order.number, order.by.as_str(), order.reason.as_str());
        let mode = order.mode;
        if allowed {
            tracing::info!(
                agent.mode = mode.as_str(), mode.by = "forge", order.number = number, order.by = ?by,
                order.reason = ?reason, "FORGE sets the mode"
            );
        } else {
            tracing::warn!(
                order.mode = mode.as_str(), order.number = number, order.by = ?by, order.reason = ?reason,
                "FORGE orders a mode, which this agent's configuration forbids; the mode stays"
            );
        }
        let now = if allowed { mode } else { self.state().mode };
        let result = if allowed { OrderResult::Done } else { OrderResult::Forbidden };
        let done = self.change_mode(store, now, |known| {
            known.dealt.raise(number, &key, &root);
            known.answer = Some(OrderAnswer { number, result });
            if allowed {
                known.by = ModeSource::Forge;
            }
        });
        if let Err(error) = done {
            tracing::warn!(error = %error, "an order of FORGE holds until the process ends");
        }
        allowed.then_some(mode)
    }

    /// Sets the mode and what is known of it, on disk first.
    fn change_mode(
        &self,
        store: &mut Store,
        mode: Mode,
        change: impl Fn(&mut Orders),
    ) -> Result<(), StoreError> {
        let frozen = mode == Mode::Frozen;
        // FROZEN is marked before and unmarked after: in between, an agent comes up frozen.
        let marked = if frozen {
            let mut orders = self.state().orders.known.clone();
            change(&mut orders);
            store.mark_frozen(Some(&orders))
        } else {
            Ok(())
        };
        {
            let state = &mut *self.state();
            change(&mut state.orders.known);
            state.mode = mode;
        }
        let saved = self.commit(store, &[Write::State(&self.saved(None))]);
        store.sync();
        let marked = if frozen { marked } else { store.mark_frozen(None) };
        if !frozen {
            self.take_up_waiting(store, false);
            self.seek(true);
        }
        self.state().cache = store.describe();
        self.tell.notify_one();
        if !store.writes() && !self.memory_only() {
            return Err(StoreError::Disk(store.describe()));
        }
        saved.and(marked)
    }

    /// Takes up what was kept back, once: a FROZEN agent stays so. Blocks.
    pub(crate) fn take_up_once(&self) {
        let mut store = self.store();
        self.obey_first(&mut store);
        self.take_up_waiting(&mut store, true);
        self.state().cache = store.describe();
        self.tell.notify_one();
    }

    /// Takes up what waits and fits its pin. `once` does not mind FROZEN.
    pub(crate) fn take_up_waiting(&self, store: &mut Store, once: bool) {
        let waiting: Vec<(Kept, bool)> = {
            let state = &mut *self.state();
            let fitting = state.sets.iter_mut().filter_map(|(set, one)| {
                let versions = state.pins.get(set).or_else(|| self.config.pins.get(set));
                let fits = |(held, _): &mut (Held, Kept)| {
                    versions.is_none_or(|versions| fits(versions, &held.applied.version))
                };
                let newest = one.held.take_if(fits).map(|(_, kept)| (kept, true));
                newest.or_else(|| one.fitting.take_if(fits).map(|(_, kept)| (kept, false)))
            });
            fitting.collect()
        };
        for (kept, newest) in waiting {
            if self.take_turn(store, Ok(kept.message.clone()), None, once) == Outcome::Refused {
                let set = &kept.message.set;
                let gone = if newest { Write::DropPending(set) } else { Write::DropFitting(set) };
                let _ = self.commit(store, &[gone]);
            }
            self.settle_ledger();
        }
        store.sync();
    }
}

#[cfg(test)]
mod tests {
    use schemas::envelope::OrderTarget;

    use super::*;

    fn by(key: &str) -> Certified {
        let certificate = schemas::envelope::KeyCertificate {
            key: key.into(),
            organisation: "acme".parse().unwrap(),
            project: "support".parse().unwrap(),
            issued: 0,
            expires: None,
        };
        Certified { certificate, root: "root".into() }
    }

    fn order(number: u64) -> ModeOrder {
        let target = OrderTarget::Environment;
        ModeOrder { number, target, mode: Mode::Frozen, by: "ada".into(), reason: String::new() }
    }

    #[test]
    fn what_was_ordered_before_something_came_is_obeyed_before_it_is_taken_up() {
        let (connection, creds) = crate::config::tests::good();
        let builder = crate::Builder::default().connection(connection).credentials(creds).memory_only();
        let core = Core::open(builder.build().unwrap(), crate::agent::Access::Agent).unwrap();
        assert!(core.state().orders.hear([order(3)].iter(), &by("good")));
        assert_eq!(core.state().mode, Mode::Accepting, "nobody came to it yet");
        let refusal = crate::verify::refusal(schemas::status::RefusalCode::Malformed, "no bundle");
        let come = crate::verify::Unreadable { set: None, publication: None, serial: None, refusal };
        assert_eq!(core.take(Err(come), None), Outcome::Refused);
        assert_eq!(core.state().mode, Mode::Frozen);
    }

    #[test]
    fn an_heir_forgets_no_order_of_the_one_before() {
        let mut own = Obedience::default();
        own.known.dealt.raise(4, "good", "root");
        own.known.answer = Some(OrderAnswer { number: 4, result: OrderResult::Forbidden });
        let mut left = Orders::default();
        left.dealt.raise(7, "good", "root");
        left.answer = Some(OrderAnswer { number: 7, result: OrderResult::Done });
        own.known.join(&left);
        assert_eq!(own.known.answer, left.answer);
        assert!(!own.hear([order(7)].iter(), &by("good")) && own.hear([order(8)].iter(), &by("good")));
        own.known.join(&Orders::default());
        assert_eq!(own.known.answer, left.answer);
    }

    #[test]
    fn the_highest_number_counts_once_and_that_of_a_revoked_key_no_longer() {
        let mut one = Obedience::default();
        assert!(one.hear([order(3), order(7), order(5)].iter(), &by("good")));
        let heard = one.heard.take().unwrap();
        assert_eq!(heard.order.number, 7);
        one.known.dealt.raise(7, &heard.key, &heard.root);
        one.known.answer = Some(OrderAnswer { number: 7, result: OrderResult::Done });
        assert!(!one.hear([order(7), order(6)].iter(), &by("good")), "once");
        assert!(!one.hear(std::iter::empty(), &by("good")));

        // A thief orders with the highest number that there is: FORGE must be heard again without it.
        assert!(one.hear([order(u64::MAX)].iter(), &by("stolen")));
        one.known.dealt.raise(u64::MAX, "stolen", "root");
        one.known.answer = Some(OrderAnswer { number: u64::MAX, result: OrderResult::Done });
        one.forget(|key| key == "stolen");
        assert!(one.heard.is_none(), "what was not obeyed yet never is");
        assert_eq!(one.known.answer, None);
        assert!(!one.hear([order(7)].iter(), &by("good")), "what was obeyed before is not obeyed again");
        assert!(one.hear([order(8)].iter(), &by("good")));
    }
}

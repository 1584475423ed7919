//! Counts of what is of no prompt: calls for one that is not here, and bundles that were refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use schemas::status::{Counters, RefusalCode};

#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Calls for a prompt that is not here, or that may not be given.
    misses: AtomicU64,
    /// Calls that were answered with the caller's own text.
    defaults: AtomicU64,
    /// By the name of its code. There are few, and seldom.
    refusals: Mutex<BTreeMap<String, u64>>,
}

impl Meter {
    pub(crate) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_default(&self) {
        self.defaults.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a bundle that was refused.
    pub(crate) fn refused(&self, code: RefusalCode) {
        let name = serde_json::to_value(code).ok();
        let name = name.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned();
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    pub(crate) fn refusals(&self) -> BTreeMap<String, u64> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The sums of all prompts, `of_prompts`, with what is of none.
    pub(crate) fn counters(&self, of_prompts: Counters) -> Counters {
        let misses = self.misses.load(Ordering::Relaxed);
        let mut all = of_prompts;
        all.renders += misses;
        all.render_errors += misses;
        all.defaults = self.defaults.load(Ordering::Relaxed);
        all
    }
}

//! Whether a bundle keeps what the host's code was built for.
//!
//! One that comes over the wire and does not is refused, also where nothing is served yet: somebody sees
//! the refusal and can act, and a service that comes up without its prompts is not ready and stops its own
//! roll-out. What is on disk or in the image is another matter: there may be nothing else, and every call that
//! the bundle does not break works. So the newest that keeps the contracts is served; where none does, the one
//! that would be served without them, with the refusal in the status and [`crate::health::Health::ready`] false.

use schemas::Micros;
use schemas::status::{Refusal, RefusalCode};

use super::Core;
use crate::verify::{self, Checked, Message, Taken};

/// Most breaks that a refusal names.
const NAMED: usize = 3;

impl Core {
    /// Verifies all of a message, and that it keeps the contracts.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub(super) fn check(&self, message: &Message, taken: Taken, now: Micros) -> Result<Checked, Refusal> {
        let checked = verify::check(&self.trust, message, taken, now)?;
        match self.breaks(&checked) {
            None => Ok(checked),
            Some(refusal) => Err(refusal),
        }
    }

    /// Which contract a verified bundle breaks, if it does.
    pub(super) fn breaks(&self, checked: &Checked) -> Option<Refusal> {
        let of_set = |contract: &&schemas::contract::Contract| contract.set == checked.attestation.set;
        self.config.contracts.iter().filter(of_set).find_map(|contract| {
            let breaks = contract.breaks(checked.compiled.iter().map(|(_, prompt)| prompt.prompt()));
            let named: Vec<String> = breaks.iter().take(NAMED).map(ToString::to_string).collect();
            let more = match breaks.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let built = &contract.version;
            (!breaks.is_empty()).then(|| {
                let what = format!("this program was built for {built}, and {}{more}", named.join("; "));
                verify::refusal(RefusalCode::Contract, what)
            })
        })
    }
}

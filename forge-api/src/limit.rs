//! How often somebody may ask.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Config;
use crate::error::{ApiError, Result};

/// A burst is so many times what a second allows.
const BURST: u32 = 4;
/// Above so many known askers, those that were quiet are forgotten.
const KNOWN_MAX: usize = 10_000;

/// The limits of this process.
pub struct Limits {
    sign_in: DefaultKeyedRateLimiter<IpAddr>,
    requests: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

fn at_least_one(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

impl Limits {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let requests = Quota::per_second(at_least_one(config.requests_per_second))
            .allow_burst(at_least_one(config.requests_per_second.saturating_mul(BURST)));
        Self {
            sign_in: RateLimiter::keyed(Quota::per_minute(at_least_one(config.sign_in_per_minute))),
            requests: RateLimiter::keyed(requests),
            clock: DefaultClock::default(),
        }
    }

    /// Counts an attempt to sign in from an address.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn sign_in(&self, address: IpAddr) -> Result<()> {
        if self.sign_in.len() > KNOWN_MAX {
            self.sign_in.retain_recent();
        }
        self.sign_in.check_key(&address).map_err(|not| self.too_many(&not))
    }

    /// Counts a request of a user, token or address.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn request(&self, who: &str) -> Result<()> {
        if self.requests.len() > KNOWN_MAX {
            self.requests.retain_recent();
        }
        self.requests.check_key(&who.to_owned()).map_err(|not| self.too_many(&not))
    }

    fn too_many(&self, not: &governor::NotUntil<governor::clock::QuantaInstant>) -> ApiError {
        let wait = not.wait_time_from(self.clock.now());
        ApiError::TooMany { retry_after_s: wait.as_secs().saturating_add(1) }
    }
}

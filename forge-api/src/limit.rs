//! How often somebody may ask.
//!
//! Signing in is counted three ways, so that one account cannot be guessed at fast, and nobody is
//! locked out by a stranger:
//!
//! - per address, whatever the account;
//! - per account and address, or per account and browser, where the browser was signed in to this
//!   account before: a quarter of that;
//! - per account over all addresses and all browsers that nobody knows: as many an *hour* as an address
//!   may a minute. A thousand machines that guess at one account get no more than that together. Its
//!   owner is not stopped by it: a browser that knows the account, a session that runs and a sign-in
//!   link are not counted here.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Config;
use crate::error::{ApiError, Result};

/// A burst is so many times what a second allows.
const BURST: u32 = 4;
/// All who share an address may ask so many times as often as one of them.
const SHARED: u32 = 4;
/// Of the attempts of an address, the part for one account.
const ACCOUNT_SHARE: u32 = 4;
const HOUR: Duration = Duration::from_secs(3600);
/// Above so many known askers, those that were quiet are forgotten.
const KNOWN_MAX: usize = 10_000;
/// Longest part of a name that is looked at, in characters.
const NAME_MAX: usize = 254;

type Limiter<K> = DefaultKeyedRateLimiter<K>;

/// Live pages of one user at the same time.
const STREAMS_MAX: usize = 20;
/// After so many seconds one may be free again.
const STREAM_AGAIN: u64 = 10;

/// Prompts that one user runs with a model at the same time: one in each column.
const RUNS_MAX: usize = 4;
/// The same of all users together.
const RUNS_ALL_MAX: usize = 64;
/// Runs of one user in a minute.
const RUNS_PER_MINUTE: u32 = 30;

/// The live pages of each user.
type Streams = Arc<Mutex<HashMap<String, usize>>>;

/// The place of one live page or of one run; given back when it is dropped.
#[derive(Debug)]
pub struct StreamPlace {
    user: String,
    streams: Streams,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = streams.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.user);
            }
        }
    }
}

/// The limits of this process.
pub struct Limits {
    streams: Streams,
    running: Streams,
    runs: Limiter<String>,
    sign_in: Limiter<IpAddr>,
    sign_in_from: Limiter<(String, String)>,
    sign_in_to: Limiter<String>,
    askers: Limiter<String>,
    addresses: Limiter<IpAddr>,
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

/// Who one address stands for: of IPv6 a whole network, since everybody has so many.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

impl Limits {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let per_second = |n: u32| Quota::per_second(at_least_one(n));
        let requests = config.requests_per_second;
        let burst = at_least_one(requests.saturating_mul(BURST));
        let shared = requests.saturating_mul(SHARED);
        let attempts = config.sign_in_per_minute;
        let slow = Quota::with_period(HOUR / at_least_one(attempts).get())
            .unwrap_or_else(|| per_second(attempts))
            .allow_burst(at_least_one(attempts));
        Self {
            streams: Streams::default(),
            running: Streams::default(),
            runs: RateLimiter::keyed(Quota::per_minute(at_least_one(RUNS_PER_MINUTE))),
            sign_in: RateLimiter::keyed(Quota::per_minute(at_least_one(attempts))),
            sign_in_from: RateLimiter::keyed(Quota::per_minute(at_least_one(attempts / ACCOUNT_SHARE))),
            sign_in_to: RateLimiter::keyed(slow),
            askers: RateLimiter::keyed(per_second(requests).allow_burst(burst)),
            addresses: RateLimiter::keyed(
                per_second(shared).allow_burst(at_least_one(shared.saturating_mul(BURST))),
            ),
            clock: DefaultClock::default(),
        }
    }

    /// Counts an attempt to sign in by a link, or to set up: what is tried cannot be guessed.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn link(&self, address: IpAddr) -> Result<()> {
        self.check(&self.sign_in, &network(address))
    }

    /// Counts an attempt to sign in to an account by password. `browser` names the browser, where it is
    /// known to the account.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn sign_in(&self, address: IpAddr, account: &str, browser: Option<&str>) -> Result<()> {
        let account: String = account.chars().take(NAME_MAX).collect();
        let from = network(address);
        self.check(&self.sign_in, &from)?;
        let place = browser.map_or_else(|| from.to_string(), |b| format!("browser {b}"));
        let key = (account, place);
        self.check(&self.sign_in_from, &key)?;
        if browser.is_none() { self.check(&self.sign_in_to, &key.0) } else { Ok(()) }
    }

    /// Counts an attempt to name one's own password.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn password(&self, user_id: &str) -> Result<()> {
        self.check(&self.sign_in_from, &(user_id.to_owned(), "own password".to_owned()))
    }

    /// Counts a request from an address, whoever sends it.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn address(&self, address: IpAddr) -> Result<()> {
        self.check(&self.addresses, &network(address))
    }

    /// Counts a request of a user, of a token, or of an address from which nobody is signed in.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn request(&self, who: &str) -> Result<()> {
        self.check(&self.askers, &who.to_owned())
    }

    /// Takes a place for a live page of a user.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn stream(&self, user_id: &str) -> Result<StreamPlace> {
        place(&self.streams, user_id, STREAMS_MAX, usize::MAX)
    }

    /// Counts a run with a model, and takes a place for it.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub fn run(&self, user_id: &str) -> Result<StreamPlace> {
        self.check(&self.runs, &user_id.to_owned())?;
        place(&self.running, user_id, RUNS_MAX, RUNS_ALL_MAX)
    }

    fn check<K: std::hash::Hash + Eq + Clone>(&self, limiter: &Limiter<K>, key: &K) -> Result<()> {
        if limiter.len() > KNOWN_MAX {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|not| {
            let wait = not.wait_time_from(self.clock.now());
            ApiError::TooMany { retry_after_s: wait.as_secs().saturating_add(1) }
        })
    }
}

/// Takes a place of a user, of whom `most` have one at once, and `all` of everybody.
fn place(streams: &Streams, user_id: &str, most: usize, all: usize) -> Result<StreamPlace> {
    let mut held = streams.lock().unwrap_or_else(PoisonError::into_inner);
    let count = held.get(user_id).copied().unwrap_or_default();
    if count >= most || held.values().sum::<usize>() >= all {
        return Err(ApiError::TooMany { retry_after_s: STREAM_AGAIN });
    }
    held.insert(user_id.to_owned(), count + 1);
    Ok(StreamPlace { user: user_id.to_owned(), streams: Arc::clone(streams) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(sign_in: &str, requests: &str) -> Limits {
        let find = |key: &str| match key {
            "sign-in-per-minute" => Some(sign_in.to_owned()),
            "requests-per-second" => Some(requests.to_owned()),
            _ => None,
        };
        Limits::new(&Config::load(&find, &|_| None).unwrap())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_distributed_guess_of_one_account_is_slow_and_does_not_lock_its_owner_out() {
        let limits = limits("20", "100");
        let passed =
            (0..200).filter(|n| limits.sign_in(ip(&format!("10.0.0.{n}")), "mara", None).is_ok()).count();
        assert_eq!(passed, 20, "each address is new, and together they had what one may have");
        let refused = limits.sign_in(ip("10.0.1.1"), "mara", None);
        let Err(ApiError::TooMany { retry_after_s }) = refused else { panic!("{refused:?}") };
        assert!(retry_after_s > 60, "the trickle is one in three minutes: {retry_after_s}");
        assert!(limits.sign_in(ip("10.0.1.1"), "jonas", None).is_ok(), "another account is not concerned");
        assert!(limits.sign_in(ip("10.0.1.2"), "mara", Some("hers")).is_ok(), "nor is a browser of hers");
        assert!(limits.link(ip("10.0.1.2")).is_ok(), "nor is a link");
    }

    #[test]
    fn one_address_guesses_at_one_account_less_than_at_all() {
        let limits = limits("20", "100");
        let mara = (0..50).filter(|_| limits.sign_in(ip("10.0.0.1"), "mara", None).is_ok()).count();
        assert_eq!(mara, 5);
        let known = (0..50).filter(|_| limits.sign_in(ip("10.0.0.2"), "mara", Some("hers")).is_ok()).count();
        assert_eq!(known, 5, "a stolen browser is no way around it");
    }

    #[test]
    fn a_network_of_ipv6_and_a_mapped_address_are_one_asker() {
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff:1")));
        assert_ne!(network(ip("2001:db8::1")), network(ip("2001:db8:0:1::1")));
        assert_eq!(network(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }

    #[test]
    fn who_shares_an_address_shares_a_limit_too() {
        let limits = limits("20", "2");
        let began = std::time::Instant::now();
        let one = (0..100).filter(|_| limits.request("user mara").is_ok()).count();
        let all = (0..100).filter(|_| limits.address(ip("10.0.0.1")).is_ok()).count();
        // And what came back meanwhile, should this have waited for a processor.
        let back =
            |per_second: u128| usize::try_from(began.elapsed().as_millis() * per_second / 1000).unwrap();
        assert!((8..=8 + back(2)).contains(&one), "{one}");
        assert!((32..=32 + back(8)).contains(&all), "{all}");
    }
}

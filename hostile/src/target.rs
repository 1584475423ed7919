//! One body for each kind of input that comes from outside. Each says what holds whatever the bytes are, and
//! panics where it does not.
//!
//! The fuzz targets in `fuzz/` run them on what coverage suggests; [`Target::hammer`] on bytes of a fixed seed.

mod address;
mod attestation;
mod bundle;
mod credential;
mod exchange;
mod status;
mod template;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::dice::Dice;

/// A kind of input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Takes the input, and panics where it does harm.
    pub body: fn(&[u8]),
    /// Good input to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every kind. The parsers of HTTP bodies are tried where the router is, in the tests of `forge-api`.
pub const TARGETS: &[Target] = &[
    Target { name: "bundle", body: bundle::body, seeds: bundle::seeds },
    Target { name: "attestation", body: attestation::body, seeds: attestation::seeds },
    Target { name: "status", body: status::body, seeds: status::seeds },
    Target { name: "credential", body: credential::body, seeds: credential::seeds },
    Target { name: "address", body: address::body, seeds: address::seeds },
    Target { name: "template", body: template::body, seeds: template::seeds },
    Target { name: "exchange", body: exchange::body, seeds: exchange::seeds },
];

/// Runs the body of a target by its name.
///
/// # Panics
/// There is none of that name, or the input does harm.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target {name}")).body)(data);
}

impl Target {
    /// Tries the seeds, and then `count` inputs made from them, or from nothing, by `seed`.
    ///
    /// # Panics
    /// With the input that does harm.
    pub fn hammer(&self, seed: u64, count: usize) {
        let seeds = (self.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", self.name);
        for data in &seeds {
            self.tried(seed, data);
        }
        let mut dice = Dice::new(seed);
        for _ in 0..count {
            let data = match dice.roll(8) {
                0 => dice.bytes(200),
                _ => {
                    let from = &seeds[dice.roll(seeds.len())];
                    dice.changed(from)
                }
            };
            self.tried(seed, &data);
        }
    }

    fn tried(&self, seed: u64, data: &[u8]) {
        if let Err(harm) = catch_unwind(AssertUnwindSafe(|| (self.body)(data))) {
            eprintln!("{}, seed {seed}: this did harm: {}", self.name, data.escape_ascii());
            resume_unwind(harm);
        }
    }
}

/// Mode and rest: the first byte says which of `modes` ways the rest is taken.
fn mode(data: &[u8], modes: u8) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (first % modes, rest))
}

/// A seed that is taken by `mode`.
fn seed(mode: u8, rest: &[u8]) -> Vec<u8> {
    [&[mode], rest].concat()
}

/// A public and private key that are the same on every run. It guards nothing.
fn key(kind: nkeys::KeyPairType, byte: u8) -> nkeys::KeyPair {
    nkeys::KeyPair::new_from_raw(kind, [byte; 32]).expect("a key of 32 bytes")
}

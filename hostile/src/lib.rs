//! What an attacker sends, and what has to come of it. No program that is shipped uses this crate.
//!
//! The same cases and bodies serve the tests of `make test`, the fuzz targets in `fuzz/` and the benches.
//!
//! | module | what it holds |
//! |---|---|
//! | [`template`] | hostile templates by the construct that they abuse (`template/cases`), and what each has to come to |
//! | [`target`] | one body for each kind of input from outside: what holds whatever the bytes are |
//! | [`dice`] | numbers that are the same on every run, and bytes changed by them |
//! | [`allocations`] | an allocator that counts, for bounds on memory |

pub mod allocations;
pub mod dice;
pub mod target;
pub mod template;

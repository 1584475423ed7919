//! Attacks, each named, each tried on the real thing: a real broker, a real agent, and where FORGE has
//! a part in it a real FORGE on both databases.
//!
//! | module | what the attacker has |
//! |---|---|
//! | [`age`] | time: it keeps FORGE's word away |
//! | [`bundle`] | the broker: it sends what it likes |
//! | [`flip`] | a wire or a disk: one bit, anywhere |
//! | [`keys`] | a stolen publishing key, or a root |
//! | [`crowd`] | a credential: it speaks as agents that there are not, and says what it likes |
//! | [`stolen`] | a copy of the database with its master key |
//! | [`replay`] | the broker, and patience: it repeats, withholds, delays, reorders |
//! | [`impostor`] | a place in the broker where it answers as FORGE |
//! | [`restore`] | a backup of the database, restored |

mod age;
mod bundle;
mod crowd;
mod flip;
mod flood;
mod floor;
mod impostor;
mod keys;
mod replay;
mod restore;
mod stolen;

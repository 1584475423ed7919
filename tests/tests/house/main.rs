//! The rules of the house that a machine can check: which crate may use which, what sources may not
//! say, where dependencies come from, and that everything the documents name is there.

mod configuration;
mod documents;
mod edges;
mod sources;
mod supply;
mod tree;

//! Other people's programs on what is ours: what they make of it must be what we make of it.

mod dsse;
mod numbers;

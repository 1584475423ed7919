//! What the functions that `live codegen` writes for Rust need, so that their host needs no crate but
//! this one. No promise to anybody else.

pub use schemas::Slug;
pub use {serde, serde_json};

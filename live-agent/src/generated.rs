//! What the functions that `live codegen` writes for Rust need, so that their host needs no crate but
//! this one. No promise to anybody else.

pub use {serde, serde_json};

use crate::{ConfigError, Contract};

/// Reads the contract that stands in a written module.
///
/// # Errors
/// A newer program wrote it.
pub fn contract(text: &str) -> Result<Contract, ConfigError> {
    serde_json::from_str(text).map_err(|error| {
        let why = format!("the module of \"live codegen\" is newer than this crate, or was changed: {error}");
        ConfigError::Invalid { key: "contract", why }
    })
}

//! The prompts of the set welcome, version 1.0.0.
//!
//! Written by "live codegen --language rust --set welcome"; write it again instead of changing it.
//!
//! Content: sha256:492ca6eaf1707b999cec0e84f0e2529e746fffaf59a158e844ebbbf131f3587e
//!
//! Declare it as `#[rustfmt::skip] mod …;`.

#![allow(clippy::all, clippy::pedantic, clippy::nursery, dead_code)]
#![allow(missing_docs, non_camel_case_types, non_snake_case, rustdoc::all, unreachable_pub)]

pub const SET: &str = "welcome";
pub const VERSION: &str = "1.0.0";
pub const DIGEST: &str = "sha256:492ca6eaf1707b999cec0e84f0e2529e746fffaf59a158e844ebbbf131f3587e";

const CONTRACT: &str = concat!(
    "{\"set\":\"welcome\",\"version\":\"1.0.0\",\"prompts\":[",
    "{\"id\":\"welcome.message\",\"parameters\":[{\"name\":\"name\",\"type\":\"string\",\"required\":true}]}",
    "]}",
);

/// What a program with these functions was built for: hand it to `Builder::contract`.
///
/// # Errors
/// The crate `live-agent` is older than the program that wrote this; always or never.
pub fn contract() -> ::core::result::Result<::live_agent::Contract, ::live_agent::ConfigError> {
    ::live_agent::generated::contract(CONTRACT)
}

/// The prompt welcome.message.
///
/// # Errors
/// The prompt is not here, or values are out of their bounds.
pub fn welcome_message(agent: &::live_agent::LiveAgent, name: &str) -> ::core::result::Result<::std::string::String, ::live_agent::PromptError> {
    let mut values = ::live_agent::Values::new();
    values.insert("name", name);
    agent.prompt("@welcome/welcome.message", &values)
}

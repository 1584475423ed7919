//! How a command ends: one table of exit codes, and what went wrong by what the caller can do about it.

use std::fmt::Write as _;
use std::process::ExitCode;

use live_agent::{AgentError, ConfigError, StartError};

/// Every exit code, and what it means.
pub(crate) const CODES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "it failed; the message says why"),
    (2, "wrong usage"),
    (
        3,
        "done, and the answer is no: it differs (diff), something waits (sync --check), not fresh (a start that waits for it), or there are warnings (doctor, config check)",
    ),
    (64, "bad configuration; the message names the key"),
    (69, "unavailable: the broker cannot be reached or does not let in, or nothing is served yet"),
    (77, "not permitted: it would replace another connection or a file; --force does"),
];

/// The codes as the help shows them.
pub(crate) fn help() -> String {
    let mut out = String::from("Exit codes:");
    for (code, what) in CODES {
        let _ = write!(out, "\n  {code:<3} {what}");
    }
    out
}

/// What went wrong, by what the caller can do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    Usage(String),
    Configuration(String),
    Unavailable(String),
    NotPermitted(String),
    /// It went well and the answer is no; what there is to say was said.
    Differs,
    /// The same, with what there is to say.
    NotFresh(String),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(format!("{:#}", anyhow::Error::new(error)))
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Unreachable(why) => Self::Unavailable(why),
            other => Self::Other(other.into()),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => error.into(),
            error @ StartError::NotFresh { .. } => Self::NotFresh(error.to_string()),
            error => Self::Other(error.into()),
        }
    }
}

/// Says what went wrong, and ends with its code.
pub(crate) fn end(failure: Failure) -> ExitCode {
    let (code, message) = match failure {
        Failure::Differs => return ExitCode::from(3),
        Failure::Usage(message) => (2, message),
        Failure::NotFresh(message) => (3, message),
        Failure::Configuration(message) => (64, message),
        Failure::Unavailable(message) => (69, message),
        Failure::NotPermitted(message) => (77, message),
        Failure::Other(error) => (1, format!("{error:#}")),
    };
    eprintln!("live: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_ends_with_a_code_of_the_table() {
        let text = || String::from("because");
        for (failure, code) in [
            (Failure::Usage(text()), 2),
            (Failure::Differs, 3),
            (Failure::NotFresh(text()), 3),
            (Failure::Configuration(text()), 64),
            (Failure::Unavailable(text()), 69),
            (Failure::NotPermitted(text()), 77),
            (Failure::Other(anyhow::anyhow!("because")), 1),
        ] {
            assert!(CODES.iter().any(|(known, _)| *known == code));
            assert_eq!(format!("{:?}", end(failure)), format!("{:?}", ExitCode::from(code)));
        }
    }
}

//! Why a model gave no answer, or not the whole of it.

/// In words for who asked: what happened, and what can be done. Never a key, a prompt or a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("{endpoint} cannot be reached: {why}")]
    Unreachable { endpoint: String, why: String },
    #[error("{endpoint} said nothing for {seconds} s: try again, or ask for less")]
    Late { endpoint: String, seconds: u64 },
    #[error("the answer of {endpoint} took longer than {seconds} s and was stopped: ask for less")]
    TooSlow { endpoint: String, seconds: u64 },
    #[error("{endpoint} refused the key: the operator finds it in the models file")]
    Key { endpoint: String },
    #[error("{endpoint} knows no model {model}, or not at this address: see the models file")]
    NoModel { endpoint: String, model: String },
    #[error("{endpoint} takes no more requests at the moment{}", again(*retry_after_s))]
    TooMany { endpoint: String, retry_after_s: Option<u64> },
    #[error("{endpoint} refused the request ({status}){}", in_words(.said))]
    Refused { endpoint: String, status: u16, said: String },
    #[error("{endpoint} failed ({status}): try again later")]
    Failed { endpoint: String, status: u16 },
    #[error("{endpoint} gave up while it answered{}", in_words(.said))]
    GaveUp { endpoint: String, said: String },
    #[error("{endpoint} answered, but not by a stream of events: is its url the one of the API?")]
    NotAStream { endpoint: String },
    #[error("the answer of {endpoint} broke off before its end")]
    Cut { endpoint: String },
    #[error("the answer of {endpoint} cannot be read: it does not speak the protocol it is configured for")]
    Garbled { endpoint: String },
    #[error("the answer of {endpoint} is longer than {bytes} bytes and was stopped: ask for less")]
    TooLong { endpoint: String, bytes: usize },
    #[error("there is no message of a user to answer: add one to the prompt")]
    NothingToAnswer,
}

fn again(retry_after_s: Option<u64>) -> String {
    retry_after_s.map_or_else(|| ": try again later".into(), |s| format!(": try again in {s} s"))
}

fn in_words(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl ModelError {
    /// A stable name of the kind of problem.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "model_unreachable",
            Self::Late { .. } | Self::TooSlow { .. } => "model_timeout",
            Self::Key { .. } => "model_key_refused",
            Self::NoModel { .. } => "model_unknown",
            Self::TooMany { .. } => "model_rate_limited",
            Self::Refused { .. } => "model_refused",
            Self::Failed { .. } | Self::GaveUp { .. } => "model_failed",
            Self::NotAStream { .. } | Self::Cut { .. } | Self::Garbled { .. } => "model_stream_broken",
            Self::TooLong { .. } => "model_answer_too_long",
            Self::NothingToAnswer => "no_user_message",
        }
    }
}

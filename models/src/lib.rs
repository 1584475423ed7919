//! Model endpoints: what somebody who tries a prompt runs it with, and how long its text is in tokens.
//!
//! It knows nothing of FORGE. An operator names endpoints in a file; [`start`] sends one request to one of
//! them and gives what comes back piece by piece, within bounds of time and size. Dropping a [`Run`] closes
//! its connection. Keys come from the environment or a file and are never printed; neither prompts nor
//! answers are logged.
//!
//! | module | what it holds |
//! |---|---|
//! | [`endpoint`] | the file: endpoints, their models, keys and prices |
//! | [`ask`] | what is sent: messages and settings |
//! | [`run`] | one request and its answer as a stream, with tokens, cost and times |
//! | [`tokens`] | how many tokens a text has, by family of models |
//! | `http` | one connection, with or without TLS |
//! | `sse` | server-sent events out of bytes |
//! | `wire` | the two protocols: `OpenAI` chat completions and Anthropic messages |
//! | [`error`] | why there is no answer, in words for who asked |

pub mod ask;
pub mod endpoint;
pub mod error;
mod http;
pub mod run;
mod sse;
pub mod tokens;
mod wire;

pub use ask::{Ask, Message, Role, Settings};
pub use endpoint::{Endpoint, Endpoints, EndpointsError, Kind, Model};
pub use error::ModelError;
pub use run::{Event, Limits, Outcome, Run, start};
pub use tokens::{Estimate, Family};

//! Prompts in and out: what other tools write, as prompts of ours, and back.
//!
//! This crate is pure: bytes in, prompts and a report out. Nothing that stands in a file is looked up:
//! no variable of the environment, no other file, no address.
//!
//! | module | what it holds |
//! |---|---|
//! | [`found`] | what was found in a file, what could not be taken over, and why a file is refused |
//! | [`mod@format`] | the formats, how each is recognised, read and written |
//! | [`files`] | an upload as files: archives within bounds, paths made safe |
//! | [`archive`] | our own archive: drafts, versions byte for byte, lock file, aliases, variable sets and history |
//! | [`folder`] | a folder of Markdown or text files; what `forge push` and `forge pull` keep in a repository |
//! | `dotprompt`, `prompty`, `langfuse`, `mlflow`, `openai`, `langchain`, `liquid` | one format each |
//! | `dialect` | template languages, read into one tree and written from it |
//! | `made` | a prompt from what a format holds: converted whole, or kept as plain text with the reason |
//! | `lost` | what an export does not hold of a prompt |
//! | `parameters`, `yaml`, `name` | typed parameters, front matter, ids |
//!
//! A template is converted where it then means the same. Where it cannot be, its prompt keeps the text as
//! it was written, as plain text, and the report says which place is the reason. Nothing changes silently.

pub mod archive;
mod dialect;
mod dotprompt;
pub mod files;
pub mod folder;
pub mod format;
pub mod found;
mod langchain;
mod langfuse;
mod liquid;
mod lost;
mod made;
mod mlflow;
mod name;
mod openai;
mod parameters;
mod prompty;
mod yaml;

pub use format::{Format, Written, read, read_archive, read_beside, write};
pub use found::{Content, Digests, Found, Note, Refusal};

//! What the API takes and gives.

mod account;
mod agent;
mod alias;
mod history;
mod item;
mod order;
mod organisation;
mod overview;
mod people;
mod project;
mod publication;
mod restore;
mod review;
mod search;
mod set;
mod settings;
mod transfer;
mod trying;
mod usage;
mod version;
mod webhook;

pub use account::*;
pub use agent::*;
pub use alias::*;
pub use history::*;
pub use item::*;
pub use order::*;
pub use organisation::*;
pub use overview::*;
pub use people::*;
pub use project::*;
pub use publication::*;
pub use restore::*;
pub use review::*;
pub use search::*;
pub use set::*;
pub use settings::*;
pub use transfer::*;
pub use trying::*;
pub use usage::*;
pub use version::*;
pub use webhook::*;

use schemars::JsonSchema;
use serde::Serialize;

/// A list, and where it goes on.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "List_of_{T}")]
pub struct List<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

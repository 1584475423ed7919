//! Webhooks and their log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::database::webhook::{Delivery, Webhook};
use crate::webhook::Asked;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewWebhook {
    /// For people; the host of the address where nothing is said.
    #[serde(default)]
    pub name: String,
    /// https, and of the public network.
    pub url: String,
    /// json, or slack for one message of text. json where nothing is said.
    #[serde(default)]
    pub kind: Option<String>,
    /// All of them where nothing is said.
    #[serde(default)]
    pub events: Vec<String>,
    /// Whether every project of the organisation is told of.
    #[serde(default)]
    pub all_projects: bool,
    /// True where nothing is said.
    #[serde(default)]
    pub enabled: Option<bool>,
}

impl From<NewWebhook> for Asked {
    fn from(new: NewWebhook) -> Self {
        Self {
            name: new.name,
            url: new.url,
            kind: new.kind.unwrap_or_else(|| "json".into()),
            events: new.events,
            all_projects: new.all_projects,
            enabled: new.enabled.unwrap_or(true),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct WebhookBody {
    pub id: String,
    pub name: String,
    pub url: String,
    pub kind: String,
    pub events: Vec<String>,
    pub all_projects: bool,
    pub enabled: bool,
    pub created_by: String,
    pub created_at: String,
    pub updated_at: String,
    /// Shown once. What follows `whsec_` is the key of the signatures, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl From<Webhook> for WebhookBody {
    fn from(w: Webhook) -> Self {
        Self {
            id: w.id,
            name: w.name,
            url: w.url,
            kind: w.kind,
            events: w.events.split_whitespace().map(str::to_owned).collect(),
            all_projects: w.project_id.is_none(),
            enabled: w.enabled,
            created_by: w.created_by,
            created_at: rfc3339(w.created_at),
            updated_at: rfc3339(w.updated_at),
            secret: None,
        }
    }
}

/// One event for one webhook.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeliveryBody {
    pub id: String,
    pub event: String,
    pub subject: String,
    /// waiting, delivered or failed.
    pub state: String,
    pub attempts: i64,
    pub created_at: String,
    /// When it is tried next, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    /// Status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<i64>,
    /// How the last answer begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<Delivery> for DeliveryBody {
    fn from(d: Delivery) -> Self {
        Self {
            next_at: (d.state == "waiting").then(|| rfc3339(d.not_before)),
            id: d.id,
            event: d.event,
            subject: d.subject,
            state: d.state,
            attempts: d.attempts,
            created_at: rfc3339(d.created_at),
            sent_at: d.sent_at.map(rfc3339),
            status: d.status,
            duration_us: d.duration_us,
            answer: d.answer,
            error: d.error,
        }
    }
}

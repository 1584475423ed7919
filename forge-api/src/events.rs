//! What changed, told to whoever watches: small events without content. Who hears one reads the
//! state anew, so that a lost event costs nothing but a little time.

use tokio::sync::broadcast;

/// Events that a slow listener may fall behind; it is then told so and reads everything anew.
const BACKLOG: usize = 1024;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub organisation_id: String,
    pub project_id: String,
    pub kind: Kind,
}

/// What kind of thing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A set, its prompts, versions or reviews.
    Set {
        set_id: String,
    },
    /// A publication was made or sent, or agents answered it.
    Publication {
        id: String,
        number: i64,
    },
    /// Agents came, went, or changed mode.
    Agents {
        environment_id: String,
    },
    Credentials,
    Project,
    /// Something was sent to a webhook, or could not be. One for all projects has none.
    Webhook {
        id: String,
    },
}

/// The board of events of this process.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Events {
    /// Tells everybody.
    pub fn tell(&self, organisation_id: &str, project_id: &str, kind: Kind) {
        // Nobody listening is no error.
        let _ = self.0.send(Event {
            organisation_id: organisation_id.into(),
            project_id: project_id.into(),
            kind,
        });
    }

    /// Everything that is told from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

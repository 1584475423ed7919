//! What the stream still has of a set, before its newest: at most 50 messages of each.

use async_nats::{Client, Message};
use nats_config::{header, subject};
use schemas::{Scope, Slug, Version};
use semver::VersionReq;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::fetch::{Fetched, Part, ask, ask_many, send, sequence};
use crate::agent::fits;

/// Messages in one batch. All of a batch may be in memory at one time.
const BATCH: usize = 8;
/// A broker that goes on for ever is not listened to for ever.
const MOST: usize = 100_000;

/// Goes through every message of a set, or of all, from the oldest.
pub(crate) struct Walk {
    client: Client,
    scope: Scope,
    subject: String,
    next: u64,
    seen: usize,
    over: bool,
}

impl Walk {
    pub(crate) fn new(client: Client, scope: Scope, set: Option<&Slug>) -> Self {
        let subject = set.map_or_else(|| subject::bundles_below(&scope), |set| subject::bundle(&scope, set));
        Self { client, scope, subject, next: 1, seen: 0, over: false }
    }

    /// The next few; none at the end.
    ///
    /// # Errors
    /// The broker does not answer, or refuses to.
    pub(crate) async fn next(&mut self) -> Result<Vec<Message>, String> {
        let mut batch = Vec::new();
        while batch.is_empty() && !self.over {
            let question = json!({ "seq": self.next, "next_by_subj": self.subject, "batch": BATCH });
            let mut answers = ask_many(&self.client, &self.scope, &question).await?;
            self.over = loop {
                match answers.next().await? {
                    Part::Message(message) => {
                        let found = sequence(&message).ok_or("an answer bears no stream sequence")?;
                        self.seen += 1;
                        if found < self.next || self.seen > MOST {
                            return Err(format!("asked for sequence {}, got {found}", self.next));
                        }
                        self.next = found + 1;
                        batch.push(*message);
                    }
                    Part::End { more, .. } => break more == 0,
                    Part::Nothing => break true,
                }
            };
        }
        Ok(batch)
    }
}

/// Offers what fits a pin, the highest serial first, until one is taken up.
pub(super) async fn search(
    client: &Client,
    scope: &Scope,
    set: &Slug,
    out: &mpsc::Sender<Fetched>,
) -> Result<(), String> {
    let (pin, answer) = oneshot::channel();
    send(out, Fetched::Look(set.clone(), pin)).await?;
    let Ok(Some(versions)) = answer.await else { return Ok(()) };
    let mut fitting = Vec::new();
    let mut walk = Walk::new(client.clone(), scope.clone(), Some(set));
    loop {
        let batch = walk.next().await?;
        if batch.is_empty() {
            break;
        }
        fitting.extend(batch.iter().filter_map(|message| place(message, &versions)));
    }
    fitting.sort_unstable();
    while let Some((_, sequence)) = fitting.pop() {
        let question = json!({ "seq": sequence }).to_string();
        // What is gone since is not needed: something newer came.
        let Some(message) = ask(client, subject::direct_get(scope), question).await? else { continue };
        let (taken, answer) = oneshot::channel();
        send(out, Fetched::Past(Box::new(message), taken)).await?;
        if answer.await.unwrap_or(true) {
            break;
        }
    }
    Ok(())
}

/// Serial and sequence of a message whose version fits.
fn place(message: &Message, versions: &VersionReq) -> Option<(u64, u64)> {
    let text = |name| message.headers.as_ref()?.get(name).map(|value| value.as_str());
    let version: Version = text(header::VERSION)?.parse().ok()?;
    fits(versions, &version).then_some(())?;
    Some((text(header::SERIAL)?.parse().ok()?, sequence(message)?))
}

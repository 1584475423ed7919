//! Refused attempts. The first of its kind is written at once; what follows from the same actor and
//! address within a minute is counted, and written as one entry when the minute is over. A chain takes
//! at most so many kinds a minute, and says how many attempts it left out: nobody fills the disk by
//! being refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::INSTALLATION;
use crate::error::chain;
use crate::state::AppState;

/// How long attempts are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds of attempts that one chain takes in a window, each with at most two entries.
const KINDS_MAX: usize = 30;
/// Entries that wait for a database that is away.
const WAITING_MAX: usize = 1000;
/// Longest text of what was given to us, in characters.
const TEXT_MAX: usize = 200;

/// A refused attempt.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The organisation whose chain it belongs to; none: the installation's.
    pub organisation_id: Option<String>,
    /// `sign_in.refused`, `request.refused`, …
    pub action: &'static str,
    pub actor_id: String,
    pub actor_name: String,
    pub address: IpAddr,
    /// What was tried.
    pub subject: String,
    /// Why it was refused, in the words that the caller got or, where those are the same for all, truly.
    pub why: String,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    action: &'static str,
    actor_id: String,
    actor_name: String,
    address: IpAddr,
}

/// An entry that is to be written.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    chain: String,
    actor_id: String,
    actor_name: String,
    action: &'static str,
    subject: String,
    detail: Map<String, Value>,
}

/// The attempts of one chain within one window.
#[derive(Debug, Default)]
struct Window {
    number: u64,
    kinds: HashMap<Kind, (Line, u64)>,
    left_out: u64,
}

impl Window {
    /// Counts an attempt; gives the entry of one that is the first of its kind.
    fn take(&mut self, chain: &str, refusal: Refusal) -> Option<Line> {
        let Refusal { action, actor_id, actor_name, address, subject, why, .. } = refusal;
        let kind = Kind { action, actor_id: clip(&actor_id), actor_name: clip(&actor_name), address };
        if let Some((_, more)) = self.kinds.get_mut(&kind) {
            *more += 1;
            return None;
        }
        if self.kinds.len() >= KINDS_MAX {
            self.left_out += 1;
            return None;
        }
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address.to_string()));
        detail.insert("why".into(), json!(clip(&why)));
        let line = Line {
            chain: chain.to_owned(),
            actor_id: kind.actor_id.clone(),
            actor_name: kind.actor_name.clone(),
            action,
            subject: clip(&subject),
            detail,
        };
        self.kinds.insert(kind, (line.clone(), 0));
        Some(line)
    }

    /// The entries that say what was only counted.
    fn close(self, chain: &str) -> Vec<Line> {
        let counted = self.kinds.into_values().filter(|(_, more)| *more > 0).map(|(mut line, more)| {
            line.detail.insert("more".into(), json!(more));
            line.detail.insert("within_s".into(), json!(WINDOW.as_secs()));
            line
        });
        let mut lines: Vec<_> = counted.collect();
        if self.left_out > 0 {
            let mut detail = Map::new();
            detail.insert("left_out".into(), json!(self.left_out));
            detail.insert("within_s".into(), json!(WINDOW.as_secs()));
            lines.push(Line {
                chain: chain.to_owned(),
                actor_id: "several".into(),
                actor_name: "several".into(),
                action: "attempts.refused",
                subject: format!("more than {KINDS_MAX} kinds of attempts"),
                detail,
            });
        }
        lines
    }
}

/// One line of text, not too long: what strangers send us is shown to people.
fn clip(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(TEXT_MAX).collect::<String>().trim().to_owned()
}

#[derive(Debug, Default)]
struct Counts {
    windows: HashMap<String, Window>,
    opened: u64,
    waiting: Vec<Line>,
}

/// The refused attempts of this process that are not written yet.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: Mutex<Counts>,
    /// One writer at a time.
    writing: tokio::sync::Mutex<()>,
}

impl Refusals {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an attempt. Who asked does not wait for it to be written: the time of the answer tells nothing.
    pub(crate) fn take(&self, state: &AppState, refusal: Refusal) {
        let address = refusal.address;
        let chain = refusal.organisation_id.clone().unwrap_or_else(|| INSTALLATION.to_owned());
        let mut counts = self.counts();
        if !counts.windows.contains_key(&chain) {
            counts.opened += 1;
            let number = counts.opened;
            counts.windows.insert(chain.clone(), Window { number, ..Window::default() });
            let (state, chain) = (state.clone(), chain.clone());
            tokio::spawn(async move {
                tokio::time::sleep(WINDOW).await;
                state.refusals.end(&chain, number);
                state.refusals.write(&state).await;
            });
        }
        let Some(line) = counts.windows.get_mut(&chain).and_then(|w| w.take(&chain, refusal)) else { return };
        // Once for each kind, or a flood of attempts floods the log.
        tracing::info!(
            audit.action = line.action, audit.actor = %line.actor_id, client.address = %address,
            "an attempt was refused"
        );
        counts.wait(line);
        drop(counts);
        let state = state.clone();
        tokio::spawn(async move { state.refusals.write(&state).await });
    }

    /// Ends a window, if it is still this one.
    fn end(&self, chain: &str, number: u64) {
        let mut counts = self.counts();
        if counts.windows.get(chain).is_some_and(|w| w.number == number)
            && let Some(window) = counts.windows.remove(chain)
        {
            window.close(chain).into_iter().for_each(|line| counts.wait(line));
        }
    }

    /// Ends all windows and writes everything: when the process ends.
    pub async fn close(&self, state: &AppState) {
        let open: Vec<_> = self.counts().windows.iter().map(|(c, w)| (c.clone(), w.number)).collect();
        open.iter().for_each(|(chain, number)| self.end(chain, *number));
        self.write(state).await;
    }

    async fn write(&self, state: &AppState) {
        let _one = self.writing.lock().await;
        let lines = std::mem::take(&mut self.counts().waiting);
        if lines.is_empty() {
            return;
        }
        if let Err(error) = write(state, &lines).await {
            tracing::warn!(error = %chain(&error), audit.entries = lines.len(), "refused attempts are not written yet");
            let mut counts = self.counts();
            let newer = std::mem::replace(&mut counts.waiting, lines);
            newer.into_iter().for_each(|line| counts.wait(line));
        }
    }
}

impl Counts {
    fn wait(&mut self, line: Line) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(line);
        }
    }
}

async fn write(state: &AppState, lines: &[Line]) -> crate::error::Result<()> {
    // Of several chains always the same first: two processes never wait for each other.
    let mut sorted: Vec<_> = lines.iter().collect();
    sorted.sort_by(|a, b| a.chain.cmp(&b.chain));
    let mut tx = state.database.write().await?;
    for line in sorted {
        let actor = (line.actor_id.as_str(), line.actor_name.as_str());
        let detail = Value::Object(line.detail.clone());
        super::append(&mut tx, &line.chain, actor, line.action, &line.subject, detail).await?;
    }
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: &str, address: &str) -> Refusal {
        Refusal {
            organisation_id: None,
            action: "sign_in.refused",
            actor_id: "nobody".into(),
            actor_name: name.into(),
            address: address.parse().unwrap(),
            subject: "a\r\nb".into(),
            why: "wrong password".into(),
        }
    }

    #[test]
    fn the_same_attempt_is_one_entry_and_a_count() {
        let mut window = Window::default();
        let first = window.take("c", attempt("mara", "127.0.0.1")).unwrap();
        assert_eq!(first.subject, "a  b");
        for _ in 0..1000 {
            assert_eq!(window.take("c", attempt("mara", "127.0.0.1")), None);
        }
        assert!(window.take("c", attempt("mara", "127.0.0.2")).is_some(), "another address is another kind");
        let lines = window.close("c");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].detail["more"], 1000);
    }

    #[test]
    fn a_flood_of_kinds_is_cut_and_the_cut_is_said() {
        let mut window = Window::default();
        let written = (0..10_000).filter(|n| window.take("c", attempt(&n.to_string(), "::1")).is_some());
        assert_eq!(written.count(), KINDS_MAX);
        let lines = window.close("c");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].action, "attempts.refused");
        assert_eq!(lines[0].detail["left_out"], 10_000 - KINDS_MAX as u64);
    }

    #[test]
    fn what_strangers_send_is_clipped() {
        assert_eq!(clip(&"é".repeat(10_000)).chars().count(), TEXT_MAX);
        assert_eq!(clip("\u{1b}[31mred\n"), "[31mred");
    }
}

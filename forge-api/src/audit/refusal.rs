//! Refused attempts. The first of its kind is written at once; what follows of the same kind within a
//! minute is counted, and written as one entry when the minute is over. A kind is who tried what from which
//! network, at which route.
//!
//! A chain takes at most so many kinds a minute, and says how many attempts it left out: nobody fills the
//! disk by being refused. Nor does anybody hide the attempts of others behind their own: who is signed in has
//! a share of their own, and of the share of strangers one network gets a part.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::INSTALLATION;
use crate::error::chain;
use crate::limit::network;
use crate::state::AppState;

/// How long attempts are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds of attempts that one chain takes in a window from each user, and from all strangers together; each
/// has at most two entries.
const KINDS_MAX: usize = 30;
/// Of the kinds of strangers, the part of one network.
const NETWORK_MAX: usize = 10;
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
    /// Who tried; of a stranger, whose account was tried, if it is one, or `nobody`.
    pub actor_id: String,
    pub actor_name: String,
    /// Whether it is certain that it was them.
    pub signed_in: bool,
    pub address: IpAddr,
    /// Where it was tried: method and route as the router has it; empty where the action says all.
    pub route: String,
    /// What was tried.
    pub subject: String,
    /// Why it was refused, in the words that the caller got or, where those are the same for all, truly.
    pub why: String,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    action: &'static str,
    asker: Asker,
    /// Never a name that was only typed: there is no end of those.
    actor_id: String,
    network: IpAddr,
    route: String,
}

/// Whose share of a window an attempt counts in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asker {
    User(String),
    Stranger(IpAddr),
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
    /// How many kinds each asker has, and all strangers together.
    shares: HashMap<Asker, usize>,
    strangers: usize,
    left_out: u64,
}

impl Window {
    /// Counts an attempt; gives the entry of one that is the first of its kind.
    fn take(&mut self, chain: &str, refusal: Refusal) -> Option<Line> {
        let Refusal { action, actor_id, actor_name, signed_in, address, route, subject, why, .. } = refusal;
        let (actor_id, network) = (clip(&actor_id), network(address));
        let asker = if signed_in { Asker::User(actor_id.clone()) } else { Asker::Stranger(network) };
        let kind = Kind { action, asker: asker.clone(), actor_id, network, route: clip(&route) };
        if let Some((_, more)) = self.kinds.get_mut(&kind) {
            *more += 1;
            return None;
        }
        let share = self.shares.get(&asker).copied().unwrap_or_default();
        let room = match signed_in {
            true => share < KINDS_MAX,
            false => share < NETWORK_MAX && self.strangers < KINDS_MAX,
        };
        if !room {
            self.left_out += 1;
            return None;
        }
        self.shares.insert(asker, share + 1);
        self.strangers += usize::from(!signed_in);
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address.to_string()));
        detail.insert("why".into(), json!(clip(&why)));
        let line = Line {
            chain: chain.to_owned(),
            actor_id: kind.actor_id.clone(),
            actor_name: clip(&actor_name),
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
                subject: format!("more than {KINDS_MAX} kinds of attempts, or {NETWORK_MAX} of one network"),
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
            signed_in: false,
            address: address.parse().unwrap(),
            route: String::new(),
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
        assert!(window.take("c", attempt("mara", "127.0.0.2")).is_some(), "another network is another kind");
        assert_eq!(window.take("c", attempt("jonas", "127.0.0.2")), None, "another typed name is none");
        let mut more: Vec<_> =
            window.close("c").iter().filter_map(|line| line.detail["more"].as_u64()).collect();
        more.sort_unstable();
        assert_eq!(more, [1, 1000]);
    }

    #[test]
    fn a_flood_of_kinds_is_cut_and_the_cut_is_said() {
        let mut window = Window::default();
        let from = |n: u32| attempt("mara", &std::net::Ipv4Addr::from_bits(n).to_string());
        let written = (0..10_000).filter(|n| window.take("c", from(*n)).is_some());
        assert_eq!(written.count(), KINDS_MAX);
        let lines = window.close("c");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].action, "attempts.refused");
        assert_eq!(lines[0].detail["left_out"], 10_000 - KINDS_MAX as u64);
    }

    #[test]
    fn nobody_hides_the_attempts_of_others_behind_their_own() {
        let mut window = Window::default();
        let mut take = |signed_in: bool, actor: &str, address: &str, route: String| {
            let refusal = Refusal { signed_in, actor_id: actor.into(), route, ..attempt("", address) };
            window.take("c", refusal).is_some()
        };
        let fill = |take: &mut dyn FnMut(bool, &str, &str, String) -> bool, signed_in, actor, address| {
            (0..100).filter(|n| take(signed_in, actor, address, format!("GET /{n}"))).count()
        };
        // All of one IPv6 network are one stranger.
        assert_eq!(fill(&mut take, false, "nobody", "2001:db8::1"), NETWORK_MAX);
        assert_eq!(fill(&mut take, false, "nobody", "2001:db8::2"), 0);
        assert_eq!(fill(&mut take, false, "nobody", "192.0.2.1"), NETWORK_MAX);
        assert_eq!(fill(&mut take, true, "jonas", "192.0.2.1"), KINDS_MAX);
        assert!(take(true, "mara", "192.0.2.1", "GET /a".into()));
        assert!(take(true, "mara", "192.0.2.1", "POST /a".into()), "a read does not hide a write");
        assert!(!take(true, "mara", "192.0.2.1", "POST /a".into()));
    }

    #[test]
    fn what_strangers_send_is_clipped() {
        assert_eq!(clip(&"é".repeat(10_000)).chars().count(), TEXT_MAX);
        assert_eq!(clip("\u{1b}[31mred\n"), "[31mred");
    }
}

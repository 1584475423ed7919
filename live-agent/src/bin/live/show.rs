//! What people see.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use live_agent::{Listed, LocalStatus, Mode};
use schemas::status::{PendingState, SetStatus};
use schemas::{Micros, Slug};
use serde::Serialize;

use crate::exit::Failure;

/// One value on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_string(value).map_err(|e| Failure::Other(e.into()))?;
    line.push('\n');
    text(&line)
}

/// So many of something: `1 set`, `2 sets`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Text to standard output; a reader that went away is no failure.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Other(error.into())),
        _ => Ok(()),
    }
}

/// Text of others on one line: nothing in it moves a terminal's cursor, or is read in another order than it
/// stands.
pub(crate) fn plain(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let one = |c: char| match c {
        '\t' => ' ',
        c if moves(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(one).collect()
}

/// How long ago, in words.
pub(crate) fn ago(at: Micros) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let seconds = (i128::try_from(now).unwrap_or_default() - i128::from(at)).max(0) / 1_000_000;
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

pub(crate) fn status(local: &LocalStatus, running: bool) -> String {
    let status = &local.status;
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<10} {value}"));
    line("agent", format!("{} ({})", status.agent, status.mode.as_str()));
    line("scope", status.scope.to_string());
    let contact = local.contact.map_or("never".into(), ago);
    let broker = match (running, local.connected, &local.refused) {
        (false, _, _) => format!("no agent is running; from disk, last contact {contact}"),
        (true, true, _) if status.stale => {
            let why = plain(status.stale_reason.as_deref().unwrap_or("FORGE is silent"));
            format!("connected, but STALE: {why}; last contact {contact}")
        }
        (true, true, _) => "connected, current".into(),
        (true, false, Some(why)) => format!("{}; last contact {contact}", plain(why)),
        (true, false, None) => format!("not connected; last contact {contact}"),
    };
    line("broker", broker);
    line("cache", status.cache.clone());
    if let Some(rule) = status.max_age {
        let age = status.age_ms.map_or("never".into(), |ms| format!("{} s ago", ms / 1000));
        let held = if status.too_old { "; the rule holds" } else { "" };
        line("max age", format!("{} after {} s, confirmed {age}{held}", rule.action.as_str(), rule.seconds));
    }
    if running {
        let c = &status.counters;
        let times = format!("p50 {} ns, p99 {} ns", c.render_p50_ns, c.render_p99_ns);
        let errors = counted(usize::try_from(c.render_errors).unwrap_or(usize::MAX), "error");
        line("renders", format!("{}, {errors}, {times}", c.renders));
    }
    for set in &status.sets {
        lines.push(set_line(set, status.mode));
    }
    for id in &status.overrides {
        lines.push(format!("{} is served from a folder of this machine, not from FORGE", plain(id)));
    }
    for problem in &local.problems {
        lines.push(format!("not usable in that folder: {}", plain(problem)));
    }
    if status.sets.iter().all(|s| s.active.is_none()) {
        lines.push(match status.mode {
            Mode::Frozen => {
                "nothing is served: FROZEN, and the cache is empty; \"live sync\" takes up once what waits"
                    .into()
            }
            Mode::Accepting => "nothing is served yet".into(),
        });
    }
    lines.join("\n") + "\n"
}

/// One set; `mode` is that of its agent.
pub(crate) fn set_line(set: &SetStatus, mode: Mode) -> String {
    let active = match &set.active {
        Some(a) => format!(
            "{} serial {} {} active since {}",
            a.version,
            a.serial,
            short(&a.digest),
            ago(a.activated_at)
        ),
        None => "nothing active".into(),
    };
    let pending = set.fitting.iter().chain(&set.pending).map(|p| {
        let serial = p.serial.map_or("unknown serial".into(), |s| format!("serial {s}"));
        match (p.state, &p.reason) {
            (PendingState::Refused, Some(reason)) => {
                format!("; refused {serial}: {}", plain(&reason.message))
            }
            (PendingState::Verified, _) => match mode {
                Mode::Frozen => format!("; {serial} is verified and waits for ACCEPTING"),
                Mode::Accepting => format!("; {serial} is verified and is taken up once an agent runs"),
            },
            (PendingState::Pinned, _) => format!("; {serial} is verified and does not fit the pin"),
            _ => format!("; {serial} is on its way"),
        }
    });
    format!("@{:<16} {active}{}", set.set.as_str(), pending.collect::<String>())
}

pub(crate) fn list(all: &[Listed]) -> String {
    let width = all.iter().map(|one| address(&one.set, &one.id).len()).max().unwrap_or(0).min(60);
    let mut out = String::new();
    for one in all {
        let parameters = one.parameters.join(", ");
        let kind = if one.chat { " chat" } else { "" };
        let local = if one.local { " from a folder" } else { "" };
        let line = format!(
            "{:<width$}  {}{kind}{local}  ({parameters})  {}",
            address(&one.set, &one.id),
            one.version,
            one.description
        );
        out.push_str(plain(&line).trim_end());
        out.push('\n');
    }
    out
}

fn address(set: &Slug, id: &str) -> String {
    format!("@{set}/{id}")
}

fn short(digest: &schemas::canonical::Digest) -> String {
    digest.short()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_on_its_line_and_moves_no_cursor() {
        let evil = "fine\x1b[2K\x1b]0;title\x07\r\nroot\u{202e}toor\u{9b}1m\tend\u{2028}x";
        let shown = plain(evil);
        assert!(
            !shown.chars().any(char::is_control) && !shown.contains(['\u{202e}', '\u{2028}']),
            "{shown:?}"
        );
        assert!(shown.starts_with("fine") && shown.ends_with("end\u{fffd}x"), "{shown:?}");
        assert_eq!(plain("Grüße, 世界 👩‍🚀"), "Grüße, 世界 👩‍🚀");
        let listed = serde_json::json!([{
            "set": "chat", "id": "hello", "version": "1.0.0", "serial": 1, "chat": false,
            "description": "two\nlines \u{1b}[31m", "parameters": ["a"], "tags": [], "local": true,
        }]);
        let all: Vec<Listed> = serde_json::from_value(listed).unwrap();
        let text = list(&all);
        assert_eq!(text, "@chat/hello  1.0.0 from a folder  (a)  two\u{fffd}lines \u{fffd}[31m\n");
    }
}

//! How the agent stands: the answer first, then what to do, then every set.

use schemas::envelope::AgeAction;
use schemas::status::{ModeSource, Pending, PendingState, SetStatus};

use super::html::{Frame, Html, Note, Tab, Tone, ago, html, page as frame_page};
use crate::serve::Sidecar;
use crate::{LocalStatus, Mode};

pub(super) fn page(sidecar: &Sidecar, frame: &Frame, note: Option<Note>) -> String {
    let local = sidecar.agent.local_status();
    let (tone, answer, why) = answer(&local);
    frame_page(frame, Tab::Overview, "Status", |out| {
        if let Some(note) = note {
            note.write(out);
        }
        html!(out, "<section class=\"answer\" data-tone=\"", (tone.name()), "\"><h1>", (answer), "</h1>");
        if let Some(why) = why {
            html!(out, "<p>", (why), "</p>");
        }
        html!(out, "</section>");
        overrides(out, &local);
        html!(out, "<div class=\"cols\"><div class=\"stack\">");
        sets(out, frame, &local);
        html!(out, "</div><div class=\"stack\">");
        mode(out, frame, &sidecar.form, &local);
        facts(out, &local);
        html!(out, "</div></div>");
    })
}

/// The one sentence that matters, and why.
fn answer(local: &LocalStatus) -> (Tone, String, Option<String>) {
    let status = &local.status;
    let served = status.sets.iter().filter(|set| set.active.is_some()).count();
    let sets = if served == 1 { "1 prompt set".to_owned() } else { format!("{served} prompt sets") };
    if served == 0 {
        let why = match status.mode {
            Mode::Frozen => "The agent is FROZEN and had nothing yet. Set it to ACCEPTING.",
            Mode::Accepting => "Publish a version in FORGE, and look at the broker's state here.",
        };
        return (Tone::Bad, "Nothing is served yet".into(), Some(why.into()));
    }
    if let (true, Some(rule)) = (status.too_old, status.max_age)
        && rule.action == AgeAction::Refuse
    {
        let why =
            format!("Nobody confirmed it for longer than {} s, the most that is allowed.", rule.seconds);
        return (Tone::Bad, "Calls are refused: what is here is too old".into(), Some(why));
    }
    if let Some(why) = &local.refused {
        return (
            Tone::Bad,
            format!("Serving {sets}, and the broker does not let this agent in"),
            Some(why.clone()),
        );
    }
    if let Some(why) = &status.stale_reason {
        return (Tone::Warn, format!("Serving {sets}, STALE"), Some(format!("{why}.")));
    }
    if !local.connected {
        let why = "It goes on with what it has, and connects by itself when the broker is back.";
        return (Tone::Warn, format!("Serving {sets}; the broker is not connected"), Some(why.into()));
    }
    let waiting = status.sets.iter().filter(|set| set.pending.as_ref().is_some_and(is_held)).count();
    match (status.mode, waiting) {
        (Mode::Frozen, 0) => {
            (Tone::Cold, format!("Serving {sets}, FROZEN"), Some("Nothing newer waits.".into()))
        }
        (Mode::Frozen, _) => {
            let why = format!("{waiting} newer wait{} for ACCEPTING.", if waiting == 1 { "s" } else { "" });
            (Tone::Cold, format!("Serving {sets}, FROZEN"), Some(why))
        }
        (Mode::Accepting, _) => (Tone::Ok, format!("Serving {sets}, current"), None),
    }
}

pub(super) fn is_held(pending: &Pending) -> bool {
    matches!(pending.state, PendingState::Verified | PendingState::Pinned)
}

fn overrides(out: &mut Html, local: &LocalStatus) {
    let overrides = &local.status.overrides;
    if overrides.is_empty() && local.problems.is_empty() {
        return;
    }
    html!(
        out,
        "<section class=\"note\" data-tone=\"warn\"><h2>Served from a folder of this machine, not from FORGE</h2><ul class=\"plain\">"
    );
    for id in overrides {
        html!(out, "<li><code>", (id), "</code></li>");
    }
    for problem in &local.problems {
        html!(out, "<li>", (problem), "</li>");
    }
    html!(out, "</ul></section>");
}

fn mode(out: &mut Html, frame: &Frame, form: &str, local: &LocalStatus) {
    let status = &local.status;
    let by = match status.mode_by {
        ModeSource::Configuration => "by its configuration",
        ModeSource::Local => "here, at the agent",
        ModeSource::Forge => "by FORGE",
        _ => "by somebody that this version does not know",
    };
    let (tone, other, verb, means) = match status.mode {
        Mode::Accepting => (
            Tone::Ok,
            Mode::Frozen,
            "Freeze this agent",
            "What is published is verified and taken up at once.",
        ),
        Mode::Frozen => (
            Tone::Cold,
            Mode::Accepting,
            "Accept updates",
            "What is published is verified and kept; what is served stays.",
        ),
    };
    html!(
        out,
        "<section class=\"panel\" aria-labelledby=\"mode\"><header><h2 id=\"mode\">Mode</h2><span class=\"badge\" data-tone=\"",
        (tone.name()),
        "\">",
        (status.mode.as_str()),
        "</span></header><div class=\"body\"><p>",
        (means),
        "</p><p class=\"hint\">Set ",
        (by),
        ".</p><div class=\"row\"><form method=\"post\" action=\"",
        (&frame.root),
        "mode\"><input type=\"hidden\" name=\"form\" value=\"",
        (form),
        "\"><input type=\"hidden\" name=\"mode\" value=\"",
        (other.as_str()),
        "\"><button class=\"btn primary\">",
        (verb),
        "</button></form><form method=\"post\" action=\"",
        (&frame.root),
        "sync\"><input type=\"hidden\" name=\"form\" value=\"",
        (form),
        "\"><button class=\"btn\">Sync now</button></form><form method=\"post\" action=\"",
        (&frame.root),
        "sync\"><input type=\"hidden\" name=\"form\" value=\"",
        (form),
        "\"><input type=\"hidden\" name=\"check\" value=\"1\"><button class=\"btn\" title=\"Takes up nothing\">\
         Check only</button></form></div></div></section>"
    );
}

fn facts(out: &mut Html, local: &LocalStatus) {
    let status = &local.status;
    let broker = match (&local.refused, local.connected) {
        (Some(_), _) => "does not let this agent in",
        (None, true) => "connected",
        (None, false) => "not connected",
    };
    html!(
        out,
        "<section class=\"panel\" aria-labelledby=\"agent\"><header><h2 id=\"agent\">Agent</h2></header><dl class=\"facts\">"
    );
    let mut fact = |name: &'static str, value: &dyn std::fmt::Display| {
        html!(out, "<div><dt>", (name), "</dt><dd>", (value), "</dd></div>");
    };
    fact("Name", &status.agent);
    fact("Scope", &status.scope);
    if !status.service.is_empty() {
        fact("Service", &status.service);
    }
    fact("Host", &status.host);
    fact("Version", &status.agent_version);
    fact("Started", &ago(status.started_at));
    fact("Broker", &broker);
    fact("Last contact", &local.contact.map_or("never".to_owned(), ago));
    let confirmed = status.age_ms.map_or("never".to_owned(), |ms| format!("{} s ago", ms / 1000));
    fact("Confirmed by FORGE", &confirmed);
    if let Some(rule) = status.max_age {
        fact("Longest without", &format!("{} s, then {}", rule.seconds, rule.action.as_str()));
    }
    fact("Cache", &status.cache);
    fact("Trust list", &status.trust);
    let counters = &status.counters;
    fact("Renders", &format!("{}, {} failed", counters.renders, counters.render_errors));
    html!(out, "</dl></section>");
}

fn sets(out: &mut Html, frame: &Frame, local: &LocalStatus) {
    html!(
        out,
        "<section class=\"panel\" aria-labelledby=\"sets\"><header><h2 id=\"sets\">Prompt sets</h2></header>"
    );
    if local.status.sets.is_empty() {
        html!(out, "<p class=\"empty\">No set was published to this environment yet.</p></section>");
        return;
    }
    html!(
        out,
        "<table class=\"table fold\"><thead><tr><th scope=\"col\">Set</th><th scope=\"col\">Version</th>",
        "<th scope=\"col\">Serial</th><th scope=\"col\">Digest</th><th scope=\"col\">Active since</th></tr></thead><tbody>"
    );
    for set in &local.status.sets {
        row(out, frame, set);
    }
    html!(out, "</tbody></table></section>");
}

fn row(out: &mut Html, frame: &Frame, set: &SetStatus) {
    html!(out, "<tr><td><a href=\"", (&frame.root), "prompts?q=%40", (&set.set), "/\">@", (&set.set), "</a>");
    if let Some(pin) = &set.pin {
        html!(out, " <span class=\"badge\" data-tone=\"info\">pinned to ", (pin), "</span>");
    }
    if set.revoked {
        html!(out, " <span class=\"badge\" data-tone=\"bad\">key revoked</span>");
    }
    html!(out, "</td>");
    match &set.active {
        Some(active) => {
            html!(
                out,
                "<td data-label=\"Version\">",
                (&active.version),
                "</td><td data-label=\"Serial\">",
                (active.serial),
                "</td><td data-label=\"Digest\"><code title=\"",
                (active.digest),
                "\">",
                (active.digest.short()),
                "</code></td><td data-label=\"Active since\">",
                (ago(active.activated_at)),
                "</td></tr>"
            );
        }
        None => {
            html!(out, "<td class=\"full\" colspan=\"4\">nothing active</td></tr>");
        }
    }
    for (tone, text) in set.fitting.iter().chain(&set.pending).map(pending) {
        html!(
            out,
            "<tr class=\"more\"><td colspan=\"5\"><span class=\"badge\" data-tone=\"",
            (tone.name()),
            "\">",
            (text.0),
            "</span> ",
            (text.1),
            "</td></tr>"
        );
    }
}

/// What is known of a set and not served: a word, and the rest.
fn pending(pending: &Pending) -> (Tone, (&'static str, String)) {
    let which = match (&pending.version, pending.serial) {
        (Some(version), Some(serial)) => format!("{version} (serial {serial})"),
        (None, Some(serial)) => format!("serial {serial}"),
        _ => "a version".into(),
    };
    let when = ago(pending.at);
    match pending.state {
        PendingState::Verified => {
            (Tone::Cold, ("waits", format!("{which} would have been taken up {when}; the agent is FROZEN")))
        }
        PendingState::Pinned => (Tone::Info, ("kept back", format!("{which} does not fit the pin"))),
        PendingState::Refused => {
            let why = pending.reason.as_ref().map_or("no reason was given", |reason| &reason.message);
            (Tone::Bad, ("refused", format!("{which}, {when}: {why}")))
        }
        _ => (Tone::Mute, ("on its way", format!("{which}, since {when}"))),
    }
}

//! A payload as one message for people.

use serde_json::{Value, json};

use super::EVENTS;

/// A payload as Slack takes it.
pub(super) fn message(payload: &Value) -> Value {
    let text = |name: &str| escaped(payload[name].as_str().unwrap_or_default());
    let what =
        EVENTS.iter().find(|(event, _)| payload["event"] == *event).map_or("a test of this webhook", |e| e.1);
    let (subject, url, actor) = (text("subject"), text("url"), text("actor"));
    let version = payload["data"]["version"].as_str().map(|v| format!(" {}", escaped(v))).unwrap_or_default();
    let by = if actor.is_empty() { String::new() } else { format!(" · {actor}") };
    let who = who(&payload["data"]);
    json!({ "text": format!("*{subject}{version}*: {what}{who}{by} · <{url}|open in FORGE>") })
}

/// Which agents an event is of, and why, where it is of agents.
fn who(data: &Value) -> String {
    let named: Vec<&str> =
        data["agents"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if named.is_empty() {
        return String::new();
    }
    let count = data["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(named.len());
    let more = match count.saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let why = data["reason"].as_str().map(|why| format!(" ({})", escaped(why))).unwrap_or_default();
    format!(": {}{more}{why}", escaped(&named.join(", ")))
}

/// Slack reads these three as its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slack_message_names_what_happened_and_escapes_names() {
        let payload = json!({
            "event": "set.locked", "subject": "acme/support/chat", "actor": "<!channel>", "url": "https://f/acme",
            "data": { "version": "1.2.0" },
        });
        let message = message(&payload);
        let text = message["text"].as_str().unwrap();
        assert!(text.contains("*acme/support/chat 1.2.0*: a version was made"), "{text}");
        assert!(
            text.contains("&lt;!channel&gt;") && text.contains("<https://f/acme|open in FORGE>"),
            "{text}"
        );
    }

    #[test]
    fn a_slack_message_of_agents_names_them_and_why() {
        let data = json!({ "agents": ["till-1", "till-2"], "count": 5, "reason": "<b> is missing" });
        let message =
            message(&json!({ "event": "agent.refused", "subject": "acme/support in prod", "data": data }));
        let text = message["text"].as_str().unwrap();
        let expected = "*acme/support in prod*: agents refused a publication, and keep what they had: \
                        till-1, till-2 and 3 more (&lt;b&gt; is missing) · ";
        assert!(text.starts_with(expected), "{text}");
    }
}

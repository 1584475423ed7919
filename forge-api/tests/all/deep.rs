//! Drafts and files that are nested without end, or long without depth: an answer wherever they are read.

use forge_api::auth::Role;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::app::{App, SET, on_both, prompt};

on_both!(
    a_draft_of_any_depth_is_an_answer_wherever_it_is_read,
    a_file_of_any_depth_or_length_is_an_answer_and_keeps_nobody_from_locking,
);

fn nested(open: &str, close: &str, count: usize) -> String {
    format!("{}x{}", open.repeat(count), close.repeat(count))
}

/// A result, or what is wrong with what was asked for: never a fault of FORGE, and never its 503 of what takes too long.
async fn answered(what: &str, request: RequestBuilder) -> u16 {
    let answer = request.send().await.unwrap_or_else(|error| panic!("{what} has no answer: {error}"));
    let status = answer.status().as_u16();
    let text = answer.bytes().await.unwrap();
    assert!(status < 500, "{what}: {status} {}", text.escape_ascii());
    status
}

async fn a_draft_of_any_depth_is_an_answer_wherever_it_is_read(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    let templates = [
        nested("{% if a %}", "{% endif %}", 3_000),
        nested("{% for a in b %}", "{% endfor %}", 3_000),
        nested("{% if a %}{% else %}", "{% endif %}", 3_000),
        format!("{{{{ {} }}}}", nested("(", ")", 100_000)),
        format!("{{{{ {} }}}}", nested("[", "]", 100_000)),
        format!("{{% if {}a %}}a{{% endif %}}", "not ".repeat(60_000)),
        format!("{{{{ a{} }}}}", " | upper".repeat(30_000)),
        "{{ a }}\n".repeat(30_000),
    ];
    for (at, template) in templates.iter().enumerate() {
        let shown: String = template.chars().take(24).collect();
        let id = format!("deep{at}");
        let prompt = prompt(&id, template, &["a"]);
        app.save(&id, template, &["a"]).await;
        let partial = app.request(Role::Owner, Method::PUT, &format!("{SET}/partials/part{at}"));
        answered(&shown, partial.json(&json!({ "source": template }))).await;
        let asked = json!({ "prompt": prompt, "values": { "a": "x" } });
        for path in ["/preview", "/check"] {
            let request = app.request(Role::Owner, Method::POST, &format!("{SET}{path}"));
            answered(&format!("{shown} at {path}"), request.json(&asked)).await;
        }
        for path in [format!("{SET}/prompts/{id}"), format!("/api/v1/search?q={id}")] {
            answered(&format!("{shown} at {path}"), app.request(Role::Viewer, Method::GET, &path)).await;
        }
    }
    // And all of them together.
    for path in ["", "/compare?old=1.0.0&new=draft", "/next-version"] {
        answered(path, app.request(Role::Owner, Method::GET, &format!("{SET}{path}"))).await;
    }
    let lock = app.request(Role::Owner, Method::POST, &format!("{SET}/lock"));
    assert_eq!(answered("lock", lock.json(&json!({ "version": "1.1.0" }))).await, 422);
    for format in exchange::Format::ALL {
        let path = format!("{SET}/export?format={}", format.as_str());
        assert_eq!(answered(&path, app.request(Role::Viewer, Method::GET, &path)).await, 200, "{path}");
    }
    app.get(SET).await;
}

async fn a_file_of_any_depth_or_length_is_an_answer_and_keeps_nobody_from_locking(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let tags = nested("{% if a %}", "{% endif %}", 10_000);
    let blocks = nested("{{#if a}}", "{{/if}}", 10_000);
    for (name, bytes) in [
        ("d.md", tags.clone()),
        ("d.liquid", tags.clone()),
        ("d.prompty", tags),
        ("d.prompt", blocks),
        ("w.prompt", "{{a}} ".repeat(100_000)),
        ("w.liquid", "{{a}} ".repeat(100_000)),
        ("w.json", format!(r#"{{"name":"w","type":"text","prompt":"{}}}}}"}}"#, "{{".repeat(100_000))),
    ] {
        let path = format!("{SET}/imports?name={name}");
        let upload = app.request(Role::Owner, Method::POST, &path).body(bytes);
        assert_eq!(answered(name, upload).await, 201, "{name}");
    }
    app.lock("1.0.0").await;
}

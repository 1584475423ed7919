//! Two people at once: everything that both changed is put together or told, and what nobody decided on is not locked.

use forge_api::auth::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, Browser, SET, json_of, on_both, prompt};

on_both!(
    nothing_of_theirs_goes_away_unseen,
    what_only_they_changed_is_taken_without_a_clash,
    marks_of_a_merge_are_told_and_not_locked,
);

const PAGE: &str = "/acme/support/chat/welcome.message";
const MARKED: &str = "a\n<<<<<<< yours\nb\n=======\nc\n>>>>>>> theirs\n";

/// The prompt as both found it, with what one of them made of it.
fn welcome(more: &[(&str, Value)]) -> Value {
    let mut body = prompt("welcome.message", "Hi {{ n }}", &["n"]);
    for (key, value) in more {
        body[*key] = value.clone();
    }
    body
}

/// Saves over revision 1 as a context engineer.
async fn theirs(app: &App, body: &Value) {
    let request = app.request(Role::ContextEngineer, Method::PUT, &format!("{SET}/prompts/welcome.message"));
    json_of(request.header("if-match", "\"1\"").json(body).send().await.unwrap(), 200).await;
}

/// Posts the editor's form with the text as both found it.
async fn post(app: &App, browser: &Browser, act: &str, revision: &str, fields: &[(&str, &str)]) -> Response {
    let mut form = vec![
        ("csrf", browser.csrf.as_str()),
        ("prompt", "welcome.message"),
        ("kind", "text"),
        ("engine", "tera"),
        ("revision", revision),
        ("role", "text"),
        ("metadata", ""),
        ("do", act),
    ];
    if !fields.iter().any(|(name, _)| *name == "text") {
        form.push(("text", "Hi {{ n }}"));
    }
    form.extend(fields);
    app.by(browser, Method::POST, PAGE).header("accept", "text/html").form(&form).send().await.unwrap()
}

/// Each parameter of the form on a page, by its name.
fn rows(html: &str) -> Vec<&str> {
    let fields = html.split("name=\"p-name\" form=\"edit\" value=\"").skip(1);
    fields.map(|field| field.split('"').next().unwrap()).collect()
}

async fn nothing_of_theirs_goes_away_unseen(app: App) {
    app.save("welcome.message", "Hi {{ n }}", &["n"]).await;
    let k = json!({ "name": "k", "type": "integer", "default": 3 });
    let n = json!({ "name": "n", "type": "string", "required": true });
    let saved = welcome(&[
        ("parameters", json!([n, k])),
        ("model", json!({ "temperature": 0.9 })),
        ("description", json!("theirs")),
    ]);
    theirs(&app, &saved).await;
    let browser = app.browser().await;
    let mine = [
        ("p-name", "n"),
        ("p-type", "string"),
        ("p-required", "yes"),
        ("p-name", "j"),
        ("p-type", "string"),
        ("p-required", "yes"),
        ("m-temperature", "0.5"),
        ("description", "mine"),
    ];
    let refused = post(&app, &browser, "save", "1", &mine).await;
    assert_eq!(refused.status(), 409);
    let html = refused.text().await.unwrap();
    for fact in [
        "parameter k is gone: optional integer, default 3",
        "new required parameter j: string",
        "model setting temperature: 0.9 → 0.5",
        "description: theirs → mine",
    ] {
        assert!(html.contains(fact), "{fact}: {html}");
    }
    assert!(html.contains("2 places that both changed") && !html.contains("no clash"), "{html}");
    let told = [
        "model setting temperature</span>: theirs <code>0.9</code>, yours <code>0.5</code>; yours is kept",
        "description</span>: theirs <code>theirs</code>, yours <code>mine</code>; yours is kept",
    ];
    assert!(told.iter().all(|told| html.contains(*told)), "{html}");

    // Taken, both parameters are there, and what both changed is told again. Nothing is saved yet.
    let both = post(&app, &browser, "take-both:1", "2", &mine).await;
    assert_eq!(both.status(), 200);
    let html = both.text().await.unwrap();
    assert_eq!(rows(&html), ["n", "j", "k"], "{html}");
    assert!(told.iter().all(|told| html.contains(*told)) && html.contains("data-conflict"), "{html}");
    let stored = async || app.get(&format!("{SET}/prompts/welcome.message")).await;
    let there = stored().await;
    assert_eq!((&there["revision"], &there["prompt"]["description"]), (&json!(2), &json!("theirs")));

    // Saved with theirs chosen for one of the two fields.
    let mut decided = mine.to_vec();
    decided[6] = ("m-temperature", "0.9");
    decided.extend([("p-name", "k"), ("p-type", "integer"), ("p-required", "no")]);
    decided.extend([("p-default", ""), ("p-default", ""), ("p-default", "3")]);
    assert_eq!(post(&app, &browser, "save", "2", &decided).await.status(), 303);
    let there = stored().await["prompt"].take();
    let names: Vec<&Value> = there["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["n", "j", "k"]);
    assert_eq!(there["parameters"][2]["default"], 3);
    assert_eq!((&there["model"], &there["description"]), (&json!({ "temperature": 0.9 }), &json!("mine")));
}

async fn what_only_they_changed_is_taken_without_a_clash(app: App) {
    app.save("welcome.message", "Hi {{ n }}", &["n"]).await;
    let long = format!("{} kindly", "who it is for ".repeat(8));
    let body = welcome(&[("description", json!(long)), ("tags", json!(["mail"]))]);
    theirs(&app, &body).await;
    let browser = app.browser().await;
    let mine = [("p-name", "n"), ("p-type", "string"), ("p-required", "yes"), ("tags", "new")];
    let refused = post(&app, &browser, "save", "1", &mine).await;
    assert_eq!(refused.status(), 409);
    let html = refused.text().await.unwrap();
    assert!(html.contains("no clash") && html.contains("tags: mail → new"), "{html}");
    assert!(html.contains("kindly"), "what is too long for a fact stands beside mine: {html}");
    let html = post(&app, &browser, "take-both:1", "2", &mine).await.text().await.unwrap();
    assert!(html.contains("value=\"new, mail\"") && html.contains(&long), "{html}");
    assert!(!html.contains("data-conflict"), "{html}");
    // Both saved the same: there is nothing to show, and that is said.
    let same = [
        ("p-name", "n"),
        ("p-type", "string"),
        ("p-required", "yes"),
        ("tags", "mail"),
        ("description", long.as_str()),
    ];
    let html = post(&app, &browser, "save", "1", &same).await.text().await.unwrap();
    assert!(html.contains("nothing differs") && !html.contains("Theirs and yours"), "{html}");
}

async fn marks_of_a_merge_are_told_and_not_locked(app: App) {
    app.save("welcome.message", "Hi {{ n }}", &["n"]).await;
    let partial = app.request(Role::Owner, Method::PUT, &format!("{SET}/partials/footer"));
    json_of(partial.json(&json!({ "source": MARKED })).send().await.unwrap(), 201).await;
    let browser = app.browser().await;
    let text = format!("{{{{ n }}}}\n{MARKED}");
    let fields = [("p-name", "n"), ("p-type", "string"), ("p-required", "yes"), ("text", text.as_str())];
    assert_eq!(post(&app, &browser, "save", "1", &fields).await.status(), 303, "saving stays possible");
    let page = async |path: &str| {
        let answer = app.by(&browser, Method::GET, path).header("accept", "text/html").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    let html = page(PAGE).await;
    assert!(html.contains("Line 3, column 1") && html.contains("data-line=\"3\""), "{html}");
    assert!(html.contains("marks a place that two changed at once"), "{html}");
    let html = page("/acme/support/chat/-/partials/footer").await;
    assert!(html.contains("Line 2, column 1"), "{html}");
    let check = json!({ "prompt": prompt("x", MARKED, &[]) });
    let found = app.post(&format!("{SET}/check"), 200, check).await;
    assert_eq!((&found["errors"][0]["code"], &found["errors"][0]["line"]), (&json!("unmerged"), &json!(2)));

    let body =
        app.refused(&format!("{SET}/lock"), json!({ "version": "1.0.0" }), 422, "template_invalid").await;
    assert_eq!(body["errors"].as_array().map(Vec::len), Some(2), "{body}");
    assert_eq!((&body["errors"][0]["line"], &body["errors"][1]["partial"]), (&json!(3), &json!("footer")));
    let form = [("csrf", browser.csrf.as_str()), ("version", "1.0.0")];
    let lock = app.by(&browser, Method::POST, "/acme/support/chat/-/lock").header("accept", "text/html");
    let refused = lock.form(&form).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let html = refused.text().await.unwrap();
    assert!(html.contains("Fix first") && html.contains(&format!("href=\"{PAGE}\"")), "{html}");
    assert!(html.contains("href=\"/acme/support/chat/-/partials/footer\""), "{html}");

    // Decided, it is locked.
    assert_eq!(post(&app, &browser, "save", "2", &fields[..3]).await.status(), 303);
    let partial = app.request(Role::Owner, Method::PUT, &format!("{SET}/partials/footer"));
    let put = partial.header("if-match", "\"1\"").json(&json!({ "source": "a\nb\n" }));
    json_of(put.send().await.unwrap(), 200).await;
    app.lock("1.0.0").await;
}

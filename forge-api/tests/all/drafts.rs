//! How large a draft may get, and how it is found.

use forge_api::auth::{Actor, Role};
use forge_api::author;
use reqwest::Method;
use schemas::PromptId;
use schemas::bundle::{BODY_MAX, PROMPTS_MAX};
use schemas::prompt::{Partial, Prompt};
use schemas::template::SOURCE_MAX;
use serde_json::json;

use crate::app::{App, SET, on_both, problem, prompt};

on_both!(
    a_draft_is_no_larger_than_a_bundle,
    an_import_is_held_to_the_same_bounds_as_the_editor,
    the_palette_finds_prompts_by_their_names,
    the_palette_shows_some_of_each_kind_and_nothing_archived,
);

fn id(text: &str) -> PromptId {
    PromptId::new(text).unwrap()
}

async fn a_draft_is_no_larger_than_a_bundle(app: App) {
    let console = Actor::console();
    let set = author::find_set(&app.state, &console, &app.at, "chat").await.unwrap();
    let text = "x".repeat(SOURCE_MAX);
    let fit = BODY_MAX / SOURCE_MAX - 1;
    let prompts: Vec<_> = (0..=fit).map(|n| Prompt::text(id(&format!("p-{n}")), text.clone())).collect();
    let import = |prompts| author::import::import(&app.state, &console, &set, prompts);
    assert_eq!(import(&prompts).await.unwrap_err().code(), "too_large");
    assert_eq!(app.get(SET).await["prompts"], json!([]), "all or none");
    import(&prompts[..fit]).await.unwrap();
    let whole = Partial { name: id("whole"), source: text.clone() };
    let partial = async || author::save_partial(&app.state, &console, &set, &whole, 0).await;
    let one = async || author::save_prompt(&app.state, &console, &set, &prompts[fit], 0).await;
    assert_eq!(partial().await.unwrap_err().code(), "too_large");
    assert_eq!(one().await.unwrap_err().code(), "too_large");
    author::delete_prompt(&app.state, &console, &set, "p-0", 1).await.unwrap();
    partial().await.unwrap();
    assert_eq!(one().await.unwrap_err().code(), "too_large");
}

async fn an_import_is_held_to_the_same_bounds_as_the_editor(app: App) {
    let path = format!("{SET}/import");
    let import = async |prompts: Vec<serde_json::Value>| {
        let body = json!({ "prompts": prompts });
        app.request(Role::Owner, Method::POST, &path).json(&body).send().await.unwrap()
    };
    let long = import(vec![prompt("long", &"x".repeat(SOURCE_MAX + 1), &[])]).await;
    problem(long, 413, "too_large").await;
    let many = (0..=PROMPTS_MAX).map(|n| prompt(&format!("p-{n}"), "x", &[])).collect();
    problem(import(many).await, 413, "too_large").await;
    let twice = import(vec![prompt("a", "x", &[]), prompt("a", "y", &[])]).await;
    problem(twice, 422, "duplicate").await;
    assert_eq!(app.get(SET).await["prompts"], json!([]));
}

async fn the_palette_finds_prompts_by_their_names(app: App) {
    for id in ["welcome.message", "Welcome_back", "farewell"] {
        app.save(id, "Hello", &[]).await;
    }
    let find = async |q: &str| {
        let path = format!("/-/palette?q={}", q.replace('%', "%25").replace(' ', "%20"));
        let request = app.request(Role::Viewer, Method::GET, &path);
        let answer = request.header("accept", "text/html").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let html = answer.text().await.unwrap();
        ["welcome.message", "Welcome_back", "farewell"].map(|id| html.contains(&format!("chat/{id}\"")))
    };
    assert_eq!(find("wel").await, [true, true, false]);
    assert_eq!(find("WELCOME").await, [true, true, false]);
    assert_eq!(find("mes wel").await, [true, false, false]);
    // What is a sign to the database only divides words here.
    assert_eq!(find("_").await, [false, false, false]);
    assert_eq!(find("wel%").await, [true, true, false]);
    assert_eq!(find("").await, [false, false, false]);
}

async fn the_palette_shows_some_of_each_kind_and_nothing_archived(app: App) {
    // More sets than are shown, all newer than the project and the partials of that name.
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "tone", "name": "Tone" })).await;
    for n in 0..12 {
        let put = app.request(Role::Admin, Method::PUT, &format!("{SET}/partials/tone-{n}"));
        assert_eq!(put.json(&json!({ "source": "x" })).send().await.unwrap().status(), 201);
    }
    for n in 0..20 {
        let slug = format!("tone-{n}");
        app.post("/api/v1/projects/acme:tone/sets", 201, json!({ "slug": slug })).await;
    }
    let newest = app.request(Role::Owner, Method::PATCH, "/api/v1/projects/acme:tone/sets/tone-19");
    assert_eq!(newest.json(&json!({ "archived": true })).send().await.unwrap().status(), 200);
    let find = async |q: &str| {
        let request = app.request(Role::Viewer, Method::GET, &format!("/-/palette?q={q}"));
        request.header("accept", "text/html").send().await.unwrap().text().await.unwrap()
    };
    let html = find("tone").await;
    assert!(html.contains("href=\"/acme/tone\""), "{html}");
    assert_eq!(html.matches("/-/partials/tone-").count(), 8, "{html}");
    for (n, shown) in [(19, false), (18, true), (11, true), (10, false)] {
        assert_eq!(html.contains(&format!("href=\"/acme/tone/tone-{n}\"")), shown, "{n}: {html}");
    }
    // A text is found by its words where no name has them.
    app.save("farewell", "Until the marmalade is gone", &[]).await;
    assert!(find("marmal").await.contains("chat/farewell\""));
    assert!(!find("marmot").await.contains("chat/farewell\""));
}

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

//! Who may make organisations, and how many of what there may be.

use forge_api::auth::{Actor, Role};
use forge_api::author;
use forge_api::author::project::PROJECTS_MAX;
use forge_api::clock;
use forge_api::database::project::{self, Project};
use reqwest::Method;
use serde_json::json;

use crate::app::{App, Browser, Kind, json_of, on_both, problem};

on_both!(nobody_makes_organisations_without_end, nobody_makes_projects_without_end,);

const ORGANISATIONS: &str = "/api/v1/organisations";

async fn make(app: &App, browser: &Browser, slug: &str) -> reqwest::Response {
    let body = json!({ "slug": slug });
    app.by(browser, Method::POST, ORGANISATIONS).json(&body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_makes_organisations_is_an_option() {
    for (option, admin, owner) in [("owners", 403, 201), ("anyone", 201, 201), ("console", 403, 403)] {
        let app = App::start_with(Kind::Sqlite, &[("organisations", option)]).await;
        let by_admin = make(&app, &app.browser_of(Role::Admin).await, "one").await;
        assert_eq!(by_admin.status(), admin, "{option}");
        let by_owner = make(&app, &app.browser_of(Role::Owner).await, "two").await;
        assert_eq!(by_owner.status(), owner, "{option}");
        author::create_organisation(&app.state, &Actor::console(), "three", "").await.unwrap();
        if admin == 403 {
            problem(by_admin, 403, "forbidden").await;
            app.audited("installation", |e| e.action == "request.refused" && e.actor_name == "admin").await;
        }
    }
}

async fn nobody_makes_organisations_without_end(app: App) {
    let owner = app.browser_of(Role::Owner).await;
    // The twentieth and the one too many at once: acme is one already.
    for n in 0..18 {
        json_of(make(&app, &owner, &format!("mine-{n}")).await, 201).await;
    }
    let (a, b) = tokio::join!(make(&app, &owner, "last-a"), make(&app, &owner, "last-b"));
    let mut statuses = [a.status().as_u16(), b.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    problem(make(&app, &owner, "beyond").await, 409, "too_many").await;
    author::create_organisation(&app.state, &Actor::console(), "beyond", "").await.unwrap();
}

async fn nobody_makes_projects_without_end(app: App) {
    let mut tx = app.state.database.write().await.unwrap();
    // One is there, and one more may come.
    for n in 0..PROJECTS_MAX - 2 {
        let row = Project { id: clock::new_id(), slug: format!("p-{n}"), ..app.at.project.clone() };
        project::insert(&mut tx, &row).await.unwrap();
    }
    tx.commit().await.unwrap();
    let make = |slug: &str| {
        let path = format!("{ORGANISATIONS}/acme/projects");
        app.request(Role::Owner, Method::POST, &path).json(&json!({ "slug": slug })).send()
    };
    let (a, b) = tokio::join!(make("last-a"), make("last-b"));
    let mut statuses = [a.unwrap().status().as_u16(), b.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    problem(make("beyond").await.unwrap(), 409, "too_many").await;
}

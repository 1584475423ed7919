//! What waits for whom, what failed, trying again, and the first steps: while the broker is away.

use forge_api::auth::{Actor, Role};
use forge_api::author;
use forge_api::clock;
use forge_api::database::agent::{self, Acknowledgement, Agent};
use forge_api::database::publication;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, PUBLICATIONS, SET, json_of, on_both, problem};

on_both!(
    what_is_locked_waits_to_be_published_until_it_is_live_or_was_rolled_back,
    a_review_waits_for_whoever_has_to_do_something,
    what_failed_stands_on_the_dashboard_with_its_reason,
    a_publication_is_tried_again_for_who_refused_it_and_only_then,
    a_project_from_an_example_can_be_tried_and_published_at_once,
    the_first_steps_tick_themselves_off_and_can_be_hidden,
    projects_that_need_somebody_come_first_and_the_others_page_by_page,
    the_seed_is_the_same_each_time_and_has_something_for_everybody,
);

const OVERVIEW: &str = "/api/v1/organisations/acme/overview";

async fn overview(app: &App, role: Role) -> Value {
    json_of(app.request(role, Method::GET, OVERVIEW).send().await.unwrap(), 200).await
}

/// What waits for somebody of this role, each as `waits_for version environment`.
async fn waits(app: &App, role: Role) -> Vec<String> {
    let found = overview(app, role).await;
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let all = found["waiting"].as_array().unwrap();
    assert_eq!(found["waiting_count"], all.len());
    let words = |one| [text(one, "waits_for"), text(one, "version"), text(one, "environment")];
    all.iter().map(|one| words(one).join(" ").trim().to_owned()).collect()
}

async fn page(app: &App, role: Role, path: &str) -> String {
    let answer = app.request(role, Method::GET, path).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

async fn sent(app: &App, id: &str) {
    let mut tx = app.state.database.write().await.unwrap();
    publication::mark_sent(&mut tx, id, 1, clock::now()).await.unwrap();
    tx.commit().await.unwrap();
}

/// An agent of prod that was heard just now.
async fn hear(app: &App, name: &str) {
    let prod = author::find_environment(&app.state, &Actor::console(), &app.at, "prod").await.unwrap();
    let now = clock::now();
    let row = Agent {
        environment_id: prod.id,
        name: name.into(),
        identity: "U".into(),
        host: "h".into(),
        service: "till".into(),
        agent_version: "1".into(),
        mode: "ACCEPTING".into(),
        stale: false,
        stream_floor: 1,
        cache: "disk".into(),
        status: "null".into(),
        consumer: None,
        started_at: now,
        first_seen_at: now,
        last_seen_at: now,
        disconnected_at: None,
        mode_by: "configuration".into(),
        order_number: None,
        order_result: None,
    };
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_all(&mut tx, &[row]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn answer(app: &App, publication: &str, agent_name: &str, state: &str) {
    let row = Acknowledgement {
        publication_id: publication.into(),
        agent: agent_name.into(),
        state: state.into(),
        reason_code: (state == "refused").then(|| "contract".into()),
        reason: (state == "refused").then(|| "built for <1.0.0>".into()),
        activated_at: None,
        answered_at: clock::now(),
    };
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_acknowledgements(&mut tx, &[row]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn what_is_locked_waits_to_be_published_until_it_is_live_or_was_rolled_back(app: App) {
    assert!(waits(&app, Role::Owner).await.is_empty());
    app.save("welcome.message", "Hello", &[]).await;
    assert!(waits(&app, Role::Owner).await.is_empty(), "a draft waits for nobody");
    app.lock("1.0.0").await;
    assert_eq!(waits(&app, Role::Owner).await, ["publish 1.0.0 dev"]);
    assert_eq!(waits(&app, Role::ContextEngineer).await, ["publish 1.0.0 dev"]);
    assert!(waits(&app, Role::Viewer).await.is_empty(), "who may not publish is not asked to");
    app.publish("1.0.0", "prod").await;
    assert!(waits(&app, Role::Owner).await.is_empty(), "it is live");
    app.reopen().await;
    app.save_from("welcome.message", "Hello!", &[], Some(1), 200).await;
    app.lock("1.1.0").await;
    assert_eq!(waits(&app, Role::Owner).await, ["publish 1.1.0 prod"], "where an older one is live");
    let html = page(&app, Role::Owner, "/acme").await;
    assert!(html.contains("prod still has 1.0.0"), "{html}");
    assert!(html.contains("/acme/support/chat/-/publish?version=1.1.0&amp;environment=prod"), "{html}");
    app.publish("1.1.0", "prod").await;
    app.publish("1.0.0", "prod").await;
    assert!(waits(&app, Role::Owner).await.is_empty(), "it was rolled back on purpose");
    let html = page(&app, Role::Owner, "/acme").await;
    assert!(html.contains("Nothing waits for you") && html.contains("rolled back"), "{html}");
}

async fn a_review_waits_for_whoever_has_to_do_something(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let asked = app.request(Role::ContextEngineer, Method::POST, &format!("{SET}/reviews"));
    let review = json_of(asked.json(&json!({ "title": "Shorter" })).send().await.unwrap(), 201).await;
    assert_eq!(waits(&app, Role::Reviewer).await, ["review"]);
    assert_eq!(waits(&app, Role::ContextEngineer).await, ["asked"]);
    assert!(waits(&app, Role::Viewer).await.is_empty());
    assert!(page(&app, Role::Reviewer, "/acme").await.contains("asks for your approval"));

    let give_back = app.request(Role::Reviewer, Method::POST, &format!("{SET}/reviews/current/return"));
    assert_eq!(give_back.send().await.unwrap().status(), 204);
    assert_eq!(waits(&app, Role::ContextEngineer).await, ["returned"]);
    assert!(waits(&app, Role::Reviewer).await.is_empty());

    let asked = app.request(Role::ContextEngineer, Method::POST, &format!("{SET}/reviews"));
    assert_eq!(asked.json(&json!({})).send().await.unwrap().status(), 201);
    assert_eq!(waits(&app, Role::ContextEngineer).await, ["asked"], "what was given back is past");
    let approve = app.request(Role::Reviewer, Method::POST, &format!("{SET}/reviews/current/approve"));
    let done = approve.json(&json!({ "digest": review["digest"] })).send().await.unwrap();
    assert!(done.status().is_success(), "{}", done.status());
    assert_eq!(waits(&app, Role::ContextEngineer).await, ["approved"]);
    app.lock("1.0.0").await;
    assert_eq!(waits(&app, Role::ContextEngineer).await, ["publish 1.0.0 dev"]);
}

async fn what_failed_stands_on_the_dashboard_with_its_reason(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let made = app.publish("1.0.0", "prod").await;
    let id = made["id"].as_str().unwrap();
    let faults = async || {
        let found = overview(&app, Role::Viewer).await;
        let all = found["failing"].as_array().unwrap().clone();
        all.iter().map(|f| f["fault"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut tx = app.state.database.write().await.unwrap();
    publication::mark(&mut tx, id, "failed", Some("the stream is <full>")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(faults().await, ["not_sent"]);
    let html = page(&app, Role::Viewer, "/acme").await;
    assert!(html.contains("chat 1.0.0 was not sent to prod") && html.contains("&lt;full&gt;"), "{html}");

    sent(&app, id).await;
    assert!(faults().await.is_empty());
    hear(&app, "till-1").await;
    answer(&app, id, "till-1", "refused").await;
    // It is not listed: it gave its place to another one.
    answer(&app, id, "gone-1", "refused").await;
    let found = overview(&app, Role::Viewer).await;
    let one = &found["failing"][0];
    assert_eq!(
        (&one["fault"], &one["agents"], &one["publication"]),
        (&json!("refused"), &json!(1), &json!(1))
    );
    assert!(page(&app, Role::Viewer, "/acme").await.contains("1 agent refused chat 1.0.0 in prod"));
}

async fn a_publication_is_tried_again_for_who_refused_it_and_only_then(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let made = app.publish("1.0.0", "prod").await;
    let id = made["id"].as_str().unwrap();
    let retry = |n: i64| format!("{PUBLICATIONS}/{n}/retry");
    app.refused(&retry(1), json!({}), 409, "still_waiting").await;
    sent(&app, id).await;
    app.refused(&retry(1), json!({}), 409, "nothing_to_retry").await;
    hear(&app, "till-1").await;
    hear(&app, "till-2").await;
    answer(&app, id, "till-1", "refused").await;
    answer(&app, id, "till-2", "active").await;

    let html = page(&app, Role::Owner, "/acme/support/-/publications/1").await;
    assert!(
        html.contains("Retry 1") && html.contains("href=\"/acme/support/-/publications/1/retry\""),
        "{html}"
    );
    let html = page(&app, Role::Viewer, "/acme/support/-/publications/1").await;
    assert!(!html.contains("Retry 1"), "who may not publish is not offered it");
    let html = page(&app, Role::Owner, "/acme/support/-/publications/1/retry").await;
    assert!(
        html.contains("till-1") && html.contains("built for &lt;1.0.0&gt;") && !html.contains("till-2"),
        "{html}"
    );
    let viewer = app.request(Role::Viewer, Method::POST, &retry(1)).send().await.unwrap();
    problem(viewer, 403, "forbidden").await;

    let again = app.post(&retry(1), 201, json!({})).await;
    assert_eq!(
        (&again["serial"], &again["number"], &again["version"]),
        (&json!(2), &json!(2), &json!("1.0.0"))
    );
    assert_eq!(again["digest"], made["digest"], "the same bytes");
    assert_eq!(again["comment"], "retry of publication 1 for 1 agent");
    assert_eq!(again["rollback"], false);
    app.refused(&retry(1), json!({}), 409, "superseded").await;
    app.refused(&retry(2), json!({}), 409, "still_waiting").await;
    let missing = app.request(Role::Owner, Method::POST, &retry(9)).send().await.unwrap();
    problem(missing, 404, "not_found").await;
    let missing =
        app.request(Role::Owner, Method::POST, &format!("{PUBLICATIONS}/x/retry")).send().await.unwrap();
    problem(missing, 404, "not_found").await;
}

async fn a_project_from_an_example_can_be_tried_and_published_at_once(app: App) {
    let projects = "/api/v1/organisations/acme/projects";
    let unknown =
        app.refused(projects, json!({ "slug": "x", "example": "nothing" }), 422, "unknown_example").await;
    assert!(unknown["detail"].as_str().unwrap().contains("support, writing"), "{unknown}");
    app.refused(projects, json!({ "example": "support" }), 409, "name_taken").await;
    app.refused(projects, json!({}), 422, "bad_name").await;
    let before = app.get(projects).await["items"].as_array().unwrap().len();
    assert_eq!(before, 1, "nothing was made");

    for (slug, example) in [("help-desk", "support"), ("texts", "writing")] {
        let made = app.post(projects, 201, json!({ "slug": slug, "example": example })).await;
        assert_eq!(made["slug"], slug);
        let project = format!("/api/v1/projects/acme:{slug}");
        let glance = app.get(&project).await;
        for set in glance["sets"].as_array().unwrap() {
            assert_eq!((&set["state"], &set["latest"]), (&json!("locked"), &json!("1.0.0")), "{set}");
            let path = format!("{project}/sets/{}", set["slug"].as_str().unwrap());
            let draft = app.get(&path).await;
            for prompt in draft["prompts"].as_array().unwrap() {
                let prompt = &prompt["prompt"];
                let examples = prompt["parameters"].as_array().unwrap().iter();
                let all: serde_json::Map<String, Value> = examples
                    .clone()
                    .map(|p| (p["name"].as_str().unwrap().to_owned(), p["example"].clone()))
                    .collect();
                // And with no more than what has to be given.
                let some: serde_json::Map<String, Value> = examples
                    .filter(|p| p["required"] == true)
                    .map(|p| (p["name"].as_str().unwrap().to_owned(), p["example"].clone()))
                    .collect();
                let id = prompt["id"].as_str().unwrap();
                let saved = app.get(&format!("{path}/variable-sets?prompt={id}")).await;
                let saved = saved["items"].as_array().unwrap().iter();
                let saved = saved.map(|one| one["values"].as_object().unwrap().clone());
                for values in [all, some].into_iter().chain(saved) {
                    let body = json!({ "prompt": prompt, "values": values });
                    app.post(&format!("{path}/preview"), 200, body).await;
                }
            }
        }
        let body = json!({ "set": "chat", "environment": "dev", "version": "1.0.0" });
        app.post(&format!("{project}/publications"), 201, body).await;
    }
    let viewer =
        app.request(Role::Viewer, Method::POST, projects).json(&json!({ "slug": "y", "example": "support" }));
    problem(viewer.send().await.unwrap(), 403, "forbidden").await;
}

async fn the_first_steps_tick_themselves_off_and_can_be_hidden(app: App) {
    let owner = app.browser().await;
    let get = async |path: &str| {
        let answer = app.by(&owner, Method::GET, path).header("accept", "text/html").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("csrf", owner.csrf.as_str())];
        all.extend_from_slice(fields);
        app.by(&owner, Method::POST, path).header("accept", "text/html").form(&all).send().await.unwrap()
    };
    let made = app.by(&owner, Method::POST, "/api/v1/organisations").json(&json!({ "slug": "fresh" }));
    assert_eq!(made.send().await.unwrap().status(), 201);

    let html = get("/fresh").await;
    assert!(html.contains("0 of 4") && html.contains("Create from the example"), "{html}");
    // A credential before there is a project says what is missing.
    let early = post("/fresh/-/start/agent", &[]).await;
    assert_eq!(early.status(), 409);
    assert!(early.text().await.unwrap().contains("create one first"));
    let wrong = post("/fresh/-/start", &[("example", "<b>")]).await;
    assert_eq!(wrong.status(), 422);
    let html = wrong.text().await.unwrap();
    assert!(html.contains("No project was created") && !html.contains("<b>\""), "{html}");

    assert_eq!(
        post("/fresh/-/start", &[("example", "support")]).await.headers()["location"],
        "/fresh/-/start"
    );
    let html = get("/fresh/-/start").await;
    assert!(html.contains("1 of 4") && html.contains("Publish chat 1.0.0 to dev"), "{html}");
    assert!(!html.contains("Create a credential for"), "an agent would have nothing to serve yet");
    let body = json!({ "set": "chat", "environment": "dev", "version": "1.0.0" });
    let path = "/api/v1/projects/fresh:support/publications";
    assert_eq!(app.by(&owner, Method::POST, path).json(&body).send().await.unwrap().status(), 201);
    let html = get("/fresh").await;
    assert!(html.contains("2 of 4") && html.contains("Create a credential for dev"), "{html}");

    let shown = post("/fresh/-/start/agent", &[]).await;
    assert_eq!(shown.status(), 200);
    assert_eq!(shown.headers()["cache-control"], "no-store");
    let html = shown.text().await.unwrap();
    assert!(
        html.contains("id=\"connect-line\"") && html.contains("live run --print welcome.message"),
        "{html}"
    );
    let html = get("/fresh/-/start/agent").await;
    assert!(!html.contains("connect-line"), "it is shown only once");
    assert!(html.contains("if it is lost, make another"), "{html}");

    assert_eq!(post("/fresh/-/start/dismiss", &[]).await.headers()["location"], "/fresh");
    let html = get("/fresh").await;
    assert!(!html.contains("First steps"), "{html}");
    assert!(get("/fresh/-/start").await.contains("2 of 4"), "the page itself stays");
    // Whoever may not take them is not shown them.
    assert!(!page(&app, Role::Viewer, "/acme").await.contains("First steps"));
    assert!(page(&app, Role::Admin, "/acme").await.contains("First steps"));
}

async fn projects_that_need_somebody_come_first_and_the_others_page_by_page(app: App) {
    for n in 0..11 {
        let new = json!({ "slug": format!("a-{n:02}"), "name": format!("Project {n}") });
        app.post("/api/v1/organisations/acme/projects", 201, new).await;
    }
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let made = app.publish("1.0.0", "prod").await;
    let first = page(&app, Role::Viewer, "/acme").await;
    assert!(first.contains("Page 1 of 2 · 12 projects") && first.contains("/acme?page=2"), "{first}");
    assert!(!first.contains("id=\"project-support\""), "by name it comes last");
    let second = page(&app, Role::Viewer, "/acme?page=2").await;
    assert!(second.contains("id=\"project-support\"") && second.contains("/acme?page=1"), "{second}");
    let mut tx = app.state.database.write().await.unwrap();
    publication::mark(&mut tx, made["id"].as_str().unwrap(), "failed", None).await.unwrap();
    tx.commit().await.unwrap();
    let first = page(&app, Role::Viewer, "/acme").await;
    let at = |part: &str| first.find(part).unwrap_or_else(|| panic!("{part} in {first}"));
    assert!(at("id=\"project-support\"") < at("id=\"project-a-00\""), "it needs somebody");
    for odd in ["/acme?page=99", "/acme?page=-1", "/acme?page=x", "/acme?page=18446744073709551615"] {
        page(&app, Role::Viewer, odd).await;
    }
}

async fn the_seed_is_the_same_each_time_and_has_something_for_everybody(app: App) {
    assert!(forge_api::seed::seed(&app.state).await.unwrap());
    assert!(!forge_api::seed::seed(&app.state).await.unwrap(), "it is there already");
    let console = Actor::console();
    let fernway =
        author::find_organisation(&app.state, &console, forge_api::seed::ORGANISATION).await.unwrap();
    let board = forge_api::overview::board(&app.state, &console, &fernway, 0).await.unwrap();
    assert_eq!((board.needs.projects, board.needs.failing_count), (3, 0));
    let waits: Vec<_> = board.needs.waiting.iter().map(|w| (w.set.slug.as_str(), w.wait.as_str())).collect();
    // The drafts that were given back wait for their author only.
    assert_eq!(waits, [("triage", "review"), ("refund-decisions", "approved"), ("chat", "publish")]);
    let support = board.projects.iter().find(|p| p.at.project.slug == "customer-support").unwrap();
    let states: Vec<_> = support.sets.iter().map(|s| (s.set.slug.as_str(), s.set.state.as_str())).collect();
    assert_eq!(
        states,
        [
            ("chat", "editing"),
            ("email-replies", "locked"),
            ("ideas", "editing"),
            ("refund-decisions", "review"),
            ("tone-and-safety", "editing"),
            ("triage", "review"),
        ]
    );
    let mail = support.sets.iter().find(|s| s.set.slug == "email-replies").unwrap();
    assert!(mail.live[0].full.publication.rollback && mail.live[0].full.version.version == "1.0.0");
    // Everybody can sign in.
    for (_, email, _) in forge_api::seed::PEOPLE {
        let body = json!({ "email": email, "password": forge_api::seed::PASSWORD });
        let answer = app.anonymous(Method::POST, "/api/v1/sessions").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{email}");
    }
}

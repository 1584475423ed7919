//! What is found, by whom, and what one starred or opened last.

use forge_api::auth::{Actor, Role};
use forge_api::author::{self, NewProject, NewSet};
use reqwest::Method;
use serde_json::{Value, json};
use tests::until::{secs, until};

use crate::app::{App, SET, json_of, on_both, problem, prompt};
use crate::database::sql;

on_both!(
    what_is_asked_for_is_found_best_first,
    words_are_found_in_every_script_and_as_people_write_them,
    nothing_is_found_that_one_may_not_see,
    the_index_follows_every_change_and_what_is_undone_was_never_there,
    filters_narrow_and_a_list_goes_on_where_it_ended,
    a_list_goes_on_from_block_to_block_of_the_index,
    what_is_archived_is_found_only_where_one_asks_for_it,
    what_cannot_be_looked_for_is_said,
    the_page_marks_what_was_found_and_escapes_all_of_it,
    a_star_is_ones_own_and_stands_in_the_navigation,
    what_one_opened_is_remembered_newest_first,
);

/// The ids that a search finds, best first.
async fn found(app: &App, query: &str) -> Vec<String> {
    ids(&app.get(&format!("/api/v1/search?{query}")).await)
}

fn ids(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap();
    items.iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
}

/// A value in a query string.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A prompt of everything: a description, tags, a chat.
fn rich(id: &str, description: &str, tags: &[&str], template: &str) -> Value {
    let mut prompt = prompt(id, template, &[]);
    prompt["description"] = json!(description);
    prompt["tags"] = json!(tags);
    prompt
}

async fn put(app: &App, body: &Value) {
    let path = format!("{SET}/prompts/{}", body["id"].as_str().unwrap());
    let answer = app.request(Role::Owner, Method::PUT, &path).json(body).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
}

async fn what_is_asked_for_is_found_best_first(app: App) {
    app.save("refund", "Say no.", &[]).await;
    app.save("refund.partial", "Say maybe.", &[]).await;
    put(&app, &rich("tagged", "", &["refund"], "x")).await;
    put(&app, &rich("described", "About a refund", &[], "x")).await;
    app.save("written", "Give the refund to {{ customer }}.", &["customer"]).await;
    app.save("other", "Nothing of it", &[]).await;
    // The whole name first; then names and tags, what changed last before the others; then texts.
    let all = found(&app, "q=refund").await;
    assert_eq!(all, ["refund", "tagged", "refund.partial", "written", "described"]);
    assert_eq!(found(&app, "q=REFUND.PART").await, ["refund.partial"]);
    assert_eq!(found(&app, "q=refund%20customer").await, ["written"]);
    assert_eq!(found(&app, "q=ref%20may").await, ["refund.partial"], "the beginnings of words are enough");
    assert_eq!(found(&app, "q=efund").await, Vec::<String>::new());
    // Sets and projects are found too, and so are partials.
    let partial = app.request(Role::Owner, Method::PUT, &format!("{SET}/partials/greeting"));
    partial.json(&json!({ "source": "Good morning" })).send().await.unwrap();
    assert_eq!(found(&app, "q=morning").await, ["greeting"]);
    assert_eq!(found(&app, "q=chat").await, ["chat"]);
    assert_eq!(found(&app, "q=support").await, ["support"]);
    let hit = &app.get("/api/v1/search?q=customer").await["items"][0];
    assert_eq!(hit["page"], "/acme/support/chat/written");
    assert_eq!(
        (&hit["kind"], &hit["set"], &hit["state"]),
        (&json!("prompt"), &json!("chat"), &json!("editing"))
    );
    assert!(
        hit["excerpt"].as_array().unwrap().contains(&json!({ "text": "customer", "hit": true })),
        "{hit}"
    );
}

async fn words_are_found_in_every_script_and_as_people_write_them(app: App) {
    app.save("a", "Die École liegt in der Hauptstraße.", &[]).await;
    app.save("b", "ПРИВЕТ, мир", &[]).await;
    app.save("c", "你好世界", &[]).await;
    app.save("d", "こんにちは世界", &[]).await;
    app.save("snake_case.and-more", "x", &[]).await;
    for (q, expected) in [
        ("ecole", vec!["a"]),
        ("ÉCOLE", vec!["a"]),
        ("HAUPTSTRASSE", vec!["a"]),
        ("привет", vec!["b"]),
        ("世界", vec!["d", "c"]),
        ("好世", vec!["c"]),
        ("case more", vec!["snake_case.and-more"]),
        ("more_snake", vec!["snake_case.and-more"]),
        ("\"ecole\" OR x*", vec![]),
        ("ecole' & 'x", vec![]),
        ("ecole:*", vec!["a"]),
        ("NOT ecole", vec![]),
        ("{names}: ecole", vec![]),
        ("ecole\\", vec!["a"]),
        ("ecole\u{e000}", vec!["a"]),
    ] {
        let answer =
            app.request(Role::Viewer, Method::GET, &format!("/api/v1/search?q={}", encoded(q))).send().await;
        assert_eq!(ids(&json_of(answer.unwrap(), 200).await), expected, "{q}");
    }
}

async fn nothing_is_found_that_one_may_not_see(app: App) {
    app.save("secret.sauce", "the needle", &[]).await;
    let strange =
        json_of(app.strange(Method::GET, "/api/v1/search?q=needle").send().await.unwrap(), 200).await;
    assert_eq!(strange["items"], json!([]));
    let theirs = app.strange(Method::GET, "/api/v1/search?q=needle&organisation=acme").send().await.unwrap();
    assert_eq!(theirs.status(), 404);
    let theirs =
        app.strange(Method::GET, "/api/v1/search?q=needle&project=acme:support").send().await.unwrap();
    assert_eq!(theirs.status(), 404);
    let page = app.strange(Method::GET, "/acme/-/search?q=needle").header("accept", "text/html");
    assert_eq!(page.send().await.unwrap().status(), 404);
    for role in Role::ALL {
        let answer = app.request(role, Method::GET, "/api/v1/search?q=needle&organisation=acme");
        assert_eq!(
            ids(&json_of(answer.send().await.unwrap(), 200).await),
            ["secret.sauce"],
            "{}",
            role.as_str()
        );
    }
    assert_eq!(app.anonymous(Method::GET, "/api/v1/search?q=needle").send().await.unwrap().status(), 401);

    // A guest finds what is in the granted project, and nothing beside it.
    let console = Actor::console();
    let new = NewProject { slug: "open", name: "Open", description: "for the guest" };
    let open = author::create_project(&app.state, &console, &app.organisation, new).await.unwrap();
    let new = NewSet { slug: "shown", name: "", description: "another needle" };
    author::create_set(&app.state, &console, &open, new).await.unwrap();
    let user = forge_api::session::user_by_email(&app.state, "stranger@example.org").await.unwrap();
    let mut tx = app.state.database.write().await.unwrap();
    let row = forge_api::database::grant::ProjectGrant {
        project_id: open.project.id.clone(),
        user_id: user.id.clone(),
        role: Role::Viewer.as_str().into(),
        created_at: 1,
    };
    forge_api::database::grant::put(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    let link = forge_api::session::sign_in_link(&app.state, "stranger@example.org").await.unwrap();
    let body = json!({ "link": link.rsplit('/').next().unwrap() });
    let answer = app.anonymous(Method::POST, "/api/v1/sessions").json(&body).send().await.unwrap();
    let guest = crate::app::Browser { cookies: crate::app::cookies(&answer), csrf: String::new() };
    for path in ["/api/v1/search?q=needle", "/api/v1/search?q=needle&organisation=acme"] {
        let answer = json_of(app.by(&guest, Method::GET, path).send().await.unwrap(), 200).await;
        assert_eq!(ids(&answer), ["shown"], "{path}");
    }
    let all =
        json_of(app.by(&guest, Method::GET, "/api/v1/search?organisation=acme").send().await.unwrap(), 200);
    assert_eq!(ids(&all.await), ["shown", "open"]);
    let hidden =
        app.by(&guest, Method::GET, "/api/v1/search?q=needle&project=acme:support").send().await.unwrap();
    assert_eq!(hidden.status(), 404);
    let html =
        app.by(&guest, Method::GET, "/acme/-/search?q=needle").send().await.unwrap().text().await.unwrap();
    assert!(html.contains("/acme/open/shown") && !html.contains("secret"), "{html}");
}

async fn the_index_follows_every_change_and_what_is_undone_was_never_there(app: App) {
    app.save("one", "apple", &[]).await;
    app.save_from("one", "pear", &[], Some(1), 200).await;
    assert_eq!((found(&app, "q=apple").await.len(), found(&app, "q=pear").await.len()), (0, 1));
    app.post(&format!("{SET}/import"), 200, json!({ "prompts": [prompt("two", "pear", &[])] })).await;
    assert_eq!(found(&app, "q=pear").await, ["two", "one"]);
    let gone =
        app.request(Role::Owner, Method::DELETE, &format!("{SET}/prompts/one")).header("if-match", "\"2\"");
    assert!(gone.send().await.unwrap().status().is_success());
    assert_eq!(found(&app, "q=pear").await, ["two"]);

    // Rolled back: neither the row nor its words are there.
    let set = author::find_set(&app.state, &Actor::console(), &app.at, "chat").await.unwrap();
    let mut tx = app.state.database.write().await.unwrap();
    let row = forge_api::database::prompt_set::PromptSet {
        id: forge_api::clock::new_id(),
        slug: "undone".into(),
        ..set.set.clone()
    };
    forge_api::database::prompt_set::insert(&mut tx, &row).await.unwrap();
    drop(tx);
    assert_eq!(found(&app, "q=undone").await, Vec::<String>::new());

    // A second process on the same database finds the same.
    let other = forge_api::state::AppState::open(app.config(), "http://other".into()).await.unwrap();
    let asked = forge_api::search::Asked { q: "pear", limit: 5, ..Default::default() };
    let hits = forge_api::search::search(&other, &Actor::console(), &asked).await.unwrap().hits;
    assert_eq!(hits.len(), 1);
}

async fn filters_narrow_and_a_list_goes_on_where_it_ended(app: App) {
    let prompts: Vec<Value> = (0..30)
        .map(|n| rich(&format!("p{n:02}"), "", if n % 2 == 0 { &["Even Number"] } else { &[] }, "same words"))
        .collect();
    app.post(&format!("{SET}/import"), 200, json!({ "prompts": prompts })).await;
    let console = Actor::console();
    let new = NewSet { slug: "other", name: "", description: "same" };
    author::create_set(&app.state, &console, &app.at, new).await.unwrap();
    assert_eq!(found(&app, "q=same&limit=100").await.len(), 31);
    assert_eq!(found(&app, "q=same&limit=100&kind=prompt").await.len(), 30);
    assert_eq!(found(&app, "q=same&kind=set").await, ["other"]);
    assert_eq!(found(&app, "q=same&limit=100&tag=even%20number").await.len(), 15);
    assert_eq!(found(&app, "q=same&limit=100&tag=even").await.len(), 0, "a tag is asked for as a whole");
    assert_eq!(found(&app, "q=even&limit=100").await.len(), 15, "and found by its words");
    assert_eq!(found(&app, "q=same&limit=100&project=acme:support&set=chat").await.len(), 30);
    assert_eq!(found(&app, "q=same&limit=100&organisation=acme&project=support&set=other").await, ["other"]);
    assert_eq!(found(&app, "q=same&limit=100&state=EDITING").await.len(), 31);
    app.lock("1.0.0").await;
    assert_eq!(found(&app, "q=same&limit=100&state=locked").await.len(), 30);
    assert_eq!(found(&app, "q=same&limit=100&state=editing").await, ["other"]);

    // Page by page: everything once, in the same order.
    for query in ["q=same", "q=same&state=locked", "", "q=p0"] {
        let whole = found(&app, &format!("{query}&limit=100")).await;
        let paged = page_by_page(&app, query, 4).await;
        assert_eq!(paged, whole, "{query}");
        assert!(whole.len() >= 10, "{query}: {}", whole.len());
    }
}

async fn a_list_goes_on_from_block_to_block_of_the_index(app: App) {
    // PostgreSQL begins another block after some thousand entries: here sooner. SQLite has none, and finds the same.
    let close = async || {
        if app.is_postgres() {
            let full = "UPDATE search_blocks SET entries = 5000 \
                        WHERE block = (SELECT MAX(block) FROM search_blocks)";
            sql(&app.state.database, full).await.unwrap();
        }
    };
    let blocks =
        async || sql(&app.state.database, "UPDATE search_blocks SET entries = entries").await.unwrap();
    app.save("old.needle", "nothing", &[]).await;
    for round in ["a", "b", "c"] {
        for n in 0..4 {
            app.save(&format!("{round}{n}"), &format!("the needle of round{round}"), &[]).await;
        }
        close().await;
    }
    if app.is_postgres() {
        assert_eq!(blocks().await, 3);
    }
    // What has it in its name first, however old; then by time, through all blocks.
    let mut expected =
        vec!["old.needle", "c3", "c2", "c1", "c0", "b3", "b2", "b1", "b0", "a3", "a2", "a1", "a0"];
    assert_eq!(found(&app, "q=needle&limit=100").await, expected);
    assert_eq!(page_by_page(&app, "q=needle", 3).await, expected);
    assert_eq!(found(&app, "q=rounda&limit=2").await, ["a3", "a2"], "frequent, and only in the oldest block");
    assert_eq!(found(&app, "q=needle&kind=set").await, Vec::<String>::new());
    assert_eq!(found(&app, "kind=set").await, ["chat"]);
    assert_eq!(found(&app, "limit=3").await, ["c3", "c2", "c1"]);

    // What changes goes to the newest block, and a block that loses its last entry ends.
    if app.is_postgres() {
        let counted = "UPDATE search_blocks SET entries = \
                       (SELECT COUNT(*) FROM search_entries WHERE search_entries.block = search_blocks.block)";
        sql(&app.state.database, counted).await.unwrap();
    }
    for n in 0..4 {
        app.save_from(&format!("b{n}"), "the needle of roundb again", &[], Some(1), 200).await;
    }
    if app.is_postgres() {
        assert_eq!(blocks().await, 2);
    }
    expected[1..9].rotate_left(4);
    assert_eq!(found(&app, "q=needle&limit=100").await, expected);
    close().await;
    app.save_from("a0", "the needle of rounda again", &[], Some(1), 200).await;
    expected.insert(1, "a0");
    expected.pop();
    assert_eq!(page_by_page(&app, "q=needle", 5).await, expected);
    assert_eq!(found(&app, "q=again%20roundb").await, ["b3", "b2", "b1", "b0"]);
}

/// The ids that a search finds, read in pages of so many.
async fn page_by_page(app: &App, query: &str, limit: usize) -> Vec<String> {
    let (mut out, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = app.get(&format!("/api/v1/search?{query}&limit={limit}&cursor={cursor}")).await;
        out.extend(ids(&answer));
        match answer["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return out,
        }
    }
}

async fn what_is_archived_is_found_only_where_one_asks_for_it(app: App) {
    app.save("kept", "needle", &[]).await;
    app.save("put.away", "needle", &[]).await;
    let archive = format!("{SET}/actions/archive");
    let answer = app.request(Role::Owner, Method::POST, &archive).json(&json!({ "id": "put.away" }));
    assert!(answer.send().await.unwrap().status().is_success());
    assert_eq!(found(&app, "q=needle").await, ["kept"]);
    assert_eq!(found(&app, "q=needle&archived=true").await, ["put.away"]);
    assert_eq!(found(&app, "q=needle&archived=true&kind=prompt").await, ["put.away"]);
    assert_eq!(found(&app, "q=needle&archived=true&kind=set").await, Vec::<String>::new());
    let hit = &app.get("/api/v1/search?q=needle&archived=true").await["items"][0];
    assert_eq!((&hit["kind"], &hit["archived"]), (&json!("prompt"), &json!(true)));
    assert_eq!(hit["page"], "/acme/support/chat/-/archived");
    let answer = app.request(Role::Owner, Method::POST, &format!("{SET}/actions/restore"));
    let status = answer.json(&json!({ "id": "put.away" })).send().await.unwrap().status();
    assert!(status.is_success(), "{status}");
    assert_eq!(found(&app, "q=needle").await.len(), 2);
    assert_eq!(found(&app, "q=needle&archived=true").await, Vec::<String>::new());

    // A whole project: it, its sets and its prompts.
    let mut tx = app.state.database.write().await.unwrap();
    let row = &app.at.project;
    let facts = forge_api::database::project::Facts {
        name: &row.name,
        description: &row.description,
        archived_at: Some(1),
    };
    forge_api::database::project::set_facts(&mut tx, &row.id, &facts).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(found(&app, "q=needle").await, Vec::<String>::new());
    assert_eq!(found(&app, "").await, Vec::<String>::new());
    assert_eq!(found(&app, "q=needle&archived=true").await.len(), 2);
    assert_eq!(found(&app, "archived=true").await.len(), 4);
}

async fn what_cannot_be_looked_for_is_said(app: App) {
    let ask = async |query: &str| {
        app.request(Role::Viewer, Method::GET, &format!("/api/v1/search?{query}")).send().await.unwrap()
    };
    problem(ask("q=a&kind=dog").await, 422, "bad_kind").await;
    problem(ask("q=a&state=frozen").await, 422, "bad_state").await;
    problem(ask("q=a&cursor=zzz").await, 422, "bad_cursor").await;
    problem(ask("q=a&project=support").await, 422, "organisation_missing").await;
    problem(ask("q=a&set=chat&organisation=acme").await, 422, "project_missing").await;
    problem(ask("q=a&organisation=nowhere").await, 404, "not_found").await;
    problem(ask("q=a&limit=many").await, 422, "bad_query").await;
    problem(ask("q=a&colour=red").await, 422, "unknown_parameter").await;
    for query in
        ["q=%00", "q=%20", "q=...", "q=%F0%9F%98%80", "q=a&limit=0", "q=a&limit=100000", "tag=%21&q=a"]
    {
        assert_eq!(ask(query).await.status(), 200, "{query}");
    }
    let long = format!("q={}", "word%20".repeat(900));
    assert_eq!(ask(&long).await.status(), 200);
    assert_eq!(found(&app, "q=...").await.len(), 0, "signs are no words, and find nothing");
}

async fn the_page_marks_what_was_found_and_escapes_all_of_it(app: App) {
    put(&app, &rich("hostile", "<script>alert(1)</script> & more", &["<b>"], "needle <img src=x>")).await;
    let page = async |query: &str| {
        let request = app.request(Role::Viewer, Method::GET, &format!("/acme/-/search?{query}"));
        let answer = request.header("accept", "text/html").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, html) = page("q=alert").await;
    assert_eq!(status, 200);
    assert!(html.contains("&lt;script&gt;<mark>alert</mark>(1)"), "{html}");
    assert!(
        !html.contains("<script>alert") && !html.contains("<b>") && !html.contains("<img src=x"),
        "{html}"
    );
    let (_, html) = page("q=%3Cimg%20src%3E%22needle").await;
    assert!(html.contains("<mark>needle</mark> &lt;<mark>img</mark> <mark>src</mark>=x&gt;"), "{html}");
    let (_, html) = page("q=nedle").await;
    assert!(html.contains("Nothing found"), "{html}");
    let (_, html) = page("q=needless").await;
    assert!(html.contains("q=needle\""), "the nearest word is offered: {html}");
    let (status, html) = page("q=a&project=nowhere").await;
    assert!(status == 422 && html.contains("Nothing was searched"), "{status}");
    let (status, html) = page("").await;
    assert!(status == 200 && html.contains("Changed last") && html.contains("hostile"), "{html}");
}

async fn a_star_is_ones_own_and_stands_in_the_navigation(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let star = json!({ "kind": "prompt", "project": "acme:support", "set": "chat", "id": "welcome.message" });
    let put = async |body: &Value, status| {
        let answer =
            app.request(Role::Viewer, Method::PUT, "/api/v1/favourites").json(body).send().await.unwrap();
        json_of(answer, status).await
    };
    assert_eq!(put(&star, 200).await["page"], "/acme/support/chat/welcome.message");
    put(&star, 200).await;
    put(&json!({ "kind": "set", "project": "acme:support", "set": "chat" }), 200).await;
    put(&json!({ "kind": "set", "project": "acme:support", "set": "none" }), 404).await;
    put(&json!({ "kind": "dog", "project": "acme:support" }), 422).await;
    let list = async |role| {
        let answer =
            app.request(role, Method::GET, "/api/v1/favourites?organisation=acme").send().await.unwrap();
        ids(&json_of(answer, 200).await)
    };
    assert_eq!(list(Role::Viewer).await, ["welcome.message", "chat"]);
    assert_eq!(list(Role::Owner).await, Vec::<String>::new());
    let strange = app.strange(Method::PUT, "/api/v1/favourites").json(&star).send().await.unwrap();
    assert_eq!(strange.status(), 404);

    let page = async |path: &str| {
        let request = app.request(Role::Viewer, Method::GET, path).header("accept", "text/html");
        request.send().await.unwrap().text().await.unwrap()
    };
    let html = page("/acme").await;
    assert!(
        html.contains("<nav aria-label=\"Favourites\">")
            && html.contains("/acme/support/chat/welcome.message")
    );
    let gone =
        app.request(Role::Viewer, Method::DELETE, "/api/v1/favourites").json(&star).send().await.unwrap();
    assert_eq!(gone.status(), 200);
    assert_eq!(list(Role::Viewer).await, ["chat"]);

    // By the button of a page.
    let browser = app.browser_of(Role::Reviewer).await;
    let html = app.by(&browser, Method::GET, "/acme/support").send().await.unwrap().text().await.unwrap();
    assert!(html.contains("id=\"star\"") && html.contains("aria-pressed=\"false\""), "{html}");
    let row = html.split("name=\"row\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let press = async |do_: &str, row: &str| {
        let form = [("csrf", browser.csrf.as_str()), ("kind", "project"), ("row", row), ("do", do_)];
        let request = app.by(&browser, Method::POST, "/-/favourites").header("accept", "text/html");
        request.form(&form).send().await.unwrap()
    };
    assert_eq!(press("star", &row).await.headers()["location"], "/acme/support");
    let html = app.by(&browser, Method::GET, "/acme/support").send().await.unwrap().text().await.unwrap();
    assert!(html.contains("aria-pressed=\"true\"") && html.contains("aria-label=\"Favourites\""), "{html}");
    press("unstar", &row).await;
    let html = app.by(&browser, Method::GET, "/acme/support").send().await.unwrap().text().await.unwrap();
    assert!(html.contains("aria-pressed=\"false\""), "{html}");
    assert_eq!(press("star", "nothing").await.status(), 404);
}

async fn what_one_opened_is_remembered_newest_first(app: App) {
    let new = NewProject { slug: "second", name: "Second", description: "" };
    author::create_project(&app.state, &Actor::console(), &app.organisation, new).await.unwrap();
    let open = async |path: &str| {
        let request = app.request(Role::Viewer, Method::GET, path).header("accept", "text/html");
        assert_eq!(request.send().await.unwrap().status(), 200);
    };
    let recent = async |role| {
        let answer = app.request(role, Method::GET, "/api/v1/recent?organisation=acme").send().await.unwrap();
        ids(&json_of(answer, 200).await)
    };
    for (path, expected) in [
        ("/acme/support", vec!["support"]),
        ("/acme/second", vec!["second", "support"]),
        ("/acme/support", vec!["support", "second"]),
    ] {
        open(path).await;
        until("it is remembered", secs(60), async || (recent(Role::Viewer).await == expected).then_some(()))
            .await;
    }
    assert_eq!(recent(Role::Owner).await, Vec::<String>::new(), "nobody else's");
    let answer = app.request(Role::Viewer, Method::GET, "/api/v1/recent").send().await.unwrap();
    problem(answer, 422, "organisation_missing").await;
    let strange = app.strange(Method::GET, "/api/v1/recent?organisation=acme").send().await.unwrap();
    assert_eq!(strange.status(), 404);
}

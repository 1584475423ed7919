//! Revisions, reviews and the rules of environments, comparing, proposed versions, aliases,
//! dependencies, and two people at once.

use forge_api::auth::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, PUBLICATIONS, SET, json_of, on_both, problem, prompt};

on_both!(
    every_save_is_a_revision_that_can_be_restored,
    a_partial_has_a_history_of_its_own,
    an_environment_takes_only_what_enough_people_approved,
    an_edit_voids_the_approvals,
    an_author_approves_the_own_draft_only_where_a_rule_counts_it,
    only_roles_of_the_rule_publish,
    a_review_asks_people_and_keeps_what_they_say,
    the_queue_shows_each_what_waits_for_them,
    every_page_counts_what_the_queue_has_for_one,
    any_two_states_of_a_set_are_compared,
    the_next_version_follows_from_what_changed,
    a_protected_alias_is_moved_by_an_admin,
    an_address_leads_to_a_version_and_a_prompt,
    a_set_takes_partials_of_another_as_they_were_locked,
    sets_do_not_depend_on_each_other_in_a_circle,
    two_who_write_at_once_are_shown_both_together,
    the_pages_show_it_all,
);

async fn send(app: &App, role: Role, method: Method, path: &str, body: Value) -> Response {
    app.request(role, method, path).json(&body).send().await.unwrap()
}

async fn ask(app: &App, role: Role, path: &str, body: Value) -> Response {
    send(app, role, Method::POST, &format!("{SET}{path}"), body).await
}

/// Saves `welcome.message` as somebody, with a message.
async fn write(app: &App, role: Role, text: &str, revision: i64, message: &str) -> Response {
    let path = format!("{SET}/prompts/welcome.message?message={}", message.replace(' ', "%20"));
    let request = app.request(role, Method::PUT, &path).json(&prompt("welcome.message", text, &[]));
    let request = if revision > 0 { request.header("if-match", format!("\"{revision}\"")) } else { request };
    request.send().await.unwrap()
}

/// Puts the draft up for review and has it approved; gives the review.
async fn approved(app: &App, by: Role, approvers: &[Role]) -> Value {
    let review = json_of(ask(app, by, "/reviews", json!({ "title": "Please" })).await, 201).await;
    for role in approvers {
        let answer = approve(app, *role, &review).await;
        assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
    }
    review
}

async fn approve(app: &App, role: Role, review: &Value) -> Response {
    let path = format!("/reviews/{}/verdicts", review["number"]);
    let body = json!({ "verdict": "approve", "digest": review["digest"], "comment": "good" });
    ask(app, role, &path, body).await
}

async fn rule(app: &App, environment: &str, body: Value) -> Value {
    let path = format!("/api/v1/projects/acme:support/environments/{environment}/rule");
    json_of(send(app, Role::Admin, Method::PUT, &path, body).await, 200).await
}

async fn publish(app: &App, role: Role, version: &str, environment: &str) -> Response {
    let body = json!({ "set": "chat", "environment": environment, "version": version });
    send(app, role, Method::POST, PUBLICATIONS, body).await
}

/// The page, as somebody sees it who may.
async fn page(app: &App, role: Role, path: &str) -> String {
    let answer = app.request(role, Method::GET, path).header("accept", "text/html").send().await.unwrap();
    let status = answer.status();
    let html = answer.text().await.unwrap();
    assert_eq!(status, 200, "{path}: {html}");
    html
}

async fn every_save_is_a_revision_that_can_be_restored(app: App) {
    assert_eq!(write(&app, Role::Owner, "One", 0, "the first").await.status(), 201);
    assert_eq!(write(&app, Role::ContextEngineer, "Two", 1, "shorter").await.status(), 200);
    let path = format!("{SET}/history/welcome.message");
    let history = app.get(&path).await;
    let rows: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (r["revision"].as_i64().unwrap(), r["author"].as_str().unwrap(), r["message"].as_str().unwrap())
        })
        .collect();
    assert_eq!(rows, [(2, "context_engineer", "shorter"), (1, "owner", "the first")]);
    let page = app.get(&format!("{path}?limit=1")).await;
    assert_eq!(page["items"][0]["revision"], 2);
    let older = app.get(&format!("{path}?limit=1&cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!(older["items"][0]["revision"], 1);

    // By number and by id; restored as a new revision.
    let first = app.get(&format!("{SET}/revisions/1/welcome.message")).await;
    assert_eq!(first["prompt"]["content"]["template"], "One");
    let by_id = format!("{SET}/revisions/{}/welcome.message", first["id"].as_str().unwrap());
    assert_eq!(app.get(&by_id).await, first);
    let stale = app.request(Role::Owner, Method::POST, &by_id).header("if-match", "\"1\"").send().await;
    problem(stale.unwrap(), 409, "revision_conflict").await;
    let made = app.post(&by_id, 201, Value::Null).await;
    assert_eq!((&made["revision"], &made["message"]), (&json!(3), &json!("restored revision 1")));
    let now = app.get(&format!("{SET}/prompts/welcome.message")).await;
    assert_eq!((&now["prompt"]["content"]["template"], &now["revision"]), (&json!("One"), &json!(3)));

    // What was deleted comes back too; that it was deleted cannot be restored.
    let gone = app.request(Role::Owner, Method::DELETE, &format!("{SET}/prompts/welcome.message"));
    assert_eq!(gone.header("if-match", "\"3\"").send().await.unwrap().status(), 204);
    let deleted = app.get(&path).await["items"][0].clone();
    assert_eq!(deleted["deleted"], true);
    let refused = format!("{SET}/revisions/{}/welcome.message", deleted["id"].as_str().unwrap());
    app.refused(&refused, json!({}), 422, "deleted").await;
    app.post(&by_id, 201, Value::Null).await;
    assert_eq!(
        app.get(&format!("{SET}/prompts/welcome.message")).await["prompt"]["content"]["template"],
        "One"
    );

    let nothing = app.request(Role::Viewer, Method::GET, &format!("{SET}/history/nobody.wrote")).send().await;
    problem(nothing.unwrap(), 404, "not_found").await;
    app.lock("1.0.0").await;
    app.refused(&by_id, json!({}), 409, "locked").await;
}

async fn a_partial_has_a_history_of_its_own(app: App) {
    let partial = format!("{SET}/partials/greeting");
    let put = |source: &str, revision: i64| {
        let request = app.request(Role::Owner, Method::PUT, &format!("{partial}?message=because"));
        let request = request.json(&json!({ "source": source }));
        if revision > 0 { request.header("if-match", revision.to_string()) } else { request }.send()
    };
    assert_eq!(put("Hi", 0).await.unwrap().status(), 201);
    assert_eq!(put("Hello", 1).await.unwrap().status(), 200);
    let history = app.get(&format!("{SET}/partial-history/greeting")).await;
    assert_eq!(history["items"][1]["source"], "Hi");
    assert_eq!(history["items"][0]["message"], "because");
    app.post(&format!("{SET}/partial-revisions/1/greeting"), 201, Value::Null).await;
    assert_eq!(app.get(&partial).await["partial"]["source"], "Hi");
}

async fn an_environment_takes_only_what_enough_people_approved(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let made = rule(&app, "prod", json!({ "approvals": 2 })).await;
    assert_eq!((&made["not_author"], &made["roles"][0]), (&json!(true), &json!("context_engineer")));
    for bad in [json!({ "approvals": 6 }), json!({ "approvals": 1, "roles": ["viewer"] })] {
        let path = "/api/v1/projects/acme:support/environments/prod/rule";
        let answer = send(&app, Role::Owner, Method::PUT, path, bad).await;
        assert_eq!(answer.status(), 422);
    }
    // One approval, then it is locked; the second comes after.
    let review = approved(&app, Role::ContextEngineer, &[Role::Reviewer]).await;
    problem(approve(&app, Role::Reviewer, &review).await, 409, "already_approved").await;
    app.lock("1.0.0").await;
    let refused = publish(&app, Role::ContextEngineer, "1.0.0", "prod").await;
    let refused = problem(refused, 409, "approvals_missing").await;
    assert_eq!((&refused["needed"], &refused["have"]), (&json!(2), &json!(1)));
    // The owner wrote it.
    assert_eq!(refused["may_approve"], json!(["admin"]));
    assert_eq!(refused["review"], format!("/acme/support/chat/-/reviews/{}", review["number"]));
    assert!(refused["detail"].as_str().unwrap().contains("admin may approve it"), "{refused}");
    assert_eq!(publish(&app, Role::ContextEngineer, "1.0.0", "dev").await.status(), 201, "dev asks for none");
    assert_eq!(approve(&app, Role::Admin, &review).await.status(), 204);
    let published = json_of(publish(&app, Role::ContextEngineer, "1.0.0", "prod").await, 201).await;
    assert_eq!(published["version"], "1.0.0");

    // Another one that nobody read; then back to what was live, which waits for nobody.
    app.reopen().await;
    app.save("other.message", "Hello", &[]).await;
    app.lock("1.1.0").await;
    let refused = publish(&app, Role::Owner, "1.1.0", "prod").await;
    let refused = problem(refused, 409, "approvals_missing").await;
    assert_eq!(refused["review"], "/acme/support/chat/-/lock");
    rule(&app, "prod", json!({ "approvals": 5 })).await;
    assert_eq!(publish(&app, Role::Owner, "1.0.0", "prod").await.status(), 201);
    let path = "/api/v1/projects/acme:support/environments/prod/approvals?set=chat&version=1.1.0";
    assert_eq!(app.get(path).await["missing"], 5);

    // A version that is locked can be reviewed all the same: its bytes are what is approved.
    rule(&app, "prod", json!({ "approvals": 1 })).await;
    approved(&app, Role::ContextEngineer, &[Role::Reviewer]).await;
    assert_eq!(app.get(SET).await["state"], "locked");
    assert_eq!(publish(&app, Role::Owner, "1.1.0", "prod").await.status(), 201);
}

async fn an_edit_voids_the_approvals(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    rule(&app, "prod", json!({ "approvals": 1 })).await;
    let review = approved(&app, Role::ContextEngineer, &[Role::Reviewer]).await;
    let back = ask(&app, Role::ContextEngineer, "/reviews/current/return", json!({})).await;
    assert_eq!(back.status(), 204);
    assert_eq!(write(&app, Role::Owner, "Hello!", 1, "").await.status(), 200);
    let found = app.get(&format!("{SET}/reviews/{}", review["number"])).await;
    assert_eq!((&found["void"], &found["state"]), (&json!(true), &json!("returned")));
    app.lock("1.0.0").await;
    problem(publish(&app, Role::Owner, "1.0.0", "prod").await, 409, "approvals_missing").await;
    problem(approve(&app, Role::Admin, &review).await, 409, "not_in_review").await;

    // Back to the very words that were approved: who approved them approved this. Who took it back did not.
    app.reopen().await;
    assert_eq!(write(&app, Role::Owner, "Hello", 2, "").await.status(), 200);
    app.lock("1.0.1").await;
    assert_eq!(publish(&app, Role::Owner, "1.0.1", "prod").await.status(), 201);
}

async fn an_author_approves_the_own_draft_only_where_a_rule_counts_it(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    rule(&app, "prod", json!({ "approvals": 1 })).await;
    let review = approved(&app, Role::ContextEngineer, &[]).await;
    problem(approve(&app, Role::Owner, &review).await, 403, "forbidden").await;
    // dev counts authors, prod does not.
    rule(&app, "dev", json!({ "approvals": 1, "not_author": false })).await;
    assert_eq!(approve(&app, Role::Owner, &review).await.status(), 204);
    app.lock("1.0.0").await;
    assert_eq!(publish(&app, Role::Owner, "1.0.0", "dev").await.status(), 201);
    problem(publish(&app, Role::Owner, "1.0.0", "prod").await, 409, "approvals_missing").await;
    // Who asks for changes later takes the own approval back.
    let changes = json!({ "verdict": "changes", "comment": "no" });
    let path = format!("/reviews/{}/verdicts", review["number"]);
    assert_eq!(ask(&app, Role::Owner, &path, changes).await.status(), 204);
    rule(&app, "staging", json!({ "approvals": 1, "not_author": false })).await;
    problem(publish(&app, Role::Owner, "1.0.0", "staging").await, 409, "approvals_missing").await;
}

async fn only_roles_of_the_rule_publish(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    rule(&app, "prod", json!({ "approvals": 0, "roles": ["admin", "owner"] })).await;
    let refused = publish(&app, Role::ContextEngineer, "1.0.0", "prod").await;
    let refused = problem(refused, 409, "role_may_not_publish").await;
    assert_eq!(refused["roles"], json!(["admin", "owner"]));
    assert_eq!(publish(&app, Role::Admin, "1.0.0", "prod").await.status(), 201);
    assert_eq!(publish(&app, Role::ContextEngineer, "1.0.0", "staging").await.status(), 201);
}

async fn a_review_asks_people_and_keeps_what_they_say(app: App) {
    app.save("welcome.message", "One\nTwo\n", &[]).await;
    let asked =
        json!({ "title": "Two lines", "message": "as they asked", "reviewers": ["reviewer@example.org"] });
    for nobody in ["viewer@example.org", "nobody"] {
        let answer = ask(&app, Role::Owner, "/reviews", json!({ "reviewers": [nobody] })).await;
        problem(answer, 422, "bad_reviewer").await;
    }
    let review = json_of(ask(&app, Role::ContextEngineer, "/reviews", asked).await, 201).await;
    problem(ask(&app, Role::Owner, "/reviews", json!({})).await, 409, "in_review").await;
    let path = format!("/reviews/{}/comments", review["number"]);
    let comment = json!({ "body": "Why two?", "prompt": "welcome.message", "line": 2 });
    assert_eq!(ask(&app, Role::Reviewer, &path, comment).await.status(), 201);
    assert_eq!(ask(&app, Role::ContextEngineer, &path, json!({ "body": "They asked." })).await.status(), 201);
    problem(ask(&app, Role::Reviewer, &path, json!({ "body": "  " })).await, 422, "empty").await;
    assert_eq!(ask(&app, Role::Viewer, &path, json!({ "body": "x" })).await.status(), 403);
    let verdict = format!("/reviews/{}/verdicts", review["number"]);
    let wrong = json!({ "verdict": "approve", "digest": format!("sha256:{}", "0".repeat(64)) });
    problem(ask(&app, Role::Reviewer, &verdict, wrong).await, 409, "digest_mismatch").await;
    let approve = json!({ "verdict": "approve", "digest": review["digest"] });
    assert_eq!(ask(&app, Role::ContextEngineer, &verdict, approve).await.status(), 403);
    let changes = json!({ "verdict": "changes", "comment": "One line is enough" });
    assert_eq!(ask(&app, Role::Reviewer, &verdict, changes).await.status(), 204);
    assert_eq!(app.get(SET).await["state"], "editing");

    let found = app.get(&format!("{SET}/reviews/{}", review["number"])).await;
    assert_eq!(found["reviewers"], json!(["reviewer"]));
    assert_eq!(found["message"], "as they asked");
    assert_eq!(found["comments"][0]["line"], 2);
    assert_eq!(found["comments"][1]["author"], "context_engineer");
    assert_eq!(found["verdicts"][0]["comment"], "One line is enough");
    assert_eq!(found["verdicts"][0]["verdict"], "changes");
    let html = page(&app, Role::Viewer, &format!("/acme/support/chat/-/reviews/{}", review["number"])).await;
    for part in ["Two lines", "as they asked", "Why two?", "One line is enough", "changes asked for"] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

async fn the_queue_shows_each_what_waits_for_them(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let asked = json!({ "reviewers": ["reviewer@example.org"] });
    let review = json_of(ask(&app, Role::ContextEngineer, "/reviews", asked).await, 201).await;
    let queue = async |role| {
        let answer =
            app.request(role, Method::GET, "/api/v1/organisations/acme/reviews").send().await.unwrap();
        let list = json_of(answer, 200).await;
        let first = &list["items"][0];
        (first["for_me"].as_bool(), first["by_me"].as_bool())
    };
    assert_eq!(queue(Role::Reviewer).await, (Some(true), Some(false)));
    assert_eq!(queue(Role::Admin).await, (Some(false), Some(false)), "somebody else is asked");
    assert_eq!(queue(Role::ContextEngineer).await, (Some(false), Some(true)));
    let html = page(&app, Role::Reviewer, "/acme/-/reviews").await;
    assert!(
        html.contains("1 review waits for you") && html.contains("title=\"waiting for you\">1<"),
        "{html}"
    );
    assert!(page(&app, Role::Admin, "/acme/-/reviews").await.contains("Nothing waits for you"));
    assert!(page(&app, Role::Admin, "/acme/-/reviews?show=all").await.contains("Review 1 of chat"));
    assert_eq!(approve(&app, Role::Reviewer, &review).await.status(), 204);
    assert_eq!(queue(Role::Reviewer).await.0, Some(false), "answered");
    app.lock("1.0.0").await;
    assert_eq!(queue(Role::Reviewer).await, (None, None));
}

async fn every_page_counts_what_the_queue_has_for_one(app: App) {
    const ROLES: [Role; 5] = [Role::Owner, Role::Admin, Role::ContextEngineer, Role::Reviewer, Role::Viewer];
    app.save("welcome.message", "Hello", &[]).await;
    let agree = async |expected: [usize; 5]| {
        for (role, expected) in ROLES.into_iter().zip(expected) {
            let path = "/api/v1/organisations/acme/reviews";
            let list = json_of(app.request(role, Method::GET, path).send().await.unwrap(), 200).await;
            let items = list["items"].as_array().unwrap();
            assert_eq!(items.iter().filter(|one| one["for_me"] == true).count(), expected, "{role:?}");
            let html = page(&app, role, "/acme/-/search").await;
            let shown = html.split("title=\"waiting for you\">").nth(1).and_then(|s| s.split('<').next());
            assert_eq!(shown.unwrap_or("0"), expected.to_string(), "{role:?}");
        }
    };
    agree([0; 5]).await;
    // Nobody is named: it is for everybody who may answer, but not for who asks.
    let review = json_of(ask(&app, Role::Admin, "/reviews", json!({})).await, 201).await;
    agree([1, 0, 0, 1, 0]).await;
    assert_eq!(approve(&app, Role::Reviewer, &review).await.status(), 204);
    agree([0; 5]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    assert_eq!(write(&app, Role::Owner, "Hello you", 1, "").await.status(), 200);
    // Somebody is named: it stays theirs when another one approves it.
    let asked = json!({ "reviewers": ["reviewer@example.org"] });
    let review = json_of(ask(&app, Role::ContextEngineer, "/reviews", asked).await, 201).await;
    agree([0, 0, 0, 1, 0]).await;
    assert_eq!(approve(&app, Role::Admin, &review).await.status(), 204);
    agree([0, 0, 0, 1, 0]).await;
    assert_eq!(approve(&app, Role::Reviewer, &review).await.status(), 204);
    agree([0; 5]).await;
}

async fn any_two_states_of_a_set_are_compared(app: App) {
    app.save("welcome.message", "Hello Ada\n", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    assert_eq!(write(&app, Role::Owner, "Hello Bea\n", 1, "").await.status(), 200);
    let then = app.get(&format!("{SET}/history/welcome.message")).await["items"][0]["created_at"].clone();
    app.save_from("welcome.message", "Bye {{ name }}\n", &["name"], Some(2), 200).await;
    let compare = async |old: &str, new: &str| app.get(&format!("{SET}/compare?old={old}&new={new}")).await;
    let changes = compare("1.0.0", "draft").await;
    assert_eq!(changes["weight"], "major");
    assert_eq!(changes["reasons"][0]["what"], "welcome.message: the parameter name is new and required");
    let line = &changes["differences"][0]["lines"][0];
    assert_eq!(
        (&line["kind"], &line["old_line"], &line["new_line"]),
        (&json!("changed"), &json!(1), &json!(1))
    );
    assert!(line["new"].as_array().unwrap().iter().any(|w| w["changed"] == true), "{line}");
    assert_eq!(changes["differences"][0]["facts"], json!(["new required parameter name: string"]));

    let past = format!("at:{}", then.as_str().unwrap());
    let words = compare("latest", &past).await["differences"][0]["lines"][0]["new"].to_string();
    assert!(words.contains("Bea"), "{words}");
    assert_eq!(compare("", "1.0.0").await["new"], 1);
    assert_eq!(compare("1.0.0", "1.0.0").await["differences"], json!([]));
    for (bad, status, code) in [("9.9.9", 404, "not_found"), ("at:yesterday", 422, "bad_time")] {
        let path = format!("{SET}/compare?old={bad}&new=draft");
        problem(app.request(Role::Owner, Method::GET, &path).send().await.unwrap(), status, code).await;
    }
    let html = page(&app, Role::Viewer, "/acme/support/chat/-/compare?from=1.0.0&to=draft&view=inline").await;
    assert!(html.contains("diff-inline") && html.contains("new required parameter name"), "{html}");
    let address = format!("/acme/support/chat/-/compare?from={past}&to=draft");
    assert!(page(&app, Role::Viewer, &address).await.contains("as of "));
}

async fn the_next_version_follows_from_what_changed(app: App) {
    app.save("welcome.message", "Hello {{ name }}", &["name"]).await;
    let next = async || app.get(&format!("{SET}/next-version")).await;
    assert_eq!(next().await["version"], "1.0.0");
    app.lock("1.0.0").await;
    app.reopen().await;
    app.save_from("welcome.message", "Hi {{ name }}", &["name"], Some(1), 200).await;
    assert_eq!(next().await["version"], "1.0.1");
    app.save("other.message", "x", &[]).await;
    let minor = next().await;
    assert_eq!(
        (&minor["version"], &minor["weight"], &minor["last"]),
        (&json!("1.1.0"), &json!("minor"), &json!("1.0.0"))
    );
    app.save_from("welcome.message", "Hi {{ who }}", &["who"], Some(2), 200).await;
    let major = next().await;
    assert_eq!((&major["version"], &major["weight"]), (&json!("2.0.0"), &json!("major")));
    let reasons = major["reasons"].to_string();
    assert!(
        reasons.contains("the parameter name is gone") && reasons.contains("other.message is new"),
        "{reasons}"
    );

    // Not above the last is refused; lower than proposed is warned about, and locked by who means it.
    for low in ["0.9.0", "1.0.0-rc.1"] {
        let body =
            app.refused(&format!("{SET}/lock"), json!({ "version": low }), 409, "version_not_higher").await;
        assert_eq!(body["last"], "1.0.0");
    }
    let browser = app.browser().await;
    let digest = app.get(SET).await["draft_digest"].as_str().unwrap().to_owned();
    let press = async |version: &str, sure: &str| {
        let form =
            [("csrf", browser.csrf.as_str()), ("version", version), ("revision", &digest), ("sure", sure)];
        let request = app.by(&browser, Method::POST, "/acme/support/chat/-/lock");
        request.header("accept", "text/html").form(&form).send().await.unwrap()
    };
    let warned = press("1.0.1", "").await;
    assert_eq!(warned.status(), 422);
    let html = warned.text().await.unwrap();
    assert!(
        html.contains("1.0.1 says less than what changed") && html.contains("Lock as 1.0.1 all the same"),
        "{html}"
    );
    assert_eq!(press("1.0.1", "1.0.1").await.status(), 303);
    assert_eq!(app.get(&format!("{SET}/versions/1.0.1")).await["kind"], "locked");
}

async fn a_protected_alias_is_moved_by_an_admin(app: App) {
    app.save("welcome.message", "One", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    assert_eq!(write(&app, Role::Owner, "Two", 1, "").await.status(), 200);
    app.lock("1.1.0-rc.1").await;
    let put = async |role, name: &str, body: Value| {
        send(&app, role, Method::PUT, &format!("{SET}/aliases/{name}"), body).await
    };
    assert_eq!(app.get(&format!("{SET}/aliases/latest")).await["version"], "1.0.0", "no pre-release");
    let made = json_of(put(Role::ContextEngineer, "stable", json!({ "version": "1.0.0" })).await, 200).await;
    assert_eq!((&made["version"], &made["protected"]), (&json!("1.0.0"), &json!(false)));
    problem(
        put(Role::ContextEngineer, "stable", json!({ "version": "1.0.0", "protected": true })).await,
        409,
        "alias_protected",
    )
    .await;
    assert_eq!(
        put(Role::Admin, "stable", json!({ "version": "1.0.0", "protected": true })).await.status(),
        200
    );
    problem(
        put(Role::ContextEngineer, "stable", json!({ "version": "1.1.0-rc.1" })).await,
        409,
        "alias_protected",
    )
    .await;
    let path = format!("{SET}/aliases/stable");
    problem(
        app.request(Role::ContextEngineer, Method::DELETE, &path).send().await.unwrap(),
        409,
        "alias_protected",
    )
    .await;
    let moved = json_of(put(Role::Admin, "stable", json!({ "version": "1.1.0-rc.1" })).await, 200).await;
    assert_eq!((&moved["version"], &moved["protected"]), (&json!("1.1.0-rc.1"), &json!(true)));

    problem(put(Role::Owner, "latest", json!({ "version": "1.0.0" })).await, 409, "alias_reserved").await;
    for bad in ["2", "1.0.0", "Stable", "a.b"] {
        problem(put(Role::Owner, bad, json!({ "version": "1.0.0" })).await, 422, "bad_name").await;
    }
    problem(put(Role::Owner, "next", json!({ "version": "7.0.0" })).await, 422, "no_such_version").await;
    let names: Vec<String> = app.get(&format!("{SET}/aliases")).await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["latest", "stable"]);
    let html = page(&app, Role::Owner, "/acme/support/chat/-/versions").await;
    assert!(html.contains(">stable<") && html.contains("protected"), "{html}");
    for _ in 0..2 {
        assert_eq!(app.request(Role::Owner, Method::DELETE, &path).send().await.unwrap().status(), 204);
    }
}

async fn an_address_leads_to_a_version_and_a_prompt(app: App) {
    for (version, text) in [("1.0.0", "One"), ("1.2.0", "Two"), ("2.0.0", "Three")] {
        if version == "1.0.0" {
            app.save("mail/reply", text, &[]).await;
        } else {
            app.reopen().await;
            let revision = if version == "1.2.0" { 1 } else { 2 };
            app.save_from("mail/reply", text, &[], Some(revision), 200).await;
        }
        app.lock(version).await;
    }
    let body = json!({ "version": "1.0.0" });
    assert_eq!(
        send(&app, Role::Owner, Method::PUT, &format!("{SET}/aliases/stable"), body).await.status(),
        200
    );
    let resolve = async |address: &str| {
        let address = address.replace('^', "%5E").replace('@', "%40").replace('+', "%2B");
        app.request(Role::Viewer, Method::GET, &format!("/api/v1/resolve?address={address}"))
            .send()
            .await
            .unwrap()
    };
    for (address, version) in [
        ("@acme/chat", "2.0.0"),
        ("@acme/chat@latest", "2.0.0"),
        ("@acme/chat@stable/mail/reply", "1.0.0"),
        ("@acme/chat@^1", "1.2.0"),
        ("@acme/chat@1.0.0", "1.0.0"),
    ] {
        let found = json_of(resolve(address).await, 200).await;
        assert_eq!((&found["version"], &found["project"]), (&json!(version), &json!("support")), "{address}");
        assert!(found["digest"].as_str().unwrap().starts_with("sha256:"));
    }
    let found = json_of(resolve("@acme/chat@stable/mail/reply").await, 200).await;
    assert_eq!(found["prompt"]["content"]["template"], "One");
    assert_eq!(found["address"], "@acme/chat@1.0.0/mail/reply");
    for (address, status, code) in [
        ("acme/chat", 422, "bad_address"),
        ("@acme/chat@3", 404, "not_found"),
        ("@acme/chat@beta", 404, "not_found"),
        ("@acme/nothing", 404, "not_found"),
        ("@globex/chat", 404, "not_found"),
        ("@acme/chat/nothing", 404, "not_found"),
    ] {
        problem(resolve(address).await, status, code).await;
    }
    let strange = app.strange(Method::GET, "/api/v1/resolve?address=%40acme%2Fchat").send().await.unwrap();
    problem(strange, 404, "not_found").await;

    // Another project has a set of that name.
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "shop" })).await;
    app.post("/api/v1/projects/acme:shop/sets", 201, json!({ "slug": "chat" })).await;
    let both = problem(resolve("@acme/chat").await, 409, "ambiguous_address").await;
    assert_eq!(both["projects"], json!(["shop", "support"]));
    let path = "/api/v1/resolve?address=%40acme%2Fchat&project=support";
    assert_eq!(app.get(path).await["version"], "2.0.0");
}

const BRAND: &str = "/api/v1/projects/acme:support/sets/brand";

/// A set `brand` with a partial `footer` that includes `sign`, locked as this version.
async fn brand(app: &App, version: &str, sign: &str) {
    let sets = "/api/v1/projects/acme:support/sets";
    if version == "1.0.0" {
        app.post(sets, 201, json!({ "slug": "brand" })).await;
        let one =
            send(app, Role::Owner, Method::PUT, &format!("{BRAND}/prompts/about"), prompt("about", "x", &[]))
                .await;
        assert_eq!(one.status(), 201);
        let footer = json!({ "source": "-- {% include \"sign\" %}" });
        assert_eq!(
            send(app, Role::Owner, Method::PUT, &format!("{BRAND}/partials/footer"), footer).await.status(),
            201
        );
    } else {
        app.post(&format!("{BRAND}/reopen"), 204, json!({})).await;
    }
    let path = format!("{BRAND}/partials/sign");
    let known = app.request(Role::Owner, Method::GET, &path).send().await.unwrap();
    let revision =
        if known.status() == 200 { json_of(known, 200).await["revision"].as_i64().unwrap() } else { 0 };
    let put = app.request(Role::Owner, Method::PUT, &path).json(&json!({ "source": sign }));
    assert!(put.header("if-match", revision.to_string()).send().await.unwrap().status().is_success());
    app.post(&format!("{BRAND}/lock"), 201, json!({ "version": version })).await;
}

async fn a_set_takes_partials_of_another_as_they_were_locked(app: App) {
    brand(&app, "1.0.0", "Fernway").await;
    app.save("welcome.message", "Hi\n{% include \"brand/footer\" %}", &[]).await;
    let path = format!("{SET}/dependencies/brand");
    let refused =
        app.refused(&format!("{SET}/lock"), json!({ "version": "1.0.0" }), 422, "template_invalid").await;
    assert!(refused.to_string().contains("brand/footer"), "{refused}");
    for (range, status, code) in [("^2", 409, "dependency_unresolved"), ("newest", 422, "bad_range")] {
        let answer = send(&app, Role::Owner, Method::PUT, &path, json!({ "requirement": range })).await;
        problem(answer, status, code).await;
    }
    let made = send(&app, Role::Owner, Method::PUT, &path, json!({ "requirement": "^1" })).await;
    let made = json_of(made, 200).await;
    assert_eq!(
        (&made["version"], &made["partials"]),
        (&json!("1.0.0"), &json!(["brand/footer", "brand/sign"]))
    );

    // The preview sees what will be locked.
    let body = json!({ "prompt": prompt("x", "{% include \"brand/footer\" %}", &[]) });
    let preview = async || app.post(&format!("{SET}/preview"), 200, body.clone()).await["text"].clone();
    assert_eq!(preview().await, "-- Fernway");
    app.lock("1.0.0").await;
    let locked = app.get(&format!("{SET}/versions/1.0.0/dependencies")).await;
    let digest = app.get(&format!("{BRAND}/versions/1.0.0")).await["digest"].clone();
    assert_eq!(
        locked["items"],
        json!([{ "set": "brand", "requirement": "^1", "version": "1.0.0", "digest": digest }])
    );
    let bundle = app.get(&format!("{SET}/versions/1.0.0/bundle")).await;
    assert_eq!(bundle["partials"][0]["source"], "-- {% include \"brand/sign\" %}");

    // A newer one of brand: the next version takes it, the one that is locked does not change.
    brand(&app, "1.1.0", "Fernway Ltd").await;
    assert_eq!(preview().await, "-- Fernway Ltd");
    assert_eq!(app.get(&format!("{SET}/versions/1.0.0/bundle")).await, bundle);
    let html = page(&app, Role::Viewer, "/acme/support/chat/-/versions/1.0.0").await;
    assert!(html.contains("Lock file") && html.contains("brand/-/versions/1.0.0"), "{html}");
    app.reopen().await;
    let changes = app.get(&format!("{SET}/compare?old=1.0.0&new=draft")).await.to_string();
    assert!(changes.contains("brand: 1.0.0 → 1.1.0"), "{changes}");
    app.lock("1.0.1").await;
    assert_eq!(app.get(&format!("{SET}/versions/1.0.1/dependencies")).await["items"][0]["version"], "1.1.0");

    app.reopen().await;
    for status in [204, 409] {
        assert_eq!(app.request(Role::Owner, Method::DELETE, &path).send().await.unwrap().status(), status);
    }
    assert_eq!(app.get(&format!("{SET}/dependencies")).await["items"], json!([]));
}

async fn sets_do_not_depend_on_each_other_in_a_circle(app: App) {
    brand(&app, "1.0.0", "Fernway").await;
    app.save("welcome.message", "Hi", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    app.post(&format!("{BRAND}/reopen"), 204, json!({})).await;
    let put = async |from: &str, to: &str| {
        let path = format!("{from}/dependencies/{to}");
        send(&app, Role::Owner, Method::PUT, &path, json!({ "requirement": "*" })).await
    };
    assert_eq!(put(SET, "brand").await.status(), 200);
    let circle = problem(put(BRAND, "chat").await, 409, "dependency_cycle").await;
    assert_eq!(circle["path"], "brand → chat → brand");
    problem(put(SET, "chat").await, 409, "dependency_cycle").await;
    problem(put(SET, "nothing").await, 422, "no_such_set").await;
}

async fn two_who_write_at_once_are_shown_both_together(app: App) {
    app.save("welcome.message", "one\ntwo\nthree\n", &[]).await;
    assert_eq!(write(&app, Role::ContextEngineer, "one\ntwo\nTHREE\n", 1, "").await.status(), 200);
    let browser = app.browser().await;
    let path = "/acme/support/chat/welcome.message";
    let post = async |act: &str, revision: &str, text: &str| {
        let form = [
            ("csrf", browser.csrf.as_str()),
            ("prompt", "welcome.message"),
            ("kind", "text"),
            ("engine", "tera"),
            ("revision", revision),
            ("role", "text"),
            ("text", text),
            ("message", "counted"),
            ("do", act),
        ];
        app.by(&browser, Method::POST, path).header("accept", "text/html").form(&form).send().await.unwrap()
    };
    let mine = "ONE\r\ntwo\r\nthree\r\n";
    let refused = post("save", "1", mine).await;
    assert_eq!(refused.status(), 409);
    let html = refused.text().await.unwrap();
    assert!(html.contains("context_engineer saved welcome.message while you were writing"), "{html}");
    assert!(html.contains("Both together") && html.contains("no clash"), "{html}");
    assert!(html.contains("ONE\ntwo\nTHREE") && html.contains("take-both:1"), "{html}");
    let both = post("take-both:1", "2", mine).await;
    assert_eq!(both.status(), 200);
    assert!(both.text().await.unwrap().contains("ONE\ntwo\nTHREE"));
    let stored = async || app.get(&format!("{SET}/prompts/welcome.message")).await;
    assert_eq!(
        stored().await["prompt"]["content"]["template"],
        "one\ntwo\nTHREE\n",
        "taken is not saved yet"
    );
    assert_eq!(post("save", "2", "ONE\r\ntwo\r\nTHREE\r\n").await.status(), 303);
    assert_eq!(stored().await["prompt"]["content"]["template"], "ONE\ntwo\nTHREE\n");
    assert_eq!(app.get(&format!("{SET}/history/welcome.message")).await["items"][0]["message"], "counted");

    // Where both changed the same line, both stand there.
    let clash = post("save", "2", "mine\r\ntwo\r\nTHREE\r\n").await;
    assert_eq!(clash.status(), 409);
    let html = clash.text().await.unwrap();
    assert!(
        html.contains("1 place that both changed") && html.contains("yours") && html.contains("theirs"),
        "{html}"
    );
}

async fn the_pages_show_it_all(app: App) {
    app.save("welcome.message", "Hello Ada\n", &[]).await;
    assert_eq!(write(&app, Role::Owner, "Hello Bea\n", 1, "another name").await.status(), 200);
    let path = "/acme/support/chat/-/history/welcome.message";
    let html = page(&app, Role::Viewer, path).await;
    assert!(
        html.contains("another name") && html.contains("Bea") && !html.contains("id=\"restore\""),
        "{html}"
    );
    let browser = app.browser().await;
    let html = page(&app, Role::Owner, &format!("{path}?revision=1")).await;
    assert!(html.contains("Restore revision 1"), "{html}");
    let form = [("csrf", browser.csrf.as_str()), ("revision", "1")];
    let post =
        app.by(&browser, Method::POST, path).header("accept", "text/html").form(&form).send().await.unwrap();
    assert_eq!(post.headers()["location"], "/acme/support/chat/welcome.message");
    assert_eq!(app.get(&format!("{SET}/prompts/welcome.message")).await["revision"], 3);

    // A rule by its form; nobody to publish is told at once.
    let rules = "/acme/support/-/environments";
    let set = async |fields: &[(&str, &str)]| {
        let mut form = vec![("csrf", browser.csrf.as_str()), ("do", "rule"), ("environment", "prod")];
        form.extend(fields);
        app.by(&browser, Method::POST, rules).header("accept", "text/html").form(&form).send().await.unwrap()
    };
    let none = set(&[("approvals", "1")]).await;
    assert_eq!(none.status(), 422);
    assert!(none.text().await.unwrap().contains("choose at least one role"));
    assert_eq!(set(&[("approvals", "1"), ("not_author", "yes"), ("role", "owner")]).await.status(), 303);
    let html = page(&app, Role::Viewer, rules).await;
    assert!(html.contains("Owners publish after 1 approval, not by an author."), "{html}");

    // Asked for by its form, commented on at a line, approved, and said on the page that publishes.
    let request = app.by(&browser, Method::POST, "/acme/support/chat/-/review").header("accept", "text/html");
    let form = [("csrf", browser.csrf.as_str()), ("do", "ask"), ("title", "Names"), ("message", "Ada again")];
    let asked = request.form(&form).send().await.unwrap();
    let review = asked.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(review, "/acme/support/chat/-/reviews/1");
    let line = format!("{review}?prompt=welcome.message&line=1");
    assert!(page(&app, Role::Reviewer, &line).await.contains("Comment on welcome.message, line 1"));
    let reviewer = app.browser_of(Role::Reviewer).await;
    let say = async |fields: &[(&str, &str)]| {
        let mut form = vec![("csrf", reviewer.csrf.as_str())];
        form.extend(fields);
        app.by(&reviewer, Method::POST, &review)
            .header("accept", "text/html")
            .form(&form)
            .send()
            .await
            .unwrap()
    };
    let silent = say(&[("do", "changes"), ("message", " ")]).await;
    assert_eq!(silent.status(), 422);
    assert!(silent.text().await.unwrap().contains("Say what has to change"));
    let comment = [("do", "comment"), ("prompt", "welcome.message"), ("line", "1"), ("message", "Why Ada?")];
    assert_eq!(say(&comment).await.status(), 303);
    assert!(page(&app, Role::Viewer, &review).await.contains("Why Ada?"));
    let digest = app.get(&format!("{SET}/reviews/1")).await["digest"].as_str().unwrap().to_owned();
    let (approves, locks) = ("value=\"approve\"", "Lock it</a>");
    let html = page(&app, Role::Owner, &review).await;
    assert!(!html.contains(approves) && html.contains("Somebody else has to approve it."), "{html}");
    let html = page(&app, Role::Admin, &review).await;
    assert!(html.contains(approves) && !html.contains(locks), "{html}");
    assert_eq!(say(&[("do", "approve"), ("digest", &digest), ("message", "fine")]).await.status(), 303);
    assert!(page(&app, Role::Owner, &review).await.contains("Exactly this can be locked now"));
    let html = page(&app, Role::Admin, &review).await;
    assert!(!html.contains(approves) && html.contains(locks), "it has the approvals that it needs: {html}");
    app.lock("1.0.0").await;
    let html = page(&app, Role::Admin, &review).await;
    assert!(!html.contains(approves) && !html.contains(locks), "{html}");
    let editor = "/acme/support/chat/welcome.message";
    assert!(page(&app, Role::Owner, editor).await.contains("/chat/-/publish\""));
    assert!(!page(&app, Role::Reviewer, editor).await.contains("/chat/-/publish\""));
    let publish = "/acme/support/chat/-/publish?version=1.0.0&environment=prod";
    assert!(!page(&app, Role::Owner, publish).await.contains("approval is missing"));
    app.reopen().await;
    app.save_from("welcome.message", "Hello Cleo\n", &[], Some(3), 200).await;
    app.lock("1.0.1").await;
    let publish = "/acme/support/chat/-/publish?version=1.0.1&environment=prod";
    assert!(page(&app, Role::Owner, publish).await.contains("1 approval is missing"));
}

//! Webhooks: told of what happens, signed, tried again, and never sent where they must not go.

use forge_api::auth::Role;
use forge_api::clock;
use forge_api::database::told::{self, Told};
use forge_api::database::{Conn, project};
use forge_api::webhook;
use reqwest::Method;
use serde_json::{Value, json};
use tests::receiver::Receiver;
use tests::until::{secs, until};
use tokio_util::sync::CancellationToken;

use crate::app::{App, Kind, SET, json_of, on_both, problem};

on_both!(what_is_told_of_agents_is_taken_once_and_anew_only_after_a_while);

const WEBHOOKS: &str = "/api/v1/projects/acme:support/webhooks";

/// A FORGE that sends webhooks to this machine.
async fn app(kind: Kind) -> (App, CancellationToken) {
    let options = [("webhook-private-addresses", "true"), ("webhook-retry-ms", "50")];
    let app = App::start_with(kind, &options).await;
    let stop = CancellationToken::new();
    tokio::spawn(webhook::run(app.state.clone(), stop.clone()));
    (app, stop)
}

async fn create(app: &App, body: Value) -> (String, String) {
    let made = app.post(WEBHOOKS, 201, body).await;
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

async fn delivered(app: &App, id: &str, event: &str) -> Value {
    until(&format!("the log says that {event} was delivered"), secs(30), async || {
        let log = app.get(&format!("{WEBHOOKS}/{id}/deliveries")).await;
        let items = log["items"].as_array()?.clone();
        items.into_iter().find(|d| d["event"] == event && d["state"] == "delivered")
    })
    .await
}

async fn what_happens_is_told(kind: Kind) {
    let (app, stop) = app(kind).await;
    let receiver = Receiver::start().await.unwrap();
    let (id, secret) = create(&app, json!({ "url": receiver.url(), "name": "pipeline" })).await;
    assert!(!app.dump_postgres().contains(&secret), "the secret lies sealed");
    app.save("welcome.message", "Hello", &[]).await;
    let asked = app.request(Role::ContextEngineer, Method::POST, &format!("{SET}/reviews")).json(&json!({}));
    let review = json_of(asked.send().await.unwrap(), 201).await;
    let digest = json!({ "digest": review["digest"] });
    let approve = app.request(Role::Reviewer, Method::POST, &format!("{SET}/reviews/current/approve"));
    assert_eq!(approve.json(&digest).send().await.unwrap().status(), 204);
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;

    for event in ["review.requested", "review.approved", "set.locked", "publication.created"] {
        let heard = receiver.hears(event, |_| true).await;
        assert!(heard.is_signed_by(&secret), "{event}");
        let body = heard.json();
        assert_eq!((&body["version"], &body["event"]), (&json!(1), &json!(event)));
        assert_eq!((&body["organisation"], &body["project"]), (&json!("acme"), &json!("support")));
        assert_eq!(heard.header("webhook-id"), body["id"]);
        assert!(body["url"].as_str().unwrap().starts_with(&app.url("/acme/support/")), "{body}");
    }
    let published = receiver.hears("publication.created", |_| true).await.json();
    assert_eq!(published["subject"], "acme/support/chat@1.0.0 to prod");
    assert_eq!(published["data"]["serial"], 1);
    let mut forged = receiver.hears("set.locked", |_| true).await;
    forged.body.push(' ');
    assert!(!forged.is_signed_by(&secret), "a signature is over every byte");
    let log = delivered(&app, &id, "set.locked").await;
    assert_eq!((&log["status"], &log["attempts"]), (&json!(200), &json!(1)), "{log}");

    // What was undone was never told: a publication that is refused leaves nothing in the outbox.
    let count = receiver.heard().len();
    let body = json!({ "set": "chat", "environment": "prod", "version": "1.0.0", "expected_serial": 9 });
    app.refused("/api/v1/projects/acme:support/publications", body, 409, "serial_mismatch").await;
    app.post(&format!("{WEBHOOKS}/{id}/test"), 201, json!({})).await;
    receiver.hears("ping", |_| true).await;
    assert_eq!(receiver.heard().len(), count + 1);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_on_sqlite() {
    what_happens_is_told(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_on_postgres() {
    what_happens_is_told(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_is_tried_again_and_can_be_sent_once_more() {
    let (app, stop) = app(Kind::Sqlite).await;
    let receiver = Receiver::start().await.unwrap();
    receiver.fail(2);
    let (id, first) = create(&app, json!({ "url": receiver.url(), "events": ["set.locked"] })).await;
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let log = delivered(&app, &id, "set.locked").await;
    assert_eq!(log["attempts"], 3, "{log}");
    let heard = receiver.heard();
    assert_eq!(heard.len(), 3);
    let ids: Vec<&str> = heard.iter().map(|h| h.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "who hears it twice can tell: {ids:?}");

    // By hand, under another secret.
    let made = app.post(&format!("{WEBHOOKS}/{id}/secret"), 201, json!({})).await;
    let second = made["secret"].as_str().unwrap();
    let path = format!("{WEBHOOKS}/{id}/deliveries/{}/redeliver", log["id"].as_str().unwrap());
    app.post(&path, 201, json!({})).await;
    let again = until("it comes once more", secs(30), async || receiver.heard().get(3).cloned()).await;
    assert_eq!(again.header("webhook-id"), ids[0]);
    assert!(again.is_signed_by(second) && !again.is_signed_by(&first));
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_chosen_is_told_and_nothing_of_other_projects() {
    let (app, stop) = app(Kind::Sqlite).await;
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "other" })).await;
    let (mine, all, slack) = (
        Receiver::start().await.unwrap(),
        Receiver::start().await.unwrap(),
        Receiver::start().await.unwrap(),
    );
    let new = json!({ "url": mine.url(), "events": ["review.requested"] });
    json_of(
        app.request(Role::Owner, Method::POST, "/api/v1/projects/acme:other/webhooks")
            .json(&new)
            .send()
            .await
            .unwrap(),
        201,
    )
    .await;
    create(&app, json!({ "url": all.url(), "events": ["set.locked"], "all_projects": true })).await;
    create(&app, json!({ "url": slack.url(), "kind": "slack", "events": ["set.locked"] })).await;
    let off = json!({ "url": mine.url(), "enabled": false });
    create(&app, off).await;
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    all.hears("set.locked", |_| true).await;
    let message = slack.hears("set.locked", |_| true).await.json();
    let text = message["text"].as_str().unwrap();
    assert!(text.starts_with("*acme/support/chat 1.0.0*: a version was made"), "{text}");
    assert!(message.as_object().unwrap().len() == 1 && text.contains("|open in FORGE>"), "{message}");
    assert!(mine.heard().is_empty(), "another project's, and one that is off");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_webhook_goes_to_the_inside_of_the_network() {
    let app = App::start(Kind::Sqlite).await;
    for url in [
        "http://example.org/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://10.0.0.1:8443/",
        "https://user:password@example.org/",
        "file:///etc/passwd",
        "x",
    ] {
        let found = app.refused(WEBHOOKS, json!({ "url": url }), 422, "invalid").await;
        assert_eq!(found["field"], "url", "{found}");
    }
    app.refused(WEBHOOKS, json!({ "url": "https://a.example/", "events": ["x"] }), 422, "invalid").await;
    app.refused(WEBHOOKS, json!({ "url": "https://a.example/", "kind": "x" }), 422, "invalid").await;
    // A name may lead anywhere: it is looked at when it is sent.
    let (id, _) = create(&app, json!({ "url": "https://localhost/" })).await;
    let stop = CancellationToken::new();
    tokio::spawn(webhook::run(app.state.clone(), stop.clone()));
    app.post(&format!("{WEBHOOKS}/{id}/test"), 201, json!({})).await;
    let tried = until("it was tried", secs(30), async || {
        let log = app.get(&format!("{WEBHOOKS}/{id}/deliveries")).await;
        log["items"].as_array()?.iter().find(|d| d["attempts"].as_i64() >= Some(1)).cloned()
    })
    .await;
    assert_eq!(tried["state"], "waiting");
    assert!(tried["error"].as_str().unwrap().contains("no address of the public network"), "{tried}");
    stop.cancel();
    let other = app.strange(Method::GET, &format!("{WEBHOOKS}/{id}")).send().await.unwrap();
    problem(other, 404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_make_change_and_remove_a_webhook() {
    let app = App::start(Kind::Sqlite).await;
    let browser = app.browser().await;
    let page = "/acme/support/-/webhooks";
    let send = async |path: &str, fields: &[(&str, &str)]| {
        let mut fields = fields.to_vec();
        fields.push(("csrf", &browser.csrf));
        let request = app.anonymous(Method::POST, path).header("cookie", &browser.cookies);
        request.header("accept", "text/html").form(&fields).send().await.unwrap()
    };
    let wrong = send(page, &[("url", "https://10.0.0.1/"), ("kind", "json"), ("name", "kept & kept")]).await;
    assert_eq!(wrong.status(), 422);
    let wrong = wrong.text().await.unwrap();
    assert!(
        wrong.contains("kept &amp; kept") && wrong.contains("no address of the public network"),
        "{wrong}"
    );
    let fields =
        [("url", "https://a.example/x"), ("kind", "json"), ("name", "chat"), ("event", "set.locked")];
    let made = send(page, &fields).await;
    assert_eq!(made.status(), 200);
    assert!(made.text().await.unwrap().contains("whsec_"));
    let listed = app.get(WEBHOOKS).await;
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(listed["items"][0]["events"], json!(["set.locked"]));
    assert!(listed["items"][0]["secret"].is_null());
    let one = format!("{page}/{id}");
    let changed = [("do", "change"), ("url", "https://b.example/"), ("kind", "slack"), ("enabled", "no")];
    assert_eq!(send(&one, &changed).await.status(), 303);
    let now = app.get(&format!("{WEBHOOKS}/{id}")).await;
    assert_eq!((&now["kind"], &now["enabled"]), (&json!("slack"), &json!(false)));
    assert_eq!(send(&one, &[("do", "test")]).await.status(), 303);
    let shown = app.by(&browser, Method::GET, &one).header("accept", "text/html").send().await.unwrap();
    assert!(shown.text().await.unwrap().contains("ping"));
    assert_eq!(send(&format!("{one}/remove"), &[]).await.status(), 303);
    assert_eq!(app.get(WEBHOOKS).await["items"], json!([]));
}

/// Takes that agents are stale and that they refused a publication, under a token of its own; gives what was taken.
async fn take(
    conn: &mut Conn,
    (environment, refused): (&str, &str),
    now: i64,
    agents: &[&str],
) -> Vec<String> {
    let token = clock::new_id();
    let row = |agent: &str, what: &str| Told {
        environment_id: environment.into(),
        agent: agent.into(),
        what: what.into(),
        token: token.clone(),
        told_at: now,
        ended: false,
    };
    let mut rows: Vec<Told> = Vec::new();
    for agent in agents {
        rows.extend([row(agent, told::STALE), row(agent, refused)]);
    }
    rows.sort();
    told::take(conn, &rows, now - 100).await.unwrap();
    let mut taken = Vec::new();
    for one in told::taken(conn, &token).await.unwrap() {
        taken.push(if one.what == told::STALE { one.agent } else { format!("{} refused", one.agent) });
    }
    taken.sort();
    taken
}

async fn what_is_told_of_agents_is_taken_once_and_anew_only_after_a_while(app: App) {
    let mut tx = app.state.database.write().await.unwrap();
    let environment = project::environments(&mut tx, &app.at.project.id).await.unwrap()[0].id.clone();
    let publication = clock::new_id();
    let of = (environment.as_str(), publication.as_str());
    let both = ["a".to_owned(), "b".to_owned()];
    assert_eq!(take(&mut tx, of, 1000, &["a", "b"]).await, ["a", "a refused", "b", "b refused"]);
    assert_eq!(take(&mut tx, of, 2000, &["a", "b", "c"]).await, ["c", "c refused"], "they still are");
    told::end_stale(&mut tx, &environment, &both[..1]).await.unwrap();
    assert_eq!(take(&mut tx, of, 1050, &["a", "b"]).await, Vec::<String>::new(), "too soon");
    assert_eq!(told::held_back(&mut tx, &environment, &both).await.unwrap(), ["a"]);
    assert_eq!(take(&mut tx, of, 1101, &["a", "b"]).await, ["a"], "once more, and no refusal");
    assert!(told::held_back(&mut tx, &environment, &both).await.unwrap().is_empty());
    told::forget(&mut tx, &environment, "b").await.unwrap();
    assert_eq!(take(&mut tx, of, 1102, &["a", "b"]).await, ["b", "b refused"]);
    tx.commit().await.unwrap();
}

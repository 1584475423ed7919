//! The first user.

use forge_api::audit::INSTALLATION;
use forge_api::database::audit;
use forge_api::session::{self, set_up};
use reqwest::Method;
use reqwest::header::COOKIE;

use crate::app::{Empty, Kind, PASSWORD, cookies, json_of};
use crate::database::sql;

/// Makes one test for each database.
macro_rules! on_empty {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(super::Empty::start_with(super::Kind::Sqlite, &[]).await).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(super::Empty::start_with(super::Kind::Postgres, &[]).await).await;
            }
        }
    )+ };
}

on_empty!(
    the_first_user_is_made_by_the_link_and_by_nothing_else,
    of_two_who_set_up_at_once_one_does,
    a_link_is_void_after_an_hour_and_once_there_is_a_user,
);

const FORM: [(&str, &str); 4] = [
    ("name", "Mara Lindqvist"),
    ("email", "Mara@example.org"),
    ("password", PASSWORD),
    ("organisation", "Fernway Ltd"),
];

async fn get(app: &Empty, path: &str) -> u16 {
    app.request(Method::GET, path).header("accept", "text/html").send().await.unwrap().status().as_u16()
}

async fn post(app: &Empty, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
    app.request(Method::POST, path).header("accept", "text/html").form(form).send().await.unwrap()
}

async fn the_first_user_is_made_by_the_link_and_by_nothing_else(app: Empty) {
    let link = set_up::link(&app.state).await.unwrap().unwrap();
    assert_eq!(get(&app, "/-/set-up/x").await, 404);
    assert_eq!(post(&app, "/-/set-up/x", &FORM).await.status(), 404);
    assert!(session::user_by_email(&app.state, "mara@example.org").await.is_err());
    assert_eq!(get(&app, &link).await, 200);
    // What cannot be taken is said, and the link stays good.
    let weak = [FORM[0], FORM[1], ("password", "short"), FORM[3]];
    let answer = post(&app, &link, &weak).await;
    assert_eq!(answer.status(), 422);
    let html = answer.text().await.unwrap();
    assert!(html.contains("at least 12 characters") && html.contains("Fernway Ltd"), "{html}");
    assert!(!html.contains("short"), "a password is not sent back");

    let made = post(&app, &link, &FORM).await;
    assert_eq!((made.status().as_u16(), made.headers()["location"].to_str().unwrap()), (303, "/"));
    let me = app.request(Method::GET, "/api/v1/me").header(COOKIE, cookies(&made)).send().await.unwrap();
    let me = json_of(me, 200).await;
    assert_eq!(me["email"], "mara@example.org");
    assert_eq!(me["organisations"][0]["organisation"], "fernway-ltd");
    assert_eq!(me["organisations"][0]["role"], "owner");

    assert_eq!(get(&app, &link).await, 404);
    assert_eq!(post(&app, &link, &FORM).await.status(), 404);
    assert_eq!(set_up::link(&app.state).await.unwrap(), None, "no link is made any more");
    app.state.refusals.close(&app.state).await;
    let mut conn = app.state.database.read().await.unwrap();
    let log = audit::above(&mut conn, INSTALLATION, 0, 100).await.unwrap();
    for action in ["installation.set_up", "user.created", "session.started", "set_up.refused"] {
        assert!(log.iter().any(|e| e.action == action), "{action}");
    }
    let token = link.rsplit('/').next().unwrap();
    assert!(log.iter().all(|e| !e.subject.contains(token) && !e.detail.contains(token)));
}

async fn of_two_who_set_up_at_once_one_does(app: Empty) {
    let one = set_up::link(&app.state).await.unwrap().unwrap();
    let two = set_up::link(&app.state).await.unwrap().unwrap();
    let other = [FORM[0], ("email", "jonas@example.org"), FORM[2], ("organisation", "Globex")];
    let (a, b, c) = tokio::join!(post(&app, &one, &FORM), post(&app, &one, &other), post(&app, &two, &other));
    let mut statuses = [a, b, c].map(|answer| answer.status().as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 404, 404]);
}

async fn a_link_is_void_after_an_hour_and_once_there_is_a_user(app: Empty) {
    let link = set_up::link(&app.state).await.unwrap().unwrap();
    sql(&app.state.database, "UPDATE set_up_links SET expires_at = 1").await.unwrap();
    assert_eq!(get(&app, &link).await, 404);
    assert_eq!(post(&app, &link, &FORM).await.status(), 404);
    let link = set_up::link(&app.state).await.unwrap().unwrap();
    assert_eq!(get(&app, &link).await, 200);
    session::create_user(&app.state, "operator@example.org", "", None).await.unwrap();
    assert_eq!(get(&app, &link).await, 404);
    assert_eq!(post(&app, &link, &FORM).await.status(), 404);
}

/// `forge …` in an empty folder: exit code, what it said, and whether the folder is empty still.
fn in_an_empty_folder(arguments: &[&str]) -> (Option<i32>, String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_forge"))
        .args(arguments)
        .current_dir(&folder)
        .env_remove("FORGE_DATA_DIR")
        .env_remove("FORGE_DATABASE_URL")
        .output()
        .unwrap();
    let is_empty = std::fs::read_dir(&folder).unwrap().next().is_none();
    (done.status.code(), String::from_utf8(done.stderr).unwrap(), is_empty)
}

#[test]
fn a_command_that_works_on_an_installation_makes_none() {
    for arguments in [
        &["audit", "verify"][..],
        &["audit", "export"],
        &["bundle", "acme/support/chat", "--out", "chat.json"],
        &["keys", "list"],
        &["user", "sign-in-link", "ada@example.org"],
        &["export", "acme/support/chat", "here"],
        &["agents", "list", "--project", "acme/support"],
        &["republish"],
        &["verify", "chat.json"],
    ] {
        let (code, said, is_empty) = in_an_empty_folder(arguments);
        assert_eq!((code, is_empty), (Some(64), true), "{arguments:?}: {said}");
        assert!(
            said.contains("no installation in data; give the folder of one (flag --data-dir"),
            "{arguments:?}: {said}"
        );
    }
    let (code, said, is_empty) = in_an_empty_folder(&["user", "add", "ada@example.org"]);
    assert_eq!((code, is_empty), (Some(0), false), "{said}");
}

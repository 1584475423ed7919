//! How often somebody may ask, and from where.

use std::time::{Duration, Instant};

use forge_api::audit::INSTALLATION;
use forge_api::auth::Role;
use forge_api::database::audit::AuditEntry;
use reqwest::header::COOKIE;
use reqwest::{Method, Response};
use serde_json::json;
use tests::until::{secs, until};

use crate::app::{App, Kind, PASSWORD, SET, cookies, problem};

const SESSIONS: &str = "/api/v1/sessions";

async fn sign_in(app: &App, password: &str, headers: &[(&str, &str)]) -> Response {
    let body = json!({ "email": "owner@example.org", "password": password });
    let request = app.anonymous(Method::POST, SESSIONS).json(&body);
    headers.iter().fold(request, |r, (name, value)| r.header(*name, *value)).send().await.unwrap()
}

fn wait(answer: &Response) -> u64 {
    answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Asks, each time with the next number, until it is too often; gives that answer, and how many came through before.
/// However slow the machine is, these are no more than may come at once, and what the time allows beyond them.
async fn too_often(
    (at_once, a_second): (u32, u32),
    mut ask: impl AsyncFnMut(u32) -> Response,
) -> (Response, u32) {
    let (began, mut good) = (Instant::now(), 0);
    loop {
        let answer = ask(good).await;
        if answer.status() == 429 {
            return (answer, good);
        }
        good += 1;
        let most = f64::from(at_once) + f64::from(a_second) * began.elapsed().as_secs_f64() + 1.0;
        assert!(f64::from(good) <= most, "{good} came through, {most} may");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guess_spread_over_many_addresses_is_slow_and_the_owner_still_comes_in() {
    let options = [("sign-in-per-minute", "8"), ("trusted-proxies", "127.0.0.0/8")];
    let app = App::start_with(Kind::Sqlite, &options).await;
    let mine = sign_in(&app, PASSWORD, &[("x-forwarded-for", "192.0.2.1")]).await;
    assert_eq!(mine.status(), 201);
    let set = cookies(&mine);
    let browser = set.split("; ").find(|c| c.starts_with("anvil_browser=")).unwrap().to_owned();
    let mut statuses = Vec::new();
    for n in 0..20 {
        let from = format!("198.51.100.{n}");
        statuses
            .push(sign_in(&app, "guess guess guess", &[("x-forwarded-for", &from)]).await.status().as_u16());
    }
    assert_eq!(statuses.iter().filter(|s| **s == 422).count(), 7, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 429).count(), 13, "{statuses:?}");
    // Even the right password is not looked at from a browser that nobody knows.
    let new = sign_in(&app, PASSWORD, &[("x-forwarded-for", "203.0.113.1")]).await;
    assert!(wait(&new) > 60, "{}", wait(&new));
    problem(new, 429, "rate_limited").await;
    // From her own browser she comes in, even from elsewhere.
    let known = [("x-forwarded-for", "203.0.113.2"), (COOKIE.as_str(), browser.as_str())];
    assert_eq!(sign_in(&app, PASSWORD, &known).await.status(), 201);
    // A forged one is no known one.
    let forged = browser.replace("anvil_browser=", "anvil_browser=x");
    let forged = [("x-forwarded-for", "203.0.113.3"), (COOKIE.as_str(), forged.as_str())];
    assert_eq!(sign_in(&app, PASSWORD, &forged).await.status(), 429);
    let named = |e: &AuditEntry| e.action == "sign_in.refused" && e.subject == "owner@example.org";
    app.audited(INSTALLATION, named).await;
    // Too many tries: nothing is looked up, and nobody is named.
    let unnamed = |e: &AuditEntry| e.detail.contains("too many tries");
    let late = app.audited(INSTALLATION, unnamed).await;
    assert!(late.subject.starts_with("account "), "{late:?}");
    app.audited(INSTALLATION, |e| named(e) && e.detail.contains(&format!("({})", late.subject))).await;
    app.audited(INSTALLATION, |e| e.detail.contains("198.51.100.3")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_address_from_a_peer_that_is_not_trusted_has_no_effect() {
    // One attempt a minute: a quarter of what an address may.
    let app = App::start_with(Kind::Sqlite, &[("sign-in-per-minute", "4")]).await;
    let mut statuses = Vec::new();
    for n in 0..4 {
        let from = format!("198.51.100.{n}");
        statuses
            .push(sign_in(&app, "guess guess guess", &[("x-forwarded-for", &from)]).await.status().as_u16());
    }
    assert_eq!(statuses, [422, 429, 429, 429], "it is one address, whatever it says");
    let entry = app.audited(INSTALLATION, |e| e.action == "sign_in.refused").await;
    assert!(entry.detail.contains("127.0.0.1") && !entry.detail.contains("198.51.100"), "{entry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_a_user_and_an_address_each_have_their_limit() {
    let options = [("requests-per-second", "1"), ("trusted-proxies", "127.0.0.1")];
    let app = App::start_with(Kind::Sqlite, &options).await;
    let ask = |role: Option<Role>, from: String| {
        let request = match role {
            Some(role) => app.request(role, Method::GET, "/api/v1/me"),
            None => app.anonymous(Method::GET, "/api/v1/openapi.json"),
        };
        async move { request.header("x-forwarded-for", from).send().await.unwrap() }
    };
    // A token from ever new addresses.
    let from_anywhere = async |n: u32| ask(Some(Role::Viewer), format!("10.{}.{}.1", n / 250, n % 250)).await;
    let (last, good) = too_often((4, 1), from_anywhere).await;
    assert!(good >= 4 && wait(&last) >= 1, "{good}");
    problem(last, 429, "rate_limited").await;
    // An address with ever new tokens, and none.
    let tokens = [None, Some(Role::Owner), Some(Role::Reviewer), Some(Role::Admin)];
    let from_one = async |n: u32| ask(tokens[n as usize % tokens.len()], "10.9.9.9".into()).await;
    let (_, good) = too_often((16, 4), from_one).await;
    assert!(good >= 16, "{good}");
    assert_eq!(ask(None, "10.8.8.8".into()).await.status(), 200, "another address is not concerned");
    // A bad token is counted before it is looked up.
    let bad = app.anonymous(Method::GET, "/api/v1/me").bearer_auth("anvil_guess");
    let guess = async |n: u32| {
        let answer = bad.try_clone().unwrap().send().await.unwrap();
        assert!([401, 429].contains(&answer.status().as_u16()), "{n}: {}", answer.status());
        answer
    };
    let (_, good) = too_often((16, 4), guess).await;
    assert!(good >= 16, "{good}");
    app.audited(INSTALLATION, |e| e.action == "rate.refused").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_comes_too_often_says_when_to_come_back() {
    let options = [("requests-per-second", "1"), ("sign-in-per-minute", "4")];
    let app = App::start_with(Kind::Sqlite, &options).await;
    let page = |method: Method| app.anonymous(method, "/-/sign-in").header("accept", "text/html");
    let form = [("email", "owner@example.org"), ("password", "wrong wrong wrong")];
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(page(Method::POST).form(&form).send().await.unwrap());
    }
    assert_eq!(answers[0].status(), 422);
    assert_eq!(answers[1].status(), 429);
    assert!(wait(&answers[1]) >= 1);
    let (last, _) = too_often((4, 1), async |_: u32| page(Method::GET).send().await.unwrap()).await;
    assert!(wait(&last) >= 1);
    assert!(last.text().await.unwrap().contains("<html"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_at_an_old_password_or_at_a_set_up_link_is_recorded_though_nothing_is_looked_up() {
    let app = App::start_with(Kind::Sqlite, &[("sign-in-per-minute", "4")]).await;
    let browser = app.browser().await;
    let form = [("csrf", browser.csrf.as_str()), ("old", "wrong"), ("new", "another horse battery")];
    let change = || app.by(&browser, Method::POST, "/-/account/password").form(&form).send();
    let (_, late) = (change().await.unwrap(), change().await.unwrap());
    assert_eq!(late.status(), 429);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let link = app.anonymous(Method::GET, "/-/set-up/guess").header("accept", "text/html");
        statuses.push(link.send().await.unwrap().status().as_u16());
    }
    // Of four a minute the browser had one. Which of these are too many is for the machine to say.
    assert!(statuses.iter().all(|s| [404, 429].contains(s)) && statuses.contains(&429), "{statuses:?}");
    app.state.refusals.close(&app.state).await;
    let log = app.audit(INSTALLATION).await;
    for (action, more) in [("password.refused", 1), ("set_up.refused", 5)] {
        let entries: Vec<_> = log.iter().filter(|e| e.action == action).collect();
        let more = format!("\"more\":{more},");
        assert!(entries.iter().any(|e| e.detail.contains(&more)), "{action}: {entries:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_signed_in_sends_no_large_bodies() {
    let app = App::start(Kind::Sqlite).await;
    let large = "x".repeat(70_000);
    let body = json!({ "email": "owner@example.org", "password": large });
    let answer = app.anonymous(Method::POST, SESSIONS).json(&body).send().await.unwrap();
    problem(answer, 413, "too_large").await;
    // Nor without saying how large.
    let text = body.to_string().into_bytes();
    let parts = text.chunks(1000).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect::<Vec<_>>();
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(parts));
    let request = app.anonymous(Method::POST, SESSIONS).header("content-type", "application/json");
    problem(request.body(stream).send().await.unwrap(), 413, "too_large").await;
    for path in ["/-/sign-in", "/-/sign-in/x", "/-/set-up/x"] {
        let form = [("email", "owner@example.org"), ("password", large.as_str())];
        let answer = app.anonymous(Method::POST, path).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 413, "{path}");
    }
    assert_eq!(sign_in(&app, PASSWORD, &[]).await.status(), 201);
}

/// A connection that is closed on who still sends takes the answer with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_reaches_who_still_sends_a_body_that_nobody_reads() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = App::start(Kind::Sqlite).await;
    let address = app.url("").replace("http://", "");
    let token = app.token(Role::Owner);
    let (part, parts) = (vec![b'x'; 64 * 1024], 16);
    for (path, says) in
        [(format!("{SET}/reopen"), "HTTP/1.1 409"), ("/api/v1/nothing/here".to_owned(), "HTTP/1.1 404")]
    {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            part.len() * parts
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..parts {
            // Slower than the server answers: it is not a wait for anything.
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.write_all(&part).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(answer.starts_with(says), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_twenty_live_pages_at_once() {
    let app = App::start(Kind::Sqlite).await;
    let open = |role| app.request(role, Method::GET, "/-/events?topic=organisation/acme").send();
    let mut pages = Vec::new();
    for _ in 0..20 {
        pages.push(open(Role::Viewer).await.unwrap());
    }
    assert!(pages.iter().all(|page| page.status() == 200));
    assert_eq!(open(Role::Viewer).await.unwrap().status(), 429);
    assert_eq!(open(Role::Admin).await.unwrap().status(), 200, "each has their own");
    pages.pop();
    let free = async || (open(Role::Viewer).await.unwrap().status() == 200).then_some(());
    until("the place of a page that was left is free", secs(60), free).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_or_not_all_is_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = App::start(Kind::Sqlite).await;
    let address = app.url("").replace("http://", "");
    let whole = format!("GET /health/live HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut open = Vec::new();
    // Nothing; half a head; a request, and then nothing.
    for said in ["", "GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ", &whole] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        open.push(stream);
    }
    let closed = open.into_iter().map(|mut stream| async move {
        let mut answer = Vec::new();
        tokio::time::timeout(secs(60), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    });
    let answers = futures::future::join_all(closed).await;
    assert!(answers[2].starts_with("HTTP/1.1 200"), "{answers:?}");
}

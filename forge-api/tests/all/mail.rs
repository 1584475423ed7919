//! Mail, taken by a real server on this machine that speaks the protocol.

use std::sync::{Arc, Mutex};

use forge_api::auth::Role;
use forge_api::mail;
use reqwest::Method;
use serde_json::{Value, json};
use tests::until::{secs, until};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::app::{App, Kind, PASSWORD, cookies, json_of};
use crate::database::{dump, sql};

/// A server that takes mail; how it answers to the first attempts is told to it.
struct Server {
    address: std::net::SocketAddr,
    taken: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<Vec<&'static str>>>,
}

impl Server {
    async fn start(refusals: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, refusals) = (Arc::default(), Arc::new(Mutex::new(refusals.to_vec())));
        let server = Self { address, taken, refusals };
        let (taken, refusals) = (Arc::clone(&server.taken), Arc::clone(&server.refusals));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&taken), Arc::clone(&refusals)));
            }
        });
        server
    }

    fn options(&self) -> Vec<(String, String)> {
        vec![
            ("smtp-url".into(), format!("smtp://{}", self.address)),
            ("smtp-from".into(), "FORGE <forge@example.org>".into()),
        ]
    }

    /// The text of the mail to somebody, as soon as it is there.
    async fn mail_to(&self, email: &str) -> String {
        until("the mail is there", secs(120), async || {
            let taken = self.taken.lock().unwrap();
            taken.iter().rev().find(|m| m.contains(&format!("RCPT TO:<{email}>"))).cloned()
        })
        .await
    }
}

/// RFC 5321, as far as a client needs it.
async fn converse(
    stream: TcpStream,
    taken: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<Vec<&'static str>>>,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 test ESMTP\r\n").await?;
    let mut mail = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-test\r\n250 8BITMIME\r\n",
            "HELO" | "RSET" | "NOOP" => "250 fine\r\n",
            "MAIL" => {
                let refusal = { refusals.lock().unwrap().pop() };
                mail.clear();
                refusal.unwrap_or("250 fine\r\n")
            }
            "RCPT" => {
                mail.push_str(&line);
                mail.push('\n');
                "250 fine\r\n"
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await?;
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                taken.lock().unwrap().push(mail.clone());
                "250 taken\r\n"
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "502 what?\r\n",
        };
        writer.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// A FORGE that sends its mail there, and stops sending with the guard.
async fn app(kind: Kind, server: &Server) -> (App, tokio_util::sync::DropGuard) {
    let options = server.options();
    let options: Vec<_> = options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let app = App::start_with(kind, &options).await;
    let stop = CancellationToken::new();
    tokio::spawn(mail::run(app.state.clone(), stop.clone()));
    (app, stop.drop_guard())
}

/// A link in a mail, whatever lines it was broken into.
fn link(mail: &str, path: &str) -> String {
    let whole = mail.replace("=\n", "").replace("=3D", "=");
    let rest = whole.split(path).nth(1).unwrap_or_else(|| panic!("no {path} in {mail}"));
    let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    format!("{path}{token}")
}

async fn invite(app: &App, email: &str) -> Value {
    let owner = app.browser().await;
    let body = json!({ "email": email, "role": "reviewer" });
    let path = "/api/v1/organisations/acme/invitations";
    json_of(app.by(&owner, Method::POST, path).json(&body).send().await.unwrap(), 201).await
}

async fn state_of(app: &App, state: &str) {
    let owner = app.browser().await;
    until("the invitation says what became of its mail", secs(120), async || {
        let listed =
            app.by(&owner, Method::GET, "/api/v1/organisations/acme/invitations").send().await.unwrap();
        (json_of(listed, 200).await["items"][0]["mail"] == state).then_some(())
    })
    .await;
}

async fn mails(kind: Kind) {
    let server = Server::start(&[]).await;
    let (app, _sending) = app(kind, &server).await;

    let made = invite(&app, "ada@example.org").await;
    assert!(
        made.get("link").is_none() && made["mail"] == "waiting",
        "nobody but the mailbox sees it: {made}"
    );
    let mail = server.mail_to("ada@example.org").await;
    assert!(
        mail.contains("Subject: owner invites you to Acme")
            && mail.contains("From: FORGE <forge@example.org>")
    );
    let invitation = link(&mail, "/-/invitations/");
    state_of(&app, "sent").await;
    let token = invitation.rsplit('/').next().unwrap();
    assert!(!dump(&app).await.contains(token), "not even while it waited");
    let form = [("name", "Ada"), ("password", PASSWORD)];
    let joined = app.anonymous(Method::POST, &invitation).form(&form).send().await.unwrap();
    assert_eq!(joined.status(), 303);

    let form = [("email", "Ada@example.org ")];
    let asked = app.anonymous(Method::POST, "/-/sign-in-link").form(&form).send().await.unwrap();
    assert!(asked.text().await.unwrap().contains("a link is on its way"));
    let taken = server.taken.lock().unwrap().len();
    let mail = until("the second mail is there", secs(120), async || {
        server.taken.lock().unwrap().iter().skip(taken.min(1)).find(|m| m.contains("/-/sign-in/")).cloned()
    })
    .await;
    let sign_in = link(&mail, "/-/sign-in/");
    let entered = app.anonymous(Method::POST, &sign_in).form(&[("next", "/acme")]).send().await.unwrap();
    assert_eq!((entered.status().as_u16(), entered.headers()["location"].to_str().unwrap()), (303, "/acme"));
    assert!(cookies(&entered).contains("anvil_session="));
    let again = app.anonymous(Method::POST, &sign_in).form(&[("next", "/")]).send().await.unwrap();
    assert_eq!(again.status(), 422, "once");

    // Who is unknown is sent nothing: what is sent to who asked later came, and nothing else did.
    for email in ["nobody@example.org", "viewer@example.org"] {
        let _ =
            app.anonymous(Method::POST, "/-/sign-in-link").form(&[("email", email)]).send().await.unwrap();
    }
    let _ = server.mail_to("viewer@example.org").await;
    assert!(server.taken.lock().unwrap().iter().all(|m| !m.contains("nobody@example.org")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitations_and_links_are_mailed_on_sqlite() {
    mails(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitations_and_links_are_mailed_on_postgres() {
    mails(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_a_server_does_not_take_yet_is_tried_again_and_what_it_never_takes_is_said() {
    let server = Server::start(&["451 later\r\n", "421 busy\r\n"]).await;
    let (app, _sending) = app(Kind::Sqlite, &server).await;
    invite(&app, "ada@example.org").await;
    let _ = server.mail_to("ada@example.org").await;
    state_of(&app, "sent").await;
    assert!(server.refusals.lock().unwrap().is_empty(), "both refusals came before it");

    server.refusals.lock().unwrap().push("550 never\r\n");
    invite(&app, "bob@example.org").await;
    state_of(&app, "failed").await;
    let owner = app.browser().await;
    let page =
        app.by(&owner, Method::GET, "/acme/-/settings").header("accept", "text/html").send().await.unwrap();
    assert!(page.text().await.unwrap().contains("mail not sent"));
    assert!(server.taken.lock().unwrap().iter().all(|m| !m.contains("bob@example.org")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_withdrawn_is_not_sent_any_more() {
    let server = Server::start(&[]).await;
    let options = server.options();
    let options: Vec<_> = options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    // Nobody sends yet.
    let app = App::start_with(Kind::Sqlite, &options).await;
    let made = invite(&app, "ada@example.org").await;
    let owner = app.browser().await;
    let path = format!("/api/v1/organisations/acme/invitations/{}", made["id"].as_str().unwrap());
    assert_eq!(app.by(&owner, Method::DELETE, &path).send().await.unwrap().status(), 204);
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    tokio::spawn(mail::run(app.state.clone(), stop));
    invite(&app, "bob@example.org").await;
    let _ = server.mail_to("bob@example.org").await;
    // The server has a mail before FORGE knows that it was taken.
    state_of(&app, "sent").await;
    assert!(server.taken.lock().unwrap().iter().all(|m| !m.contains("ada@example.org")));
    // A link may be shown instead, by name.
    let body = json!({ "email": "eve@example.org", "role": "viewer", "mail": false });
    let shown = app.by(&owner, Method::POST, "/api/v1/organisations/acme/invitations").json(&body);
    let shown = json_of(shown.send().await.unwrap(), 201).await;
    assert!(shown["link"].as_str().unwrap().contains("/-/invitations/") && shown["mail"] == "none");
    assert_eq!(sql(&app.state.database, "DELETE FROM mails").await.unwrap(), 0, "nothing is left waiting");
    assert_eq!(app.request(Role::Owner, Method::GET, "/api/v1/me").send().await.unwrap().status(), 200);
}

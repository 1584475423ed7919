//! Mail over TLS, taken by real servers on this machine: one that speaks STARTTLS, one that speaks TLS from the first
//! byte, and those that must not be given anything.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use forge_api::mail;
use reqwest::Method;
use serde_json::{Value, json};
use tests::certificate::TestAuthority;
use tests::until::{secs, until};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{App, Kind, json_of};

const USER: &str = "forge@example.org";
const PASSWORD: &str = "a password of the mail server";

/// How a server secures what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    Tls,
    StartTls,
    /// It knows no TLS.
    None,
}

/// What a server heard.
#[derive(Debug, Default)]
struct Heard {
    /// Every line that came in the open.
    open: Vec<String>,
    /// Users and passwords that were let in.
    logins: Vec<String>,
    mails: Vec<String>,
    /// Handshakes that the other side broke off.
    broken: usize,
}

/// A server that takes mail from who signs in.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Clone)]
struct Talk {
    security: Security,
    acceptor: TlsAcceptor,
    heard: Arc<Mutex<Heard>>,
}

fn acceptor(authority: &TestAuthority, folder: &Path, names: &[&str]) -> TlsAcceptor {
    let files = authority.sign(folder, "mail", names, false).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&std::fs::read(files.certificate).unwrap()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&std::fs::read(files.key).unwrap()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

impl Server {
    async fn start(security: Security, acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let talk = Talk { security, acceptor, heard: Arc::clone(&heard) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let talk = talk.clone();
                tokio::spawn(async move { talk.serve(stream).await });
            }
        });
        Self { address, heard }
    }

    async fn mail_to(&self, email: &str) -> String {
        until("the mail is there", secs(30), async || {
            let heard = self.heard.lock().unwrap();
            heard.mails.iter().find(|mail| mail.contains(&format!("RCPT TO:<{email}>"))).cloned()
        })
        .await
    }

    /// Nobody showed a password here, nobody named a mailbox, and no mail came.
    fn got_nothing(&self) {
        let heard = self.heard.lock().unwrap();
        assert!(heard.logins.is_empty() && heard.mails.is_empty(), "{heard:?}");
        let said = |line: &String| ["EHLO", "STARTTLS", "QUIT"].iter().any(|verb| line.starts_with(verb));
        assert!(heard.open.iter().all(said), "{heard:?}");
    }
}

impl Talk {
    async fn serve(self, stream: TcpStream) -> std::io::Result<()> {
        if self.security == Security::Tls {
            return match self.acceptor.accept(stream).await {
                Ok(stream) => self.converse(stream, true, true).await.map(drop),
                Err(_) => self.broke(),
            };
        }
        let Some(stream) = self.converse(stream, false, true).await? else { return Ok(()) };
        match self.acceptor.accept(stream).await {
            Ok(stream) => self.converse(stream, true, false).await.map(drop),
            Err(_) => self.broke(),
        }
    }

    fn broke(&self) -> std::io::Result<()> {
        self.heard.lock().unwrap().broken += 1;
        Ok(())
    }

    /// RFC 5321, 3207 and 4954, as far as a client needs them. Gives the connection back where TLS is to begin.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        safe: bool,
        greets: bool,
    ) -> std::io::Result<Option<S>> {
        let mut stream = BufReader::new(stream);
        if greets {
            stream.write_all(b"220 test ESMTP\r\n").await?;
            stream.flush().await?;
        }
        let (mut mail, mut known, mut line) = (String::new(), false, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let said = line.trim_end().to_owned();
            if !safe {
                self.heard.lock().unwrap().open.push(said.clone());
            }
            let verb = said.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            let answer = match verb.as_str() {
                "EHLO" if safe => "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n".to_owned(),
                "EHLO" if self.security == Security::StartTls => {
                    "250-test\r\n250-STARTTLS\r\n250 8BITMIME\r\n".into()
                }
                // It would take a password in the open, and a mail.
                "EHLO" => "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n".into(),
                "STARTTLS" if self.security == Security::StartTls && !safe => {
                    stream.write_all(b"220 go on\r\n").await?;
                    stream.flush().await?;
                    return Ok(Some(stream.into_inner()));
                }
                "AUTH" => {
                    let given = said.rsplit(' ').next().unwrap_or_default();
                    let login = BASE64.decode(given.as_bytes()).unwrap_or_default();
                    known = login == format!("\0{USER}\0{PASSWORD}").into_bytes();
                    let login = String::from_utf8_lossy(&login).replace('\0', "|");
                    self.heard.lock().unwrap().logins.push(login);
                    if known { "235 welcome\r\n" } else { "535 who?\r\n" }.into()
                }
                "MAIL" if !known => "530 sign in\r\n".into(),
                "MAIL" | "RSET" | "NOOP" => {
                    mail.clear();
                    "250 fine\r\n".into()
                }
                "RCPT" => {
                    let _ = writeln!(mail, "{said}");
                    "250 fine\r\n".into()
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    stream.flush().await?;
                    loop {
                        line.clear();
                        if stream.read_line(&mut line).await? == 0 || line.trim_end() == "." {
                            break;
                        }
                        mail.push_str(&line);
                    }
                    self.heard.lock().unwrap().mails.push(mail.clone());
                    "250 taken\r\n".into()
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await?;
                    stream.flush().await?;
                    return Ok(None);
                }
                _ => "502 what?\r\n".into(),
            };
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

/// A FORGE that sends its mail to a server by a login, and believes this authority only.
async fn app(
    kind: Kind,
    scheme: &str,
    server: &Server,
    believed: &TestAuthority,
    folder: &Path,
) -> (App, DropGuard) {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let url = format!("{scheme}://{USER}@{}", server.address);
    let (password, ca) = (file("smtp.password", PASSWORD), file("smtp.ca.pem", &believed.pem));
    let options = [
        ("smtp-url", url.as_str()),
        ("smtp-from", "FORGE <forge@example.org>"),
        ("smtp-password-file", password.as_str()),
        ("smtp-ca", ca.as_str()),
    ];
    let app = App::start_with(kind, &options).await;
    let stop = CancellationToken::new();
    tokio::spawn(mail::run(app.state.clone(), stop.clone()));
    (app, stop.drop_guard())
}

async fn invite(app: &App, email: &str) {
    let owner = app.browser().await;
    let body = json!({ "email": email, "role": "reviewer" });
    let path = "/api/v1/organisations/acme/invitations";
    let made = json_of(app.by(&owner, Method::POST, path).json(&body).send().await.unwrap(), 201).await;
    assert_eq!((&made["mail"], made.get("mail_error")), (&json!("waiting"), None), "{made}");
}

/// The invitation, as soon as it says this of its mail.
async fn invitation(app: &App, is: impl Fn(&Value) -> bool) -> Value {
    let owner = app.browser().await;
    until("the invitation says what became of its mail", secs(30), async || {
        let listed =
            app.by(&owner, Method::GET, "/api/v1/organisations/acme/invitations").send().await.unwrap();
        Some(json_of(listed, 200).await["items"][0].clone()).filter(&is)
    })
    .await
}

/// Why the mail waits; nothing of it was sent.
async fn refused(app: &App, server: &Server) -> String {
    invite(app, "ada@example.org").await;
    let told = invitation(app, |told| told["mail_error"].is_string()).await;
    assert_eq!(told["mail"], "waiting", "it is tried again: {told}");
    server.got_nothing();
    let owner = app.browser().await;
    let page = app.by(&owner, Method::GET, "/acme/-/settings").header("accept", "text/html");
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("mail is tried again"), "{page}");
    told["mail_error"].as_str().unwrap().to_owned()
}

async fn arrives(kind: Kind, scheme: &str, security: Security) {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new("Mail").unwrap();
    let server = Server::start(security, acceptor(&authority, folder.path(), &["127.0.0.1"])).await;
    let (app, _sending) = app(kind, scheme, &server, &authority, folder.path()).await;
    invite(&app, "ada@example.org").await;
    let mail = server.mail_to("ada@example.org").await;
    assert!(mail.contains("Subject: owner invites you to Acme"), "{mail}");
    let told = invitation(&app, |told| told["mail"] == "sent").await;
    assert!(told.get("mail_error").is_none(), "{told}");
    let heard = server.heard.lock().unwrap();
    assert_eq!(heard.logins, [format!("|{USER}|{PASSWORD}")]);
    let open: Vec<&str> = heard.open.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    let expected: &[&str] = if security == Security::Tls { &[] } else { &["EHLO", "STARTTLS"] };
    assert_eq!(open, expected, "nothing else came in the open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_arrives_by_starttls_on_sqlite() {
    arrives(Kind::Sqlite, "smtp", Security::StartTls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_arrives_by_starttls_on_postgres() {
    arrives(Kind::Postgres, "smtp", Security::StartTls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_arrives_over_tls_from_the_first_byte() {
    arrives(Kind::Sqlite, "smtps", Security::Tls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_starttls_is_given_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new("Mail").unwrap();
    let server = Server::start(Security::None, acceptor(&authority, folder.path(), &["127.0.0.1"])).await;
    let (app, _sending) = app(Kind::Sqlite, "smtp", &server, &authority, folder.path()).await;
    let why = refused(&app, &server).await;
    assert!(why.contains("STARTTLS"), "{why}");
    // Nor over TLS from the first byte, to a server that speaks none.
    let other = tempfile::tempdir().unwrap();
    let (app, _sending) = self::app(Kind::Sqlite, "smtps", &server, &authority, other.path()).await;
    invite(&app, "bob@example.org").await;
    invitation(&app, |told| told["mail_error"].is_string()).await;
    let heard = server.heard.lock().unwrap();
    assert!(heard.logins.is_empty() && heard.mails.is_empty(), "{heard:?}");
}

/// A server with a certificate that must not be believed: nothing is sent, and why is said.
async fn is_not_believed(
    scheme: &str,
    security: Security,
    names: &[&str],
    signed_by_another: bool,
) -> String {
    let folder = tempfile::tempdir().unwrap();
    let believed = TestAuthority::new("Mail").unwrap();
    let other = TestAuthority::new("Mail").unwrap();
    let signer = if signed_by_another { &other } else { &believed };
    let server = Server::start(security, acceptor(signer, folder.path(), names)).await;
    let (app, _sending) = app(Kind::Sqlite, scheme, &server, &believed, folder.path()).await;
    let why = refused(&app, &server).await;
    until("FORGE broke it off", secs(30), async || (server.heard.lock().unwrap().broken > 0).then_some(()))
        .await;
    why
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_believed_is_refused_and_why_is_said() {
    for (scheme, security) in [("smtps", Security::Tls), ("smtp", Security::StartTls)] {
        let why = is_not_believed(scheme, security, &["127.0.0.1"], true).await;
        assert!(why.contains("certificate"), "{scheme}: {why}");
        let why = is_not_believed(scheme, security, &["mail.example.org"], false).await;
        assert!(why.contains("certificate"), "{scheme}, another name: {why}");
    }
}

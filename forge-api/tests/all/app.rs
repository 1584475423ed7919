//! The application under test, and the people who use it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use forge_api::auth::{Actor, Role, Scopes};
use forge_api::author::{self, NewProject, NewSet, ProjectAt};
use forge_api::config::Config;
use forge_api::database::Address;
use forge_api::database::audit::{self, AuditEntry};
use forge_api::database::organisation::Organisation;
use forge_api::session::{self, NewToken};
use forge_api::state::AppState;
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::postgres::Postgres;
use tests::until::{secs, until};
use tokio_util::sync::CancellationToken;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Makes one test for each database of a function of [`App`].
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name($crate::app::App::start($crate::app::Kind::Sqlite).await).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name($crate::app::App::start($crate::app::Kind::Postgres).await).await;
            }
        }
    )+ };
}
pub(crate) use on_both;

/// As many databases as one cluster gets: more would only fill the disk.
const DATABASES: u32 = 40;

/// The cluster of the tests that run now. Each would make its own if it went with its last test, since most
/// of the time there is only one on PostgreSQL, and to make one takes longer than most tests.
fn cluster() -> Arc<Postgres> {
    static CLUSTER: Mutex<Option<Arc<Postgres>>> = Mutex::new(None);
    let mut known = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some(cluster) if cluster.databases() < DATABASES => Arc::clone(cluster),
        _ => Arc::clone(known.insert(Arc::new(Postgres::start()))),
    }
}

/// A FORGE that serves, with an organisation `acme`, a project `support`, a set `chat`, and people.
pub(crate) struct App {
    pub(crate) state: AppState,
    pub(crate) address: SocketAddr,
    pub(crate) organisation: Organisation,
    pub(crate) at: ProjectAt,
    pub(crate) directory: TempDir,
    tokens: Vec<(Role, String)>,
    stranger: String,
    client: reqwest::Client,
    cluster: Option<Arc<Postgres>>,
    _stop: Stop,
}

/// Ends the server with its owner.
struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A FORGE that serves, with nobody and nothing in it.
pub(crate) struct Empty {
    pub(crate) state: AppState,
    address: SocketAddr,
    directory: TempDir,
    client: reqwest::Client,
    stop: CancellationToken,
    cluster: Option<Arc<Postgres>>,
}

impl Empty {
    pub(crate) async fn start_with(kind: Kind, options: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = (kind == Kind::Postgres).then(cluster);
        let mut flags = vec![
            ("data-dir".to_owned(), directory.path().join("data").to_string_lossy().into_owned()),
            // Nobody listens there: the broker is away.
            ("nats-url".to_owned(), "nats://127.0.0.1:1".to_owned()),
            ("requests-per-second".to_owned(), "100000".to_owned()),
            ("sign-in-per-minute".to_owned(), "100000".to_owned()),
        ];
        if let Some(cluster) = &cluster {
            flags.push(("database-url".to_owned(), cluster.database()));
        }
        for (key, value) in options {
            flags.retain(|(k, _)| k != key);
            flags.push(((*key).to_owned(), (*value).to_owned()));
        }
        let find = |key: &str| flags.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let config = Config::load(&find, &|_| None).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let state = AppState::open(config, public_url).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(forge_api::server::serve(listener, state.clone(), stop.clone()));
        // The server closes a connection that is silent for ten seconds: what was silent for three is not taken up
        // again, so that no request meets the close.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(secs(3))
            .build()
            .unwrap();
        Self { state, address, directory, client, stop, cluster }
    }

    /// A request of nobody.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }
}

/// The owner of `acme` in a browser that is signed in.
pub(crate) struct Browser {
    pub(crate) cookies: String,
    pub(crate) csrf: String,
}

/// The cookies that an answer sets, as a browser sends them back.
pub(crate) fn cookies(answer: &Response) -> String {
    let set = answer.headers().get_all(SET_COOKIE).iter().map(|c| c.to_str().unwrap());
    let pairs: Vec<_> = set
        .inspect(|c| assert!(c.contains("HttpOnly") && c.contains("SameSite=Lax"), "{c}"))
        .map(|c| c.split(';').next().unwrap())
        .collect();
    pairs.join("; ")
}

/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery";

impl App {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[]).await
    }

    pub(crate) async fn start_with(kind: Kind, options: &[(&str, &str)]) -> Self {
        let empty = Empty::start_with(kind, options).await;
        let console = Actor::console();
        let state = &empty.state;
        let organisation = author::create_organisation(state, &console, "acme", "Acme").await.unwrap();
        let other = author::create_organisation(state, &console, "globex", "").await.unwrap();
        let mut tokens = Vec::new();
        for role in Role::ALL {
            tokens.push((role, person(state, &organisation, role.as_str(), role).await));
        }
        let stranger = person(state, &other, "stranger", Role::Owner).await;
        let new = NewProject { slug: "support", name: "Support", description: "" };
        let at = author::create_project(state, &console, &organisation, new).await.unwrap();
        let new = NewSet { slug: "chat", name: "Chat", description: "" };
        author::create_set(state, &console, &at, new).await.unwrap();
        let Empty { state, address, directory, client, stop, cluster } = empty;
        let stop = Stop(stop);
        Self { state, address, organisation, at, directory, tokens, stranger, client, cluster, _stop: stop }
    }

    /// Its configuration, for a second process on the same database.
    pub(crate) fn config(&self) -> Config {
        self.state.config.clone()
    }

    /// The same configuration over a new, empty database.
    pub(crate) fn fresh_config(&self) -> Config {
        let mut config = self.config();
        config.data_dir = self.directory.path().join("fresh");
        config.master_key =
            forge_api::config::MasterKey::File { path: config.data_dir.join("master.key"), make: true };
        config.database = match &self.cluster {
            Some(cluster) => Address::Postgres(cluster.database()),
            None => Address::Sqlite(config.data_dir.join("forge.db")),
        };
        config
    }

    /// Runs statements on a database that no FORGE has opened yet.
    pub(crate) fn raw(&self, address: &Address, sql: &str) {
        match address {
            Address::Postgres(url) => {
                let cluster = self.cluster.as_ref().unwrap();
                let _ = cluster.query(url.rsplit('/').next().unwrap(), sql);
            }
            Address::Sqlite(path) => {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                conn.batch_execute(sql).unwrap();
            }
        }
    }

    /// Every row of every table, as text.
    pub(crate) fn dump_postgres(&self) -> String {
        let Address::Postgres(url) = &self.state.config.database else { return String::new() };
        let cluster = self.cluster.as_ref().unwrap();
        let name = url.rsplit('/').next().unwrap();
        let tables = cluster.query(name, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
        tables
            .lines()
            .map(|t| cluster.query(name, &format!("SELECT * FROM {t}")))
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.cluster.is_some()
    }

    pub(crate) fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(r, _)| *r == role).unwrap().1
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request of nobody.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Signs the owner in by password.
    pub(crate) async fn browser(&self) -> Browser {
        let body = json!({ "email": "Owner@example.org", "password": PASSWORD });
        let answer = self.anonymous(Method::POST, "/api/v1/sessions").json(&body).send().await.unwrap();
        let cookies = cookies(&answer);
        let csrf = json_of(answer, 201).await["csrf_token"].as_str().unwrap().to_owned();
        Browser { cookies, csrf }
    }

    /// Signs somebody of `acme` in by a one-time link.
    pub(crate) async fn browser_of(&self, role: Role) -> Browser {
        self.browser_by_link(&format!("{}@example.org", role.as_str())).await
    }

    /// Signs anybody in by a one-time link.
    pub(crate) async fn browser_by_link(&self, email: &str) -> Browser {
        let link = session::sign_in_link(&self.state, email).await.unwrap();
        let body = json!({ "link": link.rsplit('/').next().unwrap() });
        let answer = self.anonymous(Method::POST, "/api/v1/sessions").json(&body).send().await.unwrap();
        let cookies = cookies(&answer);
        let csrf = json_of(answer, 201).await["csrf_token"].as_str().unwrap().to_owned();
        Browser { cookies, csrf }
    }

    /// A request from a browser that is signed in.
    pub(crate) fn by(&self, browser: &Browser, method: Method, path: &str) -> RequestBuilder {
        let request = self.anonymous(method, path).header(COOKIE, &browser.cookies);
        request.header("x-csrf-token", &browser.csrf)
    }

    /// What stands in a chain of the audit log, oldest first.
    pub(crate) async fn audit(&self, chain: &str) -> Vec<AuditEntry> {
        let mut conn = self.state.database.read().await.unwrap();
        audit::above(&mut conn, chain, 0, 100_000).await.unwrap()
    }

    /// The entry of the audit log that fits, as soon as it is written.
    pub(crate) async fn audited(&self, chain: &str, fits: impl Fn(&AuditEntry) -> bool) -> AuditEntry {
        until("the audit log says so", secs(60), async || {
            self.audit(chain).await.into_iter().rev().find(&fits)
        })
        .await
    }

    /// A request of somebody of `acme`.
    pub(crate) fn request(&self, role: Role, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(self.token(role))
    }

    /// A request of the owner of another organisation.
    pub(crate) fn strange(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.stranger)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        json_of(self.request(Role::Owner, Method::GET, path).send().await.unwrap(), 200).await
    }

    /// A change by the owner that must succeed with this status.
    pub(crate) async fn post(&self, path: &str, status: u16, body: Value) -> Value {
        json_of(self.request(Role::Owner, Method::POST, path).json(&body).send().await.unwrap(), status).await
    }

    /// A change by the owner that must be refused with this status and code.
    pub(crate) async fn refused(&self, path: &str, body: Value, status: u16, code: &str) -> Value {
        let answer = self.request(Role::Owner, Method::POST, path).json(&body).send().await.unwrap();
        problem(answer, status, code).await
    }

    /// Saves a text prompt of the set `chat` that is new, with these required text parameters.
    pub(crate) async fn save(&self, id: &str, template: &str, parameters: &[&str]) -> Value {
        self.save_from(id, template, parameters, None, 201).await
    }

    pub(crate) async fn save_from(
        &self,
        id: &str,
        template: &str,
        parameters: &[&str],
        revision: Option<i64>,
        status: u16,
    ) -> Value {
        let path = format!("{SET}/prompts/{id}");
        let mut request =
            self.request(Role::Owner, Method::PUT, &path).json(&prompt(id, template, parameters));
        if let Some(revision) = revision {
            request = request.header("if-match", format!("\"{revision}\""));
        }
        json_of(request.send().await.unwrap(), status).await
    }

    /// Locks the set `chat`.
    pub(crate) async fn lock(&self, version: &str) -> Value {
        self.post(&format!("{SET}/lock"), 201, json!({ "version": version })).await
    }

    pub(crate) async fn reopen(&self) {
        let answer = self.request(Role::Owner, Method::POST, &format!("{SET}/reopen")).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }

    /// Publishes a version of the set `chat`.
    pub(crate) async fn publish(&self, version: &str, environment: &str) -> Value {
        let body = json!({ "set": "chat", "environment": environment, "version": version });
        self.post(PUBLICATIONS, 201, body).await
    }
}

pub(crate) const SET: &str = "/api/v1/projects/acme:support/sets/chat";
pub(crate) const PUBLICATIONS: &str = "/api/v1/projects/acme:support/publications";

pub(crate) fn prompt(id: &str, template: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<_> =
        parameters.iter().map(|name| json!({ "name": name, "type": "string", "required": true })).collect();
    json!({ "id": id, "content": { "type": "text", "template": template }, "parameters": parameters })
}

/// Creates somebody with a role, and gives their API token.
async fn person(state: &AppState, organisation: &Organisation, name: &str, role: Role) -> String {
    let email = format!("{name}@example.org");
    // A real password only where a test signs in by it: hashing is meant to be slow.
    let password = (role == Role::Owner).then_some(PASSWORD);
    let user = session::create_user(state, &email, name, password).await.unwrap();
    author::add_member(state, &Actor::console(), organisation, &email, role).await.unwrap();
    let actor = Actor { user_id: user.id, name: user.name, email, ..Actor::console() };
    let new = NewToken { name: "test", role, scopes: Scopes::ALL, expires_at: None, projects: None };
    session::create_token(state, &actor, &organisation.id, new).await.unwrap().0
}

pub(crate) async fn json_of(answer: Response, status: u16) -> Value {
    let found = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// A problem document with this status and code.
pub(crate) async fn problem(answer: Response, status: u16, code: &str) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert!(answer.headers().contains_key("x-request-id"));
    let body = json_of(answer, status).await;
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status);
    for member in ["type", "title", "detail"] {
        assert!(body[member].as_str().is_some_and(|t| !t.is_empty()), "{member} of {body}");
    }
    body
}

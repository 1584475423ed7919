//! Pages, reads and searches of a FORGE with 1,000 projects and 100,000 prompts, on SQLite and on PostgreSQL; and the
//! requests a second of `current_bundle` to who has it already.
//!
//! The real program is asked over one connection that is kept, one request after another, in turn with `/health/live`,
//! which is the baseline: what HTTP, the client and this machine cost. It has no broker, which would make 3,000 streams
//! on the same cores. Everything is written through the API. `ANVIL_BENCH_PROJECTS` makes it smaller.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tests::forge::api::Api;
use tests::forge::{Database, OWNER, PASSWORD, Place, Process};

use crate::report::Figure;
use crate::sidecar::load;

mod words;

/// Projects, each with one set.
const PROJECTS: usize = 1000;
/// Prompts of one set.
const PROMPTS: usize = 100;
/// How often each address is asked.
const ASKED: usize = 300;
/// Requests before that, to warm caches and connections.
const WARM: usize = 20;
const PAGE_MS: f64 = 50.0;
const READ_MS: f64 = 20.0;
const SEARCH_MS: f64 = 100.0;
const THREADS: usize = 1;
const CONNECTIONS: usize = 16;
const ROUND: Duration = Duration::from_secs(5);

/// A FORGE without a broker, and who asks it.
struct Asked {
    url: String,
    token: String,
    client: Client,
    process: Process,
    // Dropped last: the processes live in it.
    _place: Place,
}

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let mut figures = Vec::new();
    for database in [Database::Sqlite, Database::Postgres] {
        figures.extend(runtime.block_on(on(database))?);
    }
    Ok(figures)
}

/// The project that is looked at.
fn middle() -> String {
    format!("p{:04}", projects() / 2)
}

fn projects() -> usize {
    std::env::var("ANVIL_BENCH_PROJECTS").ok().and_then(|n| n.parse().ok()).unwrap_or(PROJECTS)
}

async fn on(database: Database) -> Result<Vec<Figure>> {
    let name = match database {
        Database::Sqlite => "SQLite",
        Database::Postgres => "PostgreSQL",
    };
    let asked = Asked::start(database).await?;
    let begin = Instant::now();
    asked.fill().await?;
    let filled = begin.elapsed().as_secs_f64();
    let prompts = projects() * PROMPTS;
    eprintln!("benches: {name}: {prompts} prompts written in {filled:.0} s");
    let mut figures =
        vec![Figure::new(format!("{name}: prompts written and indexed"), prompts as f64 / filled, "/s")];
    for (what, path, aim) in addresses() {
        let (p50, p99, least) = asked.times(&path).await.with_context(|| path.clone())?;
        figures.push(Figure::new(format!("{name}: {what}, p50"), p50, "ms").against(least));
        figures.push(Figure::new(format!("{name}: {what}, p99"), p99, "ms").at_most(aim));
    }
    figures.push(asked.bundles(name).await?);
    Ok(figures)
}

/// What is asked: a name, an address, and the aim of its p99 in milliseconds.
fn addresses() -> Vec<(&'static str, String, f64)> {
    let api = "/api/v1";
    let at = middle();
    let project = format!("{api}/projects/acme:{at}");
    let search = |query: &str| format!("{api}/search?organisation=acme&{query}");
    let rare = words::word(words::WORDS - 1);
    vec![
        ("page: dashboard", "/acme".into(), PAGE_MS),
        ("page: project", format!("/acme/{at}"), PAGE_MS),
        ("page: prompt in the editor", format!("/acme/{at}/chat/mail.p0042"), PAGE_MS),
        ("page: versions", format!("/acme/{at}/chat/-/versions"), PAGE_MS),
        ("page: publications", format!("/acme/{at}/-/publications"), PAGE_MS),
        ("page: palette, at rest", format!("/-/palette?organisation=acme&at=/acme/{at}/chat"), PAGE_MS),
        ("page: palette, typed", "/-/palette?organisation=acme&q=mail".into(), PAGE_MS),
        ("page: search", format!("/acme/-/search?q={}", words::word(3)), SEARCH_MS),
        ("read: a project", project.clone(), READ_MS),
        ("read: a prompt", format!("{project}/sets/chat/prompts/mail.p0042"), READ_MS),
        ("read: a version", format!("{project}/sets/chat/versions/1.0.0"), READ_MS),
        ("search: a word of every prompt", search("q=the"), SEARCH_MS),
        (
            "search: a frequent beginning, 2 letters",
            search(&format!("q={}", &words::word(1)[..2])),
            SEARCH_MS,
        ),
        ("search: a frequent beginning, 4 letters", search("q=mail"), SEARCH_MS),
        (
            "search: two frequent words",
            search(&format!("q={}+{}", words::word(2), words::word(5))),
            SEARCH_MS,
        ),
        ("search: a rare word", search(&format!("q={rare}")), SEARCH_MS),
        ("search: a whole id", search("q=mail.p0042"), SEARCH_MS),
        ("search: nothing like it", search("q=zzzzqqqq"), SEARCH_MS),
        ("search: a word, in one project", search(&format!("q=the&project={at}")), SEARCH_MS),
        ("search: a word, by tag", search("q=the&tag=blue"), SEARCH_MS),
        ("search: a word, in a state that no set has", search("q=the&state=review"), SEARCH_MS),
    ]
}

impl Asked {
    async fn start(database: Database) -> Result<Self> {
        let mut place = Place::new(database)?;
        // Nobody listens there.
        place.use_external_broker()?;
        place.set("FORGE_REQUESTS_PER_SECOND", "1000000");
        place.add_owner().await?;
        let mut process = place.spawn(0)?;
        process.ready(&place).await?;
        let url = process.url();
        let owner = Api::sign_in(&url, OWNER, PASSWORD).await?;
        Ok(Self { url, token: owner.token().to_owned(), client: Client::new(), process, _place: place })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&bytes));
        Ok(bytes.to_vec())
    }

    /// Projects with a set of prompts each; one of them is locked and published.
    async fn fill(&self) -> Result<()> {
        for n in 0..projects() {
            let slug = format!("p{n:04}");
            let project = json!({ "slug": slug, "name": format!("Project {n}") });
            self.send(Method::POST, "/api/v1/organisations/acme/projects", Some(&project)).await?;
            let sets = format!("/api/v1/projects/acme:{slug}/sets");
            self.send(Method::POST, &sets, Some(&json!({ "slug": "chat" }))).await?;
            let prompts: Vec<Value> = (0..PROMPTS).map(|m| words::prompt(n, m)).collect();
            self.send(Method::POST, &format!("{sets}/chat/import"), Some(&json!({ "prompts": prompts })))
                .await?;
        }
        let project = format!("/api/v1/projects/acme:{}", middle());
        self.send(Method::POST, &format!("{project}/sets/chat/lock"), Some(&json!({ "version": "1.0.0" })))
            .await?;
        let publication = json!({ "set": "chat", "environment": "dev", "version": "1.0.0" });
        self.send(Method::POST, &format!("{project}/publications"), Some(&publication)).await?;
        Ok(())
    }

    /// The median, the 99th of a hundred, and the median of the baseline, in milliseconds.
    async fn times(&self, path: &str) -> Result<(f64, f64, f64)> {
        for _ in 0..WARM {
            self.send(Method::GET, path, None).await?;
        }
        let (mut ours, mut least) = (Vec::new(), Vec::new());
        for _ in 0..ASKED {
            ours.push(self.time(path).await?);
            least.push(self.time("/health/live").await?);
        }
        ours.sort_by(f64::total_cmp);
        least.sort_by(f64::total_cmp);
        Ok((ours[ASKED / 2], ours[ASKED * 99 / 100], least[ASKED / 2]))
    }

    async fn time(&self, path: &str) -> Result<f64> {
        let begin = Instant::now();
        self.send(Method::GET, path, None).await?;
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    }

    /// Requests a second of who has the bundle already, beside the same of `/health/live`.
    async fn bundles(&self, name: &str) -> Result<Figure> {
        let path = format!("/api/v1/projects/acme:{}/current_bundle?environment=dev&set=chat", middle());
        let pid = self.process.pid().context("the process runs")?;
        let address = self.url.trim_start_matches("http://").parse()?;
        let etag = self.etag(&path).await?;
        let ask = |path: &str| {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nif-none-match: {etag}\r\n\r\n",
                self.token
            );
            load::run(address, pid, request.as_bytes(), THREADS, CONNECTIONS, ROUND)
        };
        let (ours, least) = (ask(&path)?, ask("/health/live")?);
        let what = format!("{name}: current_bundle that one has already (304), load on the same cores");
        Ok(Figure::new(what, ours.per_second(), "/s").against(least.per_second()))
    }

    async fn etag(&self, path: &str) -> Result<String> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.send().await?;
        let etag = answer.headers().get("etag").context("an ETag")?;
        Ok(etag.to_str()?.to_owned())
    }
}

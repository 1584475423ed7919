//! Pages, reads and searches of a FORGE with 1,000 projects and 100,000 prompts, on SQLite and on PostgreSQL; and the
//! requests a second of `current_bundle` to who has it already.
//!
//! The real program is asked over one connection that is kept, one request after another, in turn with `/health/live`,
//! which is the baseline: what HTTP, the client and this machine cost. It has no broker, which would make 3,000 streams
//! on the same cores: what is published waits, as when the broker is away. Everything is written through the API
//! ([`mod@fill`]). `ANVIL_BENCH_PROJECTS` makes it smaller, `ANVIL_BENCH_DATABASE` (`sqlite` or `postgres`) takes one
//! database only. Every figure is told on standard error as soon as it is there.
//!
//! A machine that is a guest of another loses time to its neighbours, which its own kernel counts as stolen: what was
//! measured while more than a twentieth was stolen is measured again, up to six times, and the round with the least
//! stolen is told, whatever it shows.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Method};
use serde_json::Value;
use tests::forge::api::Api;
use tests::forge::{Database, OWNER, PASSWORD, Place, Process};

use crate::report::Figure;
use crate::sidecar::load;

mod fill;
mod words;

/// Projects, each with one set.
const PROJECTS: usize = 1000;
/// Prompts of one set.
const PROMPTS: usize = 100;
/// How often each address is asked.
const ASKED: usize = 200;
/// Requests before that, to warm caches and connections.
const WARM: usize = 10;
const PAGE_MS: f64 = 50.0;
const READ_MS: f64 = 20.0;
const SEARCH_MS: f64 = 100.0;
/// The share of the processors' time that may be stolen while something is measured.
const STOLEN_MAX: f64 = 0.05;
/// How often it is measured until no more was stolen.
const ROUNDS: usize = 6;
/// Between two of these.
const PAUSE: Duration = Duration::from_secs(3);
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
    place: Place,
}

/// What one address took, and the baseline in turn with it, in milliseconds.
struct Times {
    median: f64,
    slow: f64,
    baseline_median: f64,
    baseline_slow: f64,
    /// The share of the processors' time that other guests of the host took meanwhile.
    stolen: f64,
}

/// Time of all processors since the start, and what of it was stolen, in ticks; none where the kernel does not tell.
fn ticks() -> Option<(f64, f64)> {
    let all = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        all.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    Some((ticks.iter().take(8).sum(), *ticks.get(7)?))
}

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let only = std::env::var("ANVIL_BENCH_DATABASE").unwrap_or_default();
    let mut figures = Vec::new();
    for (name, database) in [("SQLite", Database::Sqlite), ("PostgreSQL", Database::Postgres)] {
        if name.to_lowercase().starts_with(&only) {
            figures.extend(runtime.block_on(on(name, database))?);
        }
    }
    Ok(figures)
}

/// The project that is looked at.
fn middle() -> String {
    slug(projects() / 2)
}

fn slug(n: usize) -> String {
    format!("p{n:04}")
}

fn projects() -> usize {
    std::env::var("ANVIL_BENCH_PROJECTS").ok().and_then(|n| n.parse().ok()).unwrap_or(PROJECTS)
}

async fn on(name: &str, database: Database) -> Result<Vec<Figure>> {
    let asked = Asked::start(database).await?;
    let begin = Instant::now();
    asked.fill().await?;
    let filled = begin.elapsed().as_secs_f64();
    asked.settle(database);
    let prompts = projects() * PROMPTS;
    let written = format!("{name}: prompts written and indexed, {prompts} in {filled:.0} s");
    let mut figures = vec![told(Figure::new(written, prompts as f64 / filled, "/s"))];
    for (what, path, aim) in addresses() {
        let times = asked.undisturbed(what, &path).await.with_context(|| path.clone())?;
        let p50 = Figure::new(format!("{name}: {what}, p50"), times.median, "ms");
        figures.push(told(p50.against(times.baseline_median)));
        let p99 = Figure::new(format!("{name}: {what}, p99"), times.slow, "ms");
        figures.push(told(p99.against(times.baseline_slow).at_most(aim)));
    }
    figures.push(told(asked.bundles(name).await?));
    Ok(figures)
}

/// Tells a figure at once: who stops the bench has those that were there.
fn told(figure: Figure) -> Figure {
    eprintln!("benches: {}", figure.line());
    figure
}

/// What is asked: a name, an address, and the aim of its p99 in milliseconds.
fn addresses() -> Vec<(&'static str, String, f64)> {
    let (at, last) = (middle(), projects() / 10);
    let page = |path: String| format!("/acme/{at}{path}");
    let project = |path: &str| format!("/api/v1/projects/acme:{at}{path}");
    let search = |query: &str| format!("/api/v1/search?organisation=acme&{query}");
    let word = words::word;
    let mut out = Vec::new();
    let mut put = |aim: f64, all: Vec<(&'static str, String)>| {
        out.extend(all.into_iter().map(|(what, path)| (what, path, aim)));
    };
    let compare = "from=1.0.0&to=1.1.0";
    put(
        PAGE_MS,
        vec![
            ("page: dashboard", "/acme".into()),
            ("page: dashboard, its last projects", format!("/acme?page={last}")),
            ("page: project", page(String::new())),
            ("page: prompt set, and on to its first prompt", page("/chat".into())),
            ("page: prompt in the editor", page("/chat/mail.p0042".into())),
            ("page: history of a prompt", page("/chat/-/history/mail.p0042".into())),
            ("page: versions", page("/chat/-/versions".into())),
            ("page: compare two versions", page(format!("/chat/-/compare?{compare}"))),
            ("page: what would be locked", page("/chat/-/lock".into())),
            ("page: playground", page("/chat/-/playground?prompt=mail.p0042".into())),
            ("page: review queue", "/acme/-/reviews?show=all".into()),
            ("page: publications", page("/-/publications".into())),
            ("page: publication", page("/-/publications/1".into())),
            ("page: agents", page("/-/agents".into())),
            ("page: credentials", page("/-/credentials".into())),
            ("page: audit log", "/acme/-/audit".into()),
            ("page: palette, at rest", format!("/-/palette?organisation=acme&at=/acme/{at}/chat")),
            ("page: palette, typed", "/-/palette?organisation=acme&q=mail".into()),
        ],
    );
    put(
        READ_MS,
        vec![
            ("read: a project", project("")),
            ("read: a prompt", project("/sets/chat/prompts/mail.p0042")),
            ("read: a version", project("/sets/chat/versions/1.0.0")),
            ("read: a publication", project("/publications/1")),
            ("read: current_bundle", project("/current_bundle?environment=dev&set=chat")),
        ],
    );
    put(
        PAGE_MS,
        vec![
            ("list: projects, 100", "/api/v1/organisations/acme/projects?limit=100".into()),
            ("list: what waits in an organisation", "/api/v1/organisations/acme/overview".into()),
            ("list: a prompt set with its draft", project("/sets/chat")),
            ("list: versions", project("/sets/chat/versions")),
            ("list: publications", project("/publications")),
            ("list: reviews that wait", "/api/v1/organisations/acme/reviews".into()),
        ],
    );
    put(
        SEARCH_MS,
        vec![
            ("search: the page", format!("/acme/-/search?q={}", word(3))),
            ("search: a word of every prompt", search("q=the")),
            ("search: a frequent beginning, 2 letters", search(&format!("q={}", &word(1)[..2]))),
            ("search: a frequent beginning, 4 letters", search("q=mail")),
            ("search: two frequent words", search(&format!("q={}+{}", word(2), word(5)))),
            (
                "search: three words, as of a phrase",
                search(&format!("q={}+{}+{}", word(30), word(60), word(90))),
            ),
            (
                "search: a word of every prompt of the older half, and of no other",
                search(&format!("q={}", words::OLD)),
            ),
            ("search: the same, and a frequent word", search(&format!("q={}+{}", words::OLD, word(2)))),
            ("search: a rare word", search(&format!("q={}", word(words::WORDS - 1)))),
            ("search: a whole id", search("q=mail.p0042")),
            ("search: nothing like it", search("q=zzzzqqqq")),
            ("search: everything, the newest first", search("")),
            ("search: every set", search("kind=set")),
            ("search: a word, in one project", search(&format!("q=the&project={at}"))),
            ("search: a word, by tag", search("q=the&tag=blue")),
            ("search: a word, in a state that few sets have", search("q=the&state=review")),
            ("search: a word, in the archive", search("q=the&archived=true")),
        ],
    );
    out
}

impl Asked {
    async fn start(database: Database) -> Result<Self> {
        let mut place = Place::new(database)?;
        // Nobody listens there.
        place.use_external_broker()?;
        for (variable, value) in [
            ("FORGE_REQUESTS_PER_SECOND", "1000000"),
            // As an operator has it, where tests are in a hurry.
            ("FORGE_HEARTBEAT_MS", "12000"),
            ("FORGE_STATUS_MS", "12000"),
        ] {
            place.set(variable, value);
        }
        place.add_owner().await?;
        let mut process = place.spawn(0)?;
        process.ready(&place).await?;
        let url = process.url();
        let owner = Api::sign_in(&url, OWNER, PASSWORD).await?;
        Ok(Self { url, token: owner.token().to_owned(), client: Client::new(), process, place })
    }

    /// Lets PostgreSQL do now what it does by itself in the minutes after so much was written.
    fn settle(&self, database: Database) {
        if let Database::Postgres = database {
            self.place.sql("VACUUM (ANALYZE)");
            self.place.sql("CHECKPOINT");
        }
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

    /// [`Self::times`] of the round in which the least was stolen.
    async fn undisturbed(&self, what: &str, path: &str) -> Result<Times> {
        let mut best = self.times(path).await?;
        let mut last = best.stolen;
        for round in 1..ROUNDS {
            if best.stolen <= STOLEN_MAX {
                break;
            }
            eprintln!("benches: {what}: {:.0} % stolen in round {round}, again", last * 100.0);
            tokio::time::sleep(PAUSE).await;
            let other = self.times(path).await?;
            last = other.stolen;
            if other.stolen < best.stolen {
                best = other;
            }
        }
        if best.stolen > STOLEN_MAX {
            eprintln!("benches: {what}: {:.0} % stolen at the least", best.stolen * 100.0);
        }
        Ok(best)
    }

    /// The medians and the 99ths of a hundred of an address and of the baseline.
    async fn times(&self, path: &str) -> Result<Times> {
        for _ in 0..WARM {
            self.send(Method::GET, path, None).await?;
        }
        let (mut ours, mut least) = (Vec::new(), Vec::new());
        let before = ticks();
        for _ in 0..ASKED {
            ours.push(self.time(path).await?);
            least.push(self.time("/health/live").await?);
        }
        ours.sort_by(f64::total_cmp);
        least.sort_by(f64::total_cmp);
        let stolen = before.zip(ticks()).map_or(0.0, |((all, stolen), (all_now, stolen_now))| {
            (stolen_now - stolen) / (all_now - all).max(1.0)
        });
        let (half, most) = (ASKED / 2, ASKED * 99 / 100);
        Ok(Times {
            stolen,
            median: ours[half],
            slow: ours[most],
            baseline_median: least[half],
            baseline_slow: least[most],
        })
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

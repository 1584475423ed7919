//! A prompt client as Langfuse and others have it: the first read of a prompt fetches it over HTTP; for a minute it
//! comes from memory; after that the old one is served while a task fetches it anew. Versions become known by asking.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::{FAR, HOT, beside, compile};
use crate::report::Figure;

const TTL: Duration = Duration::from_secs(60);

/// What the server answers, as far as a client looks at it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    name: String,
    version: u64,
    prompt: String,
    labels: Vec<String>,
}

struct Entry {
    prompt: Arc<Answer>,
    until: Instant,
}

/// The client.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    server: String,
    ttl: Duration,
    cache: Arc<Mutex<HashMap<String, Entry>>>,
    /// What is being fetched: no two at once for one prompt.
    fetching: Arc<Mutex<HashSet<String>>>,
}

enum Found {
    Fresh(Arc<Answer>),
    Stale(Arc<Answer>),
    Nothing,
}

impl Client {
    fn new(server: &str, ttl: Duration) -> Self {
        let (cache, fetching) = (Arc::default(), Arc::default());
        Self { http: reqwest::Client::new(), server: server.into(), ttl, cache, fetching }
    }

    fn look(&self, name: &str) -> Found {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.get(name) {
            Some(entry) if entry.until > Instant::now() => Found::Fresh(entry.prompt.clone()),
            Some(entry) => Found::Stale(entry.prompt.clone()),
            None => Found::Nothing,
        }
    }

    async fn fetch(&self, name: &str) -> Result<Arc<Answer>> {
        let url = format!("{}/api/public/v2/prompts/{name}", self.server);
        let body = self.http.get(url).send().await?.error_for_status()?.bytes().await?;
        let prompt: Arc<Answer> = Arc::new(serde_json::from_slice(&body)?);
        let entry = Entry { prompt: prompt.clone(), until: Instant::now() + self.ttl };
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), entry);
        Ok(prompt)
    }

    /// The prompt with its values, from wherever it can be had.
    fn prompt(&self, runtime: &Runtime, name: &str) -> Result<String> {
        let prompt = match self.look(name) {
            Found::Fresh(prompt) => prompt,
            Found::Stale(prompt) => {
                let first = self.fetching.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into());
                if first {
                    let (client, name) = (self.clone(), name.to_owned());
                    runtime.spawn(async move {
                        // One that failed is tried at the next read.
                        let _ = client.fetch(&name).await;
                        client.fetching.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                    });
                }
                prompt
            }
            Found::Nothing => runtime.block_on(self.fetch(name))?,
        };
        Ok(compile(&prompt.prompt))
    }

    fn forget(&self, name: &str) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

type Prompts = Arc<HashMap<String, Answer>>;

async fn answer(
    State(prompts): State<Prompts>,
    Path(name): Path<String>,
) -> Result<Json<Answer>, StatusCode> {
    prompts.get(&name).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// A server of these prompts on the loopback interface.
async fn serve(texts: &[(String, String)]) -> Result<String> {
    let answer_of = |(name, prompt): &(String, String)| {
        let labels = vec!["production".to_owned()];
        (name.clone(), Answer { name: name.clone(), version: 1, prompt: prompt.clone(), labels })
    };
    let prompts: Prompts = Arc::new(texts.iter().map(answer_of).collect());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("the peer's port")?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/api/public/v2/prompts/{name}", get(answer)).with_state(prompts);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

pub(super) fn run(
    runtime: &Runtime,
    texts: &[(String, String)],
    ours: &mut impl FnMut() -> bool,
) -> Result<Vec<Figure>> {
    let url = runtime.block_on(serve(texts))?;
    let mut next = 0;
    let mut name = || {
        next = (next + 37) % texts.len();
        &texts[next].0
    };
    let right = |text: Result<String>| text.is_ok_and(|text| text.contains(super::VALUES[0].1));

    let hot = Client::new(&url, TTL);
    for (name, _) in texts {
        hot.prompt(runtime, name)?;
    }
    let mut figures = beside("a TTL cache's hit", HOT, ours, || right(hot.prompt(runtime, name())))?;
    // Nothing stays fresh: each read serves what is stale, and the network is asked beside it.
    let stale = Client::new(&url, Duration::ZERO);
    for (name, _) in texts {
        stale.prompt(runtime, name)?;
    }
    let expired = "a TTL cache's expiry, stale served while it fetches";
    figures.extend(beside(expired, FAR * 5, ours, || right(stale.prompt(runtime, name())))?);
    let missing = Client::new(&url, TTL);
    figures.extend(beside("a TTL cache's miss over HTTP", FAR, ours, || {
        let name = name();
        missing.forget(name);
        right(missing.prompt(runtime, name))
    })?);
    Ok(figures)
}

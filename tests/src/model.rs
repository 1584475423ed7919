//! A model endpoint on this machine: chat completions and messages, streamed as the real ones stream them.
//! What it does is said by the model's name.
//!
//! | model | what it does |
//! |---|---|
//! | `echo` | says back the last message, word by word, and counts 11 tokens in and 7 out |
//! | `uncounted` | the same, without a count and without a last word |
//! | `pause` | one word, and the rest when [`Stub::release`] is called |
//! | `hang` | takes the request and never answers |
//! | `cut` | breaks off after two words |
//! | `garbage` | one word, then an event of something else |
//! | `fail` | one word, then an error in the stream |
//! | `flood` | talks without an end |
//! | `page` | a page instead of a stream |
//! | `refuse-N` | status N, with the key in the message |

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The key that the stub takes.
pub const KEY: &str = "sk-stub-7f3a";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub path: &'static str,
    pub key: String,
    pub body: Value,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    open: AtomicUsize,
    go: Notify,
}

/// The endpoint; it ends when it is dropped.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/v1/chat/completions", post(completions))
            .route("/v1/messages", post(messages))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, shared, task })
    }

    /// A models file with this endpoint twice, as `open` (chat completions) and `anthropic`, and these models.
    #[must_use]
    pub fn file(&self, models: &[&str]) -> String {
        let models: Vec<String> = models
            .iter()
            .map(|id| format!("{{ id = \"{id}\", input_price = 2.0, output_price = 10.0 }}"))
            .collect();
        let endpoint = |name: &str, kind: &str, path: &str| {
            format!(
                "[[endpoints]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"http://{}{path}\"\n\
                 key_env = \"STUB_KEY\"\nmodels = [{}]\n",
                self.address,
                models.join(", ")
            )
        };
        endpoint("open", "openai", "/v1") + &endpoint("anthropic", "anthropic", "")
    }

    /// Writes that file, and one with the key, into a folder; gives its path.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path, models: &[&str]) -> Result<PathBuf> {
        let (file, key) = (folder.join("models.toml"), folder.join("model.key"));
        std::fs::write(&key, KEY)?;
        let key = format!("key_file = {:?}", key.display().to_string());
        std::fs::write(&file, self.file(models).replace("key_env = \"STUB_KEY\"", &key))?;
        Ok(file)
    }

    /// Every request until now.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers that somebody still listens to.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Lets one answer that pauses go on.
    pub fn release(&self) {
        self.shared.go.notify_one();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    Completions,
    Messages,
}

async fn completions(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let key = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let key = key.trim_start_matches("Bearer ").to_owned();
    answer(shared, Protocol::Completions, key, &body).await
}

async fn messages(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if text("anthropic-version").is_empty() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    answer(shared, Protocol::Messages, text("x-api-key"), &body).await
}

async fn answer(shared: Arc<Shared>, protocol: Protocol, key: String, body: &str) -> Response {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let path = if protocol == Protocol::Completions { "/v1/chat/completions" } else { "/v1/messages" };
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let last = body["messages"]
        .as_array()
        .and_then(|m| m.last())
        .map_or("", |m| m["content"].as_str().unwrap_or_default());
    let said = format!("You said: {last}");
    shared.heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard {
        path,
        key: key.clone(),
        body: body.clone(),
    });
    if key != KEY {
        return refusal(StatusCode::UNAUTHORIZED, &key);
    }
    if let Some(status) = model.strip_prefix("refuse-").and_then(|n| n.parse().ok()) {
        return refusal(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT), &key);
    }
    match model.as_str() {
        "hang" => std::future::pending().await,
        "page" => return (StatusCode::OK, [(header::CONTENT_TYPE, "text/html")], "<html>").into_response(),
        _ => {}
    }
    let script = script(protocol, &model, &said);
    shared.open.fetch_add(1, Ordering::SeqCst);
    let state = (script, model == "flood", Listening(shared));
    let stream = stream::unfold(state, |(mut script, endless, listening)| async move {
        let step = script.pop_front()?;
        if endless {
            script.push_back(step.clone());
        }
        if step.is_none() {
            listening.0.go.notified().await;
        }
        let bytes = step.unwrap_or_else(|| ": go on\n\n".to_owned());
        Some((Ok::<_, Infallible>(bytes), (script, endless, listening)))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    (StatusCode::OK, headers, Body::from_stream(stream)).into_response()
}

/// Counts as open until nobody listens any more.
struct Listening(Arc<Shared>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn refusal(status: StatusCode, key: &str) -> Response {
    let body = json!({ "error": { "message": format!("not with {key}."), "type": "refused" } });
    (status, [(header::RETRY_AFTER, "7")], axum::Json(body)).into_response()
}

/// The events of an answer; none is a pause.
fn script(protocol: Protocol, model: &str, said: &str) -> VecDeque<Option<String>> {
    let mut words = said.split_inclusive(' ').map(|word| Some(word_event(protocol, word)));
    let mut script: VecDeque<Option<String>> = VecDeque::new();
    let ends = match model {
        "flood" => return words.next().into_iter().collect(),
        "pause" => {
            script.extend(words.next());
            script.push_back(None);
            true
        }
        "cut" => return words.by_ref().take(2).collect(),
        "garbage" | "fail" => {
            script.extend(words.next());
            let event = if model == "fail" {
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"overloaded\"}}\n\n"
            } else {
                "data: <html>\n\n"
            };
            script.push_back(Some(event.to_owned()));
            return script;
        }
        _ => true,
    };
    if ends && protocol == Protocol::Messages {
        let usage = if model == "uncounted" { json!({}) } else { json!({ "input_tokens": 11 }) };
        let start = json!({ "type": "message_start", "message": { "usage": usage } });
        script.push_front(Some(format!("event: message_start\ndata: {start}\n\n")));
    }
    script.extend(words);
    script.push_back(Some(end(protocol, model != "uncounted")));
    script
}

fn word_event(protocol: Protocol, word: &str) -> String {
    match protocol {
        Protocol::Completions => {
            let data = json!({ "choices": [{ "index": 0, "delta": { "content": word } }] });
            format!("data: {data}\n\n")
        }
        Protocol::Messages => {
            let delta = json!({ "type": "text_delta", "text": word });
            let data = json!({ "type": "content_block_delta", "index": 0, "delta": delta });
            format!("event: content_block_delta\ndata: {data}\n\n")
        }
    }
}

fn end(protocol: Protocol, counted: bool) -> String {
    match (protocol, counted) {
        (Protocol::Completions, _) => {
            let stop = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
            let usage = json!({ "choices": [], "usage": { "prompt_tokens": 11, "completion_tokens": 7 } });
            if counted {
                format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
            } else {
                format!("data: {stop}\n\n")
            }
        }
        (Protocol::Messages, _) => {
            let usage = if counted { json!({ "output_tokens": 7 }) } else { json!({}) };
            let delta =
                json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": usage });
            let last = if counted { "data: {\"type\":\"message_stop\"}\n\n" } else { "" };
            format!("event: message_delta\ndata: {delta}\n\n{last}")
        }
    }
}

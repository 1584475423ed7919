//! Runs against an endpoint that speaks both protocols.

use std::time::Duration;

use models::{Ask, Endpoints, Event, Limits, Message, ModelError, Outcome, Role, Settings, start};
use tests::model::{KEY, Stub};
use tests::until::{secs, until};
use tokio::net::TcpSocket;

const MODELS: &[&str] = &[
    "echo",
    "uncounted",
    "pause",
    "hang",
    "cut",
    "garbage",
    "fail",
    "flood",
    "page",
    "refuse-401",
    "refuse-403",
    "refuse-404",
    "refuse-429",
    "refuse-400",
    "refuse-500",
];

fn endpoints(text: &str, key: &str) -> Endpoints {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    std::fs::write(&path, text).unwrap();
    Endpoints::read(&path, &|_| Some(key.to_owned())).unwrap()
}

fn question() -> Ask {
    let message = |role, text: &str| Message { role, text: text.to_owned() };
    let messages = vec![message(Role::System, "Be brief."), message(Role::User, "one two three")];
    Ask { messages, settings: Settings { temperature: Some(0.5), ..Settings::default() } }
}

/// Little text; all the time that an answer needs, of whose end nobody has to be told.
fn short() -> Limits {
    Limits { text: 64 * 1024, ..Limits::default() }
}

/// Little time, for an answer that does not come.
fn hasty() -> Limits {
    let wait = Duration::from_millis(300);
    Limits { first_byte: wait, silence: wait, ..short() }
}

/// The whole answer of a model.
async fn whole(all: &Endpoints, name: &str, limits: Limits) -> Result<(String, Outcome), ModelError> {
    let (endpoint, model) = all.find(name).unwrap();
    let mut run = start(endpoint, model, &question(), limits).await?;
    let mut text = String::new();
    loop {
        match run.next().await? {
            Some(Event::Text(more)) => text.push_str(&more),
            Some(Event::Done(outcome)) => {
                assert_eq!(run.next().await, Ok(None));
                return Ok((text, outcome));
            }
            None => panic!("ended without an outcome"),
        }
    }
}

#[tokio::test]
async fn both_protocols_stream_an_answer_with_tokens_cost_and_times() {
    let stub = Stub::start().await.unwrap();
    let all = endpoints(&stub.file(MODELS), KEY);
    for (name, path) in [("open/echo", "/v1/chat/completions"), ("anthropic/echo", "/v1/messages")] {
        let (text, outcome) = whole(&all, name, Limits::default()).await.unwrap();
        assert_eq!(text, "You said: one two three", "{name}");
        assert_eq!((outcome.input_tokens, outcome.output_tokens, outcome.estimated), (11, 7, false));
        let cost = outcome.cost.unwrap();
        assert!((cost - 0.000_092).abs() < 1e-9, "{cost}");
        assert!(outcome.first_ms.unwrap() <= outcome.total_ms);
        assert!(["stop", "end_turn"].contains(&outcome.stop.unwrap().as_str()));
        let heard = stub.heard().pop().unwrap();
        assert_eq!((heard.path, heard.key.as_str()), (path, KEY));
        assert_eq!(heard.body["temperature"], 0.5);
    }
    until("both answers are read", secs(60), async || (stub.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn who_does_not_count_is_counted_for_and_it_is_said() {
    let stub = Stub::start().await.unwrap();
    let all = endpoints(&stub.file(MODELS), KEY);
    for name in ["open/uncounted", "anthropic/uncounted"] {
        let (_, outcome) = whole(&all, name, Limits::default()).await.unwrap();
        assert!(outcome.estimated, "{name}");
        assert_eq!((outcome.input_tokens, outcome.output_tokens), (6, 6), "{name}");
    }
}

#[tokio::test]
async fn every_way_to_fail_has_its_own_words_and_none_shows_the_key() {
    let stub = Stub::start().await.unwrap();
    let all = endpoints(&stub.file(MODELS), KEY);
    for (model, code) in [
        ("refuse-401", "model_key_refused"),
        ("refuse-403", "model_key_refused"),
        ("refuse-404", "model_unknown"),
        ("refuse-429", "model_rate_limited"),
        ("refuse-400", "model_refused"),
        ("refuse-500", "model_failed"),
        ("page", "model_stream_broken"),
        ("cut", "model_stream_broken"),
        ("garbage", "model_stream_broken"),
        ("fail", "model_failed"),
        ("hang", "model_timeout"),
        ("pause", "model_timeout"),
        ("flood", "model_answer_too_long"),
    ] {
        for endpoint in ["open", "anthropic"] {
            let limits = if code == "model_timeout" { hasty() } else { short() };
            let error = whole(&all, &format!("{endpoint}/{model}"), limits).await.unwrap_err();
            assert_eq!(error.code(), code, "{endpoint}/{model}: {error}");
            let words = format!("{error} {error:?}");
            assert!(!words.contains(KEY) && words.contains(endpoint), "{words}");
        }
    }
    let error = whole(&all, "open/refuse-429", short()).await.unwrap_err();
    assert!(error.to_string().ends_with("try again in 7 s"), "{error}");
    let error = whole(&all, "open/refuse-400", short()).await.unwrap_err();
    assert!(error.to_string().ends_with("(400): not with …"), "{error}");
}

#[tokio::test]
async fn a_wrong_key_and_an_address_where_nobody_is_are_told_apart() {
    let stub = Stub::start().await.unwrap();
    let text = stub.file(&["echo"]);
    let error = whole(&endpoints(&text, "sk-other"), "open/echo", short()).await.unwrap_err();
    assert_eq!(error.code(), "model_key_refused");
    // Taken, so that nobody else comes there, and nobody listens.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let there = text.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let text = text.replace(there, &silent.local_addr().unwrap().to_string());
    let error = whole(&endpoints(&text, KEY), "open/echo", short()).await.unwrap_err();
    assert_eq!(error.code(), "model_unreachable", "{error}");
    assert!(error.to_string().starts_with("open cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_run_that_is_dropped_closes_its_connection() {
    let stub = Stub::start().await.unwrap();
    let all = endpoints(&stub.file(MODELS), KEY);
    let (endpoint, model) = all.find("open/pause").unwrap();
    let mut run = start(endpoint, model, &question(), Limits::default()).await.unwrap();
    assert_eq!(run.next().await, Ok(Some(Event::Text("You ".into()))));
    assert_eq!(stub.open(), 1);
    drop(run);
    until("the endpoint notices", secs(60), async || (stub.open() == 0).then_some(())).await;
}

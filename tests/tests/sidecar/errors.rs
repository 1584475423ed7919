//! The document names every error, and every error that it names occurs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use schemas::envelope::{AgeAction, Heartbeat, MaxAge};
use serde_json::Value;
use tests::nats::{TestBroker, now};
use tests::until::until;

use crate::mount::denying;
use crate::stage::{Answer, PATIENCE, Sidecar, furnish};

/// What the document says, and what was seen.
#[derive(Default)]
struct Seen(BTreeSet<(String, String)>);

impl Seen {
    fn note(&mut self, operation: &str, answer: &Answer) {
        let code = answer.code();
        assert!(!code.is_empty(), "{operation}: {answer:?}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{answer:?}");
        assert_eq!(answer.json().map(|body| body["status"].clone()).ok(), Some(answer.status.into()));
        self.0.insert((operation.into(), code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_error_that_the_document_names_occurs_and_no_other() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let bounds = ["--body-max", "2000000", "--body-time-ms", "6000", "--event-readers", "1"];
    let sidecar = Sidecar::start(&test, "errors", &bounds).await?;
    let document = sidecar.get("/openapi.json").await?.json()?;
    let (mut named, mut operations) = (BTreeSet::new(), Vec::new());
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for (method, operation) in methods.as_object().context("methods")? {
            let name = operation["operationId"].as_str().context("a name")?.to_owned();
            for response in operation["responses"].as_object().context("responses")?.values() {
                let codes = response["x-codes"].as_array().cloned().unwrap_or_default();
                named.extend(
                    codes.iter().filter_map(Value::as_str).map(|code| (name.clone(), code.to_owned())),
                );
            }
            let open = operation.get("security").is_none();
            operations.push((name, method.to_uppercase(), path.replace("{id}", "hello"), open));
        }
    }
    let mut seen = Seen::default();

    // Nothing is served yet.
    let hello = r#"{"id":"hello","values":{"name":"Ada","n":1}}"#;
    seen.note("render", &sidecar.ask("POST", "/v1/render", Some(hello), &[]).await?);
    seen.note("template", &sidecar.get("/v1/prompts/hello").await?);
    let called = r#"{"id":"hello","input_tokens":7}"#;
    seen.note("report", &sidecar.ask("POST", "/v1/calls", Some(called), &[]).await?);
    furnish(&test).await?;
    sidecar.furnished().await;

    // What every route has in common.
    let host = denying().await?;
    for (name, method, path, open) in &operations {
        let strange = sidecar.ask(method, path, None, &["-H", "host: evil.example"]).await?;
        assert_eq!(strange.status, 421, "{name}");
        seen.note(name, &strange);
        let stranger = sidecar.bare(path, None, &["-X", method]).await?;
        if *open {
            assert_ne!(stranger.status, 401, "{name}");
            continue;
        }
        assert_eq!(stranger.status, 401, "{name}");
        seen.note(name, &stranger);
        let denied =
            crate::stage::curl(&format!("http://{}/live{path}", host.address), None, &["-X", method]).await?;
        assert_eq!(denied.status, 403, "{name}");
        seen.note(name, &denied);
        if method != "GET" {
            let crossed = sidecar.ask(method, path, None, &["-H", "sec-fetch-site: cross-site"]).await?;
            assert_eq!(crossed.status, 403, "{name}");
            seen.note(name, &crossed);
        }
    }

    // Bodies.
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(2_000_001));
    let take_bodies = [
        ("render", "POST", "/v1/render"),
        ("set_mode", "PUT", "/v1/mode"),
        ("sync", "POST", "/v1/sync"),
        ("report", "POST", "/v1/calls"),
    ];
    let slow = take_bodies.map(|(_, method, path)| crate::bounds::slow_body(&sidecar, method, path));
    for (slow, (name, method, path)) in try_join_all(slow).await?.iter().zip(take_bodies) {
        seen.note(name, slow);
        seen.note(name, &sidecar.ask(method, path, Some("[nonsense"), &[]).await?);
        seen.note(name, &sidecar.ask(method, path, Some(r#"{"odd":1}"#), &[]).await?);
        let too_much = sidecar.ask(method, path, Some(&large), &[]).await?;
        assert_eq!(too_much.status, 413, "{name}");
        seen.note(name, &too_much);
    }
    seen.note("search", &sidecar.get("/v1/search").await?);

    // Prompts and values.
    let list: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let heavy = format!(r#"{{"id":"bad","values":{{"l":[{}],"o":{{}}}}}}"#, list.join(","));
    for (body, code) in [
        (r#"{"id":"none"}"#, "unknown_prompt"),
        (r#"{"id":"same"}"#, "ambiguous_prompt"),
        (r#"{"id":"hello","values":{"name":"Ada","n":"secret"}}"#, "bad_values"),
        (r#"{"id":"hello","history":{"x":[]}}"#, "unknown_placeholder"),
        (r#"{"id":"@talk/chat","values":{"who":"x"},"history":{"x":[]}}"#, "unknown_placeholder"),
        (r#"{"id":"bad","values":{"l":[],"o":{}}}"#, "template_failed"),
        (&heavy, "render_limit"),
    ] {
        let answer = sidecar.ask("POST", "/v1/render", Some(body), &[]).await?;
        assert_eq!(answer.code(), code, "{answer:?}");
        assert!(!answer.body.contains("secret"), "no value is repeated: {answer:?}");
        seen.note("render", &answer);
    }
    for (address, code) in [
        ("none", "unknown_prompt"),
        ("same", "ambiguous_prompt"),
        ("@talk", "bad_address"),
        ("@talk@99/chat", "other_version"),
        ("@elsewhere/talk@1/chat", "other_organisation"),
    ] {
        let body = format!(r#"{{"id":"{address}"}}"#);
        let rendered = sidecar.ask("POST", "/v1/render", Some(&body), &[]).await?;
        let reported = sidecar.ask("POST", "/v1/calls", Some(&body), &[]).await?;
        let shown = sidecar.get(&format!("/v1/prompts/{address}")).await?;
        for (operation, answer) in [("render", rendered), ("report", reported), ("template", shown)] {
            assert_eq!(answer.code(), code, "{operation}: {answer:?}");
            seen.note(operation, &answer);
        }
    }
    assert_eq!(sidecar.ask("POST", "/v1/calls", Some(called), &[]).await?.status, 200);
    let status = sidecar.get("/v1/status").await?.json()?;
    let told = status["usage"].as_array().and_then(|all| all.iter().find(|one| one["prompt"] == "hello"));
    assert_eq!(told.context("its use is told")?["input_tokens"], 7);
    let typed = sidecar.ask("POST", "/v1/render", Some(r#"{"id":"hello","values":{"n":"x"}}"#), &[]).await?;
    let errors = typed.json()?["errors"].clone();
    assert_eq!(errors[0]["parameter"], "name");
    assert_eq!(
        (&errors[0]["code"], &errors[1]["code"]),
        (&"missing".into(), &"wrong_type".into()),
        "{errors}"
    );

    // One reader is all that is allowed.
    let _reader = crate::events::Reader::open(&sidecar, None).await?;
    seen.note("events", &sidecar.get("/v1/events").await?);

    // Another agent holds the cache.
    let home = test.directory().join("errors");
    let cache = home.join("cache");
    let second = Sidecar::start(&test, "second", &["--cache-dir", cache.to_str().context("a path")?]).await?;
    seen.note("set_mode", &second.ask("PUT", "/v1/mode", Some(r#"{"mode":"FROZEN"}"#), &[]).await?);

    // The project allows no old content.
    let word = Heartbeat {
        scope: test.scope("dev"),
        issued: now(),
        period_ms: 60_000,
        heads: Vec::new(),
        trust: 0,
        max_age: Some(MaxAge { seconds: 1, action: AgeAction::Refuse }),
        orders: Vec::new(),
    };
    test.beat_by(&test.project_keys, &test.certificate, None, word).await?;
    let old = until("it is too old", PATIENCE, async || {
        let answer = sidecar.ask("POST", "/v1/render", Some(hello), &[]).await.ok()?;
        (answer.code() == "too_old").then_some(answer)
    })
    .await;
    seen.note("render", &old);
    seen.note("report", &sidecar.ask("POST", "/v1/calls", Some(called), &[]).await?);
    seen.note("template", &sidecar.get("/v1/prompts/hello").await?);

    // No broker.
    test.server.stop().await;
    let unreachable = until("it cannot sync", PATIENCE * 3, async || {
        let answer = sidecar.ask("POST", "/v1/sync", None, &["--max-time", "40"]).await.ok()?;
        (answer.status == 503).then_some(answer)
    })
    .await;
    seen.note("sync", &unreachable);

    // A fault of the program cannot be ordered.
    named.retain(|(_, code)| code != "internal");
    let (missing, strange): (Vec<_>, Vec<_>) =
        (named.difference(&seen.0).collect(), seen.0.difference(&named).collect());
    assert!(missing.is_empty() && strange.is_empty(), "never seen: {missing:?}; not named: {strange:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_in_the_document_is_not_there() -> Result<()> {
    let test = TestBroker::start().await?;
    let sidecar = Sidecar::start(&test, "absent", &[]).await?;
    for path in ["/v1", "/v1/", "/v2/render", "/v1/render/", "/v1/prompts/", "/etc/passwd", "/..%2f"] {
        let answer = sidecar.get(path).await?;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    let document = sidecar.get("/openapi.json").await?.json()?;
    let paths = document["paths"].as_object().context("paths")?;
    for (path, methods) in paths {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if methods.get(method.to_lowercase()).is_some() {
                continue;
            }
            let answer = sidecar.ask(method, &path.replace("{id}", "a"), None, &[]).await?;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (405, "method_not_allowed"),
                "{method} {path}"
            );
        }
    }
    Ok(())
}

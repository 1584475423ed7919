//! Every route, over both protocols and both transports.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::nats::TestBroker;
use tests::until::until;

use crate::stage::{PATIENCE, Sidecar, furnish};

const HELLO: &str = r#"{"id":"hello","values":{"name":"Ada \"L\"\n","n":3}}"#;

#[tokio::test]
async fn a_prompt_is_rendered_over_both_protocols_and_both_transports() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "routes", &[]).await?;
    sidecar.furnished().await;
    let bearer = sidecar.bearer();
    for (protocol, flags) in [("http/1.1", vec!["--http1.1"]), ("http/2", vec!["--http2-prior-knowledge"])] {
        let far =
            sidecar.bare("/v1/render", Some(HELLO), &[flags.clone(), vec!["-H", &bearer]].concat()).await?;
        let near = sidecar.near("/v1/render", Some(HELLO), &flags).await?;
        for answer in [far, near] {
            assert!(answer.head.starts_with(protocol), "{answer:?}");
            assert_eq!(answer.status, 200, "{answer:?}");
            let said = answer.json()?;
            assert_eq!(said["text"], "Hello Ada \"L\"\n, 3 new");
            assert_eq!(
                (&said["set"], &said["version"], &said["serial"]),
                (&json!("chat"), &json!("1.0.0"), &json!(1))
            );
            assert!(said["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{said}");
        }
    }
    let plain = sidecar.ask("POST", "/v1/render", Some(HELLO), &["-H", "accept: text/plain"]).await?;
    assert_eq!(plain.body, "Hello Ada \"L\"\n, 3 new");
    for expected in ["live-set: chat", "live-version: 1.0.0", "live-serial: 1", "live-digest: sha256:"] {
        assert!(plain.head.contains(expected), "{plain:?}");
    }
    let chat = r#"{"id":"@talk/chat","values":{"who":"kind"},"history":{"history":[{"role":"user","content":"Hi"}]}}"#;
    let chat = sidecar.ask("POST", "/v1/render", Some(chat), &[]).await?.json()?;
    assert_eq!(
        chat["messages"],
        json!([{"role": "system", "content": "You are kind."}, {"role": "user", "content": "Hi"}])
    );
    assert_eq!((&chat["set"], chat.get("text")), (&json!("talk"), None));
    Ok(())
}

#[tokio::test]
async fn the_other_routes_say_what_is_there_and_change_what_they_should() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "others", &[]).await?;
    let ids = |found: &Value| -> Vec<String> {
        let all = found["prompts"].as_array().cloned().unwrap_or_default();
        all.iter()
            .map(|one| format!("@{}/{}", one["set"].as_str().unwrap_or(""), one["id"].as_str().unwrap_or("")))
            .collect()
    };
    until("both sets are here", PATIENCE, async || {
        let all = sidecar.get("/v1/prompts").await.ok()?.json().ok()?;
        (ids(&all) == ["@chat/hello", "@chat/same", "@chat/x/deep", "@talk/bad", "@talk/chat", "@talk/same"])
            .then_some(())
    })
    .await;
    for (question, found) in [
        ("GREETS", &["@chat/hello"][..]),
        ("new", &["@chat/hello"]),
        ("@chat/x", &["@chat/x/deep"]),
        ("same", &["@chat/same", "@talk/same"]),
        ("@talk%20nowhere", &[]),
    ] {
        assert_eq!(
            ids(&sidecar.get(&format!("/v1/search?q={question}")).await?.json()?),
            found,
            "{question}"
        );
    }
    for address in ["hello", "@chat/hello", "%40chat/hello"] {
        let template = sidecar.get(&format!("/v1/prompts/{address}")).await?.json()?;
        assert_eq!(template["prompt"]["content"]["template"], "Hello {{ name }}, {{ n }} new");
        assert_eq!((&template["set"], &template["serial"]), (&json!("chat"), &json!(1)));
    }
    assert_eq!(sidecar.get("/v1/prompts/x/deep").await?.json()?["prompt"]["id"], "x/deep");

    let status = sidecar.get("/v1/status").await?.json()?;
    assert_eq!((&status["agent"], &status["connected"]), (&json!("others"), &json!(true)));
    assert_eq!(sidecar.get("/v1/mode").await?.json()?["mode"], "ACCEPTING");
    let frozen = sidecar.ask("PUT", "/v1/mode", Some(r#"{"mode":"frozen"}"#), &[]).await?;
    assert_eq!((frozen.status, &frozen.json()?["mode"]), (200, &json!("FROZEN")));
    test.publish(test.bundle("chat", "1.1.0", &[("hello", "Bye")])).await?;
    until("it waits", PATIENCE, async || {
        let status = sidecar.get("/v1/status").await.ok()?.json().ok()?;
        let chat = status["sets"].as_array()?.iter().find(|set| set["set"] == "chat")?.clone();
        (chat["pending"]["state"] == "verified").then_some(())
    })
    .await;
    let still = sidecar.ask("POST", "/v1/render", Some(HELLO), &[]).await?.json()?;
    assert_eq!((&still["version"], &still["serial"]), (&json!("1.0.0"), &json!(1)));
    sidecar.ask("PUT", "/v1/mode", Some(r#"{"mode":"ACCEPTING"}"#), &[]).await?;
    let synced = sidecar.ask("POST", "/v1/sync", None, &[]).await?;
    assert_eq!(synced.status, 200, "{synced:?}");
    let rendered = sidecar.ask("POST", "/v1/render", Some(r#"{"id":"@chat/hello"}"#), &[]).await?.json()?;
    assert_eq!((&rendered["text"], &rendered["version"]), (&json!("Bye"), &json!("1.1.0")));
    Ok(())
}

#[tokio::test]
async fn live_ready_and_fresh_are_three_answers_and_need_no_token() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let sidecar = Sidecar::start(&test, "health", &[]).await?;
    let ask = async |path: &str| -> Result<(u16, Value)> {
        let answer = sidecar.bare(path, None, &[]).await?;
        Ok((answer.status, answer.json()?))
    };
    assert_eq!(ask("/livez").await?.0, 200);
    let (status, why) = ask("/readyz").await?;
    assert_eq!((status, &why["ok"]), (503, &json!(false)), "nothing is served yet");
    assert!(why["reasons"].as_array().is_some_and(|all| !all.is_empty()), "{why}");
    furnish(&test).await?;
    until("it is ready", PATIENCE, async || (ask("/readyz").await.ok()?.0 == 200).then_some(())).await;
    // Without the broker it goes on.
    test.server.stop().await;
    until("it is not fresh", PATIENCE, async || (ask("/freshz").await.ok()?.0 == 503).then_some(())).await;
    assert_eq!((ask("/livez").await?.0, ask("/readyz").await?.0), (200, 200));
    let rendered = sidecar.ask("POST", "/v1/render", Some(HELLO), &[]).await?;
    assert_eq!(rendered.status, 200, "{rendered:?}");
    Ok(())
}

/// Reads the text as strictly as the format is written; gives values by name and labels.
const PARSER: &str = r##"
import re, sys
NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABELS = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
text = sys.stdin.read()
assert text.endswith("\n"), "the last line does not end"
kinds, helps, seen, closed, current = {}, {}, set(), set(), None
for line in text.splitlines():
    if line.startswith("# "):
        _, what, name, rest = line.split(" ", 3)
        assert what in ("HELP", "TYPE") and re.fullmatch(NAME, name), line
        table = helps if what == "HELP" else kinds
        assert name not in table, "twice: " + line
        table[name] = rest
        assert what == "HELP" or rest in ("counter", "gauge", "histogram"), line
        if current != name:
            closed.add(current); assert name not in closed, "in pieces: " + line
            current = name
        continue
    m = re.fullmatch("(" + NAME + r')(?:\{(.*)\})? ([^ ]+)', line)
    assert m, "no sample: " + line
    name, labels, value = m.groups()
    float(value)
    base = re.sub(r"_(bucket|sum|count)$", "", name) if kinds.get(current) == "histogram" else name
    assert base == current and base in helps and base in kinds, "no HELP and TYPE before: " + line
    assert kinds[base] != "counter" or (name.endswith("_total") and float(value) >= 0), line
    rest, at = labels or "", 0
    while at < len(rest):
        one = LABELS.match(rest, at); assert one, "labels: " + line; at = one.end()
    assert (name, labels) not in seen, "twice: " + line
    seen.add((name, labels))
print(len(seen))
try:
    from prometheus_client.parser import text_string_to_metric_families
    print(sum(len(f.samples) for f in text_string_to_metric_families(text)))
except ImportError:
    pass
"##;

#[tokio::test]
async fn the_metrics_are_read_by_a_strict_parser_and_count_what_was_asked() -> Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "metrics", &[]).await?;
    for _ in 0..3 {
        sidecar.ask("POST", "/v1/render", Some(HELLO), &[]).await?;
    }
    sidecar.ask("POST", "/v1/render", Some("nonsense"), &[]).await?;
    sidecar.get("/none").await?;
    let metrics = sidecar.get("/metrics").await?;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{metrics:?}");
    let route = "route=\"/v1/render\",method=\"POST\"";
    for line in [
        "live_connected 1\n".to_owned(),
        "live_renders_total 3\n".into(),
        "live_set_serial{set=\"chat\"} 1\n".into(),
        format!("live_http_requests_total{{{route},code=\"200\"}} 3\n"),
        format!("live_http_requests_total{{{route},code=\"400\"}} 1\n"),
        "live_http_requests_total{route=\"other\",method=\"any\",code=\"404\"} 1\n".into(),
        format!("live_http_request_duration_seconds_count{{{route}}} 4\n"),
        "live_agent_info{agent=\"metrics\"".into(),
        "live_http_requests_in_flight 1\n".into(),
        "live_connects_total 1\n".into(),
    ] {
        assert!(metrics.body.contains(&line), "{line} is not in\n{}", metrics.body);
    }
    let mut python = tokio::process::Command::new("python3");
    python.args(["-c", PARSER]).env("PYTHONPATH", tests::tools::tools_dir().join("python"));
    python.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = python.stderr(std::process::Stdio::piped()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(metrics.body.as_bytes()).await?;
    let read = child.wait_with_output().await?;
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let samples = metrics.body.lines().filter(|line| !line.starts_with('#')).count();
    for said in String::from_utf8(read.stdout)?.lines() {
        assert_eq!(said.parse::<usize>()?, samples);
    }
    Ok(())
}

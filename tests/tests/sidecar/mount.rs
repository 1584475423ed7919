//! The router in a host of its own, behind the host's door.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::get;
use live_agent::serve::access::{Asks, Authorize, Denied, Loopback};
use live_agent::{LiveAgent, Mode};
use tests::nats::TestBroker;
use tests::stage::{builder, publish, serves};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{PATIENCE, curl};

/// A host that serves until it is dropped.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) agent: LiveAgent,
    _test: Option<TestBroker>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn host(agent: LiveAgent, test: Option<TestBroker>, rule: impl Authorize) -> Result<Host> {
    let app = Router::new()
        .route("/", get(|| async { "the host's own page" }))
        .nest("/live", live_agent::router(agent.clone(), rule));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok(Host { address, agent, _test: test, task })
}

/// A host that lets nobody in.
pub(crate) async fn denying() -> Result<Host> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "denying")?.memory_only().start().await?;
    host(agent, Some(test), |_: &Asks<'_>| Err(Denied::forbidden("nobody"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_mounts_it_where_it_likes_and_decides_who_may_change_something() -> Result<()> {
    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "Hello!").await?;
    let agent = builder(&test, "host")?.memory_only().start().await?;
    serves(&agent, 1).await;
    let rule = |asks: &Asks<'_>| match asks.headers.get("x-staff").map(|staff| staff.as_bytes()) {
        None => Err(Denied::sign_in("who are you?")),
        Some(b"boss") => Ok(()),
        Some(_) if asks.changes => Err(Denied::forbidden("only the boss")),
        Some(_) => Ok(()),
    };
    let host = host(agent, None, rule).await?;
    let ask = async |path: &str, body: Option<&str>, more: &[&str]| {
        curl(&format!("http://{}{path}", host.address), body, more).await
    };
    let (staff, boss) = (["-H", "x-staff: me"], ["-H", "x-staff: boss"]);
    assert_eq!(ask("/", None, &[]).await?.body, "the host's own page");
    assert_eq!(ask("/live/livez", None, &[]).await?.status, 200);
    assert_eq!(ask("/live/v1/status", None, &[]).await?.status, 401);
    let hello = Some(r#"{"id":"hello"}"#);
    assert_eq!(ask("/live/v1/render", hello, &staff).await?.json()?["text"], "Hello!");
    let freeze = Some(r#"{"mode":"FROZEN"}"#);
    let refused = ask("/live/v1/mode", freeze, &["-X", "PUT", "-H", "x-staff: me"]).await?;
    assert_eq!((refused.status, refused.code().as_str()), (403, "denied"));
    assert_eq!(host.agent.mode(), Mode::Accepting);

    // Links and forms of the page lead below the mount.
    let page = ask("/live", None, &staff).await?;
    assert_eq!(page.status, 200, "{page:?}");
    for link in ["href=\"live/live.css\"", "action=\"live/mode\"", "href=\"live/prompts\""] {
        assert!(page.body.contains(link), "{link} is not in {}", page.body);
    }
    let inner = ask("/live/prompts", None, &staff).await?;
    for link in ["href=\"live.css\"", "href=\"../live\"", "href=\"prompt?id=%40chat/hello\""] {
        assert!(inner.body.contains(link), "{link} is not in {}", inner.body);
    }
    let form = page.body.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!("form={}&mode=FROZEN", form.unwrap_or_default());
    let post = async |body: &str, who: &[&str]| {
        let kind = ["-H", "content-type: application/x-www-form-urlencoded", "-d", body];
        ask("/live/mode", None, &[&kind, who].concat()).await
    };
    assert_eq!(post(&form, &staff).await?.status, 403);
    assert_eq!(post("form=guess&mode=FROZEN", &boss).await?.status, 403, "another site's form");
    assert_eq!(host.agent.mode(), Mode::Accepting);
    let done = post(&form, &boss).await?;
    assert!(done.status == 303 && done.head.contains("location: ../live?did=frozen"), "{done:?}");
    assert_eq!(host.agent.mode(), Mode::Frozen);

    // The page asks what waits, and takes up nothing.
    let secret = form.split('&').next().unwrap_or_default();
    let check = async || -> Result<String> {
        let body = format!("{secret}&check=1");
        let kind = ["-H", "content-type: application/x-www-form-urlencoded", "-d", &body];
        Ok(ask("/live/sync", None, &[&kind[..], &boss[..]].concat()).await?.head)
    };
    host.agent.wait_current(PATIENCE).await?;
    assert!(check().await?.contains("location: ../live?did=nothing"));
    publish(&test, "1.1.0", "Bye!").await?;
    let asked = check().await?;
    assert!(asked.contains("location: ../live?did=waits"), "{asked}");
    assert_eq!(ask("/live/v1/render", hello, &staff).await?.json()?["text"], "Hello!");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_its_agent_ends_with_readers_of_events_there() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "ending")?.memory_only().start().await?;
    let app = Router::new().nest("/live", live_agent::router(agent.clone(), |_: &Asks<'_>| Ok(())));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (end, ends) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let ends = async {
            let _ = ends.await;
        };
        axum::serve(listener, app).with_graceful_shutdown(ends).await
    });
    let mut reader = TcpStream::connect(address).await?;
    reader.write_all(b"GET /live/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut read = String::new();
    let mut chunk = [0; 1024];
    while !read.contains("event: stale") {
        let count = tokio::time::timeout(PATIENCE, reader.read(&mut chunk)).await??;
        anyhow::ensure!(count > 0, "it ended: {read}");
        read.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    agent.stop().await;
    let _ = end.send(());
    tokio::time::timeout(PATIENCE, serving).await.context("the host hangs")???;
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await?;
    assert!(rest.contains("event: closing"), "{rest}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ready_made_rule_of_loopback_knows_a_rebound_name() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "loop")?.memory_only().start().await?;
    let host = host(agent, None, Loopback).await?;
    let url = format!("http://{}/live/v1/status", host.address);
    assert_eq!(curl(&url, None, &[]).await?.status, 200);
    assert_eq!(curl(&url, None, &["-H", "host: evil.example"]).await?.status, 403);
    assert_eq!(curl(&url, None, &["-H", "x-forwarded-for: 192.0.2.1"]).await?.status, 403, "a proxy's");
    Ok(())
}

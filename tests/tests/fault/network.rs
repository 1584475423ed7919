//! The agent's network interface goes down and comes up, and loses what it carries: packets, not connections.
//!
//! All of it is in network namespaces of the test's own. The first holds broker and proxy, the second the agent, and
//! a pair of interfaces leads from one to the other. The machine's own network is never touched.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tests::proxy::Proxy;
use tests::until::secs;
use tokio::process::Command;

use crate::bounds;
use crate::child::{Child, Who};
use crate::scene::Scene;

const INSIDE: &str = "FAULT_NETWORK";
const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";

async fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let done = Command::new(program).args(arguments).output().await.with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {}: {said}", arguments.join(" "));
    Ok(())
}

/// Runs something in the namespace of a process.
async fn within(pid: &str, arguments: &[&str]) -> Result<()> {
    run("nsenter", &[&["--target", pid, "--net"], arguments].concat()).await
}

/// Runs [`inside`] in a namespace of its own.
async fn unshared(what: &str) -> Result<()> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]).arg(std::env::current_exe()?);
    command.args(["--exact", "network::inside", "--ignored", "--nocapture", "--test-threads=1"]);
    let status = command.env(INSIDE, what).kill_on_drop(true).status().await.context("unshare")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs network namespaces of its own: make faults"]
async fn in_a_namespace_a_network_that_goes_comes_back() -> Result<()> {
    unshared("link").await
}

#[tokio::test]
#[ignore = "needs network namespaces of its own, and netem in the kernel: make faults"]
async fn with_netem_packets_that_are_lost_late_or_double_cost_only_time() -> Result<()> {
    unshared("netem").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the inside of another test, which starts it itself"]
async fn inside() -> Result<()> {
    let Ok(what) = std::env::var(INSIDE) else { return Ok(()) };
    run("ip", &["link", "set", "lo", "up"]).await?;
    let scene = Scene::begin().await?;
    // A process that holds the other namespace open.
    let mut holds = Command::new("unshare");
    let mut holds = holds.args(["--net", "sleep", "600"]).kill_on_drop(true).spawn()?;
    let there = holds.id().context("the other namespace")?.to_string();
    // Its namespace is another one than ours once it has gone over.
    let ours = std::fs::read_link("/proc/self/ns/net")?;
    tests::until::until("the other namespace is there", secs(60), async || {
        let theirs = std::fs::read_link(format!("/proc/{there}/ns/net")).ok()?;
        (theirs != ours).then_some(())
    })
    .await;
    run("ip", &["link", "add", "here", "type", "veth", "peer", "name", "there", "netns", &there]).await?;
    run("ip", &["address", "add", &format!("{HERE}/30"), "dev", "here"]).await?;
    run("ip", &["link", "set", "here", "up"]).await?;
    within(&there, &["ip", "link", "set", "lo", "up"]).await?;
    within(&there, &["ip", "address", "add", &format!("{THERE}/30"), "dev", "there"]).await?;
    within(&there, &["ip", "link", "set", "there", "up"]).await?;

    let proxy = Proxy::start_at(format!("{HERE}:0").parse()?, &scene.test.server.url()).await?;
    let who = Who::new(&scene, "network", &proxy.url(), scene.cache("network"))?;
    let mut command = Command::new("nsenter");
    command.args(["--target", &there, "--net"]);
    let child = Child::start(command, &who)?;
    child.current(&scene, Instant::now(), secs(60), "the start").await;

    match what.as_str() {
        "netem" => weather(&scene, &child).await?,
        _ => link(&scene, &child, &there).await?,
    }
    child.end().await?;
    holds.kill().await?;
    Ok(())
}

/// The interface on this side goes down, then the other one loses its address.
async fn link(scene: &Scene, child: &Child, there: &str) -> Result<()> {
    for seconds in [1, 5, 10] {
        run("ip", &["link", "set", "here", "down"]).await?;
        scene.publish().await?;
        tokio::time::sleep(secs(seconds)).await;
        scene.publish().await?;
        let begin = Instant::now();
        run("ip", &["link", "set", "here", "up"]).await?;
        child.current(scene, begin, bounds::NETWORK, &format!("interface down for {seconds} s")).await;
    }
    // The agent's own side, which takes its address away with it.
    within(there, &["ip", "address", "flush", "dev", "there"]).await?;
    scene.publish().await?;
    tokio::time::sleep(secs(3)).await;
    let begin = Instant::now();
    within(there, &["ip", "address", "add", &format!("{THERE}/30"), "dev", "there"]).await?;
    child.current(scene, begin, bounds::NETWORK, "no address for 3 s").await;
    Ok(())
}

async fn weather(scene: &Scene, child: &Child) -> Result<()> {
    for weather in [
        ["delay", "200ms", "100ms", "loss", "5%"].as_slice(),
        &["delay", "50ms", "20ms", "reorder", "25%", "duplicate", "10%"],
        &["loss", "30%"],
    ] {
        let begin = ["qdisc", "replace", "dev", "here", "root", "netem"];
        run("tc", &[&begin, weather].concat()).await?;
        let begin = Instant::now();
        for _ in 0..5 {
            scene.publish_with(20_000).await?;
        }
        child.current(scene, begin, bounds::NETWORK, &format!("netem {}", weather.join(" "))).await;
        run("tc", &["qdisc", "delete", "dev", "here", "root"]).await?;
    }
    Ok(())
}

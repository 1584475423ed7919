//! `forge demo`: the whole line on real parts, with a LIVE agent as a second process.

mod agent;
mod check;
mod stage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::config::Config;
use crate::database::Address;
use crate::database::organisation::Membership;
use crate::run::{self, Running, Signals};
use crate::session;

use agent::LiveProcess;
use stage::Stage;

/// How long the broker may take to be there: it may have to be installed.
const BROKER: Duration = Duration::from_secs(180);
/// How long the agent may take to serve what was published.
const ACTIVE: Duration = Duration::from_secs(30);

/// What the demo is run with.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of real prompts.
    pub patterns: PathBuf,
    /// Goes on by itself: edits, publishes, sees the agent change, ends.
    pub check: bool,
}

/// Says what is being done, and how long it took.
#[derive(Debug)]
struct Progress(Instant);

impl Progress {
    fn done(&mut self, what: &str) {
        println!("  {:>7.2} s  {what}", self.0.elapsed().as_secs_f32());
        self.0 = Instant::now();
    }
}

/// Runs the demo until it is asked to end; with `check` until it has seen everything.
///
/// # Errors
/// What did not work.
pub async fn run(mut config: Config, options: &Options) -> anyhow::Result<()> {
    if !options.patterns.is_dir() {
        bail!("{} is no folder of prompts: say where they are with --patterns", options.patterns.display());
    }
    let live = beside_us("live")?;
    let scratch = options.check.then(|| config.data_dir.join(format!("check-{}", std::process::id())));
    if let Some(scratch) = &scratch {
        config.data_dir.clone_from(scratch);
        if matches!(config.database, Address::Sqlite(_)) {
            config.database = Address::Sqlite(scratch.join("forge.db"));
        }
        config.master_key = crate::config::MasterKey::File { path: scratch.join("master.key"), make: true };
        config.listen.set_port(0);
    } else if std::net::TcpListener::bind(config.listen).is_err() {
        config.listen = SocketAddr::new(config.listen.ip(), 0);
    }
    let result = play(config, options, &live).await;
    if let Some(scratch) = scratch {
        let _ = std::fs::remove_dir_all(scratch);
    }
    result
}

/// A program that was built together with this one.
fn beside_us(name: &str) -> anyhow::Result<PathBuf> {
    let us = std::env::current_exe().context("asking where forge is")?;
    let path = us.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!("{} is missing: build it with `cargo build --bin {name}`", path.display());
    }
    Ok(path)
}

async fn play(config: Config, options: &Options, live: &Path) -> anyhow::Result<()> {
    println!("Anvil: author, lock, publish, follow, render");
    let mut progress = Progress(Instant::now());
    let data_dir = config.data_dir.clone();
    let running = run::start(config).await?;
    progress.done(&format!(
        "FORGE serves on {} ({})",
        running.state.public_url,
        running.state.database.kind()
    ));
    let mut signals = Signals::listen().context("hearing the signals that end a process")?;
    let played = tokio::select! {
        played = perform(&running, options, live, &data_dir, &mut progress) => played,
        () = running.until_asked_to_end(&mut signals) => Err(anyhow!("it was asked to end")),
    };
    let result = match played {
        Ok(agent) => {
            if !options.check {
                invite(&running).await?;
                tokio::select! {
                    () = running.until_asked_to_end(&mut signals) => {}
                    () = agent.forward() => println!("the agent ended"),
                }
            }
            agent.stop().await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    running.stop().await;
    result
}

async fn perform(
    running: &Running,
    options: &Options,
    live: &Path,
    data_dir: &Path,
    progress: &mut Progress,
) -> anyhow::Result<LiveProcess> {
    let state = &running.state;
    let mut rounds = state.broker.rounds();
    tokio::time::timeout(BROKER, rounds.wait_for(|n| *n > 0))
        .await
        .context("the broker did not start; the log above says why")?
        .context("the broker's task ended")?;
    progress.done("broker started: operator, accounts, streams");

    let stage = Stage::set(state).await?;
    progress.done("organisation demo, project fabric with dev, staging and prod");
    let count = stage.fabric(&options.patterns).await?;
    progress.done(&format!("{count} real prompts imported, locked as 1.0.0, published to prod"));

    let line = stage.credential().await?;
    let mut agent = LiveProcess::start(live, data_dir, &line).await?;
    progress.done("LIVE agent connected as a second process, with its own credential and cache");
    stage.active("fabric", ACTIVE).await?;
    progress.done("the agent serves the 1.0.0 of fabric");

    let measured = stage.welcome(ACTIVE).await?;
    let text = agent.printed(|text| !text.starts_with('('), ACTIVE).await?;
    progress.done("prompt welcome.message written, locked, published to prod; the agent printed:");
    for line in text.lines() {
        println!("             | {line}");
    }
    println!("             published to active in {:.1} ms, as FORGE measured it", measured);
    if options.check {
        check::check(running, &stage, &mut agent, progress).await?;
    }
    Ok(agent)
}

async fn invite(running: &Running) -> anyhow::Result<()> {
    let state = &running.state;
    let link = session::sign_in_link(state, stage::OWNER).await?;
    println!();
    println!("  Sign in once:  {}{link}", state.public_url);
    println!("  Then edit:     {}/demo/fabric/welcome/welcome.message", state.public_url);
    println!(
        "  Press Edit again, change the text, lock, publish to prod: the agent prints it below, at once."
    );
    println!("  Ctrl-C ends FORGE, the broker and the agent.");
    println!();
    Ok(())
}

fn owner_of(organisation_id: &str, user_id: &str) -> Membership {
    Membership {
        organisation_id: organisation_id.into(),
        user_id: user_id.into(),
        role: crate::auth::Role::Owner.as_str().into(),
        created_at: crate::clock::now(),
    }
}

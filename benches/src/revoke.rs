//! From revoking an agent's credential until who is connected with it is cut off: a real FORGE with its own broker on
//! SQLite, and one with an external broker on PostgreSQL.
//!
//! In each round two clients connect with a credential of their own, and it is revoked over the API. The time begins
//! when the request is sent and ends when neither client is connected, whenever the answer comes. The baseline is a
//! read of the list of credentials just before it: what HTTP, signing in by a token and the database cost. A client
//! of another credential stays connected throughout.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions};
use nats_config::subject;
use reqwest::Method;
use tests::forge::api::{Api, Credential};
use tests::forge::{Database, Forge, ORGANISATION, Place};
use tests::until::until;

use crate::measure::median;
use crate::report::Figure;

const ROUNDS: usize = 20;
/// What the documents promise.
const GONE_MS: f64 = 2_000.0;
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether the clients are still connected.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Milliseconds in a second.
const MS: f64 = 1e3;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let mut figures = Vec::new();
    for (name, database, external) in [
        ("SQLite, own broker", Database::Sqlite, false),
        ("PostgreSQL, external broker", Database::Postgres, true),
    ] {
        figures.extend(runtime.block_on(measure(name, database, external)).context(name)?);
    }
    Ok(figures)
}

async fn measure(name: &str, database: Database, external: bool) -> Result<Vec<Figure>> {
    let mut forge = start(database, external).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let kept = let_in(&owner.credential("prod", "kept").await?, "kept").await;
    let (mut times, mut reads) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let credential = owner.credential("prod", &format!("gone-{round}")).await?;
        let clients = [let_in(&credential, "one").await, let_in(&credential, "two").await];
        reads.push(read(&owner).await?);
        times.push(cut_off(&owner, &credential, &clients).await.with_context(|| format!("round {round}"))?);
        ensure!(
            kept.connection_state() == State::Connected,
            "another credential was cut off in round {round}"
        );
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    let read = median(&mut reads);
    let name = format!("{name}: credential revoked, until its 2 clients are cut off");
    Ok(vec![
        Figure::new(&name, median(&mut times), "ms").against(read),
        Figure::new(format!("{name}, worst of {ROUNDS}"), worst, "ms").against(read).at_most(GONE_MS),
    ])
}

async fn start(database: Database, external: bool) -> Result<Forge> {
    let mut place = Place::new(database)?;
    // As an operator has it, where tests are in a hurry.
    place.set("FORGE_HEARTBEAT_MS", "10000");
    place.set("FORGE_STATUS_MS", "12000");
    if external {
        place.use_external_broker()?;
        place.start_broker().await?;
    }
    Forge::begin(place).await
}

/// A client with this credential, as soon as the broker takes it.
async fn let_in(credential: &Credential, name: &str) -> Client {
    until("a new credential is let in", PATIENCE, async || connect(credential, name).await.ok()).await
}

async fn connect(credential: &Credential, name: &str) -> Result<Client> {
    let server = credential.connection["servers"][0].as_str().context("a server")?;
    let options = ConnectOptions::with_credentials(&credential.creds)?;
    let options = options.name(format!("live {name}")).connection_timeout(PATIENCE);
    Ok(options.custom_inbox_prefix(subject::inbox(&credential.public_key)).connect(server).await?)
}

/// The milliseconds of a read of the credentials.
async fn read(owner: &Api) -> Result<f64> {
    let path = format!("{}/credentials", owner.project());
    let begin = Instant::now();
    owner.get(&path).await?.ok()?;
    Ok(begin.elapsed().as_secs_f64() * MS)
}

/// Revokes a credential; the milliseconds until none of its clients is connected.
async fn cut_off(owner: &Api, credential: &Credential, clients: &[Client]) -> Result<f64> {
    let connected = |client: &Client| client.connection_state() == State::Connected;
    ensure!(clients.iter().all(connected), "a client was gone before its credential was revoked");
    let path = format!("{}/credentials/{}", owner.project(), credential.id);
    let begin = Instant::now();
    let revoked = async { owner.send(Method::DELETE, &path, &[], None).await?.ok() };
    let gone = async {
        while clients.iter().any(connected) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(begin.elapsed().as_secs_f64() * MS)
    };
    let both = async { tokio::try_join!(revoked, gone) };
    let (answer, took) = tokio::time::timeout(PATIENCE, both)
        .await
        .context("clients of a revoked credential stay connected")??;
    ensure!(answer["broker_knows"] == true, "the broker does not know of it: {answer}");
    Ok(took)
}

use schemas::prompt::Prompt;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::auth::Actor;
use crate::author::{self, NewProject, NewSet, SetAt};
use crate::config::Config;
use crate::database::project::{self, Environment};
use crate::lock;

/// The rooms are those of the process: a test that fills one, and those that want a place in it at once, take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A FORGE with the version 1.0.0 of a set in a project with an environment.
struct Place {
    state: AppState,
    set: SetAt,
    prod: Environment,
    _directory: TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

async fn place() -> Place {
    let turn = TURN.lock().await;
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("data").to_string_lossy().into_owned();
    let flags = [("data-dir", folder.as_str()), ("nats-url", "nats://127.0.0.1:1")];
    let find = |key: &str| flags.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
    let config = Config::load(&find, &|_| None).unwrap();
    let state = AppState::open(config, "http://localhost".into()).await.unwrap();
    let console = Actor::console();
    let organisation = author::create_organisation(&state, &console, "acme", "").await.unwrap();
    let new = NewProject { slug: "support", name: "", description: "" };
    let at = author::create_project(&state, &console, &organisation, new).await.unwrap();
    let new = NewSet { slug: "chat", name: "", description: "" };
    let set = author::create_set(&state, &console, &at, new).await.unwrap();
    let prompt: Prompt = serde_json::from_value(json!({
        "id": "welcome", "content": { "type": "text", "template": "Hello" }, "parameters": [],
    }))
    .unwrap();
    author::save_prompt(&state, &console, &set, &prompt, 0).await.unwrap();
    let set = author::find_set(&state, &console, &at, "chat").await.unwrap();
    lock::lock(&state, &console, &set, "1.0.0", None, "").await.unwrap();
    let mut conn = state.database.read().await.unwrap();
    let prod = project::environment(&mut conn, &at.project.id, "prod").await.unwrap().unwrap();
    drop(conn);
    Place { state, set, prod, _directory: directory, _turn: turn }
}

/// What the agent `till` says that began at `started_at`.
fn status(started_at: Micros, renders: u64) -> AgentStatus {
    serde_json::from_value(json!({
        "schema_version": 1, "agent": "till", "identity": "U",
        "scope": { "organisation": "acme", "project": "support", "environment": "prod" },
        "host": "h", "service": "till", "agent_version": "1", "mode": "ACCEPTING", "at": 1,
        "started_at": started_at, "floor": 1, "stale": false, "cache": "disk",
        "counters": { "renders": 0, "render_errors": 0 }, "sets": [],
        "usage": [{
            "set": "chat", "version": "1.0.0", "prompt": "welcome", "renders": renders,
            "render_p50_ns": started_at * 100, "render_p99_ns": 900,
        }],
    }))
    .unwrap()
}

fn words<'a>(place: &'a Place, statuses: &'a [AgentStatus]) -> Vec<Word<'a>> {
    let (project_id, environment_id) = (place.set.at.project.id.as_str(), place.prod.id.as_str());
    statuses.iter().map(|status| Word { project_id, environment_id, status }).collect()
}

async fn count(place: &Place, meter: &mut Meter, statuses: &[AgentStatus]) {
    let words = words(place, statuses);
    meter.learn(&place.state, &words).await;
    let mut tx = place.state.database.write().await.unwrap();
    meter.count(&mut tx, &words).await.unwrap();
    tx.commit().await.unwrap();
    meter.settle();
}

#[tokio::test]
async fn statuses_wait_for_nobody_who_asks_whom_a_version_would_break() {
    let place = place().await;
    let statuses = [status(1, 5)];
    let words = words(&place, &statuses);
    // Viewers who ask for breaks without end.
    let mut asked = Vec::new();
    while let Ok(one) = crate::aside::CONTRACTS.enter_within(Duration::ZERO).await {
        asked.push(one);
    }
    let mut meter = Meter::default();
    meter.learn(&place.state, &words).await;
    assert_eq!(meter.prompts.len(), 1, "it is read all the same");
    // And where there is no room of its own either, nobody waits as long as others do, and the use is told again.
    let mut own = Vec::new();
    while let Ok(one) = USES.enter_within(Duration::ZERO).await {
        own.push(one);
    }
    meter.prompts.clear();
    // Of two times that are over when this comes to look, the shorter one counts.
    tokio::select! {
        biased;
        () = meter.learn(&place.state, &words) => {}
        () = tokio::time::sleep(crate::aside::WAIT) => panic!("it waited as long as others do"),
    }
    assert!(meter.prompts.is_empty());
    drop((asked, own));
    count(&place, &mut meter, &statuses).await;
    assert_eq!(meter.prompts.len(), 1);
    let mut conn = place.state.database.read().await.unwrap();
    assert_eq!(usage::lives(&mut conn, &place.prod.id, &["till".into()]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_names_lives_without_end_in_one_batch_leaves_no_more_of_them_than_are_known_at_once() {
    let place = place().await;
    let mut meter = Meter::default();
    for first in [1, 10_000] {
        let statuses: Vec<_> = (0..2_000).map(|n| status(first + n, 7)).collect();
        count(&place, &mut meter, &statuses).await;
        let mut conn = place.state.database.read().await.unwrap();
        let lives = usage::lives(&mut conn, &place.prod.id, &["till".into()]).await.unwrap();
        let mut began: Vec<_> = lives.iter().map(|life| life.started_at).collect();
        began.sort_unstable();
        let last = first + 1_999;
        assert_eq!(began, [last - 3, last - 2, last - 1, last], "those that began last");
        let mut rows = 0;
        for n in 0..2_000 {
            let seen =
                usage::seen(&mut conn, (&place.prod.id, "till", first + n), &["welcome"]).await.unwrap();
            rows += seen.len();
        }
        assert_eq!(rows, LIVES);
    }
}

#[tokio::test]
async fn a_life_that_is_told_of_does_not_end_for_a_new_one_of_the_same_batch() {
    let place = place().await;
    let mut meter = Meter::default();
    count(&place, &mut meter, &[1, 2, 3, 4].map(|began| status(began, 1))).await;
    count(&place, &mut meter, &[3, 4, 5, 6].map(|began| status(began, 9))).await;
    let mut conn = place.state.database.read().await.unwrap();
    let lives = usage::lives(&mut conn, &place.prod.id, &["till".into()]).await.unwrap();
    let mut rows = 0;
    for began in 1..=6 {
        let seen = usage::seen(&mut conn, (&place.prod.id, "till", began), &["welcome"]).await.unwrap();
        assert_eq!(seen.len(), lives.iter().filter(|life| life.started_at == began).count(), "{began}");
        rows += seen.len();
    }
    let mut began: Vec<_> = lives.iter().map(|life| life.started_at).collect();
    began.sort_unstable();
    assert_eq!((began, rows), (vec![3, 4, 5, 6], LIVES));
}

#[test]
fn medians_are_weighed_by_the_renders_that_they_stand_for() {
    assert_eq!(weighed((100, 30), (400, 10)), 175);
    assert_eq!((weighed((0, 30), (400, 10)), weighed((100, 30), (0, 10))), (400, 100));
    assert_eq!((weighed((100, 0), (400, 10)), weighed((100, 30), (400, 0))), (400, 100));
    assert_eq!(weighed((i64::MAX, FULL), (i64::MAX, FULL)), i64::MAX);
}

//! What is asked of the database in one go, where it was asked one by one.

use std::collections::HashMap;

use forge_api::auth::Actor;
use forge_api::author::{self, NewProject};
use forge_api::database::agent::{self, Agent};
use forge_api::database::overview::{self, AgentTally, Since};
use forge_api::database::project;
use forge_api::overview::board;

use crate::app::{App, on_both};

on_both!(agents_are_counted_by_how_they_are, projects_of_a_large_organisation_stand_page_by_page);

/// An agent that was heard at 100 and is well.
fn well(environment_id: &str, name: &str) -> Agent {
    Agent {
        environment_id: environment_id.into(),
        name: name.into(),
        identity: "U".into(),
        host: "host".into(),
        service: "checkout".into(),
        agent_version: "1".into(),
        mode: "ACCEPTING".into(),
        stale: false,
        stream_floor: 1,
        cache: "disk".into(),
        status: "{}".into(),
        consumer: None,
        started_at: 1,
        first_seen_at: 1,
        last_seen_at: 100,
        disconnected_at: None,
        mode_by: "configuration".into(),
        order_number: None,
        order_result: None,
    }
}

async fn agents_are_counted_by_how_they_are(app: App) {
    let mut conn = app.state.database.read().await.unwrap();
    let environments = project::environments(&mut conn, &app.at.project.id).await.unwrap();
    let [dev, staging, prod] = [0, 1, 2].map(|n| environments[n].id.as_str());
    let rows = [
        well(dev, "well"),
        Agent { disconnected_at: Some(99), ..well(dev, "came.back") },
        Agent { stale: true, ..well(dev, "stale") },
        Agent { stale: true, disconnected_at: Some(100), ..well(dev, "stale.and.gone") },
        Agent { last_seen_at: 89, ..well(dev, "silent") },
        Agent { last_seen_at: 49, ..well(dev, "away") },
        Agent { last_seen_at: 49, stale: true, disconnected_at: Some(50), ..well(dev, "away.and.stale") },
        well(prod, "well"),
    ];
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_all(&mut tx, &rows).await.unwrap();
    tx.commit().await.unwrap();
    let since = Since { silent: 90, away: 50 };
    let found = overview::agents_of(&mut conn, &[dev, staging, prod], since).await.unwrap();
    let expected = HashMap::from([
        (dev.to_owned(), AgentTally { agents: 7, unreachable: 4, lost: 2, stale: 1 }),
        (prod.to_owned(), AgentTally { agents: 1, ..AgentTally::default() }),
    ]);
    assert_eq!(found, expected);
    assert_eq!(overview::agents_of(&mut conn, &[], since).await.unwrap(), HashMap::new());
    // The same, of a whole organisation.
    let whole = overview::agents_in(&mut conn, &app.organisation.id, since).await.unwrap();
    let by_slug: HashMap<&str, AgentTally> =
        whole.iter().map(|one| (one.environment.as_str(), one.tally)).collect();
    assert_eq!(by_slug, HashMap::from([("dev", expected[dev]), ("prod", expected[prod])]));
    assert!(whole.iter().all(|one| one.project_id == app.at.project.id));
    assert!(overview::agents_in(&mut conn, "another", since).await.unwrap().is_empty());
}

async fn projects_of_a_large_organisation_stand_page_by_page(app: App) {
    let console = Actor::console();
    for n in (0..24).rev() {
        let slug = format!("p{n:02}");
        let new = NewProject { slug: &slug, name: "", description: "" };
        author::create_project(&app.state, &console, &app.organisation, new).await.unwrap();
    }
    let mut seen = Vec::new();
    for page in 0..4 {
        let found = board(&app.state, &console, &app.organisation, page).await.unwrap();
        let needs = &found.needs;
        assert_eq!((needs.projects, needs.waiting_count, needs.failing_count), (25, 0, 0));
        seen.extend(found.projects.into_iter().map(|project| project.at.project.slug));
    }
    let mut expected: Vec<String> = (0..24).map(|n| format!("p{n:02}")).collect();
    expected.push("support".into());
    assert_eq!(seen, expected);
}

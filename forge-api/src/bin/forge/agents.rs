//! Agents and the orders to them, from the console.

use anyhow::{Context as _, bail};
use forge_api::api::body::{AgentBody, OrderBody};
use forge_api::auth::Actor;
use forge_api::author::{self, ProjectAt};
use forge_api::clock;
use forge_api::fleet;
use forge_api::order::{self, New, OrderView, Target};
use forge_api::state::AppState;
use schemas::status::Mode;

use crate::arguments::{Agents, Whom};

pub(crate) async fn run(state: &AppState, command: Agents) -> anyhow::Result<()> {
    match command {
        Agents::List { project, environment, json } => {
            list(state, &project, environment.as_deref(), json).await
        }
        Agents::Freeze(whom) => give(state, &whom, Mode::Frozen).await,
        Agents::Thaw(whom) => give(state, &whom, Mode::Accepting).await,
        Agents::Withdraw { project, environment, agent, service } => {
            let target = Target::of(agent.as_deref(), service.as_deref())?;
            withdraw(state, &project, &environment, target).await
        }
    }
}

async fn withdraw(state: &AppState, path: &str, environment: &str, target: Target<'_>) -> anyhow::Result<()> {
    let console = Actor::console();
    let at = project(state, path).await?;
    let environment = author::find_environment(state, &console, &at, environment).await?;
    let stands = order::list(state, &console, &at, Some(&environment)).await?;
    let Some(view) = stands.iter().find(|view| target.is_of(&view.order)) else {
        bail!("no such order stands; `forge agents list` shows those that do");
    };
    order::withdraw(state, &console, &at, &environment, view.order.number).await?;
    println!("withdrawn: {}", told(view));
    Ok(())
}

async fn project(state: &AppState, path: &str) -> anyhow::Result<ProjectAt> {
    let Some((organisation, project)) = path.split_once('/') else { bail!("write organisation/project") };
    Ok(author::find_project(state, &Actor::console(), organisation, project).await?)
}

async fn give(state: &AppState, whom: &Whom, mode: Mode) -> anyhow::Result<()> {
    let console = Actor::console();
    let at = project(state, &whom.project).await?;
    let given = match &whom.environment {
        None if !whom.fleet => bail!("name an environment, or say --fleet"),
        None => order::give_fleet(state, &console, &at, mode, &whom.reason).await?,
        Some(environment) => {
            let environment = author::find_environment(state, &console, &at, environment).await?;
            let target = Target::of(whom.agent.as_deref(), whom.service.as_deref())?;
            let new = New { target, mode, reason: &whom.reason };
            vec![order::give(state, &console, &at, &environment, new).await?]
        }
    };
    for view in &given {
        println!("{}", told(view));
    }
    println!("a serving forge tells the agents within a second; `forge agents list` shows what they answer");
    Ok(())
}

fn told(view: &OrderView) -> String {
    let order = &view.order;
    let whom = match order.target_kind.as_str() {
        "environment" => view.environment.slug.clone(),
        kind => format!("{kind} {} of {}", order.target_name, view.environment.slug),
    };
    let agents = crate::counted(view.answers.agents, "agent", "agents");
    format!("{} for {whom}: {agents} (order {})", order.mode, order.number)
}

async fn list(state: &AppState, path: &str, environment: Option<&str>, json: bool) -> anyhow::Result<()> {
    let console = Actor::console();
    let at = project(state, path).await?;
    let only = match environment {
        Some(slug) => {
            let found = author::find_environment(state, &console, &at, slug).await;
            Some(found.with_context(|| format!("environment {slug}"))?)
        }
        None => None,
    };
    let orders = order::list(state, &console, &at, only.as_ref()).await?;
    let agents = fleet::agents(state, &console, &at, only.as_ref()).await?;
    if json {
        let orders: Vec<OrderBody> = orders.into_iter().map(Into::into).collect();
        let agents: Vec<AgentBody> = agents.into_iter().map(Into::into).collect();
        println!("{}", serde_json::json!({ "orders": orders, "agents": agents }));
        return Ok(());
    }
    for view in orders {
        let (order, a) = (&view.order, view.answers);
        println!(
            "{}, given by {} at {}: {} done, {} changed since, {} forbidden, {} not yet  {}",
            told(&view),
            order.given_by,
            clock::rfc3339(order.given_at),
            a.done,
            a.changed,
            a.forbidden,
            a.waiting,
            order.reason
        );
    }
    for view in agents {
        let agent = &view.agent;
        let sets = view.status.as_ref().map(|s| s.sets.as_slice()).unwrap_or_default();
        let serves: Vec<String> = sets
            .iter()
            .filter_map(|set| set.active.as_ref().map(|a| format!("{} {}", set.set, a.version)))
            .collect();
        println!(
            "{:24} {:10} {:16} {:9} by {:13} {:11} {}",
            agent.name,
            view.environment.slug,
            agent.service,
            agent.mode,
            agent.mode_by,
            view.presence.as_str(),
            serves.join(", ")
        );
    }
    Ok(())
}

//! The first steps: a project from an example, published, with an agent that serves it. They tick themselves off.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use publisher::credentials::Role;
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Callout, count, encoded};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::example::{FIRST_PROMPT, FIRST_SET, examples};
use crate::author::{self, NewProject};
use crate::credential::{self, Ends, New};
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::overview::{self, Steps};
use crate::state::AppState;

/// The name of the credential that is made here.
const CREDENTIAL: &str = "first agent";

/// The four steps.
#[derive(Debug, Serialize)]
pub(super) struct Start {
    base: String,
    done: usize,
    project: Option<Way>,
    /// What can be published.
    publish: Option<Way>,
    published: Option<Way>,
    /// The page of the project, where there is nothing to publish yet.
    write: Option<Way>,
    environment: String,
    may_connect: bool,
    has_credential: bool,
    agents: String,
    connected: bool,
    active: Option<Way>,
    examples: Vec<ExampleChoice>,
}

/// A link with its words.
#[derive(Debug, Serialize)]
struct Way {
    text: String,
    href: String,
}

#[derive(Debug, Serialize)]
struct ExampleChoice {
    name: String,
    title: String,
    description: String,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct Page {
    problem: Option<Callout>,
    secret: Option<Secret>,
    start: Start,
}

/// What is shown this once. Its `Debug` shows nothing of it.
#[derive(Serialize)]
struct Secret {
    name: &'static str,
    line: String,
    run: String,
    environment: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The first steps for the dashboard: while an organisation has no more than one project and no agent serves anything of
/// it, and whoever looks may take them and did not hide them.
pub(super) async fn on_dashboard(
    state: &AppState,
    visitor: &Visitor,
    organisation: &Organisation,
    projects: usize,
) -> Result<Option<Start>> {
    let actor = &visitor.actor;
    if projects > 1 || !actor.may(&organisation.id, Action::ManageProjects) {
        return Ok(None);
    }
    if overview::steps_dismissed(state, actor, organisation).await? {
        return Ok(None);
    }
    let steps = overview::steps(state, actor, organisation).await?;
    if steps.is_active() {
        return Ok(None);
    }
    Ok(Some(Start::of(visitor, organisation, &steps)?))
}

/// `GET /{organisation}/-/start`, and where the form for an agent stood.
pub(super) async fn get_start(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?.clone();
    show(&state, &visitor, &organisation, StatusCode::OK, None, None).await
}

/// `POST /{organisation}/-/start`: the project from an example.
pub(super) async fn post_start(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    form: Form,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?.clone();
    let new = NewProject::default();
    let example = form.get("example");
    match author::create_from_example(&state, &visitor.actor, &organisation, new, example).await {
        Ok(_) => Ok(Redirect::to(&format!("/{o}/-/start")).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Callout::bad("No project was created.", why);
            show(&state, &visitor, &organisation, status, Some(problem), None).await
        }
    }
}

/// `POST /{organisation}/-/start/agent`: a credential, shown this once.
pub(super) async fn post_agent(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?.clone();
    visitor.actor.require(&organisation.id, Action::ManageCredentials)?;
    match connect(&state, &visitor, &organisation).await {
        Ok(secret) => show(&state, &visitor, &organisation, StatusCode::OK, None, Some(secret)).await,
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Callout::bad("No credential was created.", why);
            show(&state, &visitor, &organisation, status, Some(problem), None).await
        }
    }
}

async fn connect(state: &AppState, visitor: &Visitor, organisation: &Organisation) -> Result<Secret> {
    let steps = overview::steps(state, &visitor.actor, organisation).await?;
    let at = steps.project.ok_or_else(|| {
        ApiError::conflict("no_project", "there is no project yet to connect an agent to; create one first")
    })?;
    let new = New {
        environment: &steps.environment,
        name: CREDENTIAL,
        purpose: "made by the first steps",
        kind: Role::Agent,
        ends: Ends::Default,
    };
    let made = credential::create(state, &visitor.actor, &at, new).await?;
    // What the examples have is printed at each change; else the agent only runs.
    let prints = steps.live.is_some_and(|l| l.full.set.slug == FIRST_SET && l.full.publication.number == 1);
    let run = match prints {
        true => format!("live run --print {FIRST_PROMPT} --var name=Ada"),
        false => "live run".to_owned(),
    };
    Ok(Secret {
        name: CREDENTIAL,
        line: made.connect_line.to_string(),
        run,
        environment: made.environment.slug,
    })
}

/// `POST /{organisation}/-/start/dismiss`.
pub(super) async fn post_dismiss(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?.clone();
    overview::dismiss_steps(&state, &visitor.actor, &organisation).await?;
    Ok(Redirect::to(&format!("/{o}")).into_response())
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    organisation: &Organisation,
    status: StatusCode,
    problem: Option<Callout>,
    secret: Option<Secret>,
) -> Result<Response, super::fault::Fault> {
    let steps = overview::steps(state, &visitor.actor, organisation).await?;
    let page = Page { problem, secret, start: Start::of(visitor, organisation, &steps)? };
    let frame = visitor
        .in_organisation(organisation)
        .titled("First steps", "dashboard")
        .following(encoded(&format!("organisation/{}", organisation.slug)))
        .narrow();
    Ok(engine::page(status, "start.html", &frame, &page))
}

impl Start {
    fn of(visitor: &Visitor, organisation: &Organisation, steps: &Steps) -> Result<Self> {
        let base = format!("/{}", organisation.slug);
        let project = steps
            .project
            .as_ref()
            .map(|at| Way { text: at.project.name.clone(), href: format!("{base}/{}", at.project.slug) });
        let home = project.as_ref().map(|p| p.href.clone()).unwrap_or_default();
        let environment = &steps.environment;
        let publication =
            |text: String, number: i64| Way { text, href: format!("{home}/-/publications/{number}") };
        let live = steps.live.as_ref();
        let published = live.map(|l| {
            let text = format!("{} {} is live in {environment}", l.full.set.slug, l.full.version.version);
            publication(text, l.full.publication.number)
        });
        let publish = steps.version.as_ref().map(|(set, version)| Way {
            text: format!("Publish {set} {version} to {environment}"),
            href: format!(
                "{home}/{set}/-/publish?version={}&environment={}",
                encoded(version),
                encoded(environment)
            ),
        });
        let active = live.filter(|l| l.active > 0).map(|l| {
            let text = format!("{} of {} active", l.active, count(l.agents as u64, "agent", "agents"));
            publication(text, l.full.publication.number)
        });
        let choices = if project.is_some() { Vec::new() } else { examples()? };
        let choice = |(nth, e): (usize, author::example::Example)| ExampleChoice {
            name: e.name,
            title: e.title,
            description: e.description,
            chosen: nth == 0,
        };
        Ok(Self {
            done: steps.done(),
            publish: publish.filter(|_| published.is_none()),
            write: project
                .as_ref()
                .filter(|_| published.is_none() && steps.version.is_none())
                .map(|p| Way { text: "Open the project".into(), href: p.href.clone() }),
            published,
            environment: environment.clone(),
            may_connect: visitor.actor.may(&organisation.id, Action::ManageCredentials),
            has_credential: steps.has_credential,
            agents: count(steps.agents as u64, "agent has connected", "agents have connected"),
            connected: steps.agents > 0,
            active,
            examples: choices.into_iter().enumerate().map(choice).collect(),
            project,
            base,
        })
    }
}

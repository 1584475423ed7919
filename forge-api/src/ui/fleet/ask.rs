//! Asks before an order is given: what it does, to how many agents, and why.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use schemas::status::Mode;
use serde::{Deserialize, Serialize};

use crate::auth::Action;
use crate::author::{self, ProjectAt};
use crate::database::project::Environment;
use crate::error::{ApiError, Result};
use crate::fleet::{self, AgentView, Presence};
use crate::order::{self, New, Target};
use crate::state::AppState;
use crate::ui::address::{Path, Query};
use crate::ui::engine;
use crate::ui::fault::{PageResult, beside_form};
use crate::ui::form::Form;
use crate::ui::view::{Callout, Field, count, encoded};
use crate::ui::visitor::Visitor;

/// What is asked for, in the address and in the form.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::ui) struct Asked {
    /// Empty: all of them.
    #[serde(default)]
    environment: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    service: String,
    #[serde(default)]
    mode: String,
}

/// The same, understood.
struct Wanted {
    environment: Option<Environment>,
    mode: Mode,
}

#[derive(Debug, Serialize)]
struct Page {
    title: String,
    text: &'static str,
    hints: Vec<String>,
    problem: Option<Callout>,
    action: String,
    back: String,
    hidden: Vec<Hidden>,
    facts: Vec<Fact>,
    reason: Field,
    button: String,
    freezes: bool,
}

#[derive(Debug, Serialize)]
struct Hidden {
    name: &'static str,
    value: String,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

impl Asked {
    fn of(form: &Form) -> Self {
        let own = |name| form.get(name).to_owned();
        Self {
            environment: own("environment"),
            agent: own("agent"),
            service: own("service"),
            mode: own("mode"),
        }
    }

    fn target(&self) -> Result<Target<'_>> {
        fn named(text: &str) -> Option<&str> {
            (!text.is_empty()).then_some(text)
        }
        Target::of(named(&self.agent), named(&self.service))
    }

    async fn understood(&self, state: &AppState, visitor: &Visitor, at: &ProjectAt) -> Result<Wanted> {
        at.require(&visitor.actor, Action::Order)?;
        let mode = match self.mode.as_str() {
            "FROZEN" => Mode::Frozen,
            "ACCEPTING" => Mode::Accepting,
            _ => return Err(ApiError::invalid("invalid", "mode", "it is FROZEN or ACCEPTING")),
        };
        let environment = match self.environment.as_str() {
            // An order to one agent of nowhere in particular is none to all of them.
            "" if self.target()? != Target::Environment => return Err(ApiError::NotFound("environment")),
            "" => None,
            slug => Some(author::find_environment(state, &visitor.actor, at, slug).await?),
        };
        Ok(Wanted { environment, mode })
    }

    /// In words: `agent till-1 of prod`.
    fn whom(&self) -> String {
        match (self.environment.as_str(), self.agent.as_str(), self.service.as_str()) {
            ("", ..) => "the whole fleet".to_owned(),
            (e, "", "") => e.to_owned(),
            (e, "", service) => format!("service {service} of {e}"),
            (e, agent, _) => format!("agent {agent} of {e}"),
        }
    }

    fn means(&self, view: &AgentView) -> bool {
        (self.agent.is_empty() || view.agent.name == self.agent)
            && (self.service.is_empty() || view.agent.service == self.service)
    }
}

/// `GET /{organisation}/{project}/-/agents/order?environment=…&service=…&mode=FROZEN`.
pub(in crate::ui) async fn get_order(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let wanted = asked.understood(&state, &visitor, &at).await?;
    show(&visitor, &state, &at, &asked, &wanted, StatusCode::OK, ("", None)).await
}

async fn show(
    visitor: &Visitor,
    state: &AppState,
    at: &ProjectAt,
    asked: &Asked,
    wanted: &Wanted,
    status: StatusCode,
    (reason, problem): (&str, Option<Callout>),
) -> PageResult {
    let agents = fleet::agents(state, &visitor.actor, at, wanted.environment.as_ref()).await?;
    let meant: Vec<&AgentView> = agents.iter().filter(|a| asked.means(a)).collect();
    if meant.is_empty() && asked.target()? != Target::Environment {
        return Err(ApiError::NotFound("agent").into());
    }
    let away = meant.iter().filter(|a| a.presence == Presence::Unreachable).count();
    let frozen = meant.iter().filter(|a| a.agent.mode == "FROZEN").count();
    let freezes = wanted.mode == Mode::Frozen;
    let whom = asked.whom();
    let n = count(meant.len() as u64, "agent", "agents");
    let title = if freezes { format!("Freeze {whom}") } else { format!("Let {whom} accept") };
    let button = match (freezes, asked.agent.is_empty()) {
        (_, false) => title.clone(),
        (true, true) => format!("Freeze {n}"),
        (false, true) => format!("Let {n} accept"),
    };
    let of = wanted.environment.as_ref().map_or_else(|| "all environments".to_owned(), |e| e.slug.clone());
    let base = format!("/{}/-/agents", at.path());
    let mut facts = vec![Fact { name: "Whom", value: format!("{whom}: {n}") }];
    facts.push(Fact {
        name: "Now",
        value: format!(
            "{frozen} FROZEN, {} ACCEPTING{}",
            meant.len() - frozen,
            if away > 0 { format!("; {away} away") } else { String::new() }
        ),
    });
    facts.push(Fact { name: "Where", value: of });
    let mut hints = Vec::new();
    if asked.target()? == Target::Environment {
        hints.push("It takes the place of every order that was given there before.".to_owned());
    }
    hints.push(
        "Who is away, or comes new, obeys when it is there. An agent whose owner forbids it says so."
            .to_owned(),
    );
    if freezes && asked.agent.is_empty() {
        hints.push(
            "It stands until another order or until it is withdrawn. An agent that comes new, with no cache, obeys too: it then serves nothing, or what is baked into its image, until somebody lets it accept, or runs live sync there."
                .to_owned(),
        );
    }
    let page = Page {
        text: if freezes {
            "A frozen agent goes on serving what it has. It checks what is published and does not take it up, until somebody lets it."
        } else {
            "It takes up at once what was published meanwhile, and whatever is published from then on. Pins still hold."
        },
        title: title.clone(),
        hints,
        problem,
        action: format!("{base}/order"),
        back: back(at, &asked.environment),
        hidden: [
            ("environment", &asked.environment),
            ("agent", &asked.agent),
            ("service", &asked.service),
            ("mode", &asked.mode),
        ]
        .map(|(name, value)| Hidden { name, value: value.clone() })
        .into(),
        facts,
        reason: Field::text("reason", "Reason", reason)
            .hint("For your colleagues and for who looks at the agent; in the audit log too."),
        button,
        freezes,
    };
    let frame = visitor.in_project(at).crumb("Agents", &base).titled(title, "agents").narrow();
    Ok(engine::page(status, "order.html", &frame, &page))
}

pub(super) fn back(at: &ProjectAt, environment: &str) -> String {
    let base = format!("/{}/-/agents", at.path());
    if environment.is_empty() { base } else { format!("{base}?environment={}", encoded(environment)) }
}

/// `POST /{organisation}/{project}/-/agents/order`.
pub(in crate::ui) async fn post_order(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let asked = Asked::of(&form);
    let wanted = asked.understood(&state, &visitor, &at).await?;
    let reason = form.get("reason");
    let given = match &wanted.environment {
        None => order::give_fleet(&state, &visitor.actor, &at, wanted.mode, reason).await.map(drop),
        Some(environment) => {
            let new = New { target: asked.target()?, mode: wanted.mode, reason };
            order::give(&state, &visitor.actor, &at, environment, new).await.map(drop)
        }
    };
    match given {
        Ok(()) => Ok(Redirect::to(&back(&at, &asked.environment)).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Some(Callout::bad("No order was given.", why));
            show(&visitor, &state, &at, &asked, &wanted, status, (reason, problem)).await
        }
    }
}

//! The environments of a project: who may publish there, and after how many approvals.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Callout, Choice, Field, Moment};
use super::visitor::Visitor;
use crate::auth::{Action, Role};
use crate::author::{self, NewEnvironment, ProjectAt};
use crate::error::ApiError;
use crate::rule::{self, APPROVALS_MAX, NewRule, Rule};
use crate::state::AppState;

#[derive(Debug, Default, Serialize)]
struct Page {
    href: String,
    may_manage: bool,
    problem: Option<Callout>,
    environments: Vec<EnvironmentView>,
    fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct EnvironmentView {
    slug: String,
    name: String,
    takes_drafts: bool,
    /// The rule in one sentence.
    rule: String,
    approvals: Vec<Choice>,
    not_author: bool,
    roles: Vec<Choice>,
    at: Option<Moment>,
    by: String,
}

/// A role as people call it.
fn called(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewers",
        Role::Reviewer => "reviewers",
        Role::ContextEngineer => "context engineers",
        Role::Admin => "admins",
        Role::Owner => "owners",
    }
}

/// A rule in one sentence.
pub(super) fn sentence_of(rule: &Rule) -> String {
    let who: Vec<&str> = rule.roles.iter().map(|role| called(*role)).collect();
    let needs = match rule.approvals {
        0 => "without approval".to_owned(),
        1 => "after 1 approval".to_owned(),
        n => format!("after {n} approvals"),
    };
    let whose = match (rule.approvals, rule.not_author) {
        (1.., true) => ", not by an author",
        (1.., false) => ", by an author too",
        _ => "",
    };
    format!("{} publish {needs}{whose}.", super::editor::sentence(&who.join(", ")).trim_end_matches('.'))
}

/// `GET /{organisation}/{project}/-/environments`.
pub(super) async fn get_environments(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    show(&state, &visitor, &at, StatusCode::OK, None, &Form::default()).await
}

/// `POST /{organisation}/{project}/-/environments`: sets a rule, or makes an environment.
pub(super) async fn post_environments(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    at.require(&visitor.actor, Action::ManageProjects)?;
    let done = match form.get("do") {
        "create" => {
            let new = NewEnvironment {
                slug: form.get("slug").trim(),
                name: form.get("name"),
                takes_drafts: form.get("takes_drafts") == "yes",
            };
            author::create_environment(&state, &visitor.actor, &at, new).await.map(drop)
        }
        _ => set_rule(&state, &visitor, &at, &form).await,
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/{o}/{p}/-/environments")).into_response()),
        Err(error) => {
            let field = matches!(error.code(), "bad_name" | "name_taken") && form.get("do") == "create";
            let (status, why) = beside_form(error)?;
            let problem = match field {
                true => Refused::Field(why),
                false => Refused::Whole(Callout::bad("Not changed.", format!("{why} Nothing was changed."))),
            };
            show(&state, &visitor, &at, status, Some(problem), &form).await
        }
    }
}

async fn set_rule(state: &AppState, visitor: &Visitor, at: &ProjectAt, form: &Form) -> Result<(), ApiError> {
    let roles: Vec<String> = form.all("role").into_iter().map(str::to_owned).collect();
    if roles.is_empty() {
        let detail = "somebody has to be able to publish: tick at least one role";
        return Err(ApiError::invalid("bad_role", "roles", detail));
    }
    let new = NewRule {
        approvals: form.get("approvals").parse().unwrap_or(-1),
        not_author: form.get("not_author") == "yes",
        roles: &roles,
    };
    rule::put(state, &visitor.actor, at, form.get("environment"), new).await.map(drop)
}

/// Where an error is told.
enum Refused {
    Field(String),
    Whole(Callout),
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    at: &ProjectAt,
    status: StatusCode,
    refused: Option<Refused>,
    form: &Form,
) -> PageResult {
    let rules = rule::rules(state, &visitor.actor, at).await?;
    let (why, problem) = match refused {
        Some(Refused::Field(why)) => (Some(why), None),
        Some(Refused::Whole(problem)) => (None, Some(problem)),
        None => (None, None),
    };
    let page = Page {
        href: format!("/{}/{}/-/environments", at.organisation.slug, at.project.slug),
        may_manage: at.lets(&visitor.actor, Action::ManageProjects),
        problem,
        environments: rules
            .into_iter()
            .map(|(environment, rule)| EnvironmentView {
                rule: sentence_of(&rule),
                approvals: (0..=APPROVALS_MAX)
                    .map(|n| Choice {
                        value: n.to_string(),
                        text: n.to_string(),
                        chosen: n == rule.approvals,
                    })
                    .collect(),
                roles: rule::publishers()
                    .map(|role| Choice {
                        value: role.as_str().to_owned(),
                        text: called(role).to_owned(),
                        chosen: rule.roles.contains(&role),
                    })
                    .collect(),
                not_author: rule.not_author,
                at: rule.updated.as_ref().map(|(at, _)| Moment::relative(*at)),
                by: rule.updated.map(|(_, by)| by).unwrap_or_default(),
                slug: environment.slug,
                name: environment.name,
                takes_drafts: environment.takes_drafts,
            })
            .collect(),
        fields: vec![
            Field::text("slug", "Name in addresses", form.get("slug"))
                .required()
                .hint("Small letters, digits and hyphens, such as qa. It cannot change later.")
                .error(why),
            Field::text("name", "Name", form.get("name")),
        ],
    };
    let frame = visitor.in_project(at).titled("Environments", "environments");
    Ok(engine::page(status, "environments.html", &frame, &page))
}

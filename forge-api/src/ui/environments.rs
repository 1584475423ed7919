//! The environments of a project: who may publish there, and after how many approvals.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect};
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::PageResult;
use super::form::Form;
use super::new::Refused;
use super::view::{Callout, Choice, Field, Moment};
use super::visitor::Visitor;
use crate::auth::{Action, Role};
use crate::author::{self, NewEnvironment, ProjectAt};
use crate::database::project::Environment;
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
    takes_drafts: bool,
}

#[derive(Debug, Serialize)]
struct EnvironmentView {
    slug: String,
    name: String,
    takes_drafts: bool,
    /// The rule in one sentence.
    rule: String,
    approvals: Vec<Choice>,
    approvals_error: Option<String>,
    not_author: bool,
    roles: Vec<Choice>,
    roles_error: Option<String>,
    at: Option<Moment>,
    by: String,
}

impl EnvironmentView {
    fn of(environment: Environment, rule: Rule) -> Self {
        Self {
            rule: sentence_of(&rule),
            approvals: choices(
                (0..=APPROVALS_MAX).map(|n| (n.to_string(), n.to_string(), n == rule.approvals)),
            ),
            approvals_error: None,
            roles: choices(
                rule::publishers().map(|role| {
                    (role.as_str().to_owned(), called(role).to_owned(), rule.roles.contains(&role))
                }),
            ),
            roles_error: None,
            not_author: rule.not_author,
            at: rule.updated.as_ref().map(|(at, _)| Moment::relative(*at)),
            by: rule.updated.map(|(_, by)| by).unwrap_or_default(),
            slug: environment.slug,
            name: environment.name,
            takes_drafts: environment.takes_drafts,
        }
    }

    /// What was typed instead of what is stored, and what is wrong with it.
    fn refused(&mut self, form: &Form, refused: &Refused) {
        for choice in &mut self.approvals {
            choice.chosen = choice.value == form.get("approvals");
        }
        let ticked = form.all("role");
        for choice in &mut self.roles {
            choice.chosen = ticked.contains(&choice.value.as_str());
        }
        self.not_author = form.get("not_author") == "yes";
        self.approvals_error = refused.at("approvals");
        self.roles_error = refused.at("roles");
    }
}

fn choices(of: impl Iterator<Item = (String, String, bool)>) -> Vec<Choice> {
    of.map(|(value, text, chosen)| Choice { value, text, chosen }).collect()
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
    show(&state, &visitor, &at, None, &Form::default()).await
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
            let refused = Refused::of(error)?;
            show(&state, &visitor, &at, Some(refused), &form).await
        }
    }
}

async fn set_rule(state: &AppState, visitor: &Visitor, at: &ProjectAt, form: &Form) -> Result<(), ApiError> {
    let roles: Vec<String> = form.all("role").into_iter().map(str::to_owned).collect();
    let new = NewRule {
        approvals: form.get("approvals").parse().unwrap_or(-1),
        not_author: form.get("not_author") == "yes",
        roles: Some(&roles),
    };
    rule::put(state, &visitor.actor, at, form.get("environment"), new).await.map(drop)
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    at: &ProjectAt,
    refused: Option<Refused>,
    form: &Form,
) -> PageResult {
    let rules = rule::rules(state, &visitor.actor, at).await?;
    let mut environments: Vec<EnvironmentView> =
        rules.into_iter().map(|(environment, rule)| EnvironmentView::of(environment, rule)).collect();
    let refused = refused.unwrap_or_default();
    // One page holds many forms: what was typed goes back into the one that was sent.
    let creating = form.get("do") == "create";
    let sent = environments.iter_mut().find(|e| !creating && e.slug == form.get("environment"));
    let at_rule = sent.is_some();
    if let Some(environment) = sent {
        environment.refused(form, &refused);
    }
    let none = Form::default();
    let new = if creating { form } else { &none };
    let told = match refused.field {
        Some("slug") => creating,
        Some("approvals" | "roles") => at_rule,
        _ => false,
    };
    let why = refused.why.as_ref().filter(|_| !told);
    let page = Page {
        href: format!("/{}/{}/-/environments", at.organisation.slug, at.project.slug),
        may_manage: at.lets(&visitor.actor, Action::ManageProjects),
        problem: why.map(|why| Callout::bad("Not changed.", format!("{why} Nothing was changed."))),
        environments,
        fields: vec![
            Field::text("slug", "Name in addresses", new.get("slug"))
                .required()
                .hint("Small letters, digits and hyphens, such as qa. It cannot change later.")
                .error(refused.at("slug").filter(|_| creating)),
            Field::text("name", "Name", new.get("name")),
        ],
        takes_drafts: new.get("takes_drafts") == "yes",
    };
    let frame = visitor.in_project(at).titled("Environments", "environments");
    Ok(engine::page(refused.status, "environments.html", &frame, &page))
}

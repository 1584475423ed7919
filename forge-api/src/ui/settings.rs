//! What can be changed of an organisation, a project and a set; copies of sets; what is archived.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::editor::base;
use super::engine;
use super::fault::PageResult;
use super::form::{Form, lines};
use super::items::{Shelf, shelf};
use super::new::{self, Refused, named_fields, slug_of};
use super::view::{Callout, Field, Moment};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, Change, NewSet, ProjectAt, SetAt, settings};
use crate::database::organisation::Organisation;
use crate::state::AppState;

#[derive(Debug, Default, Serialize)]
struct Page {
    title: String,
    intro: String,
    action: String,
    back: String,
    /// What the form started from.
    seen: String,
    fields: Vec<Field>,
    problem: Option<Callout>,
    facts: Vec<(&'static str, String)>,
    links: Vec<(&'static str, String)>,
    archive: Option<Archive>,
}

/// Whether it is in use, and what ends or begins that.
#[derive(Debug, Serialize)]
struct Archive {
    since: Option<Moment>,
    what: &'static str,
    text: &'static str,
}

/// What was just done, said once.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

impl Done {
    fn callout(&self) -> Option<Callout> {
        match self.done.as_str() {
            "saved" => Some(Callout::ok("Saved.", "Everybody sees it from now on.")),
            "archived" => {
                Some(Callout::ok("Archived.", "It takes no changes any more. Agents go on as they are."))
            }
            "restored" => Some(Callout::ok("Restored.", "It can be changed again.")),
            _ => None,
        }
    }
}

/// What the form asks for besides the fields.
fn asked(form: &Form) -> (Option<bool>, &'static str) {
    match form.get("do") {
        "archive" => (Some(true), "archived"),
        "restore" => (Some(false), "restored"),
        _ => (None, "saved"),
    }
}

fn fields(name: &str, description: &str, refused: &Refused) -> Vec<Field> {
    vec![
        Field::text("name", "Name", name).required().error(refused.at("name")),
        Field { rows: Some(3), ..Field::text("description", "Description", description) }
            .error(refused.at("description")),
    ]
}

/// `GET /{organisation}/-/organisation`.
pub(super) async fn get_organisation(
    visitor: Visitor,
    Path(o): Path<String>,
    Query(done): Query<Done>,
) -> PageResult {
    let at = visitor.organisation(&o).await?.clone();
    let page = (at.name.clone(), settings::tag_of_organisation(&at));
    organisation_page(&visitor, &at, page, done.callout(), &Refused::default())
}

fn organisation_page(
    visitor: &Visitor,
    at: &Organisation,
    (name, seen): (String, String),
    flash: Option<Callout>,
    refused: &Refused,
) -> PageResult {
    visitor.actor.require(&at.id, Action::ManageProjects)?;
    let page = Page {
        title: format!("Rename {}", at.name),
        intro: "The name that people see. The one in addresses never changes.".into(),
        action: format!("/{}/-/organisation", at.slug),
        back: format!("/{}", at.slug),
        seen,
        fields: vec![Field::text("name", "Name", name).required().error(refused.at("name"))],
        problem: refused.callout("Nothing was changed."),
        facts: vec![("Name in addresses", at.slug.clone())],
        links: vec![
            ("People", format!("/{}/-/settings", at.slug)),
            ("Archived projects", format!("/{}/-/archived", at.slug)),
        ],
        archive: None,
    };
    let mut frame = visitor.in_organisation(at).titled("Organisation", "organisation");
    frame.flash = flash;
    Ok(engine::page(refused.status, "settings.html", &frame, &page))
}

/// `POST /{organisation}/-/organisation`.
pub(super) async fn post_organisation(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    form: Form,
) -> PageResult {
    let at = visitor.organisation(&o).await?.clone();
    let change = Change { name: Some(form.get("name")), seen: Some(form.get("seen")), ..Change::default() };
    match author::change_organisation(&state, &visitor.actor, &at, change).await {
        Ok(_) => Ok(Redirect::to(&format!("/{o}/-/organisation?done=saved")).into_response()),
        Err(error) => {
            let typed = (form.get("name").to_owned(), settings::tag_of_organisation(&at));
            organisation_page(&visitor, &at, typed, None, &Refused::of(error)?)
        }
    }
}

/// `GET /{organisation}/{project}/-/settings`.
pub(super) async fn get_project_settings(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    Query(done): Query<Done>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let typed = (at.project.name.clone(), at.project.description.clone());
    project_page(&visitor, &at, typed, done.callout(), &Refused::default())
}

fn project_page(
    visitor: &Visitor,
    at: &ProjectAt,
    (name, description): (String, String),
    flash: Option<Callout>,
    refused: &Refused,
) -> PageResult {
    at.require(&visitor.actor, Action::ManageProjects)?;
    let base = format!("/{}/{}", at.organisation.slug, at.project.slug);
    let mut links = vec![("Archived prompt sets", format!("{base}/-/archived"))];
    if visitor.actor.may(&at.organisation.id, Action::ManageProjects) {
        links.push(("Rename organisation", format!("/{}/-/organisation", at.organisation.slug)));
    }
    let page = Page {
        title: format!("Settings of {}", at.project.name),
        intro: "What people see of the project. Its name in addresses never changes.".into(),
        action: format!("{base}/-/settings"),
        back: base.clone(),
        seen: settings::tag_of_project(&at.project),
        fields: fields(&name, &description, refused),
        problem: refused.callout("Nothing was changed."),
        facts: vec![("Name in addresses", at.project.slug.clone())],
        links,
        archive: Some(Archive {
            since: at.project.archived_at.map(Moment::relative),
            what: "project",
            text: "An archived project takes no drafts, publications or credentials, and stands in no list. \
                   Its agents go on with what they have.",
        }),
    };
    let mut frame = visitor.in_project(at).titled("Settings", "settings");
    frame.flash = flash;
    Ok(engine::page(refused.status, "settings.html", &frame, &page))
}

/// `POST /{organisation}/{project}/-/settings`.
pub(super) async fn post_project_settings(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let (archived, word) = asked(&form);
    let description = lines(form.get("description"));
    let mut change = Change { archived, seen: Some(form.get("seen")), ..Change::default() };
    if archived.is_none() {
        (change.name, change.description) = (Some(form.get("name")), Some(description.as_str()));
    }
    match author::change_project(&state, &visitor.actor, &at, change).await {
        Ok(_) => Ok(Redirect::to(&format!("/{o}/{p}/-/settings?done={word}")).into_response()),
        Err(error) => {
            let typed = match archived {
                None => (form.get("name").to_owned(), description),
                Some(_) => (at.project.name.clone(), at.project.description.clone()),
            };
            project_page(&visitor, &at, typed, None, &Refused::of(error)?)
        }
    }
}

/// `GET …/{set}/-/settings`.
pub(super) async fn get_set_settings(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    Query(done): Query<Done>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let typed = (set.set.name.clone(), set.set.description.clone(), settings::tags(&set.set).join(", "));
    set_page(&visitor, &set, typed, done.callout(), &Refused::default())
}

fn set_page(
    visitor: &Visitor,
    set: &SetAt,
    (name, description, tags): (String, String, String),
    flash: Option<Callout>,
    refused: &Refused,
) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    let base = base(set);
    let mut fields = fields(&name, &description, refused);
    fields.push(
        Field::text("tags", "Tags", tags).hint("Words with commas between them.").error(refused.at("tags")),
    );
    let page = Page {
        title: format!("Settings of {}", set.set.name),
        intro: "What people see of the prompt set. Its name in addresses never changes.".into(),
        action: format!("{base}/-/settings"),
        back: base.clone(),
        seen: settings::tag_of_set(&set.set),
        fields,
        problem: refused.callout("Nothing was changed."),
        facts: vec![("Name in addresses", set.set.slug.clone()), ("State", set.set.state.to_uppercase())],
        links: vec![
            ("Duplicate this prompt set", format!("{base}/-/copy")),
            ("Archived prompts", format!("{base}/-/archived")),
        ],
        archive: Some(Archive {
            since: set.set.archived_at.map(Moment::relative),
            what: "prompt set",
            text: "An archived prompt set takes no drafts and no publications. What is published stays with its agents.",
        }),
    };
    let mut frame = visitor.in_project(&set.at).crumb(&set.set.name, base).titled("Settings", "sets");
    frame.flash = flash;
    Ok(engine::page(refused.status, "settings.html", &frame, &page))
}

/// `POST …/{set}/-/settings`.
pub(super) async fn post_set_settings(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (archived, word) = asked(&form);
    let description = lines(form.get("description"));
    let tags: Vec<String> =
        form.get("tags").split(',').map(str::trim).filter(|t| !t.is_empty()).map(Into::into).collect();
    let mut change = Change { archived, seen: Some(form.get("seen")), ..Change::default() };
    if archived.is_none() {
        (change.name, change.description) = (Some(form.get("name")), Some(description.as_str()));
        change.tags = Some(&tags);
    }
    match author::change_set(&state, &visitor.actor, &set, change).await {
        Ok(_) => Ok(Redirect::to(&format!("{}/-/settings?done={word}", base(&set))).into_response()),
        Err(error) => {
            let typed = match archived {
                None => (form.get("name").to_owned(), description, form.get("tags").to_owned()),
                Some(_) => {
                    (set.set.name.clone(), set.set.description.clone(), settings::tags(&set.set).join(", "))
                }
            };
            set_page(&visitor, &set, typed, None, &Refused::of(error)?)
        }
    }
}

/// `GET …/{set}/-/copy`.
pub(super) async fn get_copy(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    copy_page(&visitor, &set, &Form::default(), &Refused::default())
}

fn copy_page(visitor: &Visitor, set: &SetAt, form: &Form, refused: &Refused) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    let view = new::Page {
        title: format!("Duplicate {}", set.set.name),
        intro: "A new prompt set with the prompts and partials of this draft. Versions and what is published stay here."
            .into(),
        action: format!("{}/-/copy", base(set)),
        back: base(set),
        submit: "Duplicate prompt set",
        problem: refused.callout("Nothing was copied."),
        fields: named_fields(form, refused, &format!("{}-2", set.set.slug)),
        ..new::Page::default()
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.name, base(set));
    Ok(new::page(frame, refused.status, &view))
}

/// `POST …/{set}/-/copy`.
pub(super) async fn post_copy(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (slug, description) = (slug_of(&form), lines(form.get("description")));
    let new = NewSet { slug: &slug, name: form.get("name"), description: &description };
    match author::duplicate_set(&state, &visitor.actor, &set, new).await {
        Ok(made) => Ok(Redirect::to(&base(&made)).into_response()),
        Err(error) => copy_page(&visitor, &set, &form, &Refused::of(error)?),
    }
}

/// `GET /{organisation}/-/archived`: projects.
pub(super) async fn get_archived_projects(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    let at = visitor.visit(&o)?.clone();
    let may = visitor.actor.may(&at.id, Action::ManageProjects);
    let found = author::archived_projects(&state, &visitor.actor, &at).await?;
    let rows = found
        .into_iter()
        .map(|p| {
            let href = may.then(|| format!("/{o}/{}/-/settings", p.slug));
            (p.slug, href, p.archived_at.unwrap_or_default())
        })
        .collect();
    let list = Shelf {
        title: "Archived projects".into(),
        intro: "They take no drafts, publications or credentials. Their agents go on.",
        back: format!("/{o}"),
        back_text: "Dashboard".into(),
        rows,
    };
    Ok(shelf(visitor.in_organisation(&at), "project", list))
}

/// `GET /{organisation}/{project}/-/archived`: prompt sets.
pub(super) async fn get_archived_sets(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let may = at.lets(&visitor.actor, Action::Edit);
    let found = author::archived_sets(&state, &visitor.actor, &at).await?;
    let rows = found
        .into_iter()
        .map(|s| {
            let href = may.then(|| format!("/{o}/{p}/{}/-/settings", s.slug));
            (s.slug, href, s.archived_at.unwrap_or_default())
        })
        .collect();
    let list = Shelf {
        title: "Archived prompt sets".into(),
        intro: "They take no drafts and no publications. What is published stays with its agents.",
        back: format!("/{o}/{p}"),
        back_text: "Open project".into(),
        rows,
    };
    Ok(shelf(visitor.in_project(&at), "prompt set", list))
}

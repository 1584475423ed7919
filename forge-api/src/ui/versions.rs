//! The versions of a set: each where it is live, its names, and the ways to compare and publish it;
//! and one version with its lock file.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use schemas::bundle::Bundle;
use serde::Serialize;

use super::address::Path;
use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Callout, Choice, Moment, bytes, encoded, short};
use super::visitor::Visitor;
use crate::alias::{self, Named};
use crate::auth::Action;
use crate::author::{self, SetAt};
use crate::database::version::Version;
use crate::error::ApiError;
use crate::lock;
use crate::publish;
use crate::review;
use crate::rule;
use crate::search::thing::Kind;
use crate::state::AppState;

/// Versions that can be given a name on the page.
const NAMED_MAX: usize = 100;

#[derive(Debug, Default, Serialize)]
struct VersionsPage {
    base: String,
    set: String,
    may_publish: bool,
    may_name: bool,
    may_protect: bool,
    problem: Option<Callout>,
    rows: Vec<VersionRow>,
    aliases: Vec<AliasRow>,
    /// What can be given a name.
    locked: Vec<Choice>,
    alias: String,
    alias_error: Option<String>,
    version_error: Option<String>,
    protected: bool,
    reviews: Vec<ReviewRow>,
}

#[derive(Debug, Serialize)]
struct VersionRow {
    version: String,
    href: String,
    note: Option<&'static str>,
    aliases: Vec<String>,
    live: Vec<String>,
    size: String,
    digest: String,
    digest_short: String,
    at: Moment,
    by: String,
    compare: String,
    publish: String,
}

#[derive(Debug, Serialize)]
struct AliasRow {
    name: String,
    version: String,
    protected: bool,
    /// `latest` moves by itself.
    fixed: bool,
    /// Whether the visitor may take it away.
    may_remove: bool,
    /// Why it was not taken away.
    error: Option<String>,
    at: Moment,
    by: String,
}

impl AliasRow {
    fn of(named: &Named, may_move: bool) -> Self {
        let fixed = named.name == alias::LATEST;
        Self {
            fixed,
            may_remove: may_move && !fixed,
            error: None,
            name: named.name.clone(),
            version: named.version.version.clone(),
            protected: named.protected,
            at: Moment::relative(named.updated_at),
            by: named.updated_by.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct ReviewRow {
    href: String,
    title: String,
    state: String,
    by: String,
    at: Moment,
}

/// A form that was refused, and why.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    why: String,
    place: Place,
}

/// Where that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the alias that was to be taken away.
    Row,
    Alias,
    Version,
}

impl Refused {
    fn at(&self, place: Place) -> Option<String> {
        (self.place == place).then(|| self.why.clone())
    }
}

type SetPath = Path<(String, String, String)>;

/// `GET /{organisation}/{project}/{set}/-/versions`.
pub(super) async fn get_versions(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, &Form::default(), None).await
}

/// `POST /{organisation}/{project}/{set}/-/versions`: gives a version a name, or takes one away.
pub(super) async fn post_versions(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    set.at.require(&visitor.actor, Action::Lock)?;
    let name = form.get("alias").trim();
    let done = match form.get("do") {
        "unname" => alias::delete(&state, &visitor.actor, &set, name).await,
        _ => {
            // Who may not protect leaves that as it is.
            let may = set.at.lets(&visitor.actor, Action::ManageProjects);
            let protected = may.then(|| form.get("protected") == "yes");
            alias::put(&state, &visitor.actor, &set, name, form.get("version"), protected).await.map(drop)
        }
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("{}/-/versions", base(&set))).into_response()),
        Err(error) => {
            let place = match &error {
                _ if form.get("do") == "unname" => Place::Row,
                ApiError::Invalid { field: Some("version"), .. } => Place::Version,
                _ => Place::Alias,
            };
            let (status, why) = beside_form(error)?;
            show(&state, &visitor, &set, &form, Some(Refused { status, why, place })).await
        }
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    form: &Form,
    refused: Option<Refused>,
) -> PageResult {
    let actor = &visitor.actor;
    let versions = lock::versions(state, actor, set).await?;
    let aliases = alias::list(state, actor, set).await?;
    let mut live = Vec::new();
    for environment in author::environments(state, actor, &set.at).await? {
        if let Some(full) = publish::live(state, actor, set, &environment).await? {
            live.push((environment.slug, full.version.id));
        }
    }
    let base = base(set);
    let named = |v: &Version| -> Vec<String> {
        aliases.iter().filter(|a| a.version.id == v.id).map(|a| a.name.clone()).collect()
    };
    let reviews = review::list(state, actor, set).await?;
    let status = refused.as_ref().map_or(StatusCode::OK, |refused| refused.status);
    let told = |place: Place| refused.as_ref().and_then(|refused| refused.at(place));
    // The button of an alias has no field: what it sent is not what was typed.
    let kept = told(Place::Row).is_none();
    let may_protect = set.at.lets(actor, Action::ManageProjects);
    let may_name = set.at.lets(actor, Action::Lock);
    let row = |a: &Named| {
        let error = told(Place::Row).filter(|_| a.name == form.get("alias").trim());
        AliasRow { error, ..AliasRow::of(a, may_name && (may_protect || !a.protected)) }
    };
    let rows: Vec<AliasRow> = aliases.iter().map(row).collect();
    let seen = if kept { !rows.is_empty() } else { rows.iter().any(|row| row.error.is_some()) };
    let page = VersionsPage {
        set: set.set.name.clone(),
        may_publish: set.at.lets(actor, Action::Publish),
        may_name,
        may_protect,
        problem: refused.as_ref().filter(|_| !seen).map(|r| Callout::bad("Not changed.", r.why.clone())),
        locked: versions
            .iter()
            .filter(|v| v.kind == "locked")
            .take(NAMED_MAX)
            .map(|v| Choice {
                value: v.version.clone(),
                text: v.version.clone(),
                chosen: v.version == form.get("version"),
            })
            .collect(),
        rows: versions
            .iter()
            .map(|v| {
                let number = encoded(&v.version);
                VersionRow {
                    href: format!("{base}/-/versions/{number}"),
                    note: (v.kind != "locked").then_some("snapshot of a draft"),
                    aliases: named(v),
                    live: live.iter().filter(|(_, id)| *id == v.id).map(|(e, _)| e.clone()).collect(),
                    size: bytes(v.size.unsigned_abs()),
                    digest_short: short(&v.digest),
                    digest: v.digest.clone(),
                    at: Moment::relative(v.created_at),
                    by: v.author.clone(),
                    compare: format!("{base}/-/compare?from={number}&to=draft"),
                    publish: format!("{base}/-/publish?version={number}"),
                    version: v.version.clone(),
                }
            })
            .collect(),
        aliases: rows,
        alias: if kept { form.get("alias").to_owned() } else { String::new() },
        alias_error: told(Place::Alias),
        version_error: told(Place::Version),
        protected: form.get("protected") == "yes",
        reviews: reviews
            .into_iter()
            .take(20)
            .map(|r| ReviewRow {
                href: format!("{base}/-/reviews/{}", r.number),
                title: if r.title.is_empty() { format!("Review {}", r.number) } else { r.title },
                state: r.state,
                by: r.requested_by,
                at: Moment::relative(r.requested_at),
            })
            .collect(),
        base: base.clone(),
    };
    let mut frame = visitor.in_project(&set.at).crumb(&set.set.name, base).titled("Versions", "sets");
    let this = (Kind::Set, set.set.id.as_str(), set.set.name.as_str());
    frame.star = visitor.opened(state, &set.at.organisation, this);
    Ok(engine::page(status, "versions.html", &frame, &page))
}

#[derive(Debug, Serialize)]
struct VersionPage {
    base: String,
    set: String,
    version: String,
    note: Option<&'static str>,
    notes: String,
    by: String,
    approver: Option<String>,
    /// Where it was locked, and who brought it.
    imported: Option<String>,
    at: Moment,
    size: String,
    digest: String,
    digest_short: String,
    aliases: Vec<String>,
    live: Vec<String>,
    prompts: Vec<String>,
    partials: Vec<String>,
    dependencies: Vec<Locked>,
    /// The lock file as it stands in the bundle.
    lock_file: String,
    approvals: Vec<Asked>,
    compare: String,
    publish: Option<String>,
    restore: Option<String>,
}

/// A set that the version took partials from.
#[derive(Debug, Serialize)]
struct Locked {
    set: String,
    href: String,
    requirement: String,
    version: String,
    digest: String,
    digest_short: String,
}

/// What an environment asks for before it takes the version.
#[derive(Debug, Serialize)]
struct Asked {
    environment: String,
    state: &'static str,
    word: String,
    by: String,
    href: Option<String>,
}

/// `GET /{organisation}/{project}/{set}/-/versions/{version}`.
pub(super) async fn get_version(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, version)): Path<(String, String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let actor = &visitor.actor;
    let found = lock::find_version(&state, actor, &set, &version).await?;
    let bundle = Bundle::from_body(&lock::version_body(&state, actor, &set, &found).await?)
        .map_err(crate::error::ApiError::from)?;
    let base = base(&set);
    let (mut live, mut approvals) = (Vec::new(), Vec::new());
    for environment in author::environments(&state, actor, &set.at).await? {
        let now = publish::live(&state, actor, &set, &environment).await?;
        if now.is_some_and(|full| full.version.id == found.id) {
            live.push(environment.slug.clone());
        }
        let standing = rule::standing(&state, actor, &set, &environment, &found).await?;
        if standing.rule.approvals == 0 {
            continue;
        }
        let (have, needed) = (standing.approved_by.len(), standing.rule.approvals);
        approvals.push(Asked {
            state: if standing.missing() == 0 { "approved" } else { "waiting" },
            word: format!("{have} of {needed}"),
            by: standing.approved_by.join(", "),
            href: standing.review.map(|r| format!("{base}/-/reviews/{}", r.number)),
            environment: environment.slug,
        });
    }
    let aliases = alias::list(&state, actor, &set).await?;
    let project = format!("/{o}/{p}");
    let number = encoded(&found.version);
    let imported = lock::origin(&state, actor, &set, &found).await?;
    let page = VersionPage {
        set: set.set.slug.clone(),
        imported: imported.map(|origin| {
            let approved =
                origin.approver.map(|name| format!(", where {name} approved it")).unwrap_or_default();
            format!(
                "Locked in {}/{}/{}{approved}; brought here by {}. No approval of this place comes with it.",
                origin.organisation, origin.project, origin.prompt_set, origin.imported_by
            )
        }),
        note: (found.kind != "locked").then_some("snapshot of a draft"),
        aliases: aliases.into_iter().filter(|a| a.version.id == found.id).map(|a| a.name).collect(),
        live,
        prompts: bundle.prompts.iter().map(|one| one.id.to_string()).collect(),
        partials: bundle.partials.iter().map(|one| one.name.to_string()).collect(),
        lock_file: if bundle.dependencies.is_empty() {
            String::new()
        } else {
            serde_json::to_string_pretty(&bundle.dependencies).unwrap_or_default()
        },
        dependencies: bundle
            .dependencies
            .iter()
            .map(|d| Locked {
                href: format!("{project}/{}/-/versions/{}", d.set, encoded(&d.version.to_string())),
                set: d.set.to_string(),
                requirement: d.requirement.clone(),
                version: d.version.to_string(),
                digest_short: short(&d.digest.to_string()),
                digest: d.digest.to_string(),
            })
            .collect(),
        approvals,
        compare: format!("{base}/-/compare?from={number}&to=draft"),
        publish: set.at.lets(actor, Action::Publish).then(|| format!("{base}/-/publish?version={number}")),
        restore: super::restore::href(&visitor, &set, &found.version),
        size: bytes(found.size.unsigned_abs()),
        digest_short: short(&found.digest),
        digest: found.digest,
        notes: found.notes,
        by: found.author,
        approver: found.approver,
        at: Moment::relative(found.created_at),
        version: found.version.clone(),
        base: base.clone(),
    };
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.name, &base)
        .crumb("Versions", format!("{base}/-/versions"))
        .titled(&found.version, "sets");
    Ok(engine::page(StatusCode::OK, "version.html", &frame, &page))
}

//! What one may do, computed from the table of routes, one's role and the place: what is not in the table, or not
//! allowed, is not offered.

use super::Item;
use crate::auth::route;
use crate::auth::{Action, Actor};
use crate::author::{self, ProjectAt, SetAt};
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::search::thing::Thing;
use crate::search::words::Word;
use crate::state::AppState;
use crate::ui::visitor::Visitor;

/// Something to do: where its words are shown, its page.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub text: String,
    pub href: String,
    icon: &'static str,
}

impl Deed {
    pub(super) fn item(&self, words: &[Word]) -> Item {
        Item::new(self.icon, &self.text, String::new(), self.href.clone(), words)
    }
}

/// Words, route, what follows its address, icon.
type Way = (&'static str, &'static str, &'static str, &'static str);

const ANYWHERE: &[Way] = &[
    ("Account", "/-/account", "", "user"),
    ("API keys", "/-/account", "#api-keys", "key"),
    ("Sessions: where you are signed in", "/-/account", "#sessions", "user"),
    ("Help: guides", "/-/help", "", "help"),
    ("Keys of the keyboard", "/-/help/{guide}", "", "help"),
    ("API documentation", "/api/docs", "", "help"),
];

const ORGANISATION: &[Way] = &[
    ("Dashboard", "/{organisation}", "", "home"),
    ("Search", "/{organisation}/-/search", "", "search"),
    ("Projects", "/{organisation}/-/projects", "", "folder"),
    ("Reviews", "/{organisation}/-/reviews", "", "review"),
    ("New project", "/{organisation}/-/new", "", "plus"),
    ("Create the first project from an example", "/{organisation}/-/start", "", "plus"),
    ("Audit log", "/{organisation}/-/audit", "", "audit"),
    ("Name of the organisation", "/{organisation}/-/organisation", "", "settings"),
    ("Archived projects", "/{organisation}/-/archived", "", "folder"),
    ("People", "/{organisation}/-/settings", "", "user"),
    ("Invite somebody", "/{organisation}/-/settings", "#invite", "user"),
];

/// `%` is the project's name.
const PROJECT: &[Way] = &[
    ("Prompt sets of %", "/{organisation}/{project}", "", "set"),
    ("Agents of %", "/{organisation}/{project}/-/agents", "", "agent"),
    ("Publications of %", "/{organisation}/{project}/-/publications", "", "publish"),
    ("New prompt set in %", "/{organisation}/{project}/-/new", "", "plus"),
    ("Credentials of %", "/{organisation}/{project}/-/credentials", "", "key"),
    ("Create credential for %", "/{organisation}/{project}/-/credentials", "#create", "key"),
    ("Freeze agents of %", "/{organisation}/{project}/-/agents/order", "?mode=FROZEN", "freeze"),
    ("Let agents of % accept", "/{organisation}/{project}/-/agents/order", "?mode=ACCEPTING", "agent"),
    ("Webhooks of %", "/{organisation}/{project}/-/webhooks", "", "signed"),
    ("Trust of %: signing keys", "/{organisation}/{project}/-/trust", "", "signed"),
    ("Settings of %", "/{organisation}/{project}/-/settings", "", "settings"),
    ("Archived sets of %", "/{organisation}/{project}/-/archived", "", "folder"),
    ("Import into %", "/{organisation}/{project}/-/import", "", "download"),
];

/// `%` is the set's slug.
const SET: &[Way] = &[
    ("Prompts of %", "/{organisation}/{project}/{set}", "", "set"),
    ("New prompt in %", "/{organisation}/{project}/{set}/-/new", "", "plus"),
    ("Lock %", "/{organisation}/{project}/{set}/-/lock", "", "lock"),
    ("Publish %", "/{organisation}/{project}/{set}/-/publish", "", "publish"),
    ("Compare %", "/{organisation}/{project}/{set}/-/compare", "", "compare"),
    ("Versions of %", "/{organisation}/{project}/{set}/-/versions", "", "clock"),
    ("Reviews of %", "/{organisation}/{project}/{set}/-/reviews", "", "review"),
    ("Usage of %", "/{organisation}/{project}/{set}/-/usage", "", "agent"),
    ("Playground of %", "/{organisation}/{project}/{set}/-/playground", "", "play"),
    ("Archived prompts of %", "/{organisation}/{project}/{set}/-/archived", "", "folder"),
    ("Duplicate %", "/{organisation}/{project}/{set}/-/duplicate", "", "copy"),
    ("Settings of %", "/{organisation}/{project}/{set}/-/settings", "", "settings"),
    ("Import into %", "/{organisation}/{project}/{set}/-/import", "", "download"),
    ("Export %", "/{organisation}/{project}/{set}/-/export", "", "download"),
];

/// The ways whose routes are there and allowed.
fn ways(table: &[Way], names: [&str; 3], of: &str, may: impl Fn(Option<Action>) -> bool) -> Vec<Deed> {
    let [o, p, s] = names;
    let open = table
        .iter()
        .filter(|(_, path, ..)| route::find("GET", path).is_some_and(|route| may(route.access.action())));
    open.map(|(text, path, rest, icon)| Deed {
        text: text.replace('%', of),
        href: path
            .replace("{organisation}", o)
            .replace("{project}", p)
            .replace("{set}", s)
            .replace("{guide}", "keys")
            + rest,
        icon,
    })
    .collect()
}

fn at_project(actor: &Actor, organisation_id: &str, project_id: &str, action: Option<Action>) -> bool {
    actor.may_at(organisation_id, project_id, action.unwrap_or(Action::View))
}

/// What one may do with a set that was found.
pub(super) fn of_set(visitor: &Visitor, set: &Thing) -> Vec<Deed> {
    let may = |action| at_project(&visitor.actor, &set.organisation_id, &set.project_id, action);
    ways(SET, [&set.organisation, &set.project, &set.id], &set.id, may)
}

/// What one may do with a project that was found.
pub(super) fn of_project(visitor: &Visitor, project: &Thing) -> Vec<Deed> {
    let may = |action| at_project(&visitor.actor, &project.organisation_id, &project.project_id, action);
    ways(PROJECT, [&project.organisation, &project.project, ""], &project.project_name, may)
}

/// The place one is at.
#[derive(Debug, Default)]
pub(super) struct Here {
    project: Option<ProjectAt>,
    set: Option<SetAt>,
}

/// None where it is not there, or not one's own to see.
fn seen<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ApiError::NotFound(_) | ApiError::Hidden { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

impl Here {
    /// Reads the path of a page of this organisation.
    pub(super) async fn read(
        state: &AppState,
        visitor: &Visitor,
        organisation: &Organisation,
        path: &str,
    ) -> Result<Self> {
        let mut parts = path.split('/').skip(1);
        if parts.next() != Some(&organisation.slug) {
            return Ok(Self::default());
        }
        let mut name = || parts.next().filter(|part| !part.is_empty() && *part != "-");
        let Some(project) = name() else { return Ok(Self::default()) };
        let set = name();
        let project = seen(visitor.project(state, &organisation.slug, project).await)?;
        let set = match (&project, set) {
            (Some(at), Some(set)) => seen(author::find_set(state, &visitor.actor, at, set).await)?,
            _ => None,
        };
        Ok(Self { project, set })
    }

    /// What one may do from here, the nearest first.
    pub(super) async fn actions(
        &self,
        state: &AppState,
        visitor: &Visitor,
        organisation: &Organisation,
    ) -> Result<Vec<Deed>> {
        let mut out = Vec::new();
        let (actor, o) = (&visitor.actor, organisation.slug.as_str());
        if let (Some(at), Some(set)) = (&self.project, &self.set) {
            let (p, s) = (at.project.slug.as_str(), set.set.slug.as_str());
            let may = |action| at_project(actor, &organisation.id, &at.project.id, action);
            let mut of_set = ways(SET, [o, p, s], s, may);
            if set.set.state == "locked" {
                of_set.retain(|d| !d.href.ends_with("/-/lock"));
            }
            let latest = lock::newest_version(state, actor, set).await?;
            for deed in of_set.iter_mut().filter(|d| d.href.ends_with("/-/publish")) {
                if let Some(latest) = &latest {
                    deed.text = format!("Publish {s} {latest}");
                    deed.href += &format!("?version={}", crate::ui::view::encoded(latest));
                }
            }
            out.extend(of_set);
        }
        if let Some(at) = &self.project {
            let may = |action| at_project(actor, &organisation.id, &at.project.id, action);
            out.extend(ways(PROJECT, [o, &at.project.slug, ""], &at.project.name, may));
        }
        let member = |action: Option<Action>| action.is_none_or(|action| actor.may(&organisation.id, action));
        out.extend(ways(ORGANISATION, [o, "", ""], "", |action| {
            member(action) || action == Some(Action::View) && actor.visits(&organisation.id)
        }));
        out.extend(ways(ANYWHERE, ["", "", ""], "", |_| true));
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_table_of_routes_knows_is_offered() {
        let made = ways(
            &[("A %", "/{organisation}/{project}", "#x", "set"), ("B", "/nothing", "", "set")],
            ["o", "p", "s"],
            "of",
            |_| true,
        );
        assert_eq!(made.len(), 1);
        assert_eq!((made[0].text.as_str(), made[0].href.as_str()), ("A of", "/o/p#x"));
        assert!(
            ways(SET, ["o", "p", "s"], "", |action| action == Some(Action::Lock))
                .iter()
                .all(|d| d.href.ends_with("lock"))
        );
    }
}

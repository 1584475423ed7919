//! What one may do, computed from the table of routes, one's role and the place: what is not in the table, or not
//! allowed, is not offered.

use crate::auth::route;
use crate::auth::{Action, Actor};
use crate::author::{self, Item, ProjectAt, SetAt};
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::search::thing::Thing;
use crate::search::words::Word;
use crate::state::AppState;
use crate::ui::editor::may_change;
use crate::ui::view::encoded;
use crate::ui::visitor::Visitor;

/// Something to do: where its words are shown, its page.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub text: String,
    pub href: String,
    icon: &'static str,
}

impl Deed {
    pub(super) fn item(&self, words: &[Word]) -> super::Item {
        super::Item::new(self.icon, &self.text, String::new(), self.href.clone(), words)
    }
}

/// Words, route, what follows its address, icon.
type Way = (&'static str, &'static str, &'static str, &'static str);

/// Buttons of pages: on its page an entry presses it, from elsewhere it leads there.
const STAR: &str = "#star";
const AGAIN: &str = "#again";

/// Only for members: a guest belongs to a project.
const LEAVE: &str = "/-/leave";

/// Only for who may make one.
const NEW_ORGANISATION: &str = "/-/new";

const ANYWHERE: &[Way] = &[
    ("Account", "/-/account", "", "user"),
    ("Sign out", "/-/account", "", "user"),
    ("Password", "/-/account", "", "key"),
    ("Theme: light or dark", "/-/account", "", "theme"),
    ("New organisation", NEW_ORGANISATION, "", "plus"),
    ("API keys", "/-/account", "#api-keys", "key"),
    ("Sessions: where you are signed in", "/-/account", "#sessions", "user"),
    ("Help: guides", "/-/help", "", "help"),
    ("Keys of the keyboard", "/-/help/{guide}", "", "help"),
    ("API documentation", "/api/docs", "", "help"),
];

const ORGANISATION: &[Way] = &[
    ("Dashboard", "/{organisation}", "", "home"),
    ("Search", "/{organisation}/-/search", "", "search"),
    ("Reviews", "/{organisation}/-/reviews", "", "review"),
    ("New project", "/{organisation}/-/new", "", "plus"),
    ("Create the first project from an example", "/{organisation}/-/start", "", "plus"),
    ("Audit log", "/{organisation}/-/audit", "", "audit"),
    ("Download the audit log", "/{organisation}/-/audit/export", "", "download"),
    ("Rename the organisation", "/{organisation}/-/organisation", "", "settings"),
    ("Archived projects", "/{organisation}/-/archived", "", "folder"),
    ("People", "/{organisation}/-/settings", "", "user"),
    ("Invite somebody", "/{organisation}/-/settings", "#invite", "user"),
    ("Leave the organisation", "/{organisation}/-/leave", "", "user"),
];

/// `%` is the project's name.
const PROJECT: &[Way] = &[
    ("Prompt sets of %", "/{organisation}/{project}", "", "set"),
    ("Agents of %", "/{organisation}/{project}/-/agents", "", "agent"),
    ("Publications of %", "/{organisation}/{project}/-/publications", "", "publish"),
    ("New prompt set in %", "/{organisation}/{project}/-/new", "", "plus"),
    ("Environments of %: who may publish where", "/{organisation}/{project}/-/environments", "", "check"),
    ("Credentials of %", "/{organisation}/{project}/-/credentials", "", "key"),
    ("Create credential for %", "/{organisation}/{project}/-/credentials", "#create", "key"),
    ("Freeze agents of %", "/{organisation}/{project}/-/agents/order", "?mode=FROZEN", "freeze"),
    ("Let agents of % accept", "/{organisation}/{project}/-/agents/order", "?mode=ACCEPTING", "agent"),
    ("Webhooks of %", "/{organisation}/{project}/-/webhooks", "", "signed"),
    ("Trust of %: signing keys", "/{organisation}/{project}/-/trust", "", "signed"),
    ("Settings of %", "/{organisation}/{project}/-/settings", "", "settings"),
    ("Archived sets of %", "/{organisation}/{project}/-/archived", "", "folder"),
    ("Favourite: %", "/{organisation}/{project}", STAR, "star"),
    ("Import an archive into %", "/{organisation}/{project}/-/import", "", "download"),
    ("Export all sets of %", "/{organisation}/{project}/-/export/file", "", "download"),
];

/// `%` is the set's slug.
const SET: &[Way] = &[
    ("Prompts of %", "/{organisation}/{project}/{set}", "", "set"),
    ("New prompt in %", "/{organisation}/{project}/{set}/-/new", "", "plus"),
    ("Lock %", "/{organisation}/{project}/{set}/-/lock", "", "lock"),
    ("Ask for a review of %", "/{organisation}/{project}/{set}/-/lock", "#ask", "review"),
    ("Edit % again", "/{organisation}/{project}/{set}/-/lock", AGAIN, "edit"),
    ("Publish %", "/{organisation}/{project}/{set}/-/publish", "", "publish"),
    ("Compare %", "/{organisation}/{project}/{set}/-/compare", "", "compare"),
    ("Versions of %", "/{organisation}/{project}/{set}/-/versions", "", "clock"),
    ("Dependencies of %", "/{organisation}/{project}/{set}/-/dependencies", "", "set"),
    ("Usage of %", "/{organisation}/{project}/{set}/-/usage", "", "agent"),
    ("Playground of %", "/{organisation}/{project}/{set}/-/playground", "", "play"),
    ("Archived prompts of %", "/{organisation}/{project}/{set}/-/archived", "", "folder"),
    ("Duplicate %", "/{organisation}/{project}/{set}/-/copy", "", "copy"),
    ("Settings of %", "/{organisation}/{project}/{set}/-/settings", "", "settings"),
    ("Favourite: set %", "/{organisation}/{project}/{set}/-/versions", STAR, "star"),
    ("Import into %", "/{organisation}/{project}/{set}/-/import", "", "download"),
    ("Export %", "/{organisation}/{project}/{set}/-/export", "", "download"),
];

/// `%` is the prompt's id; its address stands for it in a query.
const PROMPT: &[Way] = &[
    ("Playground of %", "/{organisation}/{project}/{set}/-/playground", "?prompt={item}", "play"),
    ("History of %", "/{organisation}/{project}/{set}/-/history/{*prompt}", "", "clock"),
    ("Rename %", "/{organisation}/{project}/{set}/-/rename", "?prompt={item}", "edit"),
    ("Duplicate %", "/{organisation}/{project}/{set}/-/duplicate", "?prompt={item}", "copy"),
    ("Archive %", "/{organisation}/{project}/{set}/-/archive", "?prompt={item}", "folder"),
    ("Favourite: %", "/{organisation}/{project}/{set}/{*prompt}", STAR, "star"),
];

/// `%` is the partial's name.
const PARTIAL: &[Way] = &[
    ("History of partial %", "/{organisation}/{project}/{set}/-/partial-history/{*partial}", "", "clock"),
    ("Rename partial %", "/{organisation}/{project}/{set}/-/rename", "?partial={item}", "edit"),
    ("Duplicate partial %", "/{organisation}/{project}/{set}/-/duplicate", "?partial={item}", "copy"),
    ("Archive partial %", "/{organisation}/{project}/{set}/-/archive", "?partial={item}", "folder"),
    ("Favourite: partial %", "/{organisation}/{project}/{set}/-/partials/{*partial}", STAR, "star"),
];

/// The ways whose routes are there and allowed. `names` are the organisation's, the project's, the set's, and that of
/// a prompt or a partial.
fn ways(table: &[Way], names: [&str; 4], of: &str, may: impl Fn(Option<Action>) -> bool) -> Vec<Deed> {
    let [o, p, s, item] = names;
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
            .replace("{*prompt}", item)
            .replace("{*partial}", item)
            + &rest.replace("{item}", &encoded(item)),
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
    let mut found = ways(SET, [&set.organisation, &set.project, &set.id, ""], &set.id, may);
    found.retain(|deed| !deed.href.ends_with(AGAIN));
    found
}

/// What one may do with a project that was found.
pub(super) fn of_project(visitor: &Visitor, project: &Thing) -> Vec<Deed> {
    let may = |action| at_project(&visitor.actor, &project.organisation_id, &project.project_id, action);
    ways(PROJECT, [&project.organisation, &project.project, "", ""], &project.project_name, may)
}

/// The place one is at.
#[derive(Debug, Default)]
pub(super) struct Here {
    project: Option<ProjectAt>,
    set: Option<SetAt>,
    /// A prompt or a partial of the set.
    item: Option<(Item, String)>,
}

/// What the rest of a path below a set names: `mail/reply`, `-/partials/footer`, `-/history/mail/reply`.
fn named(rest: &[&str]) -> Option<(Item, String)> {
    let (item, name) = match rest {
        ["-", "history", name @ ..] => (Item::Prompt, name),
        ["-", "partials" | "partial-history", name @ ..] => (Item::Partial, name),
        ["-", ..] => return None,
        name => (Item::Prompt, name),
    };
    let name = name.join("/");
    (!name.is_empty()).then_some((item, name))
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
        let rest: Vec<&str> = parts.collect();
        let project = seen(visitor.project(state, &organisation.slug, project).await)?;
        let set = match (&project, set) {
            (Some(at), Some(set)) => seen(author::find_set(state, &visitor.actor, at, set).await)?,
            _ => None,
        };
        let item = match (&set, named(&rest)) {
            (Some(at), Some((Item::Prompt, id))) => {
                let found = seen(author::prompt_draft(state, &visitor.actor, at, &id).await)?;
                found.map(|_| (Item::Prompt, id))
            }
            (Some(at), Some((Item::Partial, name))) => {
                let found = seen(author::partial_draft(state, &visitor.actor, at, &name).await)?;
                found.map(|_| (Item::Partial, name))
            }
            _ => None,
        };
        Ok(Self { project, set, item })
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
            if let Some((item, name)) = &self.item {
                let table = match item {
                    Item::Prompt => PROMPT,
                    Item::Partial => PARTIAL,
                };
                let mut of_item = ways(table, [o, p, s, name], name, may);
                if !may_change(visitor, set) {
                    of_item.retain(|d| !d.href.contains("/-/rename?") && !d.href.contains("/-/archive?"));
                }
                out.extend(of_item);
            }
            let mut of_set = ways(SET, [o, p, s, ""], s, may);
            let locked = set.set.state == "locked";
            of_set.retain(|d| {
                if locked {
                    !d.href.ends_with("/-/lock") && !d.href.ends_with("#ask")
                } else {
                    !d.href.ends_with(AGAIN)
                }
            });
            if set.set.state == "review" {
                let (text, href) = (
                    format!("Answer the review of {s}"),
                    format!("/{o}/{p}/{s}/-/reviews/{}", set.set.reviews),
                );
                out.push(Deed { text, href, icon: "review" });
            }
            let latest = lock::newest_version(state, actor, set).await?;
            for deed in of_set.iter_mut().filter(|d| d.href.ends_with("/-/publish")) {
                if let Some(latest) = &latest {
                    deed.text = format!("Publish {s} {latest}");
                    deed.href += &format!("?version={}", encoded(latest));
                }
            }
            out.extend(of_set);
        }
        if let Some(at) = &self.project {
            let may = |action| at_project(actor, &organisation.id, &at.project.id, action);
            out.extend(ways(PROJECT, [o, &at.project.slug, "", ""], &at.project.name, may));
        }
        let member = |action: Option<Action>| action.is_none_or(|action| actor.may(&organisation.id, action));
        let of_organisation = ways(ORGANISATION, [o, "", "", ""], "", |action| {
            member(action) || action == Some(Action::View) && actor.visits(&organisation.id)
        });
        let belongs = member(Some(Action::View));
        out.extend(of_organisation.into_iter().filter(|d| belongs || !d.href.ends_with(LEAVE)));
        let anywhere = ways(ANYWHERE, [""; 4], "", |_| true);
        out.extend(anywhere.into_iter().filter(|d| visitor.may_found || d.href != NEW_ORGANISATION));
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
            ["o", "p", "s", ""],
            "of",
            |_| true,
        );
        assert_eq!(made.len(), 1);
        assert_eq!((made[0].text.as_str(), made[0].href.as_str()), ("A of", "/o/p#x"));
        assert!(
            ways(SET, ["o", "p", "s", ""], "", |action| action == Some(Action::Lock))
                .iter()
                .all(|d| d.href.contains("/-/lock"))
        );
    }

    #[test]
    fn no_entry_is_dead_and_every_page_of_a_place_has_one() {
        let all: Vec<&Way> =
            [ANYWHERE, ORGANISATION, PROJECT, SET, PROMPT, PARTIAL].into_iter().flatten().collect();
        for (text, path, ..) in &all {
            assert!(route::find("GET", path).is_some(), "{text} leads to {path}, which is no page");
        }
        // Doors, answers to machines, files of a page, and where another page leads with a version.
        let elsewhere = [
            "/",
            "/-/sign-in",
            "/-/sign-in-link",
            "/-/oidc",
            "/-/oidc/callback",
            "/-/palette",
            "/-/events",
            "/{organisation}/-/start/agent",
            "/{organisation}/{project}/{set}/-/export/file",
            "/{organisation}/{project}/{set}/-/restore",
        ];
        let ours = ["organisation", "project", "set", "guide", "*prompt", "*partial"];
        for page in route::PAGES.iter().filter(|r| r.method == "GET" && !elsewhere.contains(&r.path)) {
            let mut names = page.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
            // A prompt and a partial are found by their names.
            let found = page.path.ends_with("{set}/{*prompt}") || page.path.ends_with("/partials/{*partial}");
            if found || !names.all(|name| ours.contains(&name)) {
                continue;
            }
            assert!(all.iter().any(|(_, path, ..)| *path == page.path), "{} has no entry", page.path);
        }
    }

    #[test]
    fn a_path_below_a_set_names_a_prompt_or_a_partial() {
        assert_eq!(named(&["mail", "reply"]), Some((Item::Prompt, "mail/reply".into())));
        assert_eq!(named(&["-", "history", "mail", "reply"]), Some((Item::Prompt, "mail/reply".into())));
        assert_eq!(named(&["-", "partials", "footer"]), Some((Item::Partial, "footer".into())));
        assert_eq!(named(&["-", "lock"]), None);
        assert_eq!(named(&[]), None);
    }
}

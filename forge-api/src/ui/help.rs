//! Guides in the app: `/-/help` is the first of them, each other has an address of its own.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::template::filter_names;
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::PageResult;
use super::visitor::Visitor;
use crate::error::ApiError;
use crate::state::AppState;
use crate::webhook::EVENTS;

/// A guide.
struct Guide {
    slug: &'static str,
    title: &'static str,
    template: &'static str,
}

const fn guide(slug: &'static str, title: &'static str, template: &'static str) -> Guide {
    Guide { slug, title, template }
}

/// In the order in which they are read.
const GUIDES: [Guide; 15] = [
    guide("line", "From an edit to every agent", "help-line.html"),
    guide("first-steps", "The first ten minutes", "help-first-steps.html"),
    guide("templates", "Templates and parameters", "help-templates.html"),
    guide("chat", "Chat and model settings", "help-chat.html"),
    guide("trying", "Trying a prompt", "help-trying.html"),
    guide("versions", "Versions and review", "help-versions.html"),
    guide("publishing", "Publishing and rolling back", "help-publishing.html"),
    guide("agents", "Connecting agents", "help-agents.html"),
    guide("frozen", "What FROZEN means", "help-frozen.html"),
    guide("import", "Import and export", "help-import.html"),
    guide("webhooks", "Webhooks", "help-webhooks.html"),
    guide("people", "People and roles", "help-people.html"),
    guide("trust", "What agents trust", "help-trust.html"),
    guide("audit", "The audit log", "help-audit.html"),
    guide("keys", "Keys and the API", "help-keys.html"),
];

/// Pages that a guide is about, by their templates.
const ABOUT: &[(&str, &[&str])] = &[
    ("line", &["dashboard.html", "project.html"]),
    ("first-steps", &["start.html"]),
    ("templates", &["editor.html"]),
    ("trying", &["playground.html"]),
    (
        "versions",
        &[
            "compare.html",
            "dependencies.html",
            "history.html",
            "lock.html",
            "review.html",
            "reviews.html",
            "version.html",
            "versions.html",
        ],
    ),
    ("publishing", &["environments.html", "publication.html", "publications.html", "publish.html"]),
    ("agents", &["agents.html", "credentials.html", "usage.html"]),
    ("frozen", &["order.html"]),
    ("import", &["export.html", "import.html", "import-plan.html"]),
    ("webhooks", &["webhook.html", "webhooks.html"]),
    ("people", &["people.html"]),
    ("trust", &["trust.html"]),
    ("audit", &["audit.html"]),
    ("keys", &["account.html", "docs.html", "palette.html", "search.html"]),
];

#[derive(Debug, Serialize)]
struct Page {
    guides: Vec<Entry>,
    next: Option<Entry>,
    keys: Vec<Key>,
    filters: Vec<&'static str>,
    events: Vec<Event>,
    url: String,
}

/// What a webhook tells.
#[derive(Debug, Serialize)]
struct Event {
    name: &'static str,
    when: &'static str,
}

fn events() -> Vec<Event> {
    EVENTS.iter().map(|(name, when)| Event { name, when }).collect()
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    slug: &'static str,
    title: &'static str,
    here: bool,
}

/// The guide that a page leads to, by its template.
pub(super) fn about(template: &str) -> Option<Entry> {
    let (slug, _) = ABOUT.iter().find(|(_, pages)| pages.contains(&template))?;
    let guide = GUIDES.iter().find(|g| g.slug == *slug)?;
    Some(Entry { slug: guide.slug, title: guide.title, here: false })
}

#[derive(Debug, Serialize)]
struct Key {
    what: &'static str,
    keys: &'static [&'static str],
}

const KEYS: &[(&str, &[&str])] = &[
    ("Find or do anything", &["Ctrl", "K"]),
    ("This list", &["?"]),
    ("Find on this page", &["/"]),
    ("Next, previous row", &["J", "K"]),
    ("Open the row", &["Enter"]),
    ("Choose the row", &["X"]),
    ("Save the prompt", &["Ctrl", "S"]),
    ("Refresh the preview, or send the form", &["Ctrl", "Enter"]),
    ("Next problem in the text", &["F8"]),
    ("Compare with the last version", &["C"]),
    ("Publish", &["P"]),
    ("Go to the dashboard", &["G", "D"]),
    ("Go to reviews", &["G", "R"]),
    ("Go to the project", &["G", "P"]),
    ("Go to agents", &["G", "A"]),
    ("Go to credentials", &["G", "C"]),
    ("Close", &["Esc"]),
];

/// `GET /-/help`.
pub(super) async fn get_help(visitor: Visitor, State(state): State<AppState>) -> Response {
    let [first, ..] = &GUIDES;
    page(&visitor, &state, first)
}

/// `GET /-/help/{guide}`.
pub(super) async fn get_guide(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(slug): Path<String>,
) -> PageResult {
    let found = GUIDES.iter().find(|g| g.slug == slug).ok_or(ApiError::NotFound("guide"))?;
    Ok(page(&visitor, &state, found))
}

fn page(visitor: &Visitor, state: &AppState, guide: &Guide) -> Response {
    let entry = |g: &Guide| Entry { slug: g.slug, title: g.title, here: g.slug == guide.slug };
    let after = GUIDES.iter().skip_while(|g| g.slug != guide.slug).nth(1);
    let mut filters: Vec<&str> = filter_names().collect();
    filters.sort_unstable();
    let page = Page {
        guides: GUIDES.iter().map(entry).collect(),
        next: after.map(entry),
        keys: KEYS.iter().map(|(what, keys)| Key { what, keys }).collect(),
        filters,
        events: events(),
        url: state.public_url.clone(),
    };
    let frame = visitor.anywhere().crumb("Help", "/-/help").titled(guide.title, "help");
    engine::page(StatusCode::OK, guide.template, &frame, &page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::frame::Frame;

    #[test]
    fn every_guide_renders_and_leads_only_to_guides_that_are_there() {
        for guide in &GUIDES {
            let page = Page {
                guides: Vec::new(),
                next: None,
                keys: vec![Key { what: "This list", keys: &["?"] }],
                filters: filter_names().collect(),
                events: events(),
                url: "https://forge.example".into(),
            };
            let html = engine::render(guide.template, &Frame::for_test(), &page).unwrap();
            assert!(html.contains(&format!("<h1>{}</h1>", guide.title)), "{}: {html}", guide.slug);
            for rest in html.split("href=\"/-/help/").skip(1) {
                let slug = rest.split(['"', '#']).next().unwrap_or_default();
                assert!(GUIDES.iter().any(|g| g.slug == slug), "{} leads to {slug}", guide.slug);
            }
        }
    }

    #[test]
    fn every_page_that_a_guide_is_about_leads_to_one_that_is_there() {
        for (slug, pages) in ABOUT {
            for page in *pages {
                assert!(engine::knows(page), "there is no template {page}");
                assert_eq!(
                    about(page).map(|g| g.slug),
                    Some(*slug),
                    "{page} stands twice, or its guide is gone"
                );
            }
        }
    }

    #[test]
    fn the_guide_to_templates_names_every_filter() {
        let page = Page {
            guides: Vec::new(),
            next: None,
            keys: Vec::new(),
            filters: filter_names().collect(),
            events: Vec::new(),
            url: String::new(),
        };
        let html = engine::render("help-templates.html", &Frame::for_test(), &page).unwrap();
        for name in filter_names() {
            assert!(html.contains(&format!("<code>{name}</code>")), "{name}");
        }
        assert!(html.contains("{{ name | upper }}"), "{html}");
    }
}

//! The frame around every page: navigation, crumbs, who one is.

use serde::Serialize;

use super::view::Callout;

/// What the frame of a page shows.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Frame {
    pub title: String,
    pub theme: Option<&'static str>,
    /// Goes into every form; a post without it is refused.
    pub csrf: String,
    /// Lets the editor's own style sheet in; only where the page has an editor.
    pub nonce: Option<String>,
    pub user: Option<Person>,
    pub organisation: Option<Place>,
    pub organisations: Vec<Place>,
    /// Whether the visitor is a member of the organisation, and no mere guest.
    pub is_member: bool,
    /// Whether the visitor may make another organisation.
    pub may_found: bool,
    pub project: Option<Place>,
    /// Which entry of the navigation this page is.
    pub here: &'static str,
    pub crumbs: Vec<Crumb>,
    /// What of FORGE's events this page follows.
    pub topic: Option<String>,
    /// How many reviews wait for the visitor here.
    pub reviews: usize,
    /// Whether the visitor may manage the project.
    pub may_manage: bool,
    pub bench: bool,
    pub narrow: bool,
    /// What the visitor starred in this organisation.
    pub favourites: Vec<Shortcut>,
    /// What this page shows, where that can be starred.
    pub star: Option<Star>,
    /// What was just done, said once.
    pub flash: Option<Callout>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Person {
    pub name: String,
    pub initials: String,
}

/// An organisation or a project.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Place {
    pub slug: String,
    pub name: String,
    pub initial: String,
}

impl Place {
    pub(crate) fn new(slug: impl Into<String>, name: impl Into<String>) -> Self {
        let name = name.into();
        let initial = name.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        Self { slug: slug.into(), name, initial }
    }
}

/// Something that one starred.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shortcut {
    pub icon: &'static str,
    pub text: String,
    /// With its place, for who hovers.
    pub title: String,
    pub href: String,
    /// Slug of its organisation.
    pub organisation: String,
    pub row: String,
}

/// Something that can be starred.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Star {
    pub kind: &'static str,
    pub row: String,
    pub name: String,
    pub on: bool,
}

/// One step of the way here; the last has no address.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Crumb {
    pub text: String,
    pub href: Option<String>,
}

impl Frame {
    /// Adds a step with an address.
    pub(crate) fn crumb(mut self, text: impl Into<String>, href: impl Into<String>) -> Self {
        self.crumbs.push(Crumb { text: text.into(), href: Some(href.into()) });
        self
    }

    /// Names the page: its title, its entry of the navigation, and the last crumb.
    pub(crate) fn titled(mut self, title: impl Into<String>, here: &'static str) -> Self {
        self.title = title.into();
        self.here = here;
        self.crumbs.push(Crumb { text: self.title.clone(), href: None });
        self
    }

    pub(crate) fn following(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    pub(crate) fn narrow(self) -> Self {
        Self { narrow: true, ..self }
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self {
            csrf: "csrf".into(),
            user: Some(Person { name: "Mara Lindqvist".into(), initials: "ML".into() }),
            organisation: Some(Place::new("fernway", "Fernway")),
            organisations: vec![Place::new("fernway", "Fernway")],
            is_member: true,
            project: Some(Place::new("support", "Customer support")),
            ..Self::default()
        }
        .crumb("Fernway", "/fernway")
        .titled("Page", "sets")
    }
}

//! Who looks at a page: the session's actor, their organisations, and how they like to see things.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::fault::Fault;
use super::frame::{Frame, Person, Place, Shortcut, Star};
use super::search;
use super::view::initials;
use crate::auth::{Action, Actor, Role};
use crate::author::organisation::may_found;
use crate::author::{self, ProjectAt, SetAt};
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::review;
use crate::search::thing::{Kind, Thing};
use crate::state::AppState;
use crate::visit;

/// Most favourites that the navigation shows.
const FAVOURITES: usize = 12;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub actor: Actor,
    pub organisations: Vec<(Organisation, Role)>,
    /// Where they are a guest only.
    pub visited: Vec<Organisation>,
    /// Whether they may make another organisation.
    pub may_found: bool,
    /// Reviews that wait for them, by organisation.
    pub reviews: HashMap<String, usize>,
    /// What they starred, everywhere.
    pub favourites: Vec<Shortcut>,
    pub look: Look,
}

/// What a browser remembers of its person's taste, in cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// None follows the system.
    pub theme: Option<&'static str>,
    /// Keys of one letter are on.
    pub keys: bool,
}

impl Look {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let theme = match cookie(headers, "theme").as_deref() {
            Some("light") => Some("light"),
            Some("dark") => Some("dark"),
            _ => None,
        };
        Self { theme, keys: cookie(headers, "keys").as_deref() != Some("off") }
    }
}

/// The value of a cookie.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|h| h.to_str().ok())
        .flat_map(|h| h.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value.to_owned())
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Fault> {
        let Ok(actor) = <Actor as FromRequestParts<AppState>>::from_request_parts(parts, state).await else {
            let next = match parts.method.as_str() {
                "GET" => parts.uri.path_and_query().map_or("/", |p| p.as_str()),
                _ => "/",
            };
            return Err(Fault::SignIn { next: next.to_owned() });
        };
        let organisations = author::organisations(state, &actor).await?;
        let visited = author::visited(state, &actor).await?;
        let may_found = may_found(state.config.organisations, &actor).is_ok();
        let places: Vec<&str> =
            organisations.iter().map(|(o, _)| o).chain(&visited).map(|o| o.id.as_str()).collect();
        let reviews = review::count_mine(state, &actor, &places).await?;
        let favourites = visit::favourites(state, &actor).await?.into_iter().map(shortcut).collect();
        let look = Look::of(&parts.headers);
        Ok(Self { actor, organisations, visited, may_found, reviews, favourites, look })
    }
}

impl Visitor {
    fn waiting_in(&self, organisation_id: &str) -> usize {
        self.reviews.get(organisation_id).copied().unwrap_or_default()
    }

    /// An organisation that the visitor is a member or a guest of: for pages that show only what they may see.
    pub(crate) fn visit(&self, slug: &str) -> Result<&Organisation> {
        self.places().find(|o| o.slug == slug).ok_or(ApiError::NotFound("organisation"))
    }

    /// Every organisation in which the visitor sees something, their own first.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Organisation> {
        self.organisations.iter().map(|(o, _)| o).chain(&self.visited)
    }

    /// An organisation of which the visitor is a member.
    pub(crate) async fn organisation(&self, slug: &str) -> Result<&Organisation> {
        let found = self.organisations.iter().find(|(o, _)| o.slug == slug);
        found.map(|(o, _)| o).ok_or(ApiError::NotFound("organisation"))
    }

    pub(crate) async fn project(
        &self,
        state: &AppState,
        organisation: &str,
        project: &str,
    ) -> Result<ProjectAt> {
        author::find_project(state, &self.actor, organisation, project).await
    }

    pub(crate) async fn set(
        &self,
        state: &AppState,
        organisation: &str,
        project: &str,
        set: &str,
    ) -> Result<SetAt> {
        let at = self.project(state, organisation, project).await?;
        author::find_set(state, &self.actor, &at, set).await
    }

    /// A frame outside of any organisation; the navigation shows the first one.
    pub(crate) fn anywhere(&self) -> Frame {
        let place = |o: &Organisation| Place::new(&o.slug, &o.name);
        Frame {
            theme: self.look.theme,
            csrf: self.actor.csrf().to_owned(),
            user: Some(Person { name: self.actor.name.clone(), initials: initials(&self.actor.name) }),
            organisations: self.places().map(place).collect(),
            organisation: self.places().next().map(place),
            may_found: self.may_found,
            is_member: self.places().next().is_some_and(|o| self.actor.role_in(&o.id).is_some()),
            reviews: self.places().next().map_or(0, |o| self.waiting_in(&o.id)),
            ..Frame::default()
        }
    }

    pub(crate) fn in_organisation(&self, organisation: &Organisation) -> Frame {
        Frame {
            organisation: Some(Place::new(&organisation.slug, &organisation.name)),
            is_member: self.actor.role_in(&organisation.id).is_some(),
            reviews: self.waiting_in(&organisation.id),
            favourites: self
                .favourites
                .iter()
                .filter(|f| f.organisation == organisation.slug)
                .take(FAVOURITES)
                .cloned()
                .collect(),
            ..self.anywhere()
        }
        .crumb(&organisation.name, format!("/{}", organisation.slug))
    }

    /// Notes that the visitor opened this, and gives the star that its page shows.
    pub(crate) fn opened(
        &self,
        state: &AppState,
        organisation: &Organisation,
        (kind, row, name): (Kind, &str, &str),
    ) -> Option<Star> {
        visit::opened(state, &self.actor, &organisation.id, kind, row);
        Some(Star {
            kind: kind.as_str(),
            row: row.to_owned(),
            name: name.to_owned(),
            on: self.favourites.iter().any(|f| f.row == row),
        })
    }

    pub(crate) fn in_project(&self, at: &ProjectAt) -> Frame {
        Frame {
            project: Some(Place::new(&at.project.slug, &at.project.name)),
            may_manage: at.lets(&self.actor, Action::ManageProjects),
            ..self.in_organisation(&at.organisation)
        }
        .crumb(&at.project.name, format!("/{}/{}", at.organisation.slug, at.project.slug))
    }
}

/// Something as the navigation shows it.
pub(crate) fn shortcut(thing: Thing) -> Shortcut {
    let place = search::place(&thing);
    Shortcut {
        icon: search::icon(thing.kind),
        href: thing.href(),
        title: if place.is_empty() { thing.id.clone() } else { format!("{} in {place}", thing.id) },
        text: if thing.name.is_empty() { thing.id } else { thing.name },
        organisation: thing.organisation,
        row: thing.row_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn taste_is_read_from_cookies_and_nothing_else_gets_in() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; theme=dark; keys=off"));
        assert_eq!(Look::of(&headers), Look { theme: Some("dark"), keys: false });
        headers.insert(header::COOKIE, HeaderValue::from_static("theme=\"><script>"));
        assert_eq!(Look::of(&headers), Look { theme: None, keys: true });
    }
}

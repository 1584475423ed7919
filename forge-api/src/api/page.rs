//! Pages of a list: `?cursor=…&limit=…`, and where it goes on.
//!
//! A cursor names the last item that was given, and where it stood: what is put in or taken out meanwhile neither
//! repeats nor hides another item, as far as the list's order stays. Only FORGE reads cursors.

use std::str::FromStr;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::body::List;
use crate::error::{ApiError, Result};

/// Items of a page where nobody says how many.
pub(super) const LIMIT: usize = 100;
/// Items of a page at most.
pub(super) const LIMIT_MAX: usize = 500;
/// Format of a cursor.
const FORMAT: &str = "1";

/// The address that was asked for, as a whole; goes with every request of the API.
#[derive(Debug, Clone)]
pub(super) struct Asked(pub(super) Uri);

/// Which page of a list is asked for.
#[derive(Debug)]
pub(super) struct Page {
    path: String,
    /// What else stands in the query: it is kept for the next page.
    rest: String,
    cursor: Option<Cursor>,
    limit: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    /// Where the last item stood, for when it is gone.
    index: usize,
    key: String,
}

/// A page, and the header `Link` to the next one.
#[derive(Debug)]
pub(super) struct Listed<T> {
    list: List<T>,
    link: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Asked(uri) = parts.extensions.get().ok_or(ApiError::NotFound("page"))?;
        Self::of(uri.path(), uri.query().unwrap_or_default())
    }
}

impl Page {
    fn of(path: &str, query: &str) -> Result<Self> {
        let (mut rest, mut cursor, mut limit) = (Vec::new(), None, LIMIT);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("cursor", text) => cursor = Some(Cursor::read(path, text)?),
                ("limit", text) => limit = limit_of(text)?,
                _ => rest.push(pair),
            }
        }
        Ok(Self { path: path.to_owned(), rest: rest.join("&"), cursor, limit })
    }

    /// The page of a list that is there as a whole. `key` tells an item from all others.
    pub(super) fn cut<T>(self, items: Vec<T>, key: impl Fn(&T) -> String) -> Listed<T> {
        let from = self.cursor.as_ref().map_or(0, |cursor| {
            items.iter().position(|item| key(item) == cursor.key).map_or(cursor.index, |at| at + 1)
        });
        let more = items.len() > from.saturating_add(self.limit);
        let items: Vec<T> = items.into_iter().skip(from).take(self.limit).collect();
        let last = items.last().map(&key).filter(|_| more);
        self.listed(items, from, last)
    }

    /// How many items a query of one page asks for: one more than it shows, which says whether there is another.
    pub(super) fn query_limit(&self) -> i64 {
        i64::try_from(self.limit.saturating_add(1)).unwrap_or(i64::MAX)
    }

    /// The key of the last item that was given, for a query that goes on after it.
    ///
    /// # Errors
    /// It is no key of this list.
    pub(super) fn after<K: FromStr>(&self) -> Result<Option<K>> {
        self.cursor.as_ref().map(|cursor| cursor.key.parse().map_err(|_| bad_cursor())).transpose()
    }

    /// What a query of [`Page::query_limit`] items found.
    pub(super) fn found<T>(self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Listed<T> {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let last = items.last().map(&key).filter(|_| more);
        let from = self.cursor.as_ref().map_or(0, |cursor| cursor.index);
        self.listed(items, from, last)
    }

    fn listed<T>(self, items: Vec<T>, from: usize, last: Option<String>) -> Listed<T> {
        let index = from.saturating_add(items.len());
        let next = last.map(|key| Cursor { index, key }.write(&self.path));
        let link = next.as_ref().map(|next| {
            let rest = if self.rest.is_empty() { String::new() } else { format!("&{}", self.rest) };
            format!("<{}?cursor={next}&limit={}{rest}>; rel=\"next\"", self.path, self.limit)
        });
        Listed { list: List { items, next }, link }
    }
}

fn limit_of(text: &str) -> Result<usize> {
    text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        ApiError::invalid("bad_query", "limit", format!("limit is a number from 1 to {LIMIT_MAX}"))
    })
}

fn bad_cursor() -> ApiError {
    let detail = "this is no cursor of this list; begin without one, and give `next` of each page as it is";
    ApiError::invalid("bad_cursor", "cursor", detail)
}

impl Cursor {
    fn write(&self, path: &str) -> String {
        let text = format!("{FORMAT}\n{path}\n{}\n{}", self.index, self.key);
        BASE64URL_NOPAD.encode(text.as_bytes())
    }

    fn read(path: &str, text: &str) -> Result<Self> {
        let read = || {
            let text = String::from_utf8(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()?;
            let mut parts = text.splitn(4, '\n');
            let (format, list) = (parts.next()?, parts.next()?);
            let (index, key) = (parts.next()?.parse().ok()?, parts.next()?.to_owned());
            (format == FORMAT && list == path).then_some(Self { index, key })
        };
        read().ok_or_else(bad_cursor)
    }
}

impl<T> Listed<T> {
    /// The same page with each item as the API gives it.
    pub(super) fn map<U>(self, body: impl FnMut(T) -> U) -> Listed<U> {
        let List { items, next } = self.list;
        Listed { list: List { items: items.into_iter().map(body).collect(), next }, link: self.link }
    }

    /// The same page with each item as the API gives it.
    pub(super) fn into_bodies<U: From<T>>(self) -> Listed<U> {
        self.map(U::from)
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.list).into_response();
        if let Some(link) = self.link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/api/v1/tokens";

    fn page(query: &str) -> Page {
        Page::of(PATH, query).unwrap()
    }

    #[test]
    fn pages_follow_each_other_whatever_comes_and_goes() {
        let all = ["a", "b", "c", "d", "e"];
        let key = |item: &&str| (*item).to_owned();
        let first = page("q=x&limit=2").cut(all.to_vec(), key);
        assert_eq!(first.list.items, ["a", "b"]);
        let link = first.link.unwrap();
        assert!(link.starts_with("</api/v1/tokens?cursor=") && link.ends_with("&limit=2&q=x>; rel=\"next\""));
        let next = format!("limit=2&cursor={}", first.list.next.unwrap());
        assert_eq!(page(&next).cut(all.to_vec(), key).list.items, ["c", "d"]);
        assert_eq!(page(&next).cut(vec!["0", "a", "b", "c"], key).list.items, ["c"], "something came before");
        assert_eq!(
            page(&next).cut(vec!["a", "x", "c", "d"], key).list.items,
            ["c", "d"],
            "the last one went"
        );
        let last = page("limit=5").cut(all.to_vec(), key);
        assert!(last.list.next.is_none() && last.link.is_none());
        assert!(page(&next).cut(Vec::<&str>::new(), key).list.items.is_empty());
    }

    #[test]
    fn a_query_goes_on_after_the_last_key() {
        let key = |n: &i64| n.to_string();
        let first = page("limit=2").found(vec![9, 8, 7], key);
        assert_eq!(first.list.items, [9, 8]);
        let next = page(&format!("cursor={}", first.list.next.unwrap()));
        assert_eq!(next.after::<i64>().unwrap(), Some(8));
        assert!(next.found(vec![7], key).list.next.is_none());
    }

    #[test]
    fn cursors_of_others_and_odd_limits_are_refused() {
        let theirs = Cursor { index: 1, key: "a".into() }.write("/api/v1/sessions");
        for bad in ["x", "", "%%%", "MQ", &theirs] {
            let error = Page::of(PATH, &format!("cursor={bad}")).unwrap_err();
            assert_eq!(error.code(), "bad_cursor", "{bad}");
        }
        for bad in ["0", "-1", "501", "x", "", "1e3"] {
            assert_eq!(Page::of(PATH, &format!("limit={bad}")).unwrap_err().code(), "bad_query", "{bad}");
        }
        let words = Cursor { index: 1, key: "a".into() }.write(PATH);
        assert!(page(&format!("cursor={words}")).after::<i64>().is_err());
    }
}

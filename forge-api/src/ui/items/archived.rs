//! What is archived, and the way back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Serialize;

use super::{SetPath, frame, href, typed};
use crate::author::{self, Restore, SetAt};
use crate::state::AppState;
use crate::ui::address::Path;
use crate::ui::editor::{base, may_change};
use crate::ui::engine;
use crate::ui::fault::{PageResult, beside_form};
use crate::ui::form::Form;
use crate::ui::frame::Frame;
use crate::ui::view::{Callout, Moment};
use crate::ui::visitor::Visitor;

#[derive(Debug, Serialize)]
struct Page {
    title: String,
    intro: &'static str,
    empty: &'static str,
    action: String,
    back: String,
    back_text: String,
    may_restore: bool,
    problem: Option<Callout>,
    rows: Vec<Row>,
}

/// Something archived. Without an id it is restored on a page of its own.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    kind: String,
    name: String,
    at: Moment,
    by: String,
    /// The name to restore it under, where it was typed.
    to: String,
    error: Option<String>,
    href: Option<String>,
}

/// `GET …/-/archived`.
pub(in crate::ui) async fn get_archived(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    archived_page(&state, &visitor, &set, StatusCode::OK, None).await
}

/// `refused` is the id of the one that was not restored, the name that was typed, and why.
async fn archived_page(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    status: StatusCode,
    refused: Option<(&str, &str, String)>,
) -> PageResult {
    let rows: Vec<Row> = author::archived(state, &visitor.actor, set)
        .await?
        .into_iter()
        .map(|row| {
            let wrong = refused.as_ref().filter(|(id, ..)| *id == row.id);
            Row {
                to: wrong.map_or_else(|| row.name.clone(), |(_, to, _)| (*to).to_owned()),
                error: wrong.map(|(.., why)| why.clone()),
                id: row.id,
                kind: row.kind,
                name: row.name,
                at: Moment::relative(row.archived_at),
                by: row.archived_by,
                href: None,
            }
        })
        .collect();
    let elsewhere = refused.filter(|(id, ..)| !rows.iter().any(|row| row.id == *id));
    let page = Page {
        title: format!("Archived in {}", set.set.name),
        intro: "Taken out of the draft, and kept as they were. Restoring brings them back into it.",
        empty: "What is archived here can be restored with everything that it had.",
        action: format!("{}/-/archived", base(set)),
        back: base(set),
        back_text: "Open prompts".into(),
        may_restore: may_change(visitor, set),
        problem: elsewhere.map(|(.., why)| Callout::bad("Not restored.", why)),
        rows,
    };
    let frame = frame(visitor, set).titled("Archived", "sets");
    Ok(engine::page(status, "archived.html", &frame, &page))
}

/// `POST …/-/archived`: restores one.
pub(in crate::ui) async fn post_restore(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (id, to) = (form.get("archived"), form.get("to"));
    let (item, name) = typed(&form)?;
    let which = Restore { item, name, id: Some(id), to: Some(to).filter(|to| !to.trim().is_empty()) };
    match author::restore(&state, &visitor.actor, &set, which).await {
        Ok(done) => Ok(Redirect::to(&href(&base(&set), item, &done.name)).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            archived_page(&state, &visitor, &set, status, Some((id, to, why))).await
        }
    }
}

/// A list of archived projects or sets, each restored in its own settings.
pub(in crate::ui) struct Shelf {
    pub title: String,
    pub intro: &'static str,
    pub back: String,
    pub back_text: String,
    /// Name, address of its settings where one may change them, and since when.
    pub rows: Vec<(String, Option<String>, i64)>,
}

pub(in crate::ui) fn shelf(frame: Frame, kind: &str, shelf: Shelf) -> axum::response::Response {
    let rows = shelf
        .rows
        .into_iter()
        .map(|(name, href, at)| Row {
            id: String::new(),
            kind: kind.to_owned(),
            to: String::new(),
            name,
            at: Moment::relative(at),
            by: String::new(),
            error: None,
            href,
        })
        .collect();
    let page = Page {
        title: shelf.title,
        intro: shelf.intro,
        empty: "What is archived can be restored in its settings, with everything that it had.",
        action: String::new(),
        back: shelf.back,
        back_text: shelf.back_text,
        may_restore: false,
        problem: None,
        rows,
    };
    engine::page(StatusCode::OK, "archived.html", &frame.titled("Archived", "sets"), &page)
}

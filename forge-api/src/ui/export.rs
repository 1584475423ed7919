//! Exporting a set: choosing the format, seeing what it cannot hold, and the file.

use axum::extract::State;
use axum::http::StatusCode;
use exchange::Format;
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::editor::base;
use super::engine;
use super::fault::PageResult;
use super::view::{count, encoded};
use super::visitor::Visitor;
use crate::api::file;
use crate::author::export::{self, DRAFT};
use crate::author::plan::format_named;
use crate::lock;
use crate::state::AppState;

/// Most versions to choose from, and most notes that are shown.
const SHOWN_MAX: usize = 100;

#[derive(Debug, Serialize)]
struct ExportPage {
    set: String,
    base: String,
    formats: Vec<FormatRow>,
    versions: Vec<VersionRow>,
    has_versions: bool,
    file: String,
    download: String,
    hint: &'static str,
    notes: Vec<NoteRow>,
    more: Option<String>,
}

#[derive(Debug, Serialize)]
struct FormatRow {
    value: &'static str,
    label: &'static str,
    hint: &'static str,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct VersionRow {
    value: String,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct NoteRow {
    place: String,
    what: String,
    why: String,
}

/// What is exported.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    format: String,
    #[serde(default)]
    version: String,
}

/// `GET /{organisation}/{project}/{set}/-/export?format=…&version=…`.
pub(super) async fn get_export(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let format = format_named(&asked.format)?.unwrap_or(Format::Archive);
    let version = if asked.version.is_empty() { DRAFT.to_owned() } else { asked.version };
    let written = export::export(&state, &visitor.actor, &set, format, &version).await?;
    let numbers = lock::versions(&state, &visitor.actor, &set).await?.into_iter().map(|v| v.version);
    let hidden = written.notes.len().saturating_sub(SHOWN_MAX);
    let base = base(&set);
    let page = ExportPage {
        set: set.set.name.clone(),
        formats: Format::ALL
            .into_iter()
            .map(|f| FormatRow { value: f.as_str(), label: f.label(), hint: f.hint(), chosen: f == format })
            .collect(),
        versions: std::iter::once(DRAFT.to_owned())
            .chain(numbers.take(SHOWN_MAX))
            .map(|value| VersionRow { chosen: value == version, value })
            .collect(),
        has_versions: format != Format::Archive,
        file: written.name,
        download: format!("{base}/-/export/file?format={}&version={}", format.as_str(), encoded(&version)),
        hint: format.hint(),
        notes: written
            .notes
            .into_iter()
            .take(SHOWN_MAX)
            .map(|n| NoteRow { place: n.place, what: n.what, why: n.why })
            .collect(),
        more: (hidden > 0).then(|| format!("{} more.", count(hidden as u64, "note", "notes"))),
        base: base.clone(),
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.name, base).titled("Export", "sets").narrow();
    Ok(engine::page(StatusCode::OK, "export.html", &frame, &page))
}

/// `GET /{organisation}/{project}/{set}/-/export/file?format=…&version=…`.
pub(super) async fn get_file(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let format = format_named(&asked.format)?.unwrap_or(Format::Archive);
    Ok(file(export::export(&state, &visitor.actor, &set, format, &asked.version).await?))
}

/// `GET /{organisation}/{project}/-/export/file`: every set of a project.
pub(super) async fn get_project_file(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    Ok(file(export::export_project(&state, &visitor.actor, &at).await?))
}

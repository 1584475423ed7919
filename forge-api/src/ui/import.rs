//! Importing a file, into a set or a whole project: choosing it, and seeing what would come of it.

use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect};
use exchange::Format;
use serde::Serialize;

use super::address::Path;
use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::frame::Frame;
use super::view::Callout;
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::plan::{self, Target, format_named};
use crate::author::{ProjectAt, SetAt};
use crate::error::{ApiError, Result};
use crate::state::AppState;

mod planned;

pub(super) use planned::{get_plan, get_project_plan, post_plan, post_project_plan};

/// What is imported into.
#[derive(Debug, Clone)]
enum Place {
    Set(Box<SetAt>),
    Project(Box<ProjectAt>),
}

impl Place {
    fn at(&self) -> &ProjectAt {
        match self {
            Self::Set(set) => &set.at,
            Self::Project(at) => at,
        }
    }

    fn target(&self) -> Target<'_> {
        match self {
            Self::Set(set) => set.as_ref().into(),
            Self::Project(at) => at.as_ref().into(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Set(set) => &set.set.name,
            Self::Project(at) => &at.project.name,
        }
    }

    fn base(&self) -> String {
        match self {
            Self::Set(set) => base(set),
            Self::Project(at) => format!("/{}", at.path()),
        }
    }

    fn frame(&self, visitor: &Visitor) -> Frame {
        let frame = visitor.in_project(self.at());
        match self {
            Self::Set(set) => frame.crumb(&set.set.name, base(set)),
            Self::Project(_) => frame,
        }
    }

    /// Why nothing can be imported now, if so.
    fn closed(&self) -> Option<Callout> {
        let why = match self {
            Self::Set(set) if set.set.state != "editing" => format!(
                "Prompts come in while it is in EDITING, and it is in {}. You can look at a file all the same.",
                set.set.state.to_uppercase()
            ),
            Self::Project(at) if at.project.archived_at.is_some() => {
                "The project is archived. You can look at a file all the same.".to_owned()
            }
            _ => return None,
        };
        Some(Callout { state: "warn", ..Callout::bad("Nothing can be imported now.", why) })
    }
}

#[derive(Debug, Serialize)]
struct UploadPage {
    name: String,
    base: String,
    formats: Vec<Choice>,
    error: Option<String>,
    format_error: Option<String>,
    problem: Option<Callout>,
}

#[derive(Debug, Serialize)]
struct Choice {
    value: &'static str,
    text: &'static str,
    chosen: bool,
}

/// `GET /{organisation}/{project}/{set}/-/import`.
pub(super) async fn get_import(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    upload_page(&visitor, &Place::Set(Box::new(set)), "", StatusCode::OK, None)
}

/// `GET /{organisation}/{project}/-/import`.
pub(super) async fn get_project_import(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    upload_page(&visitor, &Place::Project(Box::new(at)), "", StatusCode::OK, None)
}

fn upload_page(
    visitor: &Visitor,
    place: &Place,
    format: &str,
    status: StatusCode,
    refused: Option<(bool, String)>,
) -> PageResult {
    place.at().require(&visitor.actor, Action::Edit)?;
    let (of_format, why) = refused.map_or((false, None), |(of_format, why)| (of_format, Some(why)));
    let found_out = Choice { value: "", text: "Found out from the file", chosen: format.is_empty() };
    let formats = Format::ALL.into_iter().map(|f| Choice {
        value: f.as_str(),
        text: f.label(),
        chosen: f.as_str() == format,
    });
    let page = UploadPage {
        name: place.name().to_owned(),
        base: place.base(),
        formats: match place {
            Place::Set(_) => std::iter::once(found_out).chain(formats).collect(),
            Place::Project(_) => Vec::new(),
        },
        error: why.clone().filter(|_| !of_format),
        format_error: why.filter(|_| of_format),
        problem: place.closed(),
    };
    let frame = place.frame(visitor).titled("Import", "sets").narrow();
    Ok(engine::page(status, "import.html", &frame, &page))
}

struct Posted {
    format: String,
    name: String,
    file: Vec<u8>,
}

async fn posted(form: std::result::Result<Multipart, MultipartRejection>) -> Result<Posted> {
    let unreadable =
        |_| ApiError::invalid("invalid", "file", "the form did not arrive whole; choose the file again");
    let mut form = form.map_err(|_| ApiError::invalid("invalid", "file", "choose a file to import"))?;
    let mut posted = Posted { format: String::new(), name: String::new(), file: Vec::new() };
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        // A name that cannot be read is passed over, and the kind of a file is found out by its name.
        let head = field.headers().get(header::CONTENT_DISPOSITION);
        if head.is_some_and(|head| std::str::from_utf8(head.as_bytes()).is_err()) {
            let detail = "the name of the file is not in UTF-8: give it another one, and choose it again";
            return Err(ApiError::invalid("bad_request", "file", detail));
        }
        match field.name() {
            Some("format") => {
                let bytes = field.bytes().await.map_err(unreadable)?.to_vec();
                posted.format = String::from_utf8(bytes).map_err(|_| {
                    ApiError::invalid(
                        "bad_request",
                        "format",
                        "this is not in UTF-8: choose one of the formats",
                    )
                })?;
            }
            Some("file") => {
                posted.name = field.file_name().unwrap_or_default().to_owned();
                posted.file = field.bytes().await.map_err(unreadable)?.to_vec();
            }
            _ => {}
        }
    }
    if posted.file.is_empty() {
        return Err(ApiError::invalid(
            "empty",
            "file",
            "choose a file to import; an empty one holds no prompts",
        ));
    }
    Ok(posted)
}

/// `POST /{organisation}/{project}/{set}/-/import`.
pub(super) async fn post_import(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: std::result::Result<Multipart, MultipartRejection>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    read(&state, &visitor, &Place::Set(Box::new(set)), form).await
}

/// `POST /{organisation}/{project}/-/import`.
pub(super) async fn post_project_import(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: std::result::Result<Multipart, MultipartRejection>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    read(&state, &visitor, &Place::Project(Box::new(at)), form).await
}

async fn read(
    state: &AppState,
    visitor: &Visitor,
    place: &Place,
    form: std::result::Result<Multipart, MultipartRejection>,
) -> PageResult {
    place.at().require(&visitor.actor, Action::Edit)?;
    let (format, result) = match posted(form).await {
        Ok(posted) => {
            let done = taken(state, visitor, place, &posted).await;
            (posted.format, done)
        }
        Err(error) => (String::new(), Err(error)),
    };
    match result {
        Ok(id) => Ok(Redirect::to(&format!("{}/-/import/{id}", place.base())).into_response()),
        Err(error) => {
            let of_format = matches!(&error, ApiError::Invalid { field: Some("format"), .. });
            let (status, why) = beside_form(error)?;
            upload_page(visitor, place, &format, status, Some((of_format, why)))
        }
    }
}

async fn taken(state: &AppState, visitor: &Visitor, place: &Place, posted: &Posted) -> Result<String> {
    let format = format_named(&posted.format)?;
    plan::upload(state, &visitor.actor, place.target(), format, &posted.name, posted.file.clone()).await
}

//! Variable sets of the prompt that is open: loaded into the fields, saved from them, renamed and deleted. Nothing of
//! the prompt itself is saved by that.

use axum::http::StatusCode;

use super::parameter::shown;
use super::previewed::sentence;
use super::typed::{Loaded, Typed};
use crate::author::{self, SaveVariables, SetAt, VariableSet};
use crate::error::ApiError;
use crate::state::AppState;
use crate::ui::fault::{Fault, beside_form};
use crate::ui::playground::spoken;
use crate::ui::view::Callout;
use crate::ui::visitor::Visitor;

/// What a button of the values asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Load,
    /// The changes of the one that was loaded.
    Save,
    SaveAs,
    Rename,
    Delete,
}

impl Deed {
    pub(super) fn parse(what: &str) -> Option<Self> {
        Some(match what {
            "load-variables" => Self::Load,
            "save-variables" => Self::Save,
            "save-variables-as" => Self::SaveAs,
            "rename-variables" => Self::Rename,
            "delete-variables" => Self::Delete,
            _ => return None,
        })
    }
}

/// The status of the page, and what it says above the text.
type Said = (StatusCode, Option<Callout>);

/// Does it, and puts what came of it into the form.
pub(super) async fn keep(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &mut Typed,
    deed: Deed,
) -> Result<Said, Fault> {
    match deed {
        Deed::Load => load(state, visitor, set, typed).await,
        Deed::Delete => delete(state, visitor, set, typed).await,
        Deed::Save | Deed::SaveAs | Deed::Rename => save(state, visitor, set, typed, deed).await,
    }
}

/// Puts the values of a variable set into the fields; without a name, those that fit by themselves.
async fn load(state: &AppState, visitor: &Visitor, set: &SetAt, typed: &mut Typed) -> Result<Said, Fault> {
    let name = typed.variables.clone();
    if name.is_empty() {
        (typed.values, typed.history, typed.loaded) = (Vec::new(), Vec::new(), Loaded::default());
        return Ok((StatusCode::OK, None));
    }
    match author::variable_set(state, &visitor.actor, set, &typed.name, &name).await {
        Ok(found) => {
            typed.take(&found);
            Ok((StatusCode::OK, None))
        }
        Err(ApiError::NotFound("variable set")) => {
            Ok((StatusCode::CONFLICT, Some(Callout::bad("Not loaded.", gone(&name)))))
        }
        Err(error) => Err(error.into()),
    }
}

async fn save(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &mut Typed,
    deed: Deed,
) -> Result<Said, Fault> {
    let (given, refusals) = typed.given();
    if !refusals.is_empty() {
        let why: Vec<String> = refusals.iter().map(|why| sentence(why)).collect();
        let flash = Callout::bad("Values not saved.", format!("{} Nothing was changed.", why.join(" ")));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Some(flash)));
    }
    let Loaded { name, revision, name_as } = typed.loaded.clone();
    let prompt = typed.name.clone();
    let save = match deed {
        Deed::Save if !name.is_empty() => {
            SaveVariables { prompt: &prompt, name: &name, rename: None, given, expected: revision }
        }
        Deed::Rename if !name.is_empty() => {
            SaveVariables { prompt: &prompt, name: &name, rename: Some(&name_as), given, expected: revision }
        }
        _ => SaveVariables { prompt: &prompt, name: &name_as, rename: None, given, expected: 0 },
    };
    match author::save_variable_set(state, &visitor.actor, set, save).await {
        Ok(saved) => {
            let flash = Callout::ok("Values saved.", format!("They are the variable set {}.", saved.name));
            typed.take(&saved);
            Ok((StatusCode::OK, Some(flash)))
        }
        Err(error) => refused(error, "Values not saved.", &name),
    }
}

async fn delete(state: &AppState, visitor: &Visitor, set: &SetAt, typed: &mut Typed) -> Result<Said, Fault> {
    let Loaded { name, revision, .. } = typed.loaded.clone();
    let done = author::delete_variable_set(state, &visitor.actor, set, &typed.name, &name, revision).await;
    match done {
        Ok(()) => {
            (typed.loaded, typed.variables) = (Loaded::default(), String::new());
            let text = format!("The variable set {name} is gone. Its values are still in the fields.");
            Ok((StatusCode::OK, Some(Callout::ok("Deleted.", text))))
        }
        Err(error) => refused(error, "Not deleted.", &name),
    }
}

/// Why not, with every word kept.
fn refused(error: ApiError, title: &str, name: &str) -> Result<Said, Fault> {
    if matches!(error, ApiError::NotFound("variable set")) {
        return Ok((StatusCode::CONFLICT, Some(Callout::bad(title, gone(name)))));
    }
    let (status, why) = beside_form(error)?;
    Ok((status, Some(Callout::bad(title, format!("{why} Nothing was changed.")))))
}

fn gone(name: &str) -> String {
    format!("There is no variable set {name} any more. Choose another one, or save these values as one.")
}

impl Typed {
    /// Takes the values of a variable set, as its parameters show them.
    fn take(&mut self, found: &VariableSet) {
        let values = self.parameters.iter().filter_map(|row| {
            let kind = row.parameter().ok()?.kind;
            Some((row.name.clone(), shown(&kind, found.given.values.get(&row.name))))
        });
        self.values = values.collect();
        self.history = found.given.history.iter().map(|(name, said)| (name.clone(), spoken(said))).collect();
        self.variables.clone_from(&found.name);
        self.loaded = Loaded { name: found.name.clone(), revision: found.revision, name_as: String::new() };
    }
}

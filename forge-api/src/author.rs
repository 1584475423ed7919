//! The first step of the line: what people write. Organisations, projects and environments, prompt
//! sets, and their drafts.
//!
//! | module | what it holds |
//! |---|---|
//! | [`organisation`] | organisations and their members |
//! | [`invitation`] | invitations into an organisation |
//! | [`grant`] | roles in single projects |
//! | [`project`] | projects and environments |
//! | [`set`] | prompt sets |
//! | [`settings`] | names, descriptions, tags; archiving and restoring projects and sets |
//! | [`prompt`] | prompts and partials of a draft, saved against the revision one started from |
//! | [`listing`] | the prompts of a set as a list |
//! | [`mod@rename`], [`mod@duplicate`], [`mod@archive`] | moving them: other names, copies, out of the draft and back |
//! | [`mod@restore`] | a whole draft made again what a version was |
//! | [`item`], [`partial`] | what both have in common, and who takes in a partial |
//! | [`model`], [`mod@note`] | model settings and tags; what people note on a prompt |
//! | [`history`] | what prompts and partials were after each save, and taking it back |
//! | [`dependency`] | sets that a draft takes partials from, resolved to locked versions |
//! | [`preview`] | what the editor shows: errors at their place, variables, the rendered text |
//! | [`example`] | projects to begin with |
//! | `unmerged` | marks of a merge that still stand in a text |
//! | [`trial`] | a stored prompt rendered: of the draft, a version, or what is live in an environment |
//! | [`mod@run`] | a prompt run with a model |
//! | [`variables`] | values to try a prompt with, saved by name |
//! | [`import`] | a folder of prompts as a set |
//! | [`plan`] | a file of another tool: what would come of it, then all of it or nothing |
//! | [`export`] | a set or a project as a file |

pub mod archive;
pub mod dependency;
pub mod duplicate;
pub mod example;
pub mod export;
pub mod grant;
pub mod history;
pub mod import;
pub mod invitation;
pub mod item;
pub mod listing;
pub mod model;
pub mod note;
pub mod organisation;
pub mod partial;
pub mod plan;
pub mod preview;
pub mod project;
pub mod prompt;
pub mod rename;
pub mod restore;
pub mod run;
pub mod set;
pub mod settings;
pub mod trial;
pub(crate) mod unmerged;
pub mod variables;

pub use archive::{Restore, archive, archived, archived_count, restore};
pub use duplicate::{Duplicate, duplicate, duplicate_set};
pub use example::{add_example, create_from_example};
pub use grant::{grants, guests, put_grant, remove_grant};
pub use invitation::{Mailed, NewInvitation, invitations, invite, withdraw_invitation};
pub use item::Item;
pub use listing::{OnlyPrompts, PromptSummary, list_prompts};
pub use note::{note, put_note};
pub use organisation::{
    add_member, create_organisation, find_organisation, members, organisations, remove_member,
    visit_organisation, visited,
};
pub use partial::{taken_in, users};
pub use preview::{Check, Given, History, Rendered, check, render, render_measured};
pub use project::{
    NewEnvironment, NewProject, archived_projects, create_environment, create_project, environments,
    find_environment, find_project, find_project_by_id, max_age, projects, set_max_age,
};
pub use prompt::{
    Draft, PartialDraft, PromptDraft, delete_partial, delete_prompt, draft, first_prompt, partial_draft,
    prompt_draft, save_partial, save_partial_because, save_prompt, save_prompt_because,
};
pub use rename::{Along, Moved, rename, renamed};
pub use restore::{Restored, restoration, restore_version};
pub use run::{RunEvent, Running, run};
pub use set::{NewSet, archived_sets, create_set, find_set, sets};
pub use settings::{Change, change_organisation, change_project, change_set};
pub use trial::{Measure, Of, Stored, Tried, stored, try_prompt};
pub use variables::{
    SaveVariables, VariableSet, delete_variable_set, save_variable_set, variable_set, variable_sets,
    variables_of,
};

use schemas::{Scope, Slug};

use crate::auth::{Action, Actor};
use crate::database::organisation::Organisation;
use crate::database::project::{Environment, Project};
use crate::database::prompt_set::PromptSet;
use crate::error::Result;

/// A project that the actor may see, with its organisation.
#[derive(Debug, Clone)]
pub struct ProjectAt {
    pub organisation: Organisation,
    pub project: Project,
}

impl ProjectAt {
    /// The scope of an environment of this project.
    ///
    /// # Errors
    /// The names in the database are no slugs: somebody changed them behind our back.
    pub fn scope(&self, environment: &Environment) -> Result<Scope> {
        Ok(Scope::new(&self.organisation.slug, &self.project.slug, &environment.slug)?)
    }

    /// Refuses unless the actor may do this in this project.
    ///
    /// # Errors
    /// As [`Actor::require`].
    pub fn require(&self, actor: &Actor, action: Action) -> Result<()> {
        actor.require_at(&self.organisation.id, &self.project.id, action)
    }

    /// Whether the actor may do this in this project.
    #[must_use]
    pub fn lets(&self, actor: &Actor, action: Action) -> bool {
        actor.may_at(&self.organisation.id, &self.project.id, action)
    }

    /// `organisation/project`, as the audit log names it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.organisation.slug, self.project.slug)
    }
}

/// A set that the actor may see, with everything above it.
#[derive(Debug, Clone)]
pub struct SetAt {
    pub at: ProjectAt,
    pub set: PromptSet,
}

impl SetAt {
    /// The set's name as a slug.
    ///
    /// # Errors
    /// As [`ProjectAt::scope`].
    pub fn slug(&self) -> Result<Slug> {
        Ok(Slug::new(&self.set.slug)?)
    }

    /// `organisation/project/set`, as the audit log names it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.at.path(), self.set.slug)
    }

    /// Whether it, or its project, takes no changes any more.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.set.archived_at.is_some() || self.at.project.archived_at.is_some()
    }

    pub(crate) fn changed(&self, state: &crate::state::AppState) {
        let kind = crate::events::Kind::Set { set_id: self.set.id.clone() };
        state.events.tell(&self.at.organisation.id, &self.at.project.id, kind);
    }
}

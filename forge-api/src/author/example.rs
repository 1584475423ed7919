//! Projects to begin with: real prompts with parameters, a chat and partials, locked as 1.0.0.

use schemas::prompt::{Partial, Prompt};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::preview::Given;
use super::project::{NewProject, create_project};
use super::prompt::save_partial;
use super::set::{NewSet, create_set};
use super::variables::{SaveVariables, save_variable_set};
use super::{ProjectAt, SetAt, find_set, import};
use crate::auth::{Action, Actor};
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::state::AppState;

/// The version that the sets of an example are locked as.
pub const VERSION: &str = "1.0.0";
/// The set and the prompt of every example that the first steps publish and an agent prints.
pub const FIRST_SET: &str = "chat";
pub const FIRST_PROMPT: &str = "welcome.message";

const FILES: [&str; 2] = [include_str!("example/support.json"), include_str!("example/writing.json")];

/// A project to begin with.
#[derive(Debug, Clone, Deserialize)]
pub struct Example {
    /// What it is asked for by, and its project's name in addresses.
    pub name: String,
    pub title: String,
    pub description: String,
    sets: Vec<ExampleSet>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExampleSet {
    slug: String,
    name: String,
    description: String,
    prompts: Vec<Prompt>,
    partials: Vec<Partial>,
    #[serde(default)]
    variables: Vec<ExampleVariables>,
}

/// Values to try a prompt with.
#[derive(Debug, Clone, Deserialize)]
struct ExampleVariables {
    prompt: String,
    name: String,
    values: Map<String, Value>,
}

/// Every example, in the order in which they are offered.
///
/// # Errors
/// One that was built in cannot be read: a mistake of ours.
pub fn examples() -> Result<Vec<Example>> {
    FILES.iter().map(|text| serde_json::from_str(text).map_err(ApiError::internal)).collect()
}

/// An example by its name.
///
/// # Errors
/// There is none of that name.
pub fn find_example(name: &str) -> Result<Example> {
    let all = examples()?;
    let names = all.iter().map(|e| e.name.as_str()).collect::<Vec<_>>().join(", ");
    all.into_iter().find(|e| e.name == name).ok_or_else(|| {
        let detail = format!("there is no example {name:?}; choose one of {names}");
        ApiError::invalid("unknown_example", "example", detail)
    })
}

/// Creates a project with the sets of an example, each locked as [`VERSION`]. What `new` leaves empty is the example's.
///
/// # Errors
/// Not allowed, no such example, or a bad or taken name.
pub async fn create_from_example(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    new: NewProject<'_>,
    example: &str,
) -> Result<ProjectAt> {
    // All that it takes, before anything is written.
    for action in [Action::ManageProjects, Action::Edit, Action::Lock] {
        actor.require(&organisation.id, action)?;
    }
    let example = find_example(example)?;
    let or = |given: &'_ str, else_: &'_ str| -> String {
        if given.trim().is_empty() { else_.to_owned() } else { given.to_owned() }
    };
    let (slug, name) = (or(new.slug, &example.name), or(new.name, &example.title));
    let description = or(new.description, &example.description);
    let new = NewProject { slug: &slug, name: &name, description: &description };
    let at = create_project(state, actor, organisation, new).await?;
    for set in &example.sets {
        furnish(state, actor, &at, set).await?;
    }
    Ok(at)
}

/// Adds the sets of an example to a project that is there already, each locked as [`VERSION`]; gives the first.
///
/// # Errors
/// Not allowed, no such example, or a set of that name is there: nothing is added then.
pub async fn add_example(state: &AppState, actor: &Actor, at: &ProjectAt, example: &str) -> Result<SetAt> {
    for action in [Action::Edit, Action::Lock] {
        at.require(actor, action)?;
    }
    let example = find_example(example)?;
    for set in &example.sets {
        if find_set(state, actor, at, &set.slug).await.is_ok() {
            let detail = format!(
                "the example brings a prompt set {}, and this project has one of that name: write a set of your own",
                set.slug
            );
            return Err(ApiError::conflict("name_taken", detail));
        }
    }
    for set in &example.sets {
        furnish(state, actor, at, set).await?;
    }
    let first = example.sets.first().map_or(FIRST_SET, |set| set.slug.as_str());
    find_set(state, actor, at, first).await
}

async fn furnish(state: &AppState, actor: &Actor, at: &ProjectAt, set: &ExampleSet) -> Result<()> {
    let new = NewSet { slug: &set.slug, name: &set.name, description: &set.description };
    let made = create_set(state, actor, at, new).await?;
    for partial in &set.partials {
        save_partial(state, actor, &made, partial, 0).await?;
    }
    import::import(state, actor, &made, &set.prompts).await?;
    for one in &set.variables {
        let given = Given { values: one.values.clone(), ..Given::default() };
        let save = SaveVariables { prompt: &one.prompt, name: &one.name, rename: None, given, expected: 0 };
        save_variable_set(state, actor, &made, save).await?;
    }
    lock::lock(state, actor, &made, VERSION, None, "The example as it came.").await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use schemas::template;

    use super::*;

    #[test]
    fn every_example_compiles_and_shows_a_chat_a_partial_and_parameters() {
        let all = examples().unwrap();
        assert!(all.iter().any(|e| e.sets.len() > 1), "one shows several sets");
        for example in all {
            assert!(schemas::Slug::new(&example.name).is_ok(), "{}", example.name);
            let first = example.sets.iter().find(|s| s.slug == FIRST_SET).unwrap();
            assert!(first.prompts.iter().any(|p| p.id.as_str() == FIRST_PROMPT), "{}", example.name);
            assert!(!first.partials.is_empty());
            for set in &example.sets {
                for one in &set.variables {
                    let prompt = set.prompts.iter().find(|p| p.id.as_str() == one.prompt).unwrap();
                    let is = |name: &str| prompt.parameters.iter().any(|p| p.name == name);
                    assert!(one.values.keys().all(|name| is(name)), "{} of {}", one.name, one.prompt);
                }
                for prompt in &set.prompts {
                    let found = template::check(prompt, &set.partials);
                    assert!(found.is_empty(), "{} {}: {found:?}", example.name, prompt.id);
                    for parameter in &prompt.parameters {
                        assert!(parameter.example.is_some(), "{}: {}", prompt.id, parameter.name);
                    }
                }
            }
        }
        assert!(find_example("nothing").is_err());
    }
}

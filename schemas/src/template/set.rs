//! All prompts of one version, compiled.

use std::sync::Arc;

use hashbrown::HashMap;

use super::compiled::CompiledPrompt;
use super::error::TemplateError;
use super::inspect::Library;
use crate::bundle::Bundle;
use crate::names::PromptId;

/// Most errors that are listed at once.
const ERRORS_MAX: usize = 100;

/// The prompts of a bundle by id.
#[derive(Debug, Default)]
pub struct CompiledSet {
    prompts: HashMap<PromptId, Arc<CompiledPrompt>>,
}

impl CompiledSet {
    /// Compiles every prompt of `bundle`; one that does not compile refuses them all.
    ///
    /// # Errors
    /// What is wrong with them, in the order of the bundle.
    pub fn compile(bundle: &Bundle) -> Result<Self, Vec<TemplateError>> {
        let library = Library::new(&bundle.partials);
        let mut compiled: Vec<Arc<CompiledPrompt>> = Vec::with_capacity(bundle.prompts.len());
        let mut errors = Vec::new();
        for prompt in &bundle.prompts {
            match CompiledPrompt::build(prompt, &library) {
                Ok(prompt) => compiled.push(Arc::new(prompt)),
                Err(found) => errors.extend(found),
            }
            if errors.len() >= ERRORS_MAX {
                break;
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // After all else, so that the ids lie side by side: a look-up compares one, and ids that lie
        // between templates cost it a miss of the processor's caches each.
        let prompts = compiled.into_iter().map(|prompt| (prompt.prompt().id.clone(), prompt)).collect();
        Ok(Self { prompts })
    }

    /// The same with others in the place of those of their ids, or beside them.
    #[must_use]
    pub fn with(&self, prompts: impl IntoIterator<Item = Arc<CompiledPrompt>>) -> Self {
        let mut all = self.prompts.clone();
        all.extend(prompts.into_iter().map(|prompt| (prompt.prompt().id.clone(), prompt)));
        Self { prompts: all }
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<CompiledPrompt>> {
        self.prompts.get(id)
    }

    /// All prompts, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&PromptId, &Arc<CompiledPrompt>)> {
        self.prompts.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.prompts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }
}

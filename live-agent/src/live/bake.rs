//! What an agent's cache serves, as a file for an image.

use std::path::Path;

use super::{AgentError, LiveAgent, aside};
use crate::store::{self, baked};

impl LiveAgent {
    /// Writes what is served to a file that [`crate::Builder::baked_bundle`] reads; gives the number of sets. Reads
    /// the disk cache, which an agent may be using.
    ///
    /// # Errors
    /// The cache cannot be read, is damaged or holds nothing, or the file cannot be written: what stood there
    /// stays.
    pub async fn bake(cache_dir: &Path, file: &Path) -> Result<usize, AgentError> {
        let (dir, file) = (cache_dir.to_owned(), file.to_owned());
        aside(move || bake(&dir, &file)).await?
    }
}

pub(crate) fn bake(dir: &Path, file: &Path) -> Result<usize, AgentError> {
    let loaded = store::read(dir).map_err(|error| AgentError::NotBaked(error.to_string()))?;
    if let Some(what) = loaded.damage {
        let why = format!("the cache is damaged ({what}); start its agent, which mends it");
        return Err(AgentError::NotBaked(why));
    }
    if loaded.latest.is_empty() {
        return Err(AgentError::NotBaked(format!("the cache {} holds no bundle", dir.display())));
    }
    baked::write(file, &loaded.latest).map_err(AgentError::Bake)?;
    Ok(loaded.latest.len())
}

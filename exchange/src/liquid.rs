//! Liquid: a file of each prompt, `.liquid`; partials begin with an underscore.
//! <https://shopify.github.io/liquid/>

use schemas::prompt::{Content as Body, Partial};

use crate::dialect::{self, Dialect};
use crate::dotprompt::{left_out, template};
use crate::files::{self, Files};
use crate::found::{Content, Note, Result};
use crate::made::{self, Raw};
use crate::name;

const EXTENSION: &str = ".liquid";

/// Reads every `.liquid` file.
pub(crate) fn read(files: &Files, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let (mut partials, mut prompts) = (Vec::new(), Vec::new());
    for (path, bytes) in files.iter().filter(|(p, _)| p.ends_with(EXTENSION)) {
        let text = files::text(path, bytes)?;
        let stem = name::stem(path, &[EXTENSION]);
        let (folder, file) =
            stem.rsplit_once('/').map_or((String::new(), stem), |(a, b)| (format!("{a}/"), b));
        match file.strip_prefix('_') {
            Some(partial) => {
                partials.push((name::id(&format!("{folder}{partial}"), path, notes)?, text.to_owned()));
            }
            None => {
                let id = name::id(stem, path, notes)?;
                prompts.push(Raw::new(path, id, Dialect::Liquid, made::text(text)));
            }
        }
    }
    let partials = made::partials(Dialect::Liquid, partials, notes);
    let around = made::with(&partials, beside);
    let prompts = prompts.into_iter().map(|raw| made::prompt(raw, &around, notes)).collect();
    Ok(Content { prompts, partials })
}

/// Writes a file of each prompt and partial.
pub(crate) fn write(content: &Content, notes: &mut Vec<Note>) -> Files {
    let mut files = Files::new();
    for partial in &content.partials {
        match dialect::write(Dialect::Liquid, &partial.source) {
            Ok(text) => {
                let name = partial.name.as_str();
                let (folder, file) =
                    name.rsplit_once('/').map_or((String::new(), name), |(a, b)| (format!("{a}/"), b));
                files.insert(format!("{folder}_{file}{EXTENSION}"), text.into_bytes());
            }
            Err(why) => left_out(&format!("partial {}", partial.name), &why, notes),
        }
    }
    for prompt in &content.prompts {
        let Body::Text { template: source } = &prompt.content else {
            let why = dialect::Why::new(1, "chat", "a file of Liquid is one text and has no messages");
            left_out(prompt.id.as_str(), &why, notes);
            continue;
        };
        match template(prompt, Dialect::Liquid, source) {
            Ok(text) => {
                files.insert(format!("{}{EXTENSION}", prompt.id), text.into_bytes());
            }
            Err(why) => left_out(prompt.id.as_str(), &why, notes),
        }
    }
    files
}

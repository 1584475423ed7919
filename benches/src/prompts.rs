//! What is measured with: the real prompts, and as many made ones as a bench asks for.

use anyhow::Context as _;
use schemas::bundle::{Bundle, SCHEMA_VERSION};
use schemas::parameter::{Kind, Parameter};
use schemas::prompt::{Engine, Prompt};
use schemas::{PromptId, Scope, Slug, Version};

/// The scope of everything that benches publish.
pub(crate) fn scope() -> anyhow::Result<Scope> {
    Scope::new("acme", "support", "prod").context("a scope")
}

/// A bundle of these prompts.
pub(crate) fn bundle(set: &str, prompts: Vec<Prompt>) -> anyhow::Result<Bundle> {
    let scope = scope()?;
    Ok(Bundle {
        schema_version: SCHEMA_VERSION,
        organisation: scope.organisation,
        project: scope.project,
        set: Slug::new(set).context("a set")?,
        version: Version::new(1, 0, 0),
        prompts,
        partials: Vec::new(),
        dependencies: Vec::new(),
    })
}

/// The prompts of `examples/fabric-patterns`, as text.
pub(crate) fn fabric() -> anyhow::Result<Vec<Prompt>> {
    let folder = tests::tools::repo_root().join("examples/fabric-patterns");
    let mut prompts = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path().join("system.md");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let name = path.parent().and_then(|p| p.file_name()).and_then(|n| n.to_str()).context("a name")?;
        let prompt = Prompt::text(PromptId::new(name).context("a prompt id")?, text);
        prompts.push(Prompt { engine: Engine::Plain, ..prompt });
    }
    anyhow::ensure!(prompts.len() == 225, "{} real prompts were found, not 225", prompts.len());
    Ok(prompts)
}

/// `count` prompts of about 1 KB, each with two parameters.
pub(crate) fn made(count: usize) -> anyhow::Result<Vec<Prompt>> {
    let sentence = "Use only what the documents say; when they do not say it, tell so and offer a person. ";
    (0..count)
        .map(|n| {
            let id = PromptId::new(&format!("area-{}.prompt-{n}", n % 40)).context("a prompt id")?;
            let text = format!(
                "You are assistant {n} of {{{{ company }}}}.\n{}\nAnswer {{{{ name }}}}.",
                sentence.repeat(11)
            );
            Ok(Prompt {
                parameters: vec![text_parameter("company"), text_parameter("name")],
                ..Prompt::text(id, text)
            })
        })
        .collect()
}

fn text_parameter(name: &str) -> Parameter {
    Parameter {
        name: name.into(),
        kind: Kind::String { min_length: None, max_length: None },
        required: true,
        default: None,
        description: String::new(),
        example: None,
    }
}

//! Template languages: each is read into one tree, and a tree is written as Tera or as another.
//!
//! | module | language |
//! |---|---|
//! | [`tree`] | what all of them have in common |
//! | [`tera`] | Tera: written always; read as far as other languages can say the same |
//! | [`braces`] | the tags of Mustache and Handlebars |
//! | [`mustache`], [`handlebars`], [`fstring`], [`liquid`], [`variables`] | one language each |
//! | [`jinja`] | Jinja, of which Tera is a near relative: taken as it stands, and checked |
//! | [`bounds`] | what all readers keep to |
//!
//! What is read comes from elsewhere, or is a draft that nobody checked yet. Each reader takes a time in
//! proportion to the source, and no tree is deeper than `schemas::template::BLOCKS_MAX`: whatever walks or
//! drops one may recurse.

pub(crate) mod bounds;
pub(crate) mod braces;
pub(crate) mod fstring;
pub(crate) mod handlebars;
pub(crate) mod jinja;
pub(crate) mod liquid;
pub(crate) mod mustache;
pub(crate) mod tera;
pub(crate) mod tree;
pub(crate) mod variables;

use crate::found::shown;

/// A template language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Ours.
    Tera,
    Jinja,
    Handlebars,
    Mustache,
    /// `{{name}}` and nothing else, as Langfuse, MLflow and hosted prompts have it.
    Variables,
    /// `{name}`, with doubled braces for braces.
    FString,
    Liquid,
    /// No language: braces are braces.
    Plain,
}

impl Dialect {
    /// Its name in reports and metadata.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tera => "tera",
            Self::Jinja => "jinja2",
            Self::Handlebars => "handlebars",
            Self::Mustache => "mustache",
            Self::Variables => "variables",
            Self::FString => "f-string",
            Self::Liquid => "liquid",
            Self::Plain => "plain",
        }
    }
}

/// A template that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Converted {
    pub(crate) tera: String,
    /// What means nearly the same: the line, what stands there, and the difference.
    pub(crate) remarks: Vec<Why>,
}

/// A place that cannot be converted, or only nearly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    /// From 1.
    pub(crate) line: usize,
    /// The beginning of what stands there.
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Why {
    pub(crate) fn new(line: usize, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { line, what: shown(&what.into()), why: why.into() }
    }
}

/// Reads a template as Tera that means the same.
///
/// # Errors
/// The first place of which there is no such, or a template that is too large.
pub(crate) fn convert(dialect: Dialect, source: &str) -> Result<Converted, Why> {
    bounds::fits(source)?;
    let tree = match dialect {
        Dialect::Tera | Dialect::Plain => {
            return Ok(Converted { tera: source.to_owned(), remarks: Vec::new() });
        }
        Dialect::Jinja => return Ok(jinja::read(source)),
        Dialect::Handlebars => handlebars::read(source)?,
        Dialect::Mustache => mustache::read(source)?,
        Dialect::Variables => variables::read(source),
        Dialect::FString => fstring::read(source)?,
        Dialect::Liquid => liquid::read(source)?,
    };
    Ok(Converted { tera: tera::write(&tree.nodes), remarks: bounds::some(tree.remarks) })
}

/// Writes a Tera template in another language.
///
/// # Errors
/// The first thing that the other cannot say, or a template that is too large.
pub(crate) fn write(dialect: Dialect, source: &str) -> Result<String, Why> {
    if matches!(dialect, Dialect::Tera | Dialect::Plain) {
        return Ok(source.to_owned());
    }
    bounds::fits(source)?;
    let nodes = tera::read(source)?;
    match dialect {
        Dialect::Tera | Dialect::Plain => Ok(source.to_owned()),
        Dialect::Jinja => jinja::write(source, &nodes),
        Dialect::Handlebars => handlebars::write(&nodes),
        Dialect::Mustache => mustache::write(&nodes),
        Dialect::Variables => variables::write(&nodes),
        Dialect::FString => fstring::write(&nodes),
        Dialect::Liquid => liquid::write(&nodes),
    }
}

//! Who takes in a partial: read from the texts as they stand, right or wrong.

use std::ops::Range;

use schemas::prompt::{Content, Message, Prompt};

use super::Draft;

/// Where a text names partials to take in: `{% include "name" %}`.
pub(super) fn includes(source: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = source.get(at..).and_then(|rest| rest.find("{%")).map(|n| at + n + 2) {
        at = open;
        let Some(inside) = source.get(open..) else { break };
        let rest = inside.trim_start_matches(['-', ' ', '\t', '\r', '\n']);
        let Some(rest) = rest.strip_prefix("include") else { continue };
        let name = rest.trim_start();
        let Some(quote) = name.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) else { continue };
        let start = source.len() - name.len() + 1;
        if let Some(length) = source.get(start..).and_then(|rest| rest.find(quote)) {
            found.push(start..start + length);
            at = start + length;
        }
    }
    found
}

fn takes_in(source: &str, name: &str) -> bool {
    includes(source).into_iter().any(|range| source.get(range) == Some(name))
}

/// The partials that texts take in, each name once, as they stand there.
#[must_use]
pub fn taken_in<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<String> {
    let names = texts.flat_map(|text| includes(text).into_iter().filter_map(move |range| text.get(range)));
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// What takes in the partial of this name: prompts by their ids, partials as `partial name`.
#[must_use]
pub fn users(draft: &Draft, name: &str) -> Vec<String> {
    let prompts = draft.prompts.iter().filter(|p| p.prompt.templates().any(|t| takes_in(t, name)));
    let partials = draft
        .partials
        .iter()
        .filter(|p| p.partial.name.as_str() != name && takes_in(&p.partial.source, name));
    prompts
        .map(|p| p.prompt.id.to_string())
        .chain(partials.map(|p| format!("partial {}", p.partial.name)))
        .collect()
}

/// The text with another name in each include of `old`; none where it takes in none.
pub(super) fn renamed_in(source: &str, old: &str, new: &str) -> Option<String> {
    let places: Vec<_> =
        includes(source).into_iter().filter(|r| source.get(r.clone()) == Some(old)).collect();
    if places.is_empty() {
        return None;
    }
    let mut out = source.to_owned();
    for place in places.into_iter().rev() {
        out.replace_range(place, new);
    }
    Some(out)
}

/// The prompt with another name in each include of `old`; none where it takes in none.
pub(super) fn prompt_with(prompt: &Prompt, old: &str, new: &str) -> Option<Prompt> {
    let mut changed = prompt.clone();
    let texts: Vec<&mut String> = match &mut changed.content {
        Content::Text { template } => vec![template],
        Content::Chat { messages } => messages
            .iter_mut()
            .filter_map(|m| match m {
                Message::Message { template, .. } => Some(template),
                Message::Placeholder { .. } => None,
            })
            .collect(),
    };
    let mut any = false;
    for text in texts {
        if let Some(new) = renamed_in(text, old, new) {
            *text = new;
            any = true;
        }
    }
    any.then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_found_in_every_spelling_and_in_faulty_texts() {
        let source = "{% include \"a\" %} {%- include 'b/c' -%}{%include `d`%} {{ include }} {% if x %}{% include \"a\"";
        let names: Vec<_> = includes(source).into_iter().map(|r| &source[r]).collect();
        assert_eq!(names, ["a", "b/c", "d", "a"]);
        assert!(includes("{% include a %} {% include \"open").is_empty());
        assert!(includes("{%").is_empty() && includes("ü{% include ").is_empty());
    }

    #[test]
    fn a_new_name_goes_where_the_old_one_was_and_nowhere_else() {
        let source = "a {% include \"a\" %}{% include 'ab' %}{# a #}{% include 'a' %}";
        let new = renamed_in(source, "a", "notes/a").unwrap();
        assert_eq!(new, "a {% include \"notes/a\" %}{% include 'ab' %}{# a #}{% include 'notes/a' %}");
        assert_eq!(renamed_in(source, "x", "y"), None);
    }
}

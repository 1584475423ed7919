//! A parameter that was renamed, and stands in the text under the name that it had.

use schemas::template;
use serde::Serialize;

use super::previewed::Unused;
use super::typed::{PLACEHOLDER, Part, Typed};

/// A name of the text, and the parameter that it probably is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Rename {
    pub from: String,
    pub to: String,
}

impl Rename {
    /// Where one name of the text is no parameter, one parameter stands in no text, and the text can be changed.
    pub(super) fn of(typed: &Typed, found: &[String], unused: &[Unused]) -> Option<Self> {
        let ([from], [to]) = (found, unused) else { return None };
        let rename = Self { from: from.clone(), to: to.name.clone() };
        typed.renamed(&rename.from, &rename.to).map(|_| rename)
    }
}

impl Typed {
    /// The parts with a variable under another name; none where that would change what they mean.
    fn renamed(&self, from: &str, to: &str) -> Option<Vec<Part>> {
        let mut parts = self.parts.clone();
        let mut is_used = false;
        for part in parts.iter_mut().filter(|part| part.role != PLACEHOLDER) {
            if template::extract(&part.text).ok()?.iter().any(|name| name == from) {
                part.text = template::rename(&part.text, from, to)?;
                is_used = true;
            }
        }
        is_used.then_some(parts)
    }

    /// Renames a variable of the text, as `from:to` says, where `to` is a parameter.
    pub(super) fn rename_in_text(&mut self, names: &str) {
        let Some((from, to)) = names.split_once(':') else { return };
        if self.parameters.iter().any(|row| row.name == to)
            && let Some(parts) = self.renamed(from, to)
        {
            self.parts = parts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameter::Row;
    use super::*;

    fn typed(texts: &[&str], parameter: &str) -> Typed {
        let part = |text: &&str| Part { role: "user".into(), text: (*text).to_owned() };
        Typed {
            name: "a".into(),
            parts: texts.iter().map(part).collect(),
            parameters: vec![Row::named(parameter)],
            ..Typed::default()
        }
    }

    #[test]
    fn a_renamed_parameter_is_renamed_in_the_text_where_that_is_asked_for() {
        let mut one = typed(&["Hi {{ who }}, who?", "{{ who.name }}"], "customer");
        let unused = [Unused { name: "customer".into(), index: 0 }];
        let offered = Rename::of(&one, &["who".into()], &unused).unwrap();
        assert_eq!((offered.from.as_str(), offered.to.as_str()), ("who", "customer"));
        one.change("rename-in-text", "who:customer");
        assert_eq!(one.parts[0].text, "Hi {{ customer }}, who?");
        assert_eq!(one.parts[1].text, "{{ customer.name }}");
    }

    #[test]
    fn nothing_is_offered_where_it_is_not_clear() {
        let unused = [Unused { name: "customer".into(), index: 0 }];
        let local = typed(&["{{ who }}{% for who in x %}{{ who }}{% endfor %}"], "customer");
        assert_eq!(Rename::of(&local, &["who".into()], &unused), None);
        let two = typed(&["{{ who }}{{ other }}"], "customer");
        assert_eq!(Rename::of(&two, &["who".into(), "other".into()], &unused), None);
        assert_eq!(Rename::of(&two, &["who".into()], &[]), None);
        let mut stranger = typed(&["{{ who }}"], "customer");
        stranger.change("rename-in-text", "who:nobody");
        assert_eq!(stranger.parts[0].text, "{{ who }}");
    }
}

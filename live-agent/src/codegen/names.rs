//! Names that are legal in a language and unique where they stand.

use hashbrown::{HashMap, HashSet};

/// Names of one scope.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// The number that a name was last given.
    last: HashMap<String, usize>,
}

impl Names {
    /// A scope in which those are taken already.
    pub(super) fn without(reserved: &[&str]) -> Self {
        Self { taken: reserved.iter().map(|&name| name.to_owned()).collect(), last: HashMap::new() }
    }

    /// `name`, or with `joint` and the next number where that is taken.
    pub(super) fn unique(&mut self, name: String, joint: &str) -> String {
        if self.taken.insert(name.clone()) {
            return name;
        }
        let mut number = self.last.get(&name).copied().unwrap_or(1);
        loop {
            number += 1;
            let other = format!("{name}{joint}{number}");
            if self.taken.insert(other.clone()) {
                self.last.insert(name, number);
                return other;
            }
        }
    }
}

/// The words of a name: runs of ASCII letters and digits, parted before a capital that follows a small one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            let starts =
                !before.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && !before.is_ascii_uppercase());
            match words.last_mut() {
                Some(word) if !starts => word.push(c.to_ascii_lowercase()),
                _ => words.push(c.to_ascii_lowercase().into()),
            }
        }
        before = c;
    }
    words
}

/// `mail/replyFormal` as `mail_reply_formal`.
pub(super) fn snake(text: &str, fallback: &str) -> String {
    legal(words(text).join("_"), fallback)
}

/// `mail/replyFormal` as `MailReplyFormal`.
pub(super) fn pascal(text: &str, fallback: &str) -> String {
    let capital = |word: &String| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    };
    legal(words(text).iter().map(capital).collect(), fallback)
}

fn legal(name: String, fallback: &str) -> String {
    match name.as_bytes().first() {
        None => fallback.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_gives_a_name_and_no_two_the_same() {
        for (text, expected) in [
            ("welcome.message", ("welcome_message", "WelcomeMessage")),
            ("mail/replyFormal", ("mail_reply_formal", "MailReplyFormal")),
            ("2fa-code", ("_2fa_code", "_2faCode")),
            ("AI", ("ai", "Ai")),
            ("…", ("x", "X")),
            ("__a__b", ("a_b", "AB")),
            ("a\"; drop", ("a_drop", "ADrop")),
        ] {
            assert_eq!((snake(text, "x").as_str(), pascal(text, "X").as_str()), expected, "{text}");
        }
        let mut names = Names::without(&["self"]);
        let given = ["a", "a", "a_2", "a", "self"].map(|name| names.unique(name.into(), "_"));
        assert_eq!(given, ["a", "a_2", "a_2_2", "a_3", "self_2"]);
    }
}

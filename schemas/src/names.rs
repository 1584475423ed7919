//! Names: the words that appear unchanged in URLs, subjects, stream names and JWT tags.

mod plain;

use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest slug, in bytes.
pub const SLUG_MAX: usize = 63;
/// Longest prompt id, in bytes.
pub const PROMPT_ID_MAX: usize = 128;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    #[error(
        "{0:?} is not a slug: use 1 to 63 lower-case letters, digits and inner hyphens, such as \"support-chat\""
    )]
    Slug(String),
    #[error(
        "{0:?} is not a prompt id: use letters, digits, '.', '_', '-' and '/' between parts, such as \"welcome.message\""
    )]
    PromptId(String),
    #[error("{0:?} is not an address: write @organisation/set@version/prompt")]
    Address(String),
    #[error(
        "{0:?} is not a version: write one such as 2.1.0, a range such as ^2, or an alias such as latest"
    )]
    Version(String),
}

/// `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`: organisation, project, environment, prompt set, agent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Box<str>);

impl Slug {
    /// Takes `text` as a slug.
    ///
    /// # Errors
    /// [`NameError::Slug`] where it is empty, longer than 63 bytes or holds another character.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let bytes = text.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        if bytes.len() <= SLUG_MAX && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Slug(clip(text)))
        }
    }

    /// The nearest slug to a human name (`"Customer Support!"` gives `customer-support`, `"Größe"` gives `grosse`), or
    /// `None` where nothing of it can be kept.
    #[must_use]
    pub fn from_title(title: &str) -> Option<Self> {
        let mut out = String::new();
        for c in title.chars() {
            if c.is_ascii_alphanumeric() {
                out.push(c.to_ascii_lowercase());
            } else if let Some(letters) = plain::letters(c) {
                out.push_str(letters);
            } else if !out.is_empty() && !out.ends_with('-') {
                out.push('-');
            }
            if out.len() >= SLUG_MAX {
                break;
            }
        }
        // All of it is ASCII.
        out.truncate(SLUG_MAX);
        Self::new(out.trim_end_matches('-')).ok()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a prompt within its set: parts of letters, digits, `.`, `_` and `-`, each starting
/// with a letter or digit, joined by `/`; at most 128 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptId(Box<str>);

impl PromptId {
    /// Takes `text` as a prompt id.
    ///
    /// # Errors
    /// [`NameError::PromptId`] where it is none.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let part = |p: &str| {
            p.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
                && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !p.ends_with('.')
                && !p.contains("..")
        };
        if text.len() <= PROMPT_ID_MAX && !text.is_empty() && text.split('/').all(part) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::PromptId(clip(text)))
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn clip(text: &str) -> String {
    let mut out: String = text.chars().take(80).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

macro_rules! name {
    ($name:ident, $description:literal, $pattern:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "description": $description, "pattern": $pattern
                })
            }
        }
    };
}
name!(Slug, "A name used unchanged in URLs, subjects and streams.", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");
name!(
    PromptId,
    "The name of a prompt within its set; '/' makes folders.",
    "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
);

/// The unit that an agent connects to: one environment of one project of one organisation.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Scope {
    pub organisation: Slug,
    pub project: Slug,
    pub environment: Slug,
}

impl Scope {
    /// Builds a scope of three slugs.
    ///
    /// # Errors
    /// [`NameError::Slug`] with the first that is none.
    pub fn new(organisation: &str, project: &str, environment: &str) -> Result<Self, NameError> {
        Ok(Self {
            organisation: Slug::new(organisation)?,
            project: Slug::new(project)?,
            environment: Slug::new(environment)?,
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organisation, self.project, self.environment)
    }
}

/// `@organisation/set@version/prompt`; version and prompt may be left out. The version stays text:
/// it may be exact, a range or an alias, and FORGE resolves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub organisation: Slug,
    pub set: Slug,
    pub version: Option<String>,
    pub prompt: Option<PromptId>,
}

impl FromStr for Address {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Address(clip(text));
        let (organisation, rest) =
            text.strip_prefix('@').and_then(|t| t.split_once('/')).ok_or_else(wrong)?;
        let (head, prompt) = match rest.split_once('/') {
            Some((head, prompt)) => (head, Some(PromptId::new(prompt).map_err(|_| wrong())?)),
            None => (rest, None),
        };
        let (set, version) = match head.split_once('@') {
            Some((_, "")) => return Err(wrong()),
            Some((set, version)) => (set, Some(version.to_owned())),
            None => (head, None),
        };
        Ok(Self {
            organisation: Slug::new(organisation).map_err(|_| wrong())?,
            set: Slug::new(set).map_err(|_| wrong())?,
            version,
            prompt,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}/{}", self.organisation, self.set)?;
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        if let Some(prompt) = &self.prompt {
            write!(f, "/{prompt}")?;
        }
        Ok(())
    }
}

/// How a caller names a prompt that is served: by its id, or by an address with the id in it. Read
/// without a copy.
///
/// | written | read as |
/// |---|---|
/// | `id` | [`Reference::Id`] |
/// | `@set/id`, `@organisation/set/id` | [`Reference::Path`] |
/// | `@set@version/id`, `@organisation/set@version/id` | [`Reference::Versioned`] |
///
/// An id may hold `/`, so that `@a/b/c` alone does not say which it is. Who knows the sets does: `a` is
/// a set where one of that name is served, and the organisation otherwise. With a version there is no
/// question, since no id holds an `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reference<'a> {
    Id(&'a str),
    /// `first` is a set or the organisation.
    Path {
        first: &'a str,
        rest: &'a str,
    },
    Versioned {
        organisation: Option<&'a str>,
        set: &'a str,
        /// To be read by [`Wanted::new`].
        version: &'a str,
        id: &'a str,
    },
}

impl<'a> Reference<'a> {
    /// Reads `text`. Names that nothing can have are taken as they are: nothing will be found.
    ///
    /// # Errors
    /// [`NameError::Address`] where it starts with `@` and a part is missing.
    pub fn new(text: &'a str) -> Result<Self, NameError> {
        let Some(address) = text.strip_prefix('@') else { return Ok(Self::Id(text)) };
        let found = match address.split_once('@') {
            None => address
                .split_once('/')
                .filter(|(first, rest)| !first.is_empty() && !rest.is_empty())
                .map(|(first, rest)| Self::Path { first, rest }),
            Some((head, tail)) => {
                let (organisation, set) = match head.split_once('/') {
                    Some((organisation, set)) => (Some(organisation), set),
                    None => (None, head),
                };
                tail.split_once('/')
                    .filter(|(version, id)| !version.is_empty() && !id.is_empty())
                    .filter(|_| !set.is_empty() && organisation.is_none_or(|one| !one.is_empty()))
                    .map(|(version, id)| Self::Versioned { organisation, set, version, id })
            }
        };
        found.ok_or_else(|| NameError::Address(clip(text)))
    }
}

/// The version that an address asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This one, with the same build metadata.
    Exact(Version),
    /// One that fits; a version of two or one numbers is a range, `2.1` as `^2.1`.
    Range(VersionReq),
    /// A name that FORGE gives to versions, a slug. `latest` is the one that is served.
    Alias(Slug),
}

impl Wanted {
    /// Reads what stands after the `@` of an address.
    ///
    /// # Errors
    /// [`NameError::Version`] where it is no version, range or alias.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if let Ok(version) = Version::parse(text) {
            return Ok(Self::Exact(version));
        }
        if let Ok(range) = VersionReq::parse(text) {
            return Ok(Self::Range(range));
        }
        Slug::new(text).map(Self::Alias).map_err(|_| NameError::Version(clip(text)))
    }

    /// Whether `served` is what is asked for; `None` where only FORGE knows: an alias other than `latest`.
    #[must_use]
    pub fn is_met_by(&self, served: &Version) -> Option<bool> {
        match self {
            Self::Exact(version) => Some(version == served),
            Self::Range(range) => Some(range.matches(served)),
            Self::Alias(alias) => (alias.as_str() == "latest").then_some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_says_what_each_part_is_or_that_one_is_missing() {
        let path = |first, rest| Reference::Path { first, rest };
        let versioned =
            |organisation, set, version, id| Reference::Versioned { organisation, set, version, id };
        let cases = [
            ("hello", Reference::Id("hello")),
            ("mail/reply", Reference::Id("mail/reply")),
            ("", Reference::Id("")),
            ("@chat/hello", path("chat", "hello")),
            ("@chat/mail/reply", path("chat", "mail/reply")),
            ("@acme/chat/mail/reply", path("acme", "chat/mail/reply")),
            ("@chat@2.1.0/hello", versioned(None, "chat", "2.1.0", "hello")),
            ("@acme/chat@^2/mail/reply", versioned(Some("acme"), "chat", "^2", "mail/reply")),
            ("@acme/chat@1.2.0+gpt4/a", versioned(Some("acme"), "chat", "1.2.0+gpt4", "a")),
            ("@chat@>=1, <3/a", versioned(None, "chat", ">=1, <3", "a")),
        ];
        for (text, read) in cases {
            assert_eq!(Reference::new(text).unwrap(), read, "{text}");
        }
        for bad in [
            "@",
            "@chat",
            "@/a",
            "@chat/",
            "@chat@/a",
            "@chat@1",
            "@chat@1/",
            "@@1/a",
            "@/chat@1/a",
            "@acme/@1/a",
        ] {
            assert!(matches!(Reference::new(bad), Err(NameError::Address(_))), "{bad}");
        }
    }

    #[test]
    fn a_wanted_version_is_exact_a_range_or_an_alias() {
        let met = |wanted: &str, served: &str| {
            Wanted::new(wanted).unwrap().is_met_by(&Version::parse(served).unwrap())
        };
        for (wanted, served) in [
            ("2.1.0", "2.1.0"),
            ("1.2.0+gpt4", "1.2.0+gpt4"),
            ("^2", "2.9.1"),
            ("2", "2.9.1"),
            ("2.1", "2.9.1"),
            (">=1, <3", "2.0.0"),
            ("~2.1.0", "2.1.9"),
            ("*", "7.0.0"),
            ("latest", "0.0.1-rc.1"),
        ] {
            assert_eq!(met(wanted, served), Some(true), "{wanted} {served}");
        }
        for (wanted, served) in [
            ("2.1.0", "2.1.1"),
            ("2.1.0", "2.1.0+gpt4"),
            ("1.2.0+gpt4", "1.2.0"),
            ("^2", "3.0.0"),
            ("^2", "2.1.0-rc.1"),
            ("~2.1.0", "2.2.0"),
        ] {
            assert_eq!(met(wanted, served), Some(false), "{wanted} {served}");
        }
        assert_eq!(met("stable", "1.0.0"), None);
        for bad in ["", "v2.0.0", "2.0.0.0", "one two", "Stable", "^^2"] {
            assert!(matches!(Wanted::new(bad), Err(NameError::Version(_))), "{bad}");
        }
    }

    #[test]
    fn slugs_take_what_a_subject_and_a_url_can_carry() {
        for good in ["a", "7", "support-chat", "a--b", &"x".repeat(63)] {
            assert!(Slug::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "-a", "a-", "A", "a.b", "a*", "a>", "a b", "ü", "{{tag(env)}}", &"x".repeat(64)]
        {
            assert!(Slug::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Slug::from_title("  Customer Support! ").unwrap().as_str(), "customer-support");
        assert!(Slug::from_title("…").is_none());
    }

    #[test]
    fn a_title_keeps_the_letters_under_its_marks() {
        for (title, slug) in [
            ("Ümläut & Söhne", "umlaut-sohne"),
            ("Größe und Maß", "grosse-und-mass"),
            ("Zażółć gęślą jaźń", "zazolc-gesla-jazn"),
            ("Œuvre, Ærø, Þór, Đà", "oeuvre-aero-thor-da"),
            ("Cafe\u{301}", "cafe"),
            ("東京 office", "office"),
        ] {
            assert_eq!(Slug::from_title(title).unwrap().as_str(), slug, "{title}");
        }
        assert_eq!(Slug::from_title(&"ß".repeat(63)).unwrap().as_str(), "s".repeat(63));
        assert!(Slug::from_title("\u{301}").is_none());
    }

    #[test]
    fn prompt_ids_cannot_climb_or_collide_with_pages() {
        for good in ["welcome.message", "mail/reply.formal", "analyze_answers", "A1"] {
            assert!(PromptId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "-/publish", "../x", "a/..", "a b", "a..b", "é", "a."] {
            assert!(PromptId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_read_back_as_written() {
        for text in
            ["@acme/chat", "@acme/chat@^2", "@acme/chat@1.2.0+gpt4/mail/reply", "@acme/chat/welcome.message"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for bad in ["acme/chat", "@acme", "@acme/chat@", "@Acme/chat", "@acme/chat/"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}

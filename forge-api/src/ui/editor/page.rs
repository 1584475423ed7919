//! What the editor shows.

use serde::Serialize;

use super::merge::{Clash, Together};
use super::parameter::{self, Row};
use super::previewed::{Preview, Previewed, Problem, RenderedPart, Unused, sentence};
use super::rename::Rename;
use super::settings::SettingsView;
use super::tree::Node;
use super::trial::Trial;
use super::typed::{Part, ROLES, Typed, Unfit, What};
use crate::ui::diff::Diff;
use crate::ui::view::{Moment, count};

/// The whole editor.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Page {
    pub base: String,
    pub href: String,
    pub set: String,
    pub state: String,
    pub draft: String,
    pub tree: Vec<Node>,
    pub prompt: Option<String>,
    pub kind: &'static str,
    pub engine: &'static str,
    pub revision: i64,
    pub message: String,
    pub saved: Option<Moment>,
    pub saved_by: String,
    pub editable: bool,
    pub may_add: bool,
    pub may_lock: bool,
    pub may_publish: bool,
    /// What is open, in the query of the pages that move it.
    pub which: String,
    pub may_reopen: bool,
    /// Whether the visitor may ask for a review of the draft as it stands.
    pub may_ask: bool,
    /// Whether the visitor may edit sets at all, whatever state this one is in.
    pub may_edit: bool,
    /// How many prompts and partials of the set are archived.
    pub archived: i64,
    /// What takes in the partial that is open.
    pub used_by: Vec<String>,
    pub why_not: Option<String>,
    pub dirty: bool,
    pub conflict: Option<Conflict>,
    /// What two changed at once, where both were put together into the form.
    pub clashes: Vec<Clash>,
    pub parts: Vec<PartView>,
    pub roles: Vec<String>,
    pub types: Vec<&'static str>,
    pub problems: Vec<Problem>,
    pub verdict: String,
    pub size: String,
    pub found: Vec<String>,
    pub unused: Vec<Unused>,
    pub rename: Option<Rename>,
    pub parameters: Vec<ParameterView>,
    pub values_open: bool,
    pub trial: Trial,
    pub preview: Preview,
    pub description: String,
    pub tags: String,
    pub settings: SettingsView,
    pub metadata: String,
    pub metadata_error: Option<String>,
    /// Notes of people, none where nobody may read them.
    pub notes: Option<NotesView>,
    /// What is about to be saved, beside what is stored.
    pub review: Option<ReviewView>,
    /// JSON for completion: filters, tags, variables.
    pub words: String,
}

/// Somebody saved in between: theirs beside mine, and both together.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Conflict {
    pub who: String,
    /// It was the visitor, as far as a name says so.
    pub own: bool,
    pub diffs: Vec<Diff>,
    /// The revision that both started from.
    pub base: i64,
    /// Both together, part by part; nothing where they do not go together.
    pub both: Vec<RenderedPart>,
    /// How many places both changed.
    pub clash: Option<String>,
    /// Each of them by its name.
    pub clashes: Vec<Clash>,
    /// What both together changes besides the text, of what is stored.
    pub facts: Vec<String>,
}

impl Conflict {
    /// Shows both together.
    pub(super) fn takes(&mut self, found: Together) {
        let (chat, places) = (found.typed.what == What::Chat, found.places() as u64);
        let part =
            |part: Part| RenderedPart { role: chat.then_some(part.role), placeholder: None, text: part.text };
        self.both = found.typed.parts.into_iter().map(part).collect();
        self.clash = (places > 0).then(|| count(places, "place", "places"));
        (self.clashes, self.facts) = (found.clashes, found.facts);
    }
}

/// What is about to be saved.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReviewView {
    pub diffs: Vec<Diff>,
}

/// What people noted on a prompt.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct NotesView {
    pub body: String,
    pub revision: i64,
    pub saved: Option<Moment>,
    pub saved_by: String,
    pub editable: bool,
    pub error: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct PartView {
    pub index: usize,
    pub number: usize,
    pub first: bool,
    pub last: bool,
    pub role: String,
    pub label: String,
    pub text: String,
    pub rows: usize,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ParameterView {
    pub name: String,
    pub r#type: String,
    pub summary: String,
    pub required: bool,
    pub first: bool,
    pub last: bool,
    pub description: String,
    pub default: String,
    pub example: String,
    pub min: String,
    pub max: String,
    pub values: String,
    pub shape: String,
    pub open: bool,
    pub unused: bool,
    pub error: Option<String>,
    pub choices: Vec<String>,
    /// What is wrong with the value of the preview.
    pub value_error: Option<String>,
    pub value: String,
    pub value_rows: usize,
}

impl ParameterView {
    fn of(row: &Row, typed: &Typed, open: bool, unused: bool, error: Option<String>) -> Self {
        let value = typed.trial(row);
        let choices = match row.kind.as_str() {
            "boolean" => vec!["true".into(), "false".into()],
            "enum" => row.values.lines().map(str::trim).filter(|v| !v.is_empty()).map(Into::into).collect(),
            _ => Vec::new(),
        };
        Self {
            name: row.name.clone(),
            r#type: row.kind.clone(),
            summary: row.summary(),
            required: row.required,
            first: false,
            last: false,
            description: row.description.clone(),
            default: row.default.clone(),
            example: row.example.clone(),
            min: row.min.clone(),
            max: row.max.clone(),
            values: row.values.clone(),
            shape: row.shape.clone(),
            open: open || error.is_some(),
            unused,
            error,
            choices,
            value_error: value_error(row, &value),
            value_rows: value.lines().count().clamp(1, 8),
            value,
        }
    }
}

/// What is wrong with a value to try a parameter with, beside its field.
fn value_error(row: &Row, value: &str) -> Option<String> {
    if row.required && value.is_empty() {
        return Some("Required: give a value.".to_owned());
    }
    let kind = row.parameter().ok()?.kind;
    parameter::value(&kind, value).err().map(|what| sentence(&format!("it {what}")))
}

impl Page {
    /// Fills in what was typed and what was found in it.
    pub(crate) fn fill(&mut self, typed: &Typed, unfit: &Unfit, previewed: Previewed, open: Option<usize>) {
        self.prompt = Some(typed.name.clone());
        self.kind = typed.what.as_str();
        self.engine = if typed.plain { "plain" } else { "tera" };
        self.revision = typed.revision;
        self.message = typed.message.clone();
        self.parts = typed
            .parts
            .iter()
            .enumerate()
            .map(|(index, part)| PartView {
                index,
                number: index + 1,
                first: index == 0,
                last: index + 1 == typed.parts.len(),
                role: part.role.clone(),
                label: match typed.what {
                    What::Chat => format!("Message {}, {}", index + 1, part.role),
                    What::Text => format!("Text of {}", typed.name),
                    What::Partial => format!("Source of {}", typed.name),
                },
                rows: part.text.lines().count().clamp(3, 30) + 1,
                text: part.text.clone(),
            })
            .collect();
        self.roles = ROLES.iter().map(|r| (*r).to_owned()).collect();
        for part in &typed.parts {
            if typed.what == What::Chat && !self.roles.contains(&part.role) {
                self.roles.push(part.role.clone());
            }
        }
        self.types = parameter::TYPES.to_vec();
        self.size = previewed.size;
        self.parameters = typed
            .parameters
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let error = unfit.parameters.iter().find(|(at, _)| *at == i).map(|(_, what)| sentence(what));
                let unused = previewed.unused.iter().any(|u| u.index == i);
                let view =
                    ParameterView::of(row, typed, open == Some(i) || row.name.is_empty(), unused, error);
                ParameterView { first: i == 0, last: i + 1 == typed.parameters.len(), ..view }
            })
            .collect();
        self.values_open = !typed.values.is_empty();
        self.description = typed.description.clone();
        self.tags = typed.tags.clone();
        self.settings = typed.settings.view(&unfit.settings);
        self.metadata = typed.metadata.clone().unwrap_or_default();
        self.metadata_error = unfit.metadata.as_deref().map(sentence);
        self.problems = previewed.problems;
        self.verdict = previewed.verdict;
        self.found = previewed.found;
        self.unused = previewed.unused;
        self.rename = previewed.rename;
        self.preview = previewed.preview;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::Check;

    #[test]
    fn the_editor_renders_empty_faulty_and_in_conflict() {
        let frame = crate::ui::frame::Frame::for_test();
        let render = |page: &Page| crate::ui::engine::render("editor.html", &frame, page).unwrap();
        let empty = Page { state: "EDITING".into(), may_add: true, ..Page::default() };
        assert!(render(&empty).contains("No prompts yet"));

        let mut typed = Typed {
            name: "welcome".into(),
            parts: vec![super::super::typed::Part { role: "text".into(), text: "\nHi {{ x }}".into() }],
            parameters: vec![Row { kind: "integer".into(), default: "many".into(), ..Row::named("n") }],
            ..Typed::default()
        };
        let (_, unfit) = typed.prompt(None).unwrap();
        let previewed = Previewed::of(&typed, &Check::default(), &unfit, None);
        let mut page = Page { state: "EDITING".into(), editable: true, ..Page::default() };
        page.fill(&typed, &unfit, previewed, None);
        page.conflict = Some(Conflict {
            who: "Tomás".into(),
            diffs: vec![Diff::of("welcome", "theirs", "mine")],
            ..Conflict::default()
        });
        let html = render(&page);
        assert!(html.contains("Tomás saved welcome while you were writing"), "{html}");
        assert!(html.contains("<del>theirs</del>") && html.contains("<ins>mine</ins>"), "{html}");
        assert!(html.contains("The default is not an integer; write one such as 1."), "{html}");
        assert!(html.contains("<kbd>Ctrl S</kbd> save"), "{html}");
        // The first line of a textarea is lost where it is empty, unless another one stands before it.
        assert!(html.contains(">\n\nHi {{ x }}</textarea>"), "{html}");

        typed.what = What::Partial;
        page.fill(&typed, &Unfit::default(), Previewed::default(), None);
        assert!(
            render(&page).contains("{% include &quot;welcome&quot; %}")
                || render(&page).contains("{% include \"welcome\" %}")
        );
    }

    #[test]
    fn a_value_to_try_is_answered_beside_its_field() {
        let row = Row { kind: "integer".into(), ..Row::named("n") };
        assert_eq!(value_error(&row, "4"), None);
        assert_eq!(value_error(&row, "").as_deref(), Some("Required: give a value."));
        assert_eq!(value_error(&row, "four").as_deref(), Some("It is not an integer; write one such as 1."));
    }

    #[test]
    fn who_may_only_read_is_told_of_nothing_that_changes_the_draft() {
        let frame = crate::ui::frame::Frame::for_test();
        let typed = Typed { name: "welcome".into(), ..Typed::default() };
        let shown = |editable: bool| {
            let rename = Some(Rename { from: "who".into(), to: "customer".into() });
            let previewed = Previewed { found: vec!["who".into()], rename, editable, ..Previewed::default() };
            let beside = crate::ui::engine::fragment("previewed.html", &previewed).unwrap();
            let mut page = Page { state: "LOCKED".into(), editable, ..Page::default() };
            page.fill(&typed, &Unfit::default(), previewed, None);
            (crate::ui::engine::render("editor.html", &frame, &page).unwrap(), beside)
        };
        let (page, beside) = shown(false);
        assert!(page.contains("<kbd>Ctrl Enter</kbd> preview"), "{page}");
        for change in ["Ctrl S", "Add parameter who", "rename-in-text:who:customer", "Words with commas"] {
            assert!(!page.contains(change) && !beside.contains(change), "{change}: {page}\n{beside}");
            assert!(shown(true).0.contains(change), "{change} where it may be changed");
        }
        assert!(shown(true).1.contains("Add parameter who"));
    }
}

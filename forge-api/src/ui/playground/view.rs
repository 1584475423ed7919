//! What the playground shows.

use schemas::prompt::Prompt;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::typed::{Typed, parameters, placeholders};
use super::{COLUMNS_MAX, refusals};
use crate::alias;
use crate::auth::{Action, Actor};
use crate::author::{self, Given, Measure, Of, Rendered, SetAt, Stored};
use crate::error::ApiError;
use crate::lock;
use crate::publish;
use crate::state::AppState;
use crate::ui::editor::{Row, base, role_name, sentence, value as read_value};
use crate::ui::fault::Fault;
use crate::ui::view::{Choice, count, encoded};
use crate::ui::visitor::Visitor;

/// Most versions and prompts to choose from.
const CHOICES_MAX: usize = 200;

/// The page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    base: String,
    set: String,
    /// Empty: the set has none.
    pub(super) prompt: String,
    prompts: Vec<Choice>,
    /// Where the form goes.
    action: String,
    /// Where runs go.
    runs: String,
    may_edit: bool,
    fields: Vec<Field>,
    placeholders: Vec<Spoken>,
    sets: Vec<Choice>,
    name: String,
    name_as: String,
    revision: i64,
    columns: Vec<Column>,
    may_add: bool,
    may_remove: bool,
    models: Vec<String>,
}

/// A value to type.
#[derive(Debug, Serialize)]
struct Field {
    id: String,
    name: String,
    summary: String,
    required: bool,
    /// What is wrong with the value.
    error: Option<String>,
    mono: bool,
    choices: Vec<String>,
    value: String,
    rows: usize,
}

/// Messages to type.
#[derive(Debug, Serialize)]
struct Spoken {
    name: String,
    text: String,
    rows: usize,
}

/// One text beside the others.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Column {
    index: usize,
    number: usize,
    title: String,
    choices: Vec<Choice>,
    /// What the address says besides: the version that is live.
    note: Option<String>,
    refusals: Vec<String>,
    parts: Vec<Part>,
    size: Option<String>,
    /// What a run of exactly this text asks for, as JSON; none where there is nothing to run.
    run: Option<String>,
    model: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) role: Option<&'static str>,
    pub(crate) text: String,
}

/// What was typed for a prompt: by parameter, and by placeholder.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    pub(crate) prompt: String,
    pub(crate) values: Vec<(String, String)>,
    pub(crate) history: Vec<(String, String)>,
}

/// The prompts of the columns, as far as they are there.
pub(super) async fn prompts(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    typed: &Typed,
) -> Result<Vec<Prompt>, Fault> {
    let mut found = Vec::new();
    for column in &typed.columns {
        if let Ok(stored) = read(state, actor, set, typed, column).await? {
            found.push(stored.prompt);
        }
    }
    Ok(found)
}

/// The prompt of a column, or why it is not there.
async fn read(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    typed: &Typed,
    column: &str,
) -> Result<Result<Stored, String>, Fault> {
    let of = Of::parse(column);
    match author::stored(state, actor, set, &of, &typed.prompt).await {
        Ok(stored) => Ok(Ok(stored)),
        Err(ApiError::NotFound(what)) => Ok(Err(match (what, &of) {
            ("prompt", _) => format!("{} has no prompt {}.", title(column), typed.prompt),
            ("publication", Of::Environment(name)) => format!("Nothing of this set is live in {name}."),
            _ => format!("There is no {what} {}.", column.trim_start_matches('@')),
        })),
        Err(ApiError::Invalid { detail, .. }) => Ok(Err(sentence(&detail))),
        Err(error) => Err(error.into()),
    }
}

fn title(column: &str) -> String {
    match Of::parse(column) {
        Of::Draft => "Draft".into(),
        Of::Version(version) => version,
        Of::Environment(name) => format!("Now in {name}"),
    }
}

/// A prompt as the agents of an environment have it now, on these values and messages.
pub(crate) async fn now_in(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    environment: &str,
    texts: Texts,
) -> Result<Column, Fault> {
    let column = format!("@{environment}");
    let Texts { prompt, values, history } = texts;
    let typed = Typed { prompt, columns: vec![column.clone()], values, history, ..Typed::default() };
    let found = read(state, &visitor.actor, set, &typed, &column).await?;
    Column::of(&typed, 0, found, &[], &[]).await
}

impl Page {
    pub(super) async fn of(
        state: &AppState,
        visitor: &Visitor,
        set: &SetAt,
        mut typed: Typed,
    ) -> Result<Self, Fault> {
        let actor = &visitor.actor;
        let draft = author::draft(state, actor, set).await?;
        if typed.prompt.is_empty() {
            typed.prompt = draft.prompts.first().map(|p| p.prompt.id.to_string()).unwrap_or_default();
        }
        let mut ids: Vec<String> =
            draft.prompts.iter().map(|p| p.prompt.id.to_string()).take(CHOICES_MAX).collect();
        if !ids.contains(&typed.prompt) {
            ids.insert(0, typed.prompt.clone());
        }
        let mut read_columns = Vec::with_capacity(typed.columns.len());
        for column in &typed.columns {
            read_columns.push(read(state, actor, set, &typed, column).await?);
        }
        let known: Vec<Prompt> =
            read_columns.iter().filter_map(|c| c.as_ref().ok()).map(|s| s.prompt.clone()).collect();
        let known: Vec<&Prompt> = known.iter().collect();
        let choices = choices(state, actor, set).await?;
        let may_edit = set.at.lets(actor, Action::Edit);
        let models: Vec<String> = state.config.models.models().map(|(name, _)| name).collect();
        let mut columns = Vec::with_capacity(read_columns.len());
        for (index, found) in read_columns.into_iter().enumerate() {
            columns.push(Column::of(&typed, index, found, &choices, &models).await?);
        }
        let saved = author::variable_sets(state, actor, set, &typed.prompt).await?;
        let choice = |name: &str, text: &str| Choice {
            value: name.to_owned(),
            text: text.to_owned(),
            chosen: name == typed.name,
        };
        let at = &set.at;
        Ok(Self {
            base: base(set),
            set: set.set.name.clone(),
            prompts: ids
                .iter()
                .filter(|id| !id.is_empty())
                .map(|id| Choice { value: id.clone(), text: id.clone(), chosen: *id == typed.prompt })
                .collect(),
            action: action(set, &typed),
            runs: format!(
                "/api/v1/projects/{}:{}/sets/{}/runs",
                at.organisation.slug, at.project.slug, set.set.slug
            ),
            may_edit,
            fields: fields(&typed, &known),
            placeholders: placeholders(&known).into_iter().map(|name| Spoken::of(&typed, name)).collect(),
            sets: std::iter::once(choice("", "Examples and defaults"))
                .chain(saved.iter().map(|s| choice(&s.name, &s.name)))
                .collect(),
            name: typed.name.clone(),
            name_as: typed.name_as.clone(),
            revision: typed.revision,
            may_add: columns.len() < COLUMNS_MAX,
            may_remove: columns.len() > 1,
            columns,
            models,
            prompt: typed.prompt,
        })
    }
}

/// The address of this view, to send to somebody.
fn action(set: &SetAt, typed: &Typed) -> String {
    let (prompt, columns) = (encoded(&typed.prompt), encoded(&typed.columns.join(",")));
    let variables = match typed.name.as_str() {
        "" => String::new(),
        name => format!("&variables={}", encoded(name)),
    };
    format!("{}/-/playground?prompt={prompt}&columns={columns}{variables}", base(set))
}

/// Whose text a column can show, without what is chosen.
async fn choices(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<(String, String)>, Fault> {
    let mut all = vec![(publish::DRAFT.to_owned(), "draft".to_owned())];
    for environment in author::environments(state, actor, &set.at).await? {
        all.push((format!("@{}", environment.slug), format!("now in {}", environment.slug)));
    }
    for named in alias::list(state, actor, set).await? {
        all.push((named.name.clone(), named.name));
    }
    let versions = lock::versions(state, actor, set).await?;
    all.extend(versions.into_iter().take(CHOICES_MAX).map(|v| (v.version.clone(), v.version)));
    Ok(all)
}

fn fields(typed: &Typed, known: &[&Prompt]) -> Vec<Field> {
    parameters(known)
        .into_iter()
        .enumerate()
        .map(|(index, parameter)| {
            let row = Row::of(parameter);
            let value = typed.text_of(parameter);
            // Required wherever one of them requires it.
            let required =
                known.iter().flat_map(|p| &p.parameters).any(|p| p.name == parameter.name && p.required);
            let choices: Vec<String> = match row.kind.as_str() {
                "boolean" => vec!["true".into(), "false".into()],
                "enum" => row.values.lines().map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            Field {
                id: format!("v-{index}"),
                name: parameter.name.clone(),
                summary: row.summary(),
                required,
                error: if required && value.is_empty() {
                    Some("Required: give a value.".to_owned())
                } else {
                    read_value(&parameter.kind, &value).err().map(|what| sentence(&format!("it {what}")))
                },
                mono: row.kind != "string",
                // A value that is none of them stays to be seen.
                choices: if choices.contains(&value) { choices } else { Vec::new() },
                rows: value.lines().count().clamp(1, 8),
                value,
            }
        })
        .collect()
}

impl Spoken {
    fn of(typed: &Typed, name: &str) -> Self {
        let text = typed.spoken_of(name);
        Self { name: name.to_owned(), rows: text.lines().count().clamp(2, 10), text }
    }
}

impl Column {
    async fn of(
        typed: &Typed,
        index: usize,
        found: Result<Stored, String>,
        choices: &[(String, String)],
        models: &[String],
    ) -> Result<Self, Fault> {
        let chosen = typed.columns.get(index).map_or("", String::as_str);
        let mut choices: Vec<Choice> = choices
            .iter()
            .map(|(value, text)| Choice { value: value.clone(), text: text.clone(), chosen: value == chosen })
            .collect();
        if !choices.iter().any(|c| c.chosen) {
            choices.push(Choice { value: chosen.to_owned(), text: chosen.to_owned(), chosen: true });
        }
        let mut column = Self {
            index,
            number: index + 1,
            title: title(chosen),
            choices,
            note: None,
            refusals: Vec::new(),
            parts: Vec::new(),
            size: None,
            run: None,
            model: String::new(),
        };
        match found {
            Err(why) => column.refusals.push(why),
            Ok(stored) => column.render(typed, chosen, stored, models).await?,
        }
        Ok(column)
    }

    async fn render(
        &mut self,
        typed: &Typed,
        chosen: &str,
        stored: Stored,
        models: &[String],
    ) -> Result<(), Fault> {
        if stored.version != chosen && stored.version != publish::DRAFT {
            self.note = Some(format!("version {}", stored.version));
        }
        // The model that the prompt names comes first.
        let own = stored.prompt.model.get("model").and_then(Value::as_str).unwrap_or_default();
        let named = models.iter().find(|m| m.split_once('/').is_some_and(|(_, id)| id == own));
        self.model = named.or(models.first()).cloned().unwrap_or_default();
        let (given, unread) = typed.given(&[&stored.prompt]);
        if !unread.is_empty() {
            self.refusals = unread;
            return Ok(());
        }
        let run = run(typed, chosen, &given);
        match stored.tried(given).await {
            Ok(tried) => {
                self.size = Some(size(tried.measure));
                self.parts = parts(tried.rendered);
                self.run = Some(run.to_string());
            }
            Err(error) => self.refusals = refusals(error)?,
        }
        Ok(())
    }
}

/// The body of a run, without its model.
fn run(typed: &Typed, chosen: &str, given: &Given) -> Value {
    let mut body = Map::new();
    body.insert("prompt".into(), json!(typed.prompt));
    match Of::parse(chosen) {
        Of::Draft => drop(body.insert("version".into(), json!(publish::DRAFT))),
        Of::Version(version) => drop(body.insert("version".into(), json!(version))),
        Of::Environment(name) => drop(body.insert("environment".into(), json!(name))),
    }
    body.insert("values".into(), Value::Object(given.values.clone()));
    let history = given.history.iter().map(|(name, messages)| {
        let said = messages.iter().map(|m| json!({ "role": role_name(m.role), "text": m.content }));
        (name.clone(), Value::Array(said.collect()))
    });
    body.insert("history".into(), Value::Object(history.collect()));
    Value::Object(body)
}

/// `1,204 characters · 310 tokens (o200k)`.
pub(crate) fn size(measure: Measure) -> String {
    let about = if measure.exact { "" } else { "about " };
    format!(
        "{} · {about}{} ({})",
        count(measure.characters, "character", "characters"),
        count(measure.tokens, "token", "tokens"),
        measure.family.as_str()
    )
}

fn parts(rendered: Rendered) -> Vec<Part> {
    match rendered {
        Rendered::Text(text) => vec![Part { role: None, text }],
        Rendered::Messages(messages) => {
            messages.into_iter().map(|(role, text)| Part { role: Some(role_name(role)), text }).collect()
        }
    }
}

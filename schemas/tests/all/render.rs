//! Honest templates: what they render to, and what is said about mistakes in them.

use schemas::parameter::{Kind, Parameter};
use schemas::prompt::{Content, Engine, Message, Partial, Prompt, Role};
use schemas::template::{
    CompiledPrompt, RenderError, RenderedMessage, TemplateErrorCode, Values, check, extract,
};
use schemas::{PromptId, vars};
use serde_json::json;

pub(crate) fn id(text: &str) -> PromptId {
    PromptId::new(text).unwrap()
}

pub(crate) fn partial(name: &str, source: impl Into<String>) -> Partial {
    Partial { name: id(name), source: source.into() }
}

/// A parameter of a type, written as its JSON.
pub(crate) fn parameter(json: serde_json::Value) -> Parameter {
    serde_json::from_value(json).unwrap()
}

/// A prompt that declares, as optional objects of any kind, whatever its template uses.
pub(crate) fn prompt_with(template: &str, parameters: &[serde_json::Value]) -> Prompt {
    let mut prompt = Prompt::text(id("greeting"), template);
    prompt.parameters = parameters.iter().cloned().map(parameter).collect();
    prompt
}

fn string(name: &str) -> serde_json::Value {
    json!({"name": name, "type": "string"})
}

fn list_of(name: &str, items: serde_json::Value) -> serde_json::Value {
    json!({"name": name, "type": "list", "items": items})
}

fn render(template: &str, parameters: &[serde_json::Value], values: &Values) -> Result<String, RenderError> {
    CompiledPrompt::compile(&prompt_with(template, parameters), &[])
        .unwrap_or_else(|errors| panic!("{template}: {errors:#?}"))
        .render(values)
}

#[test]
fn text_and_variables_are_written_without_the_engine() {
    let values = vars! { name: "Ada", n: 3 };
    let n = json!({"name": "n", "type": "integer"});
    assert_eq!(
        render("Hello {{ name }}, {{n}} times.\n", &[string("name"), n], &values).unwrap(),
        "Hello Ada, 3 times.\n"
    );
}

#[test]
fn loops_conditions_and_filters_work_as_in_tera() {
    let template = "{% for item in items %}{{ loop.index }}. {{ item | upper }}{% if not loop.last %}, {% endif %}\
                    {% else %}nothing{% endfor %}";
    let items = list_of("items", json!({"type": "string"}));
    let values = vars! { items: ["a", "b"] };
    assert_eq!(render(template, std::slice::from_ref(&items), &values).unwrap(), "1. A, 2. B");
    assert_eq!(render(template, &[items], &vars! { items: Vec::<String>::new() }).unwrap(), "nothing");
}

#[test]
fn every_allowed_filter_and_operator_gives_what_tera_gives() {
    let cases = [
        ("{{ s | replace(from='a', to='b') | title }}", "Bnbnb"),
        ("{{ 'x y' | split(pat=' ') | join(sep='-') }}", "x-y"),
        ("{{ l | sort | join(sep=',') }}", "1,2,3"),
        ("{{ l | unique | length }}", "3"),
        ("{{ l[0] ~ '/' ~ l[-1] ~ s }}", "3/2anana"),
        ("{{ l[1:] }}{{ l[:1] }}{{ s[::2] }}", "[1, 2][3]aaa"),
        ("{{ s | indent(width=2, first=true) }}", "  anana"),
        ("{% set x = [1, 2, ...l] %}{{ x | length }}", "5"),
        ("{{ [i * 2 for i in l if i > 1] }}", "[6, 4]"),
        ("{% if 1 in l and s is containing(pat='nan') %}yes{% endif %}", "yes"),
        ("{% if l == [3, 1, 2] %}same{% else %}other{% endif %}", "same"),
        ("{% set t %}<{{ s }}>{% endset %}{{ t ~ t }}", "<anana><anana>"),
        ("{% filter upper %}{{ s }}!{% endfilter %}", "ANANA!"),
        ("{% for k, v in m %}{{ k }}={{ v }};{% endfor %}", "a=1;b=2;c=3;"),
        ("{{ m['b'] }}{{ m?.zzz is defined }}", "2false"),
        (
            "{{ o | group_by(attribute='k') }}",
            r#"{"z": [{"k": "z", "n": 1}, {"k": "z", "n": 3}], "a": [{"k": "a", "n": 2}]}"#,
        ),
        ("{% for i in range(end=3) %}{{ i }}{% endfor %}", "012"),
        ("{{ s | split(pat='n')[0] }}", "a"),
        ("{{ 'yes' if s else 'no' }}", "yes"),
        ("{{ nothing | default(value='-') }}", "-"),
        ("{{- s -}}  {# gone #}  {%- raw -%} {{ x }} {%- endraw %}", "anana{{ x }}"),
        ("{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "32"),
        ("{{ -l[0] | abs }} {{ 2 ** 3 }} {{ 7 // 2 }}", "3 8 3"),
        ("{% set_global g = s %}{{ g | first_letter }}", ""),
    ];
    let values = Values::from_json(
        json!({
            "s": "anana", "l": [3, 1, 2], "m": {"c": 3, "a": 1, "b": 2},
            "o": [{"k": "z", "n": 1}, {"k": "a", "n": 2}, {"k": "z", "n": 3}]
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let parameters = [
        string("s"),
        list_of("l", json!({"type": "integer"})),
        json!({"name": "m", "type": "object"}),
        list_of("o", json!({"type": "object"})),
        string("nothing"),
    ];
    for (template, expected) in cases {
        if expected.is_empty() {
            assert!(CompiledPrompt::compile(&prompt_with(template, &parameters), &[]).is_err());
            continue;
        }
        assert_eq!(render(template, &parameters, &values).unwrap(), expected, "{template}");
    }
}

//! Honest templates: what they render to, and what is said about mistakes in them.

use schemas::parameter::Parameter;
use schemas::prompt::{Content, Engine, Message, Partial, Prompt, Role};
use schemas::template::{
    CompiledPrompt, CompiledSet, RenderError, RenderedMessage, TemplateErrorCode, Values, check, extract,
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

#[test]
fn objects_are_walked_in_the_order_of_their_keys_whatever_they_came_in() {
    let map: std::collections::HashMap<String, i32> =
        ["q", "c", "x", "a", "m"].into_iter().map(|k| (k.to_owned(), 1)).collect();
    let object = json!({"name": "m", "type": "object"});
    for template in ["{% for k, v in m %}{{ k }}{% endfor %}", "{{ m | keys | join(sep='') }}"] {
        let shown = render(template, std::slice::from_ref(&object), &vars! { m: &map }).unwrap();
        assert_eq!(shown, "acmqx", "{template}");
    }
}

#[test]
fn a_default_stands_in_on_both_ways_and_inside_of_objects() {
    let parameters = [
        json!({"name": "tone", "type": "string", "default": "kind"}),
        json!({"name": "order", "type": "object", "properties": [
            {"name": "id", "type": "integer", "required": true},
            {"name": "currency", "type": "string", "default": "EUR"}
        ]}),
    ];
    let values = vars! { order: json!({"id": 7}) };
    for template in [
        "{{ tone }} {{ order.id }} {{ order.currency }}",
        "{% set t = tone %}{{ t }} {{ order.id }} {{ order.currency }}",
    ] {
        assert_eq!(render(template, &parameters, &values).unwrap(), "kind 7 EUR", "{template}");
    }
}

#[test]
fn an_undefined_value_is_an_error_at_its_place() {
    for template in ["line one\n  {{ name }}", "{% set a = 1 %}line one\n  {{ name }}"] {
        let error = render(template, &[string("name")], &Values::new()).unwrap_err();
        let RenderError::Template { place, message } = &error else { panic!("{error}") };
        assert_eq!((place.line, place.column), (2, 6), "{template:?}");
        assert!(message.starts_with("`name` has no value"), "{message}");
        assert!(error.to_string().starts_with("prompt greeting, line 2, column 6: "), "{error}");
    }
}

#[test]
fn places_behind_what_the_guard_wrote_are_the_authors_own() {
    let source = "{% for i in items %}{{ i | upper ~ i | lower ~ (name | trim) }}{% endfor %}\n{{ other }}";
    let parameters = [list_of("items", json!({"type": "string"})), string("name"), string("other")];
    let error = render(source, &parameters, &vars! { items: ["a"] }).unwrap_err();
    let RenderError::Template { place, .. } = error else { panic!("{error}") };
    let column = source.find("name").unwrap() + 1;
    assert_eq!((place.line, place.column), (1, column));
    let error = render(source, &parameters, &vars! { items: ["a"], name: "n" }).unwrap_err();
    let RenderError::Template { place, .. } = error else { panic!("{error}") };
    assert_eq!((place.line, place.column), (2, 4));
}

#[test]
fn mistakes_are_found_at_their_line_with_the_way_out() {
    let parameters = [string("name")];
    for (template, line, column, code, message) in [
        ("a\n{{ name | uper }}", 2, 11, TemplateErrorCode::UnknownFilter, "did you mean `upper`"),
        ("{{ name is strin }}", 1, 12, TemplateErrorCode::UnknownTest, "did you mean `string`"),
        ("{{ rang(end=1) }}{{ name }}", 1, 4, TemplateErrorCode::UnknownFunction, "did you mean `range`"),
        (
            "{{ name }} {{ nmae }}",
            1,
            15,
            TemplateErrorCode::UndeclaredParameter,
            "undeclared parameter `nmae`",
        ),
        ("ü{{ name", 1, 2, TemplateErrorCode::Syntax, "end it with `}}`"),
        ("{{ name }}\n{% if name %}", 2, 1, TemplateErrorCode::Syntax, "`if` is not closed"),
        ("{{ name }}{% endif %}", 1, 11, TemplateErrorCode::Syntax, "unknown tag `endif`"),
        ("{{ name + }}", 1, 11, TemplateErrorCode::Syntax, "the tag ends"),
        ("{{ name }}{{ 'abc }}", 1, 14, TemplateErrorCode::Syntax, "the string is not closed"),
        ("{{ name | default('x') }}", 1, 19, TemplateErrorCode::Syntax, "named argument"),
        ("{{ name }}{% include 'gone' %}", 1, 22, TemplateErrorCode::UnknownPartial, "no partial `gone`"),
        ("{{ name }}{{ loop.index }}", 1, 14, TemplateErrorCode::UndeclaredParameter, "inside of a `for`"),
    ] {
        let errors = check(&prompt_with(template, &parameters), &[]);
        let error = errors.first().unwrap_or_else(|| panic!("{template:?} has no error"));
        assert_eq!((error.line, error.column, error.code), (line, column, code), "{template:?}: {error}");
        assert!(error.message.contains(message), "{error}");
        assert_eq!(error.source_line, template.lines().nth(line - 1).unwrap());
    }
}

#[test]
fn a_declared_parameter_that_is_not_used_is_a_warning_and_compiles() {
    let prompt = prompt_with("Hello", &[string("name")]);
    let found = check(&prompt, &[]);
    assert_eq!(found.len(), 1);
    assert!(found[0].is_warning() && found[0].code == TemplateErrorCode::UnusedParameter);
    assert!(CompiledPrompt::compile(&prompt, &[]).is_ok());
}

#[test]
fn partials_are_included_with_their_own_errors_and_variables() {
    let parameters = [string("name"), list_of("items", json!({"type": "string"}))];
    let partials = [partial("greet/hello", "Hello {{ name }}{% include 'mark' %}"), partial("mark", "!")];
    let prompt = prompt_with(
        "{% include 'greet/hello' %}{% for i in items %}{% include 'mark' %}{% endfor %}",
        &parameters,
    );
    let compiled = CompiledPrompt::compile(&prompt, &partials).unwrap();
    assert_eq!(compiled.render(&vars! { name: "Ada", items: ["x", "y"] }).unwrap(), "Hello Ada!!!");

    let error = compiled.render(&vars! { items: ["x"] }).unwrap_err();
    let RenderError::Template { place, .. } = error else { panic!("{error}") };
    assert_eq!(place.partial, Some(id("greet/hello")));
    assert_eq!((place.line, place.column), (1, 10));

    let broken = [partial("greet/hello", "one\n{{ name | nope }}"), partial("mark", "")];
    let errors = check(&prompt, &broken);
    assert_eq!(errors[0].partial, Some(id("greet/hello")));
    assert_eq!((errors[0].line, errors[0].code), (2, TemplateErrorCode::UnknownFilter));

    let stranger = [partial("greet/hello", "{{ stranger }}"), partial("mark", "")];
    let errors = check(&prompt, &stranger);
    assert_eq!(errors[0].code, TemplateErrorCode::UndeclaredParameter);
    assert!(errors[0].message.contains("this partial uses `stranger`"), "{}", errors[0]);
}

#[test]
fn a_partial_sees_what_the_template_set_and_not_the_other_way_round() {
    let parameters = [list_of("items", json!({"type": "string"}))];
    let partials = [partial("line", "{{ i }}-{{ title }};{% set title = 'no' %}")];
    let prompt = prompt_with(
        "{% set title = 'T' %}{% for i in items %}{% include 'line' %}{% endfor %}{{ title }}",
        &parameters,
    );
    let compiled = CompiledPrompt::compile(&prompt, &partials).unwrap();
    assert_eq!(compiled.render(&vars! { items: ["a", "b"] }).unwrap(), "a-T;b-T;T");
}

#[test]
fn plain_text_keeps_its_braces() {
    let mut prompt = Prompt::text(id("json"), "Answer as {{\"name\": …}} {% and %}");
    prompt.engine = Engine::Plain;
    let compiled = CompiledPrompt::compile(&prompt, &[]).unwrap();
    assert_eq!(compiled.render(&Values::new()).unwrap(), "Answer as {{\"name\": …}} {% and %}");
}

#[test]
fn a_chat_is_rendered_message_by_message_with_the_history_in_its_place() {
    let message = |role, template: &str| Message::Message { role, template: template.into() };
    let mut prompt = prompt_with("", &[string("name"), list_of("facts", json!({"type": "string"}))]);
    prompt.content = Content::Chat {
        messages: vec![
            message(Role::System, "You help {{ name }}."),
            Message::Placeholder { name: "history".into() },
            message(Role::User, "{% for f in facts %}{{ f | upper }} {% endfor %}"),
        ],
    };
    let compiled = CompiledPrompt::compile(&prompt, &[]).unwrap();
    let values = vars! { name: "Ada", facts: ["a", "b"] };
    let past = [RenderedMessage::new(Role::Assistant, "{{ as it was }}")];
    let shown = compiled.render_messages(&values, &[("history", &past)]).unwrap();
    let texts: Vec<&str> = shown.iter().map(|m| m.content.as_str()).collect();
    assert_eq!(texts, ["You help Ada.", "{{ as it was }}", "A B "]);
    assert_eq!(shown[1].role, Role::Assistant);
    assert_eq!(compiled.render_messages(&values, &[]).unwrap().len(), 2);
    assert!(matches!(compiled.render(&values), Err(RenderError::IsChat { .. })));
    let error = compiled.render_messages(&values, &[("past", &past)]).unwrap_err();
    assert!(matches!(error, RenderError::UnknownPlaceholder { .. }));

    let error = compiled.render_messages(&vars! { name: "Ada" }, &[]).unwrap_err();
    let RenderError::Template { place, .. } = error else { panic!("{error}") };
    assert_eq!(place.message_index, Some(2));
    let text = CompiledPrompt::compile(&Prompt::text(id("t"), "text"), &[]).unwrap();
    assert!(matches!(text.render_messages(&Values::new(), &[]), Err(RenderError::IsText { .. })));
}

#[test]
fn no_error_repeats_a_value() {
    let secret = "s3cr3t-value";
    let parameters = [string("s"), json!({"name": "m", "type": "object"})];
    for template in [
        "{{ s | int }}",
        "{{ s | float }}",
        "{{ s + 1 }}",
        "{{ s < 1 }}",
        "{{ throw(message=s) }}",
        "{{ m.gone }}",
        "{{ m | get(key='gone') }}",
        "{{ m | get(key=s ~ s) }}",
        "{% for x in m.k.q %}{% endfor %}",
        "{{ s | round(method=s) }}",
        "{{ s[s] }}",
        "{% for k, v in s %}{% endfor %}",
        "{{ 1 in s.x }}",
        "{{ [1] | sort(attribute=s) }}",
        "{{ gone.a }}",
        "{{ s | truncate(length=s) }}",
        "{{ 1.5 is odd }}{{ s is odd }}",
    ] {
        let parameters = [&parameters[..], &[string("gone")]].concat();
        let error =
            render(template, &parameters, &vars! { s: secret, m: json!({secret: secret, "k": secret}) })
                .unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains(secret), "{template}: {said}");
    }
}

#[test]
fn variables_are_extracted_in_the_order_of_their_use() {
    let names = |template: &str| extract(template).unwrap();
    assert_eq!(names("{{ b }}{{ a.x[c] | default(value=d) }}{{ b }}"), ["b", "a", "c", "d"]);
    assert_eq!(
        names(
            "{% for k, v in m %}{{ k }}{{ v }}{{ loop.index }}{{ w }}{% set t = q %}{{ t }}{% endfor %}{{ t }}"
        ),
        ["m", "w", "q", "t"]
    );
    assert_eq!(
        names("{% set x = y %}{{ x }}{{ [z for z in l if z != n] }}{% set u %}{{ i }}{% endset %}{{ u }}"),
        ["y", "l", "n", "i"]
    );
    assert_eq!(names("plain { text }"), Vec::<String>::new());
    assert_eq!(extract("{{ a\n b }}").unwrap_err().line, 2);
}

#[test]
fn a_thousand_prompts_compile_in_no_time() {
    let template = "You help {{ name }}.\n".repeat(20)
        + "{% for i in items %}{{ loop.index }}. {{ i | trim }}\n{% endfor %}";
    let parameters = [string("name"), list_of("items", json!({"type": "string"}))];
    let bundle = schemas::bundle::Bundle {
        schema_version: 1,
        organisation: "acme".parse().unwrap(),
        project: "support".parse().unwrap(),
        set: "chat".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        prompts: (0..1_000)
            .map(|n| Prompt { id: id(&format!("p{n}")), ..prompt_with(&template, &parameters) })
            .collect(),
        partials: Vec::new(),
        dependencies: Vec::new(),
    };
    let started = std::time::Instant::now();
    let set = CompiledSet::compile(&bundle).unwrap();
    assert_eq!(set.len(), 1_000);
    assert!(set.get("p7").is_some() && set.get("p1000").is_none());
    // The aim with optimisation is 50 ms; without it, and on a busy machine, only that it comes to an end.
    assert!(started.elapsed() < std::time::Duration::from_secs(120), "took {:?}", started.elapsed());
}

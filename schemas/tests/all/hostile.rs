//! Hostile templates: each is refused when it is compiled, or stopped when it is rendered.

use std::time::{Duration, Instant};

use schemas::prompt::{Partial, Prompt};
use schemas::template::{CompiledPrompt, Limit, OUTPUT_MAX, RenderError, TemplateErrorCode, Values, check};
use schemas::vars;
use serde_json::json;

use crate::render::{partial, prompt_with};

/// Far more than any of these takes, even on a slow and busy machine without optimisation.
const PATIENCE: Duration = Duration::from_secs(120);

fn prompt(template: &str) -> Prompt {
    prompt_with(
        template,
        &[
            json!({"name": "x", "type": "string"}),
            json!({"name": "big", "type": "list", "items": {"type": "integer"}}),
            json!({"name": "text", "type": "string"}),
        ],
    )
}

fn values() -> Values {
    vars! { x: "x", big: (0..10_000).collect::<Vec<i64>>(), text: "lorem ipsum ".repeat(20_000) }
}

/// The code of the first error, where the template is refused.
fn refused(template: &str, partials: &[Partial]) -> Option<TemplateErrorCode> {
    let started = Instant::now();
    let found = CompiledPrompt::compile(&prompt(template), partials).err();
    assert!(started.elapsed() < PATIENCE, "took {:?}", started.elapsed());
    found.map(|errors| errors[0].code)
}

/// What stops it, where it compiles and does not come to an end within its bounds.
fn stopped(template: &str, partials: &[Partial]) -> Limit {
    let compiled =
        CompiledPrompt::compile(&prompt(template), partials).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let started = Instant::now();
    let mut out = "kept".to_owned();
    let error = compiled.render_to(&values(), &mut out).expect_err("it has to be stopped");
    assert!(started.elapsed() < PATIENCE, "took {:?}", started.elapsed());
    assert_eq!(out, "kept", "nothing of a stopped render is left behind");
    match error {
        RenderError::Limit { limit, .. } => limit,
        other => panic!("{other}"),
    }
}

#[test]
fn deep_nesting_is_refused_before_it_reaches_the_engine() {
    for (open, close) in [
        ("{% if x %}", "{% endif %}"),
        ("{% for i in big %}", "{% endfor %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% set a %}", "{% endset %}"),
    ] {
        for depth in [39, 90, 101, 1_900] {
            let template = format!("{}a{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(refused(&template, &[]), Some(TemplateErrorCode::TooComplex), "{open} {depth}");
        }
    }
    for (open, inner, close) in [("(", "1", ")"), ("[", "1", "]"), ("x[", "0", "]"), ("not (", "x", ")")] {
        for depth in [41, 130] {
            let template = format!("{{{{ {}{inner}{} }}}}", open.repeat(depth), close.repeat(depth));
            assert!(refused(&template, &[]).is_some(), "{open} {depth}");
        }
    }
}

#[test]
fn endless_chains_are_refused() {
    let or = format!("{{{{ x{} }}}}", " or x".repeat(100_000));
    assert_eq!(refused(&or, &[]), Some(TemplateErrorCode::TooLong));
    let or = format!("{{{{ x{} }}}}", " or x".repeat(10_000));
    assert_eq!(refused(&or, &[]), Some(TemplateErrorCode::TooComplex));
    for (operator, count) in [(" + 1", 300), (" ~ x", 33), ("|upper", 300), ("[0]", 300), (".a", 390)] {
        let template = format!("{{{{ x{} }}}}", operator.repeat(count));
        assert!(refused(&template, &[]).is_some(), "{operator}");
    }
    let elif = format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}".repeat(100_000));
    assert_eq!(refused(&elif, &[]), Some(TemplateErrorCode::TooLong));
    let elif = format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}".repeat(3_900));
    assert_eq!(refused(&elif, &[]), Some(TemplateErrorCode::TooComplex));
    assert!(refused(&"{{".repeat(32 * 1024), &[]).is_some(), "64 KiB of open braces");
    assert!(refused(&"{{".repeat(128 * 1024), &[]).is_some(), "256 KiB of open braces");
    assert!(refused(&"{".repeat(64 * 1024), &[]).is_some());
    assert!(refused(&"{{x}}".repeat(4_001), &[]).is_some());
    assert!(refused(&"{%".repeat(32 * 1024), &[]).is_some());
    assert!(refused(&"{# ".repeat(20_000), &[]).is_some());
}

#[test]
fn includes_that_never_end_or_grow_too_large_are_refused() {
    let cycle = [partial("a", "{% include 'b' %}"), partial("b", "{% include 'a' %}")];
    assert_eq!(refused("{% include 'a' %}", &cycle), Some(TemplateErrorCode::IncludeCycle));
    let own = [partial("a", "{% if x %}{% include 'a' %}{% endif %}")];
    assert_eq!(refused("{% include 'a' %}", &own), Some(TemplateErrorCode::IncludeCycle));

    let mut chain: Vec<Partial> =
        (0..3_000).map(|n| partial(&format!("p{n}"), format!("{{% include 'p{}' %}}", n + 1))).collect();
    chain.push(partial("p3000", "end"));
    assert_eq!(refused("{% include 'p0' %}", &chain), Some(TemplateErrorCode::TooComplex));

    for leaf in ["boom", ""] {
        let mut bomb: Vec<Partial> = (0..10)
            .map(|n| partial(&format!("p{n}"), format!("{{% include 'p{}' %}}", n + 1).repeat(10)))
            .collect();
        bomb.push(partial("p10", leaf));
        assert_eq!(refused("{% include 'p0' %}", &bomb), Some(TemplateErrorCode::TooComplex), "{leaf:?}");
    }
    assert_eq!(refused("{% include 'nowhere' %}", &[]), Some(TemplateErrorCode::UnknownPartial));
    assert_eq!(refused("{% include '../../etc/passwd' %}", &[]), Some(TemplateErrorCode::UnknownPartial));
    assert_eq!(refused("{% include x %}", &[]), Some(TemplateErrorCode::Syntax));
}

#[test]
fn what_reaches_around_the_bounds_is_not_allowed() {
    for template in [
        "{% extends 'a' %}",
        "{% block a %}{% endblock %}",
        "{% component a() %}{{ <a/> }}{% endcomponent a %}",
        "{{ <a/> }}",
        "{% <a> %}x{% </a> %}",
        "{{ __tera_context }}",
        "{% set __w = 1 %}",
        "{{ x | __w }}",
        "{{ x | __l1 }}",
        "{{ x | default(__v=1) }}",
    ] {
        assert_eq!(refused(template, &[]), Some(TemplateErrorCode::Forbidden), "{template}");
    }
    for (template, code) in [
        ("{{ get_env(name='HOME') }}", TemplateErrorCode::UnknownFunction),
        ("{{ super() }}", TemplateErrorCode::UnknownFunction),
        ("{{ now() }}", TemplateErrorCode::UnknownFunction),
        ("{{ x | filesizeformat }}", TemplateErrorCode::UnknownFilter),
        ("{{ x is matching(pat='a') }}", TemplateErrorCode::UnknownTest),
    ] {
        assert_eq!(refused(template, &[]), Some(code), "{template}");
    }
}

#[test]
fn loops_end_with_the_budget() {
    for template in [
        "{{ range(end=1000000000) }}",
        "{% for i in range(end=1000000000) %}{% endfor %}",
        "{% for i in range(end=10000) %}{% for j in range(end=10000) %}{% endfor %}{% endfor %}",
        "{% for i in big %}{% for j in big %}{% endfor %}{% endfor %}",
        "{% for i in big %}{% for j in big %}{% if x %}{% endif %}{% endfor %}{% endfor %}",
        "{{ [[i for i in big] for j in big] | length }}",
        "{% for i in big %}{% if i in big %}{% endif %}{% endfor %}",
        "{% for i in big %}{% if big == big %}{% endif %}{% endfor %}",
        "{% for i in big %}{% set a = text | upper %}{% endfor %}",
        "{% for i in big %}{% set a = text[i] %}{% endfor %}",
        "{% for i in big %}{% set a = big[:-1] %}{% endfor %}",
        "{% for i in big %}{% set a = [...big] %}{% endfor %}",
        "{% for i in big %}{% if text is containing(pat='zzz') %}{% endif %}{% endfor %}",
        "{% for i in big %}{% set a = big | sort %}{% endfor %}",
        "{% for i in big %}{% set a = big | unique %}{% endfor %}",
        "{% for i in big %}{% for c in text %}{% endfor %}{% endfor %}",
        "{% for i in big %}{% include 'loop' %}{% endfor %}",
    ] {
        let loops = [partial("loop", "{% for j in big %}{% if j %}{% endif %}{% endfor %}")];
        assert_eq!(stopped(template, &loops), Limit::Work, "{template}");
    }
}

#[test]
fn a_loop_depth_that_multiplies_is_refused_through_partials_too() {
    let open = "{% for i in big %}";
    let close = "{% endfor %}";
    let deep = format!("{}{}", open.repeat(9), close.repeat(9));
    assert_eq!(refused(&deep, &[]), Some(TemplateErrorCode::TooComplex));
    let inner = partial("inner", format!("{}{}", open.repeat(5), close.repeat(5)));
    let outer = format!("{}{{% include 'inner' %}}{}", open.repeat(5), close.repeat(5));
    assert_eq!(refused(&outer, &[inner]), Some(TemplateErrorCode::TooComplex));
}

#[test]
fn values_that_double_are_stopped() {
    for (template, expected) in [
        // Text that is doubled by `~`, in a captured block, and through a partial.
        (format!("{{% set a = text %}}{}{{{{ a | length }}}}", "{% set a = a ~ a %}".repeat(40)), None),
        (format!("{{% set a = text %}}{}", "{% set a %}{{ a }}{{ a }}{% endset %}".repeat(40)), None),
        (format!("{{% set a = text %}}{}", "{% set a %}{% include 'twice' %}{% endset %}".repeat(40)), None),
        (format!("{{% set a = text %}}{}", "{% filter upper %}{{ text }}{% endfilter %}".repeat(90)), None),
        // Lists that share themselves, printed, compared or only kept.
        (format!("{{% set a = [1] %}}{}", "{% set a = [a, a] %}".repeat(40)), Some(Limit::Work)),
        (format!("{{% set a = [1] %}}{}", "{% set a = [...a, ...a] %}".repeat(40)), Some(Limit::Work)),
        (format!("{{% set a = {{}} %}}{}", "{% set a = {'a': a, 'b': a} %}".repeat(40)), Some(Limit::Work)),
        // Lists in lists in lists.
        ("{% set a = 1 %}{% for i in big %}{% set_global a = [a | default(value=1)] %}{% endfor %}".into(), Some(Limit::Depth)),
        (
            "{% set a = 1 %}{% for i in big %}{% for b in [[a]] %}{% set_global a = b %}{% endfor %}{% endfor %}".into(),
            Some(Limit::Depth),
        ),
        // Filters that make much of little.
        ("{{ text | replace(from='', to=text) }}".into(), Some(Limit::Text)),
        ("{{ text | replace(from='o', to=text) | length }}".into(), Some(Limit::Text)),
        ("{{ text | replace(from=' ', to='\n') | indent(width=1000) | length }}".into(), Some(Limit::Text)),
        ("{{ big | join(sep=text) | length }}".into(), Some(Limit::Text)),
        ("{{ text | split(pat='') | length }}".into(), Some(Limit::Text)),
        ("{{ text ~ text ~ text ~ text }}{{ text }}".into(), Some(Limit::Output)),
    ] {
        let twice = [partial("twice", "{{ a }}{{ a }}")];
        let limit = stopped(&template, &twice);
        assert!(expected.is_none_or(|expected| expected == limit), "{limit:?} {template}");
    }
}

#[test]
fn the_output_is_bounded_on_both_ways_to_it() {
    let compiled = |template: &str| CompiledPrompt::compile(&prompt(template), &[]).unwrap();
    for template in [
        "{{ text }}{{ text }}{{ text }}{{ text }}{{ text }}",
        "{% set a = 1 %}{% for i in big %}{{ text }}{% endfor %}",
    ] {
        let error = compiled(template).render(&values()).unwrap_err();
        assert!(matches!(error, RenderError::Limit { limit: Limit::Output, .. }), "{error}");
    }
    let fits = compiled("{{ text }}{{ text }}").render(&values()).unwrap();
    assert!(fits.len() < OUTPUT_MAX);
}

#[test]
fn a_value_is_never_read_as_a_template() {
    for value in ["{{ x }}", "{% include 'a' %}", "{# #}", "{% raw %}", "__tera_context"] {
        for template in ["{{ x }}", "{{ x | upper | lower }}", "{% set a %}{{ x }}{% endset %}{{ a }}"] {
            let shown = CompiledPrompt::compile(&prompt(template), &[]).unwrap().render(&vars! { x: value });
            let expected = if template.contains("upper") { value.to_lowercase() } else { value.to_owned() };
            assert_eq!(shown.unwrap(), expected);
        }
    }
}

#[test]
fn a_prompt_that_was_stopped_works_again() {
    let compiled =
        CompiledPrompt::compile(&prompt("{% for i in big %}{{ text | upper | length }}{% endfor %}"), &[])
            .unwrap();
    for _ in 0..3 {
        assert!(compiled.render(&values()).is_err());
        let few = vars! { big: [1, 2], text: "abc" };
        assert_eq!(compiled.render(&few).unwrap(), "33");
    }
}

#[test]
fn hostile_sources_are_refused_by_the_editors_check_too() {
    assert!(check(&prompt("{{ x | nope }}"), &[]).iter().any(|e| e.code == TemplateErrorCode::UnknownFilter));
    assert!(check(&prompt(&"{% if x %}".repeat(2_000)), &[])[0].code == TemplateErrorCode::TooComplex);
}

#[test]
fn values_too_deep_or_too_large_are_refused() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let compiled = CompiledPrompt::compile(&prompt("{{ x }}"), &[]).unwrap();
    for values in [vars! { x: deep }, vars! { x: "a".repeat(5 * 1024 * 1024) }] {
        let error = compiled.render(&values).unwrap_err();
        assert!(matches!(error, RenderError::Values { .. }), "{error}");
    }
}

#[test]
fn the_short_way_pays_for_what_it_looks_at() {
    let loops =
        |body: &str| format!("{{% for i in big %}}{{% for j in big %}}{body}{{% endfor %}}{{% endfor %}}");
    let many = "{% if x %}{% endif %}".repeat(1_000);
    for body in [
        format!("{{% if x %}}{many}{{% endif %}}"),
        format!("{{% if x == '{}' %}}{{% endif %}}", "x".repeat(30_000)),
        format!("{{% if {} %}}{{% endif %}}", vec!["text"; 90].join(" and ")),
        "{% for c in text %}{% endfor %}".into(),
    ] {
        assert_eq!(stopped(&loops(&body), &[]), Limit::Work);
    }
}

#[test]
fn many_errors_in_one_long_line_stay_small() {
    let undeclared: String = (0..3_000).map(|at| format!("{{{{ undeclared_{at} }}}}")).collect();
    let filters = format!("{{{{ x{} }}}}", " | nope".repeat(100)).repeat(300);
    for template in [undeclared, filters] {
        let errors = check(&prompt(&template), &[]);
        assert!((1..=110).contains(&errors.len()), "{} errors", errors.len());
        assert!(errors.iter().all(|error| error.source_line.chars().count() <= 1_000));
    }
}

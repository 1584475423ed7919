//! The cases, by the construct that they abuse. Each construct stands in the second line, so that a reason
//! that points to the first is noticed.

use schemas::PromptId;
use schemas::prompt::Partial;
use schemas::template::{Limit, TemplateErrorCode as Code};

use super::{Case, Expected};

const HEAD: &str = "An honest line.\n";
const WORK: &[Limit] = &[Limit::Work];
const TEXT: &[Limit] = &[Limit::Text];
const COMPLEX: &[Code] = &[Code::TooComplex];
const EITHER: &[Code] = &[Code::TooComplex, Code::TooLong];

/// A construct, and its cases.
pub type Group = (&'static str, fn() -> Vec<Case>);

/// Every construct.
pub const GROUPS: &[Group] = &[
    ("deeply nested blocks", deeply_nested_blocks),
    ("deeply nested expressions", deeply_nested_expressions),
    ("operator chains", operator_chains),
    ("elif chains", elif_chains),
    ("endless ranges", endless_ranges),
    ("loops in loops", loops_in_loops),
    ("include cycles", include_cycles),
    ("include chains", include_chains),
    ("include bombs", include_bombs),
    ("component recursion", component_recursion),
    ("text doubled by set", text_doubled_by_set),
    ("lists doubled by set", lists_doubled_by_set),
    ("replace and indent bombs", replace_and_indent_bombs),
    ("captured blocks doubled", captured_blocks_doubled),
    ("open braces", open_braces),
    ("the engine's own context", the_engines_own_context),
    ("values that hold templates", values_that_hold_templates),
];

/// Every case of every construct.
pub fn all() -> impl Iterator<Item = (&'static str, Case)> {
    GROUPS.iter().flat_map(|(group, cases)| cases().into_iter().map(|case| (*group, case)))
}

fn case(name: impl Into<String>, body: &str, expected: Expected) -> Case {
    Case { name: name.into(), template: format!("{HEAD}{body}"), partials: Vec::new(), expected }
}

fn with(mut case: Case, partials: Vec<Partial>) -> Case {
    case.partials = partials;
    case
}

fn partial(name: impl AsRef<str>, source: impl Into<String>) -> Partial {
    Partial { name: PromptId::new(name.as_ref()).expect("an id"), source: source.into() }
}

/// Refused in the second line, unless the whole is too long, which is said of the first.
fn refused(name: impl Into<String>, body: &str, codes: &'static [Code], says: &'static str) -> Case {
    let (codes, says, line) = if HEAD.len() + body.len() > schemas::template::SOURCE_MAX {
        (EITHER, "bytes; at most", 1)
    } else {
        (codes, says, 2)
    };
    case(name, body, Expected::Refused { codes, says, line })
}

fn stopped(body: impl AsRef<str>, limits: &'static [Limit]) -> Case {
    let name: String = body.as_ref().chars().take(100).collect();
    case(name, body.as_ref(), Expected::Stopped(limits))
}

pub fn deeply_nested_blocks() -> Vec<Case> {
    let blocks = [
        ("{% if x %}", "{% endif %}"),
        ("{% for i in big %}", "{% endfor %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% if x %}{% for i in big %}", "{% endfor %}{% endif %}"),
    ];
    let mut cases = Vec::new();
    for (open, close) in blocks {
        for depth in [39, 101, 1_000, 100_000] {
            let body = format!("{}a{}", open.repeat(depth), close.repeat(depth));
            cases.push(refused(format!("{open} {depth} deep"), &body, COMPLEX, "nested"));
            cases.push(refused(
                format!("{open} {depth} deep, never closed"),
                &open.repeat(depth),
                COMPLEX,
                "nested",
            ));
        }
    }
    cases
}

pub fn deeply_nested_expressions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (open, inner, close) in
        [("(", "1", ")"), ("[", "1", "]"), ("{'a':", "1", "}"), ("x | default(value=", "1", ")")]
    {
        for depth in [45, 90, 10_000] {
            let body = format!("{{{{ {}{inner}{} }}}}", open.repeat(depth), close.repeat(depth));
            cases.push(refused(format!("{open} {depth} deep"), &body, COMPLEX, ""));
        }
    }
    cases
}

pub fn operator_chains() -> Vec<Case> {
    let operators = [
        " or x",
        " and x",
        " + 1",
        " - 1",
        " * 1",
        " / 1",
        " // 1",
        " % 1",
        " ** 1",
        " ~ x",
        " == x",
        " < 1",
        " in big",
        " is defined",
        " if x else x",
        "|upper",
        "[0]",
        ".a",
        "[:1]",
    ];
    let mut cases = Vec::new();
    for operator in operators {
        for count in [100_000, 10_000, 400] {
            let body = format!("{{{{ x{} }}}}", operator.repeat(count));
            cases.push(refused(format!("`{operator}` {count} times"), &body, COMPLEX, "the tag is too long"));
            let body = format!("{{% if x{} %}}a{{% endif %}}", operator.repeat(count));
            cases.push(refused(
                format!("`{operator}` {count} times in an if"),
                &body,
                COMPLEX,
                "the tag is too long",
            ));
        }
    }
    for operator in ["not ", "-"] {
        let body = format!("{{{{ {}x }}}}", operator.repeat(100_000));
        cases.push(refused(format!("`{operator}` 100000 times"), &body, COMPLEX, "the tag is too long"));
    }
    cases
}

pub fn elif_chains() -> Vec<Case> {
    [100_000, 20_000, 101]
        .into_iter()
        .map(|count| {
            let body = format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}".repeat(count));
            refused(format!("{count} elif"), &body, COMPLEX, "`elif`")
        })
        .collect()
}

pub fn endless_ranges() -> Vec<Case> {
    [
        "{{ range(end=1000000000) }}",
        "{{ range(end=1000000000) | length }}",
        "{{ range(start=0, end=1000000000, step_by=1) }}",
        "{% for i in range(end=1000000000) %}{% endfor %}",
        "{% for i in range(end=1000000000) %}{{ i }}{% endfor %}",
        "{% set a = range(end=1000000000) %}",
    ]
    .into_iter()
    .map(|body| stopped(body, WORK))
    .collect()
}

pub fn loops_in_loops() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "{% for i in big %}{% for j in big %}{% endfor %}{% endfor %}",
        "{% for i in big %}{% for j in big %}{{ j }}{% endfor %}{% endfor %}",
        "{% for i in big %}{% for j in big %}{% for k in big %}{% if x %}{% endif %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for i in range(end=10000) %}{% for j in range(end=10000) %}{% endfor %}{% endfor %}",
        "{{ [[i for i in big] for j in big] | length }}",
        "{% for i in big %}{% if i in big %}{% endif %}{% endfor %}",
        "{% for i in big %}{% if big == big %}{% endif %}{% endfor %}",
        "{% for i in big %}{% set a = text | upper %}{% endfor %}",
        "{% for i in big %}{% set a = big | sort %}{% endfor %}",
        "{% for i in big %}{% for c in text %}{% endfor %}{% endfor %}",
    ]
    .into_iter()
    .map(|body| stopped(body, &[Limit::Work, Limit::Output]))
    .collect();
    let loops = vec![partial("loop", "{% for j in big %}{% if j %}{% endif %}{% endfor %}")];
    cases.push(with(stopped("{% for i in big %}{% include 'loop' %}{% endfor %}", WORK), loops));
    let deep = format!("{}{}", "{% for i in big %}".repeat(9), "{% endfor %}".repeat(9));
    cases.push(refused("nine loops in one another", &deep, COMPLEX, "loops in one another"));
    cases
}

fn include(name: &str) -> String {
    format!("{{% include '{name}' %}}")
}

pub fn include_cycles() -> Vec<Case> {
    const CYCLE: &[Code] = &[Code::IncludeCycle];
    let cycle = |name: &str, partials: Vec<Partial>| {
        let expected = Expected::Refused { codes: CYCLE, says: "includes itself", line: 1 };
        with(case(name, &include("p0"), expected), partials)
    };
    let ring = |length: usize| -> Vec<Partial> {
        (0..length).map(|n| partial(format!("p{n}"), include(&format!("p{}", (n + 1) % length)))).collect()
    };
    let mut cases = vec![
        cycle("a partial in itself", ring(1)),
        cycle(
            "a partial in itself, under a condition",
            vec![partial("p0", format!("{{% if x %}}{}{{% endif %}}", include("p0")))],
        ),
        cycle("two in one another", ring(2)),
        cycle("a ring of 16", ring(16)),
    ];
    let long = Expected::Refused { codes: COMPLEX, says: "includes are more than", line: 1 };
    cases.push(with(case("a ring of 3,000", &include("p0"), long), ring(3_000)));
    cases
}

pub fn include_chains() -> Vec<Case> {
    [17, 100, 3_000]
        .into_iter()
        .map(|length| {
            let mut chain: Vec<Partial> =
                (0..length).map(|n| partial(format!("p{n}"), include(&format!("p{}", n + 1)))).collect();
            chain.push(partial(format!("p{length}"), "end"));
            let expected = Expected::Refused { codes: COMPLEX, says: "includes are more than", line: 1 };
            with(case(format!("a chain of {length}"), &include("p0"), expected), chain)
        })
        .collect()
}

pub fn include_bombs() -> Vec<Case> {
    let bomb = |leaf: &str| {
        let mut levels: Vec<Partial> =
            (0..10).map(|n| partial(format!("p{n}"), include(&format!("p{}", n + 1)).repeat(10))).collect();
        levels.push(partial("p10", leaf));
        levels
    };
    let expected = Expected::Refused { codes: COMPLEX, says: "what it includes cost more", line: 1 };
    ["boom", "", "{{ x }}"]
        .into_iter()
        .map(|leaf| {
            with(
                case(format!("ten levels of ten, {leaf:?} below"), &include("p0"), expected.clone()),
                bomb(leaf),
            )
        })
        .collect()
}

pub fn component_recursion() -> Vec<Case> {
    const FORBIDDEN: &[Code] = &[Code::Forbidden];
    let mut cases: Vec<Case> = [
        ("straight", "{% component a() %}{{ <a/> }}{% endcomponent a %}{{ <a/> }}"),
        ("branching", "{% component a() %}{{ <a/> }}{{ <a/> }}{% endcomponent a %}{{ <a/> }}"),
        ("in one another", "{% component a() %}{{ <b/> }}{% endcomponent a %}{% component b() %}{{ <a/> }}{% endcomponent b %}"),
        ("with a body", "{% <a> %}{% <a> %}x{% </a> %}{% </a> %}"),
        ("called only", "{{ <a/> }}"),
    ]
    .into_iter()
    .map(|(name, body)| refused(name, body, FORBIDDEN, "component"))
    .collect();
    let hidden = vec![partial("p0", "{% component a() %}{{ <a/> }}{% endcomponent a %}{{ <a/> }}")];
    let expected = Expected::Refused { codes: FORBIDDEN, says: "component", line: 1 };
    cases.push(with(case("in a partial", &include("p0"), expected), hidden));
    cases
}

pub fn text_doubled_by_set() -> Vec<Case> {
    const GROWS: &[Limit] = &[Limit::Text, Limit::Work];
    vec![
        stopped(format!("{{% set a = text %}}{}", "{% set a = a ~ a %}".repeat(40)), GROWS),
        stopped(format!("{{% set a = 'ab' %}}{}{{{{ a }}}}", "{% set a = a ~ a %}".repeat(60)), GROWS),
        stopped("{% set a = 'ab' %}{% for i in big %}{% set_global a = a ~ a %}{% endfor %}", GROWS),
        stopped("{% set a = x %}{% for i in big %}{% set_global a = a ~ text %}{% endfor %}", GROWS),
        stopped(
            "{% set a = x %}{% for i in big %}{% set_global a = [a, a] | join(sep=a) %}{% endfor %}",
            GROWS,
        ),
    ]
}

pub fn lists_doubled_by_set() -> Vec<Case> {
    const GROWS: &[Limit] = &[Limit::Depth, Limit::Work];
    vec![
        stopped(format!("{{% set a = [1] %}}{}", "{% set a = [a, a] %}".repeat(40)), GROWS),
        stopped(format!("{{% set a = [1] %}}{}", "{% set a = [...a, ...a] %}".repeat(40)), GROWS),
        stopped(format!("{{% set a = {{}} %}}{}", "{% set a = {'a': a, 'b': a} %}".repeat(40)), GROWS),
        stopped("{% set a = [1] %}{% for i in big %}{% set_global a = [...a, ...a] %}{% endfor %}", GROWS),
        stopped("{% set a = [1] %}{% for i in big %}{% set_global a = [a, a, a] %}{% endfor %}", GROWS),
        stopped(
            "{% set a = 1 %}{% for i in big %}{% for b in [[a]] %}{% set_global a = b %}{% endfor %}{% endfor %}",
            GROWS,
        ),
    ]
}

pub fn replace_and_indent_bombs() -> Vec<Case> {
    vec![
        stopped("{{ text | replace(from='', to=text) }}", TEXT),
        stopped("{{ text | replace(from='o', to=text) | length }}", TEXT),
        stopped(
            format!(
                "{{% set a = 'aa' %}}{}",
                "{% set a = a | replace(from='a', to='aaaaaaaa') %}".repeat(30)
            ),
            &[Limit::Text, Limit::Work],
        ),
        stopped("{{ text | replace(from=' ', to='\n') | indent(width=1000) | length }}", TEXT),
        stopped("{{ text | replace(from=' ', to='\n') | indent(width=1000000000) | length }}", TEXT),
        // The engine takes no more than 1,000.
        case(
            "a width of 1,000,000,000",
            "{{ 'a\nb' | indent(width=1000000000) }}",
            Expected::Served(format!("{HEAD}a\n{}b", " ".repeat(1_000))),
        ),
        stopped("{{ big | join(sep=text) | length }}", TEXT),
        stopped("{{ text | split(pat='') | length }}", TEXT),
    ]
}

pub fn captured_blocks_doubled() -> Vec<Case> {
    const GROWS: &[Limit] = &[Limit::Text, Limit::Work];
    let twice = vec![partial("twice", "{{ a }}{{ a }}")];
    vec![
        stopped(format!("{{% set a = text %}}{}", "{% set a %}{{ a }}{{ a }}{% endset %}".repeat(40)), GROWS),
        stopped(format!("{{% set a = 'ab' %}}{}", "{% set a %}{{ a }}{{ a }}{% endset %}".repeat(60)), GROWS),
        with(
            stopped(
                format!("{{% set a = text %}}{}", "{% set a %}{% include 'twice' %}{% endset %}".repeat(40)),
                GROWS,
            ),
            twice,
        ),
        stopped(
            "{% set a = 'ab' %}{% for i in big %}{% set_global a %}{{ a }}{{ a }}{% endset %}{% endfor %}",
            GROWS,
        ),
        stopped("{% filter upper %}{% for i in big %}{{ text }}{% endfor %}{% endfilter %}", GROWS),
    ]
}

pub fn open_braces() -> Vec<Case> {
    const ANY: &[Code] = &[Code::Syntax, Code::TooComplex];
    ["{", "{{", "{%", "{#", "{{-", "{% raw %}", "{{ (", "{{ '", "{{{"]
        .into_iter()
        .map(|braces| {
            refused(format!("64 KiB of {braces}"), &braces.repeat(64 * 1024 / braces.len()), ANY, "")
        })
        .chain(std::iter::once({
            let closing = "}}".repeat(32 * 1024);
            let text = format!("{HEAD}{closing}");
            case("64 KiB of closing braces, which are text", &closing, Expected::Served(text))
        }))
        .collect()
}

pub fn the_engines_own_context() -> Vec<Case> {
    [
        "{{ __tera_context }}",
        "{{ __tera_context | str }}",
        "{% set a = __tera_context %}",
        "{% for i in __tera_context %}{% endfor %}",
        "{{ x ~ __tera_context }}",
        "{{ [__tera_context] }}",
        "{% if __tera_context %}a{% endif %}",
    ]
    .into_iter()
    .map(|body| refused(body, body, &[Code::Forbidden], "__"))
    .collect()
}

/// Text that would do something if it were read as a template.
pub const TEMPLATE_SYNTAX: [&str; 6] = [
    "{{ x }}",
    "{% include 'p0' %}",
    "{% for i in range(end=1000000000) %}{% endfor %}",
    "{# #}",
    "{% raw %}",
    "__tera_context",
];

pub fn values_that_hold_templates() -> Vec<Case> {
    let mut cases = Vec::new();
    for value in TEMPLATE_SYNTAX {
        // As a value that a template makes: what the caller gives is tried by the tests of the schemas.
        let literal = value.replace('\'', "`");
        for (way, body) in [
            ("written", format!("{{% set a = \"{literal}\" %}}{{{{ a }}}}")),
            (
                "captured",
                format!("{{% set b = \"{literal}\" %}}{{% set a %}}{{{{ b }}}}{{% endset %}}{{{{ a }}}}"),
            ),
            ("joined", format!("{{{{ [\"{literal}\"] | join(sep='') }}}}")),
        ] {
            let text = format!("{HEAD}{literal}");
            cases.push(case(format!("{literal}, {way}"), &body, Expected::Served(text)));
        }
    }
    cases
}

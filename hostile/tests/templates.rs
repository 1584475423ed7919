//! Every hostile template of the list: refused with its reason and line, or stopped, within bounded memory.
//!
//! The time that is promised ([`hostile::template::TIME_MAX`]) is that of an optimised program; `make bench`
//! measures it. Here a bound far above keeps what runs away from passing.

use std::time::Duration;

use hostile::allocations::Counting;
use hostile::template::cases::{self, TEMPLATE_SYNTAX};
use hostile::template::{Case, values};
use schemas::PromptId;
use schemas::parameter::Parameter;
use schemas::prompt::Prompt;
use schemas::template::CompiledPrompt;
use schemas::vars;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// No promise, but the end of what never ends: without optimisation, and beside other work on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn hold(cases: Vec<Case>) {
    assert!(!cases.is_empty());
    let values = values();
    for case in cases {
        let outcome = case.run(&values);
        case.hold(&outcome).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(outcome.memory > 0, "nothing was counted");
        assert!(outcome.time < PATIENCE, "{} took {:?}", case.name, outcome.time);
    }
}

macro_rules! groups {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            hold(cases::$name());
        })+

        #[test]
        fn every_construct_has_its_test() {
            let tested = [$(stringify!($name)),+];
            assert_eq!(cases::GROUPS.len(), tested.len());
        }
    };
}

groups! {
    deeply_nested_blocks,
    deeply_nested_expressions,
    operator_chains,
    elif_chains,
    endless_ranges,
    loops_in_loops,
    include_cycles,
    include_chains,
    include_bombs,
    component_recursion,
    text_doubled_by_set,
    lists_doubled_by_set,
    replace_and_indent_bombs,
    captured_blocks_doubled,
    open_braces,
    the_engines_own_context,
    values_that_hold_templates,
}

#[test]
fn what_a_caller_gives_is_never_read_as_a_template() {
    let parameter: Parameter = serde_json::from_value(json!({"name": "x", "type": "string"})).unwrap();
    for value in TEMPLATE_SYNTAX {
        for template in ["{{ x }}", "{{ x | trim }}", "{% set a %}{{ x }}{% endset %}{{ a }}", "{{ x ~ '' }}"]
        {
            let mut prompt = Prompt::text(PromptId::new("p").unwrap(), template);
            prompt.parameters = vec![parameter.clone()];
            let compiled = CompiledPrompt::compile(&prompt, &[]).unwrap();
            assert_eq!(compiled.render(&vars! { x: value }).unwrap(), value, "{template}");
        }
    }
}

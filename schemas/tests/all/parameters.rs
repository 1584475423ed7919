//! Declarations are checked when they are written, values when they are given.

use schemas::parameter::{
    self, Kind, Parameter, ParameterErrorCode, ParameterErrors, to_json_schema, validate,
};
use schemas::template::Values;
use schemas::vars;
use serde_json::{Value, json};

use crate::render::{id, parameter};

fn declared(parameters: Value) -> Vec<Parameter> {
    serde_json::from_value(parameters).unwrap()
}

fn order() -> Vec<Parameter> {
    declared(json!([
        {"name": "name", "type": "string", "required": true, "min_length": 2, "max_length": 5},
        {"name": "count", "type": "integer", "minimum": 1, "maximum": 10},
        {"name": "share", "type": "number", "minimum": 0.5},
        {"name": "vip", "type": "boolean"},
        {"name": "tone", "type": "enum", "values": ["kind", "brief"]},
        {"name": "order", "type": "object", "properties": [
            {"name": "items", "type": "list", "max_items": 3, "items": {"type": "object", "properties": [
                {"name": "price", "type": "number", "required": true},
                {"name": "note", "type": "string"}
            ]}}
        ]},
        {"name": "extra", "type": "object"}
    ]))
}

fn errors(values: &Values) -> ParameterErrors {
    *parameter::check::check(&id("order.confirm"), &order(), values).unwrap_err()
}

fn one_error(values: &Values) -> (String, ParameterErrorCode, String) {
    let found = errors(values).errors;
    assert_eq!(found.len(), 1, "{found:?}");
    (found[0].parameter.clone(), found[0].code, found[0].to_string())
}

#[test]
fn values_that_fit_are_taken() {
    let values = vars! {
        name: "Änne", count: 10, share: 1, vip: true, tone: "kind",
        order: json!({"items": [{"price": 1}, {"price": 2.5, "note": "x"}, {"price": 3, "note": null}]}),
        extra: json!({"any": [1, {"thing": null}]}),
    };
    parameter::check::check(&id("p"), &order(), &values).unwrap();
    parameter::check::check(&id("p"), &order(), &vars! { name: "Ada", tone: None::<String> }).unwrap();
}

#[test]
fn every_problem_is_listed_at_once_with_its_path_and_without_the_value() {
    let values = vars! {
        name: "hush-hush", count: 3.0, vip: "hush-hush", tone: "hush-hush", secret: "hush-hush",
        order: json!({"items": [{"price": 1}, {"note": "hush-hush"}, {"price": "hush-hush", "more": 1}]}),
    };
    let found = errors(&values);
    let seen: Vec<(&str, ParameterErrorCode)> =
        found.errors.iter().map(|e| (e.parameter.as_str(), e.code)).collect();
    assert_eq!(
        seen,
        [
            ("name", ParameterErrorCode::OutOfBounds),
            ("count", ParameterErrorCode::WrongType),
            ("vip", ParameterErrorCode::WrongType),
            ("tone", ParameterErrorCode::NotInEnum),
            ("order.items[1].price", ParameterErrorCode::Missing),
            ("order.items[2].price", ParameterErrorCode::WrongType),
            ("order.items[2].more", ParameterErrorCode::Unexpected),
            ("secret", ParameterErrorCode::Unexpected),
        ]
    );
    let said = format!("{found} {found:?} {}", serde_json::to_string(&found).unwrap());
    assert!(!said.contains("hush-hush"), "{said}");
    assert!(
        found
            .to_string()
            .starts_with("prompt order.confirm: parameter name: expected string of 2 to 5 characters")
    );
}

#[test]
fn each_error_says_what_was_expected_and_what_came() {
    for (values, parameter, code, text) in [
        (
            vars! { count: 1 },
            "name",
            ParameterErrorCode::Missing,
            "parameter name is required and was not given: give a value of type string",
        ),
        (
            vars! { name: "A" },
            "name",
            ParameterErrorCode::OutOfBounds,
            "expected string of 2 to 5 characters, got a string of 1 character",
        ),
        (
            vars! { name: "Ada", count: 11 },
            "count",
            ParameterErrorCode::OutOfBounds,
            "expected integer of 1 to 10, got one out of bounds",
        ),
        (
            vars! { name: "Ada", count: "3" },
            "count",
            ParameterErrorCode::WrongType,
            "expected integer of 1 to 10, got string",
        ),
        (vars! { name: "Ada", count: 3.0 }, "count", ParameterErrorCode::WrongType, "got number"),
        (
            vars! { name: "Ada", share: 0.25 },
            "share",
            ParameterErrorCode::OutOfBounds,
            "expected number of at least 0.5",
        ),
        (
            vars! { name: "Ada", share: f64::NAN },
            "share",
            ParameterErrorCode::WrongType,
            "a number that is not finite",
        ),
        (
            vars! { name: "Ada", vip: 1 },
            "vip",
            ParameterErrorCode::WrongType,
            "expected boolean, got integer",
        ),
        (
            vars! { name: "Ada", tone: "rude" },
            "tone",
            ParameterErrorCode::NotInEnum,
            r#"expected one of "kind", "brief", got a string that is none of them"#,
        ),
        (
            vars! { name: "Ada", order: [1] },
            "order",
            ParameterErrorCode::WrongType,
            "expected object, got list",
        ),
        (
            vars! { name: "Ada", order: json!({"items": [1, 2, 3, 4]}) },
            "",
            ParameterErrorCode::OutOfBounds,
            "",
        ),
        (
            vars! { name: "Ada", nmae: 1 },
            "nmae",
            ParameterErrorCode::Unexpected,
            "parameter nmae is not declared; declared are: name, count",
        ),
    ] {
        if parameter.is_empty() {
            assert_eq!(errors(&values).errors[0].got, "a list of 4 items");
            continue;
        }
        let (found, found_code, said) = one_error(&values);
        assert_eq!((found.as_str(), found_code), (parameter, code), "{said}");
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn a_prompt_without_parameters_takes_none() {
    let error = parameter::check::check(&id("p"), &[], &vars! { a: 1 }).unwrap_err();
    assert!(error.to_string().contains("expected no parameters at all"), "{error}");
    parameter::check::check(&id("p"), &[], &Values::new()).unwrap();
}

#[test]
fn unsound_declarations_are_refused_with_the_reason() {
    for (bad, reason) in [
        (json!([{"name": "", "type": "string"}]), "the name must be"),
        (json!([{"name": "1a", "type": "string"}]), "the name must be"),
        (json!([{"name": "a-b", "type": "string"}]), "the name must be"),
        (json!([{"name": "__a", "type": "string"}]), "the name must be"),
        (json!([{"name": "loop", "type": "string"}]), "the name must be"),
        (json!([{"name": "not", "type": "string"}]), "the name must be"),
        (json!([{"name": "a", "type": "string"}, {"name": "a", "type": "boolean"}]), "declared twice"),
        (
            json!([{"name": "a", "type": "string", "min_length": 3, "max_length": 2}]),
            "min_length is above max_length",
        ),
        (json!([{"name": "a", "type": "integer", "minimum": 3, "maximum": 2}]), "minimum is above maximum"),
        (json!([{"name": "a", "type": "number", "minimum": 3.5, "maximum": 2}]), "minimum is above maximum"),
        (json!([{"name": "a", "type": "enum", "values": []}]), "the enum has no values"),
        (json!([{"name": "a", "type": "enum", "values": ["x", "x"]}]), "lists a value twice"),
        (
            json!([{"name": "a", "type": "list", "items": {"type": "string"}, "min_items": 2, "max_items": 1}]),
            "min_items is above max_items",
        ),
        (json!([{"name": "a", "type": "integer", "default": "x"}]), "the default does not fit"),
        (json!([{"name": "a", "type": "enum", "values": ["x"], "default": "y"}]), "the default does not fit"),
        (json!([{"name": "a", "type": "integer", "example": 1.5}]), "the example does not fit"),
        (json!([{"name": "a", "type": "integer", "required": true, "default": 1}]), "choose one"),
        (
            json!([{"name": "a", "type": "object", "properties": [{"name": "b c", "type": "string"}]}]),
            "the name must be",
        ),
    ] {
        let found = validate(&declared(bad.clone())).expect_err(&bad.to_string());
        assert!(found.iter().any(|error| error.to_string().contains(reason)), "{bad}: {found:?}");
    }
    let mut deep = Kind::Boolean;
    for _ in 0..20 {
        deep = Kind::List { items: Box::new(deep), min_items: None, max_items: None };
    }
    let mut nested = parameter(json!({"name": "a", "type": "boolean"}));
    nested.kind = deep;
    assert!(validate(&[nested]).unwrap_err()[0].message.contains("too deep"));
    validate(&order()).unwrap();
}

#[test]
fn parameters_are_exported_as_json_schema() {
    let schema = to_json_schema(&declared(json!([
        {"name": "name", "type": "string", "required": true, "max_length": 5, "description": "who", "example": "Ada"},
        {"name": "n", "type": "integer", "minimum": 1, "default": 3},
        {"name": "tone", "type": "enum", "values": ["a"]},
        {"name": "rows", "type": "list", "min_items": 1, "items": {"type": "object", "properties": [
            {"name": "v", "type": "number", "required": true}]}},
        {"name": "any", "type": "object"}
    ])));
    assert_eq!(
        schema,
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "maxLength": 5, "description": "who", "examples": ["Ada"]},
                "n": {"type": "integer", "minimum": 1, "default": 3},
                "tone": {"type": "string", "enum": ["a"]},
                "rows": {"type": "array", "minItems": 1, "items": {
                    "type": "object", "properties": {"v": {"type": "number"}}, "required": ["v"],
                    "additionalProperties": false}},
                "any": {"type": "object"}
            }
        })
    );
}

#[test]
fn what_is_wrong_is_said_beside_a_field_with_what_to_give() {
    let said = |values: &Values| errors(values).errors[0].advice();
    for (values, says) in [
        (vars! {}, "it is required, give a value of type string"),
        (vars! { name: "Ada", count: "two" }, "give an integer of 1 to 10; this is a string"),
        (vars! { name: "A" }, "give a string of 2 to 5 characters; this is a string of 1 character"),
        (
            vars! { name: "Ada", tone: "loud" },
            "give one of \"kind\", \"brief\"; this is a string that is none of them",
        ),
        (vars! { name: "Ada", vip: 1 }, "give a boolean; this is an integer"),
    ] {
        assert_eq!(said(&values), says);
    }
    let stranger = said(&vars! { name: "Ada", stranger: 1 });
    assert!(
        stranger.starts_with("it is not declared, leave it out; declared are: name, count"),
        "{stranger}"
    );
}

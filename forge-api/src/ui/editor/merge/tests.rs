use serde_json::{Map, Value, json};

use super::super::parameter::Row;
use super::super::settings::Settings;
use super::*;

fn chat(parts: &[(&str, &str)]) -> Typed {
    let part = |(role, text): &(&str, &str)| Part { role: (*role).into(), text: (*text).into() };
    Typed { name: "a".into(), what: What::Chat, parts: parts.iter().map(part).collect(), ..Typed::default() }
}

fn text(text: &str) -> Typed {
    Typed { what: What::Text, ..chat(&[("text", text)]) }
}

fn settings(value: Value) -> Settings {
    let map: Map<String, Value> = serde_json::from_value(value).unwrap();
    Settings::of(&map)
}

fn number(name: &str, default: &str) -> Row {
    Row { kind: "integer".into(), required: false, default: default.into(), ..Row::named(name) }
}

fn with(rows: &[Row]) -> Typed {
    Typed { parameters: rows.to_vec(), ..text("x") }
}

fn merged(base: &Typed, mine: &Typed, theirs: &Typed) -> Together {
    together(Three { base, mine, theirs })
}

/// Each clash by its name, their value and mine.
fn told(found: &Together) -> Vec<(&str, &str, &str)> {
    found
        .clashes
        .iter()
        .map(|c| (c.what.as_str(), c.theirs.as_deref().unwrap_or("-"), c.mine.as_deref().unwrap_or("-")))
        .collect()
}

#[test]
fn both_changes_of_a_text_are_kept_and_clashing_lines_counted() {
    let base = chat(&[("user", "one\ntwo\nthree\n"), ("user", "x")]);
    let found = merged(
        &base,
        &chat(&[("user", "ONE\ntwo\nthree\n"), ("user", "x")]),
        &chat(&[("user", "one\ntwo\nTHREE\n"), ("user", "y")]),
    );
    assert_eq!(found.typed, chat(&[("user", "ONE\ntwo\nTHREE\n"), ("user", "y")]));
    assert_eq!((found.places(), found.clashes), (0, Vec::new()));
    let found = merged(&text("a\nb\nc\n"), &text("A\nb\nC\n"), &text("1\nb\n3\n"));
    assert_eq!((found.places(), told(&found)), (2, vec![("text", "-", "-")]));
}

#[test]
fn parameters_are_merged_by_their_names() {
    let n = Row::named("n");
    let base = with(&[n.clone(), number("gone", "1"), number("both", "1")]);
    let mine = with(&[n.clone(), Row::named("j"), number("gone", "1"), number("both", "2")]);
    let theirs = with(&[n.clone(), number("k", "3"), number("both", "5")]);
    let found = merged(&base, &mine, &theirs);
    let names: Vec<&str> = found.typed.parameters.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["n", "j", "k", "both"]);
    assert_eq!(found.typed.parameters[2], number("k", "3"));
    assert_eq!(found.typed.parameters[3], number("both", "2"), "mine stays until somebody decides");
    assert_eq!(
        told(&found),
        [("parameter both", "integer, optional, default 5", "integer, optional, default 2")]
    );
    // Removed here and changed there.
    let found = merged(&with(&[number("n", "1")]), &with(&[]), &with(&[number("n", "2")]));
    assert_eq!(told(&found), [("parameter n", "integer, optional, default 2", "removed")]);
    assert!(found.typed.parameters.is_empty());
    // The same on both sides is no clash, nor is the same typed otherwise.
    let one = Row { min: "9".into(), kind: "boolean".into(), ..Row::named("n") };
    let other = Row { kind: "boolean".into(), ..Row::named("n") };
    assert!(merged(&with(&[]), &with(&[one]), &with(&[other])).clashes.is_empty());
    // What has no name yet is not lost.
    let found = merged(&with(&[]), &with(&[Row::named("")]), &with(&[n]));
    assert_eq!(found.typed.parameters.len(), 2);
}

#[test]
fn an_order_of_the_parameters_is_whose_changed_it() {
    let rows = |names: &str| with(&names.split(' ').map(Row::named).collect::<Vec<_>>());
    let names = |found: &Together| {
        found.typed.parameters.iter().map(|row| row.name.clone()).collect::<Vec<_>>().join(" ")
    };
    let found = merged(&rows("a b c"), &rows("a b c d"), &rows("c b a"));
    assert_eq!((names(&found).as_str(), found.places()), ("c d b a", 0));
    let found = merged(&rows("a b c"), &rows("b a c"), &rows("c b a"));
    assert_eq!(names(&found), "b a c");
    assert_eq!(told(&found), [("order of the parameters", "c, b, a", "b, a, c")]);
}

#[test]
fn settings_and_metadata_are_merged_by_their_keys() {
    let typed = |model: Value, metadata: &str| Typed {
        settings: settings(model),
        metadata: Some(metadata.into()),
        ..text("x")
    };
    let base = typed(json!({ "temperature": 0.1, "top_p": 1 }), "");
    let mine = typed(json!({ "temperature": 0.5, "top_p": 1, "stop": "x" }), "{\"owner\": \"ann\"}");
    let theirs = typed(json!({ "temperature": 0.9, "model": "m" }), "{\"owner\": \"bob\", \"a\": 1}");
    let found = merged(&base, &mine, &theirs);
    assert_eq!(
        Value::Object(found.typed.settings.parse().0),
        json!({ "temperature": 0.5, "stop": "x", "model": "m" })
    );
    let metadata: Value = serde_json::from_str(found.typed.metadata.as_deref().unwrap()).unwrap();
    assert_eq!(metadata, json!({ "owner": "ann", "a": 1 }));
    assert_eq!(told(&found), [("model setting temperature", "0.9", "0.5"), ("metadata owner", "bob", "ann")]);
    // What does not read stays as it was typed, and what is not in the form as it is stored.
    let broken = Typed { metadata: Some("{".into()), ..typed(json!({ "temperature": "warm" }), "") };
    let found = merged(&base, &broken, &theirs);
    assert_eq!((&found.typed.settings, &found.typed.metadata), (&broken.settings, &broken.metadata));
    assert_eq!(found.places(), 2);
    let without = Typed { metadata: None, ..mine };
    assert_eq!(merged(&base, &without, &theirs).typed.metadata, None);
}

#[test]
fn descriptions_clash_and_tags_do_not() {
    let typed = |description: &str, tags: &str| Typed {
        description: description.into(),
        tags: tags.into(),
        ..text("x")
    };
    let base = typed("", "a, b");
    let found = merged(&base, &typed("mine", "a,c"), &typed("theirs", "b, d"));
    assert_eq!((found.typed.description.as_str(), found.typed.tags.as_str()), ("mine", "c, d"));
    assert_eq!(told(&found), [("description", "theirs", "mine")]);
    let found = merged(&base, &typed("", "a, b"), &typed("theirs", "t"));
    assert_eq!((found.typed.description.as_str(), found.typed.tags.as_str()), ("theirs", "t"));
    assert_eq!(found.places(), 0);
}

#[test]
fn messages_that_either_added_removed_or_moved_are_merged() {
    let base = chat(&[("system", "s"), ("user", "u"), ("assistant", "a")]);
    // I changed one, they added one and changed another.
    let mine = chat(&[("system", "S"), ("user", "u"), ("assistant", "a")]);
    let theirs = chat(&[("system", "s"), ("user", "U"), ("assistant", "a"), ("user", "more")]);
    let found = merged(&base, &mine, &theirs);
    assert_eq!(
        found.typed.parts,
        chat(&[("system", "S"), ("user", "U"), ("assistant", "a"), ("user", "more")]).parts
    );
    assert_eq!(found.places(), 0);
    // They removed what I changed.
    let found = merged(&base, &mine, &chat(&[("user", "u"), ("assistant", "a")]));
    assert_eq!(found.typed.parts, mine.parts);
    assert_eq!(told(&found), [("message 1", "removed", "system: S")]);
    // I removed what they changed.
    let found = merged(&base, &chat(&[("system", "s"), ("user", "u")]), &{
        chat(&[("system", "s"), ("user", "u"), ("assistant", "A")])
    });
    assert_eq!(told(&found), [("message 3 as it was before", "assistant: A", "removed")]);
    assert_eq!(found.typed.parts.len(), 2);
    // Both added one at the same place: both stand there.
    let found = merged(
        &chat(&[("user", "u")]),
        &chat(&[("user", "u"), ("tool", "m")]),
        &chat(&[("user", "u"), ("tool", "t")]),
    );
    assert_eq!(found.typed.parts, chat(&[("user", "u"), ("tool", "m"), ("tool", "t")]).parts);
    assert_eq!(told(&found), [("new message 2", "tool: t", "tool: m")]);
}

#[test]
fn a_placeholder_gets_no_marks_and_a_text_that_became_a_chat_is_one_thing() {
    let base = chat(&[("placeholder", "history")]);
    let found = merged(&base, &chat(&[("placeholder", "mine")]), &chat(&[("placeholder", "theirs")]));
    assert_eq!(found.typed.parts[0].text, "mine");
    assert_eq!(told(&found), [("message 1", "placeholder: theirs", "placeholder: mine")]);
    let base = text("x");
    let theirs = chat(&[("system", "x")]);
    assert_eq!(merged(&base, &text("x"), &theirs).typed.what, What::Chat);
    let found = merged(&base, &text("mine"), &theirs);
    assert_eq!(found.typed.parts, text("mine").parts);
    assert_eq!(told(&found), [("text and messages", "system: x", "text: mine")]);
}

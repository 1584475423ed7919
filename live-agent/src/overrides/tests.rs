use std::path::Path;

use schemas::bundle::{Bundle, SCHEMA_VERSION};
use schemas::template::Values;
use schemas::vars;
use serde_json::json;

use super::*;

fn published(name: &str, prompts: Vec<Prompt>) -> Arc<ActiveSet> {
    let set: Slug = name.parse().unwrap();
    let bundle = Bundle {
        schema_version: SCHEMA_VERSION,
        organisation: "acme".parse().unwrap(),
        project: "support".parse().unwrap(),
        set: set.clone(),
        version: "1.0.0".parse().unwrap(),
        prompts,
        partials: vec![Partial { name: "sign".parse().unwrap(), source: "Yours, {{ name }}".into() }],
        dependencies: Vec::new(),
    };
    let compiled = CompiledSet::compile(&bundle).unwrap();
    let base = nothing(set);
    Arc::new(ActiveSet { compiled, partials: bundle.partials, ..base })
}

fn prompt(id: &str, template: &str) -> Prompt {
    serde_json::from_value(json!({
        "id": id,
        "content": { "type": "text", "template": template },
        "parameters": [{ "name": "name", "type": "string", "required": true }],
        "model": { "name": "some-model" },
    }))
    .unwrap()
}

fn text(path: &str, set: Option<&str>, id: &str, text: &str) -> Found {
    let target = Target { set: set.map(|set| set.parse().unwrap()), id: id.parse().unwrap() };
    Found { path: path.into(), content: Some(Ok((target, Source::Text(text.into())))) }
}

fn find<'s>(all: &'s [Arc<ActiveSet>], set: &str, id: &str) -> Option<&'s CompiledPrompt> {
    all.iter().find(|one| one.set.as_str() == set)?.compiled.get(id).map(AsRef::as_ref)
}

fn render(all: &[Arc<ActiveSet>], set: &str, id: &str, values: &Values) -> String {
    find(all, set, id).map_or("-".into(), |p| p.render(values).unwrap_or_else(|error| error.to_string()))
}

#[test]
fn a_text_stands_before_the_published_one_and_takes_the_rest_from_it() {
    let base = [
        published("chat", vec![prompt("hello", "Hello {{ name }}"), prompt("bye", "Bye {{ name }}")]),
        published("mail", vec![prompt("hello", "Dear {{ name }}")]),
    ];
    let mut overrides = Overrides::default();
    overrides.update(vec![
        text("@mail/hello.md", Some("mail"), "hello", "My dear {{ name }}{{ tail }}"),
        text("hello.md", None, "hello", "Hi {{ name }}, {% include \"sign\" %}"),
        text("new.md", None, "new", "New {{ thing }}"),
    ]);
    let (all, changed) = overrides.lay_over(&base);
    assert_eq!(overrides.problems(), [""; 0]);
    let ada = vars! { name: "Ada" };
    assert_eq!(render(&all, "chat", "hello", &ada), "Hi Ada, Yours, Ada");
    assert_eq!(render(&all, "chat", "bye", &ada), "Bye Ada");
    assert_eq!(render(&all, "mail", "hello", &ada), "My dear Ada", "its own folder counts; tail is optional");
    assert_eq!(render(&all, "mail", "hello", &vars! { name: "Ada", tail: "!" }), "My dear Ada!");
    assert_eq!(render(&all, "local", "new", &vars! { thing: "moon" }), "New moon");
    assert!(render(&all, "chat", "hello", &vars! {}).contains("name"), "required as it was");
    assert_eq!(find(&all, "chat", "hello").unwrap().prompt().model["name"], "some-model");
    assert_eq!(changed.iter().map(Slug::as_str).collect::<Vec<_>>(), ["chat", "local", "mail"]);
    let local: Vec<usize> = all.iter().map(|set| set.local.len()).collect();
    assert_eq!(local, [1, 1, 1]);
    // Nothing changed, nothing is said; what is deleted gives the published one back.
    assert!(overrides.lay_over(&base).1.is_empty());
    overrides.update(Vec::new());
    let (all, changed) = overrides.lay_over(&base);
    assert_eq!((render(&all, "chat", "hello", &ada), changed.len()), ("Hello Ada".into(), 3));
    assert_eq!(all.len(), 2, "and the set that was only local is gone");
}

#[test]
fn what_cannot_be_used_leaves_the_last_that_could_and_says_where_it_is_wrong() {
    let base = [published("chat", vec![prompt("hello", "Hello {{ name }}")])];
    let mut overrides = Overrides::default();
    let ada = vars! { name: "Ada" };
    overrides.update(vec![text("hello.md", None, "hello", "{{ name")]);
    let (all, changed) = overrides.lay_over(&base);
    assert_eq!(render(&all, "chat", "hello", &ada), "Hello Ada", "nothing good was there yet");
    assert!(changed.is_empty());
    assert!(overrides.problems()[0].starts_with("hello.md:1:"), "{:?}", overrides.problems());
    overrides.update(vec![text("hello.md", None, "hello", "Good {{ name }}")]);
    assert_eq!(render(&overrides.lay_over(&base).0, "chat", "hello", &ada), "Good Ada");
    assert!(overrides.problems().is_empty());
    overrides.update(vec![text("hello.md", None, "hello", "one\n{{ name | nonsense }}")]);
    let (all, changed) = overrides.lay_over(&base);
    assert_eq!((render(&all, "chat", "hello", &ada), changed.len()), ("Good Ada".into(), 0));
    assert!(overrides.problems()[0].starts_with("hello.md:2:"), "{:?}", overrides.problems());
    // A bundle comes meanwhile: the good one stays over it.
    let newer = [published("chat", vec![prompt("hello", "Newer {{ name }}")])];
    assert_eq!(render(&overrides.lay_over(&newer).0, "chat", "hello", &ada), "Good Ada");
}

#[test]
fn a_chat_takes_a_whole_prompt_and_two_files_for_one_are_told() {
    let chat: Prompt = serde_json::from_value(json!({
        "id": "talk",
        "content": { "type": "chat", "messages": [{ "type": "message", "role": "user", "template": "hi" }] },
    }))
    .unwrap();
    let base = [published("chat", vec![chat.clone()])];
    let mut overrides = Overrides::default();
    overrides.update(vec![text("talk.md", None, "talk", "a text")]);
    overrides.lay_over(&base);
    assert!(overrides.problems()[0].contains("is a chat; override it with talk.json"));
    let mut whole = chat;
    whole.description = "mine".into();
    let target = Target { set: None, id: "talk".parse().unwrap() };
    overrides.update(vec![Found {
        path: "talk.json".into(),
        content: Some(Ok((target, Source::Whole(Box::new(whole))))),
    }]);
    let (all, _) = overrides.lay_over(&base);
    assert_eq!(find(&all, "chat", "talk").unwrap().prompt().description, "mine");
    overrides.update(vec![text("a.md", None, "a", "first"), text("a.txt", None, "a", "second")]);
    let (all, _) = overrides.lay_over(&base);
    assert_eq!(render(&all, "local", "a", &vars! {}), "first");
    assert_eq!(overrides.problems(), ["a.txt: another file is for a already"]);
    assert!(overrides.files.contains_key(Path::new("a.md")));
}

//! What we write, read back.

use exchange::files::{Files, pack, unpack};
use exchange::{Content, Format, folder, read, write};
use schemas::PromptId;
use schemas::bundle::PROMPTS_MAX;
use schemas::parameter::{Kind, Parameter};
use schemas::prompt::{Content as Body, Engine, Message, Partial, Prompt, Role};
use serde_json::json;

fn id(text: &str) -> PromptId {
    PromptId::new(text).unwrap()
}

fn parameter(name: &str, kind: Kind) -> Parameter {
    Parameter {
        name: name.into(),
        kind,
        required: true,
        default: None,
        description: String::new(),
        example: None,
    }
}

fn string() -> Kind {
    Kind::String { min_length: None, max_length: None }
}

/// A set with everything that is awkward.
fn content() -> Content {
    let mut mail = Prompt::text(id("mail/reply.formal"), "Dear {{ name }},\n{% include \"sign\" %}\n");
    mail.parameters = vec![parameter("name", string())];
    mail.description = "yes: a \"quoted\" text\nof two lines".into();
    mail.tags = vec!["true".into(), "a b".into(), "7".into()];
    mail.model.insert("temperature".into(), json!(0.5));
    mail.model.insert(
        "tools".into(),
        json!([{ "type": "function", "function": { "name": "x", "parameters": {} } }, []]),
    );
    mail.metadata.insert("note".into(), json!({ "deep": [1, null, { "b": "- c" }] }));
    let mut chat = Prompt::text(id("chat"), "");
    chat.content = Body::Chat {
        messages: vec![
            Message::Message {
                role: Role::System,
                template: "<!-- message: user -->\n\\<!-- placeholder: x -->\n\nend\n".into(),
            },
            Message::Placeholder { name: "history".into() },
            Message::Message { role: Role::User, template: String::new() },
            Message::Message { role: Role::Assistant, template: "{{ a }}{{ b }}".into() },
        ],
    };
    chat.parameters = vec![
        Parameter {
            required: false,
            default: Some(json!(["x"])),
            ..parameter("a", Kind::List { items: Box::new(string()), min_items: None, max_items: Some(3) })
        },
        Parameter {
            example: Some(json!("e")),
            ..parameter("b", Kind::Enum { values: vec!["e".into(), "no".into()] })
        },
    ];
    let plain =
        Prompt { engine: Engine::Plain, ..Prompt::text(id("plain"), "---\n{{ not a template }} {%\r\n") };
    // A draft may be wrong: it goes and comes as it is.
    let wrong = Prompt::text(id("wrong"), "{% if x %}");
    let empty = Prompt::text(id("empty"), "");
    let unused = Prompt { parameters: Vec::new(), ..Prompt::text(id("undeclared"), "{{ x }}") };
    Content {
        prompts: vec![chat, empty, mail, plain, unused, wrong],
        partials: vec![Partial { name: id("sign"), source: "Yours, {{ name }}\n".into() }],
    }
    .sorted()
}

#[test]
fn a_folder_reads_back_as_it_was_written() {
    let content = content();
    let mut files = folder::write(&content).unwrap();
    files.insert(folder::MANIFEST.into(), b"set = \"chat\"\n".to_vec());
    let mut notes = Vec::new();
    let back = folder::read(&files, &mut notes).unwrap();
    assert_eq!(back, content);
    // What would be refused when it is locked is said, and stays.
    let places: Vec<&str> = notes.iter().map(|n| n.place.as_str()).collect();
    assert_eq!(places, ["prompts/undeclared.md, line 5", "prompts/wrong.md, line 1"], "{notes:?}");
    let mut again = folder::write(&back).unwrap();
    again.insert(folder::MANIFEST.into(), b"set = \"chat\"\n".to_vec());
    assert_eq!(again, files);
    // The shortest form for the simplest prompt: a text file.
    assert_eq!(files["prompts/empty.md"], b"\n");
    assert!(files["prompts/mail/reply.formal.md"].starts_with(b"---\ndescription: "));
}

/// Templates that every format can say.
fn simple() -> Content {
    let mut text = Prompt::text(id("a"), "Hello {{ name }}, {{ \"{\" }}{ x }} costs {\"n\": 1}.");
    text.parameters = vec![parameter("name", string())];
    let mut chat = Prompt::text(id("b"), "");
    chat.parameters = vec![parameter("q", string())];
    chat.content = Body::Chat {
        messages: vec![
            Message::Message { role: Role::System, template: "Be kind.".into() },
            Message::Message { role: Role::User, template: "{{ q }}".into() },
        ],
    };
    Content { prompts: vec![text, chat], partials: Vec::new() }
}

#[test]
fn what_a_format_can_hold_comes_back_from_it() {
    for format in [
        Format::Langfuse,
        Format::Mlflow,
        Format::Openai,
        Format::Langchain,
        Format::Dotprompt,
        Format::Prompty,
    ] {
        let mut content = simple();
        if matches!(format, Format::Langfuse | Format::Mlflow | Format::Openai) {
            // Braces that are text cannot be told from variables there.
            content.prompts[0].content = Body::Text { template: "Hello {{ name }}.".into() };
        }
        let out = write(format, "set", &content).unwrap();
        let back = read(Some(format), &out.name, &out.bytes).unwrap_or_else(|e| panic!("{format:?}: {e}"));
        assert_eq!(read(None, &out.name, &out.bytes).unwrap().format, format);
        assert_eq!(back.content.prompts.len(), 2, "{format:?}: {:?} {:?}", out.notes, back.notes);
        for (was, is) in content.prompts.iter().zip(&back.content.prompts) {
            assert_eq!(was.parameters.len(), is.parameters.len(), "{format:?}: {is:?}");
            // Prompty has no text, and OpenAI calls it instructions: the words are the same.
            let words = |p: &Prompt| p.templates().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(was), words(is), "{format:?}");
        }
    }
}

#[test]
fn loops_and_conditions_go_to_the_languages_that_have_them() {
    let source = "{% if a %}\n{% for x in list %}\n- {{ x }}{% if not x %}!{% endif %}\n{% endfor %}\n{% else %}no{% endif %}\n";
    let mut prompt = Prompt::text(id("p"), source);
    prompt.parameters = vec![
        parameter("a", Kind::Boolean),
        parameter("list", Kind::List { items: Box::new(string()), min_items: None, max_items: None }),
    ];
    let content = Content { prompts: vec![prompt], partials: Vec::new() };
    for format in [Format::Dotprompt, Format::Liquid] {
        let out = write(format, "set", &content).unwrap();
        let back = read(Some(format), "x.zip", &out.bytes).unwrap();
        let Body::Text { template } = &back.content.prompts[0].content else { panic!("{format:?}") };
        let same = template.replace("item", "x").replace("{#  #}", "");
        assert_eq!(same, source, "{format:?}: {:?}", back.notes);
    }
    let out = write(Format::Langfuse, "set", &content).unwrap();
    assert!(out.notes.iter().any(|n| n.why.contains("left out of the export")), "{:?}", out.notes);
    assert_eq!(out.bytes, b"[]\n");
}

/// Prompts with everything that a format may not hold.
fn rich() -> Content {
    let described = |p: Parameter| Parameter { description: "what (it) is".into(), ..p };
    let mut text = Prompt::text(id("rich"), "Hello {{ name }}, {{ mood }}, {{ n }}, {{ names }}.\n");
    text.parameters = vec![
        Parameter {
            example: Some(json!("Ada")),
            ..described(parameter("name", Kind::String { min_length: Some(1), max_length: Some(80) }))
        },
        Parameter {
            required: false,
            default: Some(json!("calm")),
            ..described(parameter("mood", Kind::Enum { values: vec!["calm".into(), "glad".into()] }))
        },
        parameter("n", Kind::Integer { minimum: Some(1), maximum: Some(9) }),
        parameter("names", Kind::List { items: Box::new(string()), min_items: Some(1), max_items: None }),
        Parameter { required: false, ..parameter("unused", Kind::Boolean) },
    ];
    text.description = "a rich prompt".into();
    text.tags = vec!["mail".into(), "support".into()];
    text.model.insert("model".into(), json!("gpt-5"));
    text.model.insert("temperature".into(), json!(0.5));
    text.metadata.insert("owner".into(), json!({ "team": "support" }));
    let mut chat = Prompt { id: id("talk"), ..text.clone() };
    chat.content = Body::Chat {
        messages: vec![
            Message::Message { role: Role::System, template: "Be {{ mood }}.\n".into() },
            Message::Placeholder { name: "turns".into() },
            Message::Message { role: Role::User, template: " {{ name }}".into() },
        ],
    };
    Content { prompts: vec![text, chat], partials: Vec::new() }
}

#[test]
fn every_difference_of_an_export_has_a_note() {
    let content = rich();
    for format in Format::ALL.into_iter().filter(|f| !matches!(f, Format::Archive | Format::Folder)) {
        let out = write(format, "set", &content).unwrap();
        let back = read(Some(format), &out.name, &out.bytes).map(|found| found.content).unwrap_or_default();
        for was in &content.prompts {
            let said = |of: &dyn Fn(&str, &str) -> bool| {
                out.notes.iter().any(|n| n.place == was.id.as_str() && of(&n.what, &n.why))
            };
            let Some(is) = back.prompts.iter().find(|p| p.id == was.id) else {
                assert!(said(&|_, why| why.contains("left out of the export")), "{format:?} {}", was.id);
                continue;
            };
            let (was, is) = (serde_json::to_value(was).unwrap(), serde_json::to_value(is).unwrap());
            for (key, word) in [
                ("description", "description"),
                ("tags", "tags"),
                ("model", "model settings"),
                ("metadata", "metadata"),
            ] {
                let has = said(&|what, _| what.starts_with(word));
                let held = match was[key].as_object() {
                    Some(fields) => fields.iter().all(|(name, value)| is[key].get(name) == Some(value)),
                    None => was[key] == is[key],
                };
                assert_eq!(has, !held, "{format:?} {key}: {:?}", out.notes);
            }
            for parameter in was["parameters"].as_array().unwrap() {
                let same = is["parameters"].as_array().is_some_and(|all| all.contains(parameter));
                let name = parameter["name"].as_str().unwrap();
                let has =
                    said(&|what, why| what.split(", ").any(|w| w == name) && why.contains("parameters"));
                assert_eq!(has, !same, "{format:?} {name}: {:?}", out.notes);
            }
        }
    }
}

#[test]
fn no_format_is_given_a_place_for_messages_that_it_does_not_have() {
    for format in [Format::Openai, Format::Mlflow] {
        let out = write(format, "set", &rich()).unwrap();
        assert!(!String::from_utf8(out.bytes).unwrap().contains("placeholder"), "{format:?}");
        assert!(out.notes.iter().any(|n| n.place == "talk" && n.what == "placeholder"), "{:?}", out.notes);
    }
}

#[test]
fn a_set_that_is_full_goes_out_and_comes_in() {
    let prompts = (0..PROMPTS_MAX).map(|n| Prompt::text(id(&format!("p{n}")), "Hello")).collect();
    let partials = vec![Partial { name: id("sign"), source: "Yours".into() }];
    let content = Content { prompts, partials }.sorted();
    let out = write(Format::Folder, "set", &content).unwrap();
    assert_eq!(read(None, &out.name, &out.bytes).unwrap().content, content);
}

#[test]
fn the_same_files_are_packed_into_the_same_bytes() {
    let files = Files::from([("a.md".to_owned(), b"x".to_vec()), ("b/c.md".to_owned(), vec![b'y'; 5000])]);
    assert_eq!(pack(&files).unwrap(), pack(&files).unwrap());
    assert_eq!(unpack("x.zip", &pack(&files).unwrap()).unwrap(), files);
}

//! What we write, read back.

use exchange::files::{Files, pack, unpack};
use exchange::{Content, Format, folder, read, write};
use schemas::PromptId;
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
    assert_eq!(places, ["prompts/undeclared.md, line 1", "prompts/wrong.md, line 1"], "{notes:?}");
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

#[test]
fn the_same_files_are_packed_into_the_same_bytes() {
    let files = Files::from([("a.md".to_owned(), b"x".to_vec()), ("b/c.md".to_owned(), vec![b'y'; 5000])]);
    assert_eq!(pack(&files).unwrap(), pack(&files).unwrap());
    assert_eq!(unpack("x.zip", &pack(&files).unwrap()).unwrap(), files);
}

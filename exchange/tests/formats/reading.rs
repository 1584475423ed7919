//! A realistic file of each format, and what becomes of it.

use exchange::files::{Files, pack};
use exchange::{Content, Format, Found, read, read_beside};
use schemas::parameter::Kind;
use schemas::prompt::{Content as Body, Engine, Message, Partial, Prompt, Role};
use schemas::template;
use serde_json::json;

fn found(name: &str, text: &str) -> Found {
    read(None, name, text.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn only(found: &Found) -> &Prompt {
    assert_eq!(found.content.prompts.len(), 1);
    &found.content.prompts[0]
}

fn text(prompt: &Prompt) -> &str {
    match &prompt.content {
        Body::Text { template } => template,
        Body::Chat { .. } => panic!("{} is a chat", prompt.id),
    }
}

fn messages(prompt: &Prompt) -> Vec<(Role, String)> {
    let Body::Chat { messages } = &prompt.content else { panic!("{} is a text", prompt.id) };
    messages
        .iter()
        .map(|m| match m {
            Message::Message { role, template } => (*role, template.clone()),
            Message::Placeholder { name } => (Role::Other, name.clone()),
        })
        .collect()
}

fn kind(prompt: &Prompt, name: &str) -> &'static str {
    prompt.parameters.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no {name}")).kind.name()
}

/// Every prompt that is read can be locked as it is.
fn sound(content: &Content) {
    for prompt in &content.prompts {
        let wrong: Vec<_> =
            template::check(prompt, &content.partials).into_iter().filter(|e| !e.is_warning()).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", prompt.id);
    }
}

#[test]
fn a_dotprompt_keeps_its_types_settings_and_messages() {
    let found = found(
        "greeting.prompt",
        r#"---
model: googleai/gemini-2.5-flash
config:
  temperature: 0.7
  apiKey: ${env:GEMINI_KEY}
input:
  schema:
    name: string, who is greeted
    age?: integer
    mood(enum, how): [calm, happy]
    tags(array, what about): string
    order:
      number: string
  default:
    age: 7
output:
  format: json
ext.owner: support
---
{{role "system"}}
You are {{mood}}.
{{#if age}}
They are {{age}}.
{{else}}
Age unknown.
{{/if}}
{{history}}
{{role "user"}}I am {{name}}, order {{order.number}}:
{{#each tags}}
- {{this}} ({{@index}})
{{/each}}
"#,
    );
    assert_eq!(found.format, Format::Dotprompt);
    sound(&found.content);
    let prompt = only(&found);
    assert_eq!((prompt.id.as_str(), prompt.engine), ("greeting", Engine::Tera));
    assert_eq!(prompt.model["model"], json!("googleai/gemini-2.5-flash"));
    assert_eq!(prompt.model["temperature"], json!(0.7));
    assert_eq!(prompt.model["apiKey"], json!("${env:GEMINI_KEY}"));
    assert!(found.notes.iter().any(|n| n.what == "${env:GEMINI_KEY}" && n.why.contains("never looked up")));
    assert_eq!(prompt.metadata["dotprompt"], json!({ "ext.owner": "support" }));
    assert_eq!(kind(prompt, "age"), "integer");
    assert_eq!(kind(prompt, "mood"), "enum");
    assert_eq!(kind(prompt, "tags"), "list");
    assert_eq!(kind(prompt, "order"), "object");
    let age = prompt.parameters.iter().find(|p| p.name == "age").unwrap();
    assert_eq!((age.required, age.default.clone()), (false, Some(json!(7))));
    let said = messages(prompt);
    assert_eq!(said[0].0, Role::System);
    assert_eq!(
        said[0].1,
        "\nYou are {{ mood }}.\n{% if age %}They are {{ age }}.\n{% else %}Age unknown.\n{% endif %}"
    );
    assert_eq!(said[1], (Role::Other, "history".into()));
    assert_eq!(
        said[2].1,
        "I am {{ name }}, order {{ order.number }}:\n{% for item in tags %}- {{ item }} ({{ loop.index0 }})\n{% endfor %}"
    );
}

#[test]
fn a_helper_that_we_do_not_have_leaves_the_prompt_as_it_is_and_says_where() {
    let source = "Look:\n{{media url=photo}} and {{json data}}";
    let found = found("look.prompt", source);
    let prompt = only(&found);
    assert_eq!((prompt.engine, text(prompt)), (Engine::Plain, source));
    assert!(prompt.parameters.is_empty());
    let note = found.notes.iter().find(|n| n.why.contains("plain text")).unwrap();
    assert_eq!(note.place, "look.prompt, line 2");
    assert!(note.what.contains("media url=photo"), "{note:?}");
}

#[test]
fn a_prompty_becomes_a_chat_with_typed_inputs() {
    let found = found(
        "shop/basic.prompty",
        "---\nname: Basic\ndescription: a basic prompt\nauthors: [ada]\ntags: [demo]\nmodel:\n  api: chat\n  configuration:\n    \
         type: azure_openai\n    azure_endpoint: ${env:ENDPOINT}\n  parameters:\n    max_tokens: 3000\ninputs:\n  firstName:\n    \
         type: string\n    default: Jane\n  question:\n    type: string\n  items:\n    type: array\n    sample: [a]\n---\n\
         system:\nYou help.\n{% for i in items %}{{ i }} {% endfor %}\n\nuser:\n{{ question }} from {{ firstName }}\n",
    );
    sound(&found.content);
    let prompt = only(&found);
    assert_eq!((prompt.id.as_str(), prompt.engine), ("basic", Engine::Tera));
    assert_eq!(prompt.tags, ["demo"]);
    assert_eq!(prompt.model["max_tokens"], json!(3000));
    assert_eq!(prompt.metadata["prompty"]["authors"], json!(["ada"]));
    assert_eq!(kind(prompt, "items"), "list");
    assert!(
        prompt
            .parameters
            .iter()
            .any(|p| p.name == "firstName" && p.default == Some(json!("Jane")) && !p.required)
    );
    assert_eq!(messages(prompt)[1], (Role::User, "{{ question }} from {{ firstName }}".into()));
    assert!(found.notes.iter().any(|n| n.what == "${env:ENDPOINT}"));
}

#[test]
fn langfuse_gives_the_version_that_is_in_production_and_tells_of_the_others() {
    let file = json!([
        { "name": "movie critic", "version": 1, "type": "text", "prompt": "old", "labels": [], "tags": [], "config": {} },
        { "name": "movie critic", "version": 2, "type": "text", "labels": ["production"], "tags": ["film"],
          "prompt": "As {{level}}: {{ movie }}? {\"a\": {% 1 %}} {{user.name}}", "config": { "model": "gpt-4o", "temperature": 0.2 } },
        { "name": "movie critic", "version": 3, "type": "text", "prompt": "next", "labels": ["latest"], "tags": [], "config": {} },
        { "name": "chat", "version": 1, "type": "chat", "labels": [], "config": {}, "prompt": [
            { "role": "system", "content": "Be {{tone}}" }, { "type": "placeholder", "name": "history" },
            { "role": "user", "content": "{{q}}" } ] },
    ]);
    let found = found("prompts.json", &file.to_string());
    assert_eq!(found.format, Format::Langfuse);
    sound(&found.content);
    let [chat, critic] = found.content.prompts.as_slice() else { panic!("{:?}", found.content) };
    assert_eq!(chat.parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["tone", "q"]);
    assert_eq!(messages(chat)[1], (Role::Other, "history".into()));
    assert_eq!(critic.id.as_str(), "movie-critic");
    assert_eq!(critic.metadata["langfuse"]["version"], json!(2));
    assert_eq!(
        (critic.model["temperature"].clone(), critic.tags.clone()),
        (json!(0.2), vec!["film".to_owned()])
    );
    // What is text there is text here, to the letter.
    let mut values = template::Values::new();
    values.insert("level", json!("hard"));
    values.insert("movie", json!("Alien"));
    let shown = rendered(critic, &values);
    assert_eq!(shown, "As hard: Alien? {\"a\": {% 1 %}} {{user.name}}");
    let why: Vec<&str> = found.notes.iter().map(|n| n.why.as_str()).collect();
    assert!(why.iter().any(|w| w.contains("version 2 is taken")), "{why:?}");
    assert!(why.iter().any(|w| w.contains("stays text")), "{why:?}");
    assert!(why.iter().any(|w| w.contains("it is called movie-critic")), "{why:?}");
}

fn rendered(prompt: &Prompt, values: &template::Values) -> String {
    let bundle = schemas::bundle::Bundle {
        schema_version: 1,
        organisation: schemas::Slug::new("acme").unwrap(),
        project: schemas::Slug::new("support").unwrap(),
        set: schemas::Slug::new("chat").unwrap(),
        version: schemas::Version::new(1, 0, 0),
        prompts: vec![prompt.clone()],
        partials: Vec::new(),
        dependencies: Vec::new(),
    };
    let set = template::CompiledSet::compile(&bundle).unwrap();
    set.get(prompt.id.as_str()).unwrap().render(values).unwrap()
}

#[test]
fn mlflow_is_read_as_the_client_and_as_the_registry_give_it() {
    let client = json!({ "name": "summary", "version": 3, "template": "Sum up {{ text }}", "commit_message": "x",
        "tags": { "team": "a", "short": "true" }, "model_config": { "model_name": "gpt-4o", "max_tokens": 9 } });
    let registry = json!({ "model_versions": [
        { "name": "summary", "version": "2", "tags": [ { "key": "mlflow.prompt.text", "value": "Sum {{ text }}" } ] },
        { "name": "summary", "version": "10", "tags": [
            { "key": "_mlflow_prompt_type", "value": "chat" },
            { "key": "mlflow.prompt.text", "value": "[{\"role\":\"user\",\"content\":\"Sum up {{ text }}\"}]" } ] } ] });
    let one = found("a.json", &client.to_string());
    assert_eq!(one.format, Format::Mlflow);
    assert_eq!(text(only(&one)), "Sum up {{ text }}");
    assert_eq!(only(&one).model["model"], json!("gpt-4o"));
    assert_eq!(only(&one).tags, ["short"]);
    let two = found("b.json", &registry.to_string());
    assert_eq!(messages(only(&two)), [(Role::User, "Sum up {{ text }}".to_owned())]);
    assert!(two.notes.iter().any(|n| n.what == "version 2"));
}

#[test]
fn hosted_prompts_keep_their_settings_and_variables() {
    let file = json!({ "id": "pmpt_1", "name": "triage", "version": "4", "model": "gpt-5", "temperature": 0,
        "messages": [ { "role": "developer", "content": [ { "type": "input_text", "text": "Sort {{ticket}}" } ] } ],
        "variables": { "ticket": "broken" }, "text": { "format": { "type": "json_object" } } });
    let found = found("x.json", &file.to_string());
    assert_eq!(found.format, Format::Openai);
    let prompt = only(&found);
    assert_eq!(messages(prompt), [(Role::System, "Sort {{ ticket }}".to_owned())]);
    assert_eq!(prompt.parameters[0].example, Some(json!("broken")));
    assert_eq!(prompt.model["model"], json!("gpt-5"));
    assert!(found.notes.iter().any(|n| n.what == "role developer"));
}

#[test]
fn what_a_message_has_beside_its_text_is_said() {
    let call =
        json!([{ "id": "c1", "type": "function", "function": { "name": "lookup", "arguments": "{}" } }]);
    let messages = json!([
        { "role": "assistant", "content": null, "tool_calls": call, "refusal": null },
        { "role": "tool", "content": "42", "tool_call_id": "c1" },
        { "type": "placeholder", "name": "history" },
        { "role": "user", "content": "Now", "name": "Ada" },
    ]);
    for file in [
        json!([{ "name": "a", "type": "chat", "labels": [], "config": {}, "prompt": messages }]),
        json!({ "name": "a", "model": "gpt-5", "messages": messages }),
    ] {
        let found = found("x.json", &file.to_string());
        let what: Vec<&str> = found.notes.iter().map(|n| n.what.as_str()).collect();
        assert_eq!(
            what,
            ["message 1: tool_calls", "message 2: tool_call_id", "message 4: name"],
            "{:?}: {:?}",
            found.format,
            found.notes
        );
    }
}

#[test]
fn a_secret_among_the_settings_is_left_out_and_not_told() {
    let text = "---\nname: a\nmodel:\n  api: chat\n  configuration:\n    type: azure_openai\n    api_key: ${env:KEY}\n    key: sk-123\n  \
                parameters:\n    max_tokens: 5\n    tools:\n      - function:\n          name: f\n          key: kept\n---\nsystem:\nHello\n";
    let found = found("a.prompty", text);
    let model = &only(&found).model;
    assert_eq!(model["configuration"], json!({ "type": "azure_openai", "api_key": "${env:KEY}" }));
    assert_eq!((&model["max_tokens"], &model["tools"][0]["function"]["key"]), (&json!(5), &json!("kept")));
    let note = found.notes.iter().find(|n| n.what == "model setting configuration.key").unwrap();
    assert!(note.why.contains("secret"), "{note:?}");
    assert!(!format!("{found:?}").contains("sk-123"));
}

#[test]
fn a_file_may_include_partials_that_stand_beside_it() {
    let tone = Partial { name: "tone".parse().unwrap(), source: "Be {{ mood }}".into() };
    let beside = std::slice::from_ref(&tone);
    for (name, text) in [
        ("a.md", "Dear {{ who }} {% include \"tone\" %}"),
        ("a.prompt", "Dear {{who}} {{>tone}}"),
        ("a.liquid", "Dear {{ who }} {% include 'tone' %}"),
        ("a.prompty", "system:\nDear {{ who }} {% include \"tone\" %}"),
    ] {
        let found = read_beside(None, name, text.as_bytes(), beside).unwrap();
        let prompt = only(&found);
        assert_eq!((prompt.engine, prompt.parameters.len()), (Engine::Tera, 2), "{name}: {:?}", found.notes);
        assert!(found.content.partials.is_empty(), "{name}");
        assert_eq!(only(&read(None, name, text.as_bytes()).unwrap()).engine, Engine::Plain, "{name}");
    }
}

#[test]
fn a_report_names_the_line_of_the_file() {
    let why = |name: &str, text: &str| {
        let found = found(name, text);
        let note =
            found.notes.iter().find(|n| n.why.contains("plain text") || n.why.contains("stays a template"));
        note.unwrap_or_else(|| panic!("{name}: {:?}", found.notes)).place.clone()
    };
    let prompty =
        "---\nname: b\ndescription: x\n---\nsystem:\nGood\n\nuser:\n\nFine\n{{ a | nothing_such }}\n";
    assert_eq!(why("b.prompty", prompty), "b.prompty, line 11");
    let dotprompt =
        "---\nmodel: x\n---\n{{role \"system\"}}\nGood\n{{history}}\n{{role \"user\"}}\nFine\n{{json data}}";
    assert_eq!(why("c.prompt", dotprompt), "c.prompt, line 9");
    let chat = "---\nchat: true\nengine: tera\n---\n<!-- message: system -->\nGood\n<!-- message: user -->\n{% if x %}\n";
    assert_eq!(why("d.md", chat), "d.md, line 8");
    let messages =
        json!([{ "role": "system", "content": "Good" }, { "role": "user", "content": "Fine\n{{ a b }}" }]);
    let file = json!([{ "name": "e", "type": "chat", "labels": [], "config": {}, "prompt": messages }]);
    let found = found("e.json", &file.to_string());
    assert!(found.notes.iter().any(|n| n.place == "e, message 2, line 2"), "{:?}", found.notes);
}

#[test]
fn langchain_templates_are_read_in_each_of_its_languages() {
    let leaf = |template: &str, format: &str| {
        json!({ "lc": 1, "type": "constructor", "id": ["langchain", "prompts", "prompt", "PromptTemplate"],
            "kwargs": { "template": template, "template_format": format, "input_variables": [] } })
    };
    let one = found("greet.json", &leaf("Hi {name}, {{\"a\": 1}} {{%", "f-string").to_string());
    assert_eq!(one.format, Format::Langchain);
    sound(&one.content);
    let mut values = template::Values::new();
    values.insert("name", json!("Ada"));
    assert_eq!(rendered(only(&one), &values), "Hi Ada, {\"a\": 1} {%");
    let two = found(
        "m.json",
        &leaf("{{#names}}- {{{.}}}\n{{/names}}{{^names}}none{{/names}}", "mustache").to_string(),
    );
    sound(&two.content);
    assert_eq!(
        text(only(&two)),
        "{% for item in names %}- {{ item }}\n{% endfor %}{% if not names %}none{% endif %}"
    );
    let three = found("f.json", &leaf("{price:.2f}", "f-string").to_string());
    assert_eq!((only(&three).engine, text(only(&three))), (Engine::Plain, "{price:.2f}"));
    let four = found("s.json", &leaf("{{#user}}{{name}}{{/user}}", "mustache").to_string());
    assert_eq!(only(&four).engine, Engine::Plain);
    let chat = json!({ "lc": 1, "type": "constructor", "id": ["langchain", "prompts", "chat", "ChatPromptTemplate"],
        "kwargs": { "messages": [
            { "lc": 1, "type": "constructor", "id": ["langchain", "prompts", "chat", "SystemMessagePromptTemplate"],
              "kwargs": { "prompt": leaf("You are {who}", "f-string") } },
            { "lc": 1, "type": "constructor", "id": ["langchain", "prompts", "chat", "MessagesPlaceholder"],
              "kwargs": { "variable_name": "chat_history" } } ] } });
    let found = found("chat.json", &chat.to_string());
    assert_eq!(
        messages(only(&found)),
        [(Role::System, "You are {{ who }}".into()), (Role::Other, "chat_history".into())]
    );
}

#[test]
fn liquid_is_converted_where_tera_says_the_same() {
    let source = "{% assign who = name | upcase %}{% if plan == \"pro\" or seats > 5 %}Hello {{ who }}{% elsif plan %}Hi{% else %}Hey{% endif %}\n\
                  {% case tier %}{% when 1, 2 %}low{% else %}high{% endcase %}{% unless done %}{% for i in (1..3) %}{{ forloop.index }}{% endfor %}{% endunless %}\
                  {% raw %}{{ x }}{% endraw %}{% comment %}hidden{% endcomment %}";
    let found = found("mail.liquid", source);
    sound(&found.content);
    let prompt = only(&found);
    assert_eq!(
        text(prompt),
        "{% set who = name | upper %}{% if plan == \"pro\" or seats > 5 %}Hello {{ who }}{% elif plan %}Hi{% else %}Hey{% endif %}\n\
         {% if tier == 1 or tier == 2 %}low{% else %}high{% endif %}{% if not done %}{% for i in range(start=1, end=4) %}{{ loop.index }}{% endfor %}{% endif %}\
         {{ \"{\" }}{ x }}"
    );
    let other = read(None, "a.liquid", b"{{ price | money_with_currency }}").unwrap();
    assert_eq!(other.content.prompts[0].engine, Engine::Plain);
    assert!(other.notes.iter().any(|n| n.why.contains("money_with_currency")), "{:?}", other.notes);
}

#[test]
fn a_markdown_file_needs_no_front_matter_and_may_have_it() {
    let plain = found("note.md", "Dear {{ name }},\n\nhello\n");
    assert_eq!(text(only(&plain)), "Dear {{ name }},\n\nhello");
    assert_eq!(only(&plain).parameters.len(), 1);
    let braces = found("code.txt", "if (x) {{ return }} {% \n");
    assert_eq!(only(&braces).engine, Engine::Plain);
    let front = found(
        "mail.md",
        "---\ndescription: a mail\ntags: [a, b]\nowner: me\nparameters:\n  - name: n\n    type: integer\n    required: true\nmodel:\n  temperature: 1\n---\nN is {{ n }}.\n",
    );
    let prompt = only(&front);
    assert!(matches!(prompt.parameters[0].kind, Kind::Integer { .. }));
    assert_eq!((prompt.description.as_str(), prompt.tags.len()), ("a mail", 2));
    assert_eq!(prompt.metadata["front_matter"], json!({ "owner": "me" }));
}

#[test]
fn a_template_that_does_not_compile_stays_one_where_the_file_says_that_it_is_one() {
    let broken = "Hello {{ nam }} {% if name %}";
    let front =
        format!("---\nparameters:\n  - name: name\n    type: string\n    required: true\n---\n{broken}\n");
    let declared = found("a.md", &front);
    assert_eq!((only(&declared).engine, text(only(&declared))), (Engine::Tera, broken));
    assert_eq!(only(&declared).parameters.len(), 1);
    let note = declared.notes.iter().find(|n| n.why.contains("no version can be locked")).unwrap();
    assert!(note.place.starts_with("a.md, line "), "{note:?}");
    // In the layout of `forge push` every file is one.
    let files = Files::from([
        ("forge.toml".to_owned(), Vec::new()),
        ("prompts/a.md".to_owned(), format!("{broken}\n").into_bytes()),
    ]);
    let laid_out = read(None, "x.zip", &pack(&files).unwrap()).unwrap();
    assert_eq!(only(&laid_out).engine, Engine::Tera);
    assert!(
        laid_out.notes.iter().any(|n| n.why.contains("no version can be locked")),
        "{:?}",
        laid_out.notes
    );
    // A name that nobody declared is said where others are.
    let typo = found("a.md", &front.replace(broken, "Hello {{ nam }}{{ name }}"));
    assert_eq!(only(&typo).parameters.len(), 2);
    assert!(typo.notes.iter().any(|n| n.what == "nam" && n.why.contains("not declared")), "{:?}", typo.notes);
}

#[test]
fn what_is_none_of_the_formats_is_refused_with_the_list_of_them() {
    for (name, bytes, code) in [
        ("x.json", &b"{\"a\": 1}"[..], "unknown_format"),
        ("x.bin", b"\x00\x01", "unknown_format"),
        ("x.json", b"{", "unreadable"),
        ("x.md", b"\xff\xfe", "not_utf8"),
        ("x.md", b"a\0b", "wrong_type"),
        ("x.prompt", b"---\n- a\n---\n", "unreadable"),
        ("x.prompt", b"---\na: &a [*a]\n---\n", "unreadable"),
        ("x", b"", "empty"),
        ("x.tar.gz", b"\x1f\x8b\x08", "damaged"),
    ] {
        let error = read(None, name, bytes).err().unwrap_or_else(|| panic!("{name} is taken"));
        assert_eq!(error.code, code, "{name}: {error}");
    }
}

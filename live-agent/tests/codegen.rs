//! What `live codegen` writes, given to the compilers and interpreters that it is written for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use live_agent::codegen::{self, Language};
use live_agent::{Contract, Values};
use schemas::bundle::{Bundle, SCHEMA_VERSION};
use schemas::canonical::Digest;
use schemas::parameter::check;
use schemas::prompt::Prompt;
use schemas::{Slug, Version};
use serde_json::{Value, json};

fn prompt(value: Value) -> Prompt {
    serde_json::from_value(value).unwrap()
}

fn text(id: &str, description: &str, parameters: &Value) -> Prompt {
    prompt(json!({
        "id": id, "description": description, "parameters": parameters,
        "content": { "type": "text", "template": "x" },
    }))
}

/// Every kind of parameter, as an author would have it.
fn plain() -> Vec<Prompt> {
    let many: Vec<Value> =
        (1..=8).map(|n| json!({ "name": format!("p{n}"), "type": "string", "required": n < 3 })).collect();
    let numbers: Vec<Value> =
        (1..=7).map(|n| json!({ "name": format!("n{n}"), "type": "integer" })).collect();
    vec![
        text("welcome.message", "Greets.", &json!([{ "name": "name", "type": "string", "required": true }])),
        text(
            "order/summary",
            "Sums up an order.\n\nIn two paragraphs.",
            &json!([
                { "name": "note", "type": "string", "max_length": 10 },
                { "name": "tone", "type": "enum", "values": ["warm", "very cold", "2nd"], "required": true },
                { "name": "count", "type": "integer", "minimum": 1, "maximum": 9, "required": true },
                { "name": "share", "type": "number", "minimum": 0.0, "default": 0.5 },
                { "name": "lines", "type": "list", "min_items": 1, "required": true, "items": {
                    "type": "object", "properties": [
                        { "name": "title", "type": "string", "required": true },
                        { "name": "price", "type": "number" },
                        { "name": "kind", "type": "enum", "values": ["a", "b"] },
                        { "name": "tags", "type": "list", "items": { "type": "string" } },
                    ] } },
                { "name": "extra", "type": "object" },
            ]),
        ),
        text("many", "", &json!(many)),
        text("numbers", "", &json!(numbers)),
        text("nothing", "", &json!([])),
        prompt(json!({
            "id": "chat/support",
            "content": { "type": "chat", "messages": [
                { "type": "message", "role": "system", "template": "x" },
                { "type": "placeholder", "name": "history" },
                { "type": "placeholder", "name": "type" },
            ] },
            "parameters": [
                { "name": "plan", "type": "object", "required": true, "properties": [
                    { "name": "tier", "type": "boolean", "required": true },
                ] },
                { "name": "matrix", "type": "list", "items": { "type": "list", "items": { "type": "integer" } } },
                { "name": "words", "type": "list", "items": { "type": "string", "min_length": 2 } },
            ],
        })),
    ]
}

/// Names that collide or are words of a language, and texts that want to get out of where they stand.
fn hostile() -> Vec<Prompt> {
    let escape = "*/ } \" ''' \"\"\" `${x}` ```\nstd::process::abort();\n```\n\n    std::process::exit(1)\n\
                  -\t    compile_error!()\r# import os\u{2028}export default 1\u{202e}\u{0} <script> [x](y) \\u{0}\\";
    let values = json!([
        "", "*/", "\"", "\\", "\n", "a b", "A_B", "a-b", "Self", "self", "\u{202e}", "ü", "1", "None", "'''"
    ]);
    let words =
        ["type", "self", "agent", "values", "given", "Type", "class", "None", "fn", "async", "contract"];
    let mut prompts: Vec<Prompt> = words
        .iter()
        .map(|word| text(word, escape, &json!([{ "name": "class", "type": "string", "required": true }])))
        .collect();
    for id in [
        "a.b",
        "a_b",
        "a-b",
        "a/b",
        "A/B",
        "2fa",
        "Option",
        "String",
        "Vec",
        "Record",
        "TypedDict",
        "Any",
        "u8",
    ] {
        let parameters = json!([
            { "name": "type", "type": "enum", "values": values, "required": true, "description": escape },
            { "name": "Type", "type": "enum", "values": values, "default": "*/" },
            { "name": "agent", "type": "string" },
            { "name": "o", "type": "object", "properties": [
                { "name": "from", "type": "enum", "values": values, "required": true, "description": escape },
                { "name": "From", "type": "object", "properties": [{ "name": "crate", "type": "string" }] },
                { "name": "_", "type": "integer" },
            ] },
            { "name": "CONTRACT", "type": "string" },
        ]);
        prompts.push(text(id, escape, &parameters));
    }
    prompts.push(prompt(json!({
        "id": "chat",
        "description": escape,
        "content": { "type": "chat", "messages": [
            { "type": "placeholder", "name": "*/ \"\n" },
            { "type": "placeholder", "name": "agent" },
            { "type": "placeholder", "name": "agent" },
            { "type": "placeholder", "name": "values" },
        ] },
        "parameters": [{ "name": "values", "type": "string" }],
    })));
    prompts
}

/// Real prompts of other people.
fn patterns() -> Vec<Prompt> {
    let folder = root().join("examples/fabric-patterns");
    let mut prompts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if let Ok(text) = fs::read_to_string(entry.path().join("system.md")) {
            let mut prompt = Prompt::text(entry.file_name().to_str().unwrap().parse().unwrap(), &text);
            prompt.description = text;
            prompts.push(prompt);
        }
    }
    assert!(prompts.len() >= 225, "{}", prompts.len());
    prompts
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn written(language: Language, prompts: &[Prompt]) -> String {
    let (set, version) = (Slug::new("welcome").unwrap(), Version::new(1, 2, 0));
    codegen::write(language, &set, &version, &Digest::of(b"x"), prompts)
}

/// A file in a folder of its own.
fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{command:?}\n{}{}", said(&done.stdout), said(&done.stderr));
    said(&done.stdout)
}

/// The compiler, with this very crate to compile against.
fn rustc() -> Command {
    let me = std::env::current_exe().unwrap();
    let dependencies = me.parent().unwrap();
    let crates = fs::read_dir(dependencies).unwrap().map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("liblive_agent-") && name.ends_with(".rlib")
    });
    // The one that cargo built for this test.
    let newest = crates.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc
        .args(["--edition", "2024", "-D", "warnings", "-L"])
        .arg(format!("dependency={}", dependencies.display()));
    rustc.arg("--extern").arg(format!("live_agent={}", newest.display()));
    rustc
}

/// Compiles `module` with a program that uses it, runs that, and gives what it prints.
fn compiled(prompts: &[Prompt], main: &str) -> String {
    let (folder, _) = file("prompts.rs", &written(Language::Rust, prompts));
    let program = folder.path().join("main.rs");
    fs::write(&program, format!("mod prompts;\n{main}\n")).unwrap();
    let binary = folder.path().join("main");
    run(rustc().arg(&program).arg("-o").arg(&binary));
    run(&mut Command::new(binary))
}

#[test]
fn rust_of_every_kind_of_parameter_is_called_as_declared() {
    let main = r#"
        use live_agent::{LiveAgent, PromptError, RenderedMessage};
        use live_agent::generated::serde_json;
        use prompts::*;
        // Never called: that it compiles is the test.
        #[allow(dead_code)]
        fn call(agent: &LiveAgent, history: &[RenderedMessage]) -> Result<(), PromptError> {
            let _: String = welcome_message(agent, "Ada")?;
            let _: String = nothing(agent)?;
            let line = OrderSummaryLinesItem {
                title: "tea".into(), price: Some(1.5), kind: Some(OrderSummaryLinesItemKind::B), tags: None,
            };
            let extra = serde_json::Map::new();
            order_summary(agent, OrderSummaryTone::VeryCold, 3, &[line], None, Some(0.25), Some(&extra))?;
            many(agent, &ManyValues {
                p1: "a", p2: "b", p3: None, p4: Some("c"), p5: None, p6: None, p7: None, p8: None,
            })?;
            numbers(agent, &NumbersValues { n3: Some(3), ..NumbersValues::default() })?;
            let plan = ChatSupportPlan { tier: true };
            let matrix = [vec![1, 2], vec![]];
            let _: Vec<RenderedMessage> =
                chat_support(agent, &plan, Some(&matrix), Some(&["ab"]), history, &[])?;
            Ok(())
        }
        fn main() {
            let line = OrderSummaryLinesItem {
                title: "tea".into(), price: None, kind: Some(OrderSummaryLinesItemKind::B), tags: None,
            };
            let value = (OrderSummaryTone::_2nd, line);
            println!("{}", serde_json::to_string(&value).unwrap());
            println!("{}", serde_json::to_string(&contract().unwrap()).unwrap());
        }"#;
    let printed = compiled(&plain(), main);
    let mut lines = printed.lines();
    assert_eq!(lines.next(), Some(r#"["2nd",{"title":"tea","kind":"b"}]"#));
    let contract: Contract = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut sorted = plain();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(contract, Contract::of("welcome".parse().unwrap(), Version::new(1, 2, 0), &sorted));
}

#[test]
fn rust_of_hostile_names_and_texts_compiles_and_holds_nothing_of_theirs_but_text() {
    let printed = compiled(
        &hostile(),
        r#"fn main() {
            use live_agent::generated::serde_json;
            let all = [prompts::ABType::Value, prompts::ABType::Self_2, prompts::ABType::Value_2];
            println!("{}", serde_json::to_string(&all).unwrap());
            println!("{}", prompts::contract().unwrap().prompts.len());
        }"#,
    );
    assert_eq!(printed, format!("[\"\",\"Self\",\"*/\"]\n{}\n", hostile().len()));
    let module = written(Language::Rust, &hostile());
    for line in module.lines().filter(|line| line.trim_start().starts_with("///")) {
        let text = line.trim_start().trim_start_matches("///");
        assert!(
            !text.contains("```") && !text.contains("~~~"),
            "a fence: its code would run as a test: {line}"
        );
        assert!(!text.starts_with("     ") && !text.contains("  "), "code by indentation: {line}");
    }
}

#[test]
fn rust_of_real_prompts_compiles() {
    assert_eq!(compiled(&patterns(), "fn main() { println!(\"{}\", prompts::SET); }"), "welcome\n");
}

#[test]
fn python_runs_and_knows_what_is_required() {
    let program = "
import sys, importlib.util, json, typing
spec = importlib.util.spec_from_file_location('prompts', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
out = {}
for id, one in list(module.TEXTS.items()) + [(id, one[0]) for id, one in module.CHATS.items()]:
    typing.get_type_hints(one)
    out[id] = [sorted(one.__required_keys__), sorted(one.__optional_keys__)]
assert set(typing.get_args(module.PromptId)) == set(out), module.PromptId
print(json.dumps(out))
";
    for prompts in [plain(), hostile(), patterns()] {
        let (_folder, path) = file("prompts.py", &written(Language::Python, &prompts));
        run(Command::new("python3").args(["-I", "-m", "py_compile"]).arg(&path));
        let printed = run(Command::new("python3").args(["-I", "-W", "error", "-c", program]).arg(&path));
        let mut expected = serde_json::Map::new();
        for prompt in &prompts {
            let names = |required: bool| {
                let own = prompt.parameters.iter().filter(|p| p.required == required);
                let mut names: Vec<&str> = own.map(|p| p.name.as_str()).collect();
                names.sort_unstable();
                names
            };
            expected.insert(prompt.id.to_string(), json!([names(true), names(false)]));
        }
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), Value::Object(expected));
    }
}

#[test]
fn typescript_is_taken_by_its_compiler_and_refuses_wrong_values() {
    let tsc = root().join(".tools/node_modules/typescript/bin/tsc");
    assert!(tsc.is_file(), "no TypeScript compiler: run `scripts/ensure-tools test`, or `make test`");
    let check = |prompts: &[Prompt], uses: &str| {
        let (folder, _) = file("prompts.ts", &written(Language::TypeScript, prompts));
        fs::write(folder.path().join("use.ts"), uses).unwrap();
        let mut node = Command::new("node");
        node.arg(&tsc).args(["--strict", "--noEmit", "--exactOptionalPropertyTypes", "--target", "es2022"]);
        let done = node.args(["--types", "", "use.ts"]).current_dir(folder.path()).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let right = r#"
        import { Texts, Chats, PromptId } from "./prompts";
        const id: PromptId = "chat/support";
        const order: Texts["order/summary"] = {
            tone: "very cold", count: 2, lines: [{ title: "tea", tags: ["x"], kind: "a" }], extra: { any: [1] },
        };
        const chat: Chats["chat/support"]["values"] = { plan: { tier: true }, matrix: [[1]] };
        const where: Chats["chat/support"]["placeholders"] = "history";
        const none: Texts["nothing"] = {};
        console.log(id, order, chat, where, none);
    "#
    .replace("console.log", "export default (...all: unknown[]) => all; (() => 0)");
    let right =
        right.replace("(() => 0)(id, order, chat, where, none);", "export { id, order, chat, where, none };");
    let (taken, said) = check(&plain(), &right);
    assert!(taken, "{said}");
    for wrong in ["tone: \"hot\"", "count: \"2\"", "lines: [{}]", "more: 1"] {
        let uses = format!(
            "import {{ Texts }} from \"./prompts\";\n\
             export const order: Texts[\"order/summary\"] = {{ ...{{}} as Texts[\"order/summary\"], {wrong} }};"
        );
        assert!(!check(&plain(), &uses).0, "{wrong} was taken");
    }
    for prompts in [hostile(), patterns()] {
        let (taken, said) =
            check(&prompts, "import { PromptId } from \"./prompts\"; export type X = PromptId;");
        assert!(taken, "{said}");
    }
}

#[test]
fn json_schema_takes_and_refuses_what_we_do() {
    let prompts = plain();
    let line = json!({ "title": "tea" });
    let order = |change: Value| {
        let mut order = json!({ "tone": "warm", "count": 3, "lines": [line] });
        for (name, value) in change.as_object().unwrap() {
            order[name] = value.clone();
        }
        ("order/summary", order)
    };
    let cases = [
        ("welcome.message", json!({ "name": "Ada" })),
        ("welcome.message", json!({})),
        ("welcome.message", json!({ "name": 3 })),
        ("welcome.message", json!({ "name": "Ada", "more": 1 })),
        ("nothing", json!({})),
        ("nothing", json!({ "a": 1 })),
        order(json!({})),
        order(json!({ "note": "ten chars!" })),
        order(json!({ "note": "ten chars!!" })),
        order(json!({ "note": "üüüüüüüüüü" })),
        order(json!({ "note": "😀😀😀😀😀😀😀😀😀😀😀" })),
        order(json!({ "tone": "cold" })),
        order(json!({ "count": 0 })),
        order(json!({ "count": 9 })),
        order(json!({ "count": 10 })),
        order(json!({ "count": 2.5 })),
        order(json!({ "count": true })),
        order(json!({ "share": 0 })),
        order(json!({ "share": -0.1 })),
        order(json!({ "share": "1" })),
        order(json!({ "lines": [] })),
        order(json!({ "lines": [{}] })),
        order(json!({ "lines": [{ "title": "a", "price": 1, "kind": "b", "tags": ["x"] }] })),
        order(json!({ "lines": [{ "title": "a", "kind": "c" }] })),
        order(json!({ "lines": [{ "title": "a", "tags": [1] }] })),
        order(json!({ "lines": [{ "title": "a", "more": 1 }] })),
        order(json!({ "lines": { "title": "a" } })),
        order(json!({ "extra": { "any": [1, { "b": null }] } })),
        order(json!({ "extra": [] })),
        ("chat/support", json!({ "plan": { "tier": false }, "matrix": [[1], []], "words": ["ab"] })),
        ("chat/support", json!({ "plan": { "tier": false }, "words": ["a"] })),
        ("chat/support", json!({ "plan": {}, "matrix": [[1]] })),
        ("chat/support", json!({ "plan": { "tier": true }, "matrix": [1] })),
    ];
    let ours: Vec<bool> = cases
        .iter()
        .map(|(id, values)| {
            let prompt = prompts.iter().find(|prompt| prompt.id.as_str() == *id).unwrap();
            let values = Values::from_json(values.as_object().unwrap().clone());
            check::check(&prompt.id, &prompt.parameters, &values).is_ok()
        })
        .collect();
    assert!(
        ours.iter().filter(|fits| **fits).count() >= 10 && ours.iter().filter(|fits| !**fits).count() >= 10
    );
    let program = "
import sys, json
from jsonschema import Draft202012Validator
schema, cases = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
print(json.dumps([validator.is_valid({id: values}) for id, values in cases]))
";
    let mut theirs = Vec::new();
    for prompts in [hostile(), patterns(), plain()] {
        let (folder, schema) = file("schema.json", &written(Language::JsonSchema, &prompts));
        let given = folder.path().join("cases.json");
        fs::write(&given, serde_json::to_string(&cases[..]).unwrap()).unwrap();
        let mut python = Command::new("python3");
        python
            .env("PYTHONPATH", root().join(".tools/jsonschema"))
            .args(["-c", program])
            .arg(schema)
            .arg(given);
        theirs = serde_json::from_str::<Vec<bool>>(&run(&mut python)).unwrap();
    }
    for ((case, ours), theirs) in cases.iter().zip(ours).zip(theirs) {
        assert_eq!(ours, theirs, "{case:?}");
    }
}

#[test]
fn the_same_version_gives_the_same_text_in_whatever_order_its_prompts_come() {
    for language in Language::ALL {
        let mut prompts: Vec<Prompt> = plain().into_iter().chain(hostile()).collect();
        let first = written(language, &prompts);
        prompts.reverse();
        assert_eq!(first, written(language, &prompts), "{}", language.name());
        for part in ["welcome", "1.2.0", &Digest::of(b"x").to_string(), "live codegen --language"] {
            assert!(first.contains(part), "{} lacks {part}", language.name());
        }
        assert!(!first.contains('\u{202e}') && !first.contains('\u{2028}'), "{}", language.name());
    }
}

/// What `forge import` makes of the folder and locks; the test of the whole stack (`tests/tests/compose.rs`) asks
/// the real one.
#[test]
fn the_example_service_has_the_functions_of_its_prompts() {
    let template = fs::read_to_string(root().join("examples/service/prompts/welcome.message.md")).unwrap();
    // The line end that closes a file is none of its text.
    let template = template.strip_suffix('\n').unwrap();
    let mut welcome = Prompt::text("welcome.message".parse().unwrap(), template);
    welcome.parameters =
        serde_json::from_value(json!([{ "name": "name", "type": "string", "required": true }])).unwrap();
    let bundle = Bundle {
        schema_version: SCHEMA_VERSION,
        organisation: "acme".parse().unwrap(),
        project: "support".parse().unwrap(),
        set: "welcome".parse().unwrap(),
        version: Version::new(1, 0, 0),
        prompts: vec![welcome],
        partials: Vec::new(),
        dependencies: Vec::new(),
    };
    let digest = Digest::of(&bundle.clone().into_body().unwrap());
    let expected = codegen::write(Language::Rust, &bundle.set, &bundle.version, &digest, &bundle.prompts);
    let there = fs::read_to_string(root().join("examples/service/src/prompts.rs")).unwrap();
    assert!(there == expected, "examples/service/src/prompts.rs is to be:\n{expected}");
}

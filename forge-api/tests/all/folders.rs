//! `forge import` and `forge export` of folders and files on FORGE's machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use forge_api::auth::Role;
use forge_api::database::Address;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, SET, on_both};

on_both!(
    a_folder_goes_out_and_comes_in_as_it_was,
    a_folder_of_another_tool_goes_out_and_comes_in_and_says_what_is_lost,
    a_folder_of_patterns_is_one_prompt_for_each_of_its_folders,
);

/// `forge …` on the database of the application: exit code and what it printed.
fn forge(app: &App, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forge"));
    command.args(arguments).env("FORGE_DATA_DIR", &app.state.config.data_dir);
    if let Address::Postgres(url) = &app.state.config.database {
        command.env("FORGE_DATABASE_URL", url);
    }
    let done = command.output().unwrap();
    let text = [done.stdout, done.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
    (done.status.code().unwrap(), text)
}

/// As [`forge`], and it has to work.
fn done(app: &App, arguments: &[&str]) -> String {
    let (code, text) = forge(app, arguments);
    assert_eq!(code, 0, "{arguments:?}: {text}");
    text
}

/// The prompts and partials of a set of the project, without what only a save adds.
async fn content(app: &App, set: &str) -> (Vec<Value>, Vec<Value>) {
    let draft = app.get(&format!("/api/v1/projects/acme:support/sets/{set}")).await;
    let of = |key: &str, part: &str| {
        draft[key].as_array().unwrap().iter().map(|one| one[part].clone()).collect::<Vec<_>>()
    };
    (of("prompts", "prompt"), of("partials", "partial"))
}

/// A prompt with something of everything, one that is plain text, and a partial.
async fn rich(app: &App) {
    let put = async |path: &str, body: Value| {
        let put = app.request(Role::Owner, Method::PUT, &format!("{SET}/{path}")).json(&body);
        assert_eq!(put.send().await.unwrap().status(), 201);
    };
    put("partials/tone", json!({ "source": "Be {{ mood }}." })).await;
    let messages = json!([
        { "type": "message", "role": "system", "template": "Hello {{ name }}. {% include \"tone\" %}" },
        { "type": "placeholder", "name": "history" },
        { "type": "message", "role": "user", "template": "Now." },
    ]);
    let parameters = json!([
        { "name": "name", "type": "string", "required": true, "max_length": 80, "example": "Ada" },
        { "name": "mood", "type": "enum", "values": ["calm", "glad"], "default": "calm", "description": "how" },
    ]);
    let welcome = json!({
        "id": "welcome.message", "description": "how one is met", "tags": ["mail"], "parameters": parameters,
        "model": { "temperature": 0.5 }, "metadata": { "owner": "support" },
        "content": { "type": "chat", "messages": messages },
    });
    put("prompts/welcome.message", welcome).await;
    let text = json!({ "type": "text", "template": "if (x) {{ return }}\n" });
    put("prompts/code", json!({ "id": "code", "engine": "plain", "content": text })).await;
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn a_folder_goes_out_and_comes_in_as_it_was(app: App) {
    rich(&app).await;
    let folder = app.directory.path().join("out");
    done(&app, &["export", "acme/support/chat", text(&folder)]);
    for file in
        ["forge.toml", "forge.lock", "partials/tone.md", "prompts/code.md", "prompts/welcome.message.md"]
    {
        assert!(folder.join(file).is_file(), "{file} is not there");
    }
    let manifest = fs::read_to_string(folder.join("forge.toml")).unwrap();
    assert_eq!(manifest, "project = \"acme/support\"\nset = \"chat\"\n");
    let said = done(&app, &["import", text(&folder), "acme/support/copy"]);
    assert!(
        said.contains("new       prompts/welcome.message") && said.contains("new       partials/tone"),
        "{said}"
    );
    assert_eq!(content(&app, "copy").await, content(&app, "chat").await);
    assert!(done(&app, &["import", text(&folder), "acme/support/copy"]).contains("0 written, 3 unchanged"));
}

async fn a_folder_of_another_tool_goes_out_and_comes_in_and_says_what_is_lost(app: App) {
    rich(&app).await;
    let folder = app.directory.path().join("dotprompt");
    done(&app, &["export", "acme/support/chat", text(&folder), "--format", "dotprompt"]);
    assert!(folder.join("welcome.message.prompt").is_file() && folder.join("_tone.prompt").is_file());
    done(&app, &["import", text(&folder), "acme/support/dot"]);
    let (prompts, partials) = content(&app, "dot").await;
    assert_eq!((prompts.len(), partials.len()), (2, 1), "{prompts:?}");
    // One file, and a report of what it does not hold.
    let file = app.directory.path().join("prompts.json");
    let said = done(&app, &["export", "acme/support/chat", text(&file), "--format", "langfuse"]);
    assert!(said.contains("note: partials: tone"), "{said}");
    assert!(fs::read_to_string(&file).unwrap().starts_with('['));
    let (code, said) = forge(&app, &["export", "acme/support/chat", text(&folder), "--format", "archive"]);
    assert!(code == 1 && said.contains(".zip"), "{code} {said}");

    // What a file holds that cannot be taken over is said.
    let folder = app.directory.path().join("prompty");
    fs::create_dir_all(&folder).unwrap();
    let basic = "---\nname: basic\ntemplate: other\n---\nsystem:\nHello\n";
    fs::write(folder.join("basic.prompty"), basic).unwrap();
    let said = done(&app, &["import", text(&folder), "acme/support/prompty"]);
    assert!(said.contains("new       prompts/basic") && said.contains("note: basic.prompty: "), "{said}");
    let said = done(&app, &["import", text(&folder.join("basic.prompty")), "acme/support/prompty"]);
    assert!(said.contains("note: basic.prompty: "), "{said}");
}

async fn a_folder_of_patterns_is_one_prompt_for_each_of_its_folders(app: App) {
    let folder = app.directory.path().join("patterns");
    for (file, text) in [
        ("README.md", "Not a prompt"),
        ("ask/system.md", "You answer.\n"),
        ("sum/system.md", "You sum up {{ text }}.\n"),
        ("sum/user.md", "Please.\n"),
    ] {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    done(&app, &["import", text(&folder), "acme/support/patterns"]);
    let (prompts, _) = content(&app, "patterns").await;
    let of = |n: usize| (prompts[n]["id"].as_str().unwrap(), prompts[n]["content"]["type"].as_str().unwrap());
    assert_eq!((prompts.len(), of(0), of(1)), (2, ("ask", "text"), ("sum", "chat")));
}

//! The checked-in JSON Schemas are those of the types, and what was recorded stays readable.

use std::path::PathBuf;

use nkeys::KeyPair;
use schemas::bundle::{self, Bundle, Encoding};
use schemas::canonical::Digest;
use schemas::connect::Connection;
use schemas::envelope::{
    Attestation, Enrolment, Envelope, Heartbeat, KeyCertificate, Statement, Trust, TrustList,
};
use schemas::status::{AgentStatus, EnrolAnswer, EnrolRequest};
use schemas::template::{CompiledSet, RenderedMessage};
use schemas::{Scope, vars};
use serde_json::Value;

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every type on the wire, by the name of its file.
fn generated() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("agent-status", schemars::schema_for!(AgentStatus)),
        ("attestation", schemars::schema_for!(Statement<Attestation>)),
        ("bundle", schemars::schema_for!(Bundle)),
        ("connection", schemars::schema_for!(Connection)),
        ("enrol-answer", schemars::schema_for!(EnrolAnswer)),
        ("enrol-request", schemars::schema_for!(EnrolRequest)),
        ("enrolment", schemars::schema_for!(Statement<Enrolment>)),
        ("envelope", schemars::schema_for!(Envelope)),
        ("heartbeat", schemars::schema_for!(Statement<Heartbeat>)),
        ("key-certificate", schemars::schema_for!(Statement<KeyCertificate>)),
        ("trust-list", schemars::schema_for!(Statement<TrustList>)),
    ]
}

/// With `UPDATE_SCHEMAS=1` the files are written instead of compared.
#[test]
fn the_json_schemas_are_those_of_the_types() {
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut names = Vec::new();
    for (name, schema) in generated() {
        let path = folder("json").join(format!("{name}.schema.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if update {
            std::fs::create_dir_all(folder("json")).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{name}: the type has changed; look at it and run with UPDATE_SCHEMAS=1");
        names.push(format!("{name}.schema.json"));
    }
    let mut files: Vec<String> = std::fs::read_dir(folder("json"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, names, "a schema without a type");
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(folder("fixtures/v1").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The fixture was recorded once, and is never written again: what was shipped stays readable.
#[test]
fn the_recorded_bundle_of_version_1_is_verified_and_renders() {
    let body = recorded("bundle.json");
    let headers: Value = serde_json::from_str(&recorded("headers.json")).unwrap();
    let header = |name: &str| headers[name].as_str().unwrap_or_else(|| panic!("no header {name}"));
    let keys: Value = serde_json::from_str(&recorded("keys.test-only.json")).unwrap();
    let root = recorded("root.pub").trim().to_owned();
    let trust = Trust::new(vec![root.clone()], Scope::new("acme", "support", "prod").unwrap());

    let encoding = Encoding::from_header(headers["Content-Encoding"].as_str()).unwrap();
    let decoded = bundle::decode(body.as_bytes(), encoding).unwrap();
    let verified = trust
        .verify(header("Forge-Key"), header("Forge-Attestation"), &decoded, 1_790_000_000_000_000)
        .unwrap();
    assert_eq!(verified.digest.to_string(), header("Forge-Digest"));
    assert_eq!(verified.attestation.serial.to_string(), header("Forge-Serial"));
    assert_eq!(verified.attestation.version.to_string(), header("Forge-Version"));
    assert_eq!(verified.attestation.set.as_str(), header("Forge-Set"));
    assert_eq!(verified.attestation.publication, header("Nats-Msg-Id"));
    for (seed, public) in [("root_seed", root.as_str()), ("publishing_seed", verified.key.as_str())] {
        let pair = KeyPair::from_seed(keys[seed].as_str().unwrap()).unwrap();
        assert_eq!(pair.public_key(), public, "{seed}");
    }

    let read = Bundle::from_body(&decoded).unwrap();
    assert_eq!(read.clone().into_body().unwrap(), decoded, "the same content still gives the same bytes");
    assert_eq!(Digest::of(&decoded), verified.digest);

    let set = CompiledSet::compile(&read).unwrap();
    let welcome = set.get("welcome.message").unwrap();
    assert_eq!(
        welcome.render(&vars! { name: "Ada", products: ["Anvil", "Hammer"] }).unwrap(),
        "Welcome, Ada!\n1. Anvil\n2. Hammer\nWith kind regards, Acme"
    );
    let past = [RenderedMessage::new(schemas::prompt::Role::User, "Hi")];
    let chat = set.get("chat/answer").unwrap();
    let messages = chat.render_messages(&vars! { question: "Why?" }, &[("history", &past)]).unwrap();
    let texts: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
    assert_eq!(texts, ["Answer in a kind tone.", "Hi", "Why?"]);
    assert_eq!(
        set.get("json.rules").unwrap().render(&vars! {}).unwrap(),
        "Answer with {{\"ok\": true}} only."
    );
}

/// Records the fixture. By hand only, once for each version of the format; never over an old one.
#[test]
#[ignore = "records the fixture of a new version of the format"]
fn record_the_fixture() {
    let folder = folder("fixtures/v1");
    assert!(!folder.exists(), "what was shipped is never recorded again");
    let prompts = serde_json::json!([
        {"id": "welcome.message", "description": "The first words.", "content": {"type": "text", "template":
            "Welcome, {{ name }}!\n{% for p in products -%}\n{{ loop.index }}. {{ p | trim }}\n{% endfor %}{% include 'parts/closing' %}"},
            "parameters": [
                {"name": "name", "type": "string", "required": true, "max_length": 80, "example": "Ada"},
                {"name": "products", "type": "list", "required": true, "items": {"type": "string"}},
                {"name": "company", "type": "string", "default": "Acme"}],
            "model": {"provider": "any", "temperature": 0.2}, "tags": ["greeting"]},
        {"id": "chat/answer", "content": {"type": "chat", "messages": [
            {"type": "message", "role": "system", "template": "Answer in a {{ tone }} tone."},
            {"type": "placeholder", "name": "history"},
            {"type": "message", "role": "user", "template": "{{ question }}"}]},
            "parameters": [
                {"name": "tone", "type": "enum", "values": ["kind", "brief"], "default": "kind"},
                {"name": "question", "type": "string", "required": true}]},
        {"id": "json.rules", "engine": "plain", "content": {"type": "text", "template":
            "Answer with {{\"ok\": true}} only."}, "metadata": {"owner": "ada"}}
    ]);
    let bundle = Bundle {
        schema_version: 1,
        organisation: "acme".parse().unwrap(),
        project: "support".parse().unwrap(),
        set: "chat".parse().unwrap(),
        version: "1.0.0+fixture".parse().unwrap(),
        prompts: serde_json::from_value(prompts).unwrap(),
        partials: vec![crate::render::partial("parts/closing", "With kind regards, {{ company }}")],
        dependencies: Vec::new(),
    };
    let body = bundle.into_body().unwrap();
    let (root, key) = (KeyPair::new_operator(), KeyPair::new_account());
    let certificate = KeyCertificate {
        key: key.public_key(),
        organisation: "acme".parse().unwrap(),
        project: "support".parse().unwrap(),
        issued: 1_780_000_000_000_000,
        expires: None,
    };
    let digest = Digest::of(&body);
    let attestation = Attestation {
        publication: "01920000-0000-7000-8000-000000000001".into(),
        scope: Scope::new("acme", "support", "prod").unwrap(),
        set: "chat".parse().unwrap(),
        version: "1.0.0+fixture".parse().unwrap(),
        serial: 1,
        size: body.len() as u64,
        issued: 1_780_000_000_000_000,
        expires: None,
        previous: None,
        author: "ada".into(),
        approver: Some("bob".into()),
        publisher: "cleo".into(),
    };
    let headers = serde_json::json!({
        "Forge-Set": "chat", "Forge-Version": "1.0.0+fixture", "Forge-Serial": "1",
        "Forge-Digest": digest.to_string(), "Nats-Msg-Id": attestation.publication,
        "Content-Encoding": "identity",
        "Forge-Key": schemas::envelope::certify(&root, certificate).unwrap().to_line(),
        "Forge-Attestation": schemas::envelope::attest(&key, digest, attestation).unwrap().to_line(),
    });
    let keys = serde_json::json!({
        "warning": "for tests only: these keys are public and protect nothing",
        "root_seed": root.seed().unwrap(), "publishing_seed": key.seed().unwrap(),
    });
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("bundle.json"), body).unwrap();
    std::fs::write(folder.join("headers.json"), serde_json::to_string_pretty(&headers).unwrap() + "\n")
        .unwrap();
    std::fs::write(folder.join("keys.test-only.json"), serde_json::to_string_pretty(&keys).unwrap() + "\n")
        .unwrap();
    std::fs::write(folder.join("root.pub"), root.public_key() + "\n").unwrap();
}

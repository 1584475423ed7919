//! Files in and out: what would come of them, all of it or nothing, and back.

use forge_api::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both};

on_both!(
    an_import_writes_what_its_plan_said_and_nothing_before,
    a_plan_that_is_no_longer_true_writes_nothing,
    what_was_changed_on_both_sides_is_a_conflict,
    a_file_may_include_the_partials_of_the_set,
    a_file_that_is_refused_says_why_and_leaves_nothing,
    a_set_that_is_not_being_edited_takes_nothing,
    an_archive_holds_every_version_byte_for_byte_and_reads_back,
    every_format_is_given_out_and_read_again,
    the_pages_show_the_plan_before_they_write,
);

const LANGFUSE: &str = r#"[
  { "name": "welcome.message", "type": "text", "prompt": "Welcome {{name}}", "labels": ["production"], "tags": [], "config": {}, "version": 2 },
  { "name": "bye", "type": "chat", "prompt": [{ "role": "system", "content": "Say bye to {{name}} {{user.x}}" }], "labels": [], "tags": [], "config": {}, "version": 1 }
]"#;

async fn upload(app: &App, query: &str, bytes: impl Into<reqwest::Body>) -> reqwest::Response {
    let path = format!("{SET}/imports?{query}");
    app.request(Role::ContextEngineer, Method::POST, &path).body(bytes).send().await.unwrap()
}

async fn apply(app: &App, plan: &Value, existing: &str) -> reqwest::Response {
    let path = format!("{SET}/imports/{}/apply", plan["id"].as_str().unwrap());
    let body = json!({ "digest": plan["digest"], "existing": existing, "others": plan["others"] });
    app.request(Role::ContextEngineer, Method::POST, &path).json(&body).send().await.unwrap()
}

async fn texts(app: &App) -> Vec<(String, String)> {
    let draft = app.get(SET).await;
    let one = |p: &Value| {
        let p = &p["prompt"];
        (p["id"].as_str().unwrap().to_owned(), p["content"].to_string())
    };
    draft["prompts"].as_array().unwrap().iter().map(one).collect()
}

async fn an_import_writes_what_its_plan_said_and_nothing_before(app: App) {
    app.save("welcome.message", "Hello {{ name }}", &["name"]).await;
    app.save("other", "stays", &[]).await;
    let before = texts(&app).await;
    let plan = json_of(upload(&app, "name=prompts.json", LANGFUSE).await, 201).await;
    assert_eq!(plan["format"], "langfuse");
    assert_eq!(plan["counts"]["new"], 1);
    assert_eq!(plan["counts"]["changed"], 1);
    assert_eq!(plan["counts"]["kept"], 1);
    assert!(plan["notes"].to_string().contains("user.x"), "{plan}");
    assert_eq!(texts(&app).await, before, "a plan writes nothing");
    // The same again, as its own address gives it.
    let path = format!("{SET}/imports/{}", plan["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await["digest"], plan["digest"]);
    let done = json_of(apply(&app, &plan, "").await, 200).await;
    assert_eq!(done, json!({ "written": 2, "removed": 0, "unchanged": 0 }));
    let after = texts(&app).await;
    assert_eq!(after.len(), 3);
    assert!(after.iter().any(|(id, text)| id == "welcome.message" && text.contains("Welcome {{ name }}")));
    // The upload is gone, and what was imported has its revision.
    assert_eq!(apply(&app, &plan, "").await.status(), 404);
    let audit = app.audit(&app.organisation.id).await;
    assert!(audit.iter().any(|e| e.action == "set.imported" && e.detail.contains("langfuse")));
    let again = json_of(upload(&app, "name=prompts.json&others=remove", LANGFUSE).await, 201).await;
    assert_eq!((&again["counts"]["unchanged"], &again["counts"]["removed"]), (&json!(2), &json!(1)));
    let done = json_of(apply(&app, &again, "").await, 200).await;
    assert_eq!(done["removed"], 1);
    assert_eq!(texts(&app).await.len(), 2);
}

async fn a_plan_that_is_no_longer_true_writes_nothing(app: App) {
    let plan = json_of(upload(&app, "name=prompts.json", LANGFUSE).await, 201).await;
    app.save("welcome.message", "Somebody was quicker", &[]).await;
    let before = texts(&app).await;
    let refused = json_of(apply(&app, &plan, "").await, 409).await;
    assert_eq!(refused["code"], "plan_changed");
    assert_eq!(texts(&app).await, before);
    // Another choice is another plan.
    let plan = json_of(upload(&app, "name=prompts.json", LANGFUSE).await, 201).await;
    assert_eq!(json_of(apply(&app, &plan, "keep").await, 409).await["code"], "plan_changed");
    let kept = json_of(upload(&app, "name=prompts.json&existing=keep", LANGFUSE).await, 201).await;
    json_of(apply(&app, &kept, "keep").await, 200).await;
    let after = texts(&app).await;
    assert!(after.iter().any(|(id, text)| id == "welcome.message" && text.contains("quicker")), "{after:?}");
}

async fn what_was_changed_on_both_sides_is_a_conflict(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let plan =
        json_of(upload(&app, "name=welcome.message.md&existing=careful", "Hello there\n").await, 201).await;
    assert_eq!(plan["counts"]["conflict"], 1);
    let refused = json_of(apply(&app, &plan, "careful").await, 409).await;
    assert_eq!(
        (&refused["code"], &refused["conflicts"]),
        (&json!("import_conflicts"), &json!(["prompts/welcome.message"]))
    );
    assert!(texts(&app).await[0].1.contains("\"Hello\""));
}

async fn a_file_may_include_the_partials_of_the_set(app: App) {
    let put = app.request(Role::Owner, Method::PUT, &format!("{SET}/partials/tone"));
    assert_eq!(put.json(&json!({ "source": "Be {{ mood }}" })).send().await.unwrap().status(), 201);
    let text = "Dear {{ who }} {% include \"tone\" %}";
    let plan = json_of(upload(&app, "name=m.md", text).await, 201).await;
    assert_eq!(plan["notes"], json!([]), "{plan}");
    json_of(apply(&app, &plan, "").await, 200).await;
    let stored = app.get(&format!("{SET}/prompts/m")).await["prompt"].clone();
    assert_eq!((&stored["engine"], &stored["content"]["template"]), (&json!("tera"), &json!(text)));
    let names: Vec<_> = stored["parameters"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["who", "mood"]);
    // One that nobody has is missing all the same.
    let plan = json_of(upload(&app, "name=n.md", "{% include \"nobody\" %}").await, 201).await;
    assert!(plan["notes"].to_string().contains("there is no partial"), "{plan}");
}

async fn a_file_that_is_refused_says_why_and_leaves_nothing(app: App) {
    for (query, bytes, status, code) in [
        ("", &b""[..], 422, "empty"),
        ("name=x.json", b"{}", 422, "unknown_format"),
        ("format=word", b"x", 422, "unknown_format"),
        ("name=x.md&existing=perhaps", b"x", 422, "invalid"),
        ("name=x.md", b"\xff\xff", 422, "not_utf8"),
        ("name=x.zip", b"PK\x03\x04nothing", 422, "damaged"),
        ("format=archive&name=x.md", b"x", 422, "unreadable"),
    ] {
        let refused = json_of(upload(&app, query, bytes.to_vec()).await, status).await;
        assert_eq!(refused["code"], code, "{query}: {refused}");
        assert!(refused["detail"].as_str().unwrap().len() > 10, "{refused}");
    }
    let large = vec![b'a'; 17 * 1024 * 1024];
    assert_eq!(json_of(upload(&app, "name=a.md", large).await, 413).await["code"], "too_large");
    assert!(texts(&app).await.is_empty());
    assert_eq!(
        app.request(Role::Owner, Method::GET, &format!("{SET}/imports/nothing"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

async fn a_set_that_is_not_being_edited_takes_nothing(app: App) {
    app.save("a", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let plan = json_of(upload(&app, "name=b.md", "Hi").await, 201).await;
    assert_eq!(json_of(apply(&app, &plan, "").await, 409).await["code"], "locked");
    assert_eq!(texts(&app).await.len(), 1);
}

async fn export(app: &App, query: &str) -> (reqwest::header::HeaderMap, Vec<u8>) {
    let answer =
        app.request(Role::Viewer, Method::GET, &format!("{SET}/export?{query}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{query}");
    (answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
}

async fn an_archive_holds_every_version_byte_for_byte_and_reads_back(app: App) {
    app.save("a", "Hello {{ name }}", &["name"]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    app.save("b", "Bye", &[]).await;
    let (headers, bytes) = export(&app, "").await;
    assert!(headers["content-disposition"].to_str().unwrap().ends_with("support-chat.forge.zip\""));
    assert_eq!(export(&app, "").await.1, bytes, "the same set is the same bytes");
    let found = exchange::read(None, "x.zip", &bytes).unwrap();
    let archive = found.archive.unwrap();
    assert_eq!(archive.write().unwrap(), bytes);
    let set = &archive.sets[0];
    assert_eq!((set.draft.prompts.len(), set.history.len()), (2, 2));
    assert!(set.versions[0].locked.content.is_some() && set.versions[0].locked.imported.is_none());
    let bundle =
        app.request(Role::Viewer, Method::GET, &format!("{SET}/versions/1.0.0/bundle")).send().await.unwrap();
    assert_eq!(set.versions[0].body, bundle.bytes().await.unwrap().to_vec());
    let whole =
        app.request(Role::Viewer, Method::GET, "/api/v1/projects/acme:support/export").send().await.unwrap();
    let whole = exchange::files::unpack("x.zip", &whole.bytes().await.unwrap()).unwrap();
    assert_eq!(exchange::archive::Archive::read(&whole).unwrap(), archive);
    // Into the same set nothing changes; into another it is all new.
    let plan = json_of(upload(&app, "", bytes.clone()).await, 201).await;
    // Two prompts, their histories, and the version.
    assert_eq!((&plan["counts"]["unchanged"], &plan["counts"]["new"]), (&json!(5), &json!(0)));
    app.post("/api/v1/projects/acme:support/sets", 201, json!({ "slug": "copy" })).await;
    let path = "/api/v1/projects/acme:support/sets/copy/imports";
    let answer = app.request(Role::Owner, Method::POST, path).body(bytes).send().await.unwrap();
    assert_eq!(json_of(answer, 201).await["counts"]["new"], 5);
}

async fn every_format_is_given_out_and_read_again(app: App) {
    app.save("a", "Hello {{ name }}", &["name"]).await;
    app.save("hard", "{% if name %}{{ name | upper }}{% endif %}", &["name"]).await;
    for format in exchange::Format::ALL.into_iter().map(exchange::Format::as_str) {
        let (headers, bytes) = export(&app, &format!("format={format}")).await;
        let plan = json_of(upload(&app, &format!("format={format}&name=a.json"), bytes).await, 201).await;
        assert_eq!(plan["format"], format);
        let (_, report) = export(&app, &format!("format={format}&report=true")).await;
        let report: Value = serde_json::from_slice(&report).unwrap();
        let notes = report["items"].as_array().unwrap();
        assert_eq!(notes.len().to_string(), headers["x-forge-notes"].to_str().unwrap());
        if matches!(format, "langfuse" | "mlflow" | "openai" | "langchain") {
            assert!(notes.iter().any(|n| n["place"] == "hard"), "{format}: {report}");
        }
    }
    let missing =
        app.request(Role::Viewer, Method::GET, &format!("{SET}/export?format=folder&version=9.0.0"));
    assert_eq!(missing.send().await.unwrap().status(), 404);
}

async fn the_pages_show_the_plan_before_they_write(app: App) {
    app.save("welcome.message", "Hello {{ name }}", &["name"]).await;
    let browser = app.browser_of(Role::ContextEngineer).await;
    let page = |path: String| {
        let request = app.by(&browser, Method::GET, &path).header("accept", "text/html");
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let form = page("/acme/support/chat/-/import".into()).await;
    let csrf = form.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let post = |csrf: String, name: &str, text: &str| {
        let body = format!(
            "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--x\r\nContent-Disposition: form-data; \
             name=\"format\"\r\n\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n--x--\r\n"
        );
        let request = app
            .anonymous(Method::POST, "/acme/support/chat/-/import")
            .header("cookie", &browser.cookies)
            .header("accept", "text/html");
        let request = request.header("content-type", "multipart/form-data; boundary=x").body(body);
        async move { request.send().await.unwrap() }
    };
    assert_eq!(post("wrong".into(), "p.json", LANGFUSE).await.status(), 403);
    let refused = post(csrf.clone(), "x.json", "{}").await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("id=\"file-error\""));
    let sent = post(csrf.clone(), "p.json", LANGFUSE).await;
    assert_eq!(sent.status(), 303);
    let at = sent.headers()["location"].to_str().unwrap().to_owned();
    let shown = page(at.clone()).await;
    for part in [
        "1 prompt stands in the set with another text",
        "<ins>Welcome</ins>",
        "user.x",
        "Import 2 changes into Chat",
    ] {
        assert!(shown.contains(part), "{part} is not on the page: {shown}");
    }
    assert_eq!(texts(&app).await.len(), 1, "nothing is written yet");
    let digest =
        shown.split("name=\"digest\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields =
        [("csrf", csrf.as_str()), ("digest", "sha256:0"), ("existing", "replace"), ("others", "keep")];
    let stale = app
        .anonymous(Method::POST, &at)
        .header("cookie", &browser.cookies)
        .form(&fields)
        .send()
        .await
        .unwrap();
    assert_eq!(stale.status(), 409);
    let fields =
        [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("existing", "replace"), ("others", "keep")];
    let done = app
        .anonymous(Method::POST, &at)
        .header("cookie", &browser.cookies)
        .form(&fields)
        .send()
        .await
        .unwrap();
    assert_eq!(done.status(), 303);
    assert_eq!(done.headers()["location"], "/acme/support/chat?imported=2");
    assert_eq!(texts(&app).await.len(), 2);
    let exported = page("/acme/support/chat/-/export?format=langfuse".into()).await;
    assert!(exported.contains("Download support-chat.langfuse.json"), "{exported}");
}

//! What the pages give beside the text: variable sets, what comes along with a copy, examples, keys of guests, guides.

use forge_api::auth::Role;
use reqwest::header::LOCATION;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both};

on_both!(
    variable_sets_are_kept_beside_the_editor,
    what_a_copy_takes_in_comes_along_or_is_named,
    an_empty_project_begins_with_an_example,
    a_guest_makes_a_key_for_what_was_granted,
    pages_lead_to_their_guide_and_to_what_can_be_done_with_a_prompt,
);

const SETS: &str = "/api/v1/projects/acme:support/sets/chat/variable-sets";
const PROJECT_SETS: &str = "/api/v1/projects/acme:support/sets";
const EDITOR: &str = "/acme/support/chat/ask";

async fn page(app: &App, path: &str) -> String {
    let asked = app.request(Role::Owner, Method::GET, path).header("accept", "text/html");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

async fn post(app: &App, role: Role, path: &str, fields: &[(&str, &str)]) -> Response {
    app.request(role, Method::POST, path).header("accept", "text/html").form(fields).send().await.unwrap()
}

fn to(answer: &Response) -> String {
    answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// The editor's form with the prompt `ask` as it is stored, and more.
async fn edit(app: &App, more: &[(&str, &str)]) -> (u16, String) {
    let stored = [
        ("prompt", "ask"),
        ("revision", "1"),
        ("kind", "text"),
        ("engine", "tera"),
        ("role", "text"),
        ("text", "Hello {{ name }}"),
        ("p-name", "name"),
        ("p-type", "string"),
        ("p-required", "yes"),
    ];
    let answer = post(app, Role::ContextEngineer, EDITOR, &[&stored, more].concat()).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn variable_sets_are_kept_beside_the_editor(app: App) {
    app.save("ask", "Hello {{ name }}", &["name"]).await;
    let one = async |name: &str| app.get(&format!("{SETS}/{name}?prompt=ask")).await;
    assert!(page(&app, EDITOR).await.contains("<span class=\"tag\">required</span>"));

    let new = [("v-name", "Ada"), ("variables-as", "a/b"), ("do", "save-variables-as")];
    let (status, html) = edit(&app, &new).await;
    assert!(
        status == 422 && html.contains("without a slash") && html.contains(">\nAda</textarea>"),
        "{html}"
    );
    let new = [("v-name", "Ada"), ("variables-as", "countess"), ("do", "save-variables-as")];
    let (status, html) = edit(&app, &new).await;
    assert!(status == 200 && html.contains("the variable set countess"), "{html}");
    assert!(
        html.contains("Hello Ada") && !html.contains(" data-dirty"),
        "nothing of the prompt changed: {html}"
    );
    assert_eq!(one("countess").await["values"], json!({ "name": "Ada" }));
    let (status, _) = edit(&app, &new).await;
    assert_eq!(status, 409, "there is one of that name");

    // Its changes, against the revision that one opened.
    let loaded = [("variables-name", "countess"), ("variables-revision", "1"), ("do", "save-variables")];
    let (status, _) = edit(&app, &[&[("v-name", "Augusta")][..], &loaded].concat()).await;
    assert_eq!((status, one("countess").await["values"]["name"].clone()), (200, json!("Augusta")));
    let (status, html) = edit(&app, &[&[("v-name", "Late")][..], &loaded].concat()).await;
    assert!(status == 409 && html.contains("after you opened it") && html.contains("Hello Late"), "{html}");
    assert_eq!(one("countess").await["values"]["name"], "Augusta");

    let loaded = [("variables-name", "countess"), ("variables-revision", "2"), ("v-name", "Augusta")];
    let rename = [("variables-as", "lady"), ("do", "rename-variables")];
    let (status, html) = edit(&app, &[&loaded[..], &rename].concat()).await;
    assert!(status == 200 && html.contains("Delete lady"), "{html}");
    let (_, html) = edit(&app, &[("variables", "lady"), ("do", "load-variables")]).await;
    assert!(html.contains(">\nAugusta</textarea>") && html.contains("Hello Augusta"), "{html}");
    assert!(!html.contains(" data-dirty"), "loading leaves nothing to save: {html}");
    let (_, html) = edit(&app, &[("text", "more"), ("role", "text"), ("description", "x")]).await;
    assert!(html.contains(" data-dirty"), "what was typed is still to be saved: {html}");

    // A value that is none is said, and nothing is saved; what is gone is said too.
    let (status, html) = edit(&app, &[("variables", "countess"), ("do", "load-variables")]).await;
    assert!(status == 409 && html.contains("There is no variable set countess any more"), "{html}");
    let gone = [("variables-name", "lady"), ("variables-revision", "3"), ("v-name", "Augusta")];
    let (status, html) = edit(&app, &[&gone[..], &[("do", "delete-variables")]].concat()).await;
    assert!(status == 200 && html.contains("Deleted.") && html.contains(">\nAugusta</textarea>"), "{html}");
    assert_eq!(app.get(&format!("{SETS}?prompt=ask")).await["items"], json!([]));
    let read = [("prompt", "ask"), ("do", "save-variables-as"), ("variables-as", "mine")];
    assert_eq!(post(&app, Role::Viewer, EDITOR, &read).await.status(), 403);
}

async fn partial(app: &App, set: &str, name: &str, source: &str) {
    let path = format!("{PROJECT_SETS}/{set}/partials/{name}");
    let answer = app.request(Role::Owner, Method::PUT, &path).json(&json!({ "source": source }));
    json_of(answer.send().await.unwrap(), 201).await;
}

async fn what_a_copy_takes_in_comes_along_or_is_named(app: App) {
    partial(&app, "chat", "foot", "Bye.").await;
    partial(&app, "chat", "tone", "Be brief. {% include \"foot\" %}").await;
    app.save("ask", "Hello. {% include \"tone\" %}", &[]).await;
    for slug in ["mail", "bare", "own", "desk"] {
        app.post(PROJECT_SETS, 201, json!({ "slug": slug })).await;
    }
    let copy = async |to: &str, more: Value| {
        let mut body = json!({ "id": "ask", "to": "ask", "set": to });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app.post(&format!("{SET}/actions/duplicate"), 201, body).await
    };
    let said = copy("mail", json!({})).await;
    assert_eq!(said["brought"], json!(["foot", "tone"]), "with what they take in: {said}");
    assert_eq!((&said["differs"], &said["missing"]), (&json!([]), &json!([])));
    let rendered = json!({ "prompt": "ask", "values": {} });
    let rendered = app.post(&format!("{PROJECT_SETS}/mail/render"), 200, rendered).await;
    assert_eq!(rendered["text"], "Hello. Be brief. Bye.");

    // Left behind because somebody said so: named.
    let said = copy("bare", json!({ "partials": false })).await;
    assert_eq!((&said["brought"], &said["missing"]), (&json!([]), &json!(["tone"])));
    let rendered = json!({ "prompt": "ask", "values": {} });
    let refused = app.request(Role::Owner, Method::POST, &format!("{PROJECT_SETS}/bare/render"));
    assert_eq!(refused.json(&rendered).send().await.unwrap().status(), 422);

    // The other set has its own: it stays as it is.
    partial(&app, "own", "tone", "Talk.").await;
    let said = copy("own", json!({})).await;
    assert_eq!((&said["brought"], &said["differs"]), (&json!([]), &json!(["tone"])));
    assert_eq!(app.get(&format!("{PROJECT_SETS}/own/partials/tone")).await["partial"]["source"], "Talk.");

    // A copy that is refused brings nothing.
    let body = json!({ "id": "ask", "to": "ask", "set": "mail" });
    app.refused(&format!("{SET}/actions/duplicate"), body, 409, "name_taken").await;

    // The page says so before, and after.
    let html = page(&app, "/acme/support/chat/-/duplicate?prompt=ask").await;
    assert!(html.contains("It takes in tone.") && html.contains("Bring them along"), "{html}");
    let fields = [("kind", "prompt"), ("id", "ask"), ("to", "ask"), ("set", "desk"), ("partials", "bring")];
    let answer = post(&app, Role::ContextEngineer, "/acme/support/chat/-/duplicate", &fields).await;
    assert_eq!(
        (answer.status().as_u16(), to(&answer)),
        (303, "/acme/support/desk/ask?brought=foot%2Ctone".into())
    );
    let html = page(&app, &to(&answer)).await;
    assert!(
        html.contains("These partials came along: foot, tone.") && html.contains("Be brief. Bye."),
        "{html}"
    );
}

async fn an_empty_project_begins_with_an_example(app: App) {
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "empty", "name": "Empty" })).await;
    let html = page(&app, "/acme/empty").await;
    assert!(html.contains("Start from an example") && html.contains("value=\"writing\""), "{html}");
    let looks = app.request(Role::Viewer, Method::GET, "/acme/empty").header("accept", "text/html");
    let html = looks.send().await.unwrap().text().await.unwrap();
    assert!(!html.contains("Start from an example"), "who may not lock is not offered it: {html}");
    let wrong = post(&app, Role::Owner, "/acme/empty/-/new", &[("example", "nothing")]).await;
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().await.unwrap().contains("choose one of"));
    let made = post(&app, Role::ContextEngineer, "/acme/empty/-/new", &[("example", "support")]).await;
    assert_eq!((made.status().as_u16(), to(&made)), (303, "/acme/empty/chat".into()));
    let sets = app.get("/api/v1/projects/acme:empty/sets").await;
    let states: Vec<&Value> = sets["items"].as_array().unwrap().iter().map(|set| &set["state"]).collect();
    assert!(states.len() > 1 && states.iter().all(|state| *state == "locked"), "{sets}");
    let again = post(&app, Role::Owner, "/acme/empty/-/new", &[("example", "support")]).await;
    assert_eq!(again.status(), 409);
    assert_eq!(again.status(), 409);
    assert!(again.text().await.unwrap().contains("this project has one of that name"));
    // The same over the API.
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "other", "name": "Other" })).await;
    let path = "/api/v1/projects/acme:other/sets";
    app.refused(path, json!({ "example": "nothing" }), 422, "unknown_example").await;
    assert_eq!(app.post(path, 201, json!({ "example": "writing" })).await["slug"], "chat");
    app.refused(path, json!({ "example": "writing" }), 409, "name_taken").await;
}

async fn a_guest_makes_a_key_for_what_was_granted(app: App) {
    let owner = app.browser().await;
    let grant = json!({ "email": "stranger@example.org", "role": "reviewer" });
    let path = "/api/v1/projects/acme:support/grants";
    let given = app.by(&owner, Method::PUT, path).json(&grant).send().await.unwrap();
    assert!(given.status().is_success(), "{given:?}");
    let guest = app.browser_by_link("stranger@example.org").await;
    let html = app.by(&guest, Method::GET, "/-/account").header("accept", "text/html").send().await.unwrap();
    let html = html.text().await.unwrap();
    assert!(html.contains("<option value=\"acme\""), "{html}");
    let form = [("organisation", "acme"), ("name", "ci"), ("role", "reviewer"), ("days", "30")];
    let made = app.by(&guest, Method::POST, "/-/account/keys").header("accept", "text/html").form(&form);
    let made = made.send().await.unwrap();
    assert_eq!(made.status(), 200);
    let html = made.text().await.unwrap();
    let key = html.split("id=\"api-key\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(key.starts_with("anvil_"), "{html}");
    let ask = async |path: &str| {
        app.anonymous(Method::GET, path).bearer_auth(&key).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/api/v1/projects/acme:support").await, 200);
    assert_eq!(ask("/api/v1/projects/acme:another").await, 404);
    let above = [("organisation", "acme"), ("name", "ci"), ("role", "owner"), ("days", "30")];
    let above = app.by(&guest, Method::POST, "/-/account/keys").form(&above).send().await.unwrap();
    assert_eq!(above.status(), 403, "no more than was granted there");
}

async fn pages_lead_to_their_guide_and_to_what_can_be_done_with_a_prompt(app: App) {
    app.save("mail/ask", "Hello", &[]).await;
    for (path, guide) in [
        ("/acme", "line"),
        ("/acme/support/chat/mail/ask", "templates"),
        ("/acme/support/chat/-/playground?prompt=mail/ask", "trying"),
        ("/acme/support/chat/-/versions", "versions"),
        ("/acme/support/-/environments", "publishing"),
        ("/acme/support/-/agents", "agents"),
        ("/acme/support/chat/-/import", "import"),
        ("/acme/-/settings", "people"),
    ] {
        let html = page(&app, path).await;
        assert!(html.contains(&format!("id=\"guide\" href=\"/-/help/{guide}\"")), "{path}: {html}");
        assert_eq!(page(&app, &format!("/-/help/{guide}")).await.matches("<h1").count(), 1);
    }
    let html = page(&app, "/acme/-/settings").await;
    assert!(html.contains("href=\"/acme/-/organisation\""), "{html}");
    assert!(page(&app, "/acme/support/-/settings").await.contains("href=\"/acme/-/organisation\""));

    let at = "/-/palette?organisation=acme&at=/acme/support/chat/mail/ask";
    let html = page(&app, &format!("{at}&q=playground")).await;
    assert!(html.contains("/acme/support/chat/-/playground?prompt=mail%2Fask"), "{html}");
    let html = page(&app, &format!("{at}&q=environments")).await;
    assert!(html.contains("/acme/support/-/environments"), "{html}");
    let html = page(&app, &format!("{at}&q=duplicate")).await;
    assert!(html.contains("/-/duplicate?prompt=mail%2Fask") && html.contains("chat/-/copy"), "{html}");

    // A set is starred where it is listed, and stands on the dashboard then.
    let browser = app.browser().await;
    let id = app.get(SET).await["id"].as_str().unwrap().to_owned();
    let star = [("kind", "set"), ("row", id.as_str()), ("do", "star"), ("back", "/acme/support")];
    let starred = app.by(&browser, Method::POST, "/-/favourites").form(&star).send().await.unwrap();
    assert_eq!((starred.status().as_u16(), to(&starred)), (303, "/acme/support".into()));
    let elsewhere = [("kind", "set"), ("row", id.as_str()), ("do", "star"), ("back", "//evil.example")];
    let starred = app.by(&browser, Method::POST, "/-/favourites").form(&elsewhere).send().await.unwrap();
    assert!(to(&starred).starts_with("/acme/support/chat"), "{}", to(&starred));
    for path in ["/acme", "/acme/support"] {
        let html = app.by(&browser, Method::GET, path).header("accept", "text/html").send().await.unwrap();
        let html = html.text().await.unwrap();
        let mark = if path == "/acme" {
            "id=\"favourites\""
        } else {
            "aria-pressed=\"true\" aria-label=\"Favourite: Chat\""
        };
        assert!(html.contains(mark), "{path}: {html}");
    }

    // It is called by its title; its name in addresses stands beside that where sets are listed.
    let html = page(&app, "/acme/support").await;
    assert!(html.contains("Chat</a> <code class=\"hint\">chat</code>"), "{html}");
    let html = page(&app, "/acme/support/chat/-/versions").await;
    assert!(html.contains(">Chat</a>") && html.contains("Versions of Chat"), "{html}");
}

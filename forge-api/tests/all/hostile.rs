//! Hostile input at FORGE's own door: templates that no version may hold, and bodies of no sense.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forge_api::api;
use forge_api::auth::Role;
use forge_api::auth::route::{API, PAGES, Route};
use hostile::dice::Dice;
use hostile::template::cases;
use hostile::template::{Case, Expected, parameters};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, Kind, SET, json_of, on_both};
use crate::authorization::{address, body, furnish};

on_both!(
    no_body_of_json_brings_a_route_down,
    no_form_brings_a_page_down,
    no_name_in_an_address_brings_a_route_down_or_climbs,
    no_nul_in_a_text_brings_a_route_down,
);

/// Who has no answer by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Beyond that a draft takes too long to write, not to refuse.
const PARTIALS_MAX: usize = 200;

async fn app() -> App {
    let app = App::start(Kind::Sqlite).await;
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    app
}

fn hostile(case: &Case) -> Value {
    json!({ "id": "hostile", "content": { "type": "text", "template": case.template }, "parameters": parameters() })
}

async fn put_partials(app: &App, case: &Case) {
    for partial in &case.partials {
        let path = format!("{SET}/partials/{}", partial.name);
        let answer = app.request(Role::Owner, Method::PUT, &path).json(&json!({ "source": partial.source }));
        assert_eq!(answer.send().await.unwrap().status(), 201, "{}", case.name);
    }
}

async fn delete(app: &App, path: &str, revision: i64) {
    let request = app.request(Role::Owner, Method::DELETE, path);
    let answer = request.header("if-match", format!("\"{revision}\"")).send().await.unwrap();
    assert_eq!(answer.status(), 204, "{path}");
}

/// Takes the partials of a case out again. They take in one another, and what is taken in stays: first they are emptied.
async fn take_partials(app: &App, case: &Case) {
    let path = |name: &schemas::PromptId| format!("{SET}/partials/{name}");
    for partial in &case.partials {
        let request = app.request(Role::Owner, Method::PUT, &path(&partial.name));
        let answer = request.header("if-match", "\"1\"").json(&json!({ "source": "" })).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", case.name);
    }
    for partial in &case.partials {
        delete(app, &path(&partial.name), 2).await;
    }
}

/// Tries to get a case into a version. Says whether it could be saved at least.
async fn try_to_lock(app: &App, case: &Case) -> bool {
    let Expected::Refused { codes, says, line } = &case.expected else {
        panic!("{} is not refused", case.name)
    };
    let path = format!("{SET}/prompts/hostile");
    let saved = app.request(Role::Owner, Method::PUT, &path).json(&hostile(case)).send().await.unwrap();
    if saved.status() == 413 {
        let body = json_of(saved, 413).await;
        assert!(body["detail"].as_str().is_some_and(|d| d.contains("bytes")), "{body}");
        return false;
    }
    assert_eq!(saved.status(), 201, "{}", case.name);
    put_partials(app, case).await;

    let before = app.get(SET).await;
    let started = Instant::now();
    let refused =
        app.request(Role::Owner, Method::POST, &format!("{SET}/lock")).json(&json!({ "version": "1.1.0" }));
    let body = json_of(refused.send().await.unwrap(), 422).await;
    assert!(started.elapsed() < PATIENCE, "{}: {:?}", case.name, started.elapsed());
    assert_eq!((&body["code"], &body["line"]), (&json!("template_invalid"), &json!(line)), "{}", case.name);
    let first = &body["errors"][0];
    let found = serde_json::from_value(first["code"].clone()).unwrap();
    assert!(codes.contains(&found), "{}: {first}", case.name);
    assert!(first["message"].as_str().is_some_and(|m| m.contains(says)), "{}: {first}", case.name);
    assert!(first["prompt"] == "hostile" || !first["partial"].is_null(), "{first}");
    assert_eq!(app.get(SET).await, before, "{}: the draft is as it was", case.name);

    delete(app, &path, 1).await;
    take_partials(app, case).await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hostile_template_gets_into_a_version() {
    let app = app().await;
    let versions = app.get(&format!("{SET}/versions")).await;
    let (mut locked, mut saved) = (0, 0);
    for (_, case) in cases::all() {
        if matches!(case.expected, Expected::Refused { .. }) && case.partials.len() <= PARTIALS_MAX {
            locked += 1;
            saved += usize::from(try_to_lock(&app, &case).await);
        }
    }
    assert!(locked > 100 && saved > 50, "{locked} cases were tried and {saved} saved");
    assert_eq!(app.get(&format!("{SET}/versions")).await, versions, "nothing hostile became a version");
    app.lock("1.1.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_template_that_compiles_is_stopped_in_the_preview() {
    let app = app().await;
    let values =
        json!({ "x": "x", "big": (0..10_000).collect::<Vec<i64>>(), "text": "lorem ipsum ".repeat(20_000) });
    let mut tried = 0;
    for (_, case) in cases::all().filter(|(_, case)| matches!(case.expected, Expected::Stopped(_))) {
        put_partials(&app, &case).await;
        let asked = json!({ "prompt": hostile(&case), "values": values });
        let started = Instant::now();
        let answer = app.request(Role::Owner, Method::POST, &format!("{SET}/preview")).json(&asked);
        let body = json_of(answer.send().await.unwrap(), 422).await;
        assert!(started.elapsed() < PATIENCE, "{}: {:?}", case.name, started.elapsed());
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.contains("line ") && detail.contains("smaller values or a simpler template"),
            "{body}"
        );
        assert!(!detail.contains("lorem"), "no value is repeated: {body}");
        take_partials(&app, &case).await;
        tried += 1;
    }
    assert!(tried > 25, "{tried} cases were tried");
}

const SEED: u64 = 20_260_102;
/// Bodies for each route.
const BODIES: usize = 60;
const FORMS: usize = 40;

/// Bodies that have hurt parsers before.
fn bombs() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        b"[".repeat(200_000),
        b"{\"slug\":".repeat(50_000),
        [&b"{\"slug\":\""[..], &b"a".repeat(1 << 20), b"\"}"].concat(),
        [&b"{\"version\":"[..], &b"9".repeat(4_000), b"}"].concat(),
        b"{\"slug\":\"a\",\"slug\":\"b\",\"slug\":[]}".to_vec(),
        b"\xff\xfe{\"\xc3\x28\":1}".to_vec(),
        "\u{feff}{\"slug\":\"\u{202e}\u{0}\"}".as_bytes().to_vec(),
        b"{\"expected_serial\":-9223372036854775809}".to_vec(),
        b"{\"expected_serial\":1e999}".to_vec(),
        b"null".to_vec(),
    ]
}

/// It is answered, and not by a fault of the program.
async fn taken(answer: reqwest::Result<Response>, what: &str) -> u16 {
    let answer = answer.unwrap_or_else(|e| panic!("{what}: no answer: {e}"));
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap_or_else(|e| panic!("{what}: the answer broke off: {e}"));
    // The broker is away in these tests: what waits for it may say so.
    assert!(status < 500 || status == 503, "{what}: {status}: {text}");
    status
}

fn with_body(table: &'static [Route]) -> impl Iterator<Item = &'static Route> {
    table.iter().filter(|route| ["POST", "PUT"].contains(&route.method))
}

async fn no_body_of_json_brings_a_route_down(app: App) {
    let credential = furnish(&app).await;
    println!("seed {SEED}");
    let mut dice = Dice::new(SEED);
    let mut refused = 0;
    for route in with_body(API) {
        let (path, good) = (address(route, &credential), body(route).to_string());
        // A password costs time on purpose.
        let count = if route.path.ends_with("/sessions") { 6 } else { BODIES };
        let bodies = bombs().into_iter().chain((0..count).map(|n| match n % 6 {
            0 => dice.bytes(300),
            _ => dice.changed(good.as_bytes()),
        }));
        for data in bodies.collect::<Vec<_>>() {
            let what = format!(
                "{} {path}: {}",
                route.method,
                data.escape_ascii().to_string().chars().take(400).collect::<String>()
            );
            let request = app.request(Role::Owner, route.method.parse().unwrap(), &path);
            let answer = request.header("content-type", "application/json").body(data).send().await;
            refused += usize::from(taken(answer, &what).await >= 400);
        }
        // Some of them were taken: the next route wants a draft again.
        let _ = app.request(Role::Owner, Method::POST, &format!("{SET}/reviews/current/return")).send().await;
        let _ = app.request(Role::Owner, Method::POST, &format!("{SET}/reopen")).send().await;
    }
    assert!(refused > 800, "only {refused} were refused");
    let live = app.anonymous(Method::GET, "/health/live").send().await.unwrap();
    assert_eq!(live.status(), 200);
    let verified = app.get("/api/v1/organisations/acme/audit/verify").await;
    assert_eq!(verified["whole"], true, "{verified}");
}

async fn no_form_brings_a_page_down(app: App) {
    let credential = furnish(&app).await;
    println!("seed {SEED}");
    let mut dice = Dice::new(SEED + 1);
    let seeds: [&[u8]; 5] = [
        b"csrf=x&slug=another&name=Another&description=&environment=prod&kind=agent",
        b"id=welcome.message&revision=1&engine=tera&kind=text&template=Hello+%7B%7B+name+%7D%7D&parameter=name&type=string",
        b"version=1.0.1&notes=%E2%82%AC&digest=sha256%3A0&verdict=approve&environment=prod&set=chat",
        b"message.0.role=system&message.0.text=a&message.1.role=user&message.1.text=b&tag=a&tag=b&value.name=x",
        b"%=%%&=&&a=%zz%f&%00=%ff%fe&a&a&a",
    ];
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for route in with_body(PAGES) {
        let path = address(route, &credential);
        if path.contains("/sign-in") {
            continue;
        }
        for n in 0..FORMS {
            let data = match n % 8 {
                0 => dice.bytes(300),
                n => {
                    let seed = seeds[n % seeds.len()];
                    dice.changed(seed)
                }
            };
            let what = format!("{} {path}: {}", route.method, data.escape_ascii());
            let request = app.request(Role::Owner, Method::POST, &path).header("accept", "text/html");
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(data);
            *answers.entry(taken(request.send().await, &what).await).or_default() += 1;
        }
        let _ = app.request(Role::Owner, Method::POST, &format!("{SET}/reopen")).send().await;
    }
    println!("{answers:?}");
    let read: usize =
        answers.iter().filter(|(status, _)| ![401, 403].contains(*status)).map(|(_, n)| n).sum();
    assert!(read > 300, "the forms were not even read: {answers:?}");
}

/// What may stand in the place of a name in an address, written as it is sent.
const ODD_NAMES: [&str; 20] = [
    "..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%00",
    "%ff%fe",
    "%c3%28",
    "%e2%80%ae",
    "a%20b",
    "*",
    "%3e",
    "a%0d%0ab",
    "'%20OR%201=1--",
    "%22%3b",
    "%7b%7b1%7d%7d",
    "%25s",
    "-1",
    "99999999999999999999",
    "acme:",
    ":support",
    "acme:support:x",
];

async fn no_name_in_an_address_brings_a_route_down_or_climbs(app: App) {
    let credential = furnish(&app).await;
    let long = "a".repeat(4_096);
    let mut asked = 0;
    for route in API.iter().chain(PAGES) {
        let places: Vec<&str> = route.path.split('/').filter(|part| part.starts_with('{')).collect();
        for place in places {
            for odd in ODD_NAMES.into_iter().chain([long.as_str()]) {
                let changed =
                    Route { path: Box::leak(route.path.replace(place, odd).into_boxed_str()), ..*route };
                let path = address(&changed, &credential);
                let what = format!("{} {path}", route.method);
                let method: Method = route.method.parse().unwrap();
                let answer = app.request(Role::Owner, method, &path).json(&body(route)).send().await;
                let status = taken(answer, &what).await;
                let made = matches!(route.method, "PUT") && status == 201;
                assert!(!made || !path.contains('%'), "{what} made something");
                asked += 1;
            }
        }
    }
    assert!(asked > 1_000, "{asked}");
}

/// Every text of a value, each in turn with a NUL in it.
fn with_nul(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => vec![json!(format!("{text}\u{0}"))],
        Value::Object(fields) => {
            let changed = fields.iter().flat_map(|(key, field)| {
                with_nul(field).into_iter().map(|field| {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), field);
                    Value::Object(fields)
                })
            });
            changed.collect()
        }
        Value::Array(items) => items.iter().flat_map(with_nul).map(|item| json!([item])).collect(),
        _ => Vec::new(),
    }
}

/// Whether the body of a route has such a field, as its description says: another one is refused before it is read.
fn takes(route: &Route, name: &str) -> bool {
    let document = api::document();
    let operation = &document["paths"][route.path.replace("{*", "{")][route.method.to_lowercase()];
    let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
    let schema = schema.and_then(|named| named.rsplit('/').next()).unwrap_or_default();
    !document["components"]["schemas"][schema]["properties"][name].is_null()
}

/// PostgreSQL takes none.
async fn no_nul_in_a_text_brings_a_route_down(app: App) {
    let credential = furnish(&app).await;
    let names = ["agent", "service", "name", "description", "title", "comment", "purpose", "notes", "kind"];
    let mut asked = 0;
    for route in with_body(API) {
        let (path, good) = (address(route, &credential), body(route));
        let mut bodies = with_nul(&good);
        bodies.extend(names.into_iter().filter(|name| takes(route, name)).map(|name| {
            let mut body = good.clone();
            body[name] = json!("a\u{0}");
            body
        }));
        for body in bodies {
            let request = app.request(Role::Owner, route.method.parse().unwrap(), &path).json(&body);
            taken(request.send().await, &format!("{} {path}: {body}", route.method)).await;
            asked += 1;
        }
        let _ = app.request(Role::Owner, Method::POST, &format!("{SET}/reviews/current/return")).send().await;
        let _ = app.request(Role::Owner, Method::POST, &format!("{SET}/reopen")).send().await;
    }
    for route in API.iter().chain(PAGES).filter(|route| route.method == "GET") {
        let path = address(route, &credential);
        for name in ["set", "environment", "version", "prompt", "from", "q", "pair", "before"] {
            let sign = if path.contains('?') { '&' } else { '?' };
            let bare = path.split('?').next().unwrap_or_default();
            for path in [format!("{path}{sign}{name}=a%00"), format!("{bare}?{name}=a%00")] {
                let answer = app.request(Role::Owner, Method::GET, &path).send().await;
                taken(answer, &format!("GET {path}")).await;
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
}

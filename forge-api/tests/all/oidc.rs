//! Signing in with a provider of OpenID Connect that runs on this machine and signs for real.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use forge_api::audit::INSTALLATION;
use forge_api::auth::{Actor, Role};
use forge_api::{author, session};
use reqwest::header::COOKIE;
use reqwest::{Method, Response};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::app::{App, Kind, PASSWORD, cookies, json_of};
use crate::database::sql;

const CLIENT: &str = "forge";
const SECRET: &str = "a secret of the client";

/// What somebody said at the provider, waiting to be exchanged.
struct Grant {
    challenge: String,
    redirect: String,
    claims: Value,
    header: Value,
    /// Signed by somebody else.
    token: Option<String>,
}

/// A provider. What it signs is decided by the test; how codes are exchanged is as the standard says.
struct Provider {
    issuer: String,
    key: EcdsaKeyPair,
    codes: Mutex<HashMap<String, Grant>>,
}

impl Provider {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let provider = Arc::new(Self { issuer, key, codes: Mutex::default() });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/token", post(exchange))
            .with_state(Arc::clone(&provider));
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

async fn describe(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let point = provider.key.public_key().as_ref();
    let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let (x, y) = (part(&point[1..33]), part(&point[33..65]));
    Json(
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256", "x": x, "y": y }] }),
    )
}

async fn exchange(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let refused = |why: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": why })));
    let login =
        format!("Basic {}", BASE64.encode(format!("{CLIENT}:{}", SECRET.replace(' ', "%20")).as_bytes()));
    if headers.get("authorization").is_none_or(|a| a.as_bytes() != login.as_bytes()) {
        return refused("invalid_client");
    }
    let code = form.get("code").map(String::as_str).unwrap_or_default();
    let Some(grant) = provider.codes.lock().unwrap().remove(code) else { return refused("invalid_grant") };
    let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
    if challenge != grant.challenge || form.get("redirect_uri") != Some(&grant.redirect) {
        return refused("invalid_grant");
    }
    let id_token = grant.token.unwrap_or_else(|| provider.signed(&grant.header, &grant.claims));
    (StatusCode::OK, Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": id_token })))
}

async fn app(kind: Kind, provider: &Provider, more: &[(&str, &str)]) -> (App, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let mut options = vec![
        ("oidc-issuer", provider.issuer.as_str()),
        ("oidc-client-id", CLIENT),
        ("oidc-client-secret-file", secret.to_str().unwrap()),
        ("oidc-name", "Fernway ID"),
    ];
    options.extend(more);
    (App::start_with(kind, &options).await, directory)
}

/// A browser on its way: what it carries, and what the provider was asked.
struct Way {
    cookie: String,
    asked: HashMap<String, String>,
}

async fn leave(app: &App, next: &str) -> Way {
    let answer = app.anonymous(Method::GET, &format!("/-/oidc?next={next}")).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    let location = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let asked = location.query_pairs().into_owned().collect();
    Way { cookie: cookies(&answer), asked }
}

/// What a good provider says of somebody.
fn word(provider: &Provider, way: &Way, email: &str) -> Value {
    let now = forge_api::clock::now() / 1_000_000;
    json!({
        "iss": provider.issuer, "aud": CLIENT, "sub": format!("id of {email}"), "iat": now, "exp": now + 300,
        "nonce": way.asked["nonce"], "email": email, "email_verified": true, "name": "Ada Lovelace",
    })
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "one", "typ": "JWT" })
}

fn consent(provider: &Provider, way: &Way, claims: Value, header: Value) -> String {
    let code = format!("code {}", forge_api::clock::new_id());
    let grant = Grant {
        challenge: way.asked["code_challenge"].clone(),
        redirect: way.asked["redirect_uri"].clone(),
        claims,
        header,
        token: None,
    };
    provider.codes.lock().unwrap().insert(code.clone(), grant);
    code
}

async fn come_back(app: &App, cookie: &str, code: &str, state: &str) -> Response {
    let path = format!("/-/oidc/callback?code={}&state={state}", code.replace(' ', "%20"));
    app.anonymous(Method::GET, &path).header(COOKIE, cookie).send().await.unwrap()
}

/// The whole way with this word.
async fn sign_in(app: &App, provider: &Provider, change: impl Fn(&mut Value)) -> Response {
    let way = leave(app, "/acme").await;
    let mut claims = word(provider, &way, "ada@example.org");
    change(&mut claims);
    let code = consent(provider, &way, claims, header());
    come_back(app, &way.cookie, &code, &way.asked["state"]).await
}

async fn refused(answer: Response, says: &str) {
    let status = answer.status();
    let session =
        answer.headers().get_all("set-cookie").iter().any(|c| c.to_str().unwrap().contains("_session="));
    let html = answer.text().await.unwrap();
    assert!(status == 422 && !session && html.contains(says), "{status} wanted {says:?}: {html}");
}

async fn invite(app: &App, email: &str) {
    let owner = app.browser().await;
    let body = json!({ "email": email, "role": "reviewer" });
    let made = app.by(&owner, Method::POST, "/api/v1/organisations/acme/invitations").json(&body);
    assert_eq!(made.send().await.unwrap().status(), 201);
}

async fn me(app: &App, answer: &Response) -> Value {
    let me = app.anonymous(Method::GET, "/api/v1/me").header(COOKIE, cookies(answer)).send().await.unwrap();
    json_of(me, 200).await
}

async fn comes_in_by_invitation(kind: Kind) {
    let provider = Provider::start().await;
    let (app, _secret) = app(kind, &provider, &[]).await;
    let page =
        app.anonymous(Method::GET, "/-/sign-in?next=/acme").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Sign in with Fernway ID") && page.contains("/-/oidc?next=%2Facme"), "{page}");
    refused(sign_in(&app, &provider, |_| ()).await, "Nobody has invited ada@example.org yet").await;
    assert!(
        session::user_by_email(&app.state, "ada@example.org").await.is_err(),
        "no account is left behind"
    );
    invite(&app, "ada@example.org").await;
    for unverified in [json!(false), json!(null), json!("false"), json!(1)] {
        let answer = sign_in(&app, &provider, |claims| claims["email_verified"] = unverified.clone()).await;
        refused(answer, "does not vouch for your e-mail address").await;
    }
    let entered = sign_in(&app, &provider, |_| ()).await;
    assert_eq!((entered.status().as_u16(), entered.headers()["location"].to_str().unwrap()), (303, "/acme"));
    let ada = me(&app, &entered).await;
    assert_eq!((&ada["name"], &ada["email"]), (&json!("Ada Lovelace"), &json!("ada@example.org")));
    assert_eq!(
        ada["organisations"],
        json!([{ "organisation": "acme", "role": "reviewer" }]),
        "the invitation is used"
    );
    // From now on the provider's id counts, whatever the address is.
    let again = sign_in(&app, &provider, |claims| {
        claims["email"] = json!("another@example.org");
        claims["email_verified"] = json!(false);
    })
    .await;
    assert_eq!(again.status(), 303);
    assert_eq!(me(&app, &again).await["email"], "ada@example.org");
    session::set_disabled(&app.state, "ada@example.org", true).await.unwrap();
    refused(sign_in(&app, &provider, |_| ()).await, "This account is shut").await;
    let log = app.audit(INSTALLATION).await;
    assert!(log.iter().any(|e| e.action == "identity.linked" && e.actor_name == "Ada Lovelace"));
    app.audited(INSTALLATION, |e| e.action == "sign_in.refused" && e.detail.contains("unknown_person")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_invited_comes_in_by_the_provider_on_sqlite() {
    comes_in_by_invitation(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_invited_comes_in_by_the_provider_on_postgres() {
    comes_in_by_invitation(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_was_not_begun_here_leads_nowhere() {
    let provider = Provider::start().await;
    let (app, _secret) = app(Kind::Sqlite, &provider, &[]).await;
    invite(&app, "ada@example.org").await;
    let (way, other) = (leave(&app, "/").await, leave(&app, "/").await);
    let code = || consent(&provider, &way, word(&provider, &way, "ada@example.org"), header());
    let begin_again = "began in another browser or too long ago";
    refused(come_back(&app, "", &code(), &way.asked["state"]).await, begin_again).await;
    refused(come_back(&app, &other.cookie, &code(), &way.asked["state"]).await, begin_again).await;
    refused(come_back(&app, &way.cookie, &code(), &other.asked["state"]).await, begin_again).await;
    refused(come_back(&app, &way.cookie, &code(), "").await, begin_again).await;
    // Changed on the way: the address to go to afterwards is in there too.
    let (name, value) = way.cookie.split_once('=').unwrap();
    let (text, tag) = value.split_once('.').unwrap();
    let mut carried: Value =
        serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap();
    carried["next"] = json!("/globex");
    let text = BASE64URL_NOPAD.encode(carried.to_string().as_bytes());
    let forged = format!("{name}={text}.{tag}");
    refused(come_back(&app, &forged, &code(), &way.asked["state"]).await, begin_again).await;
    // A code of another way: its verifier and its nonce are not ours.
    let stolen = consent(&provider, &other, word(&provider, &other, "ada@example.org"), header());
    refused(come_back(&app, &way.cookie, &stolen, &way.asked["state"]).await, "did not sign you in").await;
    refused(come_back(&app, &way.cookie, "made up", &way.asked["state"]).await, "did not sign you in").await;
    let said_no = app.anonymous(
        Method::GET,
        &format!("/-/oidc/callback?error=access_denied&state={}", way.asked["state"]),
    );
    refused(said_no.header(COOKIE, &way.cookie).send().await.unwrap(), "did not sign you in").await;
    let good = come_back(&app, &way.cookie, &code(), &way.asked["state"]).await;
    assert_eq!(good.status(), 303);
    // Nobody is sent elsewhere by it.
    let evil = leave(&app, "https://evil.example").await;
    let code = consent(&provider, &evil, word(&provider, &evil, "ada@example.org"), header());
    let entered = come_back(&app, &evil.cookie, &code, &evil.asked["state"]).await;
    assert_eq!(entered.headers()["location"], "/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_does_not_hold_lets_nobody_in() {
    let provider = Provider::start().await;
    let (app, _secret) = app(Kind::Sqlite, &provider, &[]).await;
    invite(&app, "ada@example.org").await;
    let now = forge_api::clock::now() / 1_000_000;
    let wrong: [(&str, Value); 11] = [
        ("iss", json!("http://127.0.0.1:1")),
        ("aud", json!("somebody else")),
        ("aud", json!([CLIENT, "somebody else"])),
        ("azp", json!("somebody else")),
        ("nonce", json!("another")),
        ("nonce", json!(null)),
        ("exp", json!(now - 3600)),
        ("iat", json!(now - 3600)),
        ("iat", json!(now + 3600)),
        ("nbf", json!(now + 3600)),
        ("sub", json!("")),
    ];
    for (claim, value) in wrong {
        let answer = sign_in(&app, &provider, |claims| claims[claim] = value.clone()).await;
        refused(answer, "does not hold").await;
    }
    // Signed by nobody, by another key, or with the public key as a shared secret.
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256", "kid": "one" }),
        json!({ "alg": "RS256", "kid": "one" }),
        json!({ "alg": "ES256", "kid": "two" }),
    ] {
        let way = leave(&app, "/").await;
        let code = consent(&provider, &way, word(&provider, &way, "ada@example.org"), header);
        refused(come_back(&app, &way.cookie, &code, &way.asked["state"]).await, "does not hold").await;
    }
    let way = leave(&app, "/").await;
    let stranger = Provider::start().await;
    let claims = word(&provider, &way, "ada@example.org");
    let forged = stranger.signed(&header(), &claims);
    let code = consent(&provider, &way, claims, header());
    provider.codes.lock().unwrap().get_mut(&code).unwrap().token = Some(forged);
    refused(come_back(&app, &way.cookie, &code, &way.asked["state"]).await, "does not hold").await;
    assert!(session::user_by_email(&app.state, "ada@example.org").await.is_err());
    assert_eq!(sign_in(&app, &provider, |_| ()).await.status(), 303, "and a good one does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_somebody_else_prepared_is_taken_back_by_its_owner() {
    let provider = Provider::start().await;
    let (app, _secret) = app(Kind::Sqlite, &provider, &[]).await;
    // Somebody uses an invitation for an address that is not theirs, whose link an owner showed them.
    let owner = app.browser().await;
    let body = json!({ "email": "ada@example.org", "role": "viewer" });
    let made = app
        .by(&owner, Method::POST, "/api/v1/organisations/acme/invitations")
        .json(&body)
        .send()
        .await
        .unwrap();
    let link = json_of(made, 201).await["link"].as_str().unwrap().to_owned();
    let form = [("name", "Eve"), ("password", PASSWORD)];
    let eve =
        app.anonymous(Method::POST, &link[link.find("/-/").unwrap()..]).form(&form).send().await.unwrap();
    assert_eq!(eve.status(), 303);
    let eve = cookies(&eve);
    let is_in = || app.anonymous(Method::GET, "/api/v1/me").header(COOKIE, &eve).send();
    assert_eq!(is_in().await.unwrap().status(), 200);
    assert_eq!(sign_in(&app, &provider, |_| ()).await.status(), 303);
    assert_eq!(is_in().await.unwrap().status(), 401, "the session that lay in wait is over");
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    let old = app.anonymous(Method::POST, "/api/v1/sessions").json(&body).send().await.unwrap();
    assert_eq!(old.status(), 422, "and so is the password");

    // Who had shown that the address is theirs keeps what they have.
    session::create_user(&app.state, "bob@example.org", "Bob", Some(PASSWORD)).await.unwrap();
    author::add_member(&app.state, &Actor::console(), &app.organisation, "bob@example.org", Role::Viewer)
        .await
        .unwrap();
    let bob = app.browser_by_link("bob@example.org").await;
    let linked = sign_in(&app, &provider, |claims| {
        claims["sub"] = json!("bob");
        claims["email"] = json!("Bob@example.org");
    })
    .await;
    assert_eq!(linked.status(), 303);
    assert_eq!(app.by(&bob, Method::GET, "/api/v1/me").send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_people_of_a_domain_come_in_uninvited_where_forge_is_told_so() {
    let provider = Provider::start().await;
    let more = [("oidc-domains", "example.org"), ("personal-organisations", "true")];
    let (app, _secret) = app(Kind::Sqlite, &provider, &more).await;
    let entered = sign_in(&app, &provider, |_| ()).await;
    assert_eq!(entered.status(), 303);
    assert_eq!(me(&app, &entered).await["organisations"][0]["organisation"], "ada-lovelace");
    let stranger = sign_in(&app, &provider, |claims| {
        claims["sub"] = json!("eve");
        claims["email"] = json!("eve@example.org.evil.example");
    })
    .await;
    refused(stranger, "Nobody has invited").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_or_is_none_is_said() {
    let app = App::start(Kind::Sqlite).await;
    let none = app.anonymous(Method::GET, "/-/oidc").header("accept", "text/html").send().await.unwrap();
    assert_eq!(none.status(), 404);
    assert_eq!(sql(&app.state.database, "DELETE FROM identities").await.unwrap(), 0);
    let away = [("oidc-issuer", "http://127.0.0.1:1"), ("oidc-client-id", CLIENT)];
    let app = App::start_with(Kind::Sqlite, &away).await;
    let answer = app.anonymous(Method::GET, "/-/oidc").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("gives no good answer at the moment"));
}

//! Invitations, roles in single projects, and links that somebody asks for.

use forge_api::audit::INSTALLATION;
use forge_api::auth::{Actor, Role};
use forge_api::author::{self, NewProject};
use forge_api::session;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, Browser, Empty, Kind, PASSWORD, SET, cookies, json_of, on_both, problem};
use crate::database::{dump, sql};

on_both!(
    an_invited_person_makes_an_account_and_is_what_was_said,
    an_invitation_works_once_and_not_too_late,
    an_invitation_that_was_withdrawn_or_replaced_is_void,
    an_invitation_lets_nobody_in_but_whom_it_is_for,
    who_is_a_member_already_is_not_invited,
    the_form_says_what_is_wrong_and_keeps_what_was_typed,
    a_hostile_invitation_is_taken_as_text_or_not_at_all,
    invitations_end_with_the_owner_who_made_them,
    a_role_in_one_project_is_given_changed_and_taken,
    without_mail_an_owner_makes_the_link_that_was_asked_for,
    an_owner_makes_no_link_for_who_belongs_elsewhere_too,
    whoever_asks_for_a_link_learns_nothing,
    one_changes_ones_own_name,
    an_organisation_is_made_on_its_page,
);

const INVITATIONS: &str = "/api/v1/organisations/acme/invitations";
const GRANTS: &str = "/api/v1/projects/acme:support/grants";
const SETTINGS: &str = "/acme/-/settings";

async fn invite(app: &App, owner: &Browser, body: Value) -> Value {
    json_of(app.by(owner, Method::POST, INVITATIONS).json(&body).send().await.unwrap(), 201).await
}

/// The path of a link that was made.
fn path(made: &Value) -> String {
    let link = made["link"].as_str().unwrap();
    link[link.find("/-/").unwrap()..].to_owned()
}

async fn open(app: &App, path: &str) -> (u16, String) {
    let answer = app.anonymous(Method::GET, path).header("accept", "text/html").send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn join(app: &App, path: &str, name: &str, password: &str) -> Response {
    let form = [("name", name), ("password", password)];
    app.anonymous(Method::POST, path).header("accept", "text/html").form(&form).send().await.unwrap()
}

async fn page(app: &App, browser: &Browser, path: &str) -> String {
    let answer = app.by(browser, Method::GET, path).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

async fn post(app: &App, browser: &Browser, path: &str, form: &[(&str, &str)]) -> Response {
    let mut fields = vec![("csrf", browser.csrf.as_str())];
    fields.extend(form);
    app.by(browser, Method::POST, path).header("accept", "text/html").form(&fields).send().await.unwrap()
}

async fn an_invited_person_makes_an_account_and_is_what_was_said(app: App) {
    let owner = app.browser().await;
    let asked = json!({
        "email": " Ada@Example.org ", "role": "reviewer",
        "projects": [{ "project": "support", "role": "context_engineer" }],
    });
    let made = invite(&app, &owner, asked).await;
    assert_eq!((&made["email"], &made["mail"]), (&json!("ada@example.org"), &json!("none")));
    let link = path(&made);
    let (status, html) = open(&app, &link).await;
    assert_eq!(status, 200);
    assert!(
        html.contains("Join Acme")
            && html.contains("as reviewer")
            && html.contains("context engineer in Support")
    );
    // What cannot be taken is said, and the link stays good.
    let weak = join(&app, &link, "Ada Lovelace", "short").await;
    assert_eq!(weak.status(), 422);
    let html = weak.text().await.unwrap();
    assert!(
        html.contains("at least 12 characters") && html.contains("Ada Lovelace") && !html.contains("short\"")
    );

    let joined = join(&app, &link, "Ada Lovelace", PASSWORD).await;
    assert_eq!(joined.status(), 303);
    let ada = cookies(&joined);
    let me = app.anonymous(Method::GET, "/api/v1/me").header("cookie", &ada).send().await.unwrap();
    let me = json_of(me, 200).await;
    assert_eq!(me["name"], "Ada Lovelace");
    assert_eq!(me["organisations"], json!([{ "organisation": "acme", "role": "reviewer" }]));
    let grant = json!([{ "organisation": "acme", "project": "support", "role": "context_engineer" }]);
    assert_eq!(me["grants"], grant);
    let log = app.audit(&app.organisation.id).await;
    for (action, who) in [("member.invited", "owner"), ("invitation.accepted", "Ada Lovelace")] {
        let entry = log.iter().find(|e| e.action == action).unwrap();
        assert_eq!((entry.actor_name.as_str(), entry.subject.as_str()), (who, "ada@example.org"));
    }
    let token = link.rsplit('/').next().unwrap();
    assert!(!dump(&app).await.contains(token), "the token is stored nowhere");
}

async fn an_invitation_works_once_and_not_too_late(app: App) {
    let owner = app.browser().await;
    let made = invite(&app, &owner, json!({ "email": "ada@example.org", "role": "viewer" })).await;
    let link = path(&made);
    let (one, two) = tokio::join!(join(&app, &link, "Ada", PASSWORD), join(&app, &link, "Eve", PASSWORD));
    let mut statuses = [one.status().as_u16(), two.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1] >= 400), (303, true), "of two at once one comes in: {statuses:?}");
    let (status, html) = open(&app, &link).await;
    assert_eq!(status, 409);
    assert!(html.contains("was used already") && html.contains("ask owner"), "{html}");

    let made = invite(&app, &owner, json!({ "email": "bob@example.org", "role": "viewer" })).await;
    sql(&app.state.database, "UPDATE invitations SET expires_at = 1 WHERE email = 'bob@example.org'")
        .await
        .unwrap();
    let (status, html) = open(&app, &path(&made)).await;
    assert!(status == 409 && html.contains("is too old"), "{status} {html}");
    assert_eq!(join(&app, &path(&made), "Bob", PASSWORD).await.status(), 409);
    assert!(session::user_by_email(&app.state, "bob@example.org").await.is_err());
    assert!(page(&app, &owner, SETTINGS).await.contains("expired"));
    let none = app.anonymous(Method::GET, "/-/invitations/nothing").header("accept", "text/html");
    assert_eq!(none.send().await.unwrap().status(), 404);
    app.audited(INSTALLATION, |e| e.action == "invitation.refused").await;
}

async fn an_invitation_that_was_withdrawn_or_replaced_is_void(app: App) {
    let owner = app.browser().await;
    let body = json!({ "email": "ada@example.org", "role": "viewer" });
    let first = invite(&app, &owner, body.clone()).await;
    let second = invite(&app, &owner, body).await;
    assert_eq!(join(&app, &path(&first), "Ada", PASSWORD).await.status(), 409);
    let listed = json_of(app.by(&owner, Method::GET, INVITATIONS).send().await.unwrap(), 200).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert!(listed["items"][0].get("link").is_none(), "a link is shown once: {listed}");
    let one = format!("{INVITATIONS}/{}", second["id"].as_str().unwrap());
    assert_eq!(app.by(&owner, Method::DELETE, &one).send().await.unwrap().status(), 204);
    problem(app.by(&owner, Method::DELETE, &one).send().await.unwrap(), 404, "not_found").await;
    let (status, html) = open(&app, &path(&second)).await;
    assert!(status == 409 && html.contains("was withdrawn"), "{status} {html}");
    assert_eq!(join(&app, &path(&second), "Ada", PASSWORD).await.status(), 409);
    assert!(session::user_by_email(&app.state, "ada@example.org").await.is_err());
}

async fn an_invitation_lets_nobody_in_but_whom_it_is_for(app: App) {
    let owner = app.browser().await;
    session::create_user(&app.state, "ada@example.org", "Ada", Some(PASSWORD)).await.unwrap();
    let made = invite(&app, &owner, json!({ "email": "ada@example.org", "role": "admin" })).await;
    let link = path(&made);
    // Who found the link does not take the account over.
    let (_, html) = open(&app, &link).await;
    assert!(html.contains("This address has an account") && !html.contains("type=\"password\""), "{html}");
    let taken = join(&app, &link, "Eve", "a password of her own").await;
    assert_eq!(taken.status(), 409);
    let body = json!({ "token": link.rsplit('/').next().unwrap() });
    let viewer = app.browser_of(Role::Viewer).await;
    let accept = |browser| app.by(browser, Method::POST, "/api/v1/invitations/accept").json(&body).send();
    problem(accept(&viewer).await.unwrap(), 403, "forbidden").await;
    let html = page(&app, &viewer, &link).await;
    assert!(html.contains("You are signed in as viewer@example.org"), "{html}");
    // Nor by a token, nor without the token of one's own pages.
    let by_token = app.request(Role::Viewer, Method::POST, "/api/v1/invitations/accept").json(&body);
    problem(by_token.send().await.unwrap(), 403, "forbidden").await;
    let ada = app.browser_by_link("ada@example.org").await;
    let bare = app.anonymous(Method::POST, &link).header("cookie", &ada.cookies).form(&[("x", "")]);
    assert_eq!(bare.send().await.unwrap().status(), 403);
    assert!(page(&app, &ada, &link).await.contains("Join Acme"));
    let joined = post(&app, &ada, &link, &[]).await;
    assert_eq!((joined.status().as_u16(), joined.headers()["location"].to_str().unwrap()), (303, "/acme"));
    let members = app.get("/api/v1/organisations/acme/members").await.to_string();
    assert!(members.contains("ada@example.org"), "{members}");
}

async fn who_is_a_member_already_is_not_invited(app: App) {
    let owner = app.browser().await;
    let ask = |body: Value| app.by(&owner, Method::POST, INVITATIONS).json(&body).send();
    let again = json!({ "email": "Viewer@example.org", "role": "admin" });
    problem(ask(again).await.unwrap(), 409, "already_member").await;
    for (body, field) in [
        (json!({ "email": "nobody", "role": "viewer" }), "email"),
        (json!({ "email": "ada@example.org" }), "role"),
        (json!({ "email": "ada@example.org", "role": "king" }), "role"),
        (json!({ "email": "a@b.c", "projects": [{ "project": "none", "role": "viewer" }] }), "projects"),
        (json!({ "email": "a@b.c", "projects": [{ "project": "support", "role": "owner" }] }), "role"),
    ] {
        let answer = ask(body.clone()).await.unwrap();
        let status = answer.status();
        let problem = json_of(answer, 422).await;
        assert_eq!(problem["field"], field, "{status} {body}: {problem}");
    }
    let unknown =
        ask(json!({ "email": "ada@example.org", "role": "viewer", "rolle": "owner" })).await.unwrap();
    problem(unknown, 422, "unknown_field").await;
    let log = app.audit(&app.organisation.id).await;
    assert!(log.iter().all(|e| e.action != "member.invited"), "nothing of it is written");
}

async fn the_form_says_what_is_wrong_and_keeps_what_was_typed(app: App) {
    let owner = app.browser().await;
    let form = [
        ("email", "ada.example.org"),
        ("role", "reviewer"),
        ("project", "support"),
        ("project_role", "admin"),
    ];
    let answer = post(&app, &owner, &format!("{SETTINGS}/invitations"), &form).await;
    assert_eq!(answer.status(), 422);
    let html = answer.text().await.unwrap();
    assert!(
        html.contains("This is no e-mail address") && html.contains("value=\"ada.example.org\""),
        "{html}"
    );
    for chosen in ["value=\"reviewer\" selected", "value=\"support\" selected", "value=\"admin\" selected"] {
        assert!(html.contains(chosen), "{chosen}");
    }
    let form = [("email", "viewer@example.org"), ("role", "reviewer"), ("project", "")];
    let html = post(&app, &owner, &format!("{SETTINGS}/invitations"), &form).await.text().await.unwrap();
    assert!(html.contains("is a member already"), "{html}");
    // A guest of nothing.
    let form = [("email", "ada@example.org"), ("role", "guest"), ("project", "")];
    let html = post(&app, &owner, &format!("{SETTINGS}/invitations"), &form).await.text().await.unwrap();
    assert!(html.contains("at least one project"), "{html}");
    let form =
        [("email", "ada@example.org"), ("role", "guest"), ("project", "support"), ("project_role", "viewer")];
    let html = post(&app, &owner, &format!("{SETTINGS}/invitations"), &form).await.text().await.unwrap();
    assert!(html.contains("/-/invitations/") && html.contains("It is shown only once"), "{html}");
    assert!(!page(&app, &owner, SETTINGS).await.contains("/-/invitations/"), "and not again");
    // Whom one does not know yet is invited, not given access.
    let form = [("email", "ada@example.org"), ("project", "support"), ("role", "viewer")];
    let answer = post(&app, &owner, &format!("{SETTINGS}/grants"), &form).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("invite them instead"), "the way out is named");
}

async fn a_hostile_invitation_is_taken_as_text_or_not_at_all(app: App) {
    let owner = app.browser().await;
    let evil = "<script>alert(1)</script>";
    for email in [evil, "a@b\r\nBcc: all@example.org", "a b@c.d", "@", "a@@b", &"a".repeat(300), "a@b\0c", ""]
    {
        let form = [("email", email), ("role", "viewer"), ("project", "")];
        let answer = post(&app, &owner, &format!("{SETTINGS}/invitations"), &form).await;
        assert_eq!(answer.status(), 422, "{email:?}");
        assert!(!answer.text().await.unwrap().contains(evil), "{email:?}");
    }
    for (role, project) in [("owner\0", ""), ("", ""), ("viewer", "../secret"), ("viewer", evil)] {
        let form =
            [("email", "ada@example.org"), ("role", role), ("project", project), ("project_role", "viewer")];
        let answer = post(&app, &owner, &format!("{SETTINGS}/invitations"), &form).await;
        assert_eq!(answer.status(), 422, "{role:?} {project:?}");
        assert!(!answer.text().await.unwrap().contains(evil));
    }
    // A name is text wherever it is shown.
    let made = invite(&app, &owner, json!({ "email": "<i>@x.y", "role": "viewer" })).await;
    assert!(open(&app, &path(&made)).await.1.contains("&lt;i&gt;"));
    assert_eq!(join(&app, &path(&made), evil, PASSWORD).await.status(), 303);
    let html = page(&app, &owner, SETTINGS).await;
    assert!(!html.contains(evil) && html.contains("&lt;script&gt;"), "{html}");
}

async fn invitations_end_with_the_owner_who_made_them(app: App) {
    let console = Actor::console();
    let (state, acme) = (&app.state, &app.organisation);
    author::add_member(state, &console, acme, "admin@example.org", Role::Owner).await.unwrap();
    let second = app.browser_of(Role::Admin).await;
    let body = json!({ "email": "accomplice@example.org", "role": "owner" });
    let made = invite(&app, &second, body).await;
    author::remove_member(state, &console, acme, "admin@example.org").await.unwrap();
    assert_eq!(join(&app, &path(&made), "Accomplice", PASSWORD).await.status(), 409);
    author::add_member(state, &console, acme, "admin@example.org", Role::Owner).await.unwrap();
    let made = invite(&app, &second, json!({ "email": "accomplice@example.org", "role": "owner" })).await;
    author::add_member(state, &console, acme, "admin@example.org", Role::Viewer).await.unwrap();
    assert_eq!(join(&app, &path(&made), "Accomplice", PASSWORD).await.status(), 409);
}

async fn a_role_in_one_project_is_given_changed_and_taken(app: App) {
    let owner = app.browser().await;
    let new = NewProject { slug: "other", name: "Other", description: "" };
    author::create_project(&app.state, &Actor::console(), &app.organisation, new).await.unwrap();
    let put = |role: &str| {
        let body = json!({ "email": "viewer@example.org", "role": role });
        app.by(&owner, Method::PUT, GRANTS).json(&body).send()
    };
    let edit = |project: &str| {
        let body = json!({ "slug": format!("made-in-{project}") });
        let path = format!("/api/v1/projects/acme:{project}/sets");
        app.request(Role::Viewer, Method::POST, &path).json(&body).send()
    };
    // The token was made for a viewer: it stays that, whatever its owner becomes.
    assert_eq!(put("context_engineer").await.unwrap().status(), 204);
    problem(edit("support").await.unwrap(), 403, "forbidden").await;
    let viewer = app.browser_of(Role::Viewer).await;
    let save = |project: &str, slug: &str| {
        let path = format!("/api/v1/projects/acme:{project}/sets");
        app.by(&viewer, Method::POST, &path).json(&json!({ "slug": slug })).send()
    };
    assert_eq!(save("support", "one").await.unwrap().status(), 201, "more in this project");
    problem(save("other", "one").await.unwrap(), 403, "forbidden").await;
    assert_eq!(put("reviewer").await.unwrap().status(), 204);
    problem(save("support", "two").await.unwrap(), 403, "forbidden").await;
    let refused = put("owner").await.unwrap();
    assert_eq!(json_of(refused, 422).await["field"], "role");
    let listed = json_of(app.by(&owner, Method::GET, GRANTS).send().await.unwrap(), 200).await;
    assert_eq!(listed["items"][0]["role"], "reviewer");
    // One's own may be given back; somebody else's not.
    let other = format!("{GRANTS}/nobody@example.org");
    problem(app.by(&viewer, Method::DELETE, &other).send().await.unwrap(), 403, "forbidden").await;
    let own = format!("{GRANTS}/viewer@example.org");
    assert_eq!(app.by(&viewer, Method::DELETE, &own).send().await.unwrap().status(), 204);
    problem(app.by(&owner, Method::DELETE, &own).send().await.unwrap(), 404, "not_found").await;

    // A guest whose last grant goes is a stranger again, and the key is void.
    session::create_user(&app.state, "guest@example.org", "Guest", None).await.unwrap();
    author::put_grant(&app.state, &Actor::console(), &app.at, "guest@example.org", Role::Viewer)
        .await
        .unwrap();
    let guest = app.browser_by_link("guest@example.org").await;
    let new = json!({ "organisation": "acme", "role": "viewer", "name": "ci" });
    let made = app.by(&guest, Method::POST, "/api/v1/tokens").json(&new).send().await.unwrap();
    let token = json_of(made, 201).await["token"].as_str().unwrap().to_owned();
    let too_much = json!({ "organisation": "acme", "role": "admin" });
    let made = app.by(&guest, Method::POST, "/api/v1/tokens").json(&too_much).send().await.unwrap();
    problem(made, 403, "forbidden").await;
    let by_key = || app.anonymous(Method::GET, SET).bearer_auth(&token).send();
    assert_eq!(by_key().await.unwrap().status(), 200);
    let form = [("email", "guest@example.org"), ("project", "support"), ("role", "none")];
    assert_eq!(post(&app, &owner, &format!("{SETTINGS}/grants"), &form).await.status(), 303);
    assert_eq!(by_key().await.unwrap().status(), 401);
    assert_eq!(app.by(&guest, Method::GET, SET).send().await.unwrap().status(), 404);
    assert_eq!(
        app.by(&guest, Method::GET, "/api/v1/organisations/acme/projects").send().await.unwrap().status(),
        404
    );
}

async fn ask_link(app: &App, email: &str) -> (u16, String) {
    let form = [("email", email)];
    let answer = app.anonymous(Method::POST, "/-/sign-in-link").form(&form).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The settings, as soon as they name somebody who asked.
async fn asked(app: &App, owner: &Browser, email: &str) -> String {
    let form = format!("Make a sign-in link for {email}");
    tests::until::until("somebody asked", tests::until::secs(20), async || {
        let html = page(app, owner, SETTINGS).await;
        html.contains(&form).then_some(html)
    })
    .await
}

async fn without_mail_an_owner_makes_the_link_that_was_asked_for(app: App) {
    let owner = app.browser().await;
    let make = |email: &'static str| {
        let (app, owner) = (&app, &owner);
        async move { post(app, owner, &format!("{SETTINGS}/links"), &[("email", email)]).await }
    };
    assert_eq!(make("viewer@example.org").await.status(), 404, "who did not ask gets none");
    let (status, html) = ask_link(&app, "Viewer@example.org").await;
    assert!(status == 200 && html.contains("Ask an owner"), "{html}");
    let html = asked(&app, &owner, "viewer@example.org").await;
    assert!(html.contains("127.0.0.1"), "from where they asked: {html}");
    let admin = app.browser_of(Role::Admin).await;
    assert!(!page(&app, &admin, SETTINGS).await.contains("Make a sign-in link"), "no business of an admin");
    let answer = make("viewer@example.org").await;
    assert_eq!(answer.status(), 200);
    let html = answer.text().await.unwrap();
    let link = html.split("/-/sign-in/").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(!page(&app, &owner, SETTINGS).await.contains("Make a sign-in link"), "it is answered");
    let entered = app
        .anonymous(Method::POST, &format!("/-/sign-in/{link}"))
        .form(&[("next", "/")])
        .send()
        .await
        .unwrap();
    assert_eq!(entered.status(), 303);
    let entry = app.audited(&app.organisation.id, |e| e.action == "sign_in_link.created").await;
    assert_eq!((entry.actor_name.as_str(), entry.subject.as_str()), ("owner", "viewer@example.org"));
}

async fn an_owner_makes_no_link_for_who_belongs_elsewhere_too(app: App) {
    let owner = app.browser().await;
    let globex = author::find_organisation(&app.state, &Actor::console(), "globex").await.unwrap();
    author::add_member(&app.state, &Actor::console(), &globex, "viewer@example.org", Role::Viewer)
        .await
        .unwrap();
    ask_link(&app, "viewer@example.org").await;
    asked(&app, &owner, "viewer@example.org").await;
    let body = json!({ "email": "viewer@example.org" });
    let path = "/api/v1/organisations/acme/sign-in-links";
    let made = app.by(&owner, Method::POST, path).json(&body).send().await.unwrap();
    problem(made, 409, "belongs_elsewhere").await;
    let html = post(&app, &owner, &format!("{SETTINGS}/links"), &[("email", "viewer@example.org")]).await;
    assert_eq!(html.status(), 409);
    assert!(
        html.text().await.unwrap().contains("the operator of forge makes the link"),
        "the way out is named"
    );
}

async fn whoever_asks_for_a_link_learns_nothing(app: App) {
    let bare = |(status, html): (u16, String), email: &str| (status, html.replace(email, ""));
    let known = bare(ask_link(&app, "viewer@example.org").await, "viewer@example.org");
    for email in ["nobody@example.org", "no address", ""] {
        assert_eq!(bare(ask_link(&app, email).await, email).0, known.0, "{email:?}");
    }
    let unknown = bare(ask_link(&app, "nobody@example.org").await, "nobody@example.org");
    assert_eq!(known, unknown);
    let body = |email: &str| json!({ "email": email });
    for email in ["viewer@example.org", "nobody@example.org"] {
        let answer =
            app.anonymous(Method::POST, "/api/v1/sign-in-links").json(&body(email)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (202, String::new()));
    }
    assert!(!dump(&app).await.contains("nobody@example.org"), "who is unknown is not written down");
}

async fn one_changes_ones_own_name(app: App) {
    let viewer = app.browser_of(Role::Viewer).await;
    assert_eq!(post(&app, &viewer, "/-/account/name", &[("name", " Vi Ewer ")]).await.status(), 303);
    assert!(page(&app, &viewer, "/-/account").await.contains("<h1>Vi Ewer</h1>"));
    for name in ["", "  ", "a\nb", &"x".repeat(201)] {
        let put =
            app.by(&viewer, Method::PUT, "/api/v1/me").json(&json!({ "name": name })).send().await.unwrap();
        assert_eq!(json_of(put, 422).await["field"], "name", "{name:?}");
    }
    let by_token = app.request(Role::Viewer, Method::PUT, "/api/v1/me").json(&json!({ "name": "Eve" }));
    problem(by_token.send().await.unwrap(), 403, "forbidden").await;
}

async fn an_organisation_is_made_on_its_page(app: App) {
    let owner = app.browser().await;
    assert!(page(&app, &owner, "/acme").await.contains("href=\"/-/new\""));
    assert!(page(&app, &owner, "/-/new").await.contains("New organisation"));
    let taken = post(&app, &owner, "/-/new", &[("name", "Acme"), ("slug", "")]).await;
    assert_eq!(taken.status(), 409);
    assert!(taken.text().await.unwrap().contains("There is already an organisation named acme"), "and how");
    let made = post(&app, &owner, "/-/new", &[("name", "Fernway Ltd"), ("slug", "")]).await;
    assert_eq!((made.status().as_u16(), made.headers()["location"].to_str().unwrap()), (303, "/fernway-ltd"));
    // Who owns none makes none here.
    let viewer = app.browser_of(Role::Viewer).await;
    assert!(!page(&app, &viewer, "/acme").await.contains("href=\"/-/new\""));
    assert_eq!(post(&app, &viewer, "/-/new", &[("name", "Mine")]).await.status(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_person_gets_an_organisation_of_their_own_where_forge_is_told_so() {
    let app = App::start_with(Kind::Sqlite, &[("personal-organisations", "true")]).await;
    let owner = app.browser().await;
    for email in ["ada@example.org", "ada2@example.org"] {
        let made = invite(&app, &owner, json!({ "email": email, "role": "viewer" })).await;
        let joined = join(&app, &path(&made), "Ada Lovelace", PASSWORD).await;
        assert_eq!(joined.status(), 303);
        let me =
            app.anonymous(Method::GET, "/api/v1/me").header("cookie", cookies(&joined)).send().await.unwrap();
        let me = json_of(me, 200).await;
        let own =
            me["organisations"].as_array().unwrap().iter().find(|o| o["role"] == "owner").unwrap().clone();
        assert!(own["organisation"].as_str().unwrap().starts_with("ada-lovelace"), "{me}");
    }
}

/// A FORGE that asks less often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_links_is_bounded() {
    let app = Empty::start_with(Kind::Sqlite, &[("sign-in-per-minute", "8")]).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let form = [("email", "ada@example.org")];
        statuses.push(
            app.request(Method::POST, "/-/sign-in-link").form(&form).send().await.unwrap().status().as_u16(),
        );
    }
    assert_eq!(statuses, [200, 200, 429, 429], "a quarter of what an address may");
}

//! Every page, in both themes, wide and narrow.

use std::path::PathBuf;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use tests::forge::live::Live;
use tests::tools::axe;
use tokio::task::JoinSet;

use super::session::Session;

const PAGES: &[(&str, &str)] = &[
    ("dashboard", "/acme"),
    ("new-project", "/acme/-/new"),
    ("audit", "/acme/-/audit"),
    ("audit-narrowed", "/acme/-/audit?action=set.locked&project=support&since=2026-01-01T00:00:00"),
    ("audit-wrong", "/acme/-/audit?action=set.loked&since=yesterday"),
    ("reviews", "/acme/-/reviews?show=all"),
    ("reviews-closed", "/acme/-/reviews?show=all&state=closed"),
    ("environments", "/acme/support/-/environments"),
    ("people", "/acme/-/settings"),
    ("new-organisation", "/-/new"),
    ("sign-in-link", "/-/sign-in-link"),
    ("project", "/acme/support"),
    ("new-set", "/acme/support/-/new"),
    ("project-empty", "/acme/zero"),
    ("publications", "/acme/support/-/publications"),
    ("publication", "/acme/support/-/publications/2"),
    ("agents", "/acme/support/-/agents"),
    ("agents-prod", "/acme/support/-/agents?environment=prod"),
    ("order", "/acme/support/-/agents/order?environment=prod&mode=FROZEN"),
    ("order-agent", "/acme/support/-/agents/order?environment=prod&agent=till-1&mode=ACCEPTING"),
    ("agents-none", "/acme/support/-/agents?q=nobody"),
    ("credentials", "/acme/support/-/credentials"),
    ("editor", "/acme/support/chat/welcome.message"),
    ("editor-problem", "/acme/support/chat/faulty.one"),
    ("new-prompt", "/acme/support/chat/-/new"),
    ("archive", "/acme/support/chat/-/archive?prompt=faulty.one"),
    ("archived", "/acme/support/chat/-/archived"),
    ("archived-sets", "/acme/support/-/archived"),
    ("import-project", "/acme/support/-/import"),
    ("archived-projects", "/acme/-/archived"),
    ("rename", "/acme/support/chat/-/rename?prompt=faulty.one"),
    ("duplicate", "/acme/support/chat/-/duplicate?prompt=faulty.one"),
    ("copy-set", "/acme/support/chat/-/copy"),
    ("set-settings", "/acme/support/chat/-/settings"),
    ("project-settings", "/acme/support/-/settings"),
    ("organisation", "/acme/-/organisation"),
    ("delete", "/acme/support/chat/-/delete?prompt=faulty.one"),
    ("playground", "/acme/support/chat/-/playground?prompt=welcome.message&columns=draft,1.0.0,@prod"),
    ("playground-problem", "/acme/support/chat/-/playground?prompt=faulty.one&columns=draft,1.1.0,@dev"),
    ("lock", "/acme/support/chat/-/lock"),
    ("publish", "/acme/support/chat/-/publish?version=1.0.0&environment=prod"),
    ("publish-breaks", "/acme/support/chat/-/publish?version=1.1.0&environment=dev"),
    ("versions", "/acme/support/chat/-/versions"),
    ("version", "/acme/support/chat/-/versions/1.1.0"),
    ("restore", "/acme/support/chat/-/restore?version=1.0.0"),
    ("history", "/acme/support/chat/-/history/welcome.message"),
    ("dependencies", "/acme/support/chat/-/dependencies"),
    ("history-renamed", "/acme/support/chat/-/history/greeting.short?revision=1"),
    ("history-former", "/acme/support/chat/-/history/greeting.long"),
    ("review", "/acme/support/chat/-/reviews/1?prompt=welcome.message&line=1"),
    ("compare-live", "/acme/support/chat/-/compare?from=@prod&to=draft"),
    ("compare-nothing", "/acme/support/chat/-/compare?from=1.0.0&to_address=9.9.9"),
    ("compare-inline", "/acme/support/chat/-/compare?from=1.0.0&to=1.1.0&view=inline"),
    ("usage", "/acme/support/chat/-/usage"),
    ("usage-version", "/acme/support/chat/-/usage?span=day&environment=dev&version=1.1.0"),
    ("usage-none", "/acme/support/chat/-/usage?environment=staging"),
    ("compare", "/acme/support/chat/-/compare"),
    ("import", "/acme/support/chat/-/import"),
    ("export", "/acme/support/chat/-/export?format=langfuse"),
    ("webhooks", "/acme/support/-/webhooks"),
    ("webhook", "/acme/support/-/webhooks/{webhook}"),
    ("webhook-remove", "/acme/support/-/webhooks/{webhook}/remove"),
    ("docs", "/api/docs"),
    ("palette", "/-/palette?q=wel"),
    ("start", "/acme/-/start"),
    ("retry", "/acme/support/-/publications/2/retry"),
    ("palette-rest", "/-/palette?at=/acme/support/chat/welcome.message"),
    ("search", "/acme/-/search?q=shop"),
    ("search-newest", "/acme/-/search"),
    ("search-none", "/acme/-/search?q=welkome&state=locked"),
    ("help", "/-/help"),
    ("help-templates", "/-/help/templates"),
    ("help-keys", "/-/help/keys"),
    ("help-publishing", "/-/help/publishing"),
    ("account", "/-/account"),
    ("leave", "/acme/-/leave"),
    ("not-found", "/acme/nothing/here"),
];

/// Nothing fades from one colour into another any more.
const SETTLED: &str =
    "return document.getAnimations().every((a) => a.effect.getTiming().iterations === Infinity)";

/// Where pictures go, for people who want to look: `ANVIL_PICTURES`.
fn pictures() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("ANVIL_PICTURES")?);
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// Holds that axe finds nothing on the page as it stands now, and takes its picture.
pub(super) async fn is_accessible(session: &Session, name: &str) -> Result<()> {
    if let Some(folder) = pictures() {
        session.browser.picture(&folder.join(format!("{name}.png"))).await?;
    }
    let found = findings(session, &axe()?).await?;
    assert!(found.is_empty(), "{name}: {found:#?}");
    Ok(())
}

/// What axe finds on the page that is open: WCAG 2.2 AA and best practices.
async fn findings(session: &Session, axe: &str) -> Result<Vec<String>> {
    session.browser.run(axe).await?;
    let found = session
        .browser
        .run_async(
            "const done = arguments[arguments.length - 1];
             axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
                .then(r => done(r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160) + ' ' + (n.any[0] ?? n.all[0] ?? n.none[0] ?? {}).message).slice(0, 3).join(' | '))))
                .catch(e => done(['axe failed: ' + e]));",
        )
        .await?;
    Ok(found.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect())
}

/// A project with something on every page.
async fn furnish(session: &mut Session) -> Result<(Live, JoinSet<()>)> {
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.release("1.0.0", "Hello {{ name }}.\nYou are talking to the shop.\nBe brief.\n").await?;
    owner.release("1.1.0", "Hello {{ name }}!\nYou are talking to the shop of Fernway.\nBe brief.\n").await?;
    let credential = owner.credential("prod", "till").await?;
    let live = Live::start(session.forge.directory(), &credential, "till-1", "welcome.message")?;
    let programs = super::contracts::programs(&owner).await?;
    let zero = json!({ "slug": "zero", "name": "Zero" });
    owner.post("/api/v1/organisations/acme/projects", &zero).await?.ok()?;
    let review = json!({ "title": "Friendlier", "message": "An exclamation mark." });
    owner.post(&format!("{}/reviews", owner.set()), &review).await?.ok()?;
    let comment = json!({ "body": "Why?", "prompt": "welcome.message", "line": 1 });
    owner.post(&format!("{}/reviews/1/comments", owner.set()), &comment).await?.ok()?;
    let made =
        owner.post(&format!("{}/reviews/1/comments", owner.set()), &json!({ "body": "Good." })).await?;
    let id = made.ok()?["id"].as_str().unwrap_or_default().to_owned();
    let settle = format!("{}/reviews/1/comments/{id}", owner.set());
    owner.send(Method::PUT, &settle, &[], Some(&json!({ "settled": true }))).await?.ok()?;
    owner.reopen().await?;
    owner.write("greeting.long", "Good morning\n").await?;
    let rename = json!({ "id": "greeting.long", "to": "greeting.short" });
    owner.post(&format!("{}/actions/rename", owner.set()), &rename).await?.ok()?;
    owner.write("faulty.one", "Dear {{ name | shout }},\n\nbye\n").await?;
    owner.write("welcome.message", "Hello {{ name }}!\nYou are talking to the shop of Fernway.\n").await?;
    session.sign_in().await?;
    session.open("/acme/support/-/publications/2").await?;
    session.browser.wait_text("#answer", "1 of 1 active").await;
    Ok((live, programs))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_from_360_pixels_to_wide_in_both_themes() -> Result<()> {
    let mut session = Session::start_with(&super::hooks::OPTIONS).await?;
    let _live = furnish(&mut session).await?;
    let (webhook, _receiver) = super::hooks::logged(&session.forge.owner().await?).await?;
    let axe = axe()?;
    let folder = pictures();
    let mut faults = Vec::new();
    for (width, height) in [(360, 740), (1024, 768), (1600, 1000)] {
        session.browser.size(width, height).await?;
        for (name, path) in PAGES {
            session.open(&path.replace("{webhook}", &webhook)).await?;
            if *name == "editor-problem" {
                session.browser.wait_text(".cm-editor .problem", "shout").await;
            }
            if session.browser.scrolls_sideways().await? {
                faults.push(format!("{name}, {width} px: scrolls sideways"));
            }
            for theme in ["light", "dark"] {
                session.browser.scheme(theme).await?;
                session.browser.holds("its colours are there", SETTLED).await;
                // What there is in between is there at the narrowest or at the widest too.
                if width != 1024 {
                    let found = findings(&session, &axe).await?;
                    faults.extend(found.into_iter().map(|f| format!("{name}, {theme}, {width} px: {f}")));
                }
                if let Some(folder) = &folder {
                    session.browser.picture(&folder.join(format!("{name}-{theme}-{width}.png"))).await?;
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let complaints: Vec<String> = session
        .browser
        .complaints()
        .await?
        .into_iter()
        .filter(|c| !c.contains("404") && !c.contains("422"))
        .collect();
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_palette_opens_by_key_and_leads_to_a_prompt() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.write("welcome.message", "Hello {{ name }}\n").await?;
    session.sign_in().await?;
    session.browser.keys("body", "\u{e009}k\u{e000}").await?;
    session.browser.keys("dialog.palette input", "welc").await?;
    session.browser.wait_text("dialog.palette [aria-selected=true]", "welcome.message").await;
    session.browser.keys("dialog.palette input", "\u{e007}").await?;
    session.browser.wait_url("/acme/support/chat/welcome.message").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_signed_in_is_led_to_the_door_and_back() -> Result<()> {
    let mut session = Session::start().await?;
    session.forge.owner().await?.create_project("acme").await?;
    session.open("/acme/support/-/agents?environment=prod").await?;
    session.browser.wait_url("/-/sign-in?next=").await;
    session.browser.fill("#email", tests::forge::OWNER).await?;
    session.browser.fill("#password", "wrong wrong wrong").await?;
    session.browser.click("button[type=submit]").await;
    session.browser.wait_text("#password-error", "do not fit together").await;
    session.browser.fill("#password", tests::forge::PASSWORD).await?;
    session.browser.click("button[type=submit]").await;
    session.browser.wait_url("/acme/support/-/agents?environment=prod").await;
    Ok(())
}

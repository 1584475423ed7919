//! Somebody is invited to one project, comes in by the link, and sees that project only.

use anyhow::Result;
use serde_json::json;
use tests::browser::Browser;

use crate::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_invites_a_guest_who_comes_in_by_the_link_and_sees_one_project() -> Result<()> {
    let session = Session::start().await?;
    let owner = &session.browser;
    session.sign_in().await?;
    session.make_prompt().await?;
    session.open("/acme/-/new").await?;
    owner.fill("#name", "Secret").await?;
    owner.click("form[action='/acme/-/new'] button").await;
    owner.wait_url("/acme/secret").await;

    // The page is reached from the side bar; what is wrong is said at the field, and what was typed stays.
    owner.click("nav a[href='/acme/-/settings']").await;
    owner.wait_text("#members", "Members").await;
    owner.fill("#invite #email", "ada@example").await?;
    owner.choose("#role", "viewer").await;
    owner.run("document.querySelector('#invite #email').type = 'text'").await?;
    owner.run("document.querySelector('#invite #email').value = 'ada.example.org'").await?;
    owner.click("#invite button[type=submit]").await;
    owner.wait_text("#email-error", "no e-mail address").await;
    let typed = owner.run("return document.querySelector('#invite #email').value").await?;
    assert_eq!(typed, json!("ada.example.org"));
    let said = owner.complaints().await?;
    assert!(said.iter().all(|line| line.contains("422")), "{said:?}");

    owner.fill("#invite #email", "ada@example.org").await?;
    owner.choose("#role", "guest").await;
    owner.choose("#project", "shop").await;
    owner.choose("#project-role", "context_engineer").await;
    owner.click("#invite button[type=submit]").await;
    owner.wait_text("#secret", "Send this link to ada@example.org").await;
    let link = owner.text("#link").await?;
    session.open("/acme/-/settings").await?;
    assert!(!owner.has("#secret").await, "it is shown once");
    owner.wait_text("main", "context engineer in Shop").await;

    let guest = Browser::start().await?;
    guest.open(&link).await?;
    guest.wait_text("h1", "Join acme").await;
    guest.fill("#name", "Ada Lovelace").await?;
    guest.fill("#password", "short").await?;
    guest.click("form button[type=submit]").await;
    guest.wait_text("#password-error", "at least 12 characters").await;
    guest.fill("#password", "correct horse battery").await?;
    guest.click("form button[type=submit]").await;
    guest.wait_url("/acme").await;
    let page = guest.wait_text("main", "Shop").await;
    assert!(!page.contains("Secret"), "{page}");
    assert!(
        !guest.has("nav a[href='/acme/-/settings']").await && !guest.has("a[href='/acme/-/audit']").await
    );
    guest.open(&session.at("/acme/shop/chat/welcome.message")).await?;
    guest.wait_url("/chat/welcome.message").await;
    for closed in ["/acme/secret", "/acme/-/settings", "/acme/-/audit"] {
        guest.open(&session.at(closed)).await?;
        guest.wait_text("h1", "does not exist, or you may not see it").await;
    }
    let said = guest.complaints().await?;
    assert!(said.iter().all(|line| line.contains("404") || line.contains("422")), "{said:?}");

    // The link is used up, and the owner takes the access away.
    let third = Browser::start().await?;
    third.open(&link).await?;
    third.wait_text("main", "was used already").await;
    session.open("/acme/-/settings").await?;
    owner.click("form[action='/acme/-/settings/grants'] button.btn-danger").await;
    owner.wait_text("main", "Nobody has a role in a single project").await;
    guest.open(&session.at("/acme/shop")).await?;
    guest.wait_text("h1", "does not exist, or you may not see it").await;
    Ok(())
}

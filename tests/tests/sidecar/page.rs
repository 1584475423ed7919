//! The pages, in a real browser, without a script.

use anyhow::{Context as _, Result};
use tests::browser::Browser;
use tests::nats::TestBroker;
use tests::tools;
use tests::until::until;

use crate::stage::{PATIENCE, Sidecar, furnish};

const PAGES: &[(&str, &str)] = &[
    ("overview", "/"),
    ("prompts", "/prompts"),
    ("nothing", "/prompts?q=none"),
    ("prompt", "/prompt?id=hello"),
    ("chat", "/prompt?id=%40talk/chat"),
    ("missing", "/prompt?id=none"),
];

#[tokio::test(flavor = "multi_thread")]
async fn people_see_how_it_stands_freeze_it_and_try_a_prompt_out() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "page", &["--no-token"]).await?;
    sidecar.furnished().await;
    let root = format!("http://{}", sidecar.address);
    let browser = Browser::start().await?;
    browser.scripts(false).await?;
    browser.open(&root).await?;
    let said = browser.text("h1").await?;
    assert!(said.starts_with("Serving 2 prompt sets"), "{said}");
    browser.click("form[action='mode'] button").await;
    browser.wait_text(".note", "FROZEN").await;
    assert_eq!(sidecar.get("/v1/mode").await?.json()?["mode"], "FROZEN");
    let mut newer = test.bundle("chat", "1.1.0", &[("hello", "newer")]);
    newer.prompts[0].description = "newer".into();
    test.publish(newer).await?;
    until("it waits", PATIENCE, async || {
        browser.open(&root).await.ok()?;
        // Waiting for it would wait in a page that does not renew itself.
        browser.has(".more").await.then_some(())?;
        browser.text(".more").await.ok().filter(|text| text.contains("1.1.0 (serial 2)"))
    })
    .await;

    // A value is data, in the page as in the template.
    browser.open(&format!("{root}/prompt?id=hello")).await?;
    browser.fill("#value-0", "<script>alert(2)</script>").await?;
    browser.fill("#value-1", "three").await?;
    browser.click("form[action='prompt'] button").await;
    browser.wait_text("#wrong-1", "integer").await;
    browser.fill("#value-1", "3").await?;
    browser.click("form[action='prompt'] button").await;
    browser.wait_text("#rendered", "Hello <script>alert(2)</script>, 3 new").await;
    assert!(!browser.has("main script").await);

    for (theme, width, height) in
        [("light", 1280, 900), ("dark", 1280, 900), ("light", 360, 740), ("dark", 360, 740)]
    {
        browser.scheme(theme).await?;
        browser.size(width, height).await?;
        for (name, path) in PAGES {
            browser.open(&format!("{root}{path}")).await?;
            assert!(!browser.scrolls_sideways().await?, "{name}, {width} px");
            if let Some(folder) = std::env::var_os("ANVIL_PICTURES") {
                let file = format!("live-{name}-{theme}-{width}.png");
                browser.picture(&std::path::Path::new(&folder).join(file)).await?;
            }
        }
    }
    // A page that is not there answers 404, which the console repeats.
    let complaints: Vec<String> = browser
        .complaints()
        .await?
        .into_iter()
        .filter(|line| !line.contains("404") && !line.contains("422"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_accessible_in_both_themes() -> Result<()> {
    let axe = tools::axe()?;
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "axe", &["--no-token"]).await?;
    sidecar.furnished().await;
    let browser = Browser::start().await?;
    let mut faults = Vec::new();
    for (theme, width) in [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)] {
        browser.scheme(theme).await?;
        browser.size(width, 900).await?;
        for (name, path) in PAGES {
            browser.open(&format!("http://{}{path}", sidecar.address)).await?;
            browser.run(&axe).await?;
            let found = browser
                .run_async(
                    "const done = arguments[arguments.length - 1]; axe.run().then(found => done(found.violations.map(\
                     one => one.id + ': ' + one.nodes.map(node => node.target).join(' '))))",
                )
                .await?;
            let found = found.as_array().context("no list")?.clone();
            faults.extend(found.iter().map(|one| format!("{name}, {theme}, {width} px: {one}")));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    Ok(())
}

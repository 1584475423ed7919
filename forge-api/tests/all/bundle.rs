//! The bundle over HTTP.

use forge_api::auth::Role;
use reqwest::Method;
use schemas::bundle::Bundle;
use schemas::canonical::Digest;
use schemas::envelope::Trust;

use crate::app::{App, SET, on_both};

const CURRENT: &str = "/api/v1/projects/acme:support/current_bundle?environment=prod&set=chat";

on_both!(
    the_live_bundle_is_served_byte_for_byte_with_its_signature,
    who_has_the_bundle_does_not_get_it_again,
    a_large_bundle_travels_compressed_to_who_takes_it,
);

async fn the_live_bundle_is_served_byte_for_byte_with_its_signature(app: App) {
    app.save("welcome.message", "Hello {{ name }}", &["name"]).await;
    let locked = app.lock("1.0.0").await;
    let nothing = app.request(Role::Viewer, Method::GET, CURRENT).send().await.unwrap();
    assert_eq!(nothing.status(), 404, "nothing was published yet");
    app.publish("1.0.0", "prod").await;

    let answer = app.request(Role::Viewer, Method::GET, CURRENT).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    let body = answer.bytes().await.unwrap();
    assert_eq!(Digest::of(&body).to_string(), locked["digest"]);
    assert_eq!(headers["etag"].to_str().unwrap(), format!("\"{}\"", locked["digest"].as_str().unwrap()));
    let bundle = Bundle::from_body(&body).unwrap();
    assert_eq!(bundle.version.to_string(), "1.0.0");
    assert_eq!(bundle.into_body().unwrap(), body, "it is canonical");

    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let environments = forge_api::database::project::environments(
        &mut app.state.database.read().await.unwrap(),
        &app.at.project.id,
    )
    .await
    .unwrap();
    let prod = environments.iter().find(|e| e.slug == "prod").unwrap();
    let root = app.state.keys.ring().root.public().to_owned();
    let trust = Trust::new(vec![root], app.at.scope(prod).unwrap());
    let now = forge_api::clock::now();
    let verified = trust.verify(&text("forge-key"), &text("forge-attestation"), &body, now).unwrap();
    assert_eq!((verified.attestation.serial, verified.attestation.publisher.as_str()), (1, "owner"));
    assert_eq!(verified.digest.to_string(), text("forge-digest"));

    let version = app.request(Role::Viewer, Method::GET, &format!("{SET}/versions/1.0.0/bundle"));
    assert_eq!(version.send().await.unwrap().bytes().await.unwrap(), body);
}

async fn who_has_the_bundle_does_not_get_it_again(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    let first = app.request(Role::Viewer, Method::GET, CURRENT).send().await.unwrap();
    let (tag, modified) = (first.headers()["etag"].clone(), first.headers()["last-modified"].clone());
    let again = |name: &'static str, value: &reqwest::header::HeaderValue| {
        app.request(Role::Viewer, Method::GET, CURRENT).header(name, value.clone())
    };
    for request in [again("if-none-match", &tag), again("if-modified-since", &modified)] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 304);
        assert_eq!(answer.headers()["etag"], tag);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    let head = app.request(Role::Viewer, Method::HEAD, CURRENT).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["etag"]), (200, &tag));

    app.reopen().await;
    app.save_from("welcome.message", "Hello again", &[], Some(1), 200).await;
    app.lock("1.0.1").await;
    app.publish("1.0.1", "prod").await;
    let answer = again("if-none-match", &tag).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["forge-serial"], "2");
}

async fn a_large_bundle_travels_compressed_to_who_takes_it(app: App) {
    let text = "All work and no play makes a long prompt. ".repeat(1000);
    for n in 0..3 {
        app.save(&format!("long-{n}"), &text, &[]).await;
    }
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    let plain = app.request(Role::Viewer, Method::GET, CURRENT).send().await.unwrap();
    assert!(plain.headers().get("content-encoding").is_none());
    let plain = plain.bytes().await.unwrap();
    let packed = app.request(Role::Viewer, Method::GET, CURRENT).header("accept-encoding", "gzip, zstd");
    let packed = packed.send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "zstd");
    let packed = packed.bytes().await.unwrap();
    assert!(packed.len() * 10 < plain.len());
    assert_eq!(zstd::stream::decode_all(&packed[..]).unwrap(), plain);
}

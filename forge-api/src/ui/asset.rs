//! The style sheets, scripts and icons, embedded in the binary.

use std::sync::LazyLock;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::address::Path;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $kind:literal),+ $(,)?) => {
        &[$(Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../../assets/", $name)) }),+]
    };
}

const ASSETS: &[Asset] = assets! {
    "app.css": "text/css; charset=utf-8",
    "codemirror.js": "text/javascript; charset=utf-8",
    "forge.css": "text/css; charset=utf-8",
    "forge.js": "text/javascript; charset=utf-8",
    "icons.svg": "image/svg+xml",
    "mark.svg": "image/svg+xml",
    "playground.js": "text/javascript; charset=utf-8",
    "waiting.js": "text/javascript; charset=utf-8",
};

/// One short name for this build's assets: an address with it never changes its content.
static STAMP: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update(asset.bytes);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize()).chars().take(12).collect()
});

/// Where a page finds an asset.
pub(super) fn address(name: &str) -> String {
    format!("/assets/{name}?v={}", *STAMP)
}

/// `GET /assets/{name}`.
pub(super) async fn get_asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|a| a.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", *STAMP);
    let cache = (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [cache, (header::ETAG, tag)]).into_response();
    }
    ([cache, (header::ETAG, tag), (header::CONTENT_TYPE, asset.kind.to_owned())], asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_asset_is_served_with_its_type_and_again_only_when_changed() {
        let answer = get_asset(Path("forge.css".into()), HeaderMap::new()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, answer.headers()[header::ETAG].clone());
        assert_eq!(get_asset(Path("forge.css".into()), known).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(
            get_asset(Path("../secret".into()), HeaderMap::new()).await.status(),
            StatusCode::NOT_FOUND
        );
    }

    #[test]
    fn every_icon_that_a_page_uses_is_in_the_sprite() {
        let sprite =
            ASSETS.iter().find(|a| a.name == "icons.svg").map(|a| String::from_utf8_lossy(a.bytes)).unwrap();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for name in text.split("<icon name=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(sprite.contains(&format!("id=\"{name}\"")), "no icon {name}");
            }
        }
    }
}

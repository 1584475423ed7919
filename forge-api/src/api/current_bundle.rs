//! The bundle that is live, over HTTP: the same bytes, attestation and key as in the stream.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use nats_config::header as wire;
use schemas::Micros;
use schemas::bundle::Encoding;

use super::project_at;
use crate::auth::Actor;
use crate::author::{self, SetAt};
use crate::clock;
use crate::database::publication::Publication;
use crate::database::version::Version;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::publish;
use crate::server::ApiQuery;
use crate::state::AppState;

/// Media type of a bundle.
pub const BUNDLE_TYPE: &str = "application/vnd.anvil.bundle+json";

#[derive(Debug, serde::Deserialize)]
pub(super) struct Which {
    environment: String,
    set: String,
}

/// What is served of a version.
pub(super) struct Served<'a> {
    pub(super) version: &'a Version,
    /// When it became what it is here.
    pub(super) at: Micros,
    pub(super) publication: Option<&'a Publication>,
}

pub(super) async fn get_current_bundle(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(which): ApiQuery<Which>,
    headers: HeaderMap,
) -> Result<Response> {
    let at = project_at(&state, &actor, &project).await?;
    let set = author::find_set(&state, &actor, &at, &which.set).await?;
    let environment = author::find_environment(&state, &actor, &at, &which.environment).await?;
    let full = publish::live(&state, &actor, &set, &environment).await?;
    let full = full.ok_or(ApiError::NotFound("publication"))?;
    let publication = &full.publication;
    let served =
        Served { version: &full.version, at: publication.created_at, publication: Some(publication) };
    served.answer(&state, &actor, &set, &headers).await
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(ApiError::internal)
}

impl Served<'_> {
    /// The version's bytes, or that they are unchanged to who has them: then they are not even read.
    pub(super) async fn answer(
        &self,
        state: &AppState,
        actor: &Actor,
        set: &SetAt,
        request: &HeaderMap,
    ) -> Result<Response> {
        let tag = format!("\"{}\"", self.version.digest);
        let mut headers = self.headers(&tag)?;
        if is_current(request, &tag, self.at) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        let body = lock::version_body(state, actor, set, self.version).await?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(BUNDLE_TYPE));
        let built = publisher::bundle::from_body(body)?;
        if built.encoding == Encoding::Zstd && takes_zstd(request) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
            return Ok((headers, built.wire).into_response());
        }
        Ok((headers, built.body).into_response())
    }

    fn headers(&self, tag: &str) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, value(tag)?);
        headers.insert(header::LAST_MODIFIED, value(&clock::http_date(self.at))?);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding, authorization, cookie"));
        let mut put = |name: &str, text: &str| -> Result<()> {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(ApiError::internal)?;
            headers.insert(name, value(text)?);
            Ok(())
        };
        put(wire::VERSION, &self.version.version)?;
        put(wire::DIGEST, &self.version.digest)?;
        if let Some(p) = self.publication {
            put(wire::SERIAL, &p.serial.to_string())?;
            put(wire::KEY, &p.certificate)?;
            put(wire::ATTESTATION, &p.attestation)?;
            if let Some(trust) = &p.trust {
                put(wire::TRUST, trust)?;
            }
        }
        Ok(headers)
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

fn is_current(request: &HeaderMap, tag: &str, at: Micros) -> bool {
    // A tag says more than a time, so with a tag the time is not looked at.
    if let Some(tags) = text(request, header::IF_NONE_MATCH) {
        return tags.split(',').map(|t| t.trim().trim_start_matches("W/")).any(|t| t == "*" || t == tag);
    }
    text(request, header::IF_MODIFIED_SINCE)
        .and_then(clock::from_http_date)
        .is_some_and(|since| at.div_euclid(1_000_000) <= since.div_euclid(1_000_000))
}

fn takes_zstd(request: &HeaderMap) -> bool {
    text(request, header::ACCEPT_ENCODING).is_some_and(|list| {
        list.split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let zstd = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("zstd"));
            zstd && !parts.any(|p| p.replace(' ', "").trim_end_matches(['0', '.']) == "q=")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, text: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn zstd_goes_only_to_who_takes_it() {
        for yes in ["zstd", "gzip, zstd", "zstd;q=0.5", "gzip;q=0, ZSTD"] {
            assert!(takes_zstd(&headers(header::ACCEPT_ENCODING, yes)), "{yes}");
        }
        for no in ["", "gzip", "identity", "zstd;q=0", "zstd; q=0.0", "xzstd"] {
            assert!(!takes_zstd(&headers(header::ACCEPT_ENCODING, no)), "{no}");
        }
        assert!(!takes_zstd(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_counts_more_than_a_time() {
        let (tag, at) = ("\"sha256:ab\"", 1_795_218_423_500_000);
        assert!(is_current(&headers(header::IF_NONE_MATCH, "\"x\", W/\"sha256:ab\""), tag, at));
        assert!(!is_current(&headers(header::IF_NONE_MATCH, "\"x\""), tag, at));
        assert!(is_current(&headers(header::IF_MODIFIED_SINCE, &clock::http_date(at)), tag, at));
        let before = clock::http_date(at - 1_000_000);
        assert!(!is_current(&headers(header::IF_MODIFIED_SINCE, &before), tag, at));
        let mut both = headers(header::IF_MODIFIED_SINCE, &clock::http_date(at));
        both.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\""));
        assert!(!is_current(&both, tag, at));
    }
}

//! The pages' templates, embedded, compiled once, escaped.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde::Serialize;
use tera::{Kwargs, State, Tera};

use super::asset;
use super::frame::Frame;
use super::help;

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../templates/", $name)))),+]
    };
}

const TEMPLATES: &[(&str, &str)] = templates![
    "account.html",
    "agents.html",
    "answer.html",
    "answers.html",
    "archived.html",
    "audit.html",
    "base.html",
    "clashes.html",
    "compare.html",
    "confirm.html",
    "credentials.html",
    "dashboard.html",
    "dependencies.html",
    "diff.html",
    "docs.html",
    "editor.html",
    "environments.html",
    "export.html",
    "fault.html",
    "first-steps.html",
    "fleet.html",
    "found-list.html",
    "found.html",
    "help-agents.html",
    "help-audit.html",
    "help-chat.html",
    "help-first-steps.html",
    "help-frozen.html",
    "help-import.html",
    "help-keys.html",
    "help-line.html",
    "help-people.html",
    "help-publishing.html",
    "help-templates.html",
    "help-trust.html",
    "help-trying.html",
    "help-versions.html",
    "help-webhooks.html",
    "help.html",
    "history.html",
    "import-plan.html",
    "import.html",
    "invitation.html",
    "lines.html",
    "live.html",
    "lock.html",
    "model-settings.html",
    "new.html",
    "notes.html",
    "order.html",
    "palette.html",
    "parameter.html",
    "parts.html",
    "people.html",
    "playground-text.html",
    "playground.html",
    "preview.html",
    "previewed.html",
    "problems.html",
    "project.html",
    "publication.html",
    "publications.html",
    "publish.html",
    "restore.html",
    "review-say.html",
    "review-talk.html",
    "review.html",
    "reviews.html",
    "search.html",
    "set-up.html",
    "settings.html",
    "sign-in-link.html",
    "sign-in.html",
    "start.html",
    "tabs.html",
    "timeline.html",
    "tree.html",
    "trust.html",
    "usage-rows.html",
    "usage.html",
    "version.html",
    "versions.html",
    "webhook-form.html",
    "webhook-secret.html",
    "webhook.html",
    "webhooks.html",
    "where.html",
];

static ENGINE: LazyLock<Result<Tera, tera::Error>> = LazyLock::new(|| {
    let mut tera = Tera::default();
    tera.register_function("asset", |args: Kwargs, _: &State<'_>| -> tera::TeraResult<String> {
        Ok(asset::address(args.must_get::<&str>("path")?))
    });
    tera.add_raw_templates(TEMPLATES.iter().copied())?;
    Ok(tera)
});

/// Why a page could not be made; our own mistake, never the reader's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("the templates do not compile: {0}")]
    Compile(&'static tera::Error),
    #[error("the template {name} does not render")]
    Render {
        name: &'static str,
        #[source]
        source: tera::Error,
    },
}

#[derive(Serialize)]
struct Context<'a, P: Serialize> {
    /// The guide about this page.
    guide: Option<help::Entry>,
    frame: &'a Frame,
    page: &'a P,
}

/// Renders one template with the frame and the page's own view.
pub(crate) fn render<P: Serialize>(
    name: &'static str,
    frame: &Frame,
    page: &P,
) -> Result<String, RenderError> {
    fragment(name, &Context { guide: help::about(name), frame, page })
}

#[cfg(test)]
pub(super) fn knows(name: &str) -> bool {
    TEMPLATES.iter().any(|(known, _)| *known == name)
}

/// Renders one template with the names that it asks for.
pub(crate) fn fragment<C: Serialize>(name: &'static str, context: &C) -> Result<String, RenderError> {
    let tera = ENGINE.as_ref().map_err(RenderError::Compile)?;
    tera::Context::from_serialize(context)
        .and_then(|context| tera.render(name, &context))
        .map_err(|source| RenderError::Render { name, source })
}

/// A whole page as an answer.
pub(crate) fn page<P: Serialize>(
    status: StatusCode,
    name: &'static str,
    frame: &Frame,
    view: &P,
) -> Response {
    answer(status, render(name, frame, view), frame.nonce.as_deref())
}

/// HTML as an answer; a page that cannot be made is a plain 500.
pub(crate) fn answer(status: StatusCode, html: Result<String, RenderError>, nonce: Option<&str>) -> Response {
    let html = match html {
        Ok(html) => html,
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(error = %error, error.source = %source, "page not rendered");
            return (StatusCode::INTERNAL_SERVER_ERROR, "FORGE could not make this page. The log says why.")
                .into_response();
        }
    };
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy(nonce)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// What a page may load and do. Only the editor's style sheet is let in by a nonce.
fn policy(nonce: Option<&str>) -> String {
    let style = nonce.map(|n| format!(" 'nonce-{n}'")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'{style}; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_compiles_and_every_file_is_listed() {
        assert!(ENGINE.is_ok(), "{:?}", ENGINE.as_ref().err());
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn no_template_carries_inline_style_or_script() {
        for (name, text) in TEMPLATES {
            for forbidden in [" style=", "<style", " onclick=", " onsubmit=", "javascript:", "| safe"] {
                assert!(!text.contains(forbidden), "{name} holds {forbidden}");
            }
            for script in text.split("<script").skip(1) {
                assert!(script.starts_with(" src="), "{name} has an inline script");
            }
        }
    }

    #[test]
    fn values_are_escaped() {
        let frame = Frame::for_test();
        let page = serde_json::json!({
            "icon": "alert", "title": "<script>alert(1)</script>", "text": "a & b", "href": "/\"x", "action": "Go",
            "request": null,
        });
        let html = render("fault.html", &frame, &page).unwrap();
        assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(html.contains("/&quot;x"), "{html}");
    }
}

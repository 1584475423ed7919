//! The pages: server-rendered HTML over the same domain functions as the API.
//!
//! Every page works without script; `assets/forge.js` only adds to it. No page asks the database:
//! what the domain does not give, a page does not show.
//!
//! | module | what it holds |
//! |---|---|
//! | [`engine`] | the templates and how an answer is made of them |
//! | [`asset`] | style sheets, scripts and icons |
//! | [`frame`], [`visitor`] | what stands around every page, and who looks at it |
//! | [`address`], [`form`] | what stands in an address, and what a form posted |
//! | [`fault`] | what a page says when it cannot do it |
//! | [`view`], [`changes`] | what several pages show |
//! | [`set_up`], [`sign_in`], [`account`], [`help`] | coming in, going out, one's own taste, guides |
//! | [`invitation`], [`people`], [`organisation`], [`leave`] | who comes in, what they are here, and going |
//! | [`dashboard`], [`start`], [`project`], [`new`], [`palette`], [`search`] | finding one's way, making things |
//! | [`editor`], [`dependencies`] | prompts: text, parameters, preview |
//! | [`playground`] | one prompt in several versions on the same values, and run |
//! | [`items`], [`settings`] | renaming, copying, archiving; what can be changed of projects and sets |
//! | [`lock`], [`publish`], [`publication`] | the line: a version, where it goes, what the agents say |
//! | [`review`], [`reviews`], [`environments`] | having it approved: one review, all that wait, the rules |
//! | [`versions`], [`history`], [`compare`], [`publications`] | what was before |
//! | [`restore`] | the draft as a version was |
//! | [`import`], [`export`] | prompts in and out |
//! | [`usage`] | who was built for a set, and its use |
//! | [`fleet`], [`credentials`], [`audit`] | who serves what, who may, who did |
//! | [`webhooks`], [`docs`] | other systems that are told, and the API to read |
//! | [`live`] | the events that keep a page true |

mod account;
mod address;
mod asset;
mod audit;
mod compare;
mod credentials;
mod dashboard;
mod dependencies;
mod docs;
mod editor;
mod engine;
mod environments;
mod export;
mod fault;
mod fleet;
mod form;
mod frame;
mod help;
mod history;
mod import;
mod invitation;
mod items;
mod leave;
mod live;
mod lock;
mod new;
mod organisation;
mod palette;
mod people;
mod playground;
mod project;
mod publication;
mod publications;
mod publish;
mod restore;
mod review;
mod reviews;
mod search;
mod set_up;
mod settings;
mod sign_in;
mod start;
mod trust;
mod usage;
mod versions;
mod view;
mod visitor;
mod webhooks;

use axum::Router;
use axum::routing::{get, post};

pub(crate) use audit::exported;
pub(crate) use fault::{error_page, wants_page};
pub(crate) use view::encoded;

use crate::compare::{changes, diff};
use crate::session;
use crate::state::AppState;

/// The routes of every page and asset.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(dashboard::get_root))
        .route("/assets/{name}", get(asset::get_asset))
        .route("/api/docs", get(docs::get_docs))
        .route("/-/sign-in", get(sign_in::get_sign_in).post(sign_in::post_sign_in))
        .route("/-/sign-in/{token}", get(sign_in::get_link).post(sign_in::post_link))
        .route("/-/oidc", get(sign_in::get_oidc))
        .route(session::oidc::CALLBACK, get(sign_in::get_oidc_callback))
        .route("/-/sign-in-link", get(sign_in::get_ask_link).post(sign_in::post_ask_link))
        .route("/-/invitations/{token}", get(invitation::get_invitation).post(invitation::post_invitation))
        .route("/-/new", get(organisation::get_new_organisation).post(organisation::post_new_organisation))
        .route("/-/set-up/{token}", get(set_up::get_set_up).post(set_up::post_set_up))
        .route("/-/sign-out", post(sign_in::post_sign_out))
        .route("/-/account", get(account::get_account))
        .route("/-/account/name", post(account::post_name))
        .route("/-/account/look", post(account::post_look))
        .route("/-/account/password", post(account::post_password))
        .route("/-/account/sessions/end", post(account::post_end_sessions))
        .route("/-/account/sessions/{session}/end", post(account::post_end_session))
        .route("/-/account/keys", post(account::post_key))
        .route("/-/account/keys/{key}/revoke", post(account::post_revoke_key))
        .route("/-/help", get(help::get_help))
        .route("/-/help/{guide}", get(help::get_guide))
        .route("/-/palette", get(palette::get_palette))
        .route("/-/favourites", post(search::post_favourites))
        .route("/-/events", get(live::get_events))
        .route("/{organisation}", get(dashboard::get_dashboard))
        .route("/{organisation}/-/search", get(search::get_search))
        .route("/{organisation}/-/new", get(new::get_new_project).post(new::post_new_project))
        .route("/{organisation}/-/start", get(start::get_start).post(start::post_start))
        .route("/{organisation}/-/start/agent", get(start::get_start).post(start::post_agent))
        .route("/{organisation}/-/start/dismiss", post(start::post_dismiss))
        .route("/{organisation}/-/archived", get(settings::get_archived_projects))
        .route(
            "/{organisation}/-/organisation",
            get(settings::get_organisation).post(settings::post_organisation),
        )
        .route("/{organisation}/-/settings", get(people::get_people))
        .route("/{organisation}/-/settings/members", post(people::post_member))
        .route(
            "/{organisation}/-/settings/members/{user}/remove",
            get(people::get_remove).post(people::post_remove),
        )
        .route("/{organisation}/-/settings/invitations", post(people::post_invitation))
        .route("/{organisation}/-/settings/invitations/{invitation}/withdraw", post(people::post_withdraw))
        .route("/{organisation}/-/settings/grants", post(people::post_grant))
        .route("/{organisation}/-/settings/links", post(people::post_link))
        .route("/{organisation}/-/leave", get(leave::get_leave).post(leave::post_leave))
        .route("/{organisation}/-/reviews", get(reviews::get_reviews))
        .route("/{organisation}/-/audit", get(audit::get_audit))
        .route("/{organisation}/-/audit/export", get(audit::get_export))
        .route("/{organisation}/{project}", get(project::get_project))
        .route("/{organisation}/{project}/-/new", get(new::get_new_set).post(new::post_new_set))
        .route("/{organisation}/{project}/-/archived", get(settings::get_archived_sets))
        .route(
            "/{organisation}/{project}/-/import",
            get(import::get_project_import).post(import::post_project_import),
        )
        .route(
            "/{organisation}/{project}/-/import/{import}",
            get(import::get_project_plan).post(import::post_project_plan),
        )
        .route("/{organisation}/{project}/-/export/file", get(export::get_project_file))
        .route(
            "/{organisation}/{project}/-/settings",
            get(settings::get_project_settings).post(settings::post_project_settings),
        )
        .route(
            "/{organisation}/{project}/-/environments",
            get(environments::get_environments).post(environments::post_environments),
        )
        .route("/{organisation}/{project}/-/publications", get(publications::get_publications))
        .route("/{organisation}/{project}/-/publications/{number}", get(publication::get_publication))
        .route(
            "/{organisation}/{project}/-/publications/{number}/retry",
            get(publication::get_retry).post(publication::post_retry),
        )
        .route("/{organisation}/{project}/-/agents", get(fleet::get_agents))
        .route("/{organisation}/{project}/-/agents/order", get(fleet::get_order).post(fleet::post_order))
        .route(
            "/{organisation}/{project}/-/agents/orders/{number}/withdraw",
            get(fleet::get_withdraw).post(fleet::post_withdraw),
        )
        .route(
            "/{organisation}/{project}/-/credentials",
            get(credentials::get_credentials).post(credentials::post_credentials),
        )
        .route(
            "/{organisation}/{project}/-/credentials/{id}/revoke",
            get(credentials::get_revoke).post(credentials::post_revoke),
        )
        .route(
            "/{organisation}/{project}/-/webhooks",
            get(webhooks::get_webhooks).post(webhooks::post_webhooks),
        )
        .route(
            "/{organisation}/{project}/-/webhooks/{webhook}",
            get(webhooks::get_webhook).post(webhooks::post_webhook),
        )
        .route(
            "/{organisation}/{project}/-/webhooks/{webhook}/remove",
            get(webhooks::get_remove).post(webhooks::post_remove),
        )
        .route(
            "/{organisation}/{project}/-/webhooks/{webhook}/deliveries/{delivery}",
            post(webhooks::post_delivery),
        )
        .route("/{organisation}/{project}/-/trust", get(trust::get_trust).post(trust::post_trust))
        .route("/{organisation}/{project}/{set}", get(editor::get_set))
        .route("/{organisation}/{project}/{set}/-/new", get(new::get_new_prompt).post(new::post_new_prompt))
        .route("/{organisation}/{project}/{set}/-/rename", get(items::get_rename).post(items::post_rename))
        .route(
            "/{organisation}/{project}/{set}/-/duplicate",
            get(items::get_duplicate).post(items::post_duplicate),
        )
        .route("/{organisation}/{project}/{set}/-/archive", get(items::get_archive).post(items::post_archive))
        .route(
            "/{organisation}/{project}/{set}/-/archived",
            get(items::get_archived).post(items::post_restore),
        )
        .route(
            "/{organisation}/{project}/{set}/-/restore",
            get(restore::get_restore).post(restore::post_restore),
        )
        .route(
            "/{organisation}/{project}/{set}/-/settings",
            get(settings::get_set_settings).post(settings::post_set_settings),
        )
        .route("/{organisation}/{project}/{set}/-/copy", get(settings::get_copy).post(settings::post_copy))
        .route("/{organisation}/{project}/{set}/-/notes/{*prompt}", post(editor::post_notes))
        .route("/{organisation}/{project}/{set}/-/import", get(import::get_import).post(import::post_import))
        .route(
            "/{organisation}/{project}/{set}/-/import/{import}",
            get(import::get_plan).post(import::post_plan),
        )
        .route("/{organisation}/{project}/{set}/-/export", get(export::get_export))
        .route("/{organisation}/{project}/{set}/-/export/file", get(export::get_file))
        .route("/{organisation}/{project}/{set}/-/preview", post(editor::post_preview))
        .route(
            "/{organisation}/{project}/{set}/-/playground",
            get(playground::get_playground).post(playground::post_playground),
        )
        .route("/{organisation}/{project}/{set}/-/lock", get(lock::get_lock).post(lock::post_lock))
        .route("/{organisation}/{project}/{set}/-/reopen", post(lock::post_reopen))
        .route("/{organisation}/{project}/{set}/-/review", post(lock::post_review))
        .route("/{organisation}/{project}/{set}/-/verdict", post(lock::post_verdict))
        .route(
            "/{organisation}/{project}/{set}/-/publish",
            get(publish::get_publish).post(publish::post_publish),
        )
        .route(
            "/{organisation}/{project}/{set}/-/history/{*prompt}",
            get(history::get_history).post(history::post_history),
        )
        .route(
            "/{organisation}/{project}/{set}/-/partial-history/{*partial}",
            get(history::get_partial_history).post(history::post_partial_history),
        )
        .route(
            "/{organisation}/{project}/{set}/-/dependencies",
            get(dependencies::get_dependencies).post(dependencies::post_dependencies),
        )
        .route(
            "/{organisation}/{project}/{set}/-/reviews/{number}",
            get(review::get_review).post(review::post_review),
        )
        .route(
            "/{organisation}/{project}/{set}/-/versions",
            get(versions::get_versions).post(versions::post_versions),
        )
        .route("/{organisation}/{project}/{set}/-/versions/{version}", get(versions::get_version))
        .route("/{organisation}/{project}/{set}/-/usage", get(usage::get_usage))
        .route("/{organisation}/{project}/{set}/-/compare", get(compare::get_compare))
        .route("/{organisation}/{project}/{set}/-/compare/{pair}", get(compare::get_compare_address))
        .route(
            "/{organisation}/{project}/{set}/-/partials/{*partial}",
            get(editor::get_partial).post(editor::post_partial),
        )
        .route("/{organisation}/{project}/{set}/{*prompt}", get(editor::get_prompt).post(editor::post_prompt))
}

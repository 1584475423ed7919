//! The table of routes: every address of FORGE and who may use it.

use super::Action;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Who is signed in; what is shown is only one's own.
    SignedIn,
    /// Who is a member of the organisation that is touched, or a guest of one of its projects; what is shown is only
    /// what they may see.
    Visit,
    /// Whose role in the organisation that is touched allows this.
    May(Action),
    /// The same, and only the person: no API token, whatever it may.
    InPerson(Action),
}

impl Access {
    /// What the role has to allow.
    #[must_use]
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Public | Self::SignedIn => None,
            Self::Visit => Some(View),
            Self::May(action) | Self::InPerson(action) => Some(action),
        }
    }

    /// Whether every token is refused.
    #[must_use]
    pub fn refuses_tokens(self) -> bool {
        matches!(self, Self::InPerson(_))
    }
}

/// One address.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    pub access: Access,
    pub summary: &'static str,
}

const fn route(method: &'static str, path: &'static str, access: Access, summary: &'static str) -> Route {
    Route { method, path, access, summary }
}

use Access::{InPerson, May, Public, SignedIn, Visit};
use Action::{
    Edit, Lock, ManageCredentials, ManageMembers, ManageProjects, Order, Publish, ReadAudit, Return, Review,
    View,
};

const GET: &str = "GET";
const POST: &str = "POST";
const PUT: &str = "PUT";
const DELETE: &str = "DELETE";
const PATCH: &str = "PATCH";

/// The routes of the API and of operation.
pub const API: &[Route] = &[
    route(GET, "/health/live", Public, "the process runs"),
    route(GET, "/health/ready", Public, "the database answers; says whether the broker does"),
    route(GET, "/metrics", Public, "counts for a monitor, in the Prometheus text form"),
    route(GET, "/api/v1/openapi.json", Public, "this description"),
    route(POST, "/api/v1/sessions", Public, "sign in by password or one-time link"),
    route(GET, "/api/v1/sessions", SignedIn, "one's sessions, the last used first"),
    route(DELETE, "/api/v1/sessions", SignedIn, "end all of one's sessions, and revoke one's tokens"),
    route(DELETE, "/api/v1/sessions/current", SignedIn, "sign out"),
    route(DELETE, "/api/v1/sessions/{session}", SignedIn, "end one of one's sessions"),
    route(GET, "/api/v1/me", SignedIn, "who one is, and where"),
    route(GET, "/api/v1/models", SignedIn, "the models that prompts can be run with"),
    route(PUT, "/api/v1/me", SignedIn, "change one's name; not by a token"),
    route(
        POST,
        "/api/v1/sign-in-links",
        Public,
        "ask for a sign-in link by mail; the answer is the same whoever asks",
    ),
    route(
        POST,
        "/api/v1/invitations/accept",
        Public,
        "come in by an invitation: as somebody new, or as who is signed in",
    ),
    route(GET, "/api/v1/search", SignedIn, "find projects, sets, prompts and partials that one may see"),
    route(GET, "/api/v1/recent", SignedIn, "what one opened last in an organisation"),
    route(GET, "/api/v1/favourites", SignedIn, "what one starred"),
    route(PUT, "/api/v1/favourites", SignedIn, "star something"),
    route(DELETE, "/api/v1/favourites", SignedIn, "take a star away"),
    route(GET, "/api/v1/tokens", SignedIn, "one's API tokens"),
    route(POST, "/api/v1/tokens", SignedIn, "make an API token; it is shown once"),
    route(DELETE, "/api/v1/tokens/{token}", SignedIn, "revoke an API token"),
    route(GET, "/api/v1/organisations", SignedIn, "one's organisations"),
    route(POST, "/api/v1/organisations", SignedIn, "create an organisation"),
    route(
        PATCH,
        "/api/v1/organisations/{organisation}",
        May(ManageProjects),
        "change an organisation's name for people; If-Match names its settings_tag",
    ),
    route(GET, "/api/v1/organisations/{organisation}/members", May(View), "members and roles"),
    route(
        PUT,
        "/api/v1/organisations/{organisation}/members",
        InPerson(ManageMembers),
        "give a user a role; not by a token",
    ),
    route(
        DELETE,
        "/api/v1/organisations/{organisation}/members/{user}",
        InPerson(ManageMembers),
        "take a member out, by id or e-mail address; everybody may leave; not by a token",
    ),
    route(
        GET,
        "/api/v1/organisations/{organisation}/invitations",
        InPerson(ManageMembers),
        "invitations that wait, newest first",
    ),
    route(
        POST,
        "/api/v1/organisations/{organisation}/invitations",
        InPerson(ManageMembers),
        "invite somebody by e-mail address; not by a token",
    ),
    route(
        DELETE,
        "/api/v1/organisations/{organisation}/invitations/{invitation}",
        InPerson(ManageMembers),
        "withdraw an invitation",
    ),
    route(
        GET,
        "/api/v1/organisations/{organisation}/sign-in-links",
        InPerson(ManageMembers),
        "members who asked for a sign-in link that nobody could mail",
    ),
    route(
        POST,
        "/api/v1/organisations/{organisation}/sign-in-links",
        InPerson(ManageMembers),
        "make a sign-in link for a member who asked; it is shown once",
    ),
    route(GET, "/api/v1/organisations/{organisation}/audit", May(ReadAudit), "the audit log, newest first"),
    route(
        GET,
        "/api/v1/organisations/{organisation}/audit/verify",
        May(ReadAudit),
        "check the audit log's chain",
    ),
    route(
        GET,
        "/api/v1/organisations/{organisation}/audit/export",
        May(ReadAudit),
        "the whole audit log with its hashes, oldest first, as JSON Lines",
    ),
    route(GET, "/api/v1/organisations/{organisation}/projects", Visit, "the projects that one may see"),
    route(
        GET,
        "/api/v1/organisations/{organisation}/reviews",
        May(View),
        "reviews that can still be answered, the longest waiting first",
    ),
    route(
        GET,
        "/api/v1/resolve",
        SignedIn,
        "what @organisation/set@version/prompt leads to; the version may be a range or an alias",
    ),
    route(POST, "/api/v1/organisations/{organisation}/projects", May(ManageProjects), "create a project"),
    route(
        GET,
        "/api/v1/organisations/{organisation}/overview",
        Visit,
        "what waits for whoever asks, and what needs somebody",
    ),
    route(
        GET,
        "/api/v1/projects/{project}",
        May(View),
        "a project at a glance; {project} is its id or organisation:project",
    ),
    route(
        PATCH,
        "/api/v1/projects/{project}",
        May(ManageProjects),
        "change a project's name and description, archive or restore it; If-Match names its settings_tag",
    ),
    route(GET, "/api/v1/projects/{project}/environments", May(View), "environments"),
    route(POST, "/api/v1/projects/{project}/environments", May(ManageProjects), "create an environment"),
    route(
        GET,
        "/api/v1/projects/{project}/environments/{environment}/breaks",
        May(View),
        "whom a version would break: services whose agents were built for something else",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/environments/{environment}/approvals",
        May(View),
        "how far a version is with the approvals that an environment asks for",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/environments/{environment}/rule",
        May(View),
        "who may publish to an environment, and after how many approvals",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/environments/{environment}/rule",
        May(ManageProjects),
        "set who may publish to an environment, and after how many approvals",
    ),
    route(GET, "/api/v1/projects/{project}/sets", May(View), "prompt sets"),
    route(POST, "/api/v1/projects/{project}/sets", May(Edit), "create a prompt set"),
    route(GET, "/api/v1/projects/{project}/sets/{set}", May(View), "a prompt set with its draft"),
    route(
        PATCH,
        "/api/v1/projects/{project}/sets/{set}",
        May(Edit),
        "change a set's name, description and tags, archive or restore it; If-Match names its settings_tag",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/duplicate",
        May(Edit),
        "copy a set's draft into a new set of its project",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/archived",
        May(View),
        "prompts and partials that were archived, the last first",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/actions/rename",
        May(Edit),
        "give a prompt or a partial another name; the old one leads to it",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/actions/duplicate",
        May(Edit),
        "copy a prompt or a partial, within its set or into another of the project",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/actions/archive",
        May(Edit),
        "take a prompt or a partial out of the draft, into the archive",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/actions/restore",
        May(Edit),
        "bring a prompt or a partial back out of the archive",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/notes/{*prompt}",
        May(View),
        "what people noted on a prompt",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/sets/{set}/notes/{*prompt}",
        May(Edit),
        "write the notes on a prompt; If-Match names the revision one started from",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/prompts/{*prompt}",
        May(View),
        "a prompt of the draft; the name that it had before leads to it",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/sets/{set}/prompts/{*prompt}",
        May(Edit),
        "save a prompt; If-Match names the revision one started from",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/sets/{set}/prompts/{*prompt}",
        May(Edit),
        "archive a prompt; If-Match names its revision",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/partials/{*partial}",
        May(View),
        "a partial of the draft",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/sets/{set}/partials/{*partial}",
        May(Edit),
        "save a partial; If-Match names the revision one started from",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/sets/{set}/partials/{*partial}",
        May(Edit),
        "archive a partial; If-Match names its revision",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/history/{*prompt}",
        May(View),
        "what a prompt was after each save, newest first",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/revisions/{revision}/{*prompt}",
        May(View),
        "one revision of a prompt, by its number or its id",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/revisions/{revision}/{*prompt}",
        May(Edit),
        "make a prompt again what it was: a new revision; If-Match names the one that stands",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/partial-history/{*partial}",
        May(View),
        "what a partial was after each save, newest first",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/partial-revisions/{revision}/{*partial}",
        May(View),
        "one revision of a partial, by its number or its id",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/partial-revisions/{revision}/{*partial}",
        May(Edit),
        "make a partial again what it was: a new revision; If-Match names the one that stands",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/compare",
        May(View),
        "what differs between two states: draft, a version, an alias, or a time of the past",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/next-version",
        May(View),
        "the version that the draft asks for, and why",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/aliases",
        May(View),
        "names of versions: latest, then the others",
    ),
    route(GET, "/api/v1/projects/{project}/sets/{set}/aliases/{alias}", May(View), "an alias"),
    route(
        PUT,
        "/api/v1/projects/{project}/sets/{set}/aliases/{alias}",
        May(Lock),
        "give a version a name, or move it; a protected one is moved by who manages projects",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/sets/{set}/aliases/{alias}",
        May(Lock),
        "take a name away; a protected one as it is moved",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/dependencies",
        May(View),
        "sets that the draft takes partials from, and what that comes to now",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/sets/{set}/dependencies/{dependency}",
        May(Edit),
        "take partials of a set into the draft, by a range of its versions",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/sets/{set}/dependencies/{dependency}",
        May(Edit),
        "take nothing from a set any more",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/check",
        May(View),
        "errors and variables of a prompt that is being written",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/preview",
        May(View),
        "render a prompt that is being written",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/render",
        May(View),
        "render a stored prompt: of the draft, of a version, or as an environment has it now",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/runs",
        May(Edit),
        "run a prompt with a model; the answer is a stream of events: begun, text, then done or failed",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/variable-sets",
        May(View),
        "values to try a prompt with, saved by name",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/variable-sets/{variable_set}",
        May(View),
        "a variable set of a prompt",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/sets/{set}/variable-sets/{variable_set}",
        May(Edit),
        "save a variable set, or rename it; If-Match names the revision one started from",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/sets/{set}/variable-sets/{variable_set}",
        May(Edit),
        "delete a variable set; If-Match names its revision",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/import",
        May(Edit),
        "write many prompts into the draft at once",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/imports",
        May(Edit),
        "read a file, the body as it is, and answer what importing it would do; nothing is written",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/imports/{import}",
        May(Edit),
        "what importing a file that was read would do now",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/imports/{import}/apply",
        May(Edit),
        "import it: all of it, or nothing",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/export",
        May(View),
        "a set as a file: the archive, or a format of another tool",
    ),
    route(GET, "/api/v1/projects/{project}/export", May(View), "all sets of a project as one archive"),
    route(POST, "/api/v1/projects/{project}/sets/{set}/lock", May(Lock), "lock the draft as a version"),
    route(POST, "/api/v1/projects/{project}/sets/{set}/reopen", May(Edit), "open a locked set again"),
    route(GET, "/api/v1/projects/{project}/sets/{set}/reviews", May(View), "reviews"),
    route(POST, "/api/v1/projects/{project}/sets/{set}/reviews", May(Edit), "put the draft up for review"),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/reviews/current/approve",
        May(Review),
        "approve the draft with this digest",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/reviews/current/return",
        May(Return),
        "return the draft to editing",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/reviews/{number}",
        May(View),
        "a review with everything said in it",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/reviews/{number}/verdicts",
        May(Return),
        "approve exactly what was read (who may review), or ask for changes",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/sets/{set}/reviews/{number}/comments",
        May(Return),
        "comment on a review, or on a line of a prompt",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/contracts",
        May(View),
        "which services were built for which version",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/usage",
        May(View),
        "the use of a set, summed by version, prompt or hour",
    ),
    route(GET, "/api/v1/projects/{project}/sets/{set}/versions", May(View), "versions, newest first"),
    route(GET, "/api/v1/projects/{project}/sets/{set}/versions/{version}", May(View), "a version"),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/versions/{version}/bundle",
        May(View),
        "the bytes of a version",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/sets/{set}/versions/{version}/dependencies",
        May(View),
        "the lock file of a version: what it was resolved to",
    ),
    route(GET, "/api/v1/projects/{project}/publications", May(View), "publications, newest first"),
    route(
        POST,
        "/api/v1/projects/{project}/publications",
        May(Publish),
        "publish a version, or an older one again",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/publications/{number}",
        May(View),
        "a publication with every agent's answer",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/publications/{number}/retry",
        May(Publish),
        "publish the same version once more, for agents that refused it or did not answer",
    ),
    route(GET, "/api/v1/projects/{project}/agents", May(View), "agents"),
    route(
        GET,
        "/api/v1/projects/{project}/mode-orders",
        May(View),
        "the orders that stand in every environment, with what agents said to each",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/environments/{environment}/mode-orders/{number}",
        May(Order),
        "withdraw an order, by its number: nobody is told it any more, and no agent's mode changes",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/mode-orders",
        May(Order),
        "freeze the whole fleet, or let it accept: one order to every environment, all or none",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/environments/{environment}/mode-orders",
        May(View),
        "the orders that stand in an environment, with what agents said to each",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/environments/{environment}/mode-orders",
        May(Order),
        "freeze an agent, a service or the environment, or let it accept",
    ),
    route(GET, "/api/v1/projects/{project}/credentials", May(ManageCredentials), "credentials"),
    route(
        POST,
        "/api/v1/projects/{project}/credentials",
        May(ManageCredentials),
        "create a credential; it is shown once",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/credentials/{credential}",
        May(ManageCredentials),
        "revoke a credential",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/current_bundle",
        May(View),
        "the bundle that is live, byte for byte as agents get it",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/max-age",
        May(ManageProjects),
        "set what agents do with content that was not confirmed for long",
    ),
    route(DELETE, "/api/v1/projects/{project}/max-age", May(ManageProjects), "end that rule"),
    route(
        GET,
        "/api/v1/projects/{project}/signing-keys",
        May(ManageProjects),
        "the keys that sign for the project, past ones too",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/grants",
        InPerson(ManageMembers),
        "who has a role in this project alone",
    ),
    route(
        PUT,
        "/api/v1/projects/{project}/grants",
        InPerson(ManageMembers),
        "give a user a role in this project; not by a token",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/grants/{person}",
        InPerson(ManageMembers),
        "take a user's role in this project, by id or e-mail address; everybody may give their own back",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/webhooks",
        May(ManageProjects),
        "webhooks that are told what happens in the project",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/webhooks",
        May(ManageProjects),
        "create a webhook; its secret is shown once",
    ),
    route(GET, "/api/v1/projects/{project}/webhooks/{webhook}", May(ManageProjects), "a webhook"),
    route(
        PUT,
        "/api/v1/projects/{project}/webhooks/{webhook}",
        May(ManageProjects),
        "change a webhook; its secret stays",
    ),
    route(
        DELETE,
        "/api/v1/projects/{project}/webhooks/{webhook}",
        May(ManageProjects),
        "remove a webhook with its log",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/webhooks/{webhook}/secret",
        May(ManageProjects),
        "give a webhook another secret; it is shown once",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/webhooks/{webhook}/test",
        May(ManageProjects),
        "send a webhook something, to see whether it gets there",
    ),
    route(
        GET,
        "/api/v1/projects/{project}/webhooks/{webhook}/deliveries",
        May(ManageProjects),
        "what was sent to a webhook, newest first",
    ),
    route(
        POST,
        "/api/v1/projects/{project}/webhooks/{webhook}/deliveries/{delivery}/redeliver",
        May(ManageProjects),
        "send something to a webhook once more",
    ),
];

/// The routes of the pages.
pub const PAGES: &[Route] = &[
    route(GET, "/", SignedIn, "the first organisation"),
    route(GET, "/api/docs", Public, "the API's description, to read"),
    route(GET, "/assets/{name}", Public, "style sheets, scripts and icons"),
    route(GET, "/-/sign-in", Public, "sign in by password"),
    route(POST, "/-/sign-in", Public, "sign in by password"),
    route(GET, "/-/sign-in/{token}", Public, "sign in by a one-time link: asks for one press"),
    route(POST, "/-/sign-in/{token}", Public, "sign in by a one-time link"),
    route(GET, "/-/set-up/{token}", Public, "make the first user, by the link that forge printed"),
    route(POST, "/-/set-up/{token}", Public, "make the first user, by the link that forge printed"),
    route(GET, "/-/oidc", Public, "sign in with the provider: goes there"),
    route(GET, "/-/oidc/callback", Public, "comes back from the provider"),
    route(GET, "/-/sign-in-link", Public, "ask for a sign-in link"),
    route(POST, "/-/sign-in-link", Public, "ask for a sign-in link"),
    route(GET, "/-/invitations/{token}", Public, "an invitation: what it brings"),
    route(POST, "/-/invitations/{token}", Public, "come in by an invitation"),
    route(POST, "/-/sign-out", SignedIn, "sign out"),
    route(GET, "/-/new", SignedIn, "new organisation"),
    route(POST, "/-/new", SignedIn, "create an organisation"),
    route(GET, "/-/account", SignedIn, "one's account"),
    route(POST, "/-/account/name", SignedIn, "change one's name"),
    route(POST, "/-/account/look", SignedIn, "theme and keys"),
    route(POST, "/-/account/password", SignedIn, "change one's password"),
    route(POST, "/-/account/sessions/end", SignedIn, "sign out everywhere"),
    route(POST, "/-/account/sessions/{session}/end", SignedIn, "end one of one's sessions"),
    route(POST, "/-/account/keys", SignedIn, "make an API key; it is shown once"),
    route(POST, "/-/account/keys/{key}/revoke", SignedIn, "revoke an API key"),
    route(GET, "/-/help", SignedIn, "help and keys"),
    route(GET, "/-/help/{guide}", SignedIn, "a guide"),
    route(GET, "/-/palette", SignedIn, "find a project, a set, a prompt or an action"),
    route(POST, "/-/favourites", SignedIn, "star something, or take the star away"),
    route(GET, "/-/events", SignedIn, "server-sent events of one page"),
    route(GET, "/{organisation}", Visit, "dashboard"),
    route(GET, "/{organisation}/-/search", Visit, "search"),
    route(GET, "/{organisation}/-/new", May(ManageProjects), "new project"),
    route(POST, "/{organisation}/-/new", May(ManageProjects), "create a project"),
    route(GET, "/{organisation}/-/start", May(ManageProjects), "the first steps"),
    route(POST, "/{organisation}/-/start", May(ManageProjects), "create a project from an example"),
    route(GET, "/{organisation}/-/start/agent", May(ManageProjects), "the first steps"),
    route(
        POST,
        "/{organisation}/-/start/agent",
        May(ManageCredentials),
        "create a credential for the first agent; it is shown once",
    ),
    route(
        POST,
        "/{organisation}/-/start/dismiss",
        May(ManageProjects),
        "hide the first steps from the dashboard",
    ),
    route(GET, "/{organisation}/-/archived", Visit, "archived projects"),
    route(GET, "/{organisation}/-/organisation", May(ManageProjects), "the organisation's name"),
    route(POST, "/{organisation}/-/organisation", May(ManageProjects), "change the organisation's name"),
    route(GET, "/{organisation}/-/settings", May(View), "people: members, guests, invitations"),
    route(POST, "/{organisation}/-/settings/members", InPerson(ManageMembers), "change a member's role"),
    route(
        GET,
        "/{organisation}/-/settings/members/{user}/remove",
        InPerson(ManageMembers),
        "asks before it takes a member out",
    ),
    route(
        POST,
        "/{organisation}/-/settings/members/{user}/remove",
        InPerson(ManageMembers),
        "take a member out",
    ),
    route(POST, "/{organisation}/-/settings/invitations", InPerson(ManageMembers), "invite somebody"),
    route(
        POST,
        "/{organisation}/-/settings/invitations/{invitation}/withdraw",
        InPerson(ManageMembers),
        "withdraw an invitation",
    ),
    route(
        POST,
        "/{organisation}/-/settings/grants",
        InPerson(ManageMembers),
        "give somebody a role in one project, or take it",
    ),
    route(
        POST,
        "/{organisation}/-/settings/links",
        InPerson(ManageMembers),
        "make a sign-in link for a member who asked",
    ),
    route(GET, "/{organisation}/-/reviews", Visit, "reviews that wait"),
    route(GET, "/{organisation}/-/audit", May(ReadAudit), "audit log"),
    route(GET, "/{organisation}/-/audit/export", May(ReadAudit), "the whole audit log, as a file"),
    route(GET, "/{organisation}/{project}", May(View), "project"),
    route(GET, "/{organisation}/{project}/-/new", May(Edit), "new prompt set"),
    route(POST, "/{organisation}/{project}/-/new", May(Edit), "create a prompt set"),
    route(GET, "/{organisation}/{project}/-/archived", May(View), "archived prompt sets"),
    route(GET, "/{organisation}/{project}/-/settings", May(ManageProjects), "settings of a project"),
    route(
        POST,
        "/{organisation}/{project}/-/settings",
        May(ManageProjects),
        "change a project, archive or restore it",
    ),
    route(GET, "/{organisation}/{project}/-/environments", May(View), "environments and their rules"),
    route(
        POST,
        "/{organisation}/{project}/-/environments",
        May(ManageProjects),
        "set a rule, or create an environment",
    ),
    route(GET, "/{organisation}/{project}/-/publications", May(View), "publications"),
    route(
        GET,
        "/{organisation}/{project}/-/publications/{number}",
        May(View),
        "a publication with every agent's answer",
    ),
    route(
        GET,
        "/{organisation}/{project}/-/publications/{number}/retry",
        May(Publish),
        "asks before it publishes the same version once more",
    ),
    route(
        POST,
        "/{organisation}/{project}/-/publications/{number}/retry",
        May(Publish),
        "publish the same version once more",
    ),
    route(GET, "/{organisation}/{project}/-/agents", May(View), "agents"),
    route(
        GET,
        "/{organisation}/{project}/-/agents/order",
        May(Order),
        "asks before it freezes agents or lets them accept",
    ),
    route(POST, "/{organisation}/{project}/-/agents/order", May(Order), "freeze agents, or let them accept"),
    route(
        GET,
        "/{organisation}/{project}/-/agents/orders/{number}/withdraw",
        May(Order),
        "asks before it withdraws an order",
    ),
    route(
        POST,
        "/{organisation}/{project}/-/agents/orders/{number}/withdraw",
        May(Order),
        "withdraw an order",
    ),
    route(GET, "/{organisation}/{project}/-/credentials", May(ManageCredentials), "credentials"),
    route(
        POST,
        "/{organisation}/{project}/-/credentials",
        May(ManageCredentials),
        "create a credential; it is shown once",
    ),
    route(
        GET,
        "/{organisation}/{project}/-/credentials/{id}/revoke",
        May(ManageCredentials),
        "asks before it revokes a credential",
    ),
    route(
        POST,
        "/{organisation}/{project}/-/credentials/{id}/revoke",
        May(ManageCredentials),
        "revoke a credential",
    ),
    route(
        GET,
        "/{organisation}/{project}/-/trust",
        May(ManageProjects),
        "the keys that sign, and the rule for old content",
    ),
    route(POST, "/{organisation}/{project}/-/trust", May(ManageProjects), "set the rule for old content"),
    route(GET, "/{organisation}/{project}/-/webhooks", May(ManageProjects), "webhooks"),
    route(
        POST,
        "/{organisation}/{project}/-/webhooks",
        May(ManageProjects),
        "create a webhook; its secret is shown once",
    ),
    route(
        GET,
        "/{organisation}/{project}/-/webhooks/{webhook}",
        May(ManageProjects),
        "a webhook and what was sent to it",
    ),
    route(
        POST,
        "/{organisation}/{project}/-/webhooks/{webhook}",
        May(ManageProjects),
        "change a webhook, test it, or give it another secret",
    ),
    route(
        GET,
        "/{organisation}/{project}/-/webhooks/{webhook}/remove",
        May(ManageProjects),
        "asks before it removes a webhook",
    ),
    route(
        POST,
        "/{organisation}/{project}/-/webhooks/{webhook}/remove",
        May(ManageProjects),
        "remove a webhook with its log",
    ),
    route(
        POST,
        "/{organisation}/{project}/-/webhooks/{webhook}/deliveries/{delivery}",
        May(ManageProjects),
        "send something once more",
    ),
    route(GET, "/{organisation}/{project}/{set}", May(View), "prompt set: its first prompt"),
    route(GET, "/{organisation}/{project}/{set}/-/new", May(Edit), "new prompt"),
    route(POST, "/{organisation}/{project}/{set}/-/new", May(Edit), "create a prompt"),
    route(
        GET,
        "/{organisation}/{project}/{set}/-/rename",
        May(Edit),
        "another name for a prompt or a partial",
    ),
    route(POST, "/{organisation}/{project}/{set}/-/rename", May(Edit), "rename a prompt or a partial"),
    route(GET, "/{organisation}/{project}/{set}/-/duplicate", May(Edit), "a copy of a prompt or a partial"),
    route(POST, "/{organisation}/{project}/{set}/-/duplicate", May(Edit), "copy a prompt or a partial"),
    route(GET, "/{organisation}/{project}/{set}/-/archive", May(Edit), "asks before it archives a prompt"),
    route(POST, "/{organisation}/{project}/{set}/-/archive", May(Edit), "archive a prompt or a partial"),
    route(GET, "/{organisation}/{project}/{set}/-/archived", May(View), "archived prompts and partials"),
    route(POST, "/{organisation}/{project}/{set}/-/archived", May(Edit), "restore a prompt or a partial"),
    route(GET, "/{organisation}/{project}/{set}/-/settings", May(Edit), "settings of a prompt set"),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/settings",
        May(Edit),
        "change a prompt set, archive or restore it",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/copy", May(Edit), "a copy of a prompt set"),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/copy",
        May(Edit),
        "copy a prompt set's draft into a new one",
    ),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/notes/{*prompt}",
        May(Edit),
        "write the notes on a prompt",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/import", May(Edit), "choose a file to import"),
    route(POST, "/{organisation}/{project}/{set}/-/import", May(Edit), "read a file"),
    route(GET, "/{organisation}/{project}/{set}/-/import/{import}", May(Edit), "what importing it would do"),
    route(POST, "/{organisation}/{project}/{set}/-/import/{import}", May(Edit), "import it"),
    route(GET, "/{organisation}/{project}/{set}/-/export", May(View), "choose a format to export"),
    route(GET, "/{organisation}/{project}/{set}/-/export/file", May(View), "the exported file"),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/preview",
        May(View),
        "check and render what is being written",
    ),
    route(
        GET,
        "/{organisation}/{project}/{set}/-/playground",
        May(View),
        "one prompt in several versions on the same values",
    ),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/playground",
        May(View),
        "render them, or save the values as a variable set",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/lock", May(Lock), "what the next version would be"),
    route(POST, "/{organisation}/{project}/{set}/-/lock", May(Lock), "lock the draft as a version"),
    route(POST, "/{organisation}/{project}/{set}/-/reopen", May(Edit), "open a locked set again"),
    route(POST, "/{organisation}/{project}/{set}/-/review", May(Edit), "ask for a review, or take it back"),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/verdict",
        May(Review),
        "approve the draft, or give it back",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/publish", May(Publish), "what a publication would replace"),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/publish",
        May(Publish),
        "publish a version, or an older one again",
    ),
    route(
        GET,
        "/{organisation}/{project}/{set}/-/history/{*prompt}",
        May(View),
        "what a prompt was after each save",
    ),
    route(POST, "/{organisation}/{project}/{set}/-/history/{*prompt}", May(Edit), "restore a revision"),
    route(
        GET,
        "/{organisation}/{project}/{set}/-/partial-history/{*partial}",
        May(View),
        "what a partial was after each save",
    ),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/partial-history/{*partial}",
        May(Edit),
        "restore a revision",
    ),
    route(
        GET,
        "/{organisation}/{project}/{set}/-/dependencies",
        May(View),
        "sets that the draft takes partials from",
    ),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/dependencies",
        May(Edit),
        "take partials from a set, or nothing more",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/reviews/{number}", May(View), "a review"),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/reviews/{number}",
        May(Return),
        "comment on a review, or answer it",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/versions", May(View), "versions"),
    route(
        POST,
        "/{organisation}/{project}/{set}/-/versions",
        May(Lock),
        "give a version a name, or take one away",
    ),
    route(
        GET,
        "/{organisation}/{project}/{set}/-/versions/{version}",
        May(View),
        "a version with its lock file",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/usage", May(View), "who was built for it, and its use"),
    route(GET, "/{organisation}/{project}/{set}/-/compare", May(View), "two states of a set, word by word"),
    route(
        GET,
        "/{organisation}/{project}/{set}/-/compare/{pair}",
        May(View),
        "the same, as an address to send",
    ),
    route(GET, "/{organisation}/{project}/{set}/-/partials/{*partial}", May(View), "a partial in the editor"),
    route(POST, "/{organisation}/{project}/{set}/-/partials/{*partial}", May(Edit), "save a partial"),
    route(GET, "/{organisation}/{project}/{set}/{*prompt}", May(View), "a prompt in the editor"),
    route(POST, "/{organisation}/{project}/{set}/{*prompt}", May(Edit), "save a prompt, or change its form"),
];

/// A route of the table.
#[must_use]
pub fn find(method: &str, path: &str) -> Option<&'static Route> {
    // What GET shows, HEAD may ask for.
    let method = if method == "HEAD" { GET } else { method };
    API.iter().chain(PAGES).find(|r| r.method == method && r.path == path)
}

/// The methods that an address takes, as the header `Allow` lists them; empty where there is no such address.
#[must_use]
pub fn methods(path: &str) -> String {
    let known: Vec<&str> = API.iter().chain(PAGES).filter(|r| r.path == path).map(|r| r.method).collect();
    known.join(", ")
}

//! `forge seed`: an organisation with people of every role and sets in every state, for development. The same names,
//! texts and versions each time; only ids and times differ.

use schemas::PromptId;
use schemas::parameter::{Kind, Parameter};
use schemas::prompt::Prompt;

use crate::auth::{Actor, Entry, Membership, Role, Scopes};
use crate::author::{self, NewProject, NewSet, ProjectAt, SetAt, import};
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::publish::{self, Request};
use crate::state::AppState;
use crate::{lock, review, session};

/// The organisation that is made.
pub const ORGANISATION: &str = "fernway";
/// The password of everybody in it.
pub const PASSWORD: &str = "fernway for development";
/// Who is in it: name, e-mail address, role.
pub const PEOPLE: [(&str, &str, Role); 6] = [
    ("Mara Lindqvist", "mara@fernway.example", Role::Owner),
    ("Priya Nair", "priya@fernway.example", Role::Admin),
    ("Tomás Rey", "tomas@fernway.example", Role::ContextEngineer),
    ("Aiko Tan", "aiko@fernway.example", Role::ContextEngineer),
    ("Jonas Weber", "jonas@fernway.example", Role::Reviewer),
    ("Vera Blum", "vera@fernway.example", Role::Viewer),
];

/// The people of the story, as they act.
struct Cast {
    mara: Actor,
    tomas: Actor,
    aiko: Actor,
    jonas: Actor,
}

/// Makes the organisation, or finds it there from the last time; gives whether it was made.
///
/// # Errors
/// Somebody else has one of its names, or the database refuses. What was made until then stays.
pub async fn seed(state: &AppState) -> Result<bool> {
    let console = Actor::console();
    match author::find_organisation(state, &console, ORGANISATION).await {
        Ok(_) => return Ok(false),
        Err(ApiError::NotFound(_) | ApiError::Hidden { .. }) => {}
        Err(error) => return Err(error),
    }
    let organisation = author::create_organisation(state, &console, ORGANISATION, "Fernway").await?;
    let mut actors = Vec::new();
    for (name, email, role) in PEOPLE {
        actors.push(person(state, &organisation, name, email, role).await?);
    }
    let [mara, _, tomas, aiko, jonas, _] =
        <[Actor; 6]>::try_from(actors).map_err(|_| ApiError::internal("the people of the seed"))?;
    let cast = Cast { mara, tomas, aiko, jonas };

    let new = NewProject { slug: "customer-support", ..NewProject::default() };
    let support = author::create_from_example(state, &cast.mara, &organisation, new, "support").await?;
    chat(state, &cast, &support).await?;
    triage(state, &cast, &support).await?;
    refunds(state, &cast, &support).await?;
    email(state, &cast, &support).await?;
    tone(state, &cast, &support).await?;
    let new = NewSet { slug: "ideas", name: "Ideas", description: "Nothing is written here yet." };
    author::create_set(state, &cast.aiko, &support, new).await?;

    let new = NewProject { slug: "writing", ..NewProject::default() };
    let writing = author::create_from_example(state, &cast.mara, &organisation, new, "writing").await?;
    let set = author::find_set(state, &cast.mara, &writing, "chat").await?;
    publish(state, &cast.mara, &set, "1.0.0", "dev").await?;
    let new = NewProject { slug: "sandbox", name: "Sandbox", description: "An empty project." };
    author::create_project(state, &cast.mara, &organisation, new).await?;
    Ok(true)
}

/// Makes somebody, with the role in the organisation and the rights of that role only.
async fn person(
    state: &AppState,
    organisation: &Organisation,
    name: &str,
    email: &str,
    role: Role,
) -> Result<Actor> {
    let user = match session::create_user(state, email, name, Some(PASSWORD)).await {
        Ok(made) => made,
        Err(ApiError::Conflict { .. }) => session::user_by_email(state, email).await?,
        Err(error) => return Err(error),
    };
    author::add_member(state, &Actor::console(), organisation, email, role).await?;
    Ok(Actor {
        user_id: user.id,
        name: user.name,
        email: user.email,
        entry: Entry::Token { id: String::new(), scopes: Scopes::ALL },
        memberships: vec![Membership {
            organisation_id: organisation.id.clone(),
            organisation: organisation.slug.clone(),
            role,
        }],
        ..Actor::console()
    })
}

/// Live everywhere as 1.0.0, in dev and staging as 1.1.0, and being edited.
async fn chat(state: &AppState, cast: &Cast, at: &ProjectAt) -> Result<()> {
    let set = author::find_set(state, &cast.mara, at, "chat").await?;
    for environment in ["dev", "staging", "prod"] {
        publish(state, &cast.mara, &set, "1.0.0", environment).await?;
    }
    lock::reopen(state, &cast.tomas, &set).await?;
    let text = "Say in one sentence where order {{ order }} is. It is {{ state }}.\n";
    write(state, &cast.tomas, &set, "order.status", text, &["order", "state"]).await?;
    lock::lock(state, &cast.tomas, &set, "1.1.0", None, "Says where an order is.").await?;
    for environment in ["dev", "staging"] {
        publish(state, &cast.tomas, &set, "1.1.0", environment).await?;
    }
    lock::reopen(state, &cast.aiko, &set).await?;
    let farewell = "Thank you, {{ name }}. If anything is left open, just write again.\n";
    write(state, &cast.aiko, &set, "farewell.message", farewell, &["name"]).await
}

/// Under review, and nobody answered yet.
async fn triage(state: &AppState, cast: &Cast, at: &ProjectAt) -> Result<()> {
    let set = author::find_set(state, &cast.mara, at, "triage").await?;
    publish(state, &cast.mara, &set, "1.0.0", "prod").await?;
    lock::reopen(state, &cast.aiko, &set).await?;
    let text = "Say in one word how the customer feels.\n\n{{ message | trim }}\n";
    write(state, &cast.aiko, &set, "ticket.mood", text, &["message"]).await?;
    ask(state, &cast.aiko, &set, "Say how the customer feels").await
}

/// Approved, and not locked yet.
async fn refunds(state: &AppState, cast: &Cast, at: &ProjectAt) -> Result<()> {
    let new =
        NewSet { slug: "refund-decisions", name: "Refund decisions", description: "Yes, no, or a person." };
    let set = author::create_set(state, &cast.tomas, at, new).await?;
    let text =
        "Decide whether order {{ order }} is refunded.\nAnswer yes, no or person, and why in one sentence.\n";
    write(state, &cast.tomas, &set, "refund.decide", text, &["order"]).await?;
    ask(state, &cast.tomas, &set, "The first rules for refunds").await?;
    let digest = author::draft(state, &cast.jonas, &set).await?.digest.to_string();
    review::approve(state, &cast.jonas, &set, review::Which::Current, &digest, "Clear, and short.").await
}

/// Locked, published, and rolled back in prod.
async fn email(state: &AppState, cast: &Cast, at: &ProjectAt) -> Result<()> {
    let new =
        NewSet { slug: "email-replies", name: "E-mail replies", description: "Longer answers, by mail." };
    let set = author::create_set(state, &cast.tomas, at, new).await?;
    let text = "Dear {{ name }},\n\n{{ answer | trim }}\n\nKind regards,\nFernway\n";
    write(state, &cast.tomas, &set, "reply.frame", text, &["name", "answer"]).await?;
    lock::lock(state, &cast.tomas, &set, "1.0.0", None, "").await?;
    publish(state, &cast.tomas, &set, "1.0.0", "prod").await?;
    lock::reopen(state, &cast.tomas, &set).await?;
    let text = "Hi {{ name }}!\n\n{{ answer | trim }}\n\nFernway\n";
    write(state, &cast.tomas, &set, "reply.frame", text, &["name", "answer"]).await?;
    lock::lock(state, &cast.tomas, &set, "1.0.1", None, "Less formal.").await?;
    publish(state, &cast.tomas, &set, "1.0.1", "prod").await?;
    publish(state, &cast.mara, &set, "1.0.0", "prod").await
}

/// Given back to who wrote it.
async fn tone(state: &AppState, cast: &Cast, at: &ProjectAt) -> Result<()> {
    let new = NewSet { slug: "tone-and-safety", name: "Tone and safety", description: "What is never said." };
    let set = author::create_set(state, &cast.aiko, at, new).await?;
    let text = "Never promise {{ what }}. If a customer is in danger, say whom to call.\n";
    write(state, &cast.aiko, &set, "safety.rules", text, &["what"]).await?;
    ask(state, &cast.aiko, &set, "Rules for what is never promised").await?;
    review::give_back(state, &cast.jonas, &set, review::Which::Current, "Say whom to call, by number.").await
}

async fn ask(state: &AppState, actor: &Actor, set: &SetAt, title: &str) -> Result<()> {
    review::request(state, actor, set, review::Request { title, ..review::Request::default() }).await?;
    Ok(())
}

async fn publish(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    version: &str,
    environment: &str,
) -> Result<()> {
    let request = Request { environment, version, expected_serial: None, comment: "", accept_broken: &[] };
    publish::publish(state, actor, set, request).await?;
    Ok(())
}

/// Writes a text prompt whose parameters are all required texts.
async fn write(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    id: &str,
    template: &str,
    parameters: &[&str],
) -> Result<()> {
    let mut prompt = Prompt::text(PromptId::new(id)?, template);
    prompt.parameters = parameters
        .iter()
        .map(|name| Parameter {
            name: (*name).to_owned(),
            kind: Kind::String { min_length: Some(1), max_length: Some(4000) },
            required: true,
            default: None,
            description: String::new(),
            example: Some((*name).into()),
        })
        .collect();
    import::import(state, actor, set, &[prompt]).await?;
    Ok(())
}

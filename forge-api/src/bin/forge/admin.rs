//! What an operator does from the console.

use std::path::Path;

use anyhow::{Context as _, bail};
use forge_api::auth::{Actor, Entry, Role, Scope, Scopes};
use forge_api::author::{self, NewProject};
use forge_api::credential::{self, Ends, New};
use forge_api::database::organisation::Organisation;
use forge_api::error::ApiError;
use forge_api::seal::write_private;
use forge_api::session::{self, NewToken};
use forge_api::state::AppState;

use crate::arguments::{Credential, User};

/// Writes the files of an external broker. Nothing in them is secret.
pub(crate) fn nats_config(state: &AppState, directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    let operator = publisher::operator_files(&state.keys.ring())?.to_string();
    let files = nats_config::conf::FILES.iter().map(|(name, text)| (*name, (*text).to_owned()));
    for (name, text) in files.chain([(nats_config::conf::OPERATOR_FILE, operator)]) {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

pub(crate) fn role(text: &str) -> anyhow::Result<Role> {
    Role::parse(text).with_context(|| {
        format!("{text:?} is no role; choose one of {}", Role::ALL.map(Role::as_str).join(", "))
    })
}

/// All of them, unless some are named.
fn scopes(names: &[String]) -> anyhow::Result<Scopes> {
    if names.is_empty() {
        return Ok(Scopes::ALL);
    }
    let read = |name: &String| {
        Scope::parse(name).with_context(|| {
            format!("{name:?} is no scope; choose of {}", Scope::ALL.map(Scope::as_str).join(", "))
        })
    };
    Ok(Scopes::of(&names.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?))
}

fn expiry(days: &str) -> anyhow::Result<Option<i64>> {
    if days == "never" {
        return Ok(None);
    }
    let days: u32 = days.parse().with_context(|| format!("{days:?} is no number of days; or say never"))?;
    Ok(Some(session::end_after(days.into())))
}

async fn organisation(state: &AppState, slug: &str) -> anyhow::Result<Organisation> {
    let console = Actor::console();
    match author::find_organisation(state, &console, slug).await {
        Err(ApiError::NotFound(_)) => Ok(author::create_organisation(state, &console, slug, "").await?),
        other => Ok(other?),
    }
}

pub(crate) async fn user(state: &AppState, command: User) -> anyhow::Result<()> {
    match command {
        User::Add { email, name, password_file, organisation: slug, role: given } => {
            let role = role(&given)?;
            let password = match &password_file {
                Some(path) => Some(
                    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?,
                ),
                None => None,
            };
            let password = password.as_deref().map(|p| p.trim_end_matches(['\r', '\n']));
            let made = session::create_user(state, &email, &name, password).await?;
            if let Some(slug) = slug {
                let organisation = organisation(state, &slug).await?;
                author::add_member(state, &Actor::console(), &organisation, &made.email, role).await?;
            }
            println!("{}", made.id);
            Ok(())
        }
        User::SignInLink { email } => {
            let link = session::sign_in_link(state, &email).await?;
            println!("{}{link}", state.public_url);
            Ok(())
        }
        User::Remove { email, organisation: slug } => {
            let console = Actor::console();
            let organisation = author::find_organisation(state, &console, &slug).await?;
            Ok(author::remove_member(state, &console, &organisation, &email).await?)
        }
        User::Disable { email } => Ok(session::set_disabled(state, &email, true).await?),
        User::Enable { email } => Ok(session::set_disabled(state, &email, false).await?),
        User::Token { email, organisation: slug, role: given, name, scope, project, expires_days } => {
            let new = NewToken {
                name: &name,
                role: role(&given)?,
                scopes: scopes(&scope)?,
                expires_at: expiry(&expires_days)?,
                projects: (!project.is_empty()).then_some(project.as_slice()),
            };
            let user = session::user_by_email(state, &email).await?;
            let organisation = author::find_organisation(state, &Actor::console(), &slug).await?;
            let actor = Actor {
                user_id: user.id,
                name: user.name,
                email: user.email,
                entry: Entry::Console,
                memberships: Vec::new(),
                grants: Vec::new(),
            };
            let (token, _) = session::create_token(state, &actor, &organisation.id, new).await?;
            println!("{token}");
            Ok(())
        }
    }
}

/// Makes the organisation to develop with.
pub(crate) async fn seed(state: &AppState) -> anyhow::Result<()> {
    if !forge_api::seed::seed(state).await? {
        println!("organisation {} is there already; nothing was changed", forge_api::seed::ORGANISATION);
        return Ok(());
    }
    println!(
        "organisation {}; everybody's password is {:?}",
        forge_api::seed::ORGANISATION,
        forge_api::seed::PASSWORD
    );
    for (name, email, role) in forge_api::seed::PEOPLE {
        println!("  {email}  {name}, {}", role.as_str());
    }
    Ok(())
}

pub(crate) async fn project(state: &AppState, path: &str, name: &str) -> anyhow::Result<()> {
    let Some((slug, project)) = path.split_once('/') else { bail!("write organisation/project") };
    let organisation = organisation(state, slug).await?;
    let new = NewProject { slug: project, name, description: "" };
    let made = author::create_project(state, &Actor::console(), &organisation, new).await?;
    println!("{}", made.project.id);
    Ok(())
}

pub(crate) async fn credential(state: &AppState, new: &Credential) -> anyhow::Result<()> {
    let Some((organisation, project)) = new.project.split_once('/') else {
        bail!("write organisation/project")
    };
    let console = Actor::console();
    let at = author::find_project(state, &console, organisation, project).await?;
    let kind =
        if new.inspect { publisher::credentials::Role::Inspect } else { publisher::credentials::Role::Agent };
    let ends = match new.expires.as_deref() {
        None => Ends::Default,
        Some("never") => Ends::Never,
        Some(days) => Ends::in_days(days.parse().context("expires: a number of days, or never")?),
    };
    let Credential { environment, name, purpose, .. } = new;
    let wanted = New { environment, name, purpose, kind, ends };
    let made = credential::create(state, &console, &at, wanted).await?;
    let write = |path: &Path, bytes: &[u8]| {
        write_private(path, bytes).with_context(|| format!("writing {}", path.display()))
    };
    match (&new.directory, &new.out) {
        (Some(directory), _) => {
            let connection = serde_json::to_vec_pretty(&made.connection)?;
            write(&directory.join(format!("{}.connect.json", new.name)), &connection)?;
            write(&directory.join(format!("{}.creds", new.name)), made.creds.as_bytes())?;
        }
        (None, Some(path)) => write(path, format!("{}\n", *made.connect_line).as_bytes())?,
        (None, None) => println!("{}", *made.connect_line),
    }
    Ok(())
}

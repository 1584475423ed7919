//! Mail: written into the database with what it is about, sent aside, and tried again until it is too late.
//!
//! Its text holds a link that lets somebody in, so it is sealed under the master key until it is sent, and gone
//! afterwards. A row is claimed by moving its time: any number of FORGE processes may send.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use schemas::Micros;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{Security, Smtp};
use crate::database::invitation::{self, Invitation};
use crate::database::mail::{self, Mail};
use crate::database::organisation::Organisation;
use crate::database::user::User;
use crate::database::{Conn, Tx};
use crate::error::{Result, chain};
use crate::state::AppState;

const SECOND: Micros = 1_000_000;
/// A sign-in link that came later would be over, an invitation is told of as not sent.
const SIGN_IN_LIFE: Micros = 50 * 60 * SECOND;
const INVITATION_LIFE: Micros = 24 * 3600 * SECOND;
/// Waits between attempts double from the first to the last.
const AGAIN_FIRST: Micros = 2 * SECOND;
const AGAIN_LAST: Micros = 1800 * SECOND;
/// A mail that is being sent is left alone by others for so long.
const CLAIM: Micros = 120 * SECOND;
/// How long a mail server may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Without a ring, what is due is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Characters that are kept of why a mail was not sent.
const WHY_MAX: usize = 300;
/// Rows of one look.
const BATCH: i64 = 20;

/// Wakes who sends.
#[derive(Debug, Clone, Default)]
pub struct Post(Arc<Notify>);

impl Post {
    /// Something was written.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// Writes the mail of an invitation, within the transaction that makes it.
pub(crate) async fn invitation(
    state: &AppState,
    tx: &mut Tx,
    organisation: &Organisation,
    row: &Invitation,
    link: &str,
) -> Result<()> {
    let (by, place) = (line(&row.invited_by), line(&organisation.name));
    let text = format!(
        "{by} invites you to {place} on FORGE, where prompts are written, locked and published.\n\n\
         Open this link to come in. It works once, for {} days:\n\n  {}{link}\n\n\
         If you did not expect this, leave it: nothing happens.\n",
        crate::author::invitation::DAYS,
        state.public_url,
    );
    let subject = format!("{by} invites you to {place}");
    let about = (Some(row.id.clone()), INVITATION_LIFE);
    write(state, tx, about, &row.email, subject, &text).await
}

/// Writes the mail of a sign-in link, within the transaction that makes it.
pub(crate) async fn sign_in_link(state: &AppState, tx: &mut Tx, user: &User, link: &str) -> Result<()> {
    let text = format!(
        "Somebody, hopefully you, asked for a link to sign in to FORGE.\n\n\
         It works once, for an hour:\n\n  {}{link}\n\n\
         If it was not you, leave it: nobody comes in without the link.\n",
        state.public_url,
    );
    write(state, tx, (None, SIGN_IN_LIFE), &user.email, "Your link to sign in to FORGE".into(), &text).await
}

/// A name in one line: nobody writes headers or paragraphs by it.
fn line(text: &str) -> String {
    plain(text, 100)
}

/// The first characters of a text, in one line.
fn plain(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}

async fn write(
    state: &AppState,
    tx: &mut Tx,
    (invitation_id, life): (Option<String>, Micros),
    recipient: &str,
    subject: String,
    text: &str,
) -> Result<()> {
    let (id, now) = (clock::new_id(), clock::now());
    let row = Mail {
        sealed: state.keys.seal(&sealed_as(&id), text.as_bytes())?,
        id,
        invitation_id,
        recipient: recipient.to_owned(),
        subject,
        attempts: 0,
        due_at: now,
        give_up_at: now + life,
    };
    Ok(mail::insert(tx, &row).await?)
}

fn sealed_as(id: &str) -> String {
    format!("mail/{id}")
}

/// Sends until `stop`.
pub async fn run(state: AppState, stop: CancellationToken) {
    let Some(smtp) = state.config.smtp.clone() else { return stop.cancelled().await };
    loop {
        if let Err(error) = round(&state, &smtp).await {
            tracing::warn!(error = %chain(&error), "mail that waits cannot be read; trying again");
        }
        tokio::select! {
            () = state.post.0.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn round(state: &AppState, smtp: &Smtp) -> Result<()> {
    let mut conn = state.database.read().await?;
    let rows = mail::due(&mut conn, clock::now(), BATCH).await?;
    drop(conn);
    for row in rows {
        let mut tx = state.database.write().await?;
        let claimed = mail::claim(&mut tx, &row, clock::now() + CLAIM).await?;
        tx.commit().await?;
        if claimed {
            one(state, smtp, &row).await?;
        }
    }
    Ok(())
}

/// Sends one mail, or says when it is tried again.
async fn one(state: &AppState, smtp: &Smtp, row: &Mail) -> Result<()> {
    let done = send(state, smtp, row).await;
    let now = clock::now();
    let mut tx = state.database.write().await?;
    match done {
        Ok(()) => end(&mut tx, row, "sent", None).await?,
        Err(failure) => {
            let wait = (AGAIN_FIRST << row.attempts.clamp(0, 16)).min(AGAIN_LAST);
            let over = failure.is_final || now + wait > row.give_up_at;
            tracing::warn!(
                mail.id = row.id,
                mail.attempts = row.attempts + 1,
                mail.given_up = over,
                error = failure.why,
                "a mail was not sent"
            );
            let why = plain(&failure.why, WHY_MAX);
            match over {
                true => end(&mut tx, row, "failed", Some(&why)).await?,
                false => {
                    mail::later(&mut tx, &row.id, now + wait).await?;
                    if let Some(id) = &row.invitation_id {
                        invitation::set_mail(&mut tx, id, "waiting", Some(&why)).await?;
                    }
                }
            }
        }
    }
    Ok(tx.commit().await?)
}

async fn end(conn: &mut Conn, row: &Mail, how: &str, why: Option<&str>) -> Result<()> {
    if let Some(id) = &row.invitation_id {
        invitation::set_mail(conn, id, how, why).await?;
    }
    Ok(mail::delete(conn, &row.id).await?)
}

/// Why a mail was not sent.
struct Failure {
    why: String,
    /// Whether it would be no use to try again.
    is_final: bool,
}

async fn send(state: &AppState, smtp: &Smtp, row: &Mail) -> Result<(), Failure> {
    let never = |error: &(dyn std::error::Error + 'static)| Failure { why: chain(error), is_final: true };
    let text = state.keys.unseal(&sealed_as(&row.id), &row.sealed).map_err(|e| never(&e))?;
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|e| never(&e));
    let message = Message::builder()
        .from(mailbox(&smtp.from)?)
        .to(mailbox(&row.recipient)?)
        .subject(row.subject.clone())
        .message_id(Some(format!("<{}@forge>", row.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(String::from_utf8_lossy(&text).into_owned())
        .map_err(|e| never(&e))?;
    let transport = transport(smtp).map_err(|e| Failure { why: e.to_string(), is_final: false })?;
    match transport.send(message).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure { why: error.to_string(), is_final: error.is_permanent() }),
    }
}

type Transport = AsyncSmtpTransport<Tokio1Executor>;

fn transport(smtp: &Smtp) -> Result<Transport, lettre::transport::smtp::Error> {
    let parameters = || {
        let builder = TlsParameters::builder(smtp.host.clone());
        let builder = match &smtp.authority {
            Some(pem) => builder
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(pem.as_bytes())?),
            None => builder,
        };
        builder.build()
    };
    let tls = match smtp.security {
        Security::Tls => Tls::Wrapper(parameters()?),
        Security::StartTls => Tls::Required(parameters()?),
        Security::Loopback => Tls::None,
    };
    let builder = Transport::builder_dangerous(&smtp.host).port(smtp.port).tls(tls).timeout(Some(PATIENCE));
    Ok(match &smtp.login {
        Some((user, password)) => {
            builder.credentials(Credentials::new(user.clone(), password.to_string())).build()
        }
        None => builder.build(),
    })
}

/// Whether mail can be sent at all.
#[must_use]
pub fn is_on(state: &AppState) -> bool {
    state.config.smtp.is_some()
}

//! How people come in: mail that FORGE sends, and organisations of their own.

use std::fmt;
use std::net::IpAddr;

use nats_config::tls;
use zeroize::Zeroizing;

use super::options::setting;
use super::{ConfigError, Setting, Values, bad};

/// Options about people, as they stand in [`super::OPTIONS`].
pub(super) const OPTIONS: [Setting; 10] = [
    setting(
        "smtp-url",
        "FORGE_SMTP_URL",
        "",
        "server that takes mail, smtps://user@host:465 or smtp://user@host:587 (STARTTLS; on this machine in the open, unless smtp-ca is given); default: no mail, links are shown to an owner",
    ),
    setting(
        "smtp-password-file",
        "FORGE_SMTP_PASSWORD_FILE",
        "",
        "file with the password of the user in smtp-url",
    ),
    setting(
        "smtp-from",
        "FORGE_SMTP_FROM",
        "",
        "address that mail comes from, such as FORGE <forge@example.org>",
    ),
    setting(
        "smtp-ca",
        "FORGE_SMTP_CA",
        "",
        "authority (PEM) that signs the mail server's certificate; default: those of the system",
    ),
    setting(
        "personal-organisations",
        "FORGE_PERSONAL_ORGANISATIONS",
        "false",
        "make an organisation of their own for each new person",
    ),
    setting(
        "oidc-issuer",
        "FORGE_OIDC_ISSUER",
        "",
        "provider of OpenID Connect that people may sign in with, as it calls itself: https://…; redirect address there: <public-url>/-/oidc/callback",
    ),
    setting("oidc-client-id", "FORGE_OIDC_CLIENT_ID", "", "what the provider calls FORGE"),
    setting(
        "oidc-client-secret-file",
        "FORGE_OIDC_CLIENT_SECRET_FILE",
        "",
        "file with the secret for the provider; default: none, PKCE alone",
    ),
    setting("oidc-name", "FORGE_OIDC_NAME", "single sign-on", "the provider's name on the sign-in page"),
    setting(
        "oidc-domains",
        "FORGE_OIDC_DOMAINS",
        "",
        "domains of e-mail addresses whose people come in uninvited, separated by commas; default: by invitation only",
    ),
];

/// A provider of OpenID Connect.
#[derive(Clone)]
pub struct Oidc {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<Zeroizing<String>>,
    pub name: String,
    /// In small letters.
    pub domains: Vec<String>,
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Oidc {
    /// Whether nobody can listen on the way to an address: https, or within this machine.
    #[must_use]
    pub fn is_safe(address: &str) -> bool {
        let Ok(address) = address.parse::<hyper::Uri>() else { return false };
        let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        match address.scheme_str() {
            Some("https") => !host.is_empty(),
            Some("http") => is_here(host),
            _ => false,
        }
    }

    /// Whether the people of an address's domain come in uninvited.
    #[must_use]
    pub fn lets_in(&self, email: &str) -> bool {
        email.rsplit_once('@').is_some_and(|(_, domain)| self.domains.iter().any(|d| d == domain))
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn oidc(values: &Values<'_>) -> Result<Option<Oidc>, ConfigError> {
    let Some(issuer) = values.text("oidc-issuer")? else { return Ok(None) };
    if !Oidc::is_safe(&issuer) {
        return Err(bad(values.setting("oidc-issuer"), format!("{issuer:?} is no https address")));
    }
    let client_id = values
        .text("oidc-client-id")?
        .ok_or_else(|| bad(values.setting("oidc-client-id"), "say what the provider calls FORGE".into()))?;
    let client_secret = match values.path("oidc-client-secret-file")? {
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|e| {
                bad(values.setting("oidc-client-secret-file"), format!("{}: {e}", path.display()))
            })?;
            Some(Zeroizing::new(text.trim().to_owned()))
        }
        None => None,
    };
    let name = values.text("oidc-name")?.unwrap_or_else(|| "single sign-on".into());
    let domains =
        values.list("oidc-domains")?.iter().map(|d| d.trim_start_matches('@').to_lowercase()).collect();
    Ok(Some(Oidc { issuer, client_id, client_secret, name, domains }))
}

/// Where mail goes out.
#[derive(Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// User and password.
    pub login: Option<(String, Zeroizing<String>)>,
    pub from: String,
    /// Certificates (PEM) of the only authorities that are believed; none: those of the system.
    pub authority: Option<String>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// How the connection to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS by STARTTLS; without it nothing is sent.
    StartTls,
    /// None: only within this machine.
    Loopback,
}

pub(super) fn smtp(values: &Values<'_>) -> Result<Option<Smtp>, ConfigError> {
    let (setting, url) = values.find("smtp-url")?;
    let Some(url) = url else { return Ok(None) };
    let wrong = || bad(setting, "write smtps://user@host:465 or smtp://user@host:587".into());
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    // A user's name may be an address itself.
    let (user, place) = match rest.trim_end_matches('/').rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest.trim_end_matches('/')),
    };
    let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
        None => (place, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(wrong());
    }
    let authority = authority(values)?;
    let in_the_open = is_here(host) && authority.is_none();
    let (security, usual) = match scheme {
        "smtps" => (Security::Tls, 465),
        "smtp" if in_the_open => (Security::Loopback, 25),
        "smtp" => (Security::StartTls, 587),
        _ => return Err(wrong()),
    };
    let from = values.text("smtp-from")?.ok_or_else(|| {
        bad(values.setting("smtp-from"), "mail needs a sender: write FORGE <forge@example.org>".into())
    })?;
    if from.parse::<lettre::message::Mailbox>().is_err() {
        return Err(bad(values.setting("smtp-from"), format!("{from:?} is no address")));
    }
    let password = match values.path("smtp-password-file")? {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|e| bad(values.setting("smtp-password-file"), format!("{}: {e}", path.display())))?;
            Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        None => None,
    };
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user.to_owned(), password)),
        (None, None) => None,
        _ => {
            let why = "a user in smtp-url and smtp-password-file go together".to_owned();
            return Err(bad(values.setting("smtp-password-file"), why));
        }
    };
    Ok(Some(Smtp { host: host.to_owned(), port: port.unwrap_or(usual), security, login, from, authority }))
}

/// Who signs the mail server's certificate, if that is said.
fn authority(values: &Values<'_>) -> Result<Option<String>, ConfigError> {
    let Some(path) = values.path("smtp-ca")? else { return Ok(None) };
    let wrong = |why: String| bad(values.setting("smtp-ca"), format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
    match tls::pin_of(&text) {
        Ok(_) => Ok(Some(text)),
        Err(_) => Err(wrong("there is no certificate (PEM) in it".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn load(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(&|key| flags.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()), &|_| None)
    }

    #[test]
    fn mail_goes_out_in_the_open_only_within_this_machine() {
        let security = |url| {
            let config = load(&[("smtp-url", url), ("smtp-from", "forge@example.org")]).unwrap();
            let smtp = config.smtp.unwrap();
            (smtp.security, smtp.host, smtp.port)
        };
        assert_eq!(security("smtp://127.0.0.1:2525"), (Security::Loopback, "127.0.0.1".into(), 2525));
        assert_eq!(security("smtp://[::1]:2525"), (Security::Loopback, "::1".into(), 2525));
        assert_eq!(security("smtp://mail.example.org"), (Security::StartTls, "mail.example.org".into(), 587));
        assert_eq!(security("smtps://mail.example.org"), (Security::Tls, "mail.example.org".into(), 465));
    }

    #[test]
    fn who_names_an_authority_wants_tls_within_this_machine_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let signed = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let ca = file("ca.pem", &signed.pem());
        let flags = |ca: &str| {
            let flags =
                [("smtp-url", "smtp://127.0.0.1:2525"), ("smtp-from", "forge@example.org"), ("smtp-ca", ca)];
            load(&flags).map(|config| config.smtp.unwrap())
        };
        let smtp = flags(&ca).unwrap();
        assert_eq!((smtp.security, smtp.port), (Security::StartTls, 2525));
        assert!(smtp.authority.unwrap().contains("BEGIN CERTIFICATE"));
        for bad in [file("none.pem", "nothing"), "/nowhere/ca.pem".into()] {
            let error = flags(&bad).unwrap_err().to_string();
            assert!(error.starts_with("smtp-ca: "), "{error}");
        }
    }

    #[test]
    fn a_provider_is_asked_over_tls_or_within_this_machine() {
        let client = ("oidc-client-id", "forge");
        for bad in ["http://login.example.org", "login.example.org", "ftp://x", "https://"] {
            let error = load(&[("oidc-issuer", bad), client]).unwrap_err().to_string();
            assert!(error.starts_with("oidc-issuer"), "{error}");
        }
        let error = load(&[("oidc-issuer", "https://login.example.org")]).unwrap_err().to_string();
        assert!(error.starts_with("oidc-client-id"), "{error}");
        let domains = ("oidc-domains", "@Example.org, example.net");
        for good in ["https://login.example.org/realm", "http://127.0.0.1:8080"] {
            let oidc = load(&[("oidc-issuer", good), client, domains]).unwrap().oidc.unwrap();
            assert!(oidc.lets_in("ada@example.org") && oidc.lets_in("ada@example.net"));
            assert!(!oidc.lets_in("ada@evil.example.org.evil") && !oidc.lets_in("example.org"));
        }
    }

    #[test]
    fn what_is_missing_for_mail_is_named() {
        let from = ("smtp-from", "forge@example.org");
        for flags in [
            &[("smtp-url", "smtp://mail.example.org")][..],
            &[("smtp-url", "mail.example.org"), from],
            &[("smtp-url", "smtp://"), from],
            &[("smtp-url", "smtps://me@mail.example.org"), from],
            &[("smtp-url", "smtps://mail.example.org"), ("smtp-from", "nobody")],
        ] {
            let error = load(flags).unwrap_err().to_string();
            assert!(error.starts_with("smtp-"), "{error}");
        }
        assert!(load(&[]).unwrap().smtp.is_none());
    }
}

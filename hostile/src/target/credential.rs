//! What people paste and files hold: connect strings, `.creds` files, tokens.

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPairType;
use publisher::jwt::{self, Claims};
use publisher::keys::{Key, Kind};
use schemas::canonical::Digest;
use schemas::connect::{ConnectString, PREFIX};
use serde_json::json;

use super::{key, mode, seed};

struct Honest {
    issuer: Key,
    token: String,
    claims: Claims,
    creds: String,
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let named = |kind: KeyPairType, byte, of: Kind| {
        let seed = key(kind, byte).seed().expect("a seed");
        Key::from_seed(&seed, of, "a key of the tests").expect("a key")
    };
    let (issuer, user) =
        (named(KeyPairType::Account, 3, Kind::Account), named(KeyPairType::User, 4, Kind::User));
    let claims = Claims {
        jti: String::new(),
        iat: 1_700_000_000,
        exp: None,
        iss: issuer.public().to_owned(),
        name: "agent".into(),
        sub: user.public().to_owned(),
        nats: json!({ "type": "user", "version": 2 }),
    };
    let token = jwt::mint(&issuer, claims).expect("a token");
    let claims = jwt::verify(&token, issuer.public()).expect("its own token");
    let creds = jwt::credentials_file(&token, &user).to_string();
    Honest { issuer, token, claims, creds }
});

fn connect_json() -> Vec<u8> {
    let connection = json!({
        "schema_version": 1, "servers": ["nats://127.0.0.1:4222"], "roots": ["O"],
        "scope": { "organisation": "acme", "project": "support", "environment": "dev" },
    });
    json!({ "connection": connection, "creds": HONEST.creds }).to_string().into_bytes()
}

/// A connect string around any JSON, with a sum that fits.
fn line(json: &[u8]) -> String {
    let sum: String = Digest::of(json).hex().chars().take(8).collect();
    format!("{PREFIX}{}.{sum}", BASE64URL_NOPAD.encode(json))
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let json = connect_json();
    let claims = serde_json::to_vec(&HONEST.claims).expect("JSON");
    vec![
        seed(0, line(&json).as_bytes()),
        seed(1, &json),
        seed(2, HONEST.creds.as_bytes()),
        seed(3, HONEST.token.as_bytes()),
        seed(4, &claims),
    ]
}

fn connect(line: &str) {
    match ConnectString::from_line(line) {
        Ok(found) => {
            let again = ConnectString::from_line(&found.to_line()).expect("what was read can be written");
            assert_eq!((&again.connection, &again.creds), (&found.connection, &found.creds));
            if found.creds.len() > 20 {
                assert!(!format!("{found:?}").contains(&found.creds), "the secret is shown");
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains(line.trim()) || line.trim().len() < 12, "the text is repeated: {said}");
        }
    }
}

pub(super) fn body(data: &[u8]) {
    let honest = &*HONEST;
    let (mode, rest) = mode(data, 5);
    let text = String::from_utf8_lossy(rest);
    match mode {
        0 => connect(&text),
        1 => connect(&line(rest)),
        2 => {
            if let Ok((token, seed)) = jwt::read_credentials(&text) {
                assert!(token.contains('.') && seed.starts_with("SU"));
                assert!(text.contains(&token) && text.contains(seed.as_str()));
            }
        }
        3 => {
            if let Ok(found) = jwt::verify(&text, honest.issuer.public()) {
                assert_eq!(found, honest.claims, "other claims were believed");
            }
        }
        // Signed, whatever it holds.
        _ => {
            let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
            let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(rest));
            let signature = honest.issuer.sign(signed.as_bytes()).expect("a signature");
            let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
            if let Ok(found) = jwt::verify(&token, honest.issuer.public()) {
                assert_eq!(found.iss, honest.issuer.public(), "somebody else was believed");
            }
        }
    }
}

//! Names and addresses: slugs, prompt ids, scopes, `@organisation/set@version/prompt`, subjects.

use nats_config::subject;
use schemas::names::{Address, PROMPT_ID_MAX, SLUG_MAX};
use schemas::{PromptId, Scope, Slug};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let scope = Scope::new("acme", "support", "dev").expect("slugs");
    let agent = Slug::new("agent-1").expect("a slug");
    [
        "support-chat".to_owned(),
        "mail/reply.formal".to_owned(),
        "@acme/chat@1.2.0+gpt4/mail/reply".to_owned(),
        "@acme/chat".to_owned(),
        "acme/support/dev".to_owned(),
        " Customer Support! ".to_owned(),
        subject::status(&scope, &agent),
        subject::enrol(&scope, &agent),
        subject::bundle(&scope, &agent),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

/// A name may stand in a subject, in an address and in the name of a file.
fn is_tame(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('/')
        && !text.contains("..")
        && !text.contains("//")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b))
}

pub(super) fn body(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    if let Ok(slug) = Slug::new(text) {
        let one =
            is_tame(text) && !text.contains(['.', '_', '/']) && !text.bytes().any(|b| b.is_ascii_uppercase());
        assert!(one && text.len() <= SLUG_MAX, "{text:?} is a slug");
        assert_eq!(slug.as_str(), text);
    }
    if let Some(slug) = Slug::from_title(text) {
        assert_eq!(Slug::new(slug.as_str()).as_ref(), Ok(&slug));
    }
    if let Ok(id) = PromptId::new(text) {
        assert!(is_tame(text) && text.len() <= PROMPT_ID_MAX, "{text:?} is a prompt id");
        assert_eq!(id.as_str(), text);
    }
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().as_ref(), Ok(&address), "{text:?}");
        assert_eq!(address.to_string(), text);
    }
    let parts: Vec<&str> = text.split('/').collect();
    if let [organisation, project, environment] = parts.as_slice()
        && let Ok(scope) = Scope::new(organisation, project, environment)
    {
        assert_eq!(scope.to_string(), text);
        assert!(!subject::prefix(&scope).contains(['*', '>', ' ']));
    }
    if let Some((scope, agent)) = subject::parse_status(text) {
        assert_eq!(subject::status(&scope, &agent), text);
    }
    if let Some((scope, agent)) = subject::parse_enrol(text) {
        assert_eq!(subject::enrol(&scope, &agent), text);
    }
    let scope = Scope::new("acme", "support", "dev").expect("slugs");
    if let Some(set) = subject::set_of_bundle(&scope, text) {
        let stored = subject::bundle(&scope, &set);
        let announced = subject::announcements(&scope).replace('>', set.as_str());
        assert!(text == stored || text == announced, "{text:?} is taken for {set}");
    }
}

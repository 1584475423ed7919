//! The body of a bundle, and its compressed form.

use schemas::bundle::{self, Bundle, Encoding};
use schemas::canonical::to_canonical;
use schemas::template::CompiledSet;

use super::{mode, seed};

const FIXTURE: &[u8] = include_bytes!("../../../schemas/fixtures/v1/bundle.json");

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let compressed = bundle::encode(&[FIXTURE, &b" ".repeat(bundle::PLAIN_MAX)].concat()).expect("it fits").0;
    let braces = br#"{"organisation":"a","project":"b","prompts":[{"content":{"template":"{{ x }}","type":"text"},"id":"p"}],"schema_version":1,"set":"c","version":"1.0.0"}"#;
    vec![seed(0, FIXTURE), seed(0, braces), seed(1, &compressed)]
}

pub(super) fn body(data: &[u8]) {
    match mode(data, 2) {
        (0, rest) => read(rest),
        (_, rest) => {
            if let Ok(body) = bundle::decode(rest, Encoding::Zstd) {
                assert!(body.len() <= bundle::BODY_MAX, "more than is allowed came out");
                read(&body);
            }
        }
    }
}

/// What reads as a bundle has one canonical form, which reads back as the same; it compiles or says why not.
fn read(body: &[u8]) {
    let Ok(found) = Bundle::from_body(body) else { return };
    let _ = CompiledSet::compile(&found);
    let canonical = found.into_body().expect("what was read can be written");
    let again = Bundle::from_body(&canonical).expect("what was written can be read");
    assert_eq!(to_canonical(&again).expect("a form"), canonical, "the parts are in their order");
    assert_eq!(again.into_body().expect("what was read can be written"), canonical);
}

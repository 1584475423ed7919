//! What agents and FORGE tell one another in JSON: status, enrolment, connection.

use schemas::connect::Connection;
use schemas::status::{AgentStatus, EnrolAnswer, EnrolRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{mode, seed};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let scope = json!({ "organisation": "acme", "project": "support", "environment": "dev" });
    let digest = format!("sha256:{}", "a".repeat(64));
    let status = json!({
        "schema_version": 1, "agent": "agent-1", "scope": scope, "identity": "U", "host": "h", "service": "shop",
        "agent_version": "0.1.0", "mode": "ACCEPTING", "at": 1, "started_at": 1, "stale": false, "floor": 4, "cache": "disk",
        "sets": [{
            "set": "chat",
            "active": { "publication": "p", "serial": 3, "version": "1.0.0+b", "digest": digest, "activated_at": 2 },
            "pending": { "state": "refused", "serial": 4, "at": 3, "reason": { "code": "old_serial", "message": "m" } },
            "head_serial": 4
        }],
        "counters": { "renders": 1, "render_errors": 0 },
    });
    let enrol = json!({
        "schema_version": 1, "agent": "agent-1", "scope": scope, "identity": "U", "host": "h", "service": "",
        "agent_version": "0.1.0", "mode": "FROZEN", "at": 1, "signature": "c2ln",
    });
    let answer =
        json!({ "result": "enrolled", "stream": "s", "consumer": null, "heartbeat_ms": 1, "status_ms": 2 });
    let connection = json!({
        "schema_version": 1, "servers": ["nats://127.0.0.1:4222"], "scope": scope, "roots": ["O"], "forge_url": "http://a",
    });
    (0..).zip([status, enrol, answer, connection]).map(|(n, v)| seed(n, v.to_string().as_bytes())).collect()
}

/// What reads is written so that it reads as the same.
fn both_ways<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(data: &[u8]) -> Option<T> {
    let found: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_vec(&found).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("and read"), found);
    Some(found)
}

pub(super) fn body(data: &[u8]) {
    match mode(data, 4) {
        (0, rest) => drop(both_ways::<AgentStatus>(rest)),
        (1, rest) => {
            if let Some(request) = both_ways::<EnrolRequest>(rest) {
                // What is signed does not hang on the signature.
                let other = EnrolRequest { signature: "another".into(), ..request.clone() };
                assert_eq!(request.signed_bytes(), other.signed_bytes());
                assert!(!request.signed_bytes().is_empty());
            }
        }
        (2, rest) => drop(both_ways::<EnrolAnswer>(rest)),
        (_, rest) => drop(both_ways::<Connection>(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_good() {
        let seeds = seeds();
        assert!(
            both_ways::<AgentStatus>(&seeds[0][1..]).is_some(),
            "{:?}",
            serde_json::from_slice::<AgentStatus>(&seeds[0][1..]).err()
        );
        assert!(both_ways::<EnrolRequest>(&seeds[1][1..]).is_some());
        assert!(both_ways::<EnrolAnswer>(&seeds[2][1..]).is_some());
        assert!(both_ways::<Connection>(&seeds[3][1..]).is_some());
    }
}

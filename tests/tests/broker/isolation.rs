//! The whole table of who may do what ([`nats_config::access`]), and everything that is not in it, tried on a real
//! server with the protocol by hand.

use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use nats_config::access::{self, Act, Who};
use nats_config::{account, header, stream, subject, system};
use publisher::jwt::{self, Claims};
use publisher::keys::{Key, Kind};
use publisher::{MintedCredential, Project, ProjectKeys, Role, credentials};
use schemas::{Scope, Slug};
use serde_json::{Value, json};
use tests::nats::{TestBroker, now};
use tests::until::{secs, until};

use super::raw::Raw;

/// Another project of the organisation, and a project of another organisation of the same name.
struct Neighbours {
    keys: ProjectKeys,
    scope: Scope,
}

async fn neighbour(test: &TestBroker, organisation: &str, project: &str) -> Result<Neighbours> {
    let keys = ProjectKeys::generate();
    let scope = Scope::new(organisation, project, "dev")?;
    let project = Project {
        organisation: scope.organisation.clone(),
        project: scope.project.clone(),
        environments: vec![scope.environment.clone()],
        revocations: Vec::new(),
    };
    test.broker.ensure_project(&project, &keys).await?;
    test.broker.ensure_environment(&scope).await?;
    Ok(Neighbours { keys, scope })
}

/// Own environment, another one, another project, another organisation.
async fn places(test: &TestBroker) -> Result<([Scope; 4], [Neighbours; 2])> {
    let others = [neighbour(test, "acme", "billing").await?, neighbour(test, "rival", "support").await?];
    let scopes = [test.scope("dev"), test.scope("prod"), others[0].scope.clone(), others[1].scope.clone()];
    Ok((scopes, others))
}

/// A user that an account signs itself.
fn signed_by(account: &Key, user: Key, mut nats: Value) -> Result<MintedCredential> {
    for limit in ["subs", "data", "payload"] {
        nats[limit] = json!(-1);
    }
    nats["type"] = json!("user");
    nats["version"] = json!(2);
    let claims = Claims {
        jti: String::new(),
        iat: now() / 1_000_000,
        exp: None,
        iss: account.public().to_owned(),
        name: "walker".into(),
        sub: user.public().to_owned(),
        nats,
    };
    let creds = jwt::credentials_file(&jwt::mint(account, claims)?, &user);
    Ok(MintedCredential { public_key: user.public().to_owned(), creds, issued: 0, expires: None })
}

/// A user of this kind whose own place is `acme/support/dev`.
fn user(test: &TestBroker, who: Who) -> Result<MintedCredential> {
    let scope = test.scope("dev");
    let own = |account: &Key, permissions: fn(&str) -> account::Permissions| {
        let user = Key::generate(Kind::User);
        let permissions = serde_json::to_value(permissions(user.public()))?;
        signed_by(account, user, permissions)
    };
    Ok(match who {
        Who::Agent => credentials::mint(&test.project_keys, Role::Agent, &scope, "agent", None)?,
        Who::Inspect => credentials::mint(&test.project_keys, Role::Inspect, &scope, "inspect", None)?,
        Who::Forge => own(&test.keys.forge_account, account::forge_permissions)?,
        Who::System => own(&test.keys.system_account, account::system_permissions)?,
        Who::Stray => {
            signed_by(&test.project_keys.account, Key::generate(Kind::User), json!({ "pub": {}, "sub": {} }))?
        }
    })
}

/// Every call of the JetStream API, with `S` for a stream and `C` for a consumer.
const CALLS: [&str; 38] = [
    "INFO",
    "ACCOUNT.INFO",
    "ACCOUNT.PURGE.x",
    "STREAM.CREATE.S",
    "STREAM.UPDATE.S",
    "STREAM.DELETE.S",
    "STREAM.PURGE.S",
    "STREAM.INFO.S",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.MSG.GET.S",
    "STREAM.MSG.DELETE.S",
    "STREAM.SNAPSHOT.S",
    "STREAM.RESTORE.S",
    "STREAM.PEER.REMOVE.S",
    "STREAM.LEADER.STEPDOWN.S",
    "STREAM.TEMPLATE.CREATE.x",
    "STREAM.TEMPLATE.NAMES",
    "CONSUMER.CREATE.S",
    "CONSUMER.CREATE.S.C",
    "CONSUMER.CREATE.S.C.forge.acme.support.dev.bundle.x",
    "CONSUMER.DURABLE.CREATE.S.C",
    "CONSUMER.DELETE.S.C",
    "CONSUMER.INFO.S.C",
    "CONSUMER.LIST.S",
    "CONSUMER.NAMES.S",
    "CONSUMER.PAUSE.S.C",
    "CONSUMER.UNPIN.S.C",
    "CONSUMER.RESET.S.C",
    "CONSUMER.LEADER.STEPDOWN.S.C",
    "CONSUMER.MSG.NEXT.S.C",
    "DIRECT.GET.S",
    "DIRECT.GET.S.x",
    "DIRECT.GET.S.forge.acme.support.dev.bundle.chat",
    "META.LEADER.STEPDOWN",
    "META.SERVER.REMOVE",
    "SERVER.REMOVE",
    "STREAM.>",
];

/// Names that are none, and some that are longer than any.
const ODD: [&str; 16] = [
    "*",
    ">",
    "..",
    "a..b",
    ".",
    "é",
    "\u{202e}",
    "\u{0}",
    "\u{7f}",
    "a\tb",
    "{{tag(env)}}",
    "$SYS",
    "%2e",
    "..%2f",
    "A",
    "-",
];

/// Every subject of a place that has a name: of the table, of the JetStream API, and some that nobody uses.
fn subjects(place: &Scope, owner: &str) -> Vec<String> {
    let (stream, prefix) = (subject::stream(place), subject::prefix(place));
    let set = Slug::new("chat").expect("a slug");
    let mut all = Vec::new();
    for rule in access::TABLE {
        let filled = access::allowed(rule.who, rule.act, place, owner);
        for pattern in filled {
            // As it stands, and with something in each place.
            all.push(pattern.replace('*', "chat").replace('>', "chat.x"));
            all.push(pattern);
        }
    }
    for call in CALLS {
        let call = call.replace(".S", &format!(".{stream}")).replace(".C", ".agent-1");
        all.push(format!("{}.{call}", system::JETSTREAM_PREFIX));
        all.push(format!("{}.{call}", subject::JETSTREAM_PREFIX));
    }
    all.extend([
        subject::bundle(place, &set),
        format!("{prefix}.ctl.bundle.chat"),
        subject::heartbeat(place),
        format!("{prefix}.>"),
        format!("{prefix}.*.>"),
        format!("{prefix}.status"),
        format!("{prefix}.status.a.b"),
        format!("{prefix}.enroll"),
        format!("{prefix}.other.x"),
        format!("{}.{stream}.agent-1.1.1.1.1.1", system::ACK_PREFIX),
        format!("{}.{stream}", system::ACK_PREFIX),
        format!("$JSC.R.{stream}"),
        format!("$KV.{stream}.x"),
        format!("$O.{stream}.C.x"),
        format!("{}.x", subject::inbox(owner)),
        format!("{}.>", subject::inbox(owner)),
    ]);
    for odd in ODD {
        all.push(format!("{prefix}.status.{odd}"));
        all.push(format!("{prefix}.ctl.{odd}"));
        all.push(format!("{prefix}.{odd}"));
        all.push(format!("forge.{odd}.{}.{}.status.x", place.project, place.environment));
        all.push(format!("{}.DIRECT.GET.{odd}", subject::JETSTREAM_PREFIX));
    }
    all
}

/// Subjects of no place.
fn everywhere() -> Vec<String> {
    let mut all: Vec<String> = [
        ">",
        "*",
        "*.>",
        "*.*",
        "*.*.*.*.*.*",
        "forge.>",
        "forge.*.*.*.bundle.*",
        "forge.*.*.*.ctl.>",
        "forge.*.*.*.status.*",
        "forge.acme.>",
        "forge.acme.support.>",
        "forge.acme.*.dev.status.x",
        "forge.acme.support.*.ctl.>",
        "FJS.>",
        "FJS.API.>",
        "FJS.API.*",
        "$JS.>",
        "$JS.API.>",
        "$JS.ACK.>",
        "$JS.ACK.*.*.>",
        "$JS.EVENT.>",
        "$JS.EVENT.ADVISORY.>",
        "$JS.FC.>",
        "$SYS.>",
        "$SYS.REQ.>",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.SERVER.x.RELOAD",
        "$SYS.REQ.SERVER.x.LDM",
        "$SYS.REQ.SERVER.x.VARZ",
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
        "$SYS.REQ.ACCOUNT.x.INFO",
        "$SYS.REQ.ACCOUNT.x.SUBSZ",
        "$SYS.REQ.CLAIMS.LIST",
        "$SYS.REQ.CLAIMS.DELETE",
        "$SYS.REQ.CLAIMS.PACK",
        "$SYS.REQ.USER.INFO",
        "$SYS.ACCOUNT.>",
        "$SYS.ACCOUNT.x.CLAIMS.UPDATE",
        "$SYS.SERVER.>",
        "$SYS.LATENCY.M2.x",
        "_INBOX.>",
        "_INBOX.somebody",
        "_INBOX_*.>",
        "_INBOX*.>",
        "_R_.>",
        "$SRV.PING",
        "$KV.>",
        "$O.>",
        "$MQTT.>",
        "$GR.x",
        "_GR_.>",
        "anything",
        "a.b.c",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    all.push(system::claims_lookup("x"));
    all.push(system::connections("x"));
    all.push(system::kick("x"));
    all.push(system::CLAIMS_UPDATE.to_owned());
    all
}

/// Subjects put together from the words of the others.
fn generated(seed: u64, count: usize, places: &[Scope]) -> Vec<String> {
    let streams: Vec<String> = places.iter().map(subject::stream).collect();
    let mut words = vec![
        "FJS",
        "API",
        "$JS",
        "$SYS",
        "REQ",
        "ACK",
        "STREAM",
        "CONSUMER",
        "INFO",
        "MSG",
        "NEXT",
        "DIRECT",
        "GET",
        "LIST",
        "NAMES",
        "forge",
        "acme",
        "rival",
        "support",
        "billing",
        "dev",
        "prod",
        "bundle",
        "ctl",
        "status",
        "enroll",
        "heartbeat",
        "chat",
        "agent-1",
        "*",
        ">",
        "x",
        "ACCOUNT",
        "SERVER",
        "CLAIMS",
        "UPDATE",
        "CONNZ",
        "KICK",
        "LOOKUP",
        "CONNECT",
    ];
    words.extend(streams.iter().map(String::as_str));
    let mut state = seed | 1;
    let mut roll = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap_or(0) % sides
    };
    (0..count)
        .map(|n| {
            // Every other one starts as a real one does.
            let mut subject: Vec<&str> = match n % 6 {
                1 => vec!["FJS", "API"],
                3 => vec!["forge", "acme", "support"],
                5 => vec!["forge"],
                _ => Vec::new(),
            };
            for _ in 0..=roll(6) {
                subject.push(words[roll(words.len())]);
            }
            subject.join(".")
        })
        .collect()
}

/// What the server makes of one try, and whether that is what the table says.
struct Walker<'t> {
    test: &'t TestBroker,
    who: Who,
    credential: MintedCredential,
    scope: Scope,
    raw: Raw,
    tried: usize,
    allowed: usize,
    wrong: Vec<String>,
}

impl<'t> Walker<'t> {
    async fn new(test: &'t TestBroker, who: Who) -> Result<Self> {
        let credential = user(test, who)?;
        let raw = Raw::connect(&test.server.url(), Some(&credential)).await?;
        Ok(Self {
            test,
            who,
            credential,
            scope: test.scope("dev"),
            raw,
            tried: 0,
            allowed: 0,
            wrong: Vec::new(),
        })
    }

    fn may(&self, act: Act, subject: &str) -> bool {
        access::may(self.who, act, &self.scope, &self.credential.public_key, subject)
    }

    /// A subject that the server cannot take apart is nobody's.
    fn is_subject(act: Act, subject: &str) -> bool {
        let tokens: Vec<&str> = subject.split('.').collect();
        !subject.contains([' ', '\t', '\r', '\n'])
            && tokens.iter().all(|token| !token.is_empty())
            && (act == Act::Publish || tokens.iter().rev().skip(1).all(|token| *token != ">"))
    }

    async fn refused(&mut self, act: Act, subject: &str) -> Result<bool> {
        self.tried += 1;
        match act {
            Act::Publish => self.raw.publish(subject, None, b"x").await,
            Act::Subscribe => {
                let id = self.tried;
                // Every other one as a member of a queue.
                let queue = if id.is_multiple_of(2) { " workers" } else { "" };
                self.raw.send(format!("SUB {subject}{queue} {id}\r\nUNSUB {id}\r\n").as_bytes()).await;
            }
        }
        let heard = self.raw.settle().await?;
        if heard.closed {
            self.raw = Raw::connect(&self.test.server.url(), Some(&self.credential)).await?;
        }
        let unread = heard.errors.iter().any(|e| e.contains("Invalid"));
        Ok(heard.refused() || unread)
    }

    async fn try_one(&mut self, act: Act, subject: &str) -> Result<()> {
        let may = self.may(act, subject);
        let refused = self.refused(act, subject).await?;
        if may {
            self.allowed += 1;
        }
        if may == refused && Self::is_subject(act, subject) {
            let (right, wrong) = if may { ("may", "refuses") } else { ("may not", "lets") };
            self.wrong.push(format!("{:?} {right} {act:?} {subject:?}; the server {wrong} it", self.who));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_do_what_the_table_says_and_nothing_else() -> Result<()> {
    let test = TestBroker::start().await?;
    let (scopes, others) = places(&test).await?;
    let stranger = credentials::mint(&others[1].keys, Role::Agent, &others[1].scope, "stranger", None)?;
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let started = Instant::now();
    let walks = Who::ALL.map(|who| {
        let (test, scopes, stranger) = (&test, &scopes, &stranger);
        async move {
            let mut walker = Walker::new(test, who).await?;
            let own = walker.credential.public_key.clone();
            let mut all = everywhere();
            for scope in scopes {
                all.extend(subjects(scope, &own));
                all.extend(subjects(scope, &stranger.public_key));
            }
            all.extend(generated(8_785, 3_000, scopes));
            all.sort();
            all.dedup();
            for act in Act::ALL {
                for subject in &all {
                    // FORGE may do all of the API; a walk that does it would pull streams from under the others.
                    let spared = who == Who::Forge && act == Act::Publish && walker.may(act, subject);
                    if !spared {
                        walker.try_one(act, subject).await?;
                    }
                }
            }
            anyhow::Ok((who, walker.tried, walker.allowed, walker.wrong))
        }
    });
    let done = try_join_all(walks).await?;
    println!("in {:?}", started.elapsed());
    for (who, tried, allowed, wrong) in done {
        println!("{who:?}: {tried} tried, {allowed} of them allowed");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(tried > 6_000, "{who:?}: {tried}");
        assert_eq!(allowed > 5, who != Who::Stray, "{who:?}: {allowed} were allowed");
    }
    // Nobody but FORGE wrote anything, and every stream is as it was.
    for scope in &scopes {
        let mut stream = test.broker.jetstream().get_stream(subject::stream(scope)).await?;
        let expected = u64::from(
            scope.environment.as_str() == "dev"
                && scope.project.as_str() == "support"
                && scope.organisation.as_str() == "acme",
        );
        assert_eq!(stream.info().await?.state.messages, expected, "{scope}");
    }
    Ok(())
}

#[tokio::test]
async fn who_has_no_credential_is_not_let_in() -> Result<()> {
    let test = TestBroker::start().await?;
    let url = test.server.url();
    assert!(Raw::connect(&url, None).await.is_err());
    // One whose key is not the one in the token.
    let (mine, _) = test.mint("mine")?;
    let (other, _) = test.mint("other")?;
    let (token, own) = jwt::read_credentials(&mine.creds)?;
    let (_, seed) = jwt::read_credentials(&other.creds)?;
    let thief = Key::from_seed(&seed, Kind::User, "thief")?;
    let stolen = MintedCredential { creds: jwt::credentials_file(&token, &thief), ..mine.clone() };
    assert!(Raw::connect(&url, Some(&stolen)).await.is_err(), "a stolen token was taken without its key");
    // One with a letter of the token changed: another environment, say.
    let (head, rest) = token.split_once('.').context("a token")?;
    let flipped = format!("{head}.A{}", &rest[1..]);
    let own = Key::from_seed(&own, Kind::User, "own")?;
    let changed = MintedCredential { creds: jwt::credentials_file(&flipped, &own), ..mine.clone() };
    assert!(Raw::connect(&url, Some(&changed)).await.is_err());
    assert!(Raw::connect(&url, Some(&mine)).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_subject_of_four_kilobytes_or_without_sense_harms_nobody() -> Result<()> {
    let test = TestBroker::start().await?;
    let (agent, _) = test.mint("agent")?;
    let url = test.server.url();
    let mut bystander = Raw::connect(&url, Some(&agent)).await?;
    let prefix = subject::prefix(&test.scope("dev"));
    for subject in [
        format!("{prefix}.status.{}", "a".repeat(4_096)),
        format!("{prefix}.status.{}", "a".repeat(3_000)),
        "a.".repeat(2_047),
        format!("{prefix}{}", ".a".repeat(1_500)),
        format!("{prefix}.status.a b c d"),
        format!("{prefix}.status.\u{0}\u{1}\u{7f}"),
        format!("{prefix}.bundle.chat\r\nPUB {prefix}.bundle.chat 1"),
        String::new(),
        "\u{feff}".to_owned(),
    ] {
        for act in ["PUB", "SUB"] {
            let mut raw = Raw::connect(&url, Some(&agent)).await?;
            raw.send(format!("{act} {subject} 1\r\nx\r\n").as_bytes()).await;
            let _ = raw.settle().await;
        }
        let heard = bystander.settle().await?;
        assert!(!heard.closed && heard.errors.is_empty(), "{subject:?}: {heard:?}");
    }
    assert_eq!(
        test.broker.last(&test.scope("dev"), &Slug::new("chat")?).await?,
        None,
        "something was stored"
    );
    // FORGE is still there, and hears an honest agent.
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    Ok(())
}

#[tokio::test]
async fn headers_that_steer_the_stream_open_no_bundle_subject() -> Result<()> {
    let test = TestBroker::start().await?;
    let (scopes, _others) = places(&test).await?;
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let set = Slug::new("chat")?;
    let before = test.broker.last(&scopes[0], &set).await?;
    let mut raw = Raw::connect(&test.server.url(), Some(&user(&test, Who::Agent)?)).await?;
    let headers = [
        (header::MESSAGE_ID, "x"),
        (header::EXPECTED_LAST_SUBJECT_SEQUENCE, "0"),
        (header::EXPECTED_STREAM, "FORGE_acme_support_dev"),
        ("Nats-Expected-Last-Sequence", "1"),
        ("Nats-Rollup", "all"),
        ("Nats-TTL", "1s"),
        ("Nats-Schedule", "@every 1s"),
        ("Nats-Schedule-Target", "forge.acme.support.dev.bundle.chat"),
        ("Nats-Service-Info", "{}"),
        ("Forge-Serial", "99"),
    ];
    for scope in &scopes {
        for target in [subject::bundle(scope, &set), subject::heartbeat(scope)] {
            for one in headers.iter().map(std::slice::from_ref).chain([&headers[..]]) {
                raw.publish_with(&target, one, b"x").await;
                assert!(raw.settle().await?.refused(), "{target} with {one:?}");
            }
        }
    }
    // Where an agent may publish they steer nothing either: what others said stays.
    let mut other = Raw::connect(&test.server.url(), Some(&user(&test, Who::Agent)?)).await?;
    other.publish(&subject::status(&scopes[0], &Slug::new("quiet")?), None, b"kept").await;
    other.settle().await?;
    for one in &headers {
        raw.publish_with(&subject::status(&scopes[0], &Slug::new("loud")?), &[*one], b"x").await;
    }
    // The stream takes one after the other up: behind this one, nothing of them is still to come.
    let last = subject::status(&scopes[0], &Slug::new("last")?);
    raw.publish(&last, None, b"x").await;
    raw.settle().await?;
    let statuses = test.broker.jetstream().get_stream(subject::STATUS_STREAM).await?;
    until("the last has arrived", secs(60), async || {
        statuses.get_last_raw_message_by_subject(&last).await.ok().map(|_| ())
    })
    .await;
    let quiet = subject::status(&scopes[0], &Slug::new("quiet")?);
    let kept = statuses.get_last_raw_message_by_subject(&quiet).await.context("what was said")?;
    assert_eq!(kept.payload, "kept");
    assert_eq!(test.broker.last(&scopes[0], &set).await?, before);
    for scope in &scopes[1..] {
        assert_eq!(test.broker.last(scope, &set).await?, None, "{scope}");
    }
    Ok(())
}

#[tokio::test]
async fn no_reply_subject_reaches_another_project_or_a_stream() -> Result<()> {
    let test = TestBroker::start().await?;
    let (scopes, others) = places(&test).await?;
    let set = Slug::new("chat")?;
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let consumer =
        test.broker.ensure_consumer(&scopes[0], &Slug::new("agent-1")?).await?.context("a consumer")?;
    let url = test.server.url();

    // Somebody listens wherever it could come out: in each neighbour's account, and in FORGE's own.
    let mut listeners = Vec::new();
    for other in &others {
        let spy = credentials::mint(&other.keys, Role::Agent, &other.scope, "spy", None)?;
        let mut raw = Raw::connect(&url, Some(&spy)).await?;
        let inbox = subject::inbox(&spy.public_key);
        raw.send(format!("SUB {inbox}.> 1\r\nSUB {} 2\r\n", subject::control(&other.scope)).as_bytes()).await;
        assert!(!raw.settle().await?.refused());
        listeners.push((raw, format!("{inbox}.x")));
    }
    // Within the project, an agent of another environment.
    let neighbour = credentials::mint(&test.project_keys, Role::Agent, &scopes[1], "prod", None)?;
    let mut prod = Raw::connect(&url, Some(&neighbour)).await?;
    let prod_inbox = subject::inbox(&neighbour.public_key);
    prod.send(format!("SUB {prod_inbox}.> 1\r\nSUB {} 2\r\n", subject::control(&scopes[1])).as_bytes()).await;
    assert!(!prod.settle().await?.refused());
    let operator = credentials::mint_operator(&test.keys, "operator", None)?;
    let mut forge = Raw::connect(&url, Some(&operator)).await?;
    forge.send(b"SUB forge.> 1\r\nSUB _INBOX.> 2\r\nSUB $SYS.> 3\r\n").await;
    forge.settle().await?;

    let mut targets = vec![
        "_INBOX.x".to_owned(),
        "$JS.API.STREAM.DELETE.FORGE_rival_support_dev".to_owned(),
        "$JS.API.STREAM.PURGE.FORGE_acme_support_dev".to_owned(),
        system::CLAIMS_UPDATE.to_owned(),
        subject::inbox(&operator.public_key) + ".x",
    ];
    targets.push(format!("{prod_inbox}.x"));
    targets.extend(listeners.iter().map(|(_, inbox)| inbox.clone()));
    for scope in &scopes {
        targets.extend([
            subject::bundle(scope, &set),
            format!("{}.ctl.bundle.chat", subject::prefix(scope)),
            subject::heartbeat(scope),
            subject::status(scope, &Slug::new("agent-1")?),
            subject::enrol(scope, &Slug::new("agent-1")?),
        ]);
    }
    let stream = subject::stream(&scopes[0]);
    let asked = [
        (subject::direct_get(&scopes[0]), r#"{"seq":1}"#.to_owned()),
        (subject::direct_get_last(&scopes[0], &set), String::new()),
        (
            subject::direct_get(&scopes[0]),
            format!(r#"{{"multi_last":["{}"],"batch":10}}"#, subject::bundles_below(&scopes[0])),
        ),
        (subject::consumer_next(&scopes[0], &consumer), r#"{"batch":1,"expires":100000000}"#.to_owned()),
        (format!("{}.CONSUMER.INFO.{stream}.{consumer}", subject::JETSTREAM_PREFIX), String::new()),
    ];
    let mut agent = Raw::connect(&url, Some(&user(&test, Who::Agent)?)).await?;
    for target in &targets {
        for (subject, question) in &asked {
            agent.publish(subject, Some(target), question.as_bytes()).await;
        }
    }
    agent.settle().await?;
    // A request of our own that comes after them is answered: they have been dealt with.
    let own = user(&test, Who::Agent)?;
    let client = test.client(&own).await?;
    client.request(asked[0].0.clone(), asked[0].1.clone().into()).await?;

    assert_eq!(test.broker.last(&scopes[0], &set).await?.map(|h| h.serial), Some(1));
    for scope in &scopes[1..] {
        assert_eq!(test.broker.last(scope, &set).await?, None, "{scope}: a reply was stored");
    }
    for ((mut raw, inbox), other) in listeners.into_iter().zip(&others) {
        let heard = raw.settle().await?;
        assert!(heard.messages.is_empty(), "{inbox}: {:?}", heard.messages);
        // It could have heard something: its own question is answered.
        raw.publish(&subject::direct_get(&other.scope), Some(&inbox), br#"{"seq":1}"#).await;
        until("its own answer", secs(60), async || {
            raw.settle().await.ok().filter(|heard| !heard.messages.is_empty()).map(|_| ())
        })
        .await;
    }
    // What lies within the project is one account: there a reply does come out, with words that are the server's or
    // FORGE's own. An agent believes none of them (`an_agent_is_not_moved_by_what_another_environment_sends_it`).
    for (subject, payload) in prod.settle().await?.messages {
        let own = subject.starts_with(&prod_inbox) || subject.starts_with(&subject::prefix(&scopes[1]));
        assert!(own, "{subject}");
        assert!(!String::from_utf8_lossy(&payload).contains("acme/support/prod"), "{subject}");
    }
    let heard = forge.settle().await?;
    let strange: Vec<&String> = heard
        .messages
        .iter()
        .map(|(subject, _)| subject)
        .filter(|s| !s.starts_with("$SYS") && !s.contains(".CONSUMER."))
        .collect();
    assert!(strange.is_empty(), "the account of FORGE heard {strange:?}");
    for scope in &scopes {
        let mut stream = test.broker.jetstream().get_stream(subject::stream(scope)).await?;
        assert_eq!(stream.info().await?.state.messages, u64::from(scope == &scopes[0]), "{scope}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_hears_the_inbox_of_another() -> Result<()> {
    let test = TestBroker::start().await?;
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let scope = test.scope("dev");
    let victim = user(&test, Who::Agent)?;
    let mut spies = Vec::new();
    for who in [Who::Agent, Who::Inspect, Who::Stray] {
        let mut raw = Raw::connect(&test.server.url(), Some(&user(&test, who)?)).await?;
        for spied in [
            format!("{}.>", subject::inbox(&victim.public_key)),
            format!("{}.*", subject::inbox(&victim.public_key)),
            "_INBOX_*.>".to_owned(),
            "_INBOX_*.*".to_owned(),
            "*.>".to_owned(),
            ">".to_owned(),
        ] {
            raw.send(format!("SUB {spied} 1\r\n").as_bytes()).await;
            assert!(raw.settle().await?.refused(), "{who:?} listens to {spied}");
        }
        spies.push(raw);
    }
    let client = test.client(&victim).await?;
    let answer = client.request(subject::direct_get(&scope), r#"{"seq":1}"#.into()).await?;
    assert!(!answer.payload.is_empty());
    for mut raw in spies {
        assert!(raw.settle().await?.messages.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn no_credential_fills_the_memory_of_the_broker_with_statuses() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut raw = Raw::connect(&test.server.url(), Some(&user(&test, Who::Agent)?)).await?;
    let scope = test.scope("dev");
    // Agents that there are not, each with as much as a status may hold, and then as many as fit.
    let (huge, large) = (vec![b'x'; 1 << 20], vec![b'x'; 1_000_000]);
    for n in 0..100 {
        let payload = if n < 20 { &huge } else { &large };
        raw.publish(&subject::status(&scope, &Slug::new(&format!("agent-{n}"))?), None, payload).await;
    }
    assert!(!raw.settle().await?.closed);
    raw.publish(&subject::status(&scope, &Slug::new("last")?), None, b"x").await;
    raw.settle().await?;
    let mut statuses = test.broker.jetstream().get_stream(subject::STATUS_STREAM).await?;
    let last = subject::status(&scope, &Slug::new("last")?);
    until("the last has arrived", secs(60), async || {
        statuses.get_last_raw_message_by_subject(&last).await.ok().map(|_| ())
    })
    .await;
    let held = statuses.info().await?.state.bytes;
    assert!(held <= u64::try_from(stream::STATUSES_MAX)?, "the broker holds {held} bytes");
    Ok(())
}

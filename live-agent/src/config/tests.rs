use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;

pub(crate) fn good() -> (Connection, String) {
    let connection = Connection {
        schema_version: connect::SCHEMA_VERSION,
        servers: vec!["nats://127.0.0.1:1".into()],
        scope: Scope::new("acme", "support", "dev").unwrap(),
        roots: vec![KeyPair::new_operator().public_key()],
        forge_url: None,
        tls: None,
    };
    (connection, creds(&KeyPair::new_user(), None))
}

fn creds(user: &KeyPair, expires: Option<i64>) -> String {
    let claims = serde_json::json!({ "sub": user.public_key(), "exp": expires }).to_string();
    format!("e30.{}.c2ln\n{}\n", URL_SAFE_NO_PAD.encode(claims), user.seed().unwrap())
}

#[test]
fn a_credential_that_is_cut_off_or_mixed_up_is_noticed() {
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let whole = creds(&user, Some(7));
    let read = Credential::read(whole.clone()).unwrap();
    assert_eq!((read.user, read.expires), (user.public_key(), Some(7_000_000)));
    for length in 0..whole.trim_end().len() {
        assert!(Credential::read(whole[..length].to_owned()).is_err(), "the first {length} bytes");
    }
    let mixed = whole.replace(&user.seed().unwrap(), &other.seed().unwrap());
    assert!(Credential::read(mixed).is_err());
}

fn key_of(error: &ConfigError) -> String {
    error.to_string().split([':', ' ']).next().unwrap_or_default().to_owned()
}

#[test]
fn every_bad_configuration_names_its_key() {
    let (connection, creds) = good();
    let whole = || Builder::default().connection(connection.clone()).credentials(creds.clone());
    let without = |change: fn(&mut Connection)| {
        let mut changed = connection.clone();
        change(&mut changed);
        Builder::default().connection(changed).credentials(creds.clone())
    };
    let cases = [
        ("connection", Builder::default().credentials(creds.clone())),
        ("credentials", Builder::default().connection(connection.clone())),
        ("connection", whole().connection_file("/none/of.json")),
        ("credentials", whole().credentials_file("/none/of.creds")),
        ("credentials", whole().credentials("no seed in here")),
        ("name", whole().name("Not A Slug")),
        ("baked_bundle", whole().or_from(|key| (key == "LIVE_BAKED").then(|| "/none".into())).unwrap()),
        ("connection", without(|c| c.servers.clear())),
        ("connection", without(|c| c.servers = vec!["nats://:::".into()])),
        ("connection", without(|c| c.roots = vec!["XYZ".into()])),
        ("connection", without(|c| c.schema_version = 99)),
        ("connection", without(|c| c.servers = vec!["nats://broker.example:4222".into()])),
        ("connection", without(|c| c.servers.push("nats://10.0.0.1:4222".into()))),
        (
            "connection",
            without(|c| {
                c.servers = vec!["tls://broker.example:4222".into()];
                c.tls = Some(connect::Tls { ca: Some("none".into()), pins: Vec::new() });
            }),
        ),
    ];
    for (key, builder) in cases {
        let error = builder.build().unwrap_err();
        assert_eq!(key_of(&error), key, "{error}");
    }
    assert!(whole().build().is_ok());
    let plain = without(|c| c.servers = vec!["nats://broker.example:4222".into()]);
    assert!(plain.allow_plain(true).build().is_ok(), "asked for by name");
}

#[test]
fn overrides_are_refused_in_production_unless_they_are_allowed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (mut connection, creds) = good();
    let builder = |connection: &Connection| {
        let builder = Builder::default().connection(connection.clone()).credentials(creds.clone());
        builder.overrides(folder.path())
    };
    assert!(builder(&connection).build().is_ok());
    let preset = builder(&connection).preset(Preset::Prod);
    assert_eq!(key_of(&preset.clone().build().unwrap_err()), "overrides");
    assert!(preset.allow_overrides(true).build().is_ok());
    for environment in ["prod", "production"] {
        connection.scope.environment = environment.parse().unwrap();
        assert_eq!(key_of(&builder(&connection).build().unwrap_err()), "overrides");
        // The preset says how much is taken upon oneself, not where one is.
        assert!(builder(&connection).preset(Preset::Dev).build().is_err());
        assert!(builder(&connection).allow_overrides(true).build().is_ok());
    }
    connection.scope.environment = "dev".parse().unwrap();
    let gone = builder(&connection).overrides(folder.path().join("none"));
    assert_eq!(key_of(&gone.build().unwrap_err()), "overrides");
}

#[test]
fn bounds_are_those_of_the_preset_where_none_is_given() {
    let (connection, creds) = good();
    let whole = || Builder::default().connection(connection.clone()).credentials(creds.clone());
    let rule = |seconds, action| Some(MaxAge { seconds, action });
    let of = |builder: Builder| builder.build().unwrap().max_age;
    assert_eq!(of(whole()), None);
    assert_eq!(of(whole().preset(Preset::Dev)), None);
    assert_eq!(of(whole().preset(Preset::Staging)), rule(7 * 86_400, AgeAction::Warn));
    assert_eq!(of(whole().preset(Preset::Prod)), rule(86_400, AgeAction::Warn));
    let own = whole().max_age(Duration::from_secs(5), AgeAction::Refuse).preset(Preset::Prod);
    assert_eq!(of(own), rule(5, AgeAction::Refuse));
    let none = whole().max_age(Duration::from_millis(900), AgeAction::Refuse);
    assert_eq!(key_of(&none.build().unwrap_err()), "max_age");
}

#[test]
fn a_service_is_what_forge_can_store() {
    let (connection, creds) = good();
    let of = |service: &str| {
        Builder::default().connection(connection.clone()).credentials(creds.clone()).service(service).build()
    };
    assert_eq!(of(&"ä".repeat(200)).unwrap().service.chars().count(), 200);
    for wrong in ["ä".repeat(201), "a\u{0}".into(), "a\nb".into()] {
        assert_eq!(key_of(&of(&wrong).unwrap_err()), "service", "{wrong:?}");
    }
}

#[test]
fn contracts_too_large_for_a_request_are_refused() {
    use schemas::prompt::Prompt;
    let (connection, creds) = good();
    let of = |prompts: usize| {
        let id = |n| format!("prompt-{n:0>100}").parse().unwrap();
        let prompts: Vec<Prompt> = (0..prompts).map(|n| Prompt::text(id(n), "")).collect();
        Contract::of("chat".parse().unwrap(), semver::Version::new(1, 0, 0), &prompts)
    };
    let whole = || Builder::default().connection(connection.clone()).credentials(creds.clone());
    assert!(whole().contract(of(1500)).build().is_ok());
    assert_eq!(key_of(&whole().contract(of(3000)).build().unwrap_err()), "contract");
    let many = whole().contract(of(1500)).contract(of(1500));
    assert_eq!(key_of(&many.build().unwrap_err()), "contract", "all travel together");
}

#[test]
fn the_environment_fills_in_what_is_not_given() {
    let (connection, creds) = good();
    let lookup = |key: &str| match key {
        "LIVE_NAME" => Some("from-environment".to_owned()),
        "LIVE_SERVICE" => Some("shop".to_owned()),
        "LIVE_MODE" => Some("Frozen".to_owned()),
        _ => None,
    };
    let builder = Builder::default().connection(connection).credentials(creds).name("given").memory_only();
    let config = builder.or_from(lookup).unwrap().build().unwrap();
    assert_eq!(config.name.unwrap().as_str(), "given");
    assert_eq!((config.service.as_str(), config.mode_default), ("shop", Mode::Frozen));
    assert_eq!(config.cache, CachePlace::Memory);
    let sleepy = |key: &str| (key == "LIVE_MODE").then(|| "sleepy".into());
    let error = Builder::default().or_from(sleepy).unwrap_err();
    assert_eq!(key_of(&error), "mode");
    assert!(error.to_string().contains("LIVE_MODE"), "{error}");
}

fn from(variables: &[(&str, &str)]) -> Config {
    let (connection, creds) = good();
    let lookup =
        |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, text)| (*text).to_owned());
    let builder = Builder::default().connection(connection).credentials(creds);
    builder.or_from(lookup).unwrap().build().unwrap()
}

#[test]
fn the_presets_of_the_table_are_those_that_are_built() {
    for preset in Preset::ALL {
        let config = from(&[("LIVE_PRESET", preset.as_str()), ("LIVE_MEMORY_ONLY", "1")]);
        let said = |key: &str| {
            let setting = options::find(key).unwrap();
            setting.of_preset(preset).unwrap_or(setting.default)
        };
        assert_eq!(config.remote_mode.to_string(), said("remote_mode"), "{preset:?}");
        let bound = config.max_age.map(|rule| Duration::from_secs(rule.seconds));
        assert_eq!(bound, read::bound(said("max_age")).unwrap(), "{preset:?}");
        if let Some(rule) = config.max_age {
            assert_eq!(rule.action.as_str(), said("max_age_action"), "{preset:?}");
        }
        assert_eq!(parse_mode(said("mode")).unwrap(), config.mode_default);
        assert_eq!(config.usage.to_string(), said("usage"));
        assert_eq!(StartPolicy::of(said("start"), START_AGE, START_WAIT), config.start_policy);
    }
    assert_eq!(read::duration(options::find("start_wait").unwrap().default), Ok(START_WAIT));
    assert_eq!(read::duration(options::find("start_age").unwrap().default), Ok(START_AGE));
}

#[test]
fn every_setting_of_an_agent_comes_from_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let config = from(&[
        ("LIVE_PRESET", "prod"),
        ("LIVE_MEMORY_ONLY", "yes"),
        ("LIVE_REMOTE_MODE", "true"),
        ("LIVE_PINS", "support==2.1.0,billing=^2"),
        ("LIVE_START", "age"),
        ("LIVE_START_WAIT", "5s"),
        ("LIVE_START_AGE", "2h"),
        ("LIVE_MAX_AGE", "12h"),
        ("LIVE_MAX_AGE_ACTION", "refuse"),
        ("LIVE_OVERRIDES", folder.path().to_str().unwrap()),
        ("LIVE_ALLOW_OVERRIDES", "1"),
        ("LIVE_USAGE", "off"),
    ]);
    assert_eq!(config.cache, CachePlace::Memory);
    // With the preset prod, that it was built at all says that overrides are allowed.
    assert!(config.remote_mode && config.overrides.is_some() && !config.usage);
    assert_eq!(config.pins.len(), 2);
    let (wait, age) = (Duration::from_secs(5), Duration::from_secs(7_200));
    assert_eq!(config.start_policy, StartPolicy::RequireAge { age, wait });
    assert_eq!(config.max_age, Some(MaxAge { seconds: 43_200, action: AgeAction::Refuse }));
    assert_eq!(config.overrides.as_deref(), Some(folder.path()));
    // One half of a rule; and none by name.
    let half = from(&[("LIVE_PRESET", "prod"), ("LIVE_MAX_AGE_ACTION", "refuse")]);
    assert_eq!(half.max_age, Some(MaxAge { seconds: 86_400, action: AgeAction::Refuse }));
    assert_eq!(from(&[("LIVE_PRESET", "prod"), ("LIVE_MAX_AGE", "none")]).max_age, None);
}

#[test]
fn what_was_given_counts_before_environment_and_that_before_a_file() {
    let (connection, creds) = good();
    let memory = |key: &str| (key == "LIVE_MEMORY_ONLY").then(|| "1".into());
    let folder = |key: &str| (key == "LIVE_CACHE_DIR").then(|| "/x".into());
    let whole = || Builder::default().connection(connection.clone()).credentials(creds.clone());
    let cache = |builder: Builder| builder.build().unwrap().cache;
    assert_eq!(
        cache(whole().or_from(folder).unwrap().or_from(memory).unwrap()),
        CachePlace::Disk("/x".into())
    );
    assert_eq!(cache(whole().or_from(memory).unwrap().or_from(folder).unwrap()), CachePlace::Memory);
    assert_eq!(cache(whole().cache_dir("/y").or_from(memory).unwrap()), CachePlace::Disk("/y".into()));
    let set: Slug = "support".parse().unwrap();
    let pins = |key: &str| (key == "LIVE_PINS").then(|| "support=1,other=2".into());
    let config = whole().pin(set.clone(), "^3".parse().unwrap()).or_from(pins).unwrap().build().unwrap();
    assert_eq!((config.pins[&set].to_string(), config.pins.len()), ("^3".into(), 2));
}

#[test]
fn no_secret_is_in_what_is_logged_of_a_configuration() {
    let (connection, creds) = good();
    let builder = Builder::default().connection(connection).credentials(creds.clone()).memory_only();
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    let seed = creds.lines().nth(1).unwrap();
    assert!(!shown.contains(seed), "{shown}");
}

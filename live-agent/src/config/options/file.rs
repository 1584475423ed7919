//! Reads settings from a file (TOML). A key that is none is an error that names its nearest neighbour.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Fault, Given, Kind, Origin, Place, Setting, find, nearest, read};

/// The part of the sidecar.
const SERVE: &str = "serve";

/// Reads a file, and says everything that is wrong with it at once.
///
/// # Errors
/// It cannot be read, is no TOML, or names what is no setting.
pub fn read(path: &Path) -> Result<Given, Vec<Fault>> {
    let all = std::fs::read_to_string(path).map_err(|error| {
        let why = format!("{} cannot be read: {error}", path.display());
        vec![Fault { key: "config".into(), why, origin: None }]
    })?;
    let file = Arc::new(path.to_owned());
    let at = |offset: usize| {
        let before = all.get(..offset.min(all.len())).unwrap_or(&all);
        Origin::File { path: Arc::clone(&file), line: before.matches('\n').count() + 1 }
    };
    let table = DeTable::parse(&all).map_err(|error| {
        let origin = at(error.span().map_or(0, |span| span.start));
        vec![Fault::of("config", error.message(), &origin)]
    })?;
    let (mut given, mut faults) = (Given::default(), Vec::new());
    let mut lines = Vec::new();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        match (name, value.get_ref()) {
            (SERVE, DeValue::Table(serve)) => {
                lines.extend(serve.iter().map(|(key, value)| (true, key, value)))
            }
            (SERVE, _) => {
                let why = "write a table: [serve], then lines such as connections = 512";
                faults.push(Fault::of(SERVE, why, &at(key.span().start)));
            }
            _ => lines.push((false, key, value)),
        }
    }
    for (in_serve, key, value) in lines {
        let (name, origin) = (key.get_ref().as_ref(), at(key.span().start));
        let here = |setting: &&Setting| setting.in_file() && (setting.place == Place::Serve) == in_serve;
        let Some(setting) = find(name).filter(here) else {
            faults.push(unknown(name, in_serve, &origin));
            continue;
        };
        match text(setting.kind, value, &at) {
            // As in the environment, what is empty is not said.
            Ok(text) if text.is_empty() => {}
            Ok(text) => {
                let text = if setting.kind == Kind::Path { beside(path, &text) } else { text };
                given.put(setting, text, origin);
            }
            Err(wrong) => {
                faults.extend(wrong.into_iter().map(|(why, origin)| Fault::of(setting.key, why, &origin)));
            }
        }
    }
    faults.extend(given.faults());
    faults.sort_by_key(|fault| match fault.origin {
        Some(Origin::File { line, .. }) => line,
        _ => 0,
    });
    if faults.is_empty() { Ok(given) } else { Err(faults) }
}

fn unknown(name: &str, in_serve: bool, origin: &Origin) -> Fault {
    let why = match (find(name), nearest(name)) {
        (Some(setting), _) if !setting.in_file() => {
            format!("it says which file there is: use --{} or {}", setting.flag, setting.variable)
        }
        (Some(_), _) if in_serve => "it is none of the sidecar's: write it above [serve]".into(),
        (Some(_), _) => "it is one of the sidecar's: write it below [serve]".into(),
        (None, Some(near)) => format!("there is no such setting; did you mean {near:?}?"),
        (None, None) => "there is no such setting; \"live config table\" lists them".into(),
    };
    Fault::of(name, why, origin)
}

/// A path in a file is meant from where the file is.
fn beside(file: &Path, text: &str) -> String {
    let folder = file.parent().map(PathBuf::from).unwrap_or_default();
    folder.join(text).to_string_lossy().into_owned()
}

type Wrong = Vec<(String, Origin)>;

/// The value as a flag would have it.
fn text(kind: Kind, value: &Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> Origin) -> Result<String, Wrong> {
    let wrong = |why: &str| Err(vec![(why.to_owned(), at(value.span().start))]);
    match (kind, value.get_ref()) {
        (Kind::Pins, DeValue::Table(table)) => pins(table, at),
        (Kind::Pins, _) => wrong("write a table: [pins], then lines such as support = \"^2\""),
        (Kind::Switch, DeValue::Boolean(value)) => Ok(value.to_string()),
        (Kind::Switch, _) => wrong("write true or false"),
        (Kind::Duration | Kind::Bound | Kind::Number | Kind::Part, DeValue::Integer(value))
            if value.radix() == 10 =>
        {
            Ok(value.as_str().to_owned())
        }
        (Kind::Part, DeValue::Float(value)) => Ok(value.as_str().to_owned()),
        (Kind::Words | Kind::Addresses, DeValue::Array(words)) => {
            let words: Option<Vec<&str>> = words.iter().map(|word| word.get_ref().as_str()).collect();
            match words {
                Some(words) => Ok(words.join(",")),
                None => wrong("write each between quotes"),
            }
        }
        (_, DeValue::String(value)) => Ok(value.to_string()),
        (Kind::Duration | Kind::Bound, _) => wrong("write a time such as \"30s\""),
        (Kind::Number, _) => wrong("write a whole number"),
        (Kind::Words | Kind::Addresses, _) => wrong("write a list, such as [\"one\", \"another\"]"),
        _ => wrong("write it between quotes"),
    }
}

fn pins(table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) -> Result<String, Wrong> {
    let (mut pins, mut wrong) = (Vec::new(), Vec::new());
    for (set, versions) in table {
        let (name, origin) = (set.get_ref(), at(set.span().start));
        let checked = versions
            .get_ref()
            .as_str()
            .ok_or_else(|| format!("{name}: write the versions between quotes, such as \"^2\""))
            .and_then(|versions| {
                name.parse::<schemas::Slug>().map_err(|error| format!("{name}: {error}"))?;
                read::versions(versions).map(|_| versions).map_err(|why| format!("{name}: {why}"))
            });
        match checked {
            Ok(versions) => pins.push(format!("{name}={versions}")),
            Err(why) => wrong.push((why, origin)),
        }
    }
    if wrong.is_empty() { Ok(pins.join(",")) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::{OPTIONS, commented};

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_says_every_setting_and_paths_are_beside_it() {
        let (folder, path) = written(
            "service = \"shop\"\njson = true\nmax_age = 3600\nstart_wait = \"5s\"\nbaked = \"prompts.baked\"\n\
             cache_dir = \"/var/cache/x\"\noverrides = \"\"\notlp_sample = 0.25\n\
             [pins]\nsupport = \"=2.1.0\"\nbilling = \">=1, <3\"\n\
             [serve]\nlisten = [\"127.0.0.1:1\", \"[::1]:2\"]\nsocket = \"live.http\"\nsocket_mode = \"0660\"\n\
             allow_host = \"a.internal\"\nconnections = 9\nno_token = true\ntoken_file = \"\"\n",
        );
        let given = read(&path).unwrap();
        let text = |key| given.get(key).unwrap().text.clone();
        assert_eq!(
            (text("service"), text("json"), text("max_age")),
            ("shop".into(), "true".into(), "3600".into())
        );
        assert_eq!(text("baked"), folder.path().join("prompts.baked").to_string_lossy());
        assert_eq!(text("cache_dir"), "/var/cache/x");
        assert_eq!(given.get("overrides"), None, "an empty path is none, and not the folder of the file");
        assert_eq!((text("otlp_sample"), text("connections")), ("0.25".into(), "9".into()));
        assert_eq!((text("listen"), text("allow_host")), ("127.0.0.1:1,[::1]:2".into(), "a.internal".into()));
        assert_eq!(text("socket"), folder.path().join("live.http").to_string_lossy());
        let pins = read::pins(&text("pins")).unwrap();
        assert_eq!(
            pins.iter().map(|(set, v)| format!("{set} {v}")).collect::<Vec<_>>(),
            ["billing >=1, <3", "support =2.1.0"]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_with_its_line() {
        let (_folder, path) = written(
            "serivce = \"shop\"\nmode = \"sleepy\"\njson = \"yes\"\nname = 7\nprofile = \"x\"\nusage = true\n\
             \n[pins]\nsupport = \"new\"\nbilling = 2\n[serve]\nlisten = [\"localhost:1\"]\nworkers = \"few\"\n\
             service = \"shop\"\nconections = 1\n",
        );
        let faults: Vec<String> = read(&path).unwrap_err().iter().map(ToString::to_string).collect();
        let all = faults.join("\n");
        for (line, part) in [
            (1, "serivce: there is no such setting; did you mean \"service\"?"),
            (2, "mode: write accepting or frozen"),
            (3, "json: write true or false"),
            (4, "name: write it between quotes"),
            (5, "profile: it says which file there is"),
            (9, "support: \"new\" is no version requirement"),
            (10, "billing: write the versions between quotes"),
            (12, "listen: \"localhost:1\" is no address"),
            (13, "workers: write a whole number"),
            (14, "service: it is none of the sidecar's"),
            (15, "conections: there is no such setting; did you mean \"connections\"?"),
        ] {
            let found = faults.iter().any(|f| f.contains(part) && f.ends_with(&format!("line {line})")));
            assert!(found, "line {line}, {part}:\n{all}");
        }
        assert_eq!(faults.len(), 11, "{all}");
        let (_folder, path) = written("listen = \"127.0.0.1:1\"\nserve = 7\n");
        let faults: Vec<String> = read(&path).unwrap_err().iter().map(ToString::to_string).collect();
        assert!(faults[0].contains("below [serve]") && faults[1].contains("write a table"), "{faults:?}");
        let (_folder, path) = written("service = \"shop\"\nname = \n");
        let broken = read(&path).unwrap_err();
        assert!(broken.len() == 1 && broken[0].to_string().contains("line 2"), "{broken:?}");
    }

    #[test]
    fn a_new_file_says_nothing_but_its_preset_and_all_of_it_can_be_uncommented() {
        let text = commented(Some(crate::config::Preset::Prod));
        let (_folder, path) = written(&text);
        let given = read(&path).unwrap();
        assert_eq!(given.preset(), Some(crate::config::Preset::Prod));
        assert!(OPTIONS.iter().filter(|s| given.get(s.key).is_some()).count() == 1);
        let uncommented: String = text
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            // What is empty is not said; a folder and none at all exclude each other.
            .filter(|line| !line.ends_with("= \"\""))
            .map(|line| format!("{line}\n"))
            .collect();
        let (_folder, path) = written(&uncommented);
        let given = read(&path).unwrap_or_else(|faults| panic!("{faults:?}\n{uncommented}"));
        assert_eq!(given.get("remote_mode").unwrap().text, "false");
        assert_eq!(given.get("max_age").unwrap().text, "1d");
        assert_eq!(given.get("connections").unwrap().text, "512");
    }
}

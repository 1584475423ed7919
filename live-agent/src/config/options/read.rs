//! Understands what somebody wrote for a setting.

use std::net::SocketAddr;
use std::time::Duration;

use schemas::Slug;
use schemas::envelope::AgeAction;
use semver::VersionReq;

use super::Kind;
use crate::config::Pins;

/// Whether `text` is a value of this kind; if not, what to write instead.
pub(crate) fn check(kind: Kind, text: &str) -> Result<(), String> {
    match kind {
        Kind::Text | Kind::Path | Kind::Words => Ok(()),
        Kind::Number => number(text).map(drop),
        Kind::Part => part(text).map(drop),
        Kind::Mode => mode(text).map(drop),
        Kind::Addresses => addresses(text).map(drop),
        Kind::Switch => switch(text).map(drop),
        Kind::Duration => duration(text).map(drop),
        Kind::Bound => bound(text).map(drop),
        Kind::Pins => pins(text).map(drop),
        Kind::OneOf(words) => {
            if words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
                return Ok(());
            }
            Err(format!("write {}", either(words)))
        }
    }
}

fn either(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

pub(crate) fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a whole number".into())
}

/// A part of a whole.
pub(crate) fn part(text: &str) -> Result<f64, String> {
    let part = text.parse::<f64>().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "write a number from 0 to 1".into())
}

/// Permissions, in octal digits.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok();
    mode.filter(|mode| *mode <= 0o777).ok_or_else(|| "write permissions such as 0600 or 0660".into())
}

pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

pub(crate) fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let wrong = |word: &str| format!("{word:?} is no address with its port, such as 127.0.0.1:7460");
    words(text).map(|word| word.parse().map_err(|_| wrong(word))).collect()
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 30s, 5m, 12h or 7d".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ms" => return Ok(Duration::from_millis(number)),
        "" | "s" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = seconds.and_then(|seconds: u64| number.checked_mul(seconds)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// None is no bound.
pub(crate) fn bound(text: &str) -> Result<Option<Duration>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let most = duration(text).map_err(|why| format!("{why}, or none"))?;
    if most < Duration::from_secs(1) { Err("write at least 1s, or none".into()) } else { Ok(Some(most)) }
}

pub(crate) fn age_action(text: &str) -> Result<AgeAction, String> {
    match text.to_ascii_lowercase().as_str() {
        "serve" => Ok(AgeAction::Serve),
        "warn" => Ok(AgeAction::Warn),
        "refuse" => Ok(AgeAction::Refuse),
        _ => Err("write serve, warn or refuse".into()),
    }
}

/// `support==2.1.0,billing=>=1,<3`: what does not begin with a set's name belongs to the one before.
pub(crate) fn pins(text: &str) -> Result<Pins, String> {
    let mut parts: Vec<(Slug, String)> = Vec::new();
    for part in words(text) {
        let begins = part.split_once('=').and_then(|(set, rest)| Some((set.trim().parse().ok()?, rest)));
        match (begins, parts.last_mut()) {
            (Some((set, requirement)), _) => parts.push((set, requirement.to_owned())),
            (None, Some((_, before))) => {
                before.push(',');
                before.push_str(part);
            }
            (None, None) => {
                return Err(format!("{part:?} names no set: write set=requirement, such as support=^2"));
            }
        }
    }
    let mut pins = Pins::new();
    for (set, requirement) in parts {
        let versions = self::versions(&requirement).map_err(|why| format!("{set}: {why}"))?;
        if pins.insert(set.clone(), versions).is_some() {
            return Err(format!("{set} is named twice"));
        }
    }
    Ok(pins)
}

/// A requirement such as `^2` or `=2.1.0`.
pub(crate) fn versions(text: &str) -> Result<VersionReq, String> {
    VersionReq::parse(text.trim())
        .map_err(|error| format!("{text:?} is no version requirement such as ^2 or =2.1.0: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_people_write_them() {
        let read = |text| pins(text).map(|p| p.iter().map(|(s, v)| format!("{s} {v}")).collect::<Vec<_>>());
        assert_eq!(read("support==2.1.0,billing=^2").unwrap(), ["billing ^2", "support =2.1.0"]);
        assert_eq!(read("a=>=1, <2 , b=1.2").unwrap(), ["a >=1, <2", "b ^1.2"]);
        assert_eq!(read("").unwrap(), Vec::<String>::new());
        for wrong in ["^2", "a=new", "a=1,a=2", "Not A Slug=1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_permissions_and_addresses_are_read_and_nothing_like_them() {
        assert_eq!(
            (number("0"), part("0.25"), mode("0660"), mode("0o600")),
            (Ok(0), Ok(0.25), Ok(0o660), Ok(0o600))
        );
        assert_eq!(addresses("127.0.0.1:1, [::1]:2").unwrap().len(), 2);
        for wrong in ["-1", "1.5", "", "many", "99999999999999999999"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        for wrong in ["1.01", "-0.1", "NaN", "inf", "", "half"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0999", "1000", "", "rw"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
        for wrong in ["localhost:7460", "127.0.0.1", ":7460", "127.0.0.1:7460,x"] {
            assert!(addresses(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_with_their_units() {
        for (text, seconds) in [("90", 90), ("30s", 30), ("5m", 300), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(bound("none").unwrap(), None);
        for wrong in ["", "s", "-1s", "1.5h", "3 weeks", "99999999999999999999d", "18446744073709551615d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(bound("0").is_err());
    }
}

//! The filters, tests and functions that templates may use, and what each costs.
//!
//! A filter that costs more than a step has a priced namesake, `__f_upper` for `upper`: it charges
//! first and then calls Tera's own. The guard writes its name into the template.

use tera::value::{Key, ValueKind};
use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

use super::budget::{self, charge, charge_deep, charge_shallow, charge_text};
use super::error::Limit;

/// What the guard writes before the name of a filter that is priced.
pub(super) const PRICED: &str = "__f_";
/// Charges all of a value and passes it on.
pub(super) const WEIGH: &str = "__w";
/// Charges the outermost level of a value and passes it on.
pub(super) const LOOK: &str = "__b";
/// Charges the outermost level of `v` and passes the subscript on.
pub(super) const INDEX: &str = "__i";
/// Charges a loop: the rest of the name is what one round costs.
pub(super) const LOOP: &str = "__l";
/// Longest `range`.
const RANGE_MAX: i128 = 10_000;

/// Filters that cost no more than a step.
const FREE: [&str; 6] = ["abs", "default", "first", "last", "nth", "round"];

/// How a filter is priced.
#[derive(Clone, Copy)]
enum Price {
    /// By the outermost level of its value.
    Shallow,
    /// By all of its value.
    Deep,
    /// By the text that it is going to build: bytes of it.
    Built(fn(&Value, &Kwargs) -> TeraResult<usize>),
    /// By what it compares, as often as it does.
    Compared(fn(u64) -> u64),
}

const PRICES: [(&str, Price); 30] = [
    ("capitalize", Price::Shallow),
    ("escape", Price::Built(escaped)),
    ("escape_html", Price::Built(escaped)),
    ("escape_xml", Price::Built(escaped)),
    ("float", Price::Shallow),
    ("get", Price::Shallow),
    ("group_by", Price::Shallow),
    ("indent", Price::Built(indented)),
    ("int", Price::Shallow),
    ("join", Price::Built(joined)),
    ("keys", Price::Shallow),
    ("length", Price::Shallow),
    ("lower", Price::Shallow),
    ("newlines_to_br", Price::Built(escaped)),
    ("pairs", Price::Shallow),
    ("pluralize", Price::Shallow),
    ("replace", Price::Built(replaced)),
    ("reverse", Price::Shallow),
    ("safe", Price::Deep),
    ("sort", Price::Compared(|n| u64::from(n.max(1).ilog2()) + 1)),
    ("split", Price::Built(pieces)),
    ("str", Price::Deep),
    ("title", Price::Shallow),
    ("trim", Price::Shallow),
    ("trim_end", Price::Shallow),
    ("trim_start", Price::Shallow),
    ("truncate", Price::Shallow),
    ("unique", Price::Compared(|n| n)),
    ("upper", Price::Shallow),
    ("values", Price::Shallow),
];

pub(super) const TESTS: [&str; 17] = [
    "array",
    "bool",
    "containing",
    "defined",
    "divisible_by",
    "ending_with",
    "even",
    "float",
    "integer",
    "iterable",
    "map",
    "none",
    "number",
    "odd",
    "starting_with",
    "string",
    "undefined",
];

pub(super) const FUNCTIONS: [&str; 2] = ["range", "throw"];

/// Every filter that a template may name.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    FREE.into_iter().chain(PRICES.into_iter().map(|(name, _)| name))
}

pub(super) fn is_free(name: &str) -> bool {
    FREE.contains(&name)
}

/// Registers what the guard wrote into a template, by the name it wrote.
pub(super) fn register(tera: &mut Tera, name: String) {
    if let Some(cost) = name.strip_prefix(LOOP).and_then(|cost| cost.parse::<u64>().ok()) {
        let price = move |value: &Value, _: Kwargs, _: &State<'_>| -> TeraResult<Value> {
            let rounds = charge_shallow(value)?;
            let length = value.len().map_or(rounds, |length| length as u64);
            charge(length.saturating_mul(cost))?;
            Ok(value.clone())
        };
        tera.register_filter(name, price);
        return;
    }
    let found = name.strip_prefix(PRICED).and_then(|own| PRICES.iter().find(|(known, _)| *known == own));
    if let Some((own, price)) = found {
        let priced = move |value: &Value, kwargs: Kwargs, state: &State<'_>| -> TeraResult<Value> {
            pay(*price, value, &kwargs)?;
            if *own == "group_by" { group_by(value, &kwargs) } else { state.call_filter(own, value, kwargs) }
        };
        tera.register_filter(name, priced);
    }
}

/// An engine with nothing in it but what templates may use.
pub(super) fn base() -> Tera {
    let mut tera = Tera::new();
    tera.autoescape_on(Vec::<&'static str>::new());
    tera.register_function("range", range);
    tera.register_function("throw", throw);
    tera.register_filter(WEIGH, |value: &Value, _: Kwargs, _: &State<'_>| -> TeraResult<Value> {
        charge_deep(value)?;
        Ok(value.clone())
    });
    tera.register_filter(LOOK, |value: &Value, _: Kwargs, _: &State<'_>| -> TeraResult<Value> {
        charge_shallow(value)?;
        Ok(value.clone())
    });
    tera.register_filter(INDEX, |value: &Value, kwargs: Kwargs, _: &State<'_>| -> TeraResult<Value> {
        if let Some(base) = kwargs.get::<&Value>("v")? {
            charge_shallow(base)?;
        }
        Ok(value.clone())
    });
    tera
}

fn pay(price: Price, value: &Value, kwargs: &Kwargs) -> TeraResult<()> {
    for (_, argument) in kwargs.iter() {
        charge_deep(argument)?;
    }
    match price {
        Price::Shallow => charge_shallow(value).map(drop),
        Price::Deep => charge_deep(value).map(drop),
        Price::Built(bytes) => {
            charge_shallow(value)?;
            charge_text(bytes(value, kwargs)?).map(drop)
        }
        Price::Compared(times) => {
            let units = charge_deep(value)?;
            let length = value.as_array().map_or(0, <[Value]>::len);
            charge(units.saturating_mul(times(length as u64)))
        }
    }
}

fn escaped(value: &Value, _: &Kwargs) -> TeraResult<usize> {
    Ok(value.as_str().map_or(0, str::len).saturating_mul(6))
}

fn replaced(value: &Value, kwargs: &Kwargs) -> TeraResult<usize> {
    let (Some(text), Some(from), Some(to)) =
        (value.as_str(), kwargs.get::<&str>("from").ok().flatten(), kwargs.get::<&str>("to").ok().flatten())
    else {
        return Ok(0);
    };
    Ok(text.matches(from).count().saturating_mul(to.len()).saturating_add(text.len()))
}

fn indented(value: &Value, kwargs: &Kwargs) -> TeraResult<usize> {
    let lines = value.as_str().map_or(0, |text| text.lines().count());
    // Tera takes no more than 1,000; an indentation is one character of up to four bytes.
    let width = kwargs.get::<usize>("width").ok().flatten().unwrap_or(4).min(1_000);
    Ok(lines.saturating_mul(width * 4).saturating_add(value.as_str().map_or(0, str::len)))
}

fn joined(value: &Value, kwargs: &Kwargs) -> TeraResult<usize> {
    let items = value.as_array().unwrap_or_default();
    let between = kwargs.get::<&str>("sep").ok().flatten().map_or(0, str::len);
    let units = charge_deep(value)?;
    Ok(items.len().saturating_mul(between).saturating_add(units as usize))
}

fn pieces(value: &Value, kwargs: &Kwargs) -> TeraResult<usize> {
    let (Some(text), Some(pat)) = (value.as_str(), kwargs.get::<&str>("pat").ok().flatten()) else {
        return Ok(0);
    };
    // A piece costs a value of its own beside its text.
    Ok((text.matches(pat).count() + 1).saturating_mul(32).saturating_add(text.len()))
}

/// Tera's own hands its groups out in random order; this one keeps the order in which they came.
fn group_by(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let items = value
        .as_array()
        .ok_or_else(|| Error::message(format!("`group_by` takes a list, found `{}`", value.name())))?;
    let attribute = kwargs.must_get::<&str>("attribute")?;
    let mut order: Vec<Key<'static>> = Vec::new();
    let mut groups: hashbrown::HashMap<Key<'static>, Vec<Value>> = hashbrown::HashMap::new();
    for item in items {
        let found = item
            .get_from_path(attribute)
            .ok_or_else(|| Error::message("`group_by` found an item without the attribute"))?;
        if found.is_none() {
            continue;
        }
        let key = key(found)?;
        charge_text(key.as_str().map_or(8, str::len))?;
        if let Some(group) = groups.get_mut(&key) {
            group.push(item.clone());
        } else {
            order.push(key.clone());
            groups.insert(key, vec![item.clone()]);
        }
    }
    let map: tera::Map = order
        .into_iter()
        .filter_map(|key| groups.remove(&key).map(|group| (key, Value::from(group))))
        .collect();
    Ok(Value::from(map))
}

fn key(value: &Value) -> TeraResult<Key<'static>> {
    let found = match value.kind() {
        ValueKind::Bool => value.as_bool().map(Key::Bool),
        ValueKind::U64 => value.as_u64().map(Key::U64),
        ValueKind::I64 => value.as_i64().map(Key::I64),
        ValueKind::U128 => value.as_u128().map(Key::U128),
        ValueKind::I128 => value.as_i128().map(Key::I128),
        ValueKind::String => value.as_str().map(|text| Key::from(text.to_owned())),
        _ => None,
    };
    found.ok_or_else(|| {
        Error::message(format!("`group_by` takes strings, integers and booleans, found `{}`", value.name()))
    })
}

fn range(kwargs: Kwargs, _: &State<'_>) -> TeraResult<Vec<i64>> {
    let start = kwargs.get::<i64>("start")?.unwrap_or_default();
    let end = kwargs.must_get::<i64>("end")?;
    let step = kwargs.get::<i64>("step_by")?.unwrap_or(1);
    if step == 0 {
        return Err(Error::message("`range` takes a step other than 0"));
    }
    if step > 0 && start > end {
        return Err(Error::message("`range` starts behind its end"));
    }
    let span = (i128::from(end) - i128::from(start)) * i128::from(step.signum());
    let step_size = i128::from(step).abs();
    let length = if span <= 0 { 0 } else { (span + step_size - 1) / step_size };
    if length > RANGE_MAX {
        return Err(budget::limit(Limit::Work));
    }
    charge(length as u64)?;
    Ok((0..length as i64).map(|index| start + index * step).collect())
}

fn throw(kwargs: Kwargs, _: &State<'_>) -> TeraResult<bool> {
    // The message may be made of values, so it is not repeated.
    let _: &str = kwargs.must_get("message")?;
    Err(budget::stop(budget::Stop::Thrown))
}

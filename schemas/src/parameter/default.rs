//! Fills in what was not given.

use tera::Value;
use tera::value::Key;

use super::check::property;
use super::{Kind, Parameter};
use crate::template::Values;

/// The defaults of the parameters themselves, by name.
pub(crate) fn of(parameters: &[Parameter]) -> Values {
    let mut values = Values::new();
    for parameter in parameters {
        if let Some(default) = &parameter.default {
            values.insert(parameter.name.clone(), default);
        }
    }
    values
}

/// Whether an object inside of a parameter has a default somewhere.
pub(crate) fn is_nested(parameters: &[Parameter]) -> bool {
    fn has(kind: &Kind) -> bool {
        match kind {
            Kind::List { items, .. } => has(items),
            Kind::Object { properties } => properties.iter().any(|p| p.default.is_some() || has(&p.kind)),
            _ => false,
        }
    }
    parameters.iter().any(|parameter| has(&parameter.kind))
}

/// The values with every default filled in, those inside of objects too.
///
/// `values` must have passed the check: no deeper is walked than the declarations go.
pub(crate) fn fill(parameters: &[Parameter], values: &Values) -> Values {
    let mut filled = values.clone();
    for parameter in parameters {
        if let Some(value) = values.get(&parameter.name).and_then(|value| inside(&parameter.kind, value)) {
            filled.replace(parameter.name.clone().into(), value);
        }
    }
    filled
}

/// The value with its defaults, where it has any.
fn inside(kind: &Kind, value: &Value) -> Option<Value> {
    match kind {
        Kind::List { items, .. } => {
            let list = value.as_array()?;
            Some(Value::from(
                list.iter()
                    .map(|item| inside(items, item).unwrap_or_else(|| item.clone()))
                    .collect::<Vec<_>>(),
            ))
        }
        Kind::Object { properties } if !properties.is_empty() => {
            let map = value.as_map()?;
            let mut entries: Vec<(Key<'static>, Value)> = Vec::with_capacity(properties.len());
            for parameter in properties {
                let value = match property(map, &parameter.name) {
                    Some(given) => inside(&parameter.kind, given).unwrap_or_else(|| given.clone()),
                    None => match &parameter.default {
                        Some(default) => Value::try_from_serializable(default).ok()?,
                        None => continue,
                    },
                };
                entries.push((Key::from(parameter.name.clone()), value));
            }
            // Sorted like every object that comes in.
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Some(Value::from(entries.into_iter().collect::<tera::Map>()))
        }
        _ => None,
    }
}

//! The values that a caller gives, in the form that the engine takes without a copy.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Map;
use tera::value::Key;
use tera::{Context, Value};

use crate::parameter::check::is_same;

/// Most bytes that the values of one render may weigh, counted roughly.
pub const VALUES_MAX: usize = 4 * 1024 * 1024;
/// Deepest nesting of lists and objects in one value.
pub const DEPTH_MAX: usize = 64;
/// What one value weighs beside its text, in bytes.
const VALUE_WEIGHT: usize = 24;

/// Named values for one render.
///
/// A value is data: nothing in it is ever read as a template. A null at the top is the same as a
/// value that is not given. Objects are kept sorted by key, so that a template which walks one
/// writes the same text everywhere.
#[derive(Clone, Default)]
pub struct Values {
    /// In the order they came.
    entries: Vec<(Cow<'static, str>, Value)>,
    /// The same, made when the engine first asks for it.
    context: OnceLock<Context>,
    weight: usize,
    fault: Option<Fault>,
}

/// Why values cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    #[error("{0} has no form that a template can read")]
    NotSerializable(String),
    #[error("{0} nests more than {DEPTH_MAX} lists and objects in one another")]
    TooDeep(String),
    #[error("together they weigh more than {VALUES_MAX} bytes; give less")]
    TooLarge,
    #[error("they are no named values: give a structure or a map")]
    NotAnObject,
}

/// Only the names: a value may be private.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("names", &self.names().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Values {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name`. What is wrong with a value is said when it is rendered with.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> &mut Self {
        let name = name.into();
        match Value::try_from_serializable(&value) {
            Ok(value) => self.insert_value(name, value),
            Err(_) => self.fault = Some(Fault::NotSerializable(name.into_owned())),
        }
        self
    }

    /// Takes the entries of a JSON object.
    #[must_use]
    pub fn from_json(object: Map<String, serde_json::Value>) -> Self {
        let mut values = Self::new();
        for (name, value) in object {
            values.insert(name, value);
        }
        values
    }

    /// Takes the fields of a structure, or the entries of a map, in the order that they have there.
    ///
    /// ```
    /// use schemas::template::{Fault, Values};
    ///
    /// let values = Values::of(&std::collections::BTreeMap::from([("name", "Ada")]))?;
    /// assert_eq!(values.names().collect::<Vec<_>>(), ["name"]);
    /// assert_eq!(Values::of(&"Ada").unwrap_err(), Fault::NotAnObject);
    /// # Ok::<(), Fault>(())
    /// ```
    ///
    /// # Errors
    /// [`Fault::NotAnObject`] where it is neither, and whatever else is wrong with it.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, Fault> {
        let value = Value::try_from_serializable(value)
            .map_err(|_| Fault::NotSerializable("the whole of them".into()))?;
        let mut values = Self::new();
        for (key, value) in value.into_map().ok_or(Fault::NotAnObject)? {
            values.insert_value(key.to_string().into(), value);
        }
        match values.fault.take() {
            None => Ok(values),
            Some(fault) => Err(fault),
        }
    }

    fn insert_value(&mut self, name: Cow<'static, str>, value: Value) {
        if value.is_none() || value.is_undefined() {
            return;
        }
        let value = match sorted(value) {
            Ok((value, weight)) => {
                self.weight = self.weight.saturating_add(weight);
                value
            }
            Err(TooDeep) => {
                self.fault = Some(Fault::TooDeep(name.into_owned()));
                return;
            }
        };
        if self.weight > VALUES_MAX {
            self.fault = Some(Fault::TooLarge);
            return;
        }
        self.replace(name, value);
    }

    /// The names that are set, in the order they came.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(name, _)| &**name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.get_near(name, 0)
    }

    /// The value of `name`, which probably stands at `place`.
    pub(crate) fn get_near(&self, name: &str, place: usize) -> Option<&Value> {
        let there = self.entries.get(place).filter(|(own, _)| is_same(own, name));
        there.or_else(|| self.entries.iter().find(|(own, _)| own == name)).map(|(_, value)| value)
    }

    /// Sets `name` to a value that is in order already.
    pub(crate) fn replace(&mut self, name: Cow<'static, str>, value: Value) {
        self.context = OnceLock::new();
        match self.entries.iter_mut().find(|(own, _)| *own == name) {
            Some((_, own)) => *own = value,
            None => self.entries.push((name, value)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn context(&self) -> &Context {
        self.context.get_or_init(|| {
            let mut context = Context::new();
            for (name, value) in &self.entries {
                context.insert_value(name.clone(), value.clone());
            }
            context
        })
    }

    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }
}

struct TooDeep;

/// Weighs `value`, and sorts every object in it by key where that is not so already.
fn sorted(value: Value) -> Result<(Value, usize), TooDeep> {
    let mut weight = 0;
    if is_sorted(&value, 0, &mut weight)? { Ok((value, weight)) } else { Ok((sort(&value), weight)) }
}

fn is_sorted(value: &Value, depth: usize, weight: &mut usize) -> Result<bool, TooDeep> {
    *weight = weight.saturating_add(scalar_weight(value));
    if depth >= DEPTH_MAX && (value.is_array() || value.is_map()) {
        return Err(TooDeep);
    }
    let mut in_order = true;
    if let Some(items) = value.as_array() {
        for item in items {
            in_order &= is_sorted(item, depth + 1, weight)?;
        }
    } else if let Some(map) = value.as_map() {
        let mut before: Option<&Key<'_>> = None;
        for (key, item) in map {
            *weight = weight.saturating_add(VALUE_WEIGHT + key.as_str().map_or(8, str::len));
            in_order &= before.is_none_or(|before| before <= key);
            before = Some(key);
            in_order &= is_sorted(item, depth + 1, weight)?;
        }
    }
    Ok(in_order)
}

/// Only called on what [`is_sorted`] has walked: it is no deeper than [`DEPTH_MAX`].
fn sort(value: &Value) -> Value {
    if let Some(items) = value.as_array() {
        Value::from(items.iter().map(sort).collect::<Vec<_>>())
    } else if let Some(map) = value.as_map() {
        let mut entries: Vec<(&Key<'static>, Value)> = map.iter().map(|(k, v)| (k, sort(v))).collect();
        entries.sort_by(|a, b| a.0.cmp(b.0));
        Value::from(entries.into_iter().map(|(k, v)| (k.clone(), v)).collect::<tera::Map>())
    } else {
        value.clone()
    }
}

fn scalar_weight(value: &Value) -> usize {
    VALUE_WEIGHT + value.as_str().map_or(0, str::len) + value.as_bytes().map_or(0, <[u8]>::len)
}

/// Values by name. A value is anything that serialises, and is only looked at; a name alone takes the
/// variable of that name.
///
/// ```
/// use schemas::vars;
///
/// let (name, tags) = ("Ada", vec!["new", "vip"]);
/// let values = vars! { name, tags, n: 3, r#type: "order" };
/// assert_eq!(values.names().collect::<Vec<_>>(), ["name", "tags", "n", "type"]);
/// assert_eq!(tags.len(), 2, "nothing is taken away");
/// assert_eq!(vars! {}.names().len(), 0);
/// ```
#[macro_export]
macro_rules! vars {
    (@value $name:ident) => { &$name };
    (@value $name:ident $value:expr) => { &$value };
    ($($name:ident $(: $value:expr)?),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut values = $crate::template::Values::new();
        $(values.insert($crate::template::bare_name(stringify!($name)), $crate::vars!(@value $name $($value)?));)*
        values
    }};
}

/// `type` of `r#type`: what [`vars!`] calls a value whose name is a word of Rust.
#[doc(hidden)]
#[must_use]
pub fn bare_name(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

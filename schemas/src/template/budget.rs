//! What a render may use, and the one counter per thread that it is taken from.

use std::cell::Cell;

use tera::{Error, TeraResult, Value};

use super::error::Limit;
use super::values::DEPTH_MAX;

/// Units of work that one render may use. A unit is about the cost of one step of the engine.
pub const FUEL: u64 = 1_000_000;
/// Longest text that a template may build on the way, in bytes.
pub const TEXT_MAX: usize = 2 * 1024 * 1024;
/// Longest rendered text, in bytes.
pub const OUTPUT_MAX: usize = 1024 * 1024;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    static STOPPED: Cell<Option<Stop>> = const { Cell::new(None) };
}

/// Why the guard stopped a render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Limit(Limit),
    /// The template called `throw`.
    Thrown,
}

/// Gives `work` a budget of its own, whatever runs around it, and says whether the guard stopped it.
pub(super) fn within<T>(fuel: u64, work: impl FnOnce() -> T) -> (T, Option<Stop>) {
    struct Restore(u64, Option<Stop>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
            STOPPED.set(self.1);
        }
    }
    let _restore = Restore(LEFT.replace(fuel), STOPPED.replace(None));
    let done = work();
    (done, STOPPED.get())
}

/// Stops the render.
pub(super) fn stop(why: Stop) -> Error {
    STOPPED.set(Some(why));
    Error::message("stopped by the guard")
}

pub(super) fn limit(limit: Limit) -> Error {
    stop(Stop::Limit(limit))
}

/// Takes `units` from the budget of this render.
pub(super) fn charge(units: u64) -> TeraResult<()> {
    match LEFT.get().checked_sub(units) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => Err(limit(Limit::Work)),
    }
}

/// Charges a text of `bytes` that is read or built.
pub(super) fn charge_text(bytes: usize) -> TeraResult<u64> {
    if bytes > TEXT_MAX {
        return Err(limit(Limit::Text));
    }
    let units = 1 + bytes as u64 / 16;
    charge(units)?;
    Ok(units)
}

/// Charges a value by its outermost level: what it costs to copy or to walk once.
pub(super) fn charge_shallow(value: &Value) -> TeraResult<u64> {
    if let Some(text) = value.as_str() {
        return charge_text(text.len());
    }
    let items = value.as_array().map_or(0, <[Value]>::len)
        + value.as_map().map_or(0, tera::Map::len)
        + value.as_bytes().map_or(0, <[u8]>::len);
    let units = 1 + items as u64;
    charge(units)?;
    Ok(units)
}

/// Charges all of a value, however often it holds the same part, and bounds its depth.
///
/// Each part is charged before it is walked into, so the walk itself ends with the budget.
pub(super) fn charge_deep(value: &Value) -> TeraResult<u64> {
    deep(value, 0)
}

fn deep(value: &Value, depth: usize) -> TeraResult<u64> {
    let mut units = charge_shallow(value)?;
    if !(value.is_array() || value.is_map()) {
        return Ok(units);
    }
    if depth >= DEPTH_MAX {
        return Err(limit(Limit::Depth));
    }
    if let Some(items) = value.as_array() {
        for item in items {
            units = units.saturating_add(deep(item, depth + 1)?);
        }
    } else if let Some(map) = value.as_map() {
        for (key, item) in map {
            units = units.saturating_add(charge_text(key.as_str().map_or(8, str::len))?);
            units = units.saturating_add(deep(item, depth + 1)?);
        }
    }
    Ok(units)
}

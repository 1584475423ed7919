//! What the schemas promise, seen from outside.

mod equal;
mod formats;
mod hostile;
mod parameters;
mod render;
mod trust;
mod wire;

//! What the schemas promise, from outside.

mod hostile;
mod render;

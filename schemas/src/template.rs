//! The bounded template engine.

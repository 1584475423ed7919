//! Hostile templates: each is refused when it is compiled, or stopped when it is rendered.

//! The broker's names and files, each spelled once.
//!
//! | module | what it holds |
//! |---|---|
//! | [`subject`] | every subject of FORGE and its agents |
//! | [`header`] | message headers |

pub mod header;
pub mod subject;

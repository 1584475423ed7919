//! live-agent

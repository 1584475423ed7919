//! A text, or the entries of a chat, as the editor's form holds them.

use schemas::prompt::{Message, Role};

/// The roles that the form offers; a placeholder is the place of the caller's messages.
pub(crate) const ROLES: [&str; 5] = ["system", "user", "assistant", "tool", PLACEHOLDER];
pub(crate) const PLACEHOLDER: &str = "placeholder";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum What {
    #[default]
    Text,
    Chat,
    Partial,
}

impl What {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Chat => "chat",
            Self::Partial => "partial",
        }
    }
}

/// A text, or one entry of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub role: String,
    pub text: String,
}

/// An entry of a chat, as the form holds it.
pub(super) fn part_of(message: &Message) -> Part {
    match message {
        Message::Message { role, template } => Part { role: role_name(*role).into(), text: template.clone() },
        Message::Placeholder { name } => Part { role: PLACEHOLDER.into(), text: name.clone() },
    }
}

/// The same, as a prompt holds it.
pub(super) fn message_of(part: &Part) -> Message {
    let role = match part.role.as_str() {
        PLACEHOLDER => return Message::Placeholder { name: part.text.trim().to_owned() },
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => Role::Other,
    };
    Message::Message { role, template: part.text.clone() }
}

pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other => "other",
    }
}

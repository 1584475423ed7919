//! The two protocols.

use serde_json::{Map, Value, json};

use crate::ask::{Ask, Role, Settings};
use crate::endpoint::Kind;
use crate::error::ModelError;

/// An answer has at most so many tokens where nobody says otherwise and the protocol wants it said.
const MAX_TOKENS: u64 = 1024;
/// The version of the protocol of Anthropic that is spoken.
pub(crate) const ANTHROPIC_VERSION: &str = "2023-06-01";
/// Most of what an endpoint says about a refusal that is passed on, in characters.
const SAID_MAX: usize = 300;

/// What one event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    InputTokens(u64),
    OutputTokens(u64),
    /// Why the model stopped.
    Stop(String),
    /// Nothing comes after it.
    End,
    /// The endpoint gave up.
    Failed(String),
}

/// The body of a request.
pub(crate) fn body(kind: Kind, model: &str, ask: &Ask) -> Result<Value, ModelError> {
    match kind {
        Kind::OpenAi if ask.messages.is_empty() => Err(ModelError::NothingToAnswer),
        Kind::OpenAi => Ok(completions(model, ask)),
        Kind::Anthropic => messages(model, ask),
    }
}

fn completions(model: &str, ask: &Ask) -> Value {
    let role = |role: Role| match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let messages: Vec<Value> =
        ask.messages.iter().map(|m| json!({ "role": role(m.role), "content": m.text })).collect();
    let mut body = Map::new();
    body.insert("model".into(), json!(model));
    body.insert("messages".into(), json!(messages));
    body.insert("stream".into(), json!(true));
    body.insert("stream_options".into(), json!({ "include_usage": true }));
    let Settings { max_tokens, max_completion_tokens, stop, response_format, .. } = &ask.settings;
    sampling(&ask.settings, &mut body);
    match (max_completion_tokens, max_tokens) {
        (Some(most), _) => drop(body.insert("max_completion_tokens".into(), json!(most))),
        (None, Some(most)) => drop(body.insert("max_tokens".into(), json!(most))),
        (None, None) => {}
    }
    if !stop.is_empty() {
        body.insert("stop".into(), json!(stop));
    }
    if let Some(format) = response_format {
        body.insert("response_format".into(), format.clone());
    }
    Value::Object(body)
}

fn messages(model: &str, ask: &Ask) -> Result<Value, ModelError> {
    let system: Vec<&str> =
        ask.messages.iter().filter(|m| m.role == Role::System).map(|m| m.text.as_str()).collect();
    let turns: Vec<Value> = ask
        .messages
        .iter()
        .filter(|m| m.role != Role::System)
        .map(
            |m| json!({ "role": if m.role == Role::User { "user" } else { "assistant" }, "content": m.text }),
        )
        .collect();
    if turns.is_empty() {
        return Err(ModelError::NothingToAnswer);
    }
    let most = ask.settings.max_tokens.or(ask.settings.max_completion_tokens).unwrap_or(MAX_TOKENS);
    let mut body = Map::new();
    body.insert("model".into(), json!(model));
    body.insert("max_tokens".into(), json!(most));
    body.insert("messages".into(), json!(turns));
    body.insert("stream".into(), json!(true));
    if !system.is_empty() {
        body.insert("system".into(), json!(system.join("\n\n")));
    }
    sampling(&ask.settings, &mut body);
    if !ask.settings.stop.is_empty() {
        body.insert("stop_sequences".into(), json!(ask.settings.stop));
    }
    Ok(Value::Object(body))
}

fn sampling(settings: &Settings, body: &mut Map<String, Value>) {
    if let Some(temperature) = settings.temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    if let Some(top_p) = settings.top_p {
        body.insert("top_p".into(), json!(top_p));
    }
}

/// What an event says. None: it is none of the protocol.
pub(crate) fn read(kind: Kind, data: &str) -> Option<Vec<Piece>> {
    if kind == Kind::OpenAi && data.trim() == "[DONE]" {
        return Some(vec![Piece::End]);
    }
    let event: Value = serde_json::from_str(data).ok()?;
    if !event.is_object() {
        return None;
    }
    if let Some(error) = event.get("error").filter(|e| !e.is_null()) {
        return Some(vec![Piece::Failed(clipped(error))]);
    }
    Some(match kind {
        Kind::OpenAi => of_completions(&event),
        Kind::Anthropic => of_messages(&event),
    })
}

fn of_completions(event: &Value) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let choice = &event["choices"][0];
    text(&choice["delta"]["content"], &mut pieces);
    stop(&choice["finish_reason"], &mut pieces);
    tokens(&event["usage"]["prompt_tokens"], Piece::InputTokens, &mut pieces);
    tokens(&event["usage"]["completion_tokens"], Piece::OutputTokens, &mut pieces);
    pieces
}

fn of_messages(event: &Value) -> Vec<Piece> {
    let mut pieces = Vec::new();
    match event["type"].as_str() {
        Some("message_start") => {
            tokens(&event["message"]["usage"]["input_tokens"], Piece::InputTokens, &mut pieces);
        }
        Some("content_block_delta") => text(&event["delta"]["text"], &mut pieces),
        Some("message_delta") => {
            stop(&event["delta"]["stop_reason"], &mut pieces);
            tokens(&event["usage"]["output_tokens"], Piece::OutputTokens, &mut pieces);
        }
        Some("message_stop") => pieces.push(Piece::End),
        _ => {}
    }
    pieces
}

fn text(value: &Value, pieces: &mut Vec<Piece>) {
    pieces.extend(value.as_str().filter(|t| !t.is_empty()).map(|t| Piece::Text(t.to_owned())));
}

fn stop(value: &Value, pieces: &mut Vec<Piece>) {
    pieces.extend(value.as_str().map(|why| Piece::Stop(why.chars().take(40).collect())));
}

fn tokens(value: &Value, piece: fn(u64) -> Piece, pieces: &mut Vec<Piece>) {
    pieces.extend(value.as_u64().map(piece));
}

/// The words of a refusal, for one line of a page.
pub(crate) fn refusal(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    clipped(value.get("error").unwrap_or(&value))
}

fn clipped(error: &Value) -> String {
    let words = error.get("message").unwrap_or(error).as_str().unwrap_or_default();
    let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SAID_MAX).collect::<String>().trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Message;

    fn ask(roles: &[Role]) -> Ask {
        let message = |&role| Message { role, text: format!("{role:?}") };
        let settings = Settings { temperature: Some(0.2), stop: vec!["END".into()], ..Settings::default() };
        Ask { messages: roles.iter().map(message).collect(), settings }
    }

    #[test]
    fn system_messages_stand_where_each_protocol_wants_them() {
        let ask = ask(&[Role::System, Role::System, Role::User, Role::Assistant, Role::User]);
        let openai = body(Kind::OpenAi, "m", &ask).unwrap();
        assert_eq!(openai["messages"].as_array().unwrap().len(), 5);
        assert_eq!((&openai["temperature"], &openai["stop"]), (&json!(0.2), &json!(["END"])));
        assert!(openai.get("max_tokens").is_none());
        let anthropic = body(Kind::Anthropic, "m", &ask).unwrap();
        assert_eq!(anthropic["system"], "System\n\nSystem");
        assert_eq!(anthropic["messages"].as_array().unwrap().len(), 3);
        assert_eq!((&anthropic["max_tokens"], &anthropic["stop_sequences"]), (&json!(1024), &json!(["END"])));
    }

    #[test]
    fn a_prompt_without_a_question_is_not_sent() {
        assert_eq!(
            body(Kind::Anthropic, "m", &ask(&[Role::System])).unwrap_err(),
            ModelError::NothingToAnswer
        );
        assert_eq!(body(Kind::OpenAi, "m", &Ask::default()).unwrap_err(), ModelError::NothingToAnswer);
    }

    #[test]
    fn what_is_no_event_of_the_protocol_is_told_apart_from_one_without_text() {
        assert_eq!(read(Kind::OpenAi, "{\"choices\":[]}"), Some(vec![]));
        assert_eq!(read(Kind::Anthropic, "{\"type\":\"ping\"}"), Some(vec![]));
        assert_eq!(read(Kind::OpenAi, "<html>"), None);
        assert_eq!(read(Kind::Anthropic, "[DONE]"), None);
        let failed = read(Kind::Anthropic, r#"{"type":"error","error":{"message":"Overloaded."}}"#);
        assert_eq!(failed, Some(vec![Piece::Failed("Overloaded".into())]));
    }
}

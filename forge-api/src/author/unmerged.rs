//! Places that two changed at once and nobody decided on: the marks that the editor's merge leaves in a text. To the
//! template engine they are text like any other, so they are looked for here, before a version is made of them.

use schemas::prompt::{Content, Message, Partial, Prompt};
use schemas::template::{TemplateError, TemplateErrorCode};

use crate::compare::merge::marks;

/// Most places that are listed at once.
const PLACES_MAX: usize = 100;

/// The places in prompts and partials, as problems of their templates.
pub(crate) fn in_all(prompts: &[Prompt], partials: &[Partial]) -> Vec<TemplateError> {
    let prompts = prompts.iter().flat_map(in_prompt);
    prompts.chain(partials.iter().flat_map(in_partial)).take(PLACES_MAX).collect()
}

/// The places in the texts of one prompt.
pub(crate) fn in_prompt(prompt: &Prompt) -> Vec<TemplateError> {
    let texts: Vec<(Option<usize>, &str)> = match &prompt.content {
        Content::Text { template } => vec![(None, template.as_str())],
        Content::Chat { messages } => messages
            .iter()
            .enumerate()
            .filter_map(|(index, message)| match message {
                Message::Message { template, .. } => Some((Some(index), template.as_str())),
                Message::Placeholder { .. } => None,
            })
            .collect(),
    };
    let found = texts.into_iter().flat_map(|(message_index, text)| {
        marks(text).map(move |mark| TemplateError {
            prompt: Some(prompt.id.clone()),
            message_index,
            ..problem(mark)
        })
    });
    found.take(PLACES_MAX).collect()
}

fn in_partial(partial: &Partial) -> Vec<TemplateError> {
    let found = marks(&partial.source)
        .map(|mark| TemplateError { partial: Some(partial.name.clone()), ..problem(mark) });
    found.take(PLACES_MAX).collect()
}

fn problem((line, text): (usize, &str)) -> TemplateError {
    TemplateError {
        prompt: None,
        partial: None,
        message_index: None,
        line,
        column: 1,
        source_line: text.to_owned(),
        message: format!(
            "`{text}` marks a place that two changed at once: keep what is right there, and take the marks away"
        ),
        code: TemplateErrorCode::Unmerged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::PromptId;
    use schemas::prompt::Role;

    const MARKED: &str = "a\n<<<<<<< yours\nb\n=======\nc\n>>>>>>> theirs\n";

    #[test]
    fn marks_are_problems_at_their_line_of_a_text_a_message_and_a_partial() {
        let id = |name: &str| PromptId::new(name).unwrap();
        let text = Prompt::text(id("text"), MARKED);
        let chat = Prompt {
            content: Content::Chat {
                messages: vec![
                    Message::Placeholder { name: "history".into() },
                    Message::Message { role: Role::User, template: MARKED.into() },
                ],
            },
            ..Prompt::text(id("chat"), "")
        };
        let partial = Partial { name: id("part"), source: MARKED.into() };
        let fine = Partial { name: id("fine"), source: "a\n=======\n".into() };
        let said: Vec<String> =
            in_all(&[text, chat], &[partial, fine]).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        for (said, place) in
            said.iter().zip(["prompt text, line", "prompt chat, message 2, line", "partial part, line"])
        {
            assert!(said.starts_with(&format!("{place} 2, column 1: `<<<<<<< yours` marks")), "{said}");
        }
    }
}

//! What a form posted, in the order in which it stood on the page.

use axum::extract::{FromRequest, Request};

use crate::error::ApiError;

/// Largest form that is read, in bytes: a whole prompt with room to spare.
const FORM_MAX: usize = 4 * 1024 * 1024;

/// The fields of a form. A name may stand several times.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Form(Vec<(String, String)>);

impl std::fmt::Debug for Form {
    /// Names only: a field may hold a password or a prompt's text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    /// The first value of a name, or nothing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// Every value of a name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The fields whose names begin so, without that beginning.
    pub(crate) fn beginning<'f>(&'f self, prefix: &'f str) -> impl Iterator<Item = (&'f str, &'f str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    #[cfg(test)]
    pub(crate) fn of(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }
}

/// A text as its author wrote it: forms end lines with CR LF.
pub(crate) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = super::fault::Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let body = axum::body::to_bytes(request.into_body(), FORM_MAX).await.map_err(|_| {
            ApiError::TooLarge(format!("a form has at most {FORM_MAX} bytes; split the text by partials"))
        })?;
        Ok(Self(form_fields(&body)?))
    }
}

/// Refuses bytes that are no text: with marks in their place, something else would be saved than what was sent.
fn form_fields(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    body.split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            Ok((decoded(name)?, decoded(value.strip_prefix(b"=").unwrap_or(value))?))
        })
        .collect()
}

fn decoded(text: &[u8]) -> Result<String, ApiError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                match (ahead.next().and_then(digit), ahead.next().and_then(digit)) {
                    (Some(high), Some(low)) => {
                        out.push(high * 16 + low);
                        rest = ahead;
                    }
                    _ => out.push(b'%'),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|_| ApiError::Invalid {
        code: "bad_request",
        field: None,
        detail: "a text of this form is not in UTF-8, and nothing was changed: go back, write its special characters \
                 anew, and send it again"
            .into(),
    })
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_order_and_every_character() {
        let fields = form_fields(
            "role=system&text=a+b%0D%0A%7B%7B+x+%7D%7D&role=user&text=%E2%82%AC%&empty=".as_bytes(),
        );
        let form = Form(fields.unwrap());
        assert_eq!(form.all("role"), ["system", "user"]);
        assert_eq!(form.all("text"), ["a b\r\n{{ x }}", "€%"]);
        assert_eq!(form.get("empty"), "");
        assert_eq!(lines(form.get("text")), "a b\n{{ x }}");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        for bad in ["text=caf%e9+%ff", "a=b&%c3%28=x", "text=%e2%82", "text=%ff%00"] {
            assert_eq!(form_fields(bad.as_bytes()).unwrap_err().code(), "bad_request", "{bad}");
        }
        assert!(form_fields(b"text=\xff").is_err());
        assert_eq!(form_fields(b"text=%zz%").unwrap(), [("text".to_owned(), "%zz%".to_owned())]);
    }
}

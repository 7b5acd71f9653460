//! A token request, written down once: for the wire, and for whoever asks what would be sent.

use std::sync::Arc;

use safeconduct_core::credential::Form;
use safeconduct_core::secret::Secret;

use super::Given;
use crate::provider::{ExchangeError, Preview};
use crate::secret_source::is_telling;

/// The fields of a request, in order, without the client's own.
#[derive(Default)]
pub(in crate::provider) struct Fieldset(Vec<(Box<str>, Value)>);

enum Value {
    Text(Box<str>),
    /// What the step is given.
    Subject,
    /// The caller's token, whatever the step is given.
    Caller,
    /// A secret of the configuration.
    Secret(Arc<Secret>),
}

impl Fieldset {
    /// A request of this grant type.
    pub(in crate::provider) fn of(grant_type: &str) -> Self {
        let mut request = Self::default();
        request.text("grant_type", grant_type);
        request
    }

    /// Adds text.
    pub(in crate::provider) fn text(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), Value::Text(value.into())));
    }

    /// Adds what the step is given.
    pub(in crate::provider) fn subject(&mut self, name: &str) {
        self.0.push((name.into(), Value::Subject));
    }

    /// Adds the caller's token.
    pub(in crate::provider) fn caller(&mut self, name: &str) {
        self.0.push((name.into(), Value::Caller));
    }

    /// Adds a secret.
    pub(in crate::provider) fn secret(&mut self, name: &str, secret: Arc<Secret>) {
        self.0.push((name.into(), Value::Secret(secret)));
    }

    /// The form.
    ///
    /// # Errors
    /// As [`Subject::write`].
    pub(in crate::provider) fn form(&self, given: &Given) -> Result<Form, ExchangeError> {
        let mut form = Form::new();
        for (name, value) in &self.0 {
            match value {
                Value::Text(text) => {
                    form.field(name, text);
                }
                Value::Subject => given.subject.write(&mut form, name)?,
                Value::Caller => {
                    form.subject(name, given.warrant.subject());
                }
                Value::Secret(secret) => {
                    form.secret(name, secret);
                }
            }
        }
        Ok(form)
    }

    /// The same for people; `subject` are the words for what the step is given.
    pub(in crate::provider) fn preview(&self, subject: &str) -> Preview {
        let shown = |(name, value): &(Box<str>, Value)| {
            let value = match value {
                // Whoever gives a parameter such a name may have put a secret there.
                Value::Text(_) if is_telling(name) && !OPEN.contains(&&**name) => "<not shown>".into(),
                Value::Text(text) => text.clone(),
                Value::Subject => subject.into(),
                Value::Caller => "<the caller's token>".into(),
                Value::Secret(_) => "<the configured secret>".into(),
            };
            (name.clone(), value)
        };
        self.0.iter().map(shown).collect()
    }
}

/// Names that sound like a secret's and are none.
const OPEN: [&str; 4] =
    ["subject_token_type", "actor_token_type", "requested_token_type", "requested_token_use"];

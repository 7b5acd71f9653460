//! A request's query, decoded.

use std::borrow::Cow;

use http::Uri;

/// Names and values in their order.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(crate) fn of(uri: &'a Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect())
    }

    /// The first value of that name.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Whether the first value of that name is `value`.
    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.first(name) == Some(value)
    }
}

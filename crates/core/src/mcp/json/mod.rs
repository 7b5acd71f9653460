//! The strict JSON reader: one scan that checks, then views into the checked text. No tree is built.
//!
//! What passes has one reading in every parser that keeps to RFC 8259: UTF-8 without a byte order mark,
//! one value and nothing after it, nesting of at most [`MAX_DEPTH`], no name twice in an object at any
//! depth (names are compared decoded), no lone surrogate, no number beyond the range of a double.

mod edit;
mod fold;
mod scan;
#[cfg(test)]
mod tests;
mod value;

pub use edit::{Edit, cuts, edited};
pub use fold::{Object, clear_names, fold_equal};
pub use value::{Elements, Kind, Member, Members, Value};

/// Deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not read, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Unreadable {
    /// What is wrong, without any of the text.
    pub what: &'static str,
    /// Offset in bytes.
    pub at: usize,
}

/// Checks a whole text and gives its value.
///
/// # Errors
/// [`Unreadable`] for whatever two parsers could read differently, or not at all.
pub fn checked(text: &[u8]) -> Result<Value<'_>, Unreadable> {
    if text.starts_with(b"\xEF\xBB\xBF") {
        return Err(Unreadable { what: "a byte order mark", at: 0 });
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| Unreadable { what: "invalid UTF-8", at: error.valid_up_to() })?;
    let range = scan::scan(text)?;
    Ok(Value::new(text, range))
}

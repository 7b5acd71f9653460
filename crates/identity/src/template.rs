//! Strings of a step that depend on the caller: `{subject}`, `{email}`, `{claim:NAME}`, `{group:MAP}`.
//!
//! Parsed once, when the configuration is read. What the caller's token does not say refuses the call: a
//! template never becomes an empty string or its own text.

use std::borrow::Cow;
use std::sync::Arc;

use safeconduct_core::caller::Principal;
use thiserror::Error;

use crate::cache::Fields;

/// Longest value that a template may become, in bytes.
const MAX_FILLED: usize = 2048;

/// A named table from a group to a value, for `{group:MAP}`: the first row whose group the caller is in.
#[derive(Debug, PartialEq, Eq)]
pub struct GroupMap {
    /// Its name in the configuration.
    pub name: Box<str>,
    /// Group and value, in the order of the configuration.
    pub rows: Vec<(Box<str>, Box<str>)>,
}

/// A parsed template. `{{` and `}}` stand for the braces themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Subject,
    Email,
    Claim(Box<str>),
    Group(Arc<GroupMap>),
}

/// Not a template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A brace without its other half.
    #[error("a single brace in {0:?}: write {{{{ or }}}} for a brace that is meant as such")]
    Brace(String),
    /// A name that is none of the four.
    #[error(
        "unknown placeholder {{{0}}}: there are {{subject}}, {{email}}, {{claim:NAME}} and {{group:MAP}}"
    )]
    Unknown(String),
    /// A map that the configuration does not have.
    #[error("{{group:{0}}} names a map that is not configured")]
    NoSuchMap(String),
}

/// What the caller's token does not say, as the template names it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the caller's token does not give {0}")]
pub struct MissingClaim(pub String);

impl Template {
    /// Parses a string of the configuration.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn parse(text: &str, maps: &[Arc<GroupMap>]) -> Result<Self, TemplateError> {
        let brace = || TemplateError::Brace(text.into());
        let (mut pieces, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let (name, after) =
                    from.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or_else(brace)?;
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
                }
                pieces.push(placeholder(name, maps)?);
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into()));
        }
        Ok(Self { text: text.into(), pieces })
    }

    /// A string without placeholders, taken as it is.
    pub fn fixed(text: &str) -> Self {
        Self { text: text.into(), pieces: vec![Piece::Text(text.into())] }
    }

    /// As it stands in the configuration.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The string itself, when it is the same for every caller.
    pub fn as_fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// True for a placeholder with nothing before or after it.
    pub fn is_one_placeholder(&self) -> bool {
        matches!(self.pieces.as_slice(), [piece] if !matches!(piece, Piece::Text(_)))
    }

    /// The string for this caller.
    ///
    /// # Errors
    /// [`MissingClaim`]: absent, empty, of several values where one is meant, with control characters, too long.
    pub fn fill(&self, caller: &Principal) -> Result<Cow<'_, str>, MissingClaim> {
        self.fill_where(caller, |_| true)
    }

    /// As [`Template::fill`], where what the caller's token says has to be accepted, too. What the configuration says,
    /// itself or by a map, is as it is meant.
    ///
    /// # Errors
    /// As there.
    pub fn fill_where(
        &self,
        caller: &Principal,
        accepted: impl Fn(&str) -> bool,
    ) -> Result<Cow<'_, str>, MissingClaim> {
        if let Some(fixed) = self.as_fixed() {
            return Ok(Cow::Borrowed(fixed));
        }
        let mut filled = String::new();
        for piece in &self.pieces {
            let value = piece.value(caller)?;
            if piece.is_said_by_the_token() && !accepted(value) {
                return Err(MissingClaim(format!("a value that can stand in {}", self.text)));
            }
            filled.push_str(value);
        }
        if filled.len() > MAX_FILLED {
            return Err(MissingClaim(format!("{}: the value is longer than {MAX_FILLED} bytes", self.text)));
        }
        Ok(Cow::Owned(filled))
    }

    /// The configuration's part of a cache key.
    pub fn identify(&self, fields: &mut Fields) {
        fields.text(&self.text);
        for piece in &self.pieces {
            if let Piece::Group(map) = piece {
                map.rows.iter().for_each(|(group, value)| {
                    fields.text(group).text(value);
                });
            }
        }
    }

    /// The caller's part of a cache key: nothing for a fixed string.
    ///
    /// # Errors
    /// As [`Template::fill`].
    pub fn input(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        if self.as_fixed().is_none() {
            fields.text(&self.fill(caller)?);
        }
        Ok(())
    }
}

impl Piece {
    fn is_said_by_the_token(&self) -> bool {
        matches!(self, Self::Subject | Self::Email | Self::Claim(_))
    }

    fn value<'a>(&'a self, caller: &'a Principal) -> Result<&'a str, MissingClaim> {
        let (name, value) = match self {
            Self::Text(text) => return Ok(text),
            Self::Subject => ("subject", Some(&*caller.subject)),
            Self::Email => ("email", caller.email.as_deref()),
            Self::Claim(name) => match caller.claims.get(name).map(Vec::as_slice) {
                Some([one]) => (&**name, Some(&**one)),
                Some([_, _, ..]) => {
                    return Err(MissingClaim(format!("one value of {name} (it has several)")));
                }
                _ => (&**name, None),
            },
            Self::Group(map) => {
                let row = map.rows.iter().find(|(group, _)| caller.groups.contains(group));
                (&*map.name, row.map(|(_, value)| &**value))
            }
        };
        match value {
            Some(value) if !value.is_empty() && !value.chars().any(char::is_control) => Ok(value),
            _ => Err(MissingClaim(name.into())),
        }
    }
}

fn placeholder(name: &str, maps: &[Arc<GroupMap>]) -> Result<Piece, TemplateError> {
    match (name, name.split_once(':')) {
        ("subject", _) => Ok(Piece::Subject),
        ("email", _) => Ok(Piece::Email),
        (_, Some(("claim", claim))) if !claim.is_empty() => Ok(Piece::Claim(claim.into())),
        (_, Some(("group", map))) => maps
            .iter()
            .find(|known| *known.name == *map)
            .map(|known| Piece::Group(known.clone()))
            .ok_or_else(|| TemplateError::NoSuchMap(map.into())),
        _ => Err(TemplateError::Unknown(name.into())),
    }
}

//! From bytes to a [`Call`], once and without ambiguity.

use bytes::Bytes;

use super::{Call, Era, Head};
use crate::caller::Principal;
use crate::refusal::Reason;
use crate::server::Server;

/// A message that was not admitted, with what could be read of it.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// JSON text of the id, where one was read without doubt.
    pub id: Option<Box<str>>,
    /// Era, where it was clear.
    pub era: Option<Era>,
}

/// Reads messages; opens sealed sessions and state.
pub struct Door {}

impl Door {
    /// Parses one message.
    ///
    /// # Errors
    /// Whatever is not one unambiguous message of a supported revision.
    pub fn parse(&self, _: &Head, _: Bytes, _: &Principal, _: &Server) -> Result<Call, Refused> {
        Err(Refused { reason: Reason::Internal("the door is being built".into()), id: None, era: None })
    }
}

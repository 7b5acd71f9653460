//! `static`.

use std::sync::Arc;

use super::super::Resolver;
use crate::config::plan::SecretValue;
use crate::config::raw::Static;

impl Resolver<'_> {
    pub(super) fn fixed(&mut self, fixed: &Static) -> Option<Arc<SecretValue>> {
        self.secret(fixed.secret.given()?)
    }
}

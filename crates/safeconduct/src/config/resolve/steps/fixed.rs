//! `static`.

use std::ops::Range;
use std::sync::Arc;

use super::super::Resolver;
use crate::config::plan::SecretValue;
use crate::config::raw::Static;

impl Resolver<'_> {
    pub(super) fn fixed(
        &mut self,
        index: usize,
        fixed: &Static,
        site: &Range<usize>,
    ) -> Option<Arc<SecretValue>> {
        self.problems
            .warning(site.clone(), "every caller reaches this server with the same secret")
            .label("shared by all callers")
            .help("the server cannot tell callers apart; only the gateway's policies and audit do");
        if index > 0 {
            self.problems
                .error(site.clone(), "`static` does not use what the steps before it got")
                .label("must stand alone")
                .help("remove the other steps, or this one");
        }
        self.secret(fixed.secret.given()?)
    }
}

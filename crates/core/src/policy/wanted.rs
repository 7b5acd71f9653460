//! Which parts of a call's arguments some policy reads.

use std::collections::BTreeMap;

/// A tree of argument names; what is outside of it is never given to Cedar.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    whole: bool,
    children: BTreeMap<Box<str>, Wanted>,
}

/// Everything below.
pub(super) static WHOLE: Wanted = Wanted { whole: true, children: BTreeMap::new() };

impl Wanted {
    /// Adds a path; all that lies below its end is wanted.
    pub(super) fn add(&mut self, path: &[Box<str>]) {
        let mut node = self;
        for name in path {
            node = node.children.entry(name.clone()).or_default();
        }
        node.whole = true;
    }

    /// The tree below a name, if any of it is wanted.
    pub(super) fn child(&self, name: &str) -> Option<&Wanted> {
        if self.whole { Some(&WHOLE) } else { self.children.get(name) }
    }
}

//! Lists that are the same for nearly all callers, kept once.

use std::sync::{Arc, Mutex, PoisonError};

/// The list that came last: audiences asked for, or scopes granted, by one step.
#[derive(Default)]
pub(super) struct Alike(Mutex<Option<Arc<[Box<str>]>>>);

impl Alike {
    /// This list, or the one that came before if it says the same.
    pub(super) fn shared(&self, list: Arc<[Box<str>]>) -> Arc<[Box<str>]> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(kept) if *kept == list => kept.clone(),
            _ => last.insert(list).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Alike, Arc};

    #[test]
    fn only_a_list_that_says_the_same_is_shared() {
        let (alike, list) = (Alike::default(), |word: &str| -> Arc<[Box<str>]> { Arc::new([word.into()]) });
        let read = alike.shared(list("read"));
        assert!(Arc::ptr_eq(&read, &alike.shared(list("read"))));
        assert_eq!(*alike.shared(list("write")), *list("write"));
        assert_eq!(*read, *list("read"));
    }
}

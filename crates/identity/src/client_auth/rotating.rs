//! Something made of secrets that may be replaced on disk while the program runs (edge cases 9 and 10).

use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_core::secret::Secret;

use crate::secret_source::SecretSource;

/// Makes the thing; an error says what is wrong, and never the content.
type Make<T> = Box<dyn Fn(&[Arc<Secret>]) -> Result<T, &'static str> + Send + Sync>;

/// A thing made of secrets. It is made anew when one of them changes; while they do not fit together (one file
/// of a pair is replaced before the other), the last good one serves.
pub(super) struct Rotating<T> {
    sources: Vec<SecretSource>,
    make: Make<T>,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    /// What was read last, whether it was good or not.
    from: Vec<Arc<Secret>>,
    made: Arc<T>,
}

impl<T> Rotating<T> {
    /// From sources that must be good now. `make` is given their contents in the same order.
    pub(super) fn new(
        sources: Vec<SecretSource>,
        make: impl Fn(&[Arc<Secret>]) -> Result<T, &'static str> + Send + Sync + 'static,
    ) -> Result<Self, &'static str> {
        let from: Vec<_> = sources.iter().map(SecretSource::current).collect();
        let made = Arc::new(make(&from)?);
        Ok(Self { sources, make: Box::new(make), last: Mutex::new(Last { from, made }) })
    }

    /// The thing as it is now.
    pub(super) fn current(&self, client: &str) -> Arc<T> {
        let from: Vec<_> = self.sources.iter().map(SecretSource::current).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let same = from.iter().zip(&last.from).all(|(new, old)| new.expose() == old.expose());
        if !same {
            match (self.make)(&from) {
                Ok(made) => last.made = Arc::new(made),
                Err(problem) => tracing::warn!(client, problem, "keeping the last good client key"),
            }
            last.from = from;
        }
        last.made.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Edge: 9, 10
    #[test]
    fn a_pair_of_files_is_taken_over_when_both_fit_and_the_last_good_one_serves_until_then() {
        let folder = std::env::temp_dir().join(format!("safeconduct-rotating-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = ["one", "other"].map(|name| folder.join(name));
        let write = |which: usize, text: &str| std::fs::write(&files[which], text).unwrap();
        write(0, "a");
        write(1, "a");
        let sources = files.iter().map(|file| SecretSource::file(file).unwrap()).collect();
        let pair = Rotating::new(sources, |from| {
            let fits = from[0].expose() == from[1].expose();
            fits.then(|| from[0].expose().to_vec()).ok_or("they do not fit")
        })
        .unwrap();
        assert_eq!(*pair.current("app"), b"a");
        assert!(Arc::ptr_eq(&pair.current("app"), &pair.current("app")), "made once");
        write(0, "b");
        assert_eq!(*pair.current("app"), b"a");
        write(1, "b");
        assert_eq!(*pair.current("app"), b"b");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

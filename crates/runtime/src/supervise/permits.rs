//! How many instances may run: of one caller, and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Scope;

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Instances in all.
    pub total: usize,
    /// Instances of one caller, whatever the server. Shared ones are nobody's.
    pub per_caller: usize,
    /// Instances that are being started at the same time.
    pub starting: usize,
    /// Berths that are remembered, also when nothing runs in them.
    pub berths: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { total: 64, per_caller: 16, starting: 8, berths: 4096 }
    }
}

/// Issuer and subject.
pub(super) type Who = (Box<str>, Box<str>);

/// The instances that run, counted.
pub(super) struct Permits {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    callers: HashMap<Who, usize>,
}

/// Leave to run one instance, given back when it is dropped.
pub(super) struct Permit {
    permits: Arc<Permits>,
    who: Option<Who>,
}

impl Permits {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, taken: Mutex::default() })
    }

    /// Leave to run one more.
    ///
    /// # Errors
    /// Whose bound was met.
    pub(super) fn take(self: &Arc<Self>, who: Option<&Who>) -> Result<Permit, Scope> {
        let mut taken = self.lock();
        if let Some(who) = who
            && taken.callers.get(who).is_some_and(|count| *count >= self.bounds.per_caller)
        {
            return Err(Scope::Caller);
        }
        if taken.total >= self.bounds.total {
            return Err(Scope::All);
        }
        taken.total += 1;
        if let Some(who) = who {
            *taken.callers.entry(who.clone()).or_default() += 1;
        }
        Ok(Permit { permits: self.clone(), who: who.cloned() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.lock();
        taken.total = taken.total.saturating_sub(1);
        let Some(who) = &self.who else { return };
        let left = taken.callers.get_mut(who).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            taken.callers.remove(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Permits, Scope, Who};

    #[test]
    fn one_callers_instances_leave_room_for_anothers_and_come_back_when_they_end() {
        let permits = Permits::new(Bounds { total: 3, per_caller: 2, ..Bounds::default() });
        let who = |name: &str| -> Who { ("corp".into(), name.into()) };
        let (alice, bob) = (who("alice"), who("bob"));
        let first = permits.take(Some(&alice)).unwrap();
        let _second = permits.take(Some(&alice)).unwrap();
        assert_eq!(permits.take(Some(&alice)).err(), Some(Scope::Caller));
        let _third = permits.take(Some(&bob)).unwrap();
        assert_eq!(permits.take(Some(&bob)).err(), Some(Scope::All));
        assert_eq!(permits.take(None).err(), Some(Scope::All));
        drop(first);
        assert!(permits.take(Some(&alice)).is_ok());
    }
}

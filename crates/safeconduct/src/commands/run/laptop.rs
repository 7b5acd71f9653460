//! The identity provider for one machine: whoever sits in front of it says who they are.

use std::time::Duration;

use safeconduct_testkit::idp::{Idp, User};
use tokio::runtime::Runtime;

/// Who is there when nobody was named.
const YOU: &str = "you@localhost";
/// Life of the token that is printed.
const HOUR: Duration = Duration::from_secs(3600);

/// A running provider, and the threads that it runs on.
pub(super) struct Laptop {
    idp: Idp,
    first: String,
    _runtime: Runtime,
}

impl Laptop {
    /// Starts it with these people (`alice@example.com:support,ops`).
    pub(super) fn start(users: &[String]) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("login")
            .enable_all()
            .build()?;
        let idp = runtime.block_on(Idp::start())?;
        let mut first = None;
        for user in users {
            let (name, groups) = user.split_once(':').unwrap_or((user, ""));
            let groups: Vec<&str> = groups.split(',').filter(|group| !group.is_empty()).collect();
            idp.add_user(User::new(name, &groups));
            first.get_or_insert_with(|| name.to_owned());
        }
        if users.is_empty() {
            idp.add_user(User::new(YOU, &[]));
        }
        Ok(Self { idp, first: first.unwrap_or_else(|| YOU.to_owned()), _runtime: runtime })
    }

    pub(super) fn issuer(&self) -> &str {
        self.idp.issuer()
    }

    /// Who the printed token is for.
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    /// A token for this server, good for an hour.
    pub(super) fn token(&self, resource: &str) -> String {
        self.idp.mint(&self.first, resource, "", HOUR)
    }
}

//! Tools are pinned: a server's tools are what they were when they were first seen, until somebody approves what they
//! became. A tool whose definition differs from the pinned one is quarantined: left out of lists, and not called.
//!
//! Trust on first use. What is new is taken as it is until a whole list was seen and first use is over; from then on a
//! new tool is a change like any other, because a server that waits with a tool until it is trusted is what this is
//! about. A definition that changed is quarantined from the first moment.
//!
//! Nothing is read or written here: a [`Ledger`] hears of what was seen, and [`Pins::replace`] puts to work what it
//! has come to.

mod definition;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub use definition::{Definition, Digest};

use crate::caller::Fingerprint;
use crate::time::Timestamp;

/// Tools of one server that are kept account of; those beyond are quarantined without one.
const MOST_TOOLS: usize = 4096;
/// How long a list may go on.
const ENDLESS: Duration = Duration::from_secs(24 * 3600);
/// Lists that callers are in the middle of, before the first whole one was seen.
const MOST_PAGES: usize = 256;

/// What one tool is pinned to, and what it is offered as since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// The definition that is approved; None for a tool that is new.
    pub pinned: Option<Digest>,
    /// The definition that was seen last, if it is another.
    pub offered: Option<Digest>,
    /// The last whole list did not have it.
    pub unlisted: bool,
}

/// What seeing a definition came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is the pinned one, as before.
    Same,
    /// It is the first one, and pinned.
    First,
    /// It is the pinned one again.
    Back,
    /// It is not approved, and was seen before.
    Quarantined,
    /// It differs from the pinned one.
    Changed,
    /// The tool is new.
    New,
}

impl Seen {
    /// Whether the caller may see it.
    pub fn fits(self) -> bool {
        matches!(self, Self::Same | Self::First | Self::Back)
    }
}

impl Pin {
    /// Takes notice of a definition. `settled` when first use is over.
    pub fn see(&mut self, digest: Digest, settled: bool) -> Seen {
        let back = std::mem::take(&mut self.unlisted);
        match (self.pinned, self.offered) {
            (Some(pinned), None) if pinned == digest && !back => Seen::Same,
            (Some(pinned), _) if pinned == digest => {
                self.offered = None;
                Seen::Back
            }
            (_, Some(offered)) if offered == digest => Seen::Quarantined,
            (None, None) if !settled => {
                self.pinned = Some(digest);
                Seen::First
            }
            (pinned, _) => {
                self.offered = Some(digest);
                if pinned.is_some() { Seen::Changed } else { Seen::New }
            }
        }
    }
}

/// What one server is pinned to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// When its tools were first seen.
    pub since: Option<Timestamp>,
    /// A whole list was seen.
    pub complete: bool,
    /// By name.
    pub tools: HashMap<Box<str>, Pin>,
}

/// Whether first use, which lasts for `first_use` at least, is over. A server whose list never ends is given a day.
pub fn is_settled(since: Option<Timestamp>, complete: bool, first_use: Duration, now: Timestamp) -> bool {
    let Some(since) = since else { return false };
    now >= since.plus(first_use) && (complete || now >= since.plus(ENDLESS))
}

/// Something to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A definition that was not known to be what the tool is.
    Tool(Definition, Seen),
    /// A whole list was seen, for the first time.
    Complete,
    /// A whole list did not have this tool, which is pinned.
    Unlisted(Box<str>),
}

/// Hears of what was seen. Must not block.
pub trait Ledger: Send + Sync {
    /// Of this server, at this time.
    fn note(&self, server: &str, at: Timestamp, note: Note);
}

/// Where a list stands among the pages of one caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) caller: Fingerprint,
    /// It was asked for with this cursor.
    pub(crate) cursor: Option<&'a str>,
    /// There is another page.
    pub(crate) next: Option<&'a str>,
}

/// What one server's tools are pinned to, at work. One for all plans and workers.
pub struct Pins {
    server: Box<str>,
    first_use: Duration,
    ledger: Arc<dyn Ledger>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    pinned: Pinned,
    /// Cursors given to callers who have read all pages before.
    pages: HashSet<(Fingerprint, Box<str>)>,
    /// Tools that some lists have and others have not: it depends on the caller.
    varying: HashSet<Box<str>>,
}

impl Pins {
    /// Of this server. A tool that is new is taken as it is until a whole list was seen and `first_use` is over.
    pub fn new(server: &str, first_use: Duration, pinned: Pinned, ledger: Arc<dyn Ledger>) -> Self {
        let state = State { pinned, ..State::default() };
        Self { server: server.into(), first_use, ledger, state: RwLock::new(state) }
    }

    /// How long first use lasts.
    pub fn first_use(&self) -> Duration {
        self.first_use
    }

    /// Puts to work what was approved. Gives the names of the tools that are pinned to something else now.
    pub fn replace(&self, pinned: Pinned) -> Vec<Box<str>> {
        let mut state = self.write();
        let before = std::mem::replace(&mut state.pinned, pinned);
        let is = |name: &str| state.pinned.tools.get(name).and_then(|pin| pin.pinned);
        let names: HashSet<&Box<str>> = before.tools.keys().chain(state.pinned.tools.keys()).collect();
        let was = |name: &str| before.tools.get(name).and_then(|pin| pin.pinned);
        names.into_iter().filter(|name| was(name) != is(name)).cloned().collect()
    }

    /// Why this tool is not called now. One look at a table.
    pub fn objection(&self, tool: &str, now: Timestamp) -> Option<&'static str> {
        let Pinned { since, complete, tools } = &self.read().pinned;
        match tools.get(tool) {
            Some(Pin { pinned: Some(_), offered: None, .. }) => None,
            Some(Pin { pinned: Some(_), .. }) => Some("its definition is not the approved one"),
            Some(_) => Some("it is new, and not approved"),
            None if is_settled(*since, *complete, self.first_use, now) => Some("it is not among the pinned"),
            None => None,
        }
    }

    /// Takes notice of a list: which of its tools the caller may see. An item that cannot be named may not be seen.
    pub(crate) fn look(
        &self,
        tools: &[Option<Definition>],
        page: Option<Page<'_>>,
        now: Timestamp,
    ) -> Vec<bool> {
        if self.knows(tools, page) {
            return vec![true; tools.len()];
        }
        let mut state = self.write();
        let seen = tools.iter().map(|tool| tool.as_ref().is_some_and(|tool| self.see(&mut state, tool, now)));
        let seen = seen.collect();
        if let Some(page) = page {
            self.turn(&mut state, tools, page, now);
        }
        seen
    }

    /// Whether there is nothing new in this list, so that no one else need wait for it.
    fn knows(&self, tools: &[Option<Definition>], page: Option<Page<'_>>) -> bool {
        let State { pinned, varying, .. } = &*self.read();
        let known = |tool: &Option<Definition>| {
            tool.as_ref().is_some_and(|tool| {
                let pin = pinned.tools.get(&tool.name);
                pin.is_some_and(|pin| {
                    *pin == Pin { pinned: Some(tool.digest), offered: None, unlisted: false }
                })
            })
        };
        // With as many tools as there are pinned, none is missing; else it is looked at closely.
        let whole = page.is_none_or(|page| page.cursor.is_some() || page.next.is_some())
            || tools.len() + varying.len() >= pinned.tools.len();
        pinned.complete && whole && tools.iter().all(known)
    }

    fn see(&self, state: &mut State, tool: &Definition, now: Timestamp) -> bool {
        let State { pinned, varying, .. } = state;
        if pinned.tools.len() >= MOST_TOOLS && !pinned.tools.contains_key(&tool.name) {
            return false;
        }
        let since = *pinned.since.get_or_insert(now);
        let settled = is_settled(Some(since), pinned.complete, self.first_use, now);
        let pin = pinned.tools.entry(tool.name.clone()).or_default();
        if pin.unlisted {
            varying.insert(tool.name.clone());
        }
        let seen = pin.see(tool.digest, settled);
        if !matches!(seen, Seen::Same | Seen::Quarantined) {
            self.ledger.note(&self.server, now, Note::Tool(tool.clone(), seen));
        }
        seen.fits()
    }

    /// Follows a caller through the pages of a list, until one has seen the whole of it. Later, a list of one page tells
    /// what is not there any more.
    fn turn(&self, state: &mut State, tools: &[Option<Definition>], page: Page<'_>, now: Timestamp) {
        let begun = match page.cursor {
            None => true,
            Some(cursor) => state.pages.contains(&(page.caller, cursor.into())),
        };
        let State { pinned, pages, varying } = state;
        if !pinned.complete && begun {
            match page.next {
                Some(next) => {
                    if pages.len() >= MOST_PAGES {
                        pages.clear();
                    }
                    pages.insert((page.caller, next.into()));
                }
                None => {
                    pinned.since.get_or_insert(now);
                    pinned.complete = true;
                    pages.clear();
                    self.ledger.note(&self.server, now, Note::Complete);
                }
            }
        } else if page.cursor.is_none() && page.next.is_none() {
            let listed: HashSet<&str> = tools.iter().flatten().map(|tool| &*tool.name).collect();
            for (name, pin) in &mut pinned.tools {
                let gone = pin.pinned.is_some() && !listed.contains(&**name) && !varying.contains(name);
                if gone && !std::mem::replace(&mut pin.unlisted, true) {
                    self.ledger.note(&self.server, now, Note::Unlisted(name.clone()));
                }
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pins").field("server", &self.server).finish_non_exhaustive()
    }
}

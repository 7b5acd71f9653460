//! Which running gateway has made something: two may go by one name (the same file on the same path in two containers
//! of one engine, or a second start of what runs already), and neither takes away what the other one uses.

use super::Docker;
use super::ask;
use super::own::Own;
use crate::engine::EngineError;

/// What is written on all that this gateway makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The name that its configuration gives it.
    pub(super) owner: String,
    /// The program that runs: `container:ID`, or `process:NUMBER:START` outside of the engine's containers.
    pub(super) gateway: String,
}

impl Mark {
    pub(super) fn new(owner: &str, own: Option<&Own>) -> Self {
        let number = std::process::id();
        let gateway = match own {
            Some(own) => format!("container:{}", own.id),
            None => format!("process:{number}:{}", started(number).unwrap_or_default()),
        };
        Self { owner: owner.to_owned(), gateway }
    }
}

impl Docker {
    /// Whether a mark is that of another gateway which is at work. A container's own earlier run is not another.
    pub(super) async fn is_anothers(&self, gateway: &str) -> Result<bool, EngineError> {
        if gateway == self.mark().gateway {
            return Ok(false);
        }
        match gateway.split(':').collect::<Vec<_>>().as_slice() {
            ["container", id] => match ask::state(self.address(), id).await {
                Ok(state) => Ok(state.running),
                Err(EngineError::Missing(_)) => Ok(false),
                Err(other) => Err(other),
            },
            ["process", number, start] => {
                let now = number.parse().ok().and_then(started);
                Ok(now.is_some_and(|now| now.to_string() == *start))
            }
            _ => Ok(false),
        }
    }
}

/// When a process was started, in ticks since the machine was: with its number that is one process and no other.
fn started(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses, with whatever is in it (proc(5)).
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Mark, started};

    #[test]
    fn a_process_is_known_by_when_it_was_started() {
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = started(other.id());
        assert!(start.is_some() && start >= started(std::process::id()));
        assert_eq!(start, started(other.id()));
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(started(other.id()), None);
        let mark = Mark::new("gw", None).gateway;
        assert_eq!(mark, format!("process:{}:{}", std::process::id(), started(std::process::id()).unwrap()));
    }
}

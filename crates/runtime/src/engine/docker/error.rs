//! What the engine's client says, in this program's words.

use std::error::Error as _;

use bollard::errors::Error;

use crate::engine::EngineError;

/// A failed request, as an error of engines.
pub(super) fn told(error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code: 404, message } => {
            EngineError::Missing(line(&message))
        }
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            EngineError::Refused(line(&message))
        }
        Error::DockerContainerWaitError { error, .. } => EngineError::Refused(line(&error)),
        Error::RequestTimeoutError => EngineError::Absent("no answer in time".to_owned()),
        Error::SocketNotFoundError(path) => EngineError::Absent(format!("there is no socket at {path}")),
        Error::IOError { .. } | Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } => {
            EngineError::Absent(deepest(&error))
        }
        other => EngineError::Refused(line(&other.to_string())),
    }
}

/// The cause at the bottom: `connection refused` says more than `client error`.
fn deepest(error: &Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(deeper) = cause {
        text = deeper.to_string();
        cause = deeper.source();
    }
    text
}

/// One line, without control characters: it comes from outside and goes into a log.
pub(super) fn line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use bollard::errors::Error;

    use super::told;
    use crate::engine::EngineError;

    #[test]
    fn what_is_missing_and_who_is_absent_are_told_apart() {
        let said = |status_code, message: &str| {
            told(Error::DockerResponseServerError { status_code, message: message.to_owned() })
        };
        assert_eq!(said(404, "No such image: x\n"), EngineError::Missing("No such image: x".into()));
        assert_eq!(said(409, "a\u{1b}[31mb"), EngineError::Refused("a [31mb".into()));
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(matches!(told(Error::IOError { err: gone }), EngineError::Absent(_)));
    }
}

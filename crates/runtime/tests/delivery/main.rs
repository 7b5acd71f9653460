//! What an instance's SDKs ask at its credential endpoints, byte by byte, and what they are answered.

#[cfg(test)]
mod aws;
#[cfg(test)]
mod azure;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod everywhere;
#[cfg(test)]
mod files;
#[cfg(test)]
mod gcp;
#[cfg(test)]
mod processes;

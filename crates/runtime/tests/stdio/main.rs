//! MCP servers that speak over their standard streams, as HTTP clients of both eras meet them: real processes, real HTTP.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod downward;
#[cfg(test)]
mod legacy;
#[cfg(test)]
mod life;
#[cfg(test)]
mod modern;
#[cfg(test)]
mod process;
#[cfg(test)]
mod supervise;
#[cfg(test)]
mod upward;

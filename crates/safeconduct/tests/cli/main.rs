//! What a person types, and what is said: every text under comparison. After a change that is meant, `UPDATE=1` writes
//! the texts anew; read the difference before you keep it.

mod documents;
mod examples;
mod explain;
mod gallery;
mod help;
mod program;
mod serve;
mod snapshot;
mod tokens;

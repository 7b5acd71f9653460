//! One file a command. A command that ends by itself gives back what it [`Said`](crate::present::Said).

pub mod check;
pub mod completions;
pub mod schema;
pub mod serve;
pub mod version;

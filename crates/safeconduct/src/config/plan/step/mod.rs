//! The steps of a chain, as they are meant. Each step has a file here.

mod exchange;

pub use exchange::ExchangePlan;

use std::sync::Arc;

use super::SecretValue;

/// One step of a chain.
#[derive(Clone, Debug)]
pub enum StepPlan {
    /// Token exchange.
    Exchange(Box<ExchangePlan>),
    /// A named secret.
    Static(Arc<SecretValue>),
}

impl StepPlan {
    /// Its name in the file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Static(_) => "static",
        }
    }
}

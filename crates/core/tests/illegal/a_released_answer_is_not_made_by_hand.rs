//! Only `Release::release` makes an answer that a listener sends.
use std::sync::Arc;

use safeconduct_core::caller::Principal;
use safeconduct_core::mcp::{Era, filter::Filtered};
use safeconduct_core::path::Released;

fn forge<B>(response: http::Response<Filtered<B>>, caller: Arc<Principal>, era: Era) -> Released<B> {
    Released { response, caller, era, listens: false }
}

fn main() {}

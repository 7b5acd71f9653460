//! Only `Policy::authorize` makes an authorized call.
use safeconduct_core::path::{Admitted, Authorized};

fn permit(admitted: Admitted) -> Authorized {
    Authorized { admitted }
}

fn main() {}

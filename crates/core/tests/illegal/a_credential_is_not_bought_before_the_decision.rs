//! What providers take, a warrant, comes of a permitted call only.
use safeconduct_core::credential::Warrant;
use safeconduct_core::path::Admitted;

fn buy_early(admitted: &Admitted) -> Warrant {
    admitted.warrant()
}

fn main() {}

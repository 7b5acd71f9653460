//! What a listener sends is released; a reply is not.
use safeconduct_core::path::{Released, Reply};

fn listener<B>(_: Released<B>) {}

fn leak<B>(reply: Reply<B>) {
    listener(reply);
}

fn main() {}

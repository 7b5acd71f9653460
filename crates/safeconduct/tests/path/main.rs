//! The path, from a client's socket to the backend's and back: the real gateway between the testkit's edges.

mod conversation;
mod eras;
mod exchange;
mod line;
mod lists;
mod modern;
mod notices;
mod patience;
mod rounds;
mod streams;
mod transport;
mod world;

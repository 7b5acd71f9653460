//! The path, from a client's socket to the backend's and back: the real gateway between the testkit's edges.

mod answers;
mod as_whom;
mod audit;
mod audit_first;
mod conversation;
mod crowds;
mod doorstep;
mod eras;
mod exchange;
mod limits;
mod line;
mod hostile;
mod integrity;
mod issuers;
mod lists;
mod may;
mod modern;
mod notices;
mod patience;
mod reload;
mod rounds;
mod streams;
mod traces;
mod transport;
mod who;
mod world;

//! Confinement, asserted from inside a container of a real engine. `interop/engine.sh` runs this for Docker and for
//! Podman, and in each way in which instances and the gateway can meet; it says so in `SAFECONDUCT_TEST_*`, and
//! without these nothing here passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it fails"
)]

mod files;
mod images;
mod life;
mod limits;
mod network;
mod privileges;
mod world;

//! Which tokens are believed: the requirements R1-R10 and R14 on signed tokens, opaque ones, and what callers become.

#[path = "tokens/mint.rs"]
mod mint;
#[path = "tokens/claims.rs"]
mod claims;
#[path = "tokens/keys.rs"]
mod keys;
#[path = "tokens/opaque.rs"]
mod opaque;
#[path = "tokens/presets.rs"]
mod presets;
#[path = "tokens/shape.rs"]
mod shape;

//! The strict JSON reader.

//! placeholder while the house is built

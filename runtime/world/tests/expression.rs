//! Conditions and updates of the stores in memory; the tests are in the source, which is compiled here alone.

#[path = "../src/expression.rs"]
mod expression;

//! Tests of the compiler as a whole: sources of every layout in, answers out, compared with an independent reader.
//!
//! They are unit tests because the comparison applies the compiler's own rules for placeholders, which are not public.

mod answers;
mod check;
mod full;
mod sources;

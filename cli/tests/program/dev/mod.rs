//! The local service of `ipgeo dev`: exact counts, limits everywhere, what it protects, and HTTP's rules.

mod counts;
mod http_rules;
mod limits;
mod local;
mod private;
mod rates;

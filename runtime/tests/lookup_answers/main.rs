//! The HTTP contract, request by request: routes, fields, headers, refusals, charges and usage lines.

mod api_keys;
mod edge;
mod explain;
mod hostile;
mod offline;
mod pages;
mod quota;
mod routes;

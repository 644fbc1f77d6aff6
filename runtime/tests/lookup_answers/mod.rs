//! The HTTP contract, request by request: routes, fields, headers, refusals, charges and usage lines.

mod api_keys;
mod edge;
mod explain;
mod hostile;
mod hostile_requests;
mod offline;
mod openapi;
mod pages;
mod quota;
mod rates;
mod routes;
mod special_addresses;

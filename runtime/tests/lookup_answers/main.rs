//! The HTTP contract, request by request: routes, fields, headers, refusals, charges and usage lines.

mod api_keys;
mod edge;
mod hostile;
<<<<<<< HEAD
mod offline;
=======
mod pages;
>>>>>>> web
mod quota;
mod routes;

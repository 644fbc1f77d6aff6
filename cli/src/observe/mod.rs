//! Looking at a running service: the status of its regions, probes of its edges, the checks of `ipgeo doctor`, and its
//! logs. Nothing here changes a deployment. AWS and the local service come in through traits, which `aws` and `cmd`
//! implement, so that this district uses neither.

pub(crate) mod doctor;
pub(crate) mod logs;
pub(crate) mod probe;
pub(crate) mod status;

//! What a deployment is made of: the stacks of a configuration, the plan from what is there to what should be, and the
//! deploy that carries it out. It sees AWS only through the traits of `cloud`.

pub(crate) mod artifacts;
pub(crate) mod cloud;
pub(crate) mod deploy;
pub(crate) mod iam;
pub(crate) mod lock;
pub(crate) mod plan;
pub(crate) mod stacks;

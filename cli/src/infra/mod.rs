//! What a deployment is made of: the stacks of a configuration, the plan from what is there to what should be, and the
//! deploy that carries it out. It sees AWS only through the traits of `cloud`.

pub mod artifacts;
pub mod cloud;
pub mod deploy;
pub mod iam;
pub mod plan;
pub mod stacks;

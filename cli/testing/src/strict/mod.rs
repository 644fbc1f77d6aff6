//! An AWS as strict as AWS, before an emulator that is not.
//!
//! The emulator lets every call pass that AWS would refuse. What is here refuses them: IAM's evaluation of the
//! documents that `ipgeo iam policy` prints, for the program's own calls and for those that CloudFormation makes in
//! its name; and the rules of CloudFormation that the emulator ignores. Each rule can be switched on alone.

mod arns;
mod calls;
mod http;
mod names;
mod needs;
mod policy;
mod proxy;
mod record;
mod refusal;
mod registry;
mod resolve;
mod rules;
mod stacks;

pub use needs::{Operation, ResourceNeed, needs};
pub use policy::{Decision, Part, Policies, Request};
pub use proxy::StrictAws;
pub use record::{Entry, Mutant, Record};
pub use registry::{Limits, Registry, ResourceType, TEXT as REGISTRY, registry};
pub use resolve::{Place, Resolved, resolve};
pub use rules::{Rule, Strictness};

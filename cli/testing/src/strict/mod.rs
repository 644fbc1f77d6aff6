//! A proxy in front of an emulator that refuses what AWS would refuse.
//!
//! The emulator accepts calls that AWS would refuse. The proxy evaluates the documents that `ipgeo iam policy` prints, as IAM
//! does, for the program's own calls and for those that CloudFormation makes on its behalf; and it enforces rules of
//! CloudFormation that the emulator ignores. Each rule can be switched on separately.

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

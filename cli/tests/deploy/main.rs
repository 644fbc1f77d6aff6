//! Plans and deploys against the cloud in memory: what they say, what they leave, and what they leave when any step
//! fails.

mod artifacts;
mod broken;
mod carried_out;
mod destroying;
mod interrupts;
mod lock;
mod pipe;
mod plans;
mod preflight;
mod random;
mod rollout;
mod stale;
mod time;
mod traffic;
mod versions;

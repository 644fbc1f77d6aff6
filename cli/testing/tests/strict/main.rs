//! The clouds of the tests are as strict as AWS: the one in memory, and the one in front of an emulator.

mod needs;
mod policy;
mod refusals;
mod rules;

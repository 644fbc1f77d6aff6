//! The program as its operator runs it, against an emulator of AWS; also behind a proxy that refuses what AWS refuses.
//!
//! One test program, because each one links the whole AWS SDK.

#[path = "../support/ministack.rs"]
mod ministack;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/replicas.rs"]
mod replicas;
#[path = "../support/service.rs"]
mod service;

mod domain;
mod killed;
mod rollback;
mod stage;
mod strict_aws;
mod ten_regions;

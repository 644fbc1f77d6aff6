//! Killed deploys.

use crate::service::{NAME, Wish};
use crate::stage::{Stage, THREE, memory, whole};

/// Moments of a deploy at which it is killed.
const KILLS: u64 = 20;

#[test]
fn a_deploy_that_is_killed_is_continued_by_the_next() {
    let Some(stage) = Stage::set() else { return };
    let service = &stage.service;
    let mut random = fastrand::Rng::with_seed(20_261_125);
    for round in 0..KILLS {
        // A change in every round; now and then from nothing, and with a region more or less.
        let regions = if round % 2 == 0 { &THREE[..] } else { &THREE[..2] };
        service.wish(&Wish {
            regions: regions.to_vec(),
            memory_mb: 256 + u32::try_from(round).expect("small"),
            domain: false,
        });
        let pause = std::time::Duration::from_millis(random.u64(100..2_500));
        let mut killed = service.start(&service.deploy_arguments());
        std::thread::sleep(pause);
        // It may have ended by itself.
        let _ = killed.kill();
        let ended = killed.wait().expect("it ends");
        service.deploy();
        let place = format!("round {round}, killed after {pause:?} ({ended})");
        service.settles(&THREE, &whole(regions));
        assert!(service.plan().1, "{place}");
        assert_eq!(memory(service, regions), vec![256 + round; regions.len()], "{place}");
        if round % 5 == 4 {
            service.exits(0, &["destroy", "--confirm", NAME, "--delete-data", "--no-input"]);
        }
    }
}
